//! The mirror of a run of `video play --compat sabre`: schema `stentor.video-sabre/1`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use stentor_core::video::sabre::Report;

/// Name and version of the form.
pub const SCHEMA: &str = "stentor.video-sabre/1";

/// What was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Config {
    pub simulator: &'static str,
    pub network: String,
    pub film: String,
    /// The reference's own options, word by word.
    pub arguments: Vec<String>,
    pub segments: usize,
    pub qualities: usize,
    pub buffer_ns: Option<u64>,
}

/// What the reference would have printed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Outcome {
    /// By the reference's names and in its order; not rounded, and in the reference's units.
    #[schemars(with = "BTreeMap<String, f64>")]
    pub metrics: Metrics,
}

/// Names and numbers in their order.
#[derive(Debug)]
pub struct Metrics(Vec<(&'static str, f64)>);

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().copied())
    }
}

impl From<&Report> for Outcome {
    fn from(report: &Report) -> Outcome {
        let metrics = report.lines.iter().map(|line| (line.name, line.value));
        Outcome { metrics: Metrics(metrics.collect()) }
    }
}
