//! A connection's socket, counted: how much of each answer the kernel has taken, and whether the
//! client is in time.
//!
//! hyper asks bodies for pieces ahead of what it can write. At each write it offers everything that it
//! holds, so that what was asked for, less what is left of the offer, is what the kernel has.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use stentor_core::moment::Moment;
use stentor_core::video::pace::Pace;
use stentor_os::net::queues;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::exchange::{Ended, Exchange};
use super::now;
use super::shared::Shared;
use super::watch::{self, Watch};

/// What a connection's answers share with its socket.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) shared: Arc<Shared>,
    stream: Arc<TcpStream>,
    book: Mutex<Book>,
    /// Told when [`Ledger::patience`] has become shorter.
    pub(super) hurry: Notify,
}

#[derive(Debug)]
struct Book {
    /// Bytes of bodies that hyper has asked for.
    pulled: u64,
    /// Those of them that the kernel has taken.
    sent: u64,
    /// Answers that have not ended, the oldest first.
    open: VecDeque<Open>,
    waits: Waits,
    /// Since when the kernel takes nothing more.
    blocked: Option<Moment>,
    /// Why no more is sent, if a body has said so.
    cut: Option<Ended>,
    /// A body that waits until everything before it has left.
    flushed: Option<Waker>,
    pace: Option<Pace>,
}

#[derive(Debug)]
struct Open {
    exchange: Exchange,
    /// What hyper had asked for before.
    begin: u64,
    /// How many bytes of body it has to send; 0 for HEAD.
    body_bytes: u64,
    /// Its samples, if it is long, and when the next is due.
    watch: Option<(Watch, Moment)>,
}

/// What the client has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// Ask for something; since then.
    Request(Moment),
    /// Finish a request that it has begun; since then.
    Head(Moment),
    /// Nothing: it is our turn.
    Answer,
}

impl Ledger {
    pub(super) fn new(shared: Arc<Shared>, stream: Arc<TcpStream>) -> Ledger {
        let book = Book {
            pulled: 0,
            sent: 0,
            open: VecDeque::new(),
            waits: Waits::Request(now()),
            blocked: None,
            cut: None,
            flushed: None,
            pace: shared.plan.rate.map(Pace::new),
        };
        Ledger { shared, stream, book: Mutex::new(book), hurry: Notify::new() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come in full.
    pub(super) fn asked(&self) {
        self.book().waits = Waits::Answer;
    }

    /// An answer begins: `body_bytes` are to be sent after its head.
    pub(super) fn begin(&self, exchange: Exchange, body_bytes: u64) {
        let mut book = self.book();
        if let Some(pace) = &mut book.pace {
            pace.begin(now());
        }
        let watch = if body_bytes >= watch::LENGTH_MIN_BYTES {
            self.shared.watches.begin(&exchange).map(|watch| (watch, now()))
        } else {
            None
        };
        if watch.is_some() {
            self.hurry.notify_one();
        }
        let begin = book.pulled;
        book.open.push_back(Open { exchange, begin, body_bytes, watch });
    }

    /// Samples the send queue, if it is time to.
    pub(super) fn sample(&self) {
        let mut book = self.book();
        let sent = book.sent;
        let Some(Open { begin, watch: Some((watch, due)), .. }) = book.open.front_mut() else {
            return;
        };
        if *due <= now() {
            *due = watch.sample(&self.stream, sent.saturating_sub(*begin));
        }
    }

    /// Ready when the kernel has taken every byte that bodies have given.
    pub(super) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut book = self.book();
        if book.sent >= book.pulled {
            return Poll::Ready(());
        }
        book.flushed = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Ready when the client has closed its end, or the connection is broken; what it may have sent
    /// before stays unread.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0];
        match self.stream.poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            // More requests: whether an end stands behind them is not to be seen.
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }

    /// Lets the connection end with a reset instead of a FIN (SO_LINGER of zero, socket(7)).
    pub(super) fn reset(&self) {
        let set = socket2::SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO));
        if let Err(error) = set {
            tracing::warn!("setsockopt SO_LINGER: {error}");
        }
    }

    /// An answer goes on after a silence of ours: its rate counts from here.
    pub(super) fn resume(&self) {
        if let Some(pace) = &mut self.book().pace {
            pace.begin(now());
        }
    }

    /// How many of `left` bytes the connection's rate allows now, or when to ask again.
    pub(super) fn allowed(&self, left: u64) -> Result<u64, Moment> {
        let piece = self.shared.piece();
        match &mut self.book().pace {
            Some(pace) => pace.poll(now(), left, piece),
            None => Ok(left),
        }
    }

    /// hyper was given so many bytes of a body.
    pub(super) fn pulled(&self, bytes: u64) {
        let mut book = self.book();
        book.pulled += bytes;
        if let Some(pace) = &mut book.pace {
            pace.sent(bytes);
        }
    }

    /// Notes why a body ends before its time.
    pub(super) fn cut(&self, why: Ended) {
        self.book().cut = Some(why);
    }

    /// Whether nothing was asked for that is not answered, as far as anybody knows.
    pub(super) fn is_quiet(&self) -> bool {
        let waits = matches!(self.book().waits, Waits::Request(_));
        waits && queues::unread(&*self.stream).is_ok_and(|bytes| bytes == 0)
    }

    /// When to look at [`Ledger::overdue`] and [`Ledger::sample`] again.
    pub(super) fn patience(&self) -> Moment {
        let limits = &self.shared.plan.limits;
        let book = self.book();
        let due = match (book.waits, book.blocked) {
            (_, Some(since)) => since + limits.write_stall,
            (Waits::Request(since), None) => since + limits.idle,
            (Waits::Head(since), None) => since + limits.head,
            // It is looked at again when it may have become the client's turn in between.
            (Waits::Answer, None) => now() + limits.head.min(limits.idle).min(limits.write_stall),
        };
        let sample = book.open.front().and_then(|open| open.watch.as_ref());
        sample.map_or(due, |(_, at)| due.min(*at))
    }

    /// Whether the client was waited for long enough; what for.
    pub(super) fn overdue(&self) -> Option<Overdue> {
        let (limits, now) = (&self.shared.plan.limits, now());
        let book = self.book();
        let due = match (book.waits, book.blocked) {
            (_, Some(since)) => (since + limits.write_stall, Overdue::Answer),
            (Waits::Request(since), None) => (since + limits.idle, Overdue::Idle),
            (Waits::Head(since), None) => (since + limits.head, Overdue::Head),
            (Waits::Answer, None) => return None,
        };
        (due.0 <= now).then_some(due.1)
    }

    /// The connection is over: whatever was still being sent ends with it.
    pub(super) fn close(&self, why: Ended) {
        let mut book = self.book();
        let why = book.cut.unwrap_or(why);
        let (open, sent) = (std::mem::take(&mut book.open), book.sent);
        drop(book);
        for Open { mut exchange, begin, body_bytes, watch } in open {
            exchange.sent_bytes = sent.saturating_sub(begin).min(body_bytes);
            if let Some((watch, _)) = watch {
                watch.end(&self.stream, exchange.sent_bytes);
            }
            exchange.ended = why;
            self.shared.ended(exchange);
        }
    }

    fn read(&self) {
        let mut book = self.book();
        if let Waits::Request(_) = book.waits {
            book.waits = Waits::Head(now());
            self.hurry.notify_one();
        }
    }

    fn blocked(&self) {
        let mut book = self.book();
        book.blocked = book.blocked.or_else(|| Some(now()));
    }

    /// Of everything that hyper held, `left` bytes are still not taken.
    fn wrote(&self, left: usize) {
        let mut book = self.book();
        if let (Some(_), Some(pace)) = (book.blocked.take(), &mut book.pace) {
            // What the client did not take in its time is no credit.
            pace.begin(now());
        }
        book.sent = book.pulled.saturating_sub(u64::try_from(left).unwrap_or(u64::MAX));
        let mut done = Vec::new();
        while let Some(first) = book.open.front() {
            let end = first.begin + first.body_bytes;
            if book.sent < end || (first.body_bytes == 0 && left > 0) {
                break;
            }
            done.extend(book.open.pop_front());
        }
        if book.open.is_empty() && !done.is_empty() {
            book.waits = Waits::Request(now());
        }
        let flushed = book.flushed.take_if(|_| left == 0);
        drop(book);
        for Open { mut exchange, body_bytes, watch, .. } in done {
            exchange.sent_bytes = body_bytes;
            if let Some((watch, _)) = watch {
                watch.end(&self.stream, body_bytes);
            }
            exchange.ended = Ended::Complete;
            self.shared.ended(exchange);
        }
        if let Some(waker) = flushed {
            waker.wake();
        }
    }
}

/// What a client took too long for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// To ask for something.
    Idle,
    /// To finish what it asked for.
    Head,
    /// To take its answer.
    Answer,
}

/// A socket whose traffic is written into a ledger.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) stream: Arc<TcpStream>,
    pub(super) ledger: Arc<Ledger>,
}

impl Wire {
    fn write(
        &self,
        cx: &mut Context<'_>,
        offered: usize,
        act: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.poll_write_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.ledger.blocked();
                    return Poll::Pending;
                }
            }
            match act(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    self.ledger.wrote(offered.saturating_sub(count));
                    return Poll::Ready(Ok(count));
                }
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    buffer.advance(count);
                    if count > 0 {
                        self.ledger.read();
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, bytes.len(), |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = pieces.iter().map(|piece| piece.len()).sum();
        self.write(cx, offered, |stream| stream.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The kernel sends what it has by itself.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(socket2::SockRef::from(&*self.stream).shutdown(Shutdown::Write))
    }
}
