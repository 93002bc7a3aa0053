//! Load on a service of one's own protocol, over TCP or UDP, and what became of each request.
//!
//! A [`Plan`] says what is asked; each connection is a [`Lane`], which says when to send which
//! bytes and takes those that come; all lanes of a thread count into one [`Tally`]. In the open
//! loop a request has an *intended* moment, set by the [`schedule`] alone, and its latency runs
//! from there: a server that stalls makes requests wait, and the waiting is counted (Gil Tene,
//! "How NOT to Measure Latency": coordinated omission). Sockets, threads and waiting are left to
//! the driver.
//!
//! Every request that was sent becomes one of five things, once:
//!
//! - *verified*: its reply came within the timeout and is right;
//! - *wrong*: a reply came, and is not right;
//! - *late*: its reply is right and came after the timeout (counted from the actual sending);
//! - *lost*: no reply came until the end, or until a stream was given up for that;
//! - *error*: its connection failed under it.

pub mod account;
pub mod framing;
pub mod lane;
mod outstanding;
pub mod payload;
pub mod schedule;
pub mod verdict;
pub mod verify;

use std::time::Duration;

pub use account::{Connections, Counts, Failure, Mistake, Tally};
pub use framing::Framing;
pub use lane::{Input, Lane, Output};
pub use payload::{Matching, Payload, Source};
pub use schedule::{Limit, Pace, Schedule, Share};
pub use verdict::Condition;
pub use verify::Verify;

use crate::moment::Moment;
use crate::seed::Seed;

/// The most requests that may be under way on one connection.
pub const DEPTH_MAX: usize = 65_536;

/// What every lane of a run has in common.
#[derive(Clone, Debug)]
pub struct Plan {
    /// When requests are intended, of all lanes together.
    pub pace: Pace,
    /// When no more are.
    pub limit: Limit,
    /// When the run begins: the first intended moment is not earlier.
    pub start: Moment,
    /// How long requests are not counted in the results, from `start` on; they are verified, and
    /// counted apart.
    pub warmup: Duration,
    /// Where a reply ends, and how a request is framed. [`Framing::Datagram`] makes lanes of
    /// datagrams, all others lanes of streams.
    pub framing: Framing,
    /// What is sent, and what the reply must be.
    pub payload: Payload,
    /// How many requests may be under way on one connection: 1 to [`DEPTH_MAX`]. Those of datagrams
    /// that have timed out do not count.
    pub depth: usize,
    /// After how long a reply is late, counted from the actual sending. Also how long connecting
    /// may take, how long a run of a count tries to reach a service that is not there, and for how
    /// long after its end what was due before is still sent; what was sent last has as long again
    /// for its reply. A stream whose oldest request has waited twice as long is given up.
    pub timeout: Duration,
    /// After how many requests a connection is closed in order and a new one opened.
    pub reconnect_every: Option<u64>,
    /// Whether a service of streams speaks first: one reply is awaited on each connection before
    /// anything is sent, and is not judged.
    pub greeting: bool,
    /// The longest reply that is taken, in bytes.
    pub reply_max: usize,
    /// Where all chance of the run comes from.
    pub seed: Seed,
}

impl Plan {
    /// Whether the lanes carry datagrams.
    pub fn is_datagram(&self) -> bool {
        matches!(self.framing, Framing::Datagram)
    }

    /// Whether `moment` lies in the warm-up.
    pub fn is_warmup(&self, moment: Moment) -> bool {
        moment < self.counted_from()
    }

    /// When the warm-up is over.
    pub fn counted_from(&self) -> Moment {
        self.start + self.warmup
    }
}
