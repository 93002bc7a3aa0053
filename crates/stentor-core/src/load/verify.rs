//! What a reply must be.
//!
//! What exactly is expected of a request with a number is in [`super::payload`], which makes it
//! once for all requests where it can.

use regex::bytes::{Regex, RegexBuilder};
use thiserror::Error;

use crate::casing::Case;

/// How replies are checked.
#[derive(Clone, Debug)]
pub enum Verify {
    /// It is the upper case of the request.
    Upper(Case),
    /// It is the request.
    Echo,
    /// The pattern is found in it.
    Pattern(Pattern),
    /// Any reply will do; only that one comes is checked.
    Off,
}

/// A regular expression on bytes: `\d` is `0` to `9`, `.` any byte but LF.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// Why a pattern was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the pattern {written:?}: {why}")]
pub struct PatternError {
    /// As it was written.
    pub written: String,
    /// What is wrong, and what would do.
    pub why: String,
}

impl Pattern {
    /// Reads `written` in the syntax of the regex crate, on bytes and without Unicode classes.
    ///
    /// # Errors
    /// What the pattern's parser says, with the place.
    pub fn parse(written: &str) -> Result<Pattern, PatternError> {
        let refused = |error: regex::Error| PatternError {
            written: written.to_owned(),
            why: error.to_string(),
        };
        RegexBuilder::new(written).unicode(false).build().map(Pattern).map_err(refused)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is found in `bytes`.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }

    pub(super) fn regex(&self) -> &Regex {
        &self.0
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.as_str() == other.as_str()
    }
}
