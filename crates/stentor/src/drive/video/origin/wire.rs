//! A connection's socket, counted: how much of each answer the kernel has taken, and whether the
//! client is in time.
//!
//! hyper asks bodies for pieces ahead of what it can write. At each write it offers everything that it
//! holds, so that what was asked for, less what is left of the offer, is what the kernel has.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use stentor_core::moment::Moment;
use stentor_core::video::pace::Pace;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::exchange::{Ended, Exchange};
use super::now;
use super::shared::Shared;

/// What a connection's answers share with its socket.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) shared: Arc<Shared>,
    book: Mutex<Book>,
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
    pub(super) fn new(shared: Arc<Shared>) -> Ledger {
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
        Ledger { shared, book: Mutex::new(book) }
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
        let begin = book.pulled;
        book.open.push_back(Open { exchange, begin, body_bytes });
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

    /// When to look at [`Ledger::overdue`] again.
    pub(super) fn patience(&self) -> Moment {
        let limits = &self.shared.plan.limits;
        let book = self.book();
        match (book.waits, book.blocked) {
            (_, Some(since)) => since + limits.write_stall,
            (Waits::Request(since), None) => since + limits.idle,
            (Waits::Head(since), None) => since + limits.head,
            // It is looked at again when it may have become the client's turn in between.
            (Waits::Answer, None) => now() + limits.head.min(limits.idle).min(limits.write_stall),
        }
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
        for Open { mut exchange, begin, body_bytes } in open {
            exchange.sent_bytes = sent.saturating_sub(begin).min(body_bytes);
            exchange.ended = why;
            self.shared.ended(exchange);
        }
    }

    fn read(&self) {
        let mut book = self.book();
        if let Waits::Request(_) = book.waits {
            book.waits = Waits::Head(now());
        }
    }

    fn blocked(&self) {
        let mut book = self.book();
        book.blocked = book.blocked.or_else(|| Some(now()));
    }

    /// Of everything that hyper held, `left` bytes are still not taken.
    fn wrote(&self, left: usize) {
        let mut book = self.book();
        book.blocked = None;
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
        for Open { mut exchange, body_bytes, .. } in done {
            exchange.sent_bytes = body_bytes;
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
    pub(super) stream: TcpStream,
    pub(super) ledger: Arc<Ledger>,
}

impl Wire {
    fn note(&self, offered: usize, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(count)) => self.ledger.wrote(offered.saturating_sub(*count)),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.ledger.blocked(),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.ledger.read();
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(bytes.len(), &written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = pieces.iter().map(|piece| piece.len()).sum();
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.note(offered, &written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
