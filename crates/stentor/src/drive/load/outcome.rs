//! What a run of `load` was, and what came of it: plain data, for the reports.
//!
//! Counting is left to core and the loops, showing to `report::load`. All moments are those of the
//! run: nanoseconds since its first request was due.

use std::time::{Duration, SystemTime};

use stentor_core::endpoint::Target;
use stentor_core::load::verdict::Failing;
use stentor_core::load::{Counts, Pace, Tally};
use stentor_core::measure::Latency;
use stentor_core::moment::Moment;
use stentor_core::seed::Seed;

/// What was asked for, defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to, with its transport.
    pub target: Target,
    /// The address that the requests went to, as the kernel got it; `None` before it is known.
    pub peer: Option<String>,
    /// Connections open at once; over UDP, sockets.
    pub connections: usize,
    /// Loops, each with its share of the connections.
    pub threads: usize,
    /// When requests are due; [`Pace::Max`] is the closed loop.
    pub pace: Pace,
    /// For how long requests are due, the ramp and the warm-up included; `None`: until `count`.
    pub duration: Option<Duration>,
    /// After so many requests no more are due, the warm-up included.
    pub count: Option<u64>,
    /// What was due before this is in no figure; zero: everything counts.
    pub warmup: Duration,
    /// Bytes of a generated request, its end of line or length field included.
    pub length: usize,
    /// Where requests come from: `generated`, `file PATH`, `template TEXT`.
    pub payload: String,
    /// How answers are told apart: `line`, `length16`, `datagram` and so on, as on the command line.
    pub framing: String,
    /// How answers are judged, as on the command line.
    pub verify: String,
    /// Requests of one connection under way at once.
    pub depth: usize,
    /// Requests after which a connection is closed and another opened; `None`: never.
    pub reconnect: Option<u64>,
    /// An answer later than this after the sending is late.
    pub timeout: Duration,
    /// Length of an [`Interval`].
    pub interval: Duration,
    /// From which all chance follows.
    pub seed: Seed,
    /// The conditions of `--fail-if`, as they were written.
    pub fail_if: Vec<String>,
}

/// One line of the course of a run: what happened in it. The lines add up to the whole.
#[derive(Clone, Debug)]
pub struct Interval {
    /// When it began.
    pub from: Moment,
    /// When it ended; the last may be shorter than the others, or longer by the wait for answers.
    pub until: Moment,
    /// What was sent in it, and what became in it of what was sent in it or before; without the
    /// warm-up.
    pub counts: Counts,
    /// Connections that were lost in it.
    pub connections_lost: u64,
    /// Latencies of the replies that came in it.
    pub latency: Spread,
}

/// Latencies at rest: only the places of the histogram where there are any. A long run has many
/// intervals, and a [`Latency`] has room for every latency there might be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Nanoseconds and how often, ascending; as precise as the histogram.
    pub places: Vec<(u64, u64)>,
}

impl Spread {
    /// What `latency` holds.
    pub fn of(latency: &Latency) -> Spread {
        // The last place is wider than what is in it.
        let longest = latency.max().unwrap_or_default().as_nanos();
        let longest = u64::try_from(longest).unwrap_or(u64::MAX);
        let recorded = latency.as_hdr().into_iter().flat_map(|counts| counts.iter_recorded());
        let places =
            recorded.map(|step| (step.value_iterated_to().min(longest), step.count_at_value()));
        Spread { places: places.collect() }
    }

    /// Adds it to `latency`.
    pub fn add_to(&self, latency: &mut Latency) {
        for (ns, times) in &self.places {
            latency.record_many(Duration::from_nanos(*ns), *times);
        }
    }

    /// A histogram of these alone.
    pub fn latency(&self) -> Latency {
        let mut latency = Latency::new();
        self.add_to(&mut latency);
        latency
    }
}

/// A reason why requests failed, and how often.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    /// The call: `connect`, `send`, `recv`; `close` for an orderly end by the server.
    pub operation: &'static str,
    /// The errno by name: `ECONNRESET`; `EOF` for an orderly end.
    pub errno: String,
    /// The kernel's words.
    pub words: String,
    /// How often.
    pub times: u64,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When the first request was due, on the wall clock.
    pub started: SystemTime,
    /// From the first due request to the last answer or the end of waiting for it.
    pub took: Duration,
    /// In which requests were due, the warm-up not counted: what the offered rate is relative to.
    pub scheduled: Duration,
    /// In which they were sent, the warm-up not counted: what all other rates are relative to. It
    /// is longer than `scheduled` if some had to wait at the end.
    pub sending: Duration,
    /// What was counted of the whole run; `counts` and the histograms are without the warm-up.
    pub tally: Tally,
    /// In the order of time.
    pub intervals: Vec<Interval>,
    /// What the kernel said where requests or connections failed, the most frequent first;
    /// `tally.failures` has the reasons.
    pub troubles: Vec<Trouble>,
    /// Why the run has failed; empty: it has not.
    pub failing: Vec<Failing>,
    /// What a reader should know besides.
    pub warnings: Vec<String>,
    /// Whether a person ended it early.
    pub interrupted: bool,
}

impl Outcome {
    /// Requests sent per second, all in all; 0 if it took no time.
    pub fn achieved_per_second(&self) -> f64 {
        rate(self.tally.counts.sent, self.sending)
    }

    /// Requests that were due per second; 0 if it took no time.
    pub fn offered_per_second(&self) -> f64 {
        rate(self.tally.offered(), self.scheduled)
    }
}

fn rate(count: u64, span: Duration) -> f64 {
    let seconds = span.as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}
