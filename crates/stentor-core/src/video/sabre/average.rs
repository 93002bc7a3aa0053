//! The reference's two estimates of throughput and latency.

use super::network::{maximum, minimum};
use super::options::{Average, Options};

/// The most samples that a sliding window remembers.
const WINDOW_MAX: usize = 20;

/// What the next download is expected to meet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    /// In kbit/s.
    pub(super) throughput: f64,
    /// In ms.
    pub(super) latency: f64,
}

pub(super) enum History {
    /// The last samples, and the sizes of the windows over them.
    Sliding { samples: Vec<Estimate>, windows: Vec<usize> },
    /// Weighted means, and the weight they have so far.
    Ewma { means: Vec<Mean>, weight_ms: f64, segments: f64 },
}

pub(super) struct Mean {
    half_life_ms: f64,
    /// The latency's half-life counts in segments.
    half_life_segments: f64,
    throughput: f64,
    latency: f64,
}

impl History {
    pub(super) fn new(options: &Options, segment_ms: f64) -> History {
        let windows = options.windows.clone();
        match options.average {
            Average::Sliding => History::Sliding { samples: Vec::new(), windows },
            Average::Ewma => {
                let mean = |seconds: &f64| Mean {
                    half_life_ms: seconds * 1000.0,
                    half_life_segments: seconds * 1000.0 / segment_ms,
                    throughput: 0.0,
                    latency: 0.0,
                };
                let means = options.half_lives_s.iter().map(mean).collect();
                History::Ewma { means, weight_ms: 0.0, segments: 0.0 }
            }
        }
    }

    /// Takes a sample that lasted `time_ms`; of several means the lower throughput and the higher
    /// latency count.
    pub(super) fn push(&mut self, time_ms: f64, sample: Estimate) -> Estimate {
        let cautious = |all: Option<Estimate>, one: Estimate| {
            Some(all.map_or(one, |all| Estimate {
                throughput: minimum(all.throughput, one.throughput),
                latency: maximum(all.latency, one.latency),
            }))
        };
        let estimate = match self {
            History::Sliding { samples, windows } => {
                samples.push(sample);
                samples.drain(..samples.len().saturating_sub(WINDOW_MAX));
                windows.iter().map(|window| mean_of_last(samples, *window)).fold(None, cautious)
            }
            History::Ewma { means, weight_ms, segments } => {
                for mean in means.iter_mut() {
                    let alpha = half(time_ms / mean.half_life_ms);
                    mean.throughput = alpha * mean.throughput + (1.0 - alpha) * sample.throughput;
                    let alpha = half(1.0 / mean.half_life_segments);
                    mean.latency = alpha * mean.latency + (1.0 - alpha) * sample.latency;
                }
                *weight_ms += time_ms;
                *segments += 1.0;
                let corrected = |mean: &Mean| Estimate {
                    throughput: mean.throughput / (1.0 - half(*weight_ms / mean.half_life_ms)),
                    latency: mean.latency / (1.0 - half(*segments / mean.half_life_segments)),
                };
                means.iter().map(corrected).fold(None, cautious)
            }
        };
        estimate.unwrap_or(sample)
    }
}

/// 0.5^lives. The base is hidden from the compiler, which would make exp2 of it: that differs from
/// the reference's pow in the last digit, and an estimate that was exact becomes one too high.
fn half(lives: f64) -> f64 {
    std::hint::black_box(0.5_f64).powf(lives)
}

fn mean_of_last(samples: &[Estimate], window: usize) -> Estimate {
    let last = samples.get(samples.len().saturating_sub(window)..).unwrap_or(samples);
    let count = last.len() as f64;
    let sum = |part: fn(&Estimate) -> f64| last.iter().map(part).fold(0.0, |sum, one| sum + one);
    Estimate {
        throughput: sum(|one| one.throughput) / count,
        latency: sum(|one| one.latency) / count,
    }
}
