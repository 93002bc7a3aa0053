//! Writes playlists of version 7.
//!
//! What cannot stand in a line or in quotes is left out: there is no way to write it (RFC 8216, 4.2).

use std::fmt::Write as _;
use std::time::Duration;

use crate::manifest::{ByteRange, Presentation, Resource, Track};

/// The version of the protocol that is written: EXT-X-MAP outside I-frame playlists needs 6, and 7
/// is what fMP4 is known by.
const VERSION: u32 = 7;

/// Writes the multivariant playlist of a film; a track's name is the reference of its playlist.
pub fn multivariant(presentation: &Presentation) -> String {
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    for track in &presentation.tracks {
        _ = write!(text, "#EXT-X-STREAM-INF:BANDWIDTH={}", track.peak_bps);
        if let Some(average) = track.average_bps {
            _ = write!(text, ",AVERAGE-BANDWIDTH={average}");
        }
        if let Some(codecs) = &track.codecs {
            _ = write!(text, ",CODECS=\"{}\"", unquoted(codecs));
        }
        if let Some((width, height)) = track.resolution {
            _ = write!(text, ",RESOLUTION={width}x{height}");
        }
        _ = writeln!(text, "\n{}", reference(&track.name));
    }
    text
}

/// Writes the media playlist of a track. A live one has no end and no type.
pub fn media(track: &Track, live: bool) -> String {
    let target_s = track.target_s();
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{target_s}\n\
         #EXT-X-MEDIA-SEQUENCE:{}\n",
        track.first
    );
    if !live {
        text.push_str("#EXT-X-PLAYLIST-TYPE:VOD\n");
    }
    if let Some(Resource { uri, range }) = &track.initialization {
        _ = write!(text, "#EXT-X-MAP:URI=\"{}\"", unquoted(uri));
        if let Some(ByteRange { offset, length }) = range {
            _ = write!(text, ",BYTERANGE=\"{length}@{offset}\"");
        }
        text.push('\n');
    }
    for segment in &track.segments {
        _ = writeln!(text, "#EXTINF:{},", seconds(segment.duration));
        if let Some(ByteRange { offset, length }) = segment.resource.range {
            _ = writeln!(text, "#EXT-X-BYTERANGE:{length}@{offset}");
        }
        _ = writeln!(text, "{}", reference(&segment.resource.uri));
    }
    if !live {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

/// `2.0`, `1.000000001`: with a point, since version 3 asks for it.
fn seconds(duration: Duration) -> String {
    let text = format!("{}.{:09}", duration.as_secs(), duration.subsec_nanos());
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

fn reference(uri: &str) -> String {
    uri.chars().filter(|c| !c.is_control()).collect()
}

fn unquoted(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && *c != '"').collect()
}
