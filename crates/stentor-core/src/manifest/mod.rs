//! Manifests of stored and live video: HLS (RFC 8216, version 7) and DASH (ISO/IEC 23009-1), read and
//! written as one value.
//!
//! References are kept as they are written; resolving and fetching them is left to the roof. What is
//! read comes from the network: sizes are bounded, and errors say where.

pub mod check;
pub mod dash;
pub mod hls;
pub mod index;
pub mod segment;

use std::fmt;
use std::time::Duration;

/// The largest manifest that is read, in bytes.
pub const TEXT_MAX: usize = 16 << 20;
/// The most segments of all tracks together.
pub const SEGMENTS_MAX: usize = 1 << 20;
/// The most tracks.
pub const TRACKS_MAX: usize = 1 << 10;

/// A film as its manifest has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presentation {
    /// Whether there is more to come.
    pub live: bool,
    /// Since when a live one is there: DASH's `availabilityStartTime`, as written.
    pub available: Option<String>,
    /// How much a client should buffer first: DASH's `minBufferTime`.
    pub buffer: Duration,
    /// The qualities in their written order. Those of a multivariant playlist have no segments yet.
    pub tracks: Vec<Track>,
}

/// One quality of a film.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    /// The reference of its media playlist (HLS), or its `id` (DASH).
    pub name: String,
    /// References that the others are relative to, the outermost first (DASH's `BaseURL`).
    pub bases: Vec<String>,
    /// The peak bit rate that is declared, in bit/s.
    pub peak_bps: u64,
    /// The average bit rate that is declared, in bit/s (HLS only).
    pub average_bps: Option<u64>,
    /// Codecs by RFC 6381.
    pub codecs: Option<String>,
    /// Width and height in pixels.
    pub resolution: Option<(u32, u32)>,
    /// The media type (DASH only).
    pub mime: Option<String>,
    /// What a decoder needs before the first segment.
    pub initialization: Option<Resource>,
    /// The number of the first segment.
    pub first: u64,
    /// The segments in their order.
    pub segments: Vec<Segment>,
}

/// A stretch of a track that is fetched at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Where it is.
    pub resource: Resource,
    /// How long it plays.
    pub duration: Duration,
}

/// A reference, and which of its bytes are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// As written; empty for the base itself.
    pub uri: String,
    /// `None`: all of them.
    pub range: Option<ByteRange>,
}

/// A range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Where it begins.
    pub offset: u64,
    /// How long it is; above 0.
    pub length: u64,
}

/// Where something stands in a text, from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Place {
    /// The place of these numbers, as counted by collections.
    fn new(line: usize, column: usize) -> Place {
        let fit = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Place { line: fit(line), column: fit(column) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl Track {
    /// How long its segments play together.
    pub fn length(&self) -> Duration {
        self.segments
            .iter()
            .fold(Duration::ZERO, |sum, segment| sum.saturating_add(segment.duration))
    }

    /// The target duration of its segments in whole seconds (RFC 8216, 4.3.3.1): the longest, rounded.
    pub fn target_s(&self) -> u64 {
        self.segments.iter().map(|segment| rounded_s(segment.duration)).max().unwrap_or(0).max(1)
    }
}

/// A duration in seconds, rounded to the nearest whole one.
fn rounded_s(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_millis() >= 500)
}

/// The most segments of a row, so that segments that play hardly any time do not make one loop of all
/// pairs.
const ROW_MAX: usize = 256;

/// Peak and average bit rates of segments in bit/s, rounded up, from the size in bytes and the
/// duration of each.
///
/// By RFC 8216, 4.1: the peak is that of the fastest row of segments which plays between 0.5 and 1.5
/// times the target duration; without any such row, that of the fastest segment.
pub fn rates_bps(segments: &[(u64, Duration)], target_s: u64) -> (u64, u64) {
    let rate = |bytes: u64, ns: u128| {
        let bps = (u128::from(bytes) * 8_000_000_000).div_ceil(ns.max(1));
        u64::try_from(bps).unwrap_or(u64::MAX)
    };
    let target_ns = u128::from(target_s) * 1_000_000_000;
    let (mut peak, mut fastest) = (0, 0);
    for begin in 0..segments.len() {
        let (mut bytes, mut ns) = (0_u64, 0);
        for (size, duration) in segments.iter().skip(begin).take(ROW_MAX) {
            if ns == 0 {
                fastest = rate(*size, duration.as_nanos()).max(fastest);
            }
            bytes = bytes.saturating_add(*size);
            ns += duration.as_nanos();
            if ns * 2 > target_ns * 3 {
                break;
            }
            if ns * 2 >= target_ns {
                peak = rate(bytes, ns).max(peak);
            }
        }
    }
    let bytes = segments.iter().fold(0_u64, |sum, (bytes, _)| sum.saturating_add(*bytes));
    let ns: u128 = segments.iter().map(|(_, duration)| duration.as_nanos()).sum();
    (if peak > 0 { peak } else { fastest }, if segments.is_empty() { 0 } else { rate(bytes, ns) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_rfc() {
        let check = |segments: &[(u64, u64)], target_s, expected| {
            let segments: Vec<_> =
                segments.iter().map(|(bytes, ms)| (*bytes, Duration::from_millis(*ms))).collect();
            assert_eq!(rates_bps(&segments, target_s), expected);
        };
        check(&[], 2, (0, 0));
        check(&[(1000, 2000), (3000, 2000), (2000, 2000)], 2, (12_000, 8_000));
        // A short segment counts only with its neighbour: 5000 bytes in 2.5 s.
        check(&[(1000, 2000), (4000, 500)], 2, (16_000, 16_000));
        // Every segment is longer than 1.5 targets.
        check(&[(1000, 4000)], 2, (2_000, 2_000));
        check(&[(1, 3000)], 3, (3, 3));
    }
}
