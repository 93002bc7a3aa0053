//! Reading numbers out of JSON so that an error says where it stands: its line, its key, and which
//! one it is.
//!
//! What is read is bounded while it is read: an array that is too long is refused at the first number
//! too many.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, Expected, MapAccess, SeqAccess, Visitor};
use thiserror::Error;

/// The most characters of a reason that are shown: a string of megabytes may stand where a number should.
const REASON_MAX: usize = 200;

/// Why a file of JSON is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct Malformed {
    /// From 1.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
    /// What is wrong there.
    pub reason: String,
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Malformed {
        let (line, column) = (error.line(), error.column());
        let said = error.to_string();
        let said = said.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&said);
        let mut reason: String = said.chars().take(REASON_MAX).collect();
        if reason.len() < said.len() {
            reason.push('…');
        }
        Malformed { line, column, reason }
    }
}

/// Which number it is, such as `segment_sizes_bits[3][0]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The key that it belongs to.
    pub(super) key: &'static str,
    /// Its numbers from 0, the outer one first.
    pub(super) indices: [Option<usize>; 2],
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key)?;
        self.indices.iter().flatten().try_for_each(|index| write!(f, "[{index}]"))
    }
}

/// A number from `least` to `most`; the least itself only if `with_least`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub(super) place: Place,
    pub(super) least: f64,
    pub(super) with_least: bool,
    pub(super) most: f64,
}

impl Number {
    /// A number above 0.
    pub(super) fn positive(place: Place) -> Number {
        Number { place, least: 0.0, with_least: false, most: f64::MAX }
    }
}

impl<'de> DeserializeSeed<'de> for Number {
    type Value = f64;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<f64, D::Error> {
        from.deserialize_f64(self)
    }
}

impl Visitor<'_> for Number {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Number { place, least, with_least, most } = self;
        match with_least {
            true => write!(f, "a number of at least {least}")?,
            false => write!(f, "a number above {least}")?,
        }
        if *most < f64::MAX {
            write!(f, " and at most {most}")?;
        }
        write!(f, " for {place}")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
        let high_enough = number > self.least || (self.with_least && number >= self.least);
        match high_enough && number <= self.most {
            true => Ok(number),
            false => Err(E::custom(format!("{number} is not {}", &self as &dyn Expected))),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<f64, E> {
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
        self.visit_f64(number as f64)
    }
}

/// An array of things, each read by a seed that its number makes; at least one, at most `most`.
pub(super) struct Array<F, T> {
    place: Place,
    most: usize,
    seed: F,
    of: PhantomData<T>,
}

impl<F, T> Array<F, T> {
    pub(super) fn new(place: Place, most: usize, seed: F) -> Array<F, T> {
        Array { place, most, seed, of: PhantomData }
    }
}

impl<'de, F: Fn(usize) -> S, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Array<F, S> {
    type Value = Vec<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, F: Fn(usize) -> S, S: DeserializeSeed<'de>> Visitor<'de> for Array<F, S> {
    type Value = Vec<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array for {}", self.place)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = from.next_element_seed((self.seed)(all.len()))? {
            if all.len() == self.most {
                let Array { place, most, .. } = self;
                return Err(A::Error::custom(format!("{place} has more than {most} elements")));
            }
            all.push(one);
        }
        match all.is_empty() {
            false => Ok(all),
            true => Err(A::Error::custom(format!("{} is empty", self.place))),
        }
    }
}

/// Reads the value of `key` into its place, once.
pub(super) fn once<'de, A: MapAccess<'de>, S: DeserializeSeed<'de>>(
    from: &mut A,
    key: Place,
    into: &mut Option<S::Value>,
    seed: S,
) -> Result<(), A::Error> {
    if into.is_some() {
        return Err(A::Error::custom(format!("{key} stands here twice")));
    }
    *into = Some(from.next_value_seed(seed)?);
    Ok(())
}

/// What must stand in an object.
pub(super) fn needed<T, E: Error>(found: Option<T>, key: Place) -> Result<T, E> {
    found.ok_or_else(|| E::custom(format!("{key} is missing")))
}
