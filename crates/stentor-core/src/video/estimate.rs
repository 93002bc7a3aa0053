//! What the next download is expected to meet, from those before it.

use super::session::Download;

/// Half-lives of the weights, in seconds of downloading: the cautious one of the two counts.
const HALF_LIVES_S: [f64; 2] = [3.0, 8.0];

/// Throughput and latency of the next download.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// In bit/s, above 0.
    pub bps: f64,
    /// From a request to its first byte, in seconds.
    pub latency_s: f64,
}

/// Exponentially weighted means, corrected for the time before the first sample (Spiteri et al.,
/// MMSys 2018): a sample weighs as long as its body took, in latency as long as its chunk plays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimator {
    throughput: [Mean; 2],
    latency: [Mean; 2],
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Mean {
    value: f64,
    weight_s: f64,
}

impl Mean {
    fn feed(&mut self, sample: f64, weight_s: f64, half_life_s: f64) {
        let kept = (-weight_s / half_life_s).exp2();
        self.value = kept * self.value + (1.0 - kept) * sample;
        self.weight_s += weight_s;
    }

    fn corrected(&self, half_life_s: f64) -> Option<f64> {
        let known = 1.0 - (-self.weight_s / half_life_s).exp2();
        (known > 0.0).then(|| self.value / known)
    }
}

impl Estimator {
    /// Takes a whole download of a chunk that plays for `chunk_s` seconds.
    pub fn feed(&mut self, download: &Download, chunk_s: f64) {
        let Some(bps) = download.throughput_bps().filter(|bps| *bps > 0.0) else { return };
        let body_s = download.total.saturating_sub(download.latency).as_secs_f64();
        let latency_s = download.latency.as_secs_f64();
        let means = self.throughput.iter_mut().zip(&mut self.latency).zip(HALF_LIVES_S);
        for ((throughput, latency), half_life_s) in means {
            throughput.feed(bps, body_s, half_life_s);
            latency.feed(latency_s, chunk_s, half_life_s);
        }
    }

    /// The lower throughput and the higher latency; `None` before the first sample.
    pub fn estimate(&self) -> Option<Estimate> {
        let of = |means: &[Mean; 2], pick: fn(f64, f64) -> f64| {
            let known =
                means.iter().zip(HALF_LIVES_S).filter_map(|(mean, life)| mean.corrected(life));
            known.reduce(pick)
        };
        let bps = of(&self.throughput, f64::min)?;
        let latency_s = of(&self.latency, f64::max)?;
        Some(Estimate { bps, latency_s })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn download(bytes: u64, latency_ms: u64, total_ms: u64) -> Download {
        let (latency, total) = (Duration::from_millis(latency_ms), Duration::from_millis(total_ms));
        Download { chunk: 0, quality: 0, size_bytes: bytes, bytes, latency, total }
    }

    #[test]
    fn the_cautious_mean_counts() {
        let mut estimator = Estimator::default();
        assert_eq!(estimator.estimate(), None);
        estimator.feed(&download(1000, 5, 5), 1.0);
        assert_eq!(estimator.estimate(), None, "a body that took no time says nothing");
        // 1 Mbit in 1 s: both means agree on the first sample.
        estimator.feed(&download(125_000, 50, 1050), 2.0);
        let first = estimator.estimate().unwrap();
        assert!((first.bps - 1e6).abs() < 1e-3 && (first.latency_s - 0.05).abs() < 1e-9);
        // 3 Mbit in 3 s... at 4 Mbit/s: the slow mean is lower, by its definition.
        estimator.feed(&download(1_500_000, 150, 3150), 2.0);
        let (slow_1, slow_3) = ((-1.0_f64 / 8.0).exp2(), (-3.0_f64 / 8.0).exp2());
        let expected = (slow_3 * (1.0 - slow_1) * 1e6 + (1.0 - slow_3) * 4e6)
            / (1.0 - (-4.0_f64 / 8.0).exp2());
        let second = estimator.estimate().unwrap();
        assert!((second.bps - expected).abs() < 1e-3, "{} {expected}", second.bps);
        assert!(second.latency_s > 0.1, "the fast mean is higher: {}", second.latency_s);
    }
}
