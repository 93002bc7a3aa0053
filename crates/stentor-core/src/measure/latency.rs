//! A latency histogram: nanoseconds, three significant digits, an hour at most.
//!
//! `HdrHistogram` (Gil Tene) as the rest of the field reads it. Its log format is left to the roof.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest time that is told from a longer one.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// Significant digits: what is read is at most 0.1 % from what was recorded.
pub const DIGITS: u8 = 3;

const LONGEST_NS: u64 = 3_600_000_000_000;

/// Times from 1 ns to an hour, each counted; memory is fixed (some 270 KiB) and recording
/// allocates nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Latency {
    counts: Option<Histogram<u64>>,
    beyond: u64,
}

impl Default for Latency {
    fn default() -> Latency {
        Latency::new()
    }
}

impl Latency {
    /// Starts empty.
    pub fn new() -> Latency {
        // The bounds are constants that the library accepts; the tests hold that it does.
        let counts = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).ok();
        Latency { counts, beyond: 0 }
    }

    /// Takes one time. A longer one than [`LONGEST`] is counted as that, and in
    /// [`Latency::beyond`].
    pub fn record(&mut self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.beyond += u64::from(ns > LONGEST_NS);
        if let Some(counts) = &mut self.counts {
            counts.saturating_record(ns.clamp(1, LONGEST_NS));
        }
    }

    /// Takes a time of a histogram as often as it stands there; what is beyond [`LONGEST`] was
    /// counted when it was recorded first.
    pub fn record_many(&mut self, took: Duration, times: u64) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(counts) = &mut self.counts {
            counts.saturating_record_n(ns.clamp(1, LONGEST_NS), times);
        }
    }

    /// How many times were taken.
    pub fn len(&self) -> u64 {
        self.counts.as_ref().map_or(0, Histogram::len)
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many times were longer than [`LONGEST`]; a report must tell them.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// The time that `percent` of all do not exceed (0 to 100); `None` while there is none.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let counts = self.counts.as_ref().filter(|counts| !counts.is_empty())?;
        Some(Duration::from_nanos(counts.value_at_percentile(percent).min(counts.max())))
    }

    /// The shortest time, as precise as the digits.
    pub fn min(&self) -> Option<Duration> {
        let counts = self.counts.as_ref().filter(|counts| !counts.is_empty())?;
        Some(Duration::from_nanos(counts.min()))
    }

    /// The longest time, as precise as the digits.
    pub fn max(&self) -> Option<Duration> {
        let counts = self.counts.as_ref().filter(|counts| !counts.is_empty())?;
        Some(Duration::from_nanos(counts.max()))
    }

    /// The arithmetic mean.
    pub fn mean(&self) -> Option<Duration> {
        let counts = self.counts.as_ref().filter(|counts| !counts.is_empty())?;
        Some(Duration::from_secs_f64(counts.mean() / 1e9))
    }

    /// The standard deviation of all times (not of a sample).
    pub fn deviation(&self) -> Option<Duration> {
        let counts = self.counts.as_ref().filter(|counts| !counts.is_empty())?;
        Some(Duration::from_secs_f64(counts.stdev() / 1e9))
    }

    /// Adds the times of another.
    pub fn merge(&mut self, other: &Latency) {
        if let (Some(counts), Some(more)) = (&mut self.counts, &other.counts) {
            // Both have the same bounds, so there is nothing to refuse.
            let _same_bounds = counts.add(more);
        }
        self.beyond += other.beyond;
    }

    /// Forgets all times and keeps the memory.
    pub fn clear(&mut self) {
        if let Some(counts) = &mut self.counts {
            counts.reset();
        }
        self.beyond = 0;
    }

    /// Moves all times to `total`: the end of an interval.
    pub fn drain_into(&mut self, total: &mut Latency) {
        if !self.is_empty() {
            total.merge(self);
            self.clear();
        }
    }

    /// The histogram itself, in nanoseconds, to be written as a log.
    pub fn as_hdr(&self) -> Option<&Histogram<u64>> {
        self.counts.as_ref()
    }

    /// Adds a histogram in nanoseconds that was read from a log, whatever its bounds are.
    pub fn merge_hdr(&mut self, read: &Histogram<u64>) {
        for step in read.iter_recorded() {
            let ns = step.value_iterated_to();
            let count = step.count_at_value();
            self.beyond += if ns > LONGEST_NS { count } else { 0 };
            if let Some(counts) = &mut self.counts {
                counts.saturating_record_n(ns.clamp(1, LONGEST_NS), count);
            }
        }
    }
}
