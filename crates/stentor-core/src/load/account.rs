//! What became of the requests, in numbers that must add up, and how long they took.
//!
//! Each thread has a tally of its own for an interval; [`Tally::drain_into`] moves it to the
//! total. Names for JSON are left to the report.

use std::time::Duration;

use crate::measure::Latency;
use crate::moment::Moment;

/// Why a request that was sent can have no reply any more, other than by loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Nobody listens on the port of a datagram (ICMP port unreachable, ECONNREFUSED).
    Refused,
    /// The connection was reset (RST, ECONNRESET).
    Reset,
    /// The service closed the connection in order and owed a reply, of which nothing had come.
    Closed,
    /// The same, or a reset, in the middle of the reply.
    Cut,
    /// An earlier reply on the connection broke the framing, so this one cannot be found.
    Unframed,
    /// An earlier request on the connection timed out and the connection was given up for that.
    Abandoned,
    /// The run was stopped at once.
    Stopped,
    /// The kernel refused a read or a write in another way.
    System,
}

impl Failure {
    /// Every reason, in the order of the report.
    pub const ALL: [Failure; 8] = [
        Failure::Refused,
        Failure::Reset,
        Failure::Closed,
        Failure::Cut,
        Failure::Unframed,
        Failure::Abandoned,
        Failure::Stopped,
        Failure::System,
    ];

    /// The word of the reports.
    pub const fn name(self) -> &'static str {
        match self {
            Failure::Refused => "refused",
            Failure::Reset => "reset",
            Failure::Closed => "closed",
            Failure::Cut => "cut",
            Failure::Unframed => "unframed",
            Failure::Abandoned => "abandoned",
            Failure::Stopped => "stopped",
            Failure::System => "system",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// What became of a request; each comes once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The right reply came in time.
    Verified,
    /// A reply came and is not right.
    Wrong,
    /// The right reply came after the timeout.
    Late,
    /// No reply came.
    Lost,
    /// The connection failed under it.
    Error(Failure),
}

/// Requests by what became of them. Once none is under way, `sent` is the sum of the five others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were handed to the driver to be written.
    pub sent: u64,
    /// Right and in time.
    pub verified: u64,
    /// Not right.
    pub wrong: u64,
    /// Right, after the timeout.
    pub late: u64,
    /// Never answered.
    pub lost: u64,
    /// Connection failed.
    pub error: u64,
}

impl Counts {
    /// How many have become something.
    pub fn settled(&self) -> u64 {
        self.verified + self.wrong + self.late + self.lost + self.error
    }

    /// Whether the numbers add up while `under_way` requests have not become anything yet: 0 at
    /// the end of a run. Holds for totals; what was sent in one interval may settle in another.
    pub fn adds_up(&self, under_way: u64) -> bool {
        self.sent == self.settled() + under_way
    }

    fn settle(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Verified => self.verified += 1,
            Outcome::Wrong => self.wrong += 1,
            Outcome::Late => self.late += 1,
            Outcome::Lost => self.lost += 1,
            Outcome::Error(_) => self.error += 1,
        }
    }

    fn merge(&mut self, other: &Counts) {
        self.sent += other.sent;
        self.verified += other.verified;
        self.wrong += other.wrong;
        self.late += other.late;
        self.lost += other.lost;
        self.error += other.error;
    }
}

/// What became of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// That were opened.
    pub opened: u64,
    /// That could not be, or not within the timeout.
    pub refused: u64,
    /// That the service closed or reset, whether or not a reply was owed.
    pub lost: u64,
    /// Of these, while a reply was owed.
    pub lost_in_use: u64,
}

impl Connections {
    fn merge(&mut self, other: &Connections) {
        self.opened += other.opened;
        self.refused += other.refused;
        self.lost += other.lost;
        self.lost_in_use += other.lost_in_use;
    }
}

/// The bytes that are kept of a wrong reply, and of the right one.
const EXCERPT_BYTES: usize = 48;
/// How many of them stand before the first that differs.
const BEFORE_BYTES: usize = 16;

/// A wrong reply beside the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// When it came.
    pub at: Moment,
    /// The first byte that differs, and the length of the right reply; `None`: only a pattern of
    /// it is known.
    pub differs: Option<(usize, usize)>,
    /// Where both excerpts begin.
    pub from: usize,
    /// The right reply from there on, some 50 bytes of it.
    pub expected: Vec<u8>,
    /// What came, from there on.
    pub got: Vec<u8>,
    /// The length of what came.
    pub got_len: usize,
}

impl Mistake {
    /// What came beside `right`, where that is known.
    pub(super) fn new(at: Moment, right: Option<&[u8]>, got: &[u8]) -> Mistake {
        let same = |right: &[u8]| right.iter().zip(got).take_while(|(one, two)| one == two).count();
        let differs = right.map(|right| (same(right), right.len()));
        let from = differs.map_or(0, |(first, _)| first.saturating_sub(BEFORE_BYTES));
        let excerpt = |bytes: &[u8]| bytes.iter().skip(from).take(EXCERPT_BYTES).copied().collect();
        let expected = right.map(excerpt).unwrap_or_default();
        Mistake { at, differs, from, expected, got: excerpt(got), got_len: got.len() }
    }
}

/// Everything that is counted of a run, a thread or an interval. Some 800 KiB; nothing that is
/// recorded allocates, but for the first wrong reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// The requests that count.
    pub counts: Counts,
    /// Those of the warm-up.
    pub warmup: Counts,
    /// Both, those in `error`, by reason, in the order of [`Failure::ALL`].
    pub failures: [u64; Failure::ALL.len()],
    /// How long replies took, from the intended moment (in the closed loop, from the sending):
    /// those verified and those late. What was lost has no latency, so look at both.
    pub latency: Latency,
    /// How late our own sends were: from when a request was intended and there was room for it,
    /// to when it was sent. If this is not small, the load was not what was asked for.
    pub lateness: Latency,
    /// How long connecting took.
    pub connect: Latency,
    /// How many requests were sent later than intended because no slot was free or no connection
    /// open: the service did not keep up.
    pub waited: u64,
    /// How many were intended and never sent, because the run ended before there was room.
    pub unsent: u64,
    /// Replies beyond the first to a datagram.
    pub duplicates: u64,
    /// First replies to datagrams that came after one to a later request (RFC 4737, section 3.3).
    pub reordered: u64,
    /// Replies that belong to no request.
    pub unasked: u64,
    /// Replies to datagrams that show no number of ours, and were taken for that to the oldest
    /// request (see [`super::Matching::ByGuess`]).
    pub guessed: u64,
    /// Connections.
    pub connections: Connections,
    /// Bytes of requests, with their frames; without the warm-up.
    pub bytes_sent: u64,
    /// Bytes that came; without the warm-up.
    pub bytes_received: u64,
    /// The first of the replies that were wrong; without the warm-up.
    pub first_wrong: Option<Mistake>,
}

impl Tally {
    /// Starts at nothing.
    pub fn new() -> Tally {
        Tally::default()
    }

    /// Adds another: another thread's, or another machine's.
    pub fn merge(&mut self, other: &Tally) {
        self.merge_numbers(other);
        self.latency.merge(&other.latency);
        self.lateness.merge(&other.lateness);
        self.connect.merge(&other.connect);
        self.keep_first(other.first_wrong.clone());
    }

    /// Moves everything to `total` and starts at nothing: the end of an interval. Allocates
    /// nothing.
    pub fn drain_into(&mut self, total: &mut Tally) {
        total.merge_numbers(self);
        self.latency.drain_into(&mut total.latency);
        self.lateness.drain_into(&mut total.lateness);
        self.connect.drain_into(&mut total.connect);
        total.keep_first(self.first_wrong.take());
        self.clear_numbers();
    }

    /// Keeps a wrong reply if none came before it.
    fn keep_first(&mut self, other: Option<Mistake>) {
        let all = [self.first_wrong.take(), other];
        self.first_wrong = all.into_iter().flatten().min_by_key(|mistake| mistake.at);
    }

    /// Sums of `counts` and `warmup`.
    pub fn all(&self) -> Counts {
        let mut all = self.counts;
        all.merge(&self.warmup);
        all
    }

    /// Whether the numbers of requests add up with `under_way` of them unsettled, and every error
    /// has its reason.
    pub fn adds_up(&self, under_way: u64) -> bool {
        let all = self.all();
        all.adds_up(under_way) && all.error == self.failures.iter().sum::<u64>()
    }

    /// How many requests were offered: sent, or intended and never sent. Without the warm-up.
    pub fn offered(&self) -> u64 {
        self.counts.sent + self.unsent
    }

    /// Counts a request that is sent.
    pub(super) fn sent(&mut self, warm: bool, bytes: usize) {
        let counts = if warm { &mut self.warmup } else { &mut self.counts };
        counts.sent += 1;
        self.bytes_sent += if warm { 0 } else { bytes as u64 };
    }

    /// Counts what became of a request; `took` is from its intended moment.
    pub(super) fn settle(&mut self, warm: bool, outcome: Outcome, took: Duration) {
        if let Outcome::Error(failure) = outcome
            && let Some(count) = self.failures.get_mut(failure.index())
        {
            *count += 1;
        }
        if warm {
            self.warmup.settle(outcome);
            return;
        }
        self.counts.settle(outcome);
        if matches!(outcome, Outcome::Verified | Outcome::Late) {
            self.latency.record(took);
        }
    }

    fn merge_numbers(&mut self, other: &Tally) {
        self.counts.merge(&other.counts);
        self.warmup.merge(&other.warmup);
        for (mine, theirs) in self.failures.iter_mut().zip(other.failures) {
            *mine += theirs;
        }
        self.waited += other.waited;
        self.unsent += other.unsent;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.unasked += other.unasked;
        self.guessed += other.guessed;
        self.connections.merge(&other.connections);
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
    }

    fn clear_numbers(&mut self) {
        (self.counts, self.warmup) = Default::default();
        self.failures = Default::default();
        (self.waited, self.unsent, self.duplicates) = (0, 0, 0);
        (self.reordered, self.unasked, self.guessed) = (0, 0, 0);
        self.connections = Connections::default();
        (self.bytes_sent, self.bytes_received) = (0, 0);
    }
}
