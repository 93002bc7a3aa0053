//! What a session came to, live or simulated: what happened, what both buffers held, how good it was.

use std::time::Duration;

use stentor_core::moment::Moment;
use stentor_core::video::buffer::Policy;
use stentor_core::video::film::Film;
use stentor_core::video::metrics::Metrics;
use stentor_core::video::session::Event;

/// One playing of a film.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was played, as far as the player knew it: sizes are those of the declared rates where a
    /// manifest does not give them.
    pub film: Film,
    /// How much was buffered, and when playing began.
    pub policy: Policy,
    /// What happened, in order of time; moments count from the first request for film.
    pub events: Vec<Event>,
    /// What both buffers held, in order of time.
    pub samples: Vec<Sample>,
    /// When it ended.
    pub end: Moment,
    /// How good it was.
    pub metrics: Metrics,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// Why it did not come to the film's end.
    pub trouble: Option<Trouble>,
}

/// What the two buffers of the lecture's drawing held at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Moment,
    /// What the application's buffer held, in playing time.
    pub level: Duration,
    /// The same in bytes.
    pub buffered_bytes: u64,
    /// What had come since the beginning, in bytes.
    pub received_bytes: u64,
    /// What the kernel held for the player, in bytes (`SIOCINQ`); `None` without a socket.
    pub socket_bytes: Option<u64>,
    /// The window that TCP offers the server, in bytes; `None` where the kernel does not say it.
    pub window_bytes: Option<u64>,
}

/// Why a session did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What happened, and where.
    pub what: String,
    /// What to do about it.
    pub next: String,
}
