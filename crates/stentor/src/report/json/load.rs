//! The mirror of a run of `load`: schema `stentor.load/1`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use stentor_core::load::{self as core, Failure, Pace};
use stentor_core::measure::Latency;

use crate::drive::load::outcome;
use crate::report::json::ns;
use crate::report::load::{Head, failing};

/// Name and version of the form.
pub const SCHEMA: &str = "stentor.load/1";

/// What was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/load.md describes each key")]
pub struct Config {
    pub target: String,
    pub peer: Option<String>,
    pub connections: u64,
    pub threads: u64,
    pub loop_kind: &'static str,
    pub rate_per_second: Option<f64>,
    pub rate_at_start_per_second: Option<f64>,
    pub ramp_ns: u64,
    pub poisson: bool,
    pub duration_ns: Option<u64>,
    pub count: Option<u64>,
    pub warmup_ns: u64,
    pub length_bytes: u64,
    pub payload: String,
    pub framing: String,
    pub verify: String,
    pub depth: u64,
    pub reconnect_every: Option<u64>,
    pub greeting: bool,
    pub timeout_ns: u64,
    pub interval_ns: u64,
    pub seed: u64,
    pub fail_if: Vec<String>,
    pub link: Option<String>,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/load.md describes each key")]
pub struct Outcome {
    pub target: String,
    pub logs: Vec<String>,
    pub loop_kind: &'static str,
    pub took_ns: u64,
    pub sending_ns: u64,
    pub interrupted: bool,
    pub requests: Option<Requests>,
    pub offered_per_second: Option<f64>,
    pub achieved_per_second: Option<f64>,
    pub latency: Times,
    pub lateness: Option<Times>,
    pub connecting: Option<Times>,
    pub connections: Option<Connections>,
    pub datagrams: Option<Datagrams>,
    pub sent_bytes: Option<u64>,
    pub received_bytes: Option<u64>,
    pub first_wrong: Option<Mistake>,
    pub errors: BTreeMap<&'static str, u64>,
    pub troubles: Vec<Trouble>,
    pub failing: Vec<String>,
    pub intervals: Vec<Interval>,
}

/// Requests after the warm-up: offered = sent + unsent, and
/// sent = verified + wrong + late + lost + error.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/load.md describes each key")]
pub struct Requests {
    pub offered: u64,
    pub unsent: u64,
    pub sent: u64,
    pub verified: u64,
    pub wrong: u64,
    pub late: u64,
    pub lost: u64,
    pub error: u64,
    pub waited: u64,
    pub warmup: Counts,
}

/// The same numbers of a part of the run. In an interval, what was sent in one may have become
/// something in a later one.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/load.md describes each key")]
pub struct Counts {
    pub sent: u64,
    pub verified: u64,
    pub wrong: u64,
    pub late: u64,
    pub lost: u64,
    pub error: u64,
}

/// A distribution of times; `null` where there was none.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/load.md describes each key")]
pub struct Times {
    pub count: u64,
    pub min_ns: Option<u64>,
    pub mean_ns: Option<u64>,
    pub deviation_ns: Option<u64>,
    pub p50_ns: Option<u64>,
    pub p75_ns: Option<u64>,
    pub p90_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub p99_9_ns: Option<u64>,
    pub p99_99_ns: Option<u64>,
    pub max_ns: Option<u64>,
    pub beyond_an_hour: u64,
}

/// What became of connections.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/load.md describes each key")]
pub struct Connections {
    pub opened: u64,
    pub refused: u64,
    pub lost: u64,
    pub lost_in_use: u64,
}

/// What only datagrams do.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/load.md describes each key")]
pub struct Datagrams {
    pub duplicate: u64,
    pub reordered: u64,
    pub unasked: u64,
    pub guessed: u64,
}

/// The first wrong reply beside the right one; of both at most 48 bytes from `from_byte` on, with
/// escapes as in ASCII literals.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/load.md describes each key")]
pub struct Mistake {
    pub differs_at_byte: Option<u64>,
    pub from_byte: u64,
    pub expected: Option<String>,
    pub expected_bytes: Option<u64>,
    pub got: String,
    pub got_bytes: u64,
}

/// What the kernel said.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/load.md describes each key")]
pub struct Trouble {
    pub operation: &'static str,
    pub errno: String,
    pub words: String,
    pub times: u64,
}

/// A part of the course of the run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/load.md describes each key")]
pub struct Interval {
    pub from_ns: u64,
    pub until_ns: u64,
    pub requests: Option<Counts>,
    pub connections_lost: u64,
    pub replies: u64,
    pub p50_ns: Option<u64>,
    pub p90_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub p99_9_ns: Option<u64>,
    pub max_ns: Option<u64>,
}

impl From<&outcome::Config> for Config {
    fn from(config: &outcome::Config) -> Config {
        let head = Head::of(config);
        let (from, over) = match config.pace {
            Pace::Ramp { from, over, .. } => (Some(from), over),
            Pace::Constant(_) | Pace::Poisson(_) | Pace::Max => (None, Duration::ZERO),
        };
        Config {
            loop_kind: loop_kind(&head),
            target: head.target,
            peer: head.peer,
            connections: head.connections,
            threads: head.threads,
            rate_per_second: head.rate_per_second,
            rate_at_start_per_second: from,
            ramp_ns: ns(over),
            poisson: head.poisson,
            duration_ns: config.duration.map(ns),
            count: config.count,
            warmup_ns: ns(config.warmup),
            length_bytes: config.length as u64,
            payload: config.payload.clone(),
            framing: config.framing.clone(),
            verify: config.verify.clone(),
            depth: config.depth as u64,
            reconnect_every: config.reconnect,
            greeting: config.greeting,
            timeout_ns: ns(config.timeout),
            interval_ns: ns(config.interval),
            seed: config.seed.0,
            fail_if: config.fail_if.clone(),
            link: config.link.clone(),
        }
    }
}

impl Outcome {
    /// The mirror of what came of a run, or of runs added up.
    pub fn of(head: &Head, outcome: &outcome::Outcome) -> Outcome {
        let tally = &outcome.tally;
        let counted = head.counted;
        // A log has the latencies of each interval, and the counts of the whole run.
        let course = counted && head.logs.is_empty();
        let errors = Failure::ALL.iter().map(|failure| failure.name()).zip(tally.failures);
        Outcome {
            target: head.target.clone(),
            logs: head.logs.clone(),
            loop_kind: loop_kind(head),
            took_ns: ns(outcome.took),
            sending_ns: ns(outcome.sending),
            interrupted: outcome.interrupted,
            requests: counted.then(|| Requests::from(tally)),
            offered_per_second: counted.then(|| outcome.offered_per_second()),
            achieved_per_second: counted.then(|| outcome.achieved_per_second()),
            latency: Times::from(&tally.latency),
            lateness: counted.then(|| Times::from(&tally.lateness)),
            connecting: counted.then(|| Times::from(&tally.connect)),
            connections: counted.then_some(Connections {
                opened: tally.connections.opened,
                refused: tally.connections.refused,
                lost: tally.connections.lost,
                lost_in_use: tally.connections.lost_in_use,
            }),
            datagrams: counted.then_some(Datagrams {
                duplicate: tally.duplicates,
                reordered: tally.reordered,
                unasked: tally.unasked,
                guessed: tally.guessed,
            }),
            sent_bytes: counted.then_some(tally.bytes_sent),
            received_bytes: counted.then_some(tally.bytes_received),
            first_wrong: tally.first_wrong.as_ref().map(Mistake::from),
            errors: errors.collect(),
            troubles: outcome.troubles.iter().map(Trouble::from).collect(),
            failing: outcome.failing.iter().map(failing).collect(),
            intervals: outcome.intervals.iter().map(|one| Interval::of(one, course)).collect(),
        }
    }
}

impl From<&core::Tally> for Requests {
    fn from(tally: &core::Tally) -> Requests {
        let counts = &tally.counts;
        Requests {
            offered: tally.offered(),
            unsent: tally.unsent,
            sent: counts.sent,
            verified: counts.verified,
            wrong: counts.wrong,
            late: counts.late,
            lost: counts.lost,
            error: counts.error,
            waited: tally.waited,
            warmup: Counts::from(&tally.warmup),
        }
    }
}

impl From<&core::Counts> for Counts {
    fn from(counts: &core::Counts) -> Counts {
        Counts {
            sent: counts.sent,
            verified: counts.verified,
            wrong: counts.wrong,
            late: counts.late,
            lost: counts.lost,
            error: counts.error,
        }
    }
}

impl From<&Latency> for Times {
    fn from(latency: &Latency) -> Times {
        let percentile = |percent| latency.percentile(percent).map(ns);
        Times {
            count: latency.len(),
            min_ns: latency.min().map(ns),
            mean_ns: latency.mean().map(ns),
            deviation_ns: latency.deviation().map(ns),
            p50_ns: percentile(50.0),
            p75_ns: percentile(75.0),
            p90_ns: percentile(90.0),
            p99_ns: percentile(99.0),
            p99_9_ns: percentile(99.9),
            p99_99_ns: percentile(99.99),
            max_ns: latency.max().map(ns),
            beyond_an_hour: latency.beyond(),
        }
    }
}

impl From<&core::Mistake> for Mistake {
    fn from(mistake: &core::Mistake) -> Mistake {
        let (at, length) = mistake.differs.unzip();
        Mistake {
            differs_at_byte: at.map(|at| at as u64),
            from_byte: mistake.from as u64,
            expected: at.map(|_| mistake.expected.escape_ascii().to_string()),
            expected_bytes: length.map(|length| length as u64),
            got: mistake.got.escape_ascii().to_string(),
            got_bytes: mistake.got_len as u64,
        }
    }
}

impl From<&outcome::Trouble> for Trouble {
    fn from(trouble: &outcome::Trouble) -> Trouble {
        Trouble {
            operation: trouble.operation,
            errno: trouble.errno.clone(),
            words: trouble.words.clone(),
            times: trouble.times,
        }
    }
}

impl Interval {
    fn of(interval: &outcome::Interval, counted: bool) -> Interval {
        let latency = interval.latency.latency();
        let percentile = |percent| latency.percentile(percent).map(ns);
        Interval {
            from_ns: interval.from.as_nanos(),
            until_ns: interval.until.as_nanos(),
            requests: counted.then(|| Counts::from(&interval.counts)),
            connections_lost: interval.connections_lost,
            replies: latency.len(),
            p50_ns: percentile(50.0),
            p90_ns: percentile(90.0),
            p99_ns: percentile(99.0),
            p99_9_ns: percentile(99.9),
            max_ns: latency.max().map(ns),
        }
    }
}

fn loop_kind(head: &Head) -> &'static str {
    match (head.counted, head.closed) {
        (_, true) => "closed",
        (true, false) => "open",
        // Of a foreign log nobody knows.
        (false, false) => "unknown",
    }
}
