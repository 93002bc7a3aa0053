//! What `load` prints and writes: progress while it runs, then the report, in every form asked for.

use std::time::SystemTime;

use super::Args;
use crate::complaint::{Complaint, Exit};
use crate::drive::load::outcome::{Config, Interval, Outcome};
use crate::report::console;

/// Where the report goes.
pub(super) struct Outputs;

impl Outputs {
    pub(super) fn open(_args: &Args) -> Result<Outputs, Complaint> {
        Ok(Outputs)
    }

    pub(super) fn begin(&self, _config: &Config) {}

    pub(super) fn failed(
        self,
        _config: Option<&Config>,
        _began: SystemTime,
        complaint: Complaint,
    ) -> Result<Exit, Complaint> {
        Err(complaint)
    }

    pub(super) fn finish(
        self,
        _config: &Config,
        outcome: &Outcome,
        _began: SystemTime,
    ) -> Result<Exit, Complaint> {
        let t = &outcome.tally;
        console::data(format!(
            "{:?} unsent {} waited {}\nfailures {:?} conn {:?} dup {} reord {} unasked {}\n\
             lat p50 {:?} p90 {:?} p99 {:?} max {:?}\nlateness p50 {:?} p99 {:?} max {:?}\n\
             took {:?} sending {:?} {:.1}/s of {:.1}/s\n{:?}\n{:?}\n{} intervals\n",
            t.counts,
            t.unsent,
            t.waited,
            t.failures,
            t.connections,
            t.duplicates,
            t.reordered,
            t.unasked,
            t.latency.percentile(50.0),
            t.latency.percentile(90.0),
            t.latency.percentile(99.0),
            t.latency.max(),
            t.lateness.percentile(50.0),
            t.lateness.percentile(99.0),
            t.lateness.max(),
            outcome.took,
            outcome.sending,
            outcome.achieved_per_second(),
            outcome.offered_per_second(),
            outcome.troubles,
            outcome.failing,
            outcome.intervals.len(),
        ))?;
        Ok(match (outcome.interrupted, outcome.failing.is_empty()) {
            (true, _) => Exit::Interrupted,
            (false, true) => Exit::Good,
            (false, false) => Exit::Bad,
        })
    }
}

pub(super) struct Progress;

impl Progress {
    pub(super) fn new(_args: &Args) -> Progress {
        Progress
    }
    pub(super) fn show(&mut self, interval: &Interval) {
        console::notice(format!("{} {:?}", interval.until, interval.counts));
    }
    pub(super) fn end(&mut self) {}
}
