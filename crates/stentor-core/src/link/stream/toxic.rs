//! What can happen to one direction of a connection, with the names and meanings of Toxiproxy 2.12
//! where it has them.

use std::time::Duration;

use super::knobs::{Slice, Stall};
use crate::link::jitter::Jitter;
use crate::link::trace::Trace;
use crate::units::{BitRate, Probability};

/// From when a toxic counts its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// From when the connection began or the toxic was added, whichever was later.
    Begin,
    /// From the first byte (or end) that comes to it.
    Data,
}

/// One thing that happens to the bytes of one direction.
#[derive(Clone, Debug, PartialEq)]
pub enum Toxic {
    /// Nothing.
    Noop,
    /// Each piece leaves `delay`, changed by `jitter`, after it came; none overtakes.
    Latency {
        /// How much later.
        delay: Duration,
        /// How it varies. Toxiproxy's `latency` is uniform in `[delay - jitter, delay + jitter)`.
        jitter: Option<Jitter>,
    },
    /// Bytes leave no faster than this. (Toxiproxy's KB/s are 1000 bytes, and its 0 is no limit:
    /// [`Toxic::Noop`].)
    Bandwidth(BitRate),
    /// Bytes leave as a recorded link lets them, in pieces of at most 1500.
    Recorded(Trace),
    /// The end of the stream leaves so much later than it came.
    SlowClose(Duration),
    /// Everything is thrown away; after the time the connection is closed, with `None` never.
    /// Removing it closes the connection: its bytes are gone.
    Timeout(Option<Duration>),
    /// Everything is thrown away, and after the time the connection is reset.
    ResetPeer {
        /// How long.
        after: Duration,
        /// From when.
        since: Since,
    },
    /// Bytes leave in small pieces, with a pause after each.
    Slicer(Slice),
    /// After so many bytes the connection is closed in order.
    LimitData(u64),
    /// Nothing leaves during silences; nothing is lost.
    Stall(Stall),
    /// After the time this direction ends in order; what comes later is thrown away.
    HalfClose(Duration),
    /// Of each piece of up to 1460 bytes one bit is flipped with this probability.
    Corrupt(Probability),
    /// Of each piece of up to 1460 bytes, with this probability, it and all behind it come a
    /// retransmission timeout later: a model of the symptom of loss.
    LossAsDelay {
        /// How likely a piece is "lost", each time it is "sent".
        probability: Probability,
        /// The first timeout; doubled for each further loss of the same piece.
        timeout: Duration,
    },
}

impl Toxic {
    /// Whether what comes out is what went in, as long as the connection lives.
    pub const fn keeps_bytes(&self) -> bool {
        match self {
            Toxic::Noop
            | Toxic::Latency { .. }
            | Toxic::Bandwidth(_)
            | Toxic::Recorded(_)
            | Toxic::SlowClose(_)
            | Toxic::Slicer(_)
            | Toxic::Stall(_)
            | Toxic::LossAsDelay { .. } => true,
            Toxic::Timeout(_)
            | Toxic::ResetPeer { .. }
            | Toxic::LimitData(_)
            | Toxic::HalfClose(_)
            | Toxic::Corrupt(_) => false,
        }
    }
}

/// A toxic in a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// What tells it from the others of its direction; its die is named after it.
    pub name: String,
    /// What it does.
    pub toxic: Toxic,
    /// How likely it strikes a connection; drawn once for each connection and direction, and the
    /// same draw is compared when it changes.
    pub toxicity: Probability,
}
