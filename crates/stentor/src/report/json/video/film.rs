//! A film as JSON, in the form of the reference simulator: `segment_duration_ms`, `bitrates_kbps`, and
//! for each segment its `segment_sizes_bits` in every quality.
//!
//! The origin serves it as `/film.json`, `stentor generate film` writes it, and whatever plays a film
//! reads it. Files and sockets are left to them.

use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use stentor_core::video::film::{CHUNKS_MAX, Film, FilmError, QUALITIES_MAX};
use stentor_core::video::sabre::Movie;
use thiserror::Error;

use super::numbers::{Array, Malformed, Number, Place, needed, once};

/// The longest text that is read, in bytes: a film of the most chunks in six qualities.
pub const BYTES_MAX: u64 = 64 << 20;

const DURATION: &str = "segment_duration_ms";
const RATES: &str = "bitrates_kbps";
const SIZES: &str = "segment_sizes_bits";

/// The numbers of a film's JSON; they are finite and above 0, and nothing else is known of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// How long each segment plays, in milliseconds.
    pub segment_duration_ms: f64,
    /// The rate of each quality, in kbit/s.
    pub bitrates_kbps: Vec<f64>,
    /// For each segment its size in each quality, in bits.
    pub segment_sizes_bits: Vec<Vec<f64>>,
}

/// Why a film cannot be written: the form has one duration for all segments.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "chunk {chunk} plays {} s and the others {} s: this form of JSON has one duration for all of them",
    .duration.as_secs_f64(), .others.as_secs_f64()
)]
pub struct Uneven {
    /// From 0.
    chunk: usize,
    /// How long it plays.
    duration: Duration,
    /// How long those before it play.
    others: Duration,
}

impl Numbers {
    /// Reads the text of a film.
    ///
    /// # Errors
    /// What is not JSON, or another JSON than a film's: where, and what should be there.
    pub fn read(text: &[u8]) -> Result<Numbers, Malformed> {
        let mut from = serde_json::Deserializer::from_slice(text);
        let numbers = from.deserialize_any(Object)?;
        from.end()?;
        Ok(numbers)
    }

    /// The numbers of a film.
    ///
    /// # Errors
    /// When its chunks do not all play equally long; the last one may be shorter, and plays as long as
    /// the others for whoever reads this.
    pub fn of(film: &Film) -> Result<Numbers, Uneven> {
        let first = film.duration(0);
        let last = film.chunks().len() - 1;
        let mut chunks = film.chunks().iter().map(|chunk| chunk.duration).enumerate();
        let odd =
            chunks.find(|(chunk, length)| *length != first && (*chunk < last || *length > first));
        if let Some((chunk, duration)) = odd {
            return Err(Uneven { chunk, duration, others: first });
        }
        let bits = |bytes: &u64| *bytes as f64 * 8.0;
        let sizes = film.chunks().iter().map(|chunk| chunk.bytes.iter().map(bits).collect());
        Ok(Numbers {
            segment_duration_ms: first.as_nanos() as f64 / 1e6,
            bitrates_kbps: film.rates().iter().map(|rate| rate.0 as f64 / 1e3).collect(),
            segment_sizes_bits: sizes.collect(),
        })
    }

    /// The film that they describe.
    ///
    /// # Errors
    /// When they describe none: qualities that do not rise, a segment without a size.
    pub fn film(&self) -> Result<Film, FilmError> {
        let Numbers { segment_duration_ms, bitrates_kbps, segment_sizes_bits } = self;
        Film::from_json_numbers(*segment_duration_ms, bitrates_kbps, segment_sizes_bits)
    }

    /// The same as the reference takes it: nothing is rounded.
    pub fn movie(self) -> Movie {
        Movie {
            segment_ms: self.segment_duration_ms,
            bitrates_kbps: self.bitrates_kbps,
            sizes_bits: self.segment_sizes_bits,
        }
    }

    /// The text, in one line, with a newline at its end.
    pub fn text(&self) -> String {
        // Finite numbers with string keys cannot fail to serialise.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

/// A number as people write it: without `.0` where it is whole.
struct Plain(f64);

impl Serialize for Plain {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "only whole numbers that fit are written as such"
    )]
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            number if number.fract() == 0.0 && (0.0..9e15).contains(&number) => {
                to.serialize_u64(number as u64)
            }
            number => to.serialize_f64(number),
        }
    }
}

struct Row<'a>(&'a [f64]);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(|number| Plain(*number)))
    }
}

struct Rows<'a>(&'a [Vec<f64>]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(|row| Row(row)))
    }
}

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut object = to.serialize_struct("Film", 3)?;
        object.serialize_field(DURATION, &Plain(self.segment_duration_ms))?;
        object.serialize_field(RATES, &Row(&self.bitrates_kbps))?;
        object.serialize_field(SIZES, &Rows(&self.segment_sizes_bits))?;
        object.end()
    }
}

fn place(key: &'static str, indices: [Option<usize>; 2]) -> Place {
    Place { key, indices }
}

fn number(key: &'static str, indices: [Option<usize>; 2]) -> Number {
    Number::positive(place(key, indices))
}

/// The whole file.
struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Numbers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a film, which is an object with {DURATION}, {RATES} and {SIZES}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Numbers, A::Error> {
        let (mut duration, mut rates, mut sizes) = (None, None, None);
        let [of_duration, of_rates, of_sizes] =
            [DURATION, RATES, SIZES].map(|key| place(key, [None, None]));
        while let Some(key) = from.next_key::<String>()? {
            match key.as_str() {
                DURATION => {
                    once(&mut from, of_duration, &mut duration, Number::positive(of_duration))?;
                }
                RATES => {
                    let rate = |quality| number(RATES, [Some(quality), None]);
                    let seed = Array::new(of_rates, QUALITIES_MAX, rate);
                    once(&mut from, of_rates, &mut rates, seed)?;
                }
                SIZES => {
                    let row = |segment| Sizes { segment };
                    let seed = Array::new(of_sizes, CHUNKS_MAX, row);
                    once(&mut from, of_sizes, &mut sizes, seed)?;
                }
                _ => _ = from.next_value::<IgnoredAny>()?,
            }
        }
        Ok(Numbers {
            segment_duration_ms: needed(duration, of_duration)?,
            bitrates_kbps: needed(rates, of_rates)?,
            segment_sizes_bits: needed(sizes, of_sizes)?,
        })
    }
}

/// The sizes of a segment.
struct Sizes {
    segment: usize,
}

impl<'de> DeserializeSeed<'de> for Sizes {
    type Value = Vec<f64>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Vec<f64>, D::Error> {
        let size = |quality| number(SIZES, [Some(self.segment), Some(quality)]);
        let here = place(SIZES, [Some(self.segment), None]);
        Array::new(here, QUALITIES_MAX, size).deserialize(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stentor_core::seed::{Dice, Seed};
    use stentor_core::video::film::{Chunk, PRESETS, Plan};

    #[test]
    fn every_preset_reads_back_as_it_was_written() {
        for (name, _) in PRESETS {
            let film = Plan::preset(name).unwrap().generate(&mut Dice::new(Seed(3), "film"));
            let film = film.unwrap();
            let text = Numbers::of(&film).unwrap().text();
            assert!(!text.contains(".0"), "{name}");
            assert_eq!(Numbers::read(text.as_bytes()).unwrap().film().unwrap(), film, "{name}");
        }
    }

    #[test]
    fn a_film_is_written_in_the_reference_s_form() {
        let film = Numbers {
            segment_duration_ms: 1500.5,
            bitrates_kbps: vec![0.25, 200.0],
            segment_sizes_bits: vec![vec![8.0, 16.0], vec![24.0, 32.5]],
        };
        let text = r#"{"segment_duration_ms":1500.5,"bitrates_kbps":[0.25,200],"segment_sizes_bits":[[8,16],[24,32.5]]}"#;
        assert_eq!(film.text(), format!("{text}\n"));
        assert_eq!(Numbers::read(text.as_bytes()).unwrap(), film);
        assert_eq!(film.movie().sizes_bits[1], [24.0, 32.5]);
    }

    #[test]
    fn only_the_last_chunk_may_be_shorter() {
        let film = |lengths_s: &[u64]| {
            let chunk = |s: &u64| Chunk { duration: Duration::from_secs(*s), bytes: vec![1] };
            let rates = vec![stentor_core::units::BitRate(8)];
            Film::new(rates, lengths_s.iter().map(chunk).collect()).unwrap()
        };
        assert_eq!(Numbers::of(&film(&[2, 2, 1])).unwrap().segment_duration_ms, 2000.0);
        let said = Numbers::of(&film(&[2, 1, 2])).unwrap_err().to_string();
        assert!(said.contains("chunk 1 plays 1 s and the others 2 s"), "{said}");
        assert!(Numbers::of(&film(&[2, 2, 3])).is_err());
    }

    #[test]
    fn what_is_no_film_is_refused_by_line_key_and_number() {
        let check = |text: &str, said: &str| {
            let error = Numbers::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        };
        let film = |sizes: &str| {
            format!(
                "{{\"segment_duration_ms\": 2000,\n \"bitrates_kbps\": [100],\n \
                 \"segment_sizes_bits\": {sizes}}}"
            )
        };
        check("", "line 1, column 0: EOF");
        check("[1]", "line 1, column 1: invalid type: sequence, expected a film");
        check("{", "line 1, column 1: EOF");
        check("{}", "segment_duration_ms is missing");
        check(
            "{\"segment_duration_ms\": -1}",
            "-1 is not a number above 0 for segment_duration_ms",
        );
        check("{\"segment_duration_ms\": NaN}", "line 1, column 25: expected value");
        check("{\"segment_duration_ms\": 1e999}", "number out of range");
        check("{\"bitrates_kbps\": [1, \"2\"]}", "expected a number above 0 for bitrates_kbps[1]");
        check("{\"bitrates_kbps\": []}", "bitrates_kbps is empty");
        check(
            "{\"bitrates_kbps\": [1], \"bitrates_kbps\": [1]}",
            "bitrates_kbps stands here twice",
        );
        check(&film("[[8], [0]]"), "0 is not a number above 0 for segment_sizes_bits[1][0]");
        check(&film("[[8], [0]]"), "line 3");
        check(&film("[[8], 9]"), "expected an array for segment_sizes_bits[1]");
        check(&film("[[8]]}"), "trailing characters");
        check(film("[[8],").trim_end_matches('}'), "line 3, column 28: EOF");
        let many = vec!["1"; QUALITIES_MAX + 1].join(",");
        check(&format!("{{\"bitrates_kbps\": [{many}]}}"), "bitrates_kbps has more than 64");
        let long = format!("{{\"bitrates_kbps\": [\"{}\"]}}", "x".repeat(100_000));
        assert!(Numbers::read(long.as_bytes()).unwrap_err().to_string().len() < 300);
        let unknown = film("[[8]], \"name\": {\"de\": [\"Film\"]}");
        assert_eq!(Numbers::read(unknown.as_bytes()).unwrap().segment_sizes_bits, [[8.0]]);
    }
}
