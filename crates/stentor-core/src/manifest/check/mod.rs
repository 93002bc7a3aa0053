//! Whether a manifest and its segments keep the rules, with the clause of each.
//!
//! Texts are checked as they are written ([`hls`], [`dash`]), so that every finding has a place;
//! what was measured of the segments is checked against what is declared ([`measured`]), and how
//! they came against what their protocol asks ([`delivered`]). Fetching and measuring are left to the
//! roof. RFC 8216 is HLS; ISO/IEC 23009-1 is DASH.

mod dash;
mod delivery;
mod hls;
mod measured;
mod places;
mod rules;

#[cfg(test)]
mod tests;

pub use dash::dash;
pub use delivery::{
    Delivery, Reply, What, delivered, encoding, initialization, not_media, segment,
};
pub use hls::hls;
pub use measured::{Measured, Told, combined_bps, measured};
pub use places::{
    Rendition, Representation, Variant, playlist_lines, renditions, representations, variants,
};
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
    /// Of what, if not of the text.
    pub part: Part,
    /// What was found instead.
    pub found: String,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// The text, or all of what was checked.
    #[default]
    Whole,
    /// A track, from 0.
    Track(usize),
    /// A segment.
    Segment {
        /// Of this track, from 0.
        track: usize,
        /// From 0, in the order of the manifest.
        segment: usize,
    },
}

/// The findings of one text, no more than [`FINDINGS_MAX`].
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, rule: &'static Rule, place: Option<Place>, found: impl Into<String>) {
        self.push(Finding { rule, place, part: Part::Whole, found: found.into() });
    }

    fn of(&mut self, part: Part, rule: &'static Rule, found: impl Into<String>) {
        self.push(Finding { rule, place: None, part, found: found.into() });
    }

    fn push(&mut self, mut finding: Finding) {
        if self.0.len() < FINDINGS_MAX {
            finding.found = finding.found.chars().take(200).collect();
            self.0.push(finding);
        }
    }
}
