//! What came of one conversation: figures only; their words are in [`super::outcome`].

use stentor_core::moment::Moment;
use stentor_os::net::tcp_info::TcpInfo;

use super::witness::Witness;
use crate::drive::impair::Beside;
use crate::drive::race::{self, Attempt};
use crate::report::json::send::{Datagrams, Questions};

/// Which end said first that no more would come from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closer {
    /// This end.
    Client,
    /// The other.
    Server,
}

impl Closer {
    /// The end, as a word.
    pub(super) fn name(self) -> &'static str {
        match self {
            Closer::Client => "client",
            Closer::Server => "server",
        }
    }
}

/// Everything known of a conversation; what did not come to pass is `None` or zero.
#[derive(Debug)]
pub(super) struct Told {
    /// When the name was asked for.
    pub(super) began: Moment,
    /// When its addresses were known.
    pub(super) resolved: Option<Moment>,
    /// When there was a connection, or a socket for datagrams.
    pub(super) connected: Option<Moment>,
    /// When the first bytes were given to the kernel.
    pub(super) first_sent: Option<Moment>,
    /// When the first bytes came back.
    pub(super) first_byte: Option<Moment>,
    /// When all was over.
    pub(super) ended: Moment,
    /// Our address.
    pub(super) local: String,
    /// Theirs, with the transport: `tcp 127.0.0.1:12000`.
    pub(super) peer: String,
    /// Bytes taken by the kernel.
    pub(super) sent: u64,
    /// Bytes that came back.
    pub(super) received: u64,
    /// Bytes that had to come back, if answers are verified.
    pub(super) owed: Option<u64>,
    /// Bytes that came back and are right.
    pub(super) verified: Option<u64>,
    /// Who closed first.
    pub(super) closed_first: Option<Closer>,
    /// Attempts to connect, when one succeeded.
    pub(super) attempts: Vec<Attempt>,
    /// What the kernel knew at the end.
    pub(super) info: Option<TcpInfo>,
    /// UDP questions.
    pub(super) questions: Option<Questions>,
    /// UDP datagrams.
    pub(super) datagrams: Option<Datagrams>,
    /// Calls and bytes, for the ladder.
    pub(super) witness: Witness,
    /// The answer, if it was kept.
    pub(super) answer: Vec<u8>,
    /// Whether nothing of the answer was too much to keep.
    pub(super) answer_whole: bool,
    /// The link before the target.
    pub(super) link: Option<Beside>,
    /// What a reader should know besides.
    pub(super) warnings: Vec<String>,
}

impl Told {
    /// Nothing is known yet.
    pub(super) fn begin() -> Told {
        let now = race::now();
        Told {
            began: now,
            resolved: None,
            connected: None,
            first_sent: None,
            first_byte: None,
            ended: now,
            local: String::new(),
            peer: String::new(),
            sent: 0,
            received: 0,
            owed: None,
            verified: None,
            closed_first: None,
            attempts: Vec::new(),
            info: None,
            questions: None,
            datagrams: None,
            witness: Witness::default(),
            answer: Vec::new(),
            answer_whole: false,
            link: None,
            warnings: Vec::new(),
        }
    }

    /// Counts bytes taken by the kernel.
    pub(super) fn count_sent(&mut self, now: Moment, bytes: usize) {
        self.first_sent.get_or_insert(now);
        self.sent += bytes as u64;
    }

    /// Counts bytes that came back.
    pub(super) fn count_received(&mut self, now: Moment, bytes: usize) {
        self.first_byte.get_or_insert(now);
        self.received += bytes as u64;
    }
}
