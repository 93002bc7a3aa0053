//! The lines that `--abr` speaks with a program: one object for each decision, in both directions.

use serde::{Deserialize, Serialize};

use crate::drive::video::play::counsel::Asked;

/// What a program is asked.
#[derive(Debug, Serialize)]
pub struct Question<'a> {
    chunk: usize,
    chunks: usize,
    chunk_s: f64,
    level_s: f64,
    capacity_s: f64,
    last: Option<usize>,
    estimate: Option<Estimate>,
    sizes_bytes: &'a [u64],
    rates_bps: &'a [u64],
    download: Option<Download>,
}

#[derive(Debug, Serialize)]
struct Estimate {
    bps: f64,
    latency_s: f64,
}

#[derive(Debug, Serialize)]
struct Download {
    chunk: usize,
    quality: usize,
    bytes: u64,
    latency_s: f64,
    total_s: f64,
    throughput_bps: Option<f64>,
}

/// What it answers.
#[derive(Debug, Deserialize)]
pub struct Answer {
    /// The quality to fetch, from 0.
    pub quality: usize,
    /// How long to wait before that, in seconds.
    #[serde(default)]
    pub wait_s: f64,
}

impl<'a> From<&'a Asked> for Question<'a> {
    fn from(asked: &'a Asked) -> Question<'a> {
        let download = asked.download.map(|download| Download {
            chunk: download.chunk,
            quality: download.quality,
            bytes: download.bytes,
            latency_s: download.latency.as_secs_f64(),
            total_s: download.total.as_secs_f64(),
            throughput_bps: download.throughput_bps(),
        });
        let estimate = asked
            .estimate
            .map(|estimate| Estimate { bps: estimate.bps, latency_s: estimate.latency_s });
        Question {
            chunk: asked.chunk,
            chunks: asked.chunks,
            chunk_s: asked.duration.as_secs_f64(),
            level_s: asked.level.as_secs_f64(),
            capacity_s: asked.capacity.as_secs_f64(),
            last: asked.last,
            estimate,
            sizes_bytes: &asked.sizes_bytes,
            rates_bps: &asked.rates_bps,
            download,
        }
    }
}

impl Question<'_> {
    /// The line, with its end.
    pub fn line(&self) -> String {
        // A structure of numbers and lists always has a JSON.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

impl Answer {
    /// Reads a line.
    ///
    /// # Errors
    /// The words of the JSON reader.
    pub fn read(line: &str) -> Result<Answer, String> {
        serde_json::from_str(line).map_err(|error| error.to_string())
    }
}
