//! HTTP/1.1 at the client's end, over any stream (RFC 9112): one request, one reply.
//!
//! hyper reads and writes HTTP; this file lends it the stream, keeps the reply's own bytes, and
//! bounds the waiting. Addresses, TLS and redirects are left to the verb.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response};
use stentor_core::moment::Moment;
use stentor_os::signal::Interrupts;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use crate::drive::race::now;
use crate::drive::wire::Wire;

/// The longest head of a reply that is read, in bytes; servers' own limits are 8 to 64 KiB.
pub const HEAD_MAX_BYTES: usize = 256 * 1024;
/// The most header lines of a reply.
pub const HEADERS_MAX: usize = 1000;
/// The most bytes asked of one read.
const READ_MAX_BYTES: usize = 64 * 1024;

/// The reply's own bytes, as they came, before anything was made of them.
#[derive(Debug, Default)]
pub struct Inbox {
    /// When the first of them came.
    pub first: Option<Moment>,
    /// The beginning of the reply, at most [`HEAD_MAX_BYTES`].
    pub beginning: Vec<u8>,
    /// What came and was not taken out yet; filled only if asked for.
    pub raw: VecDeque<u8>,
    keep_raw: bool,
}

impl Inbox {
    /// An inbox that keeps every byte in `raw` if `keep_raw`.
    pub fn new(keep_raw: bool) -> Inbox {
        Inbox { keep_raw, ..Inbox::default() }
    }

    fn take(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.first.get_or_insert_with(now);
        }
        let room = HEAD_MAX_BYTES.saturating_sub(self.beginning.len());
        self.beginning.extend(bytes.iter().take(room));
        if self.keep_raw {
            self.raw.extend(bytes);
        }
    }

    /// The head of the final reply with its empty line, as it came: interim ones (1xx) are skipped.
    pub fn head(&self) -> &[u8] {
        let mut rest = self.beginning.as_slice();
        loop {
            let Some(end) = head_end(rest) else { return rest };
            let (head, after) = rest.split_at(end);
            let interim = head.get(8..10).is_some_and(|status| status == b" 1");
            if !interim {
                return head;
            }
            rest = after;
        }
    }
}

/// Where the first empty line ends, lines ending in CR LF or LF (RFC 9112, section 2.2).
fn head_end(bytes: &[u8]) -> Option<usize> {
    let mut line = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte != b'\n' {
            continue;
        }
        if matches!(bytes.get(line..at), Some([] | [b'\r'])) {
            return Some(at + 1);
        }
        line = at + 1;
    }
    None
}

/// Lends a tokio stream to hyper and keeps what comes through it.
struct Reply<S> {
    stream: S,
    inbox: Rc<RefCell<Inbox>>,
    buffer: Box<[u8]>,
}

impl<S: AsyncRead + Unpin> Read for Reply<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut wanted: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let room = wanted.remaining().min(this.buffer.len());
        // A copy more than need be: filling hyper's own buffer takes unsafe code.
        let mut buffer = ReadBuf::new(this.buffer.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer))?;
        this.inbox.borrow_mut().take(buffer.filled());
        wanted.put_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Write for Reply<S> {
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

/// One connection that carries one request.
pub struct Client<S: AsyncRead + AsyncWrite + Unpin> {
    sender: SendRequest<Empty<Bytes>>,
    connection: Option<Connection<Reply<S>, Empty<Bytes>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("open", &self.connection.is_some()).finish()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Prepares `stream`; nothing is sent yet. What comes is kept in `inbox`.
    pub async fn open(stream: S, inbox: Rc<RefCell<Inbox>>) -> hyper::Result<Client<S>> {
        let buffer = vec![0; READ_MAX_BYTES].into_boxed_slice();
        let (sender, connection) = Builder::new()
            .title_case_headers(true)
            .max_headers(HEADERS_MAX)
            .max_header_size(HEAD_MAX_BYTES)
            .max_buf_size(2 * HEAD_MAX_BYTES)
            .handshake(Reply { stream, inbox, buffer })
            .await?;
        Ok(Client { sender, connection: Some(connection) })
    }

    /// Sends the request and waits for the head of the reply.
    pub async fn send(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        let reply = self.sender.send_request(request);
        carry(&mut self.connection, reply).await
    }

    /// The next piece of the body, without its chunk framing; `None` at its end.
    pub async fn piece(&mut self, body: &mut Incoming) -> Option<hyper::Result<Frame<Bytes>>> {
        carry(&mut self.connection, body.frame()).await
    }
}

/// Runs the connection for as long as `wanted` is waited for: there is no task of its own.
pub(crate) async fn carry<C, F>(connection: &mut Option<C>, wanted: F) -> F::Output
where
    C: Future<Output = hyper::Result<()>> + Unpin,
    F: Future,
{
    let mut wanted = pin!(wanted);
    std::future::poll_fn(|cx| {
        // The connection's own error reaches `wanted` as well, and says more there.
        if connection.as_mut().is_some_and(|running| Pin::new(running).poll(cx).is_ready()) {
            *connection = None;
        }
        wanted.as_mut().poll(cx)
    })
    .await
}

/// Why a wait was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// Nothing moved on the socket for this long.
    Silence(Duration),
    /// A signal came.
    Interrupted,
}

/// Bounds every wait: by silence on the socket, and by the person's ^C.
#[derive(Debug)]
pub struct Patience {
    wire: Rc<RefCell<Wire>>,
    silence_max: Duration,
    interrupts: Option<UnixStream>,
}

impl Patience {
    /// To be called within a tokio runtime. Errors: the signal pipe cannot be watched.
    pub fn new(
        wire: Rc<RefCell<Wire>>,
        silence_max: Duration,
        interrupts: Option<&Interrupts>,
    ) -> io::Result<Patience> {
        // The signal's pipe is a pair of Unix sockets; a second descriptor of it is ours to watch.
        let watch =
            |held: &Interrupts| UnixStream::from_std(held.as_fd().try_clone_to_owned()?.into());
        let interrupts = interrupts.map(watch).transpose()?;
        Ok(Patience { wire, silence_max, interrupts })
    }

    /// Waits for `wanted` while bytes move and no signal comes.
    pub async fn wait<F: Future>(&self, wanted: F) -> Result<F::Output, Halt> {
        let mut wanted = pin!(wanted);
        let began = now();
        loop {
            let last = self.wire.borrow().last.max(began);
            let left = self.silence_max.saturating_sub(now().since(last));
            if left.is_zero() {
                return Err(Halt::Silence(self.silence_max));
            }
            tokio::select! {
                biased;
                () = self.signal() => return Err(Halt::Interrupted),
                done = &mut wanted => return Ok(done),
                () = tokio::time::sleep(left) => {}
            }
        }
    }

    async fn signal(&self) {
        match &self.interrupts {
            // Readiness is not cleared: every later wait ends at once, too.
            Some(pipe) if pipe.readable().await.is_ok() => {}
            Some(_) | None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_is_found_and_interim_replies_are_skipped() {
        let check = |reply: &str, expected: &str| {
            let mut inbox = Inbox::new(false);
            inbox.take(reply.as_bytes());
            assert_eq!(String::from_utf8_lossy(inbox.head()), expected, "{reply:?}");
        };
        let found = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
        check(&format!("{found}body\r\n\r\n"), found);
        check(&format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{found}"), found);
        check("HTTP/1.0 200 OK\nA: b\n\nbody", "HTTP/1.0 200 OK\nA: b\n\n");
        check("HTTP/1.1 200 OK\r\nA", "HTTP/1.1 200 OK\r\nA");
        check("", "");
    }

    #[test]
    fn the_beginning_is_bounded_and_raw_is_kept_only_when_asked() {
        let mut inbox = Inbox::new(false);
        inbox.take(&vec![b'x'; HEAD_MAX_BYTES + 1]);
        assert_eq!((inbox.beginning.len(), inbox.raw.len()), (HEAD_MAX_BYTES, 0));
        let mut inbox = Inbox::new(true);
        inbox.take(b"abc");
        assert_eq!(inbox.raw, b"abc");
    }
}
