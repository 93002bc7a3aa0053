//! What happened in a session, a line of JSON each: schema `stentor.video-event/1`, the same for a
//! simulation and for real sockets.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;
use stentor_core::video::buffer;
use stentor_core::video::session::{Event, What};

use crate::drive::video::outcome::{Config, Fetch, Outcome, Sample};

/// Name and version of the form.
pub const SCHEMA: &str = "stentor.video-event/1";

/// A line: what happened, and when, in nanoseconds since the first request for film.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub enum Line {
    /// The first line: what is played, and how.
    Begun {
        schema: &'static str,
        version: &'static str,
        source: String,
        fetch: &'static str,
        chooser: String,
        buffer_ns: u64,
        start_ns: u64,
        resume_ns: u64,
        chunks: u64,
        film_ns: u64,
        rates_bps: Vec<u64>,
    },
    /// A chunk was asked for.
    Requested { at_ns: u64, chunk: u64, quality: u64, level_ns: u64 },
    /// A chunk has arrived as a whole.
    Received {
        at_ns: u64,
        chunk: u64,
        quality: u64,
        bytes: u64,
        latency_ns: u64,
        took_ns: u64,
        throughput_bps: Option<f64>,
    },
    /// A download was given up for the sake of another quality.
    Abandoned {
        at_ns: u64,
        chunk: u64,
        quality: u64,
        to: u64,
        bytes: u64,
        size_bytes: u64,
        latency_ns: u64,
        took_ns: u64,
    },
    /// A chunk did not come, or not as a whole; `to` is what will be asked for, if anything.
    Failed {
        at_ns: u64,
        chunk: u64,
        quality: u64,
        to: Option<u64>,
        bytes: u64,
        size_bytes: u64,
        latency_ns: u64,
        took_ns: u64,
    },
    /// Playing began.
    Started { at_ns: u64 },
    /// There was nothing left to play.
    Stalled { at_ns: u64 },
    /// Playing went on.
    Resumed { at_ns: u64 },
    /// What the player wants to fetch does not fit.
    Full { at_ns: u64 },
    /// It fits.
    Room { at_ns: u64 },
    /// The last picture was shown.
    Ended { at_ns: u64 },
    /// What both buffers held.
    Sample {
        at_ns: u64,
        level_ns: u64,
        buffered_bytes: u64,
        received_bytes: u64,
        socket_bytes: Option<u64>,
        window_bytes: Option<u64>,
        server_bytes: Option<u64>,
    },
}

/// Writes the lines of a session, in order of time.
///
/// # Errors
/// What cannot be written.
pub fn write(config: &Config, outcome: &Outcome, mut to: impl Write) -> io::Result<()> {
    let mut lines = vec![begun(config, outcome)];
    lines.extend(outcome.events.iter().map(Line::from));
    lines.extend(outcome.samples.iter().map(Line::from));
    // Stable: of the same moment, events come in their order, before samples.
    lines.sort_by_key(Line::at_ns);
    let mut text = Vec::new();
    for line in &lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    to.write_all(&text)
}

fn begun(config: &Config, outcome: &Outcome) -> Line {
    let (film, policy) = (&outcome.film, outcome.policy);
    let ns = |span: std::time::Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    Line::Begun {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        source: config.source.clone(),
        fetch: match config.fetch {
            Fetch::Chunked => "chunked",
            Fetch::Progressive => "progressive",
        },
        chooser: config.chooser.clone(),
        buffer_ns: ns(policy.capacity()),
        start_ns: ns(policy.start()),
        resume_ns: ns(policy.resume()),
        chunks: film.chunks().len() as u64,
        film_ns: ns(film.length()),
        rates_bps: film.rates().iter().map(|rate| rate.0).collect(),
    }
}

impl Line {
    /// When it happened; the first line stands before everything.
    fn at_ns(&self) -> Option<u64> {
        match *self {
            Line::Begun { .. } => None,
            Line::Requested { at_ns, .. }
            | Line::Received { at_ns, .. }
            | Line::Abandoned { at_ns, .. }
            | Line::Failed { at_ns, .. }
            | Line::Started { at_ns }
            | Line::Stalled { at_ns }
            | Line::Resumed { at_ns }
            | Line::Full { at_ns }
            | Line::Room { at_ns }
            | Line::Ended { at_ns }
            | Line::Sample { at_ns, .. } => Some(at_ns),
        }
    }
}

impl From<&Event> for Line {
    fn from(event: &Event) -> Line {
        let at_ns = event.at.as_nanos();
        let ns = |span: std::time::Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        match event.what {
            What::Requested { chunk, quality, level } => Line::Requested {
                at_ns,
                chunk: chunk as u64,
                quality: quality as u64,
                level_ns: ns(level),
            },
            What::Received(download) => Line::Received {
                at_ns,
                chunk: download.chunk as u64,
                quality: download.quality as u64,
                bytes: download.bytes,
                latency_ns: ns(download.latency),
                took_ns: ns(download.total),
                throughput_bps: download.throughput_bps(),
            },
            What::Abandoned { download, to } => Line::Abandoned {
                at_ns,
                chunk: download.chunk as u64,
                quality: download.quality as u64,
                to: to as u64,
                bytes: download.bytes,
                size_bytes: download.size_bytes,
                latency_ns: ns(download.latency),
                took_ns: ns(download.total),
            },
            What::Failed { download, to } => Line::Failed {
                at_ns,
                chunk: download.chunk as u64,
                quality: download.quality as u64,
                to: to.map(|to| to as u64),
                bytes: download.bytes,
                size_bytes: download.size_bytes,
                latency_ns: ns(download.latency),
                took_ns: ns(download.total),
            },
            What::Buffer(what) => match what {
                buffer::What::Started => Line::Started { at_ns },
                buffer::What::Stalled => Line::Stalled { at_ns },
                buffer::What::Resumed => Line::Resumed { at_ns },
                buffer::What::Full => Line::Full { at_ns },
                buffer::What::Room => Line::Room { at_ns },
                buffer::What::Ended => Line::Ended { at_ns },
            },
        }
    }
}

impl From<&Sample> for Line {
    fn from(sample: &Sample) -> Line {
        Line::Sample {
            at_ns: sample.at.as_nanos(),
            level_ns: u64::try_from(sample.level.as_nanos()).unwrap_or(u64::MAX),
            buffered_bytes: sample.buffered_bytes,
            received_bytes: sample.received_bytes,
            socket_bytes: sample.socket_bytes,
            window_bytes: sample.window_bytes,
            server_bytes: sample.server_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::video::play::samples::{broken, ladder, stream};

    fn written(config: &Config, outcome: &Outcome) -> Vec<serde_json::Value> {
        let mut text = Vec::new();
        write(config, outcome, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn lines_stand_in_order_and_add_up() {
        for (config, outcome, _) in [ladder(), stream(), broken()] {
            let lines = written(&config, &outcome);
            assert_eq!(lines[0]["event"], "begun");
            assert_eq!(lines[0]["schema"], SCHEMA);
            let at = |line: &serde_json::Value| line["at_ns"].as_u64().unwrap();
            assert!(lines[1..].is_sorted_by_key(at));
            let count = |name: &str| lines.iter().filter(|line| line["event"] == name).count();
            assert_eq!(lines.len(), 1 + outcome.events.len() + outcome.samples.len());
            assert_eq!(count("sample"), outcome.samples.len());
            if outcome.account.progressive.is_none() {
                let ended = count("received") + count("abandoned") + count("failed");
                assert_eq!(count("requested"), ended);
            }
        }
    }

    #[test]
    fn a_line_has_its_units_in_its_names() {
        let (config, outcome, _) = ladder();
        let lines = written(&config, &outcome);
        let line = lines.iter().find(|line| line["event"] == "received").unwrap().to_string();
        let keys = ["chunk", "quality", "bytes", "latency_ns", "took_ns", "throughput_bps"];
        assert!(keys.iter().all(|key| line.contains(&format!("\"{key}\":"))), "{line}");
    }
}
