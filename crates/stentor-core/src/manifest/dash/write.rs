//! Writes a manifest: templates where the references follow one, lists elsewhere.

use std::fmt::Write as _;
use std::time::Duration;

use thiserror::Error;

use super::{NAMESPACE, span};
use crate::manifest::{Presentation, Resource, Segment, Track};

/// What cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WriteError {
    /// More bases than there are levels of their own for a track.
    #[error("track {track} has {bases} bases; at most 2 can be written: resolve them first")]
    Bases {
        /// From 0.
        track: usize,
        /// How many.
        bases: usize,
    },
}

/// Writes the manifest of a film of one period. Characters that XML cannot hold become spaces.
///
/// # Errors
/// When a track has more than two bases.
pub fn write(presentation: &Presentation) -> Result<String, WriteError> {
    let kind = if presentation.live { "dynamic" } else { "static" };
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<MPD xmlns=\"{NAMESPACE}\"\n     \
         profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" type=\"{kind}\"\n     \
         minBufferTime=\"{}\"",
        span::written(presentation.buffer)
    );
    if let Some(available) = &presentation.available {
        _ = write!(text, " availabilityStartTime=\"{}\"", escaped(available));
    }
    let length = presentation.tracks.iter().map(Track::length).max().unwrap_or_default();
    if !presentation.live {
        _ = write!(text, " mediaPresentationDuration=\"{}\"", span::written(length));
    }
    text.push_str(">\n  <Period id=\"0\" start=\"PT0S\">\n");
    let mut before: Option<&Track> = None;
    for (index, track) in presentation.tracks.iter().enumerate() {
        if track.bases.len() > 2 {
            return Err(WriteError::Bases { track: index, bases: track.bases.len() });
        }
        if !before.is_some_and(|before| same_set(before, track)) {
            if before.is_some() {
                text.push_str("    </AdaptationSet>\n");
            }
            set(&mut text, track);
        }
        representation(&mut text, track);
        before = Some(track);
    }
    if before.is_some() {
        text.push_str("    </AdaptationSet>\n");
    }
    text.push_str("  </Period>\n</MPD>\n");
    Ok(text)
}

fn outer_base(track: &Track) -> Option<&str> {
    track.bases.first().filter(|_| track.bases.len() == 2).map(String::as_str)
}

fn same_set(before: &Track, track: &Track) -> bool {
    outer_base(before) == outer_base(track) && before.mime == track.mime
}

fn set(text: &mut String, track: &Track) {
    let mime = track.mime.as_deref();
    let mime = mime.map_or(String::new(), |mime| format!(" mimeType=\"{}\"", escaped(mime)));
    _ = writeln!(text, "    <AdaptationSet{mime} segmentAlignment=\"true\" startWithSAP=\"1\">");
    if let Some(base) = outer_base(track) {
        _ = writeln!(text, "      <BaseURL>{}</BaseURL>", escaped(base));
    }
}

fn representation(text: &mut String, track: &Track) {
    let (id, peak_bps) = (escaped(&track.name), track.peak_bps);
    _ = write!(text, "      <Representation id=\"{id}\" bandwidth=\"{peak_bps}\"");
    if let Some(codecs) = &track.codecs {
        _ = write!(text, " codecs=\"{}\"", escaped(codecs));
    }
    if let Some((width, height)) = track.resolution {
        _ = write!(text, " width=\"{width}\" height=\"{height}\"");
    }
    text.push_str(">\n");
    if let Some(base) = track.bases.last() {
        _ = writeln!(text, "        <BaseURL>{}</BaseURL>", escaped(base));
    }
    let timescale = timescale(&track.segments);
    let common = format!("timescale=\"{timescale}\" startNumber=\"{}\"", track.first);
    let initialization = track.initialization.as_ref();
    let plain = initialization.is_none_or(|resource| resource.range.is_none());
    match template(track, timescale).filter(|_| plain) {
        Some(media) => {
            _ = write!(text, "        <SegmentTemplate {common} media=\"{}\"", escaped(&media));
            if let Some(Resource { uri, .. }) = initialization {
                let uri = uri.replace('$', "$$");
                _ = write!(text, " initialization=\"{}\"", escaped(&uri));
            }
            text.push_str(">\n");
            timeline(text, &track.segments, timescale);
            text.push_str("        </SegmentTemplate>\n");
        }
        None => list(text, track, timescale, &common),
    }
    text.push_str("      </Representation>\n");
}

fn list(text: &mut String, track: &Track, timescale: u64, common: &str) {
    _ = writeln!(text, "        <SegmentList {common}>");
    if let Some(resource) = &track.initialization {
        _ = write!(text, "          <Initialization");
        reference(text, resource, "sourceURL", "range");
    }
    timeline(text, &track.segments, timescale);
    for segment in &track.segments {
        _ = write!(text, "          <SegmentURL");
        reference(text, &segment.resource, "media", "mediaRange");
    }
    text.push_str("        </SegmentList>\n");
}

fn reference(text: &mut String, resource: &Resource, name: &str, range_name: &str) {
    if !resource.uri.is_empty() {
        _ = write!(text, " {name}=\"{}\"", escaped(&resource.uri));
    }
    if let Some(range) = resource.range {
        let last = range.offset.saturating_add(range.length.saturating_sub(1));
        _ = write!(text, " {range_name}=\"{}-{last}\"", range.offset);
    }
    text.push_str("/>\n");
}

/// The coarsest of the usual timescales in which every duration is a whole number.
fn timescale(segments: &[Segment]) -> u64 {
    let exact = |timescale: &u64| {
        let ticks = |segment: &Segment| segment.duration.as_nanos() * u128::from(*timescale);
        segments.iter().all(|segment| ticks(segment).is_multiple_of(1_000_000_000))
    };
    [1, 1000, 90_000, 1_000_000].into_iter().find(exact).unwrap_or(1_000_000_000)
}

fn ticks(duration: Duration, timescale: u64) -> u128 {
    duration.as_nanos() * u128::from(timescale) / 1_000_000_000
}

/// The template that all references of a track follow, with $Number$ or $Time$; `None` if none.
fn template(track: &Track, timescale: u64) -> Option<String> {
    let uris: Vec<&str> = track.segments.iter().map(|one| one.resource.uri.as_str()).collect();
    if track.segments.iter().any(|segment| segment.resource.range.is_some()) {
        return None;
    }
    let numbers: Vec<u128> = (u128::from(track.first)..).take(uris.len()).collect();
    let times = track.segments.iter().scan(0, |at, segment| {
        let begin = *at;
        *at += ticks(segment.duration, timescale);
        Some(begin)
    });
    let times: Vec<u128> = times.collect();
    follows(&uris, &numbers, "$Number$").or_else(|| follows(&uris, &times, "$Time$"))
}

fn follows(uris: &[&str], numbers: &[u128], identifier: &str) -> Option<String> {
    let (first, number) = (uris.first()?, numbers.first()?.to_string());
    first.rmatch_indices(number.as_str()).find_map(|(at, _)| {
        let (before, after) = (first.get(..at)?, first.get(at + number.len()..)?);
        let fits = uris.iter().zip(numbers).all(|(uri, number)| {
            uri.strip_prefix(before).and_then(|rest| rest.strip_suffix(after))
                == Some(number.to_string().as_str())
        });
        let escape = |text: &str| text.replace('$', "$$");
        fits.then(|| format!("{}{identifier}{}", escape(before), escape(after)))
    })
}

/// Equal durations in a row become one S.
fn timeline(text: &mut String, segments: &[Segment], timescale: u64) {
    text.push_str("          <SegmentTimeline>\n");
    for row in segments.chunk_by(|one, next| one.duration == next.duration) {
        let Some(first) = row.first() else { continue };
        _ = write!(text, "            <S d=\"{}\"", ticks(first.duration, timescale));
        if row.len() > 1 {
            _ = write!(text, " r=\"{}\"", row.len() - 1);
        }
        text.push_str("/>\n");
    }
    text.push_str("          </SegmentTimeline>\n");
}

/// Text between tags and in attributes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
