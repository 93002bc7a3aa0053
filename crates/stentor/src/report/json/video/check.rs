//! The mirror of a run of `video check`: schema `stentor.video-check/1`.

use schemars::JsonSchema;
use serde::Serialize;
use stentor_core::manifest::check::Finding as Found;

use crate::drive::video::check::{Extent, Figures, Manifest as Checked, Outcome, Plan};
use crate::report::video::check::force;

/// Name and version of the form.
pub const SCHEMA: &str = "stentor.video-check/1";

/// What was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Config {
    pub targets: Vec<String>,
    /// How many segments of each track; `null`: all.
    pub segments: Option<usize>,
    pub timeout_ns: u64,
    pub strict: bool,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Result {
    pub manifests: Vec<Manifest>,
    pub musts_broken: usize,
    pub advices: usize,
    pub bytes: u64,
    pub requests: u64,
    pub connections: u64,
    pub took_ns: u64,
    pub interrupted: bool,
}

/// A manifest, and what was found in it and behind it.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Manifest {
    pub name: String,
    pub url: String,
    pub kind: &'static str,
    pub findings: Vec<Finding>,
    pub tracks: Vec<Track>,
    pub notes: Vec<String>,
}

/// A rule that is not kept.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Finding {
    pub rule: &'static str,
    /// `must` or `should`.
    pub force: &'static str,
    pub clause: &'static str,
    pub demands: &'static str,
    pub line: Option<u32>,
    pub column: Option<u32>,
    pub found: String,
}

/// A quality: what it declares, and what it was measured to be.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Track {
    pub name: String,
    pub declared_peak_bps: Option<u64>,
    pub peak_bps: Option<u64>,
    pub declared_average_bps: Option<u64>,
    pub average_bps: Option<u64>,
    pub segments_fetched: usize,
    pub segments: usize,
    pub bytes: u64,
    pub longest_ns: Option<u64>,
    pub target_s: Option<u64>,
    pub unmeasured: Option<String>,
}

impl Config {
    /// What a plan asks for.
    pub fn new(plan: &Plan, strict: bool) -> Config {
        Config {
            targets: plan.targets.iter().map(ToString::to_string).collect(),
            segments: match plan.extent {
                Extent::All => None,
                Extent::First(count) => Some(count),
            },
            timeout_ns: nanoseconds(plan.silence_max),
            strict,
        }
    }
}

impl From<&Outcome> for Result {
    fn from(outcome: &Outcome) -> Result {
        let (musts_broken, advices) = outcome.counts();
        Result {
            manifests: outcome.manifests.iter().map(Manifest::from).collect(),
            musts_broken,
            advices,
            bytes: outcome.bytes,
            requests: outcome.requests,
            connections: outcome.connections,
            took_ns: nanoseconds(outcome.took),
            interrupted: outcome.interrupted(),
        }
    }
}

impl From<&Checked> for Manifest {
    fn from(manifest: &Checked) -> Manifest {
        Manifest {
            name: manifest.name.clone(),
            url: manifest.url.to_string(),
            kind: manifest.kind.name(),
            findings: manifest.findings.iter().map(Finding::from).collect(),
            tracks: manifest.tracks.iter().map(Track::from).collect(),
            notes: manifest.notes.clone(),
        }
    }
}

impl From<&Found> for Finding {
    fn from(finding: &Found) -> Finding {
        Finding {
            rule: finding.rule.name,
            force: force(finding.rule),
            clause: finding.rule.clause,
            demands: finding.rule.demands,
            line: finding.place.map(|place| place.line),
            column: finding.place.map(|place| place.column),
            found: finding.found.clone(),
        }
    }
}

impl From<&Figures> for Track {
    fn from(track: &Figures) -> Track {
        Track {
            name: track.name.clone(),
            declared_peak_bps: track.declared_peak_bps,
            peak_bps: track.peak_bps,
            declared_average_bps: track.declared_average_bps,
            average_bps: track.average_bps,
            segments_fetched: track.fetched,
            segments: track.segments,
            bytes: track.bytes,
            longest_ns: track.longest.map(nanoseconds),
            target_s: track.target_s,
            unmeasured: track.unmeasured.clone(),
        }
    }
}

fn nanoseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
