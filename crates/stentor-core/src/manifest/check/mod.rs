//! Whether a manifest and its segments keep the rules, with the clause of each.
//!
//! Texts are checked as they are written ([`hls`], [`dash`]), so that every finding has a place;
//! what was measured of the segments is checked against what is declared ([`measured`]). Fetching and
//! measuring are left to the roof. RFC 8216 is HLS; ISO/IEC 23009-1 is DASH.

mod dash;
mod hls;
mod measured;
mod rules;

#[cfg(test)]
mod tests;

pub use dash::dash;
pub use hls::hls;
pub use measured::{Measured, measured};
pub use rules::RULES;

use super::Place;

/// The most findings of one text: a broken generator repeats itself.
pub const FINDINGS_MAX: usize = 200;

/// A rule of a standard.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its short name, such as `extinf-above-target`.
    pub name: &'static str,
    /// Where it stands, such as `RFC 8216, 4.3.3.1`.
    pub clause: &'static str,
    /// What it demands.
    pub demands: &'static str,
    /// Whether players may rely on it (MUST, shall), or it is advice (SHOULD, should).
    pub must: bool,
}

/// A rule that is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which.
    pub rule: &'static Rule,
    /// Where in the text; `None` for what was measured.
    pub place: Option<Place>,
    /// What was found instead.
    pub found: String,
}

/// The findings of one text, no more than [`FINDINGS_MAX`].
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, rule: &'static Rule, place: Option<Place>, found: impl Into<String>) {
        if self.0.len() < FINDINGS_MAX {
            let found: String = found.into().chars().take(200).collect();
            self.0.push(Finding { rule, place, found });
        }
    }
}
