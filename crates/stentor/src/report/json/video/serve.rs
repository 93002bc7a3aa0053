//! The mirror of a run of `video serve`: schema `stentor.video-serve/1`, and the line of a request.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::drive::video::origin::{Ended, Exchange, Queue, Sample, Totals};
use crate::report::json::{ns, utc};

/// Name and version of the form.
pub const SCHEMA: &str = "stentor.video-serve/1";

/// What was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Config {
    pub addresses: Vec<String>,
    pub film: Option<String>,
    pub folder: Option<String>,
    pub rate_bps: Option<u64>,
    pub faults: Vec<String>,
    pub seed: u64,
    pub max_conns: usize,
    pub idle_ns: u64,
    pub head_ns: u64,
    pub write_stall_ns: u64,
    pub drain_ns: u64,
}

/// What was done: requests = the sum of `ended` = the sum of `statuses`.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Outcome {
    pub connections: u64,
    pub requests: u64,
    pub ended: BTreeMap<&'static str, u64>,
    pub statuses: BTreeMap<&'static str, u64>,
    pub faults: u64,
    pub sent_bytes: u64,
    pub bad_requests: u64,
    pub slow_requests: u64,
    pub unlogged: u64,
}

/// A request and its answer, on a line of its own: in `/requests`, and in the log with `--log json`.
#[derive(Debug, Serialize)]
struct Request<'a> {
    number: u64,
    connection: u64,
    time: String,
    at_ns: u64,
    peer: String,
    method: &'a str,
    path: &'a str,
    status: u16,
    range: Option<[u64; 2]>,
    length_bytes: u64,
    sent_bytes: u64,
    duration_ns: u64,
    ended: &'static str,
    fault: Option<&'a str>,
}

/// The line of a request, with its end.
pub fn line(exchange: &Exchange) -> String {
    let request = Request {
        number: exchange.number,
        connection: exchange.connection,
        time: utc(exchange.time),
        at_ns: exchange.at.as_nanos(),
        peer: exchange.peer.to_string(),
        method: &exchange.method,
        path: &exchange.path,
        status: exchange.status,
        range: exchange.range.map(|(first, last)| [first, last]),
        length_bytes: exchange.length_bytes,
        sent_bytes: exchange.sent_bytes,
        duration_ns: ns(exchange.duration),
        ended: key(exchange.ended),
        fault: exchange.fault.as_deref(),
    };
    // Plain structs with string keys cannot fail to serialise.
    serde_json::to_string(&request).unwrap_or_default() + "\n"
}

/// The lines of several.
pub fn lines(exchanges: &mut dyn Iterator<Item = &Exchange>) -> String {
    exchanges.map(line).collect()
}

/// A long answer and its send queue, on a line of its own: in `/queues`.
#[derive(Debug, Serialize)]
struct Watched<'a> {
    number: u64,
    connection: u64,
    time: String,
    at_ns: u64,
    peer: String,
    path: &'a str,
    length_bytes: u64,
    ended: bool,
    samples: Vec<Sampled>,
}

#[derive(Debug, Serialize)]
struct Sampled {
    after_ns: u64,
    sent_bytes: u64,
    queued_bytes: u64,
    unsent_bytes: u64,
}

/// The lines of long answers and their send queues.
pub fn queues(queues: &[Queue]) -> String {
    let sampled = |sample: &Sample| Sampled {
        after_ns: ns(sample.after),
        sent_bytes: sample.sent_bytes,
        queued_bytes: sample.queued_bytes,
        unsent_bytes: sample.unsent_bytes,
    };
    let line = |queue: &Queue| {
        let watched = Watched {
            number: queue.number,
            connection: queue.connection,
            time: utc(queue.time),
            at_ns: queue.at.as_nanos(),
            peer: queue.peer.to_string(),
            path: &queue.path,
            length_bytes: queue.length_bytes,
            ended: queue.ended,
            samples: queue.samples.iter().map(sampled).collect(),
        };
        // As above.
        serde_json::to_string(&watched).unwrap_or_default() + "\n"
    };
    queues.iter().map(line).collect()
}

const fn key(ended: Ended) -> &'static str {
    match ended {
        Ended::Complete => "complete",
        Ended::ClientClosed => "client_closed",
        Ended::Fault => "fault",
        Ended::TimedOut => "timed_out",
        Ended::Stopped => "stopped",
        Ended::Failed => "failed",
    }
}

impl From<&Totals> for Outcome {
    fn from(totals: &Totals) -> Outcome {
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        Outcome {
            connections: totals.connections,
            requests: totals.requests,
            ended: Ended::ALL.iter().map(|ended| key(*ended)).zip(totals.ended).collect(),
            statuses: classes.into_iter().zip(totals.classes).collect(),
            faults: totals.faults,
            sent_bytes: totals.sent_bytes,
            bad_requests: totals.bad,
            slow_requests: totals.slow,
            unlogged: totals.unlogged,
        }
    }
}
