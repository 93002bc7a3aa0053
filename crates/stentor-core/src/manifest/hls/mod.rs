//! HLS playlists, version 7 (RFC 8216): multivariant and media.

pub(super) mod lines;
mod read;
mod write;

#[cfg(test)]
mod tests;

use thiserror::Error;

pub use read::read;
pub use write::{media, multivariant};

use super::{Place, Presentation, Track};

/// What a playlist is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playlist {
    /// The list of the qualities: tracks without segments.
    Multivariant(Presentation),
    /// The segments of one quality.
    Media(Media),
}

/// The segments of one quality.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// The segments, their initialization and the first one's number; the rest of a track is in the
    /// multivariant playlist.
    pub track: Track,
    /// EXT-X-TARGETDURATION, in seconds.
    pub target_s: u64,
    /// Whether more segments may come: there is no EXT-X-ENDLIST.
    pub live: bool,
}

/// Why a playlist was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HlsError {
    /// A line that cannot be what it claims.
    #[error("{place}: {written:?}: {wanted}")]
    Line {
        /// Where.
        place: Place,
        /// What stands there, at most 60 characters of it.
        written: String,
        /// What should.
        wanted: &'static str,
    },
    /// No playlist at all.
    #[error("the text does not begin with #EXTM3U: it is no HLS playlist")]
    NotOne,
    /// No bytes of text.
    #[error("the playlist has neither segments nor variants")]
    Empty,
    /// More than is read.
    #[error("the playlist has more than {limit} {of}")]
    TooMuch {
        /// Bytes, segments or variants.
        of: &'static str,
        /// How many are read.
        limit: usize,
    },
}
