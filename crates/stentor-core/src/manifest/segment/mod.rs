//! Media segments, read as far as a check needs it: how long they play, when they begin, and whether
//! their first picture needs no other.
//!
//! Fragmented MP4 (ISO/IEC 14496-12) and MPEG-2 transport streams (ISO/IEC 13818-1) are read. The
//! bytes come from the network: nothing here panics, and the work is bounded by their number.
//! Fetching is left to the roof, judging to [`super::check`].

mod mp4;
mod pictures;
mod transport;

#[cfg(test)]
mod tests;

use std::time::Duration;

use thiserror::Error;

pub use mp4::{Initialization, Stream};

/// The most streams of one segment that are read.
const STREAMS_MAX: usize = 64;

/// How a segment packs its media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Fragmented MP4.
    Mp4,
    /// An MPEG-2 transport stream.
    TransportStream,
    /// Something else, such as packed audio or subtitles: its time is not read.
    Other,
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Medium {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Anything else, or not known.
    #[default]
    Other,
}

/// What a segment says about itself. Times are those of its video, or of its first stream without any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How it is packed.
    pub format: Format,
    /// Of which stream the rest is told.
    pub medium: Medium,
    /// When it begins on the stream's own clock: the decode time in MP4, the least presentation time
    /// in a transport stream, whose clock starts again every 26.5 hours.
    pub begin: Option<Duration>,
    /// How long it plays.
    pub duration: Option<Duration>,
    /// Whether its first picture is a key frame; `None` for sound, and where that is not known.
    pub key_frame: Option<bool>,
    /// How many samples it has; packets of one or more pictures in a transport stream.
    pub samples: u64,
    /// Whether a fragment of MP4 does not say when it begins (`tfdt`).
    pub undated: bool,
}

/// Why a segment was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SegmentError {
    /// It ends within a box.
    #[error("the box {kind:?} at byte {at} has {has} of its {says} bytes")]
    Cut {
        /// Its four characters.
        kind: String,
        /// Where it begins, in bytes.
        at: usize,
        /// What is there of it, in bytes.
        has: usize,
        /// What it says, in bytes.
        says: u64,
    },
    /// A box that cannot be what it claims.
    #[error("the box {kind:?} at byte {at}: {wanted}")]
    Box {
        /// Its four characters.
        kind: String,
        /// Where it begins, in bytes.
        at: usize,
        /// What it should be.
        wanted: &'static str,
    },
    /// A box that must be there.
    #[error("there is no {kind} box{why}")]
    Without {
        /// Its four characters.
        kind: &'static str,
        /// In what, or for what.
        why: &'static str,
    },
    /// A fragment of a track that the initialization does not know.
    #[error("its fragment is of track {track}, of which no initialization tells the timescale")]
    UnknownTrack {
        /// Its number.
        track: u32,
    },
    /// A transport stream that is none.
    #[error("packet {packet} of the transport stream: {wanted}")]
    Packet {
        /// From 0.
        packet: usize,
        /// What it should be.
        wanted: &'static str,
    },
}

/// Reads what a decoder needs before the first segment of MP4.
///
/// # Errors
/// When it has no `moov`, no track, or a box that cannot be read.
pub fn initialization(bytes: &[u8]) -> Result<Initialization, SegmentError> {
    mp4::initialization(bytes)
}

/// Reads a segment; one of MP4 with its initialization, or one that holds its own.
///
/// # Errors
/// When its boxes or packets are not whole, or do not fit the initialization.
pub fn read(bytes: &[u8], before: Option<&Initialization>) -> Result<Facts, SegmentError> {
    match format(bytes) {
        Format::Mp4 => mp4::fragments(bytes, before),
        Format::TransportStream => transport::read(bytes),
        Format::Other => Ok(Facts {
            format: Format::Other,
            medium: Medium::Other,
            begin: None,
            duration: None,
            key_frame: None,
            samples: 0,
            undated: false,
        }),
    }
}

/// How bytes are packed, by their beginning.
pub fn format(bytes: &[u8]) -> Format {
    const BOXES: [&[u8; 4]; 11] = [
        b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"emsg", b"prft", b"free", b"skip",
        b"uuid",
    ];
    let kind = bytes.get(4..8).unwrap_or_default();
    if BOXES.iter().any(|known| known.as_slice() == kind) {
        Format::Mp4
    } else if transport::begins(bytes) {
        Format::TransportStream
    } else {
        Format::Other
    }
}

/// A number of ticks as a duration.
fn span(ticks: u64, timescale: u32) -> Duration {
    let ns = u128::from(ticks) * 1_000_000_000 / u128::from(timescale.max(1));
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}
