//! The mirror of a film over UDP: schema `stentor.video-play-udp/1`.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::Serialize;
use stentor_core::video::playout::Delay;
use stentor_core::video::rtp::span_of;

use crate::drive::video::rtp::receiver as drive;
use crate::drive::video::rtp::sender::{Ended, News};
use crate::report::json::{ns, utc};
use crate::report::video::rtp::{Head, bargains, curve};

/// Name and version of the form.
pub const SCHEMA: &str = "stentor.video-play-udp/1";

/// What was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Config {
    pub source: String,
    pub quality: usize,
    /// `null`: adaptive.
    pub playout_ns: Option<u64>,
    pub buffer_ns: u64,
    pub timeout_ns: u64,
    pub link: Option<String>,
    pub seed: Option<u64>,
}

/// What came of it: sent = in_time + late + lost.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Outcome {
    pub film: Option<Film>,
    pub sent: u64,
    pub in_time: u64,
    pub late: u64,
    pub lost: u64,
    pub again: u64,
    pub reordered: u64,
    pub in_time_bytes: u64,
    pub kernel_dropped: Option<u64>,
    pub strangers: u64,
    pub full: u64,
    pub jitter_ns: u64,
    pub playout_least_ns: Option<u64>,
    pub playout_most_ns: Option<u64>,
    pub start_up_ns: u64,
    pub took_ns: u64,
    pub interrupted: bool,
    pub bargains: Vec<Point>,
    pub curve: Vec<Point>,
}

/// What was sent.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Film {
    pub packets: u64,
    pub bytes: u64,
    pub length_ns: u64,
}

/// A play-out delay, and the part of all packets that would be missing with it.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Point {
    pub playout_ns: u64,
    pub missing: f64,
}

/// What happens to a stream of an origin, on a line of its own: in the log with `--log json`.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event {
    Began { packets: u64, bytes: u64 },
    Report { lost: i32, lost_share: f64, jitter_ns: u64 },
    Ended { how: &'static str, packets: u64, refused: u64, bytes: u64 },
}

#[derive(Debug, Serialize)]
struct Line {
    time: String,
    peer: String,
    quality: usize,
    #[serde(flatten)]
    event: Event,
}

/// The line of what happened to a stream, without its end.
pub fn line(peer: SocketAddr, quality: usize, news: News) -> String {
    let event = match news {
        News::Began(film) => Event::Began { packets: film.packets, bytes: film.bytes },
        News::Told(report) => Event::Report {
            lost: report.lost,
            lost_share: f64::from(report.lost_share) / 256.0,
            jitter_ns: ns(span_of(report.jitter.into())),
        },
        News::Ended { packets, refused, bytes, how } => {
            let how = match how {
                Ended::Whole => "whole",
                Ended::Goodbye => "goodbye",
                Ended::Silence => "silence",
                Ended::Origin => "origin",
            };
            Event::Ended { how, packets, refused, bytes }
        }
    };
    let time = utc(SystemTime::now());
    // Plain structs with string keys cannot fail to serialise.
    serde_json::to_string(&Line { time, peer: peer.to_string(), quality, event })
        .unwrap_or_default()
}

impl From<&Head> for Config {
    fn from(head: &Head) -> Config {
        Config {
            source: head.source.clone(),
            quality: head.quality,
            playout_ns: match head.delay {
                Delay::Fixed(delay) => Some(ns(delay)),
                Delay::Adaptive => None,
            },
            buffer_ns: ns(head.buffer),
            timeout_ns: ns(head.patience),
            link: head.link.clone(),
            seed: head.seed,
        }
    }
}

impl From<&drive::Outcome> for Outcome {
    fn from(outcome: &drive::Outcome) -> Outcome {
        let played = &outcome.played;
        let points = |points: Vec<(Duration, f64)>| {
            let point = |(playout, missing)| Point { playout_ns: ns(playout), missing };
            points.into_iter().map(point).collect()
        };
        Outcome {
            film: outcome.film.map(|film| Film {
                packets: film.packets,
                bytes: film.bytes,
                length_ns: ns(film.length),
            }),
            sent: played.sent,
            in_time: played.in_time,
            late: played.late,
            lost: played.lost,
            again: played.again,
            reordered: played.reordered,
            in_time_bytes: outcome.bytes,
            kernel_dropped: outcome.dropped,
            strangers: outcome.strangers,
            full: outcome.full,
            jitter_ns: ns(played.jitter),
            playout_least_ns: played.delays.map(|(least, _)| ns(least)),
            playout_most_ns: played.delays.map(|(_, most)| ns(most)),
            start_up_ns: ns(outcome.asked),
            took_ns: ns(outcome.took),
            interrupted: outcome.interrupted,
            bargains: points(bargains(outcome)),
            curve: points(curve(outcome)),
        }
    }
}
