//! The mirror of `video play --predict`: schema `stentor.video-predict/1`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use stentor_core::video::predict::{self as core, Course};

use crate::report::video::formula::{Answer, Arrival, Question, total_s};

/// Name and version of the form.
pub const SCHEMA: &str = "stentor.video-predict/1";

/// What was put in.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Config {
    /// x; of a saw-tooth its mean.
    pub arrival_bps: f64,
    pub peak_bps: Option<f64>,
    pub period_ns: Option<u64>,
    pub playout_bps: f64,
    pub film: String,
    pub quality: usize,
    pub chunks: usize,
    pub start_ns: u64,
    pub start_bits: f64,
    pub buffer_ns: u64,
    pub buffer_bits: f64,
    pub resume_ns: u64,
}

/// What comes out.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Outcome {
    pub fluid: Fluid,
    pub chunked: Vec<Chunked>,
}

/// What the formulae say.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Fluid {
    pub start_up_ns: u64,
    /// Q/(R-x), where film comes more slowly than it is played.
    pub plays_ns: Option<u64>,
    /// Q/x, where film comes more slowly than it is played.
    pub freezes_ns: Option<u64>,
    /// Q/x + (B-Q)/(x-R), where it comes faster.
    pub full_ns: Option<u64>,
    pub freezes: Vec<Freeze>,
    pub frozen_ns: u64,
}

/// What a client sees that fetches chunks.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Chunked {
    pub resume_ns: u64,
    pub start_up_ns: u64,
    pub freezes: Vec<Freeze>,
    pub frozen_ns: u64,
    pub full_ns: Option<u64>,
    pub end_ns: u64,
}

/// Playing stops.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Freeze {
    pub at_ns: u64,
    pub length_ns: u64,
}

/// Seconds as whole nanoseconds.
fn nanoseconds(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds).map_or(u64::MAX, whole)
}

fn whole(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn freezes(freezes: &[core::Freeze]) -> Vec<Freeze> {
    let freeze = |one: &core::Freeze| Freeze {
        at_ns: nanoseconds(one.at_s),
        length_ns: nanoseconds(one.length_s),
    };
    freezes.iter().map(freeze).collect()
}

impl Config {
    /// The mirror of a question; its answer has the numbers in bits.
    pub fn of(question: &Question, answer: &Answer) -> Config {
        let Question { arrival, film, name, quality, policy } = question;
        let tooth = match arrival {
            Arrival::Steady(_) => None,
            Arrival::SawTooth(tooth) => Some(tooth),
        };
        let fluid = &answer.fluid;
        Config {
            arrival_bps: fluid.arrival_bps,
            peak_bps: tooth.map(|tooth| tooth.peak_bps),
            period_ns: tooth.map(|tooth| nanoseconds(tooth.period_s)),
            playout_bps: fluid.playout_bps,
            film: name.clone(),
            quality: *quality,
            chunks: film.chunks().len(),
            start_ns: whole(policy.start()),
            start_bits: fluid.start_bits,
            buffer_ns: whole(policy.capacity()),
            buffer_bits: fluid.buffer_bits,
            resume_ns: whole(policy.resume()),
        }
    }
}

impl Outcome {
    /// The mirror of an answer.
    pub fn of(question: &Question, answer: &Answer) -> Outcome {
        let course = match question.arrival {
            Arrival::Steady(_) => answer.fluid.course(),
            Arrival::SawTooth(_) => Course::Even,
        };
        let (plays_s, freezes_s, full_s) = match course {
            Course::Freezes { plays_s, freezes_s } => (Some(plays_s), Some(freezes_s), None),
            Course::Even => (None, None, None),
            Course::Fills { full_s } => (None, None, Some(full_s)),
        };
        let fluid = Fluid {
            start_up_ns: nanoseconds(answer.start_up_s),
            plays_ns: plays_s.map(nanoseconds),
            freezes_ns: freezes_s.map(nanoseconds),
            full_ns: full_s.map(nanoseconds),
            freezes: freezes(&answer.freezes),
            frozen_ns: nanoseconds(total_s(&answer.freezes)),
        };
        let chunked = answer.chunked.iter().map(|(resume, seen)| Chunked {
            resume_ns: whole(*resume),
            start_up_ns: nanoseconds(seen.start_up_s),
            freezes: freezes(&seen.freezes),
            frozen_ns: nanoseconds(seen.frozen_s()),
            full_ns: seen.full_s.map(nanoseconds),
            end_ns: nanoseconds(seen.end_s),
        });
        Outcome { fluid, chunked: chunked.collect() }
    }
}
