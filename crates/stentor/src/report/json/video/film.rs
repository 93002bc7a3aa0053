//! A film as the reference simulator writes it: milliseconds, kbit/s and bits.

use serde::Serialize;
use stentor_core::video::film;

/// The mirror of a film whose chunks all play as long as the first.
#[derive(Debug, Serialize)]
pub struct Film {
    /// How long a chunk plays.
    pub segment_duration_ms: Number,
    /// The rates of the qualities, rising.
    pub bitrates_kbps: Vec<Number>,
    /// For each chunk its size in each quality.
    pub segment_sizes_bits: Vec<Vec<u64>>,
}

/// A number without a point where it has no fraction.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum Number {
    /// A whole one.
    Whole(u64),
    /// Any other.
    Fraction(f64),
}

impl Number {
    /// A thousandth of `number`, or what `unit` is.
    fn of(number: u128, unit: u128) -> Number {
        match u64::try_from(number / unit) {
            Ok(whole) if number.is_multiple_of(unit) => Number::Whole(whole),
            _ => Number::Fraction(number as f64 / unit as f64),
        }
    }
}

impl From<&film::Film> for Film {
    fn from(film: &film::Film) -> Film {
        let sizes = |chunk: &film::Chunk| chunk.bytes.iter().map(|bytes| bytes * 8).collect();
        Film {
            segment_duration_ms: Number::of(film.duration(0).as_nanos(), 1_000_000),
            bitrates_kbps: film
                .rates()
                .iter()
                .map(|rate| Number::of(rate.0.into(), 1000))
                .collect(),
            segment_sizes_bits: film.chunks().iter().map(sizes).collect(),
        }
    }
}

impl Film {
    /// It as text, with a newline at its end.
    pub fn text(&self) -> String {
        // Plain structs with string keys cannot fail to serialise.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}
