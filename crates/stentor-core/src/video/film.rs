//! A film as a player sees it: qualities, and chunks with their durations and exact sizes.
//!
//! Reading and writing its JSON is left to the roof, drawing it to [`super::mp4`].

use std::time::Duration;

use thiserror::Error;

use crate::seed::Dice;
use crate::units::BitRate;

/// The most chunks of a film: twelve days of chunks of one second.
pub const CHUNKS_MAX: usize = 1 << 20;
/// The most qualities of a film.
pub const QUALITIES_MAX: usize = 64;
/// The largest chunk, in bytes: the sizes of boxes in MP4 have 32 bits.
pub const CHUNK_BYTES_MAX: u64 = 0xffff_ffff;

/// A film; it has at least one quality and one chunk, and its qualities rise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Film {
    rates: Vec<BitRate>,
    chunks: Vec<Chunk>,
}

/// A stretch of the film that is fetched at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// How long it plays.
    pub duration: Duration,
    /// Its size in bytes in each quality.
    pub bytes: Vec<u64>,
}

/// Why something is no film.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum FilmError {
    /// None at all, or too many.
    #[error("a film has 1 to {QUALITIES_MAX} qualities, not {0}")]
    Qualities(usize),
    /// A rate of nothing, or one that is not above the one before.
    #[error("quality {quality} has {rate}, which must be more than the one before")]
    Rate {
        /// From 0.
        quality: usize,
        /// As given.
        rate: BitRate,
    },
    /// None at all, or too many.
    #[error("a film has 1 to {CHUNKS_MAX} chunks, not {0}")]
    Chunks(usize),
    /// A chunk without a size for each quality.
    #[error("chunk {chunk} has {found} sizes, and the film {qualities} qualities")]
    Sizes {
        /// From 0.
        chunk: usize,
        /// How many it has.
        found: usize,
        /// How many it should have.
        qualities: usize,
    },
    /// A chunk of nothing, or one that is too large.
    #[error(
        "chunk {chunk} has {bytes} bytes in quality {quality}: 1 to {CHUNK_BYTES_MAX} are possible"
    )]
    Bytes {
        /// From 0.
        chunk: usize,
        /// From 0.
        quality: usize,
        /// As given.
        bytes: u64,
    },
    /// A chunk that plays no time, or more than an hour.
    #[error("chunk {chunk} plays {} s: more than 0 and at most 3600 are possible", .duration.as_secs_f64())]
    Duration {
        /// From 0.
        chunk: usize,
        /// As given.
        duration: Duration,
    },
    /// A number of seconds, bits or chunks that is none.
    #[error("{what} is {number}: {wanted}")]
    Number {
        /// Which one.
        what: &'static str,
        /// As given.
        number: f64,
        /// What it should be.
        wanted: &'static str,
    },
}

impl Film {
    /// Makes a film of its qualities' rates and its chunks.
    ///
    /// # Errors
    /// When a promise of [`Film`] would be broken.
    pub fn new(rates: Vec<BitRate>, chunks: Vec<Chunk>) -> Result<Film, FilmError> {
        if !(1..=QUALITIES_MAX).contains(&rates.len()) {
            return Err(FilmError::Qualities(rates.len()));
        }
        let mut before = 0;
        for (quality, rate) in rates.iter().enumerate() {
            if rate.0 <= before {
                return Err(FilmError::Rate { quality, rate: *rate });
            }
            before = rate.0;
        }
        if !(1..=CHUNKS_MAX).contains(&chunks.len()) {
            return Err(FilmError::Chunks(chunks.len()));
        }
        for (index, chunk) in chunks.iter().enumerate() {
            chunk.check(index, rates.len())?;
        }
        Ok(Film { rates, chunks })
    }

    /// Makes a film of the numbers in a film's JSON: milliseconds, kbit/s, and bits per chunk and
    /// quality. A size is rounded up to whole bytes, since nothing else can be sent.
    ///
    /// # Errors
    /// When a number is not one, or a promise of [`Film`] would be broken.
    pub fn from_json_numbers(
        chunk_ms: f64,
        rates_kbps: &[f64],
        sizes_bits: &[Vec<f64>],
    ) -> Result<Film, FilmError> {
        let nanoseconds = positive("the duration of a chunk in ms", chunk_ms * 1e6)?;
        let duration = Duration::from_nanos(nanoseconds);
        let rate = |kbps: &f64| positive("a bit rate in kbit/s", kbps * 1e3).map(BitRate);
        let bytes = |bits: &f64| positive("a size in bits", (bits / 8.0).ceil());
        let chunk = |sizes: &Vec<f64>| {
            let bytes = sizes.iter().map(bytes).collect::<Result<_, _>>()?;
            Ok(Chunk { duration, bytes })
        };
        let rates = rates_kbps.iter().map(rate).collect::<Result<_, _>>()?;
        let chunks = sizes_bits.iter().map(chunk).collect::<Result<_, FilmError>>()?;
        Film::new(rates, chunks)
    }

    /// Makes a film whose chunks all have exactly their rates' sizes, up to a byte.
    ///
    /// # Errors
    /// When a promise of [`Film`] would be broken.
    pub fn even(rates: &[BitRate], chunk: Duration, count: usize) -> Result<Film, FilmError> {
        if count > CHUNKS_MAX {
            return Err(FilmError::Chunks(count));
        }
        let bytes = rates.iter().map(|rate| size(*rate, chunk, 1.0)).collect();
        let chunk = Chunk { duration: chunk, bytes };
        Film::new(rates.to_vec(), vec![chunk; count])
    }

    /// How many qualities there are; at least 1.
    pub fn qualities(&self) -> usize {
        self.rates.len()
    }

    /// The chunks in their order; at least one.
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// The rates of the qualities, rising.
    pub fn rates(&self) -> &[BitRate] {
        &self.rates
    }

    /// The rate of a quality in bit/s; that of the highest for one above it.
    pub fn rate_bps(&self, quality: usize) -> f64 {
        let rate = self.rates.get(quality).or(self.rates.last());
        rate.map_or(0.0, |rate| rate.0 as f64)
    }

    /// How long a chunk plays; nothing after the end.
    pub fn duration(&self, chunk: usize) -> Duration {
        self.chunks.get(chunk).map_or(Duration::ZERO, |chunk| chunk.duration)
    }

    /// The size of a chunk, in bytes; 0 outside the film.
    pub fn bytes(&self, chunk: usize, quality: usize) -> u64 {
        self.chunks.get(chunk).and_then(|chunk| chunk.bytes.get(quality)).copied().unwrap_or(0)
    }

    /// How long the film plays.
    pub fn length(&self) -> Duration {
        self.chunks.iter().map(|chunk| chunk.duration).sum()
    }
}

impl Chunk {
    fn check(&self, chunk: usize, qualities: usize) -> Result<(), FilmError> {
        if self.bytes.len() != qualities {
            return Err(FilmError::Sizes { chunk, found: self.bytes.len(), qualities });
        }
        if self.duration.is_zero() || self.duration > Duration::from_secs(3600) {
            return Err(FilmError::Duration { chunk, duration: self.duration });
        }
        let odd = self.bytes.iter().position(|bytes| !(1..=CHUNK_BYTES_MAX).contains(bytes));
        match odd {
            None => Ok(()),
            Some(quality) => {
                let bytes = self.bytes.get(quality).copied().unwrap_or(0);
                Err(FilmError::Bytes { chunk, quality, bytes })
            }
        }
    }
}

/// A number above 0 as whole units.
fn positive(what: &'static str, number: f64) -> Result<u64, FilmError> {
    let wanted = "a number above 0 that fits is needed";
    match (0.5..9e18).contains(&number) {
        true => Ok(whole(number)),
        false => Err(FilmError::Number { what, number, wanted }),
    }
}

/// The bytes of a chunk, `factor` times those of its rate; at least one.
fn size(rate: BitRate, chunk: Duration, factor: f64) -> u64 {
    whole(rate.0 as f64 * chunk.as_secs_f64() / 8.0 * factor).max(1)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and what is too much is refused by the caller"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// What a film is generated from.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The rates of the qualities, rising.
    pub rates: Vec<BitRate>,
    /// How long each chunk plays.
    pub chunk: Duration,
    /// How many chunks there are.
    pub count: usize,
    /// How far sizes stray from their rates: 0 not at all, 0.5 by half at most.
    pub variation: f64,
}

/// The films with a name: what they are for, and what they are made of.
pub const PRESETS: [(&str, &str); 4] = [
    ("lecture", "the lecture's buffer: 120 chunks of 1 s, one quality of 1 Mbit/s, all alike"),
    ("ladder", "60 chunks of 2 s in six qualities from 200 kbit/s to 6 Mbit/s, sizes vary"),
    ("short", "10 chunks of 1 s in three qualities from 100 to 800 kbit/s, all alike"),
    ("hour", "900 chunks of 4 s in five qualities from 300 kbit/s to 8 Mbit/s, sizes vary"),
];

impl Plan {
    /// The plan of a preset: one of [`PRESETS`].
    pub fn preset(name: &str) -> Option<Plan> {
        let (rates_kbps, chunk_s, count, variation): (&[u64], u64, usize, f64) = match name {
            "lecture" => (&[1000], 1, 120, 0.0),
            "ladder" => (&[200, 400, 800, 1500, 3000, 6000], 2, 60, 0.4),
            "short" => (&[100, 300, 800], 1, 10, 0.0),
            "hour" => (&[300, 750, 1500, 3500, 8000], 4, 900, 0.4),
            _ => return None,
        };
        let rates = rates_kbps.iter().map(|kbps| BitRate(kbps * 1000)).collect();
        Some(Plan { rates, chunk: Duration::from_secs(chunk_s), count, variation })
    }

    /// Generates the film: a scene that is hard to code is so in every quality, up to a tenth.
    ///
    /// # Errors
    /// When a promise of [`Film`] would be broken, or the variation is not from 0 up to 0.9.
    pub fn generate(&self, dice: &mut Dice) -> Result<Film, FilmError> {
        if !(0.0..=0.9).contains(&self.variation) {
            let wanted = "0 to 0.9 is possible";
            let number = self.variation;
            return Err(FilmError::Number { what: "the variation", number, wanted });
        }
        if self.count > CHUNKS_MAX {
            return Err(FilmError::Chunks(self.count));
        }
        let mut chunk = || {
            let scene = 1.0 + self.variation * (2.0 * dice.unit() - 1.0);
            let size = |rate: &BitRate| {
                let own = 1.0 + self.variation * 0.1 * (2.0 * dice.unit() - 1.0);
                size(*rate, self.chunk, scene * own)
            };
            Chunk { duration: self.chunk, bytes: self.rates.iter().map(size).collect() }
        };
        Film::new(self.rates.clone(), (0..self.count).map(|_| chunk()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn films_are_made_of_a_file_s_numbers() {
        let film = Film::from_json_numbers(2000.0, &[200.0, 0.5], &[vec![8.0, 9.0]]);
        assert_eq!(film, Err(FilmError::Rate { quality: 1, rate: BitRate(500) }));
        let film = Film::from_json_numbers(2000.0, &[0.5, 200.0], &[vec![8.0, 9.0]]).unwrap();
        assert_eq!((film.bytes(0, 0), film.bytes(0, 1), film.bytes(1, 0)), (1, 2, 0));
        assert_eq!(film.length(), Duration::from_secs(2));
        assert_eq!((film.rate_bps(0), film.rate_bps(9)), (500.0, 200e3));
    }

    #[test]
    fn what_is_no_film_is_refused() {
        let check = |ms: f64, rates: &[f64], sizes: &[Vec<f64>], said: &str| {
            let error = Film::from_json_numbers(ms, rates, sizes).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        };
        check(0.0, &[1.0], &[vec![8.0]], "the duration of a chunk in ms is 0");
        check(f64::NAN, &[1.0], &[vec![8.0]], "NaN");
        check(1e9, &[1.0], &[vec![8.0]], "chunk 0 plays 1000000 s");
        check(1.0, &[], &[vec![]], "1 to 64 qualities, not 0");
        check(1.0, &[1.0], &[], "1 to 1048576 chunks, not 0");
        check(1.0, &[2.0, 2.0], &[vec![8.0, 8.0]], "quality 1 has 2kbit, which must be more");
        check(1.0, &[1.0, 2.0], &[vec![8.0]], "chunk 0 has 1 sizes, and the film 2 qualities");
        check(1.0, &[1.0], &[vec![-8.0]], "a size in bits is -1");
        check(1.0, &[1.0], &[vec![1e12]], "chunk 0 has 125000000000 bytes in quality 0");
    }

    #[test]
    fn every_preset_is_a_film_and_its_luck_repeats() {
        for (name, _) in PRESETS {
            let plan = Plan::preset(name).unwrap();
            let film = |seed| plan.generate(&mut Dice::new(Seed(seed), "film")).unwrap();
            assert_eq!(film(1), film(1), "{name}");
            assert_eq!(film(1) == film(2), plan.variation == 0.0, "{name}");
            for (quality, rate) in plan.rates.iter().enumerate() {
                let bytes: u64 = film(1).chunks().iter().map(|chunk| chunk.bytes[quality]).sum();
                let mean = bytes as f64 * 8.0 / film(1).length().as_secs_f64();
                assert!((mean / rate.0 as f64 - 1.0).abs() < 0.15, "{name} {quality}: {mean}");
            }
        }
        assert_eq!(Plan::preset("none"), None);
    }

    #[test]
    fn even_films_have_their_rate() {
        let film = Film::even(&[BitRate(1_000_000)], Duration::from_secs(1), 120).unwrap();
        assert_eq!((film.bytes(7, 0), film.chunks().len()), (125_000, 120));
    }
}
