//! The probes that measure a path against a service that echoes or upper-cases.
//!
//! Pure machines: [`Train`] sends numbered datagrams at even distances, [`Climb`] raises the rate of
//! datagrams until no more gets through, [`Questions`] asks small things over a stream, and [`Bulk`]
//! fills a stream in both directions at once. Every answer is verified: what comes back must be
//! what was sent, or the same in capitals. Sockets and the clock are left to the driver.
//!
//! The text is lower case on purpose: a service that upper-cases answers other bytes than it got,
//! and so is never taken for one half of a loop by a guard such as [`crate::service`]'s.

mod bulk;
mod climb;
mod course;
mod questions;
#[cfg(test)]
mod tests;
mod text;
mod train;

use std::time::Duration;

use crate::moment::Moment;

pub use bulk::{Bulk, BulkPlan};
pub use climb::{Climb, ClimbPlan, Climbed, Limit};
pub use course::{Course, Point};
pub use questions::{Questions, QuestionsPlan};
pub use text::{Answer, Form, LENGTH_MIN, Stream, Text, Wrong};
pub use train::{Train, TrainPlan, Trained};

/// What the driver of a machine that sends has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this now: the datagram of this number, or so many bytes of the stream.
    Send {
        /// The number of the datagram; of a stream the position of its first byte.
        number: u64,
        /// Bytes of it.
        length: usize,
        /// How long ago it was due: the driver's own lateness. `None` if it had no time of its own.
        late: Option<Duration>,
    },
    /// Nothing before this moment, unless something comes.
    Wait(Moment),
    /// It is over.
    Over,
}
