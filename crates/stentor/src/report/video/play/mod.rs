//! What a session of `video play` shows, in every form: [`text`] for people, [`page`] to look closer,
//! [`live`] while it runs, [`crowd`] for many at once; the JSON is in `report::json::video`.
//!
//! All of them show an [`Outcome`], live or simulated, under its [`Config`], and beside it what is
//! [`Known`] of the network.

mod course;
pub mod crowd;
mod facts;
pub mod live;
pub mod page;
mod picture;
mod predicted;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
pub mod text;

use std::time::{Duration, SystemTime};

use stentor_core::moment::Moment;
use stentor_core::units::BitRate;
use stentor_core::video::metrics::Metrics;
use stentor_core::video::network::Network;
use stentor_core::video::session::What;

pub use self::course::{Course, Fetched, Stall};
pub use self::predicted::Predicted;
pub(in crate::report) use self::predicted::{plays_for_s, typical_s};
use crate::drive::video::outcome::{Config, Outcome};
use crate::report::chart::Unit;

/// What is known of the network besides what the session saw of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Whether there was no network but a virtual clock.
    pub simulated: bool,
    /// How fast the link is at all times, if it is always the same: the book's x.
    pub arrival: Option<BitRate>,
    /// How fast the link is, in bit/s, each from its moment on; none if nobody knows.
    pub rates: Vec<(Moment, f64)>,
    /// How good the best session would have been over the same network.
    pub oracle: Option<Metrics>,
    /// What the links before the origin did, and other remarks for a reader.
    pub notes: Vec<String>,
}

/// The most stretches in which the rate of a recorded network is told.
const RATES_MAX: u64 = 300;

impl Known {
    /// A link that is always as fast.
    pub fn steady(arrival: BitRate) -> Known {
        let rates = vec![(Moment::START, arrival.0 as f64)];
        Known { arrival: Some(arrival), rates, ..Known::default() }
    }

    /// A recorded network up to `end`: what it lets through in each stretch of 0.1, 0.2, 0.5, 1, 2, 5 s
    /// and so on, so that there are at most 300.
    pub fn recorded(network: &Network, end: Moment) -> Known {
        const STEPS_MS: [u64; 10] =
            [100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];
        let long = |ms: &&u64| end.as_nanos().div_ceil(**ms * 1_000_000) <= RATES_MAX;
        let step = Duration::from_millis(STEPS_MS.iter().find(long).copied().unwrap_or(1_000_000));
        let (mut rates, mut at, mut passed) = (Vec::new(), Moment::START, 0);
        while at < end && rates.len() < 10_000 {
            let until = at + step;
            let by_then = network.arrived(Moment::START, until, u64::MAX >> 8);
            rates.push((at, by_then.saturating_sub(passed) as f64 * 8.0 / step.as_secs_f64()));
            (at, passed) = (until, by_then);
        }
        let first = rates.first().map_or(0.0, |(_, bps)| *bps);
        let same = rates.iter().all(|(_, bps)| (bps / first - 1.0).abs() < 1e-3);
        match bit_rate(first).filter(|_| same) {
            Some(arrival) => Known::steady(arrival),
            None => Known { rates, ..Known::default() },
        }
    }
}

/// A rate as whole bits a second, to four digits: what a stretch lets through is whole bytes.
fn bit_rate(bps: f64) -> Option<BitRate> {
    let digits = format!("{bps:.3e}").parse::<f64>().ok()?;
    format!("{digits:.0}").parse().ok().filter(|bps| *bps > 0).map(BitRate)
}

/// A session with what follows from it.
#[derive(Debug)]
pub struct Report<'a> {
    /// What was asked for.
    pub config: &'a Config,
    /// What was measured.
    pub outcome: &'a Outcome,
    /// What is known of the network.
    pub known: &'a Known,
    /// When the run began.
    pub began: SystemTime,
    /// What became of every request.
    pub counts: Counts,
    /// The course of the buffer.
    pub course: Course,
    /// What formulae say, where they can.
    pub predicted: Option<Predicted>,
}

/// What became of every request: requested = received + abandoned + failed + unfinished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests for film.
    pub requested: u64,
    /// Chunks that came as a whole.
    pub received: u64,
    /// Downloads given up for another quality.
    pub abandoned: u64,
    /// Downloads that failed.
    pub failed: u64,
    /// Downloads that were on their way when the session ended.
    pub unfinished: u64,
    /// Bytes of all downloads that ended.
    pub bytes: u64,
}

impl Counts {
    fn of(outcome: &Outcome) -> Counts {
        let mut counts = Counts::default();
        for event in &outcome.events {
            match event.what {
                What::Requested { .. } => counts.requested += 1,
                What::Received(download) => {
                    counts.received += 1;
                    counts.bytes += download.bytes;
                }
                What::Abandoned { download, .. } => {
                    counts.abandoned += 1;
                    counts.bytes += download.bytes;
                }
                What::Failed { download, .. } => {
                    counts.failed += 1;
                    counts.bytes += download.bytes;
                }
                What::Buffer(_) => {}
            }
        }
        if let Some(stream) = outcome.account.progressive {
            counts.stream(outcome, stream.received_bytes >= stream.film_bytes);
            counts.bytes = stream.received_bytes;
        }
        let ended = counts.received + counts.abandoned + counts.failed;
        counts.unfinished = counts.requested.saturating_sub(ended);
        counts
    }

    /// One request fetched all chunks: it was received, failed or unfinished.
    fn stream(&mut self, outcome: &Outcome, whole: bool) {
        let failed = !whole && outcome.trouble.is_some();
        self.requested = self.requested.min(1);
        (self.received, self.failed) = (u64::from(whole), u64::from(failed));
    }
}

impl<'a> Report<'a> {
    /// Works out what follows from a session.
    pub fn of(
        config: &'a Config,
        outcome: &'a Outcome,
        known: &'a Known,
        began: SystemTime,
    ) -> Report<'a> {
        let course = Course::of(outcome);
        let predicted = Predicted::of(outcome, known);
        Report { config, outcome, known, began, counts: Counts::of(outcome), course, predicted }
    }

    /// Whether one request fetched the whole film.
    pub fn is_stream(&self) -> bool {
        self.outcome.account.progressive.is_some()
    }

    /// Whether anything of the film came.
    pub fn measured(&self) -> bool {
        self.counts.bytes > 0
    }

    /// The one quality that was played, if it was one.
    pub fn quality(&self) -> Option<usize> {
        only_quality(self.outcome)
    }

    /// How much more linear QoE per chunk the best session would have, in Mbit/s; of a session that
    /// came to the end of the film.
    pub fn distance(&self) -> Option<f64> {
        if self.outcome.trouble.is_some() || self.outcome.interrupted {
            return None;
        }
        let chunks = self.outcome.film.chunks().len();
        self.known.oracle.as_ref().map(|best| self.outcome.metrics.distance(best, chunks))
    }

    /// What a reader should know besides.
    pub fn notes(&self) -> Vec<String> {
        let outcome = self.outcome;
        let mut notes = Vec::new();
        notes.extend(
            outcome.interrupted.then(|| "interrupted: these are the figures so far".into()),
        );
        let trouble = outcome.trouble.as_ref();
        notes.extend(trouble.map(|trouble| format!("{}. {}", trouble.what, trouble.next)));
        for failure in outcome.account.failures.iter().take(FAILURES_MAX) {
            // The last one may be what ended it all.
            if trouble.is_some_and(|trouble| trouble.what == failure.what) {
                continue;
            }
            let at = said(failure.at.since(Moment::START));
            notes.push(format!("at {at}, chunk {}: {}", failure.chunk, failure.what));
        }
        let more = outcome.account.failures.len().saturating_sub(FAILURES_MAX);
        notes.extend((more > 0).then(|| format!("{more} more downloads failed")));
        if outcome.account.wrong_sizes > 0 {
            let wrong = outcome.account.wrong_sizes;
            notes.push(format!("{wrong} chunks had another size than the film says"));
        }
        notes.extend(outcome.account.warnings.iter().cloned());
        notes.extend(self.known.notes.iter().cloned());
        notes
    }
}

/// Failures that are told one by one.
const FAILURES_MAX: usize = 3;

/// The one quality of all requests, if it is one.
fn only_quality(outcome: &Outcome) -> Option<usize> {
    let mut asked = outcome.events.iter().filter_map(|event| match event.what {
        What::Requested { quality, .. } => Some(quality),
        What::Received(_) | What::Abandoned { .. } | What::Failed { .. } | What::Buffer(_) => None,
    });
    let first = asked.next()?;
    asked.all(|quality| quality == first).then_some(first)
}

/// A span of time in words.
fn said(span: Duration) -> String {
    Unit::Nanos.said(span.as_nanos() as f64)
}

/// A rate in both of the lecture's units: `1 Mbit/s (125 kB/s)`.
fn rate(bps: f64) -> String {
    format!("{} ({})", Unit::BitsPerSecond.said(bps), Unit::BytesPerSecond.said(bps / 8.0))
}

/// Seconds as other reports have them.
pub(in crate::report::video) fn seconds(seconds: f64) -> String {
    Unit::Nanos.said(seconds * 1e9)
}

/// Nanoseconds on the axis of a chart.
fn nanos(at: Moment) -> f64 {
    at.as_nanos() as f64
}
