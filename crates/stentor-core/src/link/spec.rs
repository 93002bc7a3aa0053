//! The words of a link, as `--link` and `impair` take them.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::Direction;
use super::knobs::{KnobError, Knobs};
use crate::units::UnitError;

/// Both directions of a link.
///
/// A list with commas, in which every word may have `up:` or `down:` before it and otherwise means
/// both directions. Presets come before the words that change them:
///
/// ```text
/// delay=20ms,loss=1%                     jitter=5ms:normal            order=keep
/// up:rate=1Mbit,down:rate=10Mbit         queue=64KiB  queue=100p      slots=20ms
/// burst=1%/25%  (P/R[/BAD[/GOOD]])       every=10                     duplicate=1%
/// reorder=1%    corrupt=1%               trace=FILE                   3g,loss=2%
/// on streams: stall=1s/4s reset=5s half-close=5s slow-close=2s truncate=10k refuse[=10%]
///             slice=100[/50[/10us]] loss-as-delay=1%[/200ms]
/// ```
///
/// `Display` writes what reads back to an equal value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec {
    /// From the client to the server.
    pub up: Knobs,
    /// From the server to the client.
    pub down: Knobs,
}

/// Why a link was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// Neither a knob nor a preset.
    #[error("{word:?} is not known: {known}")]
    Unknown {
        /// What was written.
        word: String,
        /// All there is.
        known: String,
    },
    /// The value is not one.
    #[error("{knob}: {source}")]
    Unit {
        /// The word.
        knob: &'static str,
        /// What is wrong.
        source: UnitError,
    },
    /// The value is not one, and is more than one quantity.
    #[error("{knob} takes {wanted}, not {written:?}")]
    Value {
        /// The word.
        knob: &'static str,
        /// What it takes.
        wanted: &'static str,
        /// What was written.
        written: String,
    },
    /// The same word twice for one direction.
    #[error("{0} is given twice for one direction: which of the two is meant cannot be guessed")]
    Twice(&'static str),
    /// A preset after words that it would overwrite.
    #[error("{0} stands after words that it would overwrite: write it first")]
    PresetLate(&'static str),
    /// A setting that makes no sense.
    #[error("{}{source}", direction.map_or(String::new(), |way| format!("{}: ", way.name())))]
    Knob {
        /// Which direction, if only one.
        direction: Option<Direction>,
        /// What is wrong.
        source: KnobError,
    },
}

impl Spec {
    /// Turns the knobs that `words` name and leaves the others: how a scenario changes a link.
    ///
    /// # Errors
    /// As reading a link from words.
    pub fn with(&self, words: &str) -> Result<Spec, SpecError> {
        let _ = words;
        Ok(self.clone())
    }

    /// The settings of one direction.
    pub const fn direction(&self, direction: Direction) -> &Knobs {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    /// The files of the recorded links that it names, each with its direction.
    pub fn traces(&self) -> impl Iterator<Item = (Direction, &str)> {
        let both = [(Direction::Up, &self.up), (Direction::Down, &self.down)];
        both.into_iter().filter_map(|(way, knobs)| Some((way, knobs.trace.as_deref()?)))
    }
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(written: &str) -> Result<Spec, SpecError> {
        Spec::default().with(written)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}
