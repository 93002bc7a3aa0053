//! Medians, percentiles, and numbers as the tables show them.

use std::time::Duration;

/// The middle one, or the mean of the two in the middle; 0 of none.
pub(crate) fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let upper = samples.len() / 2;
    let lower = samples.len().saturating_sub(1) / 2;
    let middle = samples.get(lower..=upper).unwrap_or_default();
    middle.iter().sum::<f64>() / middle.len().max(1) as f64
}

/// Round trips, in nanoseconds, kept one by one: exact, and a million of them are 4 MB.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    samples_ns: Vec<u32>,
}

impl Latencies {
    /// Above 4.29 s counts as 4.29 s.
    pub(crate) fn record(&mut self, took: Duration) {
        self.samples_ns.push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
    }

    pub(crate) fn merge(&mut self, other: &Latencies) {
        self.samples_ns.extend_from_slice(&other.samples_ns);
    }

    pub(crate) fn len(&self) -> usize {
        self.samples_ns.len()
    }

    /// Microseconds at these per cent, by the nearest rank; 0 of none.
    pub(crate) fn percentiles_us<const N: usize>(&mut self, per_cent: [usize; N]) -> [f64; N] {
        self.samples_ns.sort_unstable();
        let count = self.samples_ns.len();
        per_cent.map(|p| {
            let rank = (count * p).div_ceil(100).saturating_sub(1);
            self.samples_ns.get(rank).map_or(0.0, |&ns| f64::from(ns) / 1e3)
        })
    }
}

/// Mebibytes.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// yes, or a no that is seen.
pub(crate) fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "**no**" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentiles_us([50, 99]), [0.0, 0.0]);
        for us in (1..=200).rev() {
            latencies.record(Duration::from_micros(us));
        }
        assert_eq!(latencies.percentiles_us([50, 99, 100]), [100.0, 198.0, 200.0]);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![9.0, 1.0, 2.0, 4.0]), 3.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
