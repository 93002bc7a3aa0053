//! The same figures as Sabre, digit for digit, so that published results can be repeated.
//!
//! Sabre (Spiteri, Sitaraman and Sparacio, "From Theory to Practice: Improving Bitrate Adaptation
//! in the DASH Reference Player", MMSys 2018) is the reference simulator of adaptive bit rates; this
//! is its version of 2020-03-05. The order of every floating-point operation is the reference's, and
//! so are its known faults: an abandoned download's suggested quality is never used, start-up is
//! computed without latency, and a rebuffering of 0.000000 s can be counted as an event. Nothing
//! else uses this engine; the product's own is in [`crate::video::simulator`].
//!
//! Units are the reference's: milliseconds, bits, and so kbit/s. Reading JSON is left to the roof.

mod average;
mod network;
mod options;
mod playback;
mod report;
mod rules;
mod session;

#[cfg(test)]
mod tests;

use thiserror::Error;

pub use options::{Average, Options, OptionsError, Policy, Replace, parse};
pub use report::{Line, Report};

/// The most segments of a film that are simulated.
pub const SEGMENTS_MAX: usize = 1 << 20;
/// The most downloads for each segment before a session is called endless.
const DOWNLOADS_PER_SEGMENT_MAX: usize = 1000;

/// A film as the reference reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Movie {
    /// How long each segment plays, in milliseconds.
    pub segment_ms: f64,
    /// The bit rate of each quality, in kbit/s.
    pub bitrates_kbps: Vec<f64>,
    /// For each segment its size in each quality, in bits.
    pub sizes_bits: Vec<Vec<f64>>,
}

/// A stretch of a network's trace; after the last one the first comes again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Period {
    /// How long it lasts, in milliseconds.
    pub duration_ms: f64,
    /// How fast it is, in kbit/s.
    pub bandwidth_kbps: f64,
    /// What a request costs before its first bit, in milliseconds.
    pub latency_ms: f64,
}

/// Why there is no result; where the reference would crash or never end, the message says so.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SabreError {
    /// The film is not one.
    #[error("the film {0}")]
    Movie(String),
    /// The network is not one.
    #[error("the network {0}")]
    Network(String),
    /// An option that leads nowhere with this film.
    #[error("{0}")]
    Option(String),
    /// A division by zero, at which the reference ends with a traceback.
    #[error(
        "segment {segment}: the reference divides by zero here ({of}); a size or a duration is too \
         small"
    )]
    Division {
        /// Which segment was being downloaded, from 0.
        segment: usize,
        /// What is zero.
        of: &'static str,
    },
    /// The same segment is abandoned again and again.
    #[error(
        "segment {segment} is abandoned for ever: the reference never ends here; use -noa, or leave \
         out -noibr"
    )]
    Endless {
        /// Which segment, from 0.
        segment: usize,
    },
}

/// Plays `movie` over `network` as the reference does.
///
/// # Errors
/// When the film or the network makes no sense, or the reference would crash or never end.
pub fn simulate(
    options: &Options,
    movie: &Movie,
    network: &[Period],
) -> Result<Report, SabreError> {
    check_movie(movie)?;
    check_network(network)?;
    session::run(options, movie, network)
}

fn check_movie(movie: &Movie) -> Result<(), SabreError> {
    let refused = |what: String| Err(SabreError::Movie(what));
    let sound = |number: f64| number.is_finite() && number > 0.0;
    if !sound(movie.segment_ms) {
        return refused(format!("has segments of {} ms: more than 0 is needed", movie.segment_ms));
    }
    if movie.bitrates_kbps.is_empty() || movie.sizes_bits.is_empty() {
        return refused("has no qualities or no segments".to_owned());
    }
    if let Some(odd) = movie.bitrates_kbps.iter().find(|rate| !sound(**rate)) {
        return refused(format!("has a bit rate of {odd} kbit/s: more than 0 is needed"));
    }
    for (index, sizes) in movie.sizes_bits.iter().enumerate() {
        let (qualities, found) = (movie.bitrates_kbps.len(), sizes.len());
        if found != qualities {
            return refused(format!("has {found} sizes for segment {index}, not {qualities}"));
        }
        if let Some(odd) = sizes.iter().find(|size| !sound(**size)) {
            return refused(format!("has a size of {odd} bits in segment {index}"));
        }
    }
    match movie.sizes_bits.len() <= SEGMENTS_MAX {
        true => Ok(()),
        false => refused(format!("has more than {SEGMENTS_MAX} segments")),
    }
}

fn check_network(network: &[Period]) -> Result<(), SabreError> {
    let sound = |number: f64| number.is_finite() && number >= 0.0;
    for (index, period) in network.iter().enumerate() {
        let Period { duration_ms, bandwidth_kbps, latency_ms } = *period;
        if !(sound(duration_ms) && sound(bandwidth_kbps) && sound(latency_ms)) {
            return Err(SabreError::Network(format!(
                "has in period {index} {duration_ms} ms at {bandwidth_kbps} kbit/s with \
                 {latency_ms} ms: none of them may be negative"
            )));
        }
    }
    match network.iter().any(|period| period.duration_ms * period.bandwidth_kbps > 0.0) {
        true => Ok(()),
        false => Err(SabreError::Network("lets nothing through, in no period".to_owned())),
    }
}
