//! A session as the input of ITU-T P.1203, mode 0: segments and stalls in media time.
//!
//! The model itself is licensed, and left to those who have it. Its input, in the form that
//! implementations of it read, is no secret: bit rate in kbit/s, size and rate of the pictures of
//! each segment (I.13), and stalls, of which the start-up is the first, at 0 (I.23).

use serde::Serialize;
use stentor_core::video::mp4;
use stentor_core::video::session::What;

use crate::report::video::play::Report;

/// The input.
#[derive(Debug, Serialize)]
struct Input {
    #[serde(rename = "I11")]
    audio: Segments<()>,
    #[serde(rename = "I13")]
    video: Segments<Segment>,
    #[serde(rename = "I23")]
    stalls: Stalls,
    #[serde(rename = "IGen")]
    general: General,
}

#[derive(Debug, Serialize)]
struct Segments<S> {
    segments: Vec<S>,
    #[serde(rename = "streamId")]
    stream: u32,
}

#[derive(Debug, Serialize)]
struct Segment {
    bitrate: f64,
    codec: &'static str,
    duration: f64,
    fps: f64,
    resolution: String,
    start: f64,
    representation: usize,
}

#[derive(Debug, Serialize)]
struct Stalls {
    /// Since when in media time, and how long, in seconds.
    stalling: Vec<(f64, f64)>,
    #[serde(rename = "streamId")]
    stream: u32,
}

#[derive(Debug, Serialize)]
struct General {
    device: &'static str,
    #[serde(rename = "displaySize")]
    display: String,
    #[serde(rename = "viewingDistance")]
    distance: &'static str,
}

/// The number of the stream; there is one.
const STREAM: u32 = 1;

/// The input as text. Pictures are taken to be those of a generated film: a player that does not decode
/// has not seen others.
pub fn text(report: &Report<'_>) -> String {
    let outcome = report.outcome;
    let (width, height) = mp4::SIZE;
    let resolution = format!("{width}x{height}");
    let mut start = 0.0;
    let mut segments = Vec::new();
    for event in &outcome.events {
        let What::Received(download) = event.what else { continue };
        let duration = outcome.film.duration(download.chunk).as_secs_f64();
        segments.push(Segment {
            bitrate: download.size_bytes as f64 * 8.0 / duration / 1e3,
            codec: "h264",
            duration,
            fps: f64::from(mp4::PICTURES_PER_SECOND),
            resolution: resolution.clone(),
            start,
            representation: download.quality,
        });
        start += duration;
    }
    let start_up = (0.0, outcome.metrics.start_up.as_secs_f64());
    let stalls = report.course.stalls.iter();
    let stalls = stalls.map(|one| (one.played.as_secs_f64(), one.length.as_secs_f64()));
    let input = Input {
        audio: Segments { segments: Vec::new(), stream: STREAM },
        video: Segments { segments, stream: STREAM },
        stalls: Stalls {
            stalling: std::iter::once(start_up).chain(stalls).collect(),
            stream: STREAM,
        },
        general: General { device: "pc", display: resolution, distance: "150cm" },
    };
    // Plain structs with string keys cannot fail to serialise.
    serde_json::to_string_pretty(&input).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::drive::video::outcome::{Config, Outcome};
    use crate::report::video::play::Known;
    use crate::report::video::play::samples::{ladder, lecture};

    fn written(session: &(Config, Outcome, Known)) -> serde_json::Value {
        let (config, outcome, known) = session;
        let report = Report::of(config, outcome, known, SystemTime::UNIX_EPOCH);
        serde_json::from_str(&text(&report)).unwrap()
    }

    #[test]
    fn stalls_are_in_media_time_and_the_start_is_the_first() {
        let input = written(&lecture(800, 4));
        let stalls = input["I23"]["stalling"].as_array().unwrap();
        assert_eq!(stalls.len(), 8);
        assert_eq!((stalls[0][0].as_f64(), stalls[0][1].as_f64()), (Some(0.0), Some(5.0)));
        // It plays 16 s, then stands still for 4 s.
        assert_eq!((stalls[1][0].as_f64(), stalls[1][1].as_f64()), (Some(16.0), Some(4.0)));
        assert_eq!((stalls[2][0].as_f64(), stalls[2][1].as_f64()), (Some(32.0), Some(4.0)));
    }

    #[test]
    fn segments_follow_one_another_with_their_own_rates() {
        let session = ladder();
        let input = written(&session);
        let segments = input["I13"]["segments"].as_array().unwrap();
        assert_eq!(segments.len(), 30);
        for (number, segment) in segments.iter().enumerate() {
            assert_eq!(segment["start"].as_f64(), Some(number as f64 * 2.0));
            let quality = segment["representation"].as_u64().unwrap();
            let bytes = session.1.film.bytes(number, usize::try_from(quality).unwrap());
            assert_eq!(segment["bitrate"].as_f64(), Some(bytes as f64 * 8.0 / 2.0 / 1e3));
            assert_eq!(segment["resolution"], "640x360");
        }
        assert!(input["I11"]["segments"].as_array().unwrap().is_empty());
    }
}
