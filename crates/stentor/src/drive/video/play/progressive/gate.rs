//! How much may be read: a stream that gives its reader no more than it was allowed to.
//!
//! hyper reads what it can get, and would keep bytes for us that TCP should keep, or not have sent yet.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that is read at once before the first allowance: a head, and little of what is behind it.
const HEAD_READ: usize = 512;

#[derive(Clone, Copy, Debug)]
enum Allowance {
    /// So much at once, for ever.
    Each(usize),
    /// So much altogether.
    Rest(usize),
}

/// What sets the allowance of a gate.
#[derive(Clone, Debug)]
pub(super) struct Key(Rc<Cell<Allowance>>);

impl Key {
    /// From now on so many bytes may be read, and then nothing. Who waits for more is not woken by the
    /// next allowance: it is given before the reader is asked again.
    pub(super) fn allow(&self, bytes: u64) {
        self.0.set(Allowance::Rest(usize::try_from(bytes).unwrap_or(usize::MAX)));
    }
}

/// The stream behind it; writes pass.
#[derive(Debug)]
pub(super) struct Gate<S> {
    stream: S,
    key: Key,
}

impl<S> Gate<S> {
    /// A gate that lets a head through, and its key.
    pub(super) fn new(stream: S) -> (Gate<S>, Key) {
        let key = Key(Rc::new(Cell::new(Allowance::Each(HEAD_READ))));
        (Gate { stream, key: key.clone() }, key)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let allowed = match this.key.0.get() {
            Allowance::Each(most) | Allowance::Rest(most) => most.min(buffer.remaining()),
        };
        if allowed == 0 && buffer.remaining() > 0 {
            return Poll::Pending;
        }
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(allowed));
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut part))?;
        let count = part.filled().len();
        buffer.advance(count);
        if let Allowance::Rest(rest) = this.key.0.get() {
            this.key.0.set(Allowance::Rest(rest.saturating_sub(count)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
