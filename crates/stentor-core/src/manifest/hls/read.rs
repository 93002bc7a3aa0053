//! Reads playlists. Unknown tags are passed over, as RFC 8216 (6.3.1) asks of clients; what is merely
//! against a rule is left to [`crate::manifest::check`].

use std::time::Duration;

use super::lines::{Attribute, Line, What, attributes, byte_range, integer, lines, nanoseconds};
use super::{HlsError, Media, Playlist, lines};
use crate::manifest::{
    ByteRange, Presentation, Resource, SEGMENTS_MAX, Segment, TEXT_MAX, TRACKS_MAX, Track,
};

/// Reads a multivariant or a media playlist.
///
/// # Errors
/// When the text is neither, is too large, or has a line that cannot be understood.
pub fn read(text: &str) -> Result<Playlist, HlsError> {
    if text.len() > TEXT_MAX {
        return Err(HlsError::TooMuch { of: "bytes", limit: TEXT_MAX });
    }
    let mut rest = lines(text);
    match rest.next().map(|line| line.what) {
        Some(What::Tag { name: "EXTM3U", .. }) => {}
        _ => return Err(HlsError::NotOne),
    }
    let variant = |line: Line<'_>| matches!(line.what, What::Tag { name: "EXT-X-STREAM-INF", .. });
    match lines(text).any(variant) {
        true => multivariant(rest).map(Playlist::Multivariant),
        false => Reader::default().media(rest).map(Playlist::Media),
    }
}

/// An error at a byte of a tag's value.
fn wrong(line: &Line<'_>, offset: usize, written: &str, wanted: &'static str) -> HlsError {
    let written = written.chars().take(60).collect();
    HlsError::Line { place: line.place(offset), written, wanted }
}

fn attribute_list<'a>(line: &Line<'a>, value: &'a str) -> Result<Vec<Attribute<'a>>, HlsError> {
    attributes(value).map_err(|odd| {
        wrong(line, odd.offset, value.get(odd.offset..).unwrap_or(value), odd.wanted)
    })
}

fn multivariant<'a>(mut rest: impl Iterator<Item = Line<'a>>) -> Result<Presentation, HlsError> {
    let mut presentation = Presentation::default();
    while let Some(line) = rest.next() {
        let What::Tag { name: "EXT-X-STREAM-INF", value } = line.what else { continue };
        let mut track = variant(&line, value)?;
        // Comments may stand between, another tag may not (4.3.4.2).
        let next = rest.by_ref().find(|line| line.what != What::Comment);
        let Some(What::Uri(uri)) = next.map(|line| line.what) else {
            return Err(wrong(&line, 0, value, "the reference of its playlist follows on a line"));
        };
        uri.clone_into(&mut track.name);
        if presentation.tracks.len() == TRACKS_MAX {
            return Err(HlsError::TooMuch { of: "variants", limit: TRACKS_MAX });
        }
        presentation.tracks.push(track);
    }
    Ok(presentation)
}

fn variant(line: &Line<'_>, value: &str) -> Result<Track, HlsError> {
    let mut track = Track::default();
    let mut declared = false;
    for Attribute { name, value: written, offset, .. } in attribute_list(line, value)? {
        let number = || {
            integer(written).ok_or_else(|| wrong(line, offset, written, "a whole number of bit/s"))
        };
        match name {
            "BANDWIDTH" => (track.peak_bps, declared) = (number()?, true),
            "AVERAGE-BANDWIDTH" => track.average_bps = Some(number()?),
            "CODECS" => track.codecs = Some(written.to_owned()),
            "RESOLUTION" => {
                let read = lines::resolution(written);
                let wanted = "a resolution is WIDTHxHEIGHT";
                track.resolution = Some(read.ok_or_else(|| wrong(line, offset, written, wanted))?);
            }
            _ => {}
        }
    }
    match declared {
        true => Ok(track),
        false => Err(wrong(line, 0, value, "every variant has its BANDWIDTH")),
    }
}

/// What has been read of a media playlist, and what waits for the next reference.
#[derive(Default)]
struct Reader {
    media: Media,
    ended: bool,
    duration: Option<Duration>,
    range: Option<(u64, Option<u64>)>,
    /// Where the last range ended, and of which reference.
    range_end: Option<(String, u64)>,
}

impl Reader {
    fn media<'a>(mut self, rest: impl Iterator<Item = Line<'a>>) -> Result<Media, HlsError> {
        let mut targeted = false;
        for line in rest {
            match line.what {
                What::Tag { name: "EXT-X-TARGETDURATION", value } => {
                    let read = integer(value);
                    let wanted = "a whole number of seconds";
                    self.media.target_s = read.ok_or_else(|| wrong(&line, 0, value, wanted))?;
                    targeted = true;
                }
                What::Tag { name, value } => self.tag(&line, name, value)?,
                What::Uri(uri) => self.segment(&line, uri)?,
                What::Comment => {}
            }
        }
        if !targeted && self.media.track.segments.is_empty() {
            return Err(HlsError::Empty);
        }
        self.media.live = !self.ended;
        Ok(self.media)
    }

    fn tag(&mut self, line: &Line<'_>, name: &str, value: &str) -> Result<(), HlsError> {
        match name {
            "EXTINF" => {
                let seconds = value.split(',').next().unwrap_or(value);
                let wanted = "EXTINF is a number of seconds and a comma";
                let ns = nanoseconds(seconds).ok_or_else(|| wrong(line, 0, value, wanted))?;
                self.duration = Some(Duration::from_nanos(ns));
            }
            "EXT-X-BYTERANGE" => {
                let wanted = "a range is LENGTH or LENGTH@OFFSET";
                let range = byte_range(value);
                self.range = Some(range.ok_or_else(|| wrong(line, 0, value, wanted))?);
            }
            "EXT-X-MEDIA-SEQUENCE" => {
                let read = integer(value);
                let first = read.ok_or_else(|| wrong(line, 0, value, "a whole number"))?;
                self.media.track.first = first;
            }
            "EXT-X-MAP" => self.media.track.initialization = Some(map(line, value)?),
            "EXT-X-ENDLIST" => self.ended = true,
            // It cannot change any more, so that nothing more comes (4.3.3.5).
            "EXT-X-PLAYLIST-TYPE" if value == "VOD" => self.ended = true,
            _ => {}
        }
        Ok(())
    }

    fn segment(&mut self, line: &Line<'_>, uri: &str) -> Result<(), HlsError> {
        let duration = self.duration.take();
        let wanted = "EXTINF stands before the reference of a segment";
        let duration = duration.ok_or_else(|| wrong(line, 0, uri, wanted))?;
        let range = match self.range.take() {
            None => None,
            Some((length, offset)) => {
                let before = self.range_end.as_ref().filter(|(before, _)| before == uri);
                let begin = offset.or(before.map(|(_, end)| *end));
                let wanted = "a range without an offset follows a range of the same resource";
                let offset = begin.ok_or_else(|| wrong(line, 0, uri, wanted))?;
                let wanted = "a range ends below 2^64";
                offset.checked_add(length).ok_or_else(|| wrong(line, 0, uri, wanted))?;
                Some(ByteRange { offset, length })
            }
        };
        self.range_end =
            range.map(|range| (uri.to_owned(), range.offset.saturating_add(range.length)));
        if self.media.track.segments.len() == SEGMENTS_MAX {
            return Err(HlsError::TooMuch { of: "segments", limit: SEGMENTS_MAX });
        }
        let resource = Resource { uri: uri.to_owned(), range };
        self.media.track.segments.push(Segment { resource, duration });
        Ok(())
    }
}

fn map(line: &Line<'_>, value: &str) -> Result<Resource, HlsError> {
    let mut resource = Resource::default();
    for Attribute { name, value: written, offset, .. } in attribute_list(line, value)? {
        match name {
            "URI" => written.clone_into(&mut resource.uri),
            "BYTERANGE" => {
                let wanted = "a range is LENGTH@OFFSET";
                let read = byte_range(written);
                let (length, begin) = read.ok_or_else(|| wrong(line, offset, written, wanted))?;
                resource.range = Some(ByteRange { offset: begin.unwrap_or(0), length });
            }
            _ => {}
        }
    }
    match resource.uri.is_empty() {
        false => Ok(resource),
        true => Err(wrong(line, 0, value, "EXT-X-MAP has a URI")),
    }
}
