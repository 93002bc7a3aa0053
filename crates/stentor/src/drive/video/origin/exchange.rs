//! A request and its answer, as they were witnessed; and what all of them came to.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use stentor_core::moment::Moment;

/// A request and what became of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// From 0, in the order of the requests.
    pub number: u64,
    /// Which connection it came on, from 0.
    pub connection: u64,
    /// Who asked.
    pub peer: SocketAddr,
    /// When its head had come, on the clock of the process.
    pub at: Moment,
    /// The same by the calendar.
    pub time: SystemTime,
    /// As written, cut after 512 bytes.
    pub method: String,
    /// What was asked for, as written, cut as well.
    pub path: String,
    /// The code of the answer.
    pub status: u16,
    /// First and last byte of the part that is sent, if it is a part.
    pub range: Option<(u64, u64)>,
    /// How long the answer's body is said to be, in bytes; 0 if it has none.
    pub length_bytes: u64,
    /// How many of them the kernel took.
    pub sent_bytes: u64,
    /// From the head of the request to the answer's last byte that the kernel took.
    pub duration: Duration,
    /// How it ended.
    pub ended: Ended,
    /// The faults that struck it, in their words.
    pub fault: Option<String>,
}

/// The most bytes of a method or a path that are kept.
pub(super) const WORDS_MAX: usize = 512;

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// The kernel took all of it.
    Complete,
    /// The client closed the connection, or reset it.
    ClientClosed,
    /// A fault on request closed it.
    Fault,
    /// The client took nothing of it for too long.
    TimedOut,
    /// The origin was told to end.
    Stopped,
    /// A file became shorter or unreadable while it was sent.
    Failed,
}

impl Ended {
    /// All of them.
    pub const ALL: [Ended; 6] = [
        Ended::Complete,
        Ended::ClientClosed,
        Ended::Fault,
        Ended::TimedOut,
        Ended::Stopped,
        Ended::Failed,
    ];

    /// Its name, in words.
    pub const fn name(self) -> &'static str {
        match self {
            Ended::Complete => "complete",
            Ended::ClientClosed => "client closed",
            Ended::Fault => "closed by fault",
            Ended::TimedOut => "timed out",
            Ended::Stopped => "stopped",
            Ended::Failed => "failed",
        }
    }
}

/// What an origin did in its life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections that were accepted.
    pub connections: u64,
    /// Requests that were answered: the sum of `ended`.
    pub requests: u64,
    /// How the answers ended, in the order of [`Ended::ALL`].
    pub ended: [u64; Ended::ALL.len()],
    /// Answers by the hundreds of their code: 1xx to 5xx.
    pub classes: [u64; 5],
    /// Answers that were struck by a fault.
    pub faults: u64,
    /// Bytes of bodies that the kernel took.
    pub sent_bytes: u64,
    /// What was no request, and was refused or closed.
    pub bad: u64,
    /// Connections on which a request did not come in time.
    pub slow: u64,
    /// Exchanges for which the log had no room.
    pub unlogged: u64,
}

impl Totals {
    pub(super) fn count(&mut self, exchange: &Exchange) {
        self.requests += 1;
        let ended = Ended::ALL.iter().position(|ended| *ended == exchange.ended);
        if let Some(count) = ended.and_then(|index| self.ended.get_mut(index)) {
            *count += 1;
        }
        let class = usize::from(exchange.status / 100).wrapping_sub(1);
        if let Some(count) = self.classes.get_mut(class) {
            *count += 1;
        }
        self.faults += u64::from(exchange.fault.is_some());
        self.sent_bytes += exchange.sent_bytes;
    }
}
