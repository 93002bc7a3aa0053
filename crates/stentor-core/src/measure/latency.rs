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
    /// The shortest and the longest that were counted, exactly.
    range_ns: Option<(u64, u64)>,
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
        Latency { counts, range_ns: None, beyond: 0 }
    }

    /// Takes one time. A longer one than [`LONGEST`] is counted as that, and in
    /// [`Latency::beyond`].
    pub fn record(&mut self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.beyond += u64::from(ns > LONGEST_NS);
        let ns = ns.clamp(1, LONGEST_NS);
        self.widen(ns, ns);
        if let Some(counts) = &mut self.counts {
            counts.saturating_record(ns);
        }
    }

    /// Takes a time of a histogram as often as it stands there; what is beyond [`LONGEST`] was
    /// counted when it was recorded first.
    pub fn record_many(&mut self, took: Duration, times: u64) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).clamp(1, LONGEST_NS);
        if times > 0 {
            self.widen(ns, ns);
        }
        if let Some(counts) = &mut self.counts {
            counts.saturating_record_n(ns, times);
        }
    }

    fn widen(&mut self, low: u64, high: u64) {
        let (shortest, longest) = self.range_ns.unwrap_or((low, high));
        self.range_ns = Some((shortest.min(low), longest.max(high)));
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
        let (shortest, longest) = self.range_ns?;
        let ns = counts.value_at_percentile(percent).clamp(shortest, longest);
        Some(Duration::from_nanos(ns))
    }

    /// The shortest time, exactly.
    pub fn min(&self) -> Option<Duration> {
        self.range_ns.map(|(shortest, _)| Duration::from_nanos(shortest))
    }

    /// The longest time, exactly (up to [`LONGEST`]; as precise as the digits if it was read from
    /// a log).
    pub fn max(&self) -> Option<Duration> {
        self.range_ns.map(|(_, longest)| Duration::from_nanos(longest))
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
        if let Some((shortest, longest)) = other.range_ns {
            self.widen(shortest, longest);
        }
        self.beyond += other.beyond;
    }

    /// Forgets all times and keeps the memory.
    pub fn clear(&mut self) {
        if let Some(counts) = &mut self.counts {
            counts.reset();
        }
        (self.range_ns, self.beyond) = (None, 0);
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
            let ns = ns.clamp(1, LONGEST_NS);
            self.widen(ns, ns);
            if let Some(counts) = &mut self.counts {
                counts.saturating_record_n(ns, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times_us: impl IntoIterator<Item = u64>) -> Latency {
        let mut latency = Latency::new();
        times_us.into_iter().for_each(|us| latency.record(Duration::from_micros(us)));
        latency
    }

    #[test]
    fn percentiles_are_as_precise_as_promised() {
        let latency = of(1..=100_000);
        for (percent, us) in [(50.0, 50_000), (90.0, 90_000), (99.9, 99_900), (99.99, 99_990)] {
            let got = latency.percentile(percent).unwrap().as_secs_f64() * 1e6;
            assert!((got / f64::from(us) - 1.0).abs() <= 0.001, "p{percent}: {got} us");
        }
        assert_eq!(latency.min(), Some(Duration::from_micros(1)));
        assert_eq!(latency.max(), Some(Duration::from_millis(100)));
        let mean = latency.mean().unwrap().as_secs_f64();
        assert!((mean / 0.050_000_5 - 1.0).abs() < 0.001, "{mean}");
    }

    #[test]
    fn without_a_time_there_is_no_value() {
        let latency = Latency::new();
        assert_eq!((latency.percentile(99.0), latency.max(), latency.mean()), (None, None, None));
        assert!(latency.as_hdr().is_some(), "the bounds are accepted");
    }

    #[test]
    fn what_is_too_long_is_counted_and_told() {
        let mut latency = of([1]);
        latency.record(Duration::from_secs(3601));
        latency.record(Duration::MAX);
        latency.record(Duration::ZERO);
        assert_eq!((latency.len(), latency.beyond()), (4, 2));
        assert_eq!(latency.max(), Some(LONGEST));
        assert_eq!(latency.min(), Some(Duration::from_nanos(1)));
    }

    #[test]
    fn intervals_add_up_to_the_whole() {
        let (mut total, mut interval) = (Latency::new(), Latency::new());
        for us in 1..=1000_u64 {
            interval.record(Duration::from_micros(us * us));
            if us % 100 == 0 {
                interval.drain_into(&mut total);
                assert!(interval.is_empty() && interval.max().is_none());
            }
        }
        let whole = of((1..=1000).map(|us| us * us));
        assert_eq!(total, whole);
        let mut read = Latency::new();
        read.merge_hdr(whole.as_hdr().unwrap());
        assert_eq!((read.len(), read.percentile(99.0)), (1000, whole.percentile(99.0)));
    }
}
