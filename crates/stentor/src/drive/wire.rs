//! A stream that is watched: each read and write of the socket, its size and its moment.
//!
//! What the bytes mean is left to [`crate::drive::http`] and [`crate::drive::tls`], which lie on top.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use stentor_core::moment::Moment;
use stentor_core::timeline::{Conversation, Lane, What, excerpt};
use stentor_os::failure::errno_name;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::drive::race::now;
use crate::drive::tls::Records;

/// Transfers kept one by one; a long download is only counted after that, so that memory is bounded.
pub const TRANSFERS_KEPT: usize = 10_000;
/// Transfers drawn in the conversation; nobody reads a ladder of a thousand rungs.
const TRANSFERS_DRAWN: u64 = 200;

/// One read or write of the socket that moved bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// When the call returned.
    pub at: Moment,
    /// How many bytes it moved.
    pub bytes: usize,
}

/// The transfers in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transfers {
    /// The first [`TRANSFERS_KEPT`].
    pub kept: Vec<Transfer>,
    /// How many there were.
    pub count: u64,
    /// How many bytes they moved.
    pub bytes: u64,
}

impl Transfers {
    fn add(&mut self, at: Moment, bytes: usize) {
        if self.kept.len() < TRANSFERS_KEPT {
            self.kept.push(Transfer { at, bytes });
        }
        self.count += 1;
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }
}

/// What was seen on one socket.
#[derive(Debug, Default)]
pub struct Wire {
    /// What came.
    pub reads: Transfers,
    /// What went.
    pub writes: Transfers,
    /// When the other end ended its stream, if it did.
    pub closed: Option<Moment>,
    /// When anything last moved.
    pub last: Moment,
    /// The same, to be drawn.
    pub conversation: Conversation,
    records: Option<[Records; 2]>,
}

impl Wire {
    /// Continues `conversation`, which may already hold the connecting.
    pub fn new(conversation: Conversation) -> Wire {
        Wire { conversation, last: now(), ..Wire::default() }
    }

    /// From now on the bytes are TLS records: they are named, not shown.
    pub fn encrypted(&mut self) {
        self.records = Some(<[Records; 2]>::default());
    }

    /// Adds a remark to the conversation.
    pub fn note(&mut self, lane: Lane, words: impl Into<String>) {
        self.conversation.witness(now(), lane, What::Note(words.into()));
    }

    /// Ends the watch: the conversation, with a word on what was not drawn.
    pub fn finish(&mut self) {
        let undrawn = (self.reads.count + self.writes.count).saturating_sub(TRANSFERS_DRAWN);
        if undrawn > 0 {
            self.note(Lane::Client, format!("{undrawn} more reads and writes, not drawn"));
        }
    }

    fn moved(&mut self, lane: Lane, bytes: &[u8]) {
        let at = now();
        self.last = at;
        let direction = match lane {
            Lane::Client => &mut self.writes,
            Lane::Server => &mut self.reads,
        };
        direction.add(at, bytes.len());
        let excerpt = match (&mut self.records, lane) {
            (None, _) => excerpt(bytes),
            (Some([sent, _]), Lane::Client) => sent.feed(bytes),
            (Some([_, received]), Lane::Server) => received.feed(bytes),
        };
        if self.reads.count + self.writes.count <= TRANSFERS_DRAWN {
            let what = What::Data { bytes: bytes.len(), excerpt };
            self.conversation.witness(at, lane, what);
        }
    }

    fn ended(&mut self) {
        if self.closed.is_none() {
            let at = now();
            (self.closed, self.last) = (Some(at), at);
            self.conversation.witness(at, Lane::Server, What::Signal("FIN".to_owned()));
        }
    }

    fn failed(&mut self, call: &str, error: &io::Error) {
        let outcome = errno_name(error).unwrap_or_else(|| error.to_string());
        self.conversation.call(now(), Lane::Client, call, "", outcome);
    }
}

/// A stream whose reads and writes are witnessed.
#[derive(Debug)]
pub struct Tap<S> {
    stream: S,
    wire: Rc<RefCell<Wire>>,
}

impl<S> Tap<S> {
    /// Watches `stream` and tells `wire`.
    pub fn new(stream: S, wire: Rc<RefCell<Wire>>) -> Tap<S> {
        Tap { stream, wire }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let room = buffer.remaining();
        let outcome = ready!(Pin::new(&mut this.stream).poll_read(cx, buffer));
        let mut wire = this.wire.borrow_mut();
        match (&outcome, buffer.filled().get(before..).unwrap_or_default()) {
            (Err(error), _) => wire.failed("recv", error),
            (Ok(()), []) if room > 0 => wire.ended(),
            (Ok(()), bytes) => wire.moved(Lane::Server, bytes),
        }
        Poll::Ready(outcome)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes));
        let mut wire = this.wire.borrow_mut();
        match &outcome {
            Ok(taken) => wire.moved(Lane::Client, bytes.get(..*taken).unwrap_or(bytes)),
            Err(error) => wire.failed("send", error),
        }
        Poll::Ready(outcome)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
