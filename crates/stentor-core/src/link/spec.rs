//! A link as a person writes it: what `--link` and `impair` take. The single words are in `words`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::Direction;
use super::knobs::{KnobError, Knobs};
use super::preset::PRESETS;
use super::words::{Fault, WORDS};
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
    /// Turns the knobs that `words` name and leaves the others: how a scenario changes a link. A
    /// preset turns all knobs of its direction, and stands first; `none` turns off what has no zero
    /// (`rate=none`).
    ///
    /// # Errors
    /// As reading a link from words.
    pub fn with(&self, words: &str) -> Result<Spec, SpecError> {
        let mut spec = self.clone();
        let mut seen: Vec<(Direction, &'static str)> = Vec::new();
        for word in words.split_terminator(',') {
            spec.turn(word.trim(), &mut seen)?;
        }
        spec.check()?;
        Ok(spec)
    }

    /// Checks the settings of both directions, as [`Knobs::check`] does.
    ///
    /// # Errors
    /// The first setting that makes no sense, and in which direction.
    pub fn check(&self) -> Result<(), SpecError> {
        let refused = |direction, source| SpecError::Knob { direction, source };
        match (self.up.check(), self.down.check()) {
            (Ok(()), Ok(())) => Ok(()),
            (Err(up), Err(down)) if up == down => Err(refused(None, up)),
            (Err(up), _) => Err(refused(Some(Direction::Up), up)),
            (_, Err(down)) => Err(refused(Some(Direction::Down), down)),
        }
    }

    /// Whether the link changes nothing, in either direction.
    pub fn is_plain(&self) -> bool {
        self.up.is_plain() && self.down.is_plain()
    }

    fn turn(
        &mut self,
        word: &str,
        seen: &mut Vec<(Direction, &'static str)>,
    ) -> Result<(), SpecError> {
        let (ways, rest): (&[Direction], &str) = match word.split_once(':') {
            Some(("up", rest)) => (&[Direction::Up], rest),
            Some(("down", rest)) => (&[Direction::Down], rest),
            _ => (&[Direction::Up, Direction::Down], word),
        };
        if let Some(preset) = PRESETS.iter().find(|preset| preset.name == rest) {
            let known: Spec = preset.words.parse()?;
            for way in ways {
                if seen.iter().any(|(other, _)| other == way) {
                    return Err(SpecError::PresetLate(preset.name));
                }
                seen.push((*way, preset.name));
                *self.direction_mut(*way) = known.direction(*way).clone();
            }
            return Ok(());
        }
        let (name, value) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (rest, None),
        };
        let word = WORDS.iter().find(|word| word.name == name);
        let word =
            word.ok_or_else(|| SpecError::Unknown { word: rest.to_owned(), known: known() })?;
        for way in ways {
            if seen.contains(&(*way, word.name)) {
                return Err(SpecError::Twice(word.name));
            }
            seen.push((*way, word.name));
            (word.read)(self.direction_mut(*way), value).map_err(|fault| match fault {
                Fault::Unit(source) => SpecError::Unit { knob: word.name, source },
                Fault::Shape => SpecError::Value {
                    knob: word.name,
                    wanted: word.wanted,
                    written: value.unwrap_or_default().to_owned(),
                },
            })?;
        }
        Ok(())
    }

    const fn direction_mut(&mut self, direction: Direction) -> &mut Knobs {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for word in &WORDS {
            let name = word.name;
            let mut write = |way: &str, value: Option<String>| {
                let Some(value) = value else { return Ok(()) };
                let equals = if value.is_empty() { "" } else { "=" };
                write!(f, "{comma}{way}{name}{equals}{value}")?;
                comma = ",";
                Ok(())
            };
            match ((word.write)(&self.up), (word.write)(&self.down)) {
                (up, down) if up == down => write("", up)?,
                (up, down) => {
                    write("up:", up)?;
                    write("down:", down)?;
                }
            }
        }
        Ok(())
    }
}

/// Everything that may be written, for a person who wrote something else.
fn known() -> String {
    let words: Vec<&str> = WORDS.iter().map(|word| word.name).collect();
    let presets: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    format!(
        "write {}, or a preset: {}; up: or down: before a word limits it to one direction",
        words.join(", "),
        presets.join(", ")
    )
}

#[cfg(test)]
mod tests;
