//! What a run of `load` shows, in every form: [`text`] for people, [`page`] to look closer, [`csv`]
//! for spreadsheets, [`hdr`] for other tools, which [`merge`] adds up; the JSON is in `report::json`.
//!
//! All of them show an [`Outcome`] under a [`Head`], so that runs added up from their logs look as
//! a run does.

mod carried;
mod charts;
pub mod csv;
pub mod hdr;
pub mod merge;
pub mod page;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
pub mod text;
mod troubles;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stentor_core::load::Pace;
use stentor_core::load::verdict::{Condition, Failing, Operator, Value};
use stentor_core::measure::Latency;

use super::chart::Unit;
use crate::drive::load::outcome::{Config, Interval, Outcome};

/// The percentiles of the reports, as wrk has them and two nines more.
pub const PERCENTILES: [f64; 6] = [50.0, 75.0, 90.0, 99.0, 99.9, 99.99];

/// What was driven, and how: what stands above the figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Where to, as a target is written.
    pub target: String,
    /// The address that the requests went to.
    pub peer: Option<String>,
    /// Connections, of all runs together.
    pub connections: u64,
    /// Threads, of all runs together.
    pub threads: u64,
    /// Whether the loop was closed: the next request was sent when an answer had come.
    pub closed: bool,
    /// Requests that were to be sent each second, once a ramp is over; of all runs together.
    pub rate_per_second: Option<f64>,
    /// Whether the gaps were left to chance.
    pub poisson: bool,
    /// How answers were judged; `off`: not at all.
    pub verify: String,
    /// How long an answer may take, in nanoseconds.
    pub timeout_ns: u64,
    /// The seed of each run.
    pub seeds: Vec<u64>,
    /// The logs that were added up; none if this is one run.
    #[serde(default)]
    pub logs: Vec<String>,
    /// Whether requests were counted: logs of other programs have latencies only.
    pub counted: bool,
}

impl Head {
    /// That of a run.
    pub fn of(config: &Config) -> Head {
        let rate_per_second = match config.pace {
            Pace::Constant(rate) | Pace::Poisson(rate) => Some(rate),
            Pace::Ramp { to, .. } => Some(to),
            Pace::Max => None,
        };
        Head {
            target: config.target.to_string(),
            peer: config.peer.clone(),
            connections: config.connections as u64,
            threads: config.threads as u64,
            closed: config.pace.is_closed(),
            rate_per_second,
            poisson: matches!(config.pace, Pace::Poisson(_)),
            verify: config.verify.clone(),
            timeout_ns: u64::try_from(config.timeout.as_nanos()).unwrap_or(u64::MAX),
            seeds: vec![config.seed.0],
            logs: Vec::new(),
            counted: true,
        }
    }

    /// Whether right answers were told from wrong ones.
    fn judged(&self) -> bool {
        self.verify != "off"
    }
}

/// Why a run has failed, in words.
pub fn failing(failing: &Failing) -> String {
    match failing {
        Failing::NothingVerified => "no reply was verified".to_owned(),
        Failing::Met(condition, found) => {
            let found = match *found {
                Value::Time(time) => said(Some(time)),
                Value::Share(share) => Unit::Share.said(share),
                Value::Number(number) => number.to_string(),
                Value::PerSecond(rate) => Unit::PerSecond.said(rate),
            };
            format!("{condition}: it was {found}")
        }
        Failing::Unknown(condition) => {
            format!("{condition} cannot be told, for nothing of it was measured")
        }
        Failing::NotZero(metric, number) => {
            let (operator, bound) = (Operator::Above, Value::Number(0));
            let condition = Condition { metric: *metric, operator, bound };
            format!("{condition}: it was {number}")
        }
    }
}

/// Where a reader should be careful: what the figures do not say, or do not mean.
pub fn cautions(head: &Head, outcome: &Outcome) -> Vec<String> {
    let mut cautions = outcome.warnings.clone();
    if head.closed {
        cautions.push(
            "closed loop (-r max): hides waiting. While the server stalls nothing is sent, so few \
             requests meet the stall; for latencies give a rate: -r RATE"
                .to_owned(),
        );
    }
    let tally = &outcome.tally;
    let typical = tally.latency.percentile(50.0).unwrap_or_default();
    let ours = tally.lateness.percentile(99.0).unwrap_or_default();
    // A tenth of what is measured is more than noise.
    if !head.closed && ours > Duration::from_micros(100) && ours * 10 > typical {
        cautions.push(format!(
            "our own lateness (p99 {}) is not small beside the latency (p50 {}): this machine was \
             late by itself. Use fewer connections or a lower rate, or drive from several machines \
             (--hdr, then --merge)",
            said(Some(ours)),
            said(Some(typical))
        ));
    }
    if tally.guessed > 0 {
        cautions.push(format!(
            "{} replies show no number of a request, and were taken for that to the oldest",
            tally.guessed
        ));
    }
    if tally.latency.beyond() > 0 {
        cautions.push(format!(
            "{} latencies were longer than an hour, and count as one",
            tally.latency.beyond()
        ));
    }
    if outcome.interrupted {
        cautions.push("interrupted: these are the figures so far".to_owned());
    }
    cautions
}

/// A span of time in words, `–` if there is none.
fn said(span: Option<Duration>) -> String {
    span.map_or_else(|| "–".to_owned(), |span| Unit::Nanos.said(span.as_nanos() as f64))
}

/// Nanoseconds for a chart; a gap if there is no time.
fn nanos(span: Option<Duration>) -> f64 {
    span.map_or(f64::NAN, |span| span.as_nanos() as f64)
}

/// What an interval is asked for by several forms; the histogram is made once.
struct Course<'a> {
    interval: &'a Interval,
    latency: Latency,
}

impl<'a> Course<'a> {
    fn of(interval: &'a Interval) -> Course<'a> {
        Course { interval, latency: interval.latency.latency() }
    }

    /// In seconds.
    fn length(&self) -> f64 {
        self.interval.until.since(self.interval.from).as_secs_f64()
    }

    /// So many a second; 0 if the interval has no length.
    fn rate(&self, count: u64) -> f64 {
        if self.length() > 0.0 { count as f64 / self.length() } else { 0.0 }
    }

    fn percentile(&self, percent: f64) -> Option<Duration> {
        self.latency.percentile(percent)
    }
}
