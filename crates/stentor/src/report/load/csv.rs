//! The course of a run as comma-separated values (RFC 4180, with bare line feeds): a line for each
//! interval, all times in whole nanoseconds.

use std::fmt::Write;

use super::{Course, PERCENTILES};
use crate::drive::load::outcome::Outcome;

/// The table, its header first.
pub fn csv(outcome: &Outcome) -> String {
    let mut table =
        "from_ns,until_ns,sent,verified,wrong,late,lost,error,connections_lost,replies,\
                     p50_ns,p75_ns,p90_ns,p99_ns,p99_9_ns,p99_99_ns,max_ns\n"
            .to_owned();
    for interval in &outcome.intervals {
        let (course, counts) = (Course::of(interval), &interval.counts);
        let _ = write!(
            table,
            "{},{},{},{},{},{},{},{},{},{}",
            interval.from.as_nanos(),
            interval.until.as_nanos(),
            counts.sent,
            counts.verified,
            counts.wrong,
            counts.late,
            counts.lost,
            counts.error,
            interval.connections_lost,
            course.latency.len()
        );
        let percentiles = PERCENTILES.iter().map(|percent| course.percentile(*percent));
        for time in percentiles.chain([course.latency.max()]) {
            // An interval without a reply has no latency: the cell stays empty.
            let cell = time.map(|time| time.as_nanos().to_string()).unwrap_or_default();
            let _ = write!(table, ",{cell}");
        }
        table.push('\n');
    }
    table
}
