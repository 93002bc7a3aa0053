//! The mirror of a run of `impair`: schema `stentor.impair/1`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use stentor_core::link::Counters;

use crate::drive::impair::{Counts, Lateness, StreamCounts, UnitCounts};
use crate::report::impair::Title;

/// Name and version of the form.
pub const SCHEMA: &str = "stentor.impair/1";

/// What was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/impair.md describes each key")]
pub struct Config {
    pub listen: Vec<String>,
    pub target: String,
    pub upstream: Vec<String>,
    pub link: String,
    pub scenario: bool,
    pub seed: u64,
}

/// What was done, proxy by proxy.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/impair.md describes each key")]
pub struct Outcome {
    pub streams: Vec<Streams>,
    pub datagrams: Vec<Datagrams>,
}

/// `accepted = in_order + reset + refused + unreachable + open`.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/impair.md describes each key")]
pub struct Streams {
    pub listen: String,
    pub accepted: u64,
    pub in_order: u64,
    pub reset: u64,
    pub refused: u64,
    pub unreachable: u64,
    pub open: u64,
    pub exhausted: u64,
    pub up_received_bytes: u64,
    pub up_sent_bytes: u64,
    pub down_received_bytes: u64,
    pub down_sent_bytes: u64,
    pub late: Late,
}

/// One proxy's datagrams.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/impair.md describes each key")]
pub struct Datagrams {
    pub listen: String,
    pub flows: u64,
    pub flows_closed: u64,
    pub up: Units,
    pub down: Units,
    pub not_sent: u64,
    pub unreachable: u64,
    pub late: Late,
}

/// `taken + duplicated = delivered + lost + lost_in_burst + lost_by_count + queue_full +
/// flight_full + waiting`.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/impair.md describes each key")]
pub struct Units {
    pub taken: u64,
    pub duplicated: u64,
    pub delivered: u64,
    pub lost: u64,
    pub lost_in_burst: u64,
    pub lost_by_count: u64,
    pub queue_full: u64,
    pub flight_full: u64,
    pub corrupted: u64,
    pub reordered: u64,
    pub waiting: u64,
    pub taken_bytes: u64,
    pub delivered_bytes: u64,
}

/// How much later than due things left.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/impair.md describes each key")]
pub struct Late {
    pub count: u64,
    pub mean_ns: u64,
    pub max_ns: u64,
}

impl Outcome {
    /// What the proxies have done.
    pub fn new(proxies: &[(Title, Counts)]) -> Outcome {
        let (mut streams, mut datagrams) = (Vec::new(), Vec::new());
        for (title, counts) in proxies {
            match counts {
                Counts::Stream(counts) => streams.push(Streams::new(title, counts)),
                Counts::Units(counts) => datagrams.push(Datagrams::new(title, counts)),
            }
        }
        Outcome { streams, datagrams }
    }
}

impl Streams {
    fn new(title: &Title, counts: &StreamCounts) -> Streams {
        Streams {
            listen: title.listen.to_string(),
            accepted: counts.accepted,
            in_order: counts.finished,
            reset: counts.cut,
            refused: counts.refused,
            unreachable: counts.unreachable,
            open: counts.open,
            exhausted: counts.exhausted,
            up_received_bytes: counts.up_received_bytes,
            up_sent_bytes: counts.up_sent_bytes,
            down_received_bytes: counts.down_received_bytes,
            down_sent_bytes: counts.down_sent_bytes,
            late: counts.lateness.into(),
        }
    }
}

impl Datagrams {
    fn new(title: &Title, counts: &UnitCounts) -> Datagrams {
        Datagrams {
            listen: title.listen.to_string(),
            flows: counts.flows,
            flows_closed: counts.flows_closed,
            up: Units::new(&counts.up, counts.up_waiting),
            down: Units::new(&counts.down, counts.down_waiting),
            not_sent: counts.not_sent,
            unreachable: counts.unreachable,
            late: counts.lateness.into(),
        }
    }
}

impl Units {
    const fn new(link: &Counters, waiting: u64) -> Units {
        Units {
            taken: link.taken,
            duplicated: link.duplicated,
            delivered: link.delivered,
            lost: link.lost,
            lost_in_burst: link.lost_in_burst,
            lost_by_count: link.lost_by_count,
            queue_full: link.queue_full,
            flight_full: link.flight_full,
            corrupted: link.corrupted,
            reordered: link.reordered,
            waiting,
            taken_bytes: link.taken_bytes,
            delivered_bytes: link.delivered_bytes,
        }
    }
}

impl From<Lateness> for Late {
    fn from(lateness: Lateness) -> Late {
        let ns = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Late { count: lateness.count, mean_ns: ns(lateness.mean()), max_ns: ns(lateness.max) }
    }
}
