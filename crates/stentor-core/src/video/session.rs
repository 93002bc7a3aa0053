//! What happens in a session, in one form for the simulator and for real sockets.
//!
//! The metrics fold over it, and the roof writes it down as JSON lines.

use std::time::Duration;

use super::buffer;
use crate::moment::Moment;

/// Something that happened to a player. Sessions begin with the first request at [`Moment::START`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// What.
    pub what: What,
}

/// What can happen to a player.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// A chunk was asked for.
    Requested {
        /// From 0.
        chunk: usize,
        /// From 0, the lowest.
        quality: usize,
        /// What was buffered.
        level: Duration,
    },
    /// A chunk has arrived as a whole.
    Received(Download),
    /// A chunk was given up on its way, for the sake of another quality.
    Abandoned {
        /// As far as it had come.
        download: Download,
        /// The quality that will be asked for.
        to: usize,
    },
    /// A chunk did not come, or not as a whole.
    Failed {
        /// As far as it had come.
        download: Download,
        /// The quality that will be asked for; `None` when the player gives up.
        to: Option<usize>,
    },
    /// Something happened to the buffer.
    Buffer(buffer::What),
}

/// A download, or as much of it as has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Download {
    /// From 0.
    pub chunk: usize,
    /// From 0, the lowest.
    pub quality: usize,
    /// How large the whole is.
    pub size_bytes: u64,
    /// How much of it has arrived.
    pub bytes: u64,
    /// From the request to the first byte.
    pub latency: Duration,
    /// From the request to the last byte that has arrived, or to now.
    pub total: Duration,
}

impl Download {
    /// How fast the body came, in bit/s; `None` where it took no time.
    pub fn throughput_bps(&self) -> Option<f64> {
        let body_s = self.total.saturating_sub(self.latency).as_secs_f64();
        (body_s > 0.0).then(|| self.bytes as f64 * 8.0 / body_s)
    }
}
