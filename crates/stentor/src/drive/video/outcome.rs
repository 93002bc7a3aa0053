//! What a session came to, live or simulated: what happened, what both buffers held, how good it was.

use std::sync::Arc;
use std::time::Duration;

use stentor_core::moment::Moment;
use stentor_core::video::buffer::Policy;
use stentor_core::video::film::Film;
use stentor_core::video::metrics::Metrics;
use stentor_core::video::session::Event;

/// What a session was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the film comes from: a URL, or the network of a simulation.
    pub source: String,
    /// How it is fetched.
    pub fetch: Fetch,
    /// What chooses the qualities: the name of a rule, a command, or a person.
    pub chooser: String,
    /// How much is buffered, and when playing begins.
    pub policy: Policy,
    /// Whose sizes the rules are told of: `--film` as written.
    pub film: Option<String>,
    /// The link that was put before the origin, as written.
    pub link: Option<String>,
    /// From which chance follows, where there is any.
    pub seed: Option<u64>,
    /// After how much silence a request is given up.
    pub silence_max: Duration,
}

/// How a film is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Fetch {
    /// A request for each chunk; a full buffer just does not ask.
    #[default]
    Chunked,
    /// One request for all of it; a full buffer stops reading.
    Progressive,
}

/// One playing of a film.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was played, as far as the player knew it: sizes are those of the declared rates where a
    /// manifest does not give them. Many players share one.
    pub film: Arc<Film>,
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
    /// What else a live session has to say; a simulation leaves it as it is by default.
    pub account: Account,
}

/// What a live session says beside its events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// When the first request for film came, on the clock of this process: so far into the trace of a
    /// link that lies before the origin.
    pub began: Moment,
    /// What the film was found to be: `an HLS playlist`; empty without a manifest.
    pub found: String,
    /// Whether the sizes of the film are exact, not those of declared rates.
    pub exact: bool,
    /// Connections that were opened for chunks.
    pub connections: u64,
    /// Chunks whose size was not the exact one.
    pub wrong_sizes: u64,
    /// Downloads that failed, in order of time.
    pub failures: Vec<Failure>,
    /// What is odd and no failure: a quality that was left out, a rate that nobody can have.
    pub warnings: Vec<String>,
    /// The numbers of the book's drawing, where one request fetched the whole film.
    pub progressive: Option<Progressive>,
}

/// The numbers of the book's drawing in bytes, and what TCP did with a full buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progressive {
    /// How many bytes were announced, or what the film's sizes come to without that.
    pub film_bytes: u64,
    /// How many came.
    pub received_bytes: u64,
    /// R: how fast they were played, in bit/s.
    pub playout_bps: u64,
    /// x: how fast they came until the buffer was full or all were there, in bit/s.
    pub arrival_bps: u64,
    /// B.
    pub capacity_bytes: u64,
    /// Q.
    pub start_bytes: u64,
    /// With how many playing went on after a freeze.
    pub resume_bytes: u64,
    /// What the kernel gave the socket for what is not read yet (`SO_RCVBUF`, its own overhead
    /// included).
    pub receive_buffer_bytes: u64,
    /// How often the window that TCP offers the server was seen to fall to 0.
    pub zero_windows: u64,
    /// For how long together, as far as samples tell.
    pub zero_window: Duration,
}

/// A download that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When it was known.
    pub at: Moment,
    /// From 0.
    pub chunk: usize,
    /// From 0, the lowest.
    pub quality: usize,
    /// What was asked, and what happened.
    pub what: String,
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
    /// What the server's kernel holds of what the server wrote (`SIOCOUTQ`), in bytes; `None` where
    /// nobody says it.
    pub server_bytes: Option<u64>,
}

/// Why a session did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What happened, and where.
    pub what: String,
    /// What to do about it.
    pub next: String,
}
