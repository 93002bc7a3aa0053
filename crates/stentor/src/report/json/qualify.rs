//! The mirror of a run of `qualify`: schema `stentor.qualify/1`.

use schemars::JsonSchema;
use serde::Serialize;
use stentor_core::measure::Latency;
use stentor_core::qualify::Verdict as Judged;
use stentor_core::qualify::probe::{Course, Form, Limit, Trained};

use crate::drive::qualify::{self as drive, Kind};
use crate::report::json::ns;
use crate::report::qualify::{Head, Report};

/// Name and version of the form.
pub const SCHEMA: &str = "stentor.qualify/1";

/// What was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/qualify.md describes each key")]
pub struct Config {
    pub target: String,
    pub peer: Option<String>,
    pub transports: Vec<&'static str>,
    pub duration_ns: u64,
    pub timeout_ns: u64,
    pub cap_bps: f64,
    pub link: Option<String>,
    pub seed: u64,
    pub applications: Vec<&'static str>,
    pub limits: Vec<Limited>,
}

/// Another limit than the table's, in SI units.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/qualify.md describes each key")]
pub struct Limited {
    pub application: Option<&'static str>,
    pub quantity: &'static str,
    pub limit: f64,
}

/// What was measured, and what it is worth.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/qualify.md describes each key")]
pub struct Outcome {
    pub took_ns: u64,
    pub interrupted: bool,
    pub udp: Option<Udp>,
    pub tcp: Option<Tcp>,
    pub verdicts: Vec<Verdict>,
    pub lateness: Times,
    pub links: Vec<String>,
}

/// Why a transport was not measured, or not to its end.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/qualify.md describes each key")]
pub struct Trouble {
    pub kind: &'static str,
    pub what: String,
    pub next: String,
}

/// By datagrams.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/qualify.md describes each key")]
pub struct Udp {
    pub trouble: Option<Trouble>,
    pub interval_ns: u64,
    pub train: Option<Train>,
    pub loaded: Option<Train>,
    pub throughput: Option<Throughput>,
}

/// A train of datagrams: sent = answered + late + lost.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/qualify.md describes each key")]
pub struct Train {
    pub sent: u64,
    pub answered: u64,
    pub late: u64,
    pub lost: u64,
    pub duplicates: u64,
    pub reordered: u64,
    pub corrupted: u64,
    pub cut: u64,
    pub strangers: u64,
    pub loss: Option<f64>,
    pub loss_low: f64,
    pub loss_high: f64,
    pub round_trips: Times,
    pub jitter_ns: Option<u64>,
    pub jitter_pairs: u64,
    pub jitter_running_ns: Option<u64>,
}

/// The rate of datagrams that passes.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/qualify.md describes each key")]
pub struct Throughput {
    pub rate_bps: Option<f64>,
    pub held_bps: f64,
    pub limited_by: &'static str,
    pub sent: u64,
    pub answered: u64,
}

/// By streams: sent_bytes = verified_bytes + missing_bytes + unawaited_bytes.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/qualify.md describes each key")]
pub struct Tcp {
    pub trouble: Option<Trouble>,
    pub form: Option<&'static str>,
    pub connects: Times,
    pub messages: Option<Messages>,
    pub loaded: Option<Messages>,
    pub transactions: Times,
    pub throughput_bps: Option<f64>,
    pub capped: bool,
    pub sent_bytes: u64,
    pub verified_bytes: u64,
    pub missing_bytes: u64,
    pub unawaited_bytes: u64,
    pub loss: Option<f64>,
}

/// Small messages, one after the other.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/qualify.md describes each key")]
pub struct Messages {
    pub round_trips: Times,
    pub jitter_ns: Option<u64>,
    pub jitter_running_ns: Option<u64>,
}

/// A distribution of times; `null` where there was none.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/qualify.md describes each key")]
pub struct Times {
    pub count: u64,
    pub min_ns: Option<u64>,
    pub mean_ns: Option<u64>,
    pub p50_ns: Option<u64>,
    pub p90_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub max_ns: Option<u64>,
}

/// A row of the lecture's table, judged.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/qualify.md describes each key")]
pub struct Verdict {
    pub application: &'static str,
    pub title: &'static str,
    pub passed: bool,
    pub transport: &'static str,
    pub reason: &'static str,
    pub decided_by: usize,
    pub checks: Vec<Check>,
}

/// A threshold beside what was measured, in seconds, bit/s or as a share.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/qualify.md describes each key")]
pub struct Check {
    pub quantity: &'static str,
    pub value: Option<f64>,
    pub demand: String,
    pub limit: f64,
    pub holds: bool,
    pub source: &'static str,
}

impl From<&Head> for Config {
    fn from(head: &Head) -> Config {
        let transports = [("udp", head.udp), ("tcp", head.tcp)];
        Config {
            target: head.target.clone(),
            peer: head.peer.clone(),
            transports: transports.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect(),
            duration_ns: ns(head.duration),
            timeout_ns: ns(head.timeout),
            cap_bps: head.cap_bps,
            link: head.link.clone(),
            seed: head.seed.0,
            applications: head.applications.iter().map(|one| one.name()).collect(),
            limits: head
                .limits
                .iter()
                .map(|limit| Limited {
                    application: limit.application.map(|one| one.name()),
                    quantity: limit.quantity.name(),
                    limit: limit.limit,
                })
                .collect(),
        }
    }
}

impl From<&Report<'_>> for Outcome {
    fn from(report: &Report<'_>) -> Outcome {
        let outcome = report.outcome;
        Outcome {
            took_ns: ns(outcome.took),
            interrupted: outcome.interrupted,
            udp: outcome.udp.as_ref().map(Udp::from),
            tcp: outcome.tcp.as_ref().map(Tcp::from),
            verdicts: report.verdicts.iter().map(Verdict::from).collect(),
            lateness: Times::from(&outcome.lateness),
            links: report.head.links.clone(),
        }
    }
}

impl From<&drive::Trouble> for Trouble {
    fn from(trouble: &drive::Trouble) -> Trouble {
        let kind = match trouble.kind {
            Kind::Refused => "refused",
            Kind::Silent => "silent",
            Kind::Wrong => "wrong",
            Kind::Broken => "broken",
        };
        Trouble { kind, what: trouble.what.clone(), next: trouble.next.clone() }
    }
}

impl From<&drive::Udp> for Udp {
    fn from(udp: &drive::Udp) -> Udp {
        let throughput = udp.climbed.map(|climbed| Throughput {
            rate_bps: climbed.rate_bps,
            held_bps: climbed.held_bps,
            limited_by: match climbed.limit {
                Limit::Path => "path",
                Limit::Cap => "cap",
                Limit::Sender => "sender",
                Limit::Time => "time",
            },
            sent: climbed.sent,
            answered: climbed.answered,
        });
        Udp {
            trouble: udp.trouble.as_ref().map(Trouble::from),
            interval_ns: ns(udp.interval),
            train: udp.train.as_ref().map(Train::from),
            loaded: udp.loaded.as_ref().map(Train::from),
            throughput,
        }
    }
}

impl From<&Trained> for Train {
    fn from(train: &Trained) -> Train {
        let interval = train.loss_interval();
        let jitter = train.course.jitter_mean();
        Train {
            sent: train.sent,
            answered: train.answered,
            late: train.late,
            lost: train.lost,
            duplicates: train.duplicates,
            reordered: train.reordered,
            corrupted: train.corrupted,
            cut: train.cut,
            strangers: train.strangers,
            loss: train.loss(),
            loss_low: interval.low,
            loss_high: interval.high,
            round_trips: Times::from(&train.course.round_trips),
            jitter_ns: jitter.map(|(mean, _)| ns(mean)),
            jitter_pairs: jitter.map_or(0, |(_, pairs)| pairs),
            jitter_running_ns: train.course.jitter_running().map(ns),
        }
    }
}

impl From<&drive::Tcp> for Tcp {
    fn from(tcp: &drive::Tcp) -> Tcp {
        Tcp {
            trouble: tcp.trouble.as_ref().map(Trouble::from),
            form: tcp.form.map(|form| match form {
                Form::Echo => "echo",
                Form::Upper => "upper",
            }),
            connects: Times::from(&tcp.connects),
            messages: tcp.messages.as_ref().map(Messages::from),
            loaded: tcp.loaded.as_ref().map(Messages::from),
            transactions: Times::from(&tcp.transactions),
            throughput_bps: tcp.throughput_bps,
            capped: tcp.capped,
            sent_bytes: tcp.sent_bytes,
            verified_bytes: tcp.verified_bytes,
            missing_bytes: tcp.missing_bytes,
            unawaited_bytes: tcp.unawaited_bytes,
            loss: tcp.loss(),
        }
    }
}

impl From<&Course> for Messages {
    fn from(course: &Course) -> Messages {
        Messages {
            round_trips: Times::from(&course.round_trips),
            jitter_ns: course.jitter_mean().map(|(mean, _)| ns(mean)),
            jitter_running_ns: course.jitter_running().map(ns),
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
            p50_ns: percentile(50.0),
            p90_ns: percentile(90.0),
            p99_ns: percentile(99.0),
            max_ns: latency.max().map(ns),
        }
    }
}

impl From<&Judged> for Verdict {
    fn from(verdict: &Judged) -> Verdict {
        let check = |check: &stentor_core::qualify::Check| Check {
            quantity: check.threshold.quantity.name(),
            value: check.value,
            demand: check.threshold.to_string(),
            limit: check.threshold.limit,
            holds: check.holds(),
            source: check.threshold.source,
        };
        Verdict {
            application: verdict.application.name(),
            title: verdict.application.title(),
            passed: verdict.passed,
            transport: verdict.transport.name(),
            reason: verdict.reason,
            decided_by: verdict.decided_by,
            checks: verdict.checks.iter().map(check).collect(),
        }
    }
}
