//! Checks how a manifest, an initialization or a segment came, and whether it can be read at all.

use super::rules::{
    CORS, CUT, ENCODING, FORMAT, INITIALIZATION, MANIFEST_TYPE, MISSING, NO_INITIALIZATION,
    PLAYLIST_TYPE, RANGELESS, REDIRECTED, SEGMENT_TYPE, SHORT, TARGET, UNDATED, UNIDENTIFIED,
};
use super::{Finding, Findings};
use crate::manifest::ByteRange;
use crate::manifest::segment::{Facts, Format, Initialization, SegmentError};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An HLS playlist.
    Playlist,
    /// A DASH manifest.
    Manifest,
    /// An initialization or a segment, packed like this.
    Media(Format),
}

/// How something came: over HTTP, or from a file, which has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// What it was.
    pub what: What,
    /// As it is called in findings: its reference, or its URL.
    pub name: &'a str,
    /// Which bytes of it were asked for.
    pub range: Option<ByteRange>,
    /// How many bytes came.
    pub bytes: u64,
    /// Why a file could not be read.
    pub absent: Option<&'a str>,
    /// What HTTP said; `None` for a file.
    pub reply: Option<Reply<'a>>,
}

/// The head of a reply, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The status of the last reply.
    pub status: u16,
    /// The path of the URL that was asked for first.
    pub path: &'a str,
    /// Content-Type.
    pub media_type: Option<&'a str>,
    /// Whether Access-Control-Allow-Origin is there.
    pub shared: bool,
    /// How many redirects led there.
    pub redirects: usize,
    /// Whether the body broke off.
    pub cut: bool,
    /// What Content-Length announced, in bytes.
    pub announced: Option<u64>,
}

/// Checks how something came.
pub fn delivered(delivery: &Delivery<'_>) -> Vec<Finding> {
    let mut findings = Findings::default();
    let (name, bytes) = (delivery.name, delivery.bytes);
    if let Some(why) = delivery.absent {
        findings.add(&MISSING, None, format!("{name}: {why}"));
        return findings.0;
    }
    if let Some(range) = delivery.range {
        let (begin, length) = (range.offset, range.length);
        let end = begin.saturating_add(length);
        let refused = delivery.reply.as_ref().is_some_and(|reply| reply.status == 416);
        let whole = delivery.reply.as_ref().is_some_and(|reply| reply.status == 200);
        let cut = delivery.reply.as_ref().is_some_and(|reply| reply.cut);
        if refused || (bytes < length && !whole && !cut && !failed(delivery)) {
            let found = format!("{name}: {bytes} of bytes {begin} to {end}, not {length}");
            findings.add(&SHORT, None, found);
        }
        if whole && bytes > length {
            let found = format!("{name}: {bytes} bytes, and {length} were asked for");
            findings.add(&RANGELESS, None, found);
        }
        if refused {
            return findings.0;
        }
    }
    if let Some(reply) = &delivery.reply {
        self::reply(delivery, reply, &mut findings);
    }
    findings.0
}

fn failed(delivery: &Delivery<'_>) -> bool {
    delivery.reply.as_ref().is_some_and(|reply| !(200..300).contains(&reply.status))
}

fn reply(delivery: &Delivery<'_>, reply: &Reply<'_>, findings: &mut Findings) {
    let name = delivery.name;
    if failed(delivery) {
        // What the reply is otherwise says nothing about what is missing.
        findings.add(&MISSING, None, format!("{name}: the server answered {}", reply.status));
        return;
    }
    if reply.cut {
        let found = match reply.announced {
            Some(announced) => format!("{name}: {} of {announced} bytes came", delivery.bytes),
            None => format!("{name}: its last chunk never came, after {} bytes", delivery.bytes),
        };
        findings.add(&CUT, None, found);
    }
    if reply.redirects > 0 {
        let found = format!("{name}: {} on the way", counted(reply.redirects, "redirect"));
        findings.add(&REDIRECTED, None, found);
    }
    let said = reply.media_type.unwrap_or("none");
    // Parameters such as charset may follow (RFC 9110, 8.3.1).
    let kind = said.split(';').next().unwrap_or(said).trim().to_ascii_lowercase();
    let wrong = |fits: &[&str]| !fits.contains(&kind.as_str());
    let playlist = ["application/vnd.apple.mpegurl", "audio/mpegurl"];
    match delivery.what {
        What::Playlist if wrong(&playlist) => {
            let known = [".m3u8", ".m3u"].iter().any(|end| reply.path.ends_with(end));
            let rule = if known { &PLAYLIST_TYPE } else { &UNIDENTIFIED };
            findings.add(rule, None, format!("{name}: {said}"));
        }
        What::Manifest if wrong(&["application/dash+xml"]) => {
            findings.add(&MANIFEST_TYPE, None, format!("{name}: {said}"));
        }
        What::Media(Format::Mp4)
            if wrong(&["video/mp4", "audio/mp4", "application/mp4", "video/iso.segment"]) =>
        {
            findings.add(&SEGMENT_TYPE, None, format!("{name}: {said}, and it is MP4"));
        }
        What::Media(Format::TransportStream) if wrong(&["video/mp2t"]) => {
            let found = format!("{name}: {said}, and it is a transport stream");
            findings.add(&SEGMENT_TYPE, None, found);
        }
        What::Playlist | What::Manifest | What::Media(_) => {}
    }
    if !reply.shared {
        findings.add(&CORS, None, format!("{name}: none"));
    }
}

fn counted(count: usize, of: &str) -> String {
    if count == 1 { format!("1 {of}") } else { format!("{count} {of}s") }
}

/// Checks that a manifest is text, and gives it as text in any case.
pub fn encoding(bytes: &[u8]) -> (String, Vec<Finding>) {
    let mut findings = Findings::default();
    if let Err(error) = std::str::from_utf8(bytes) {
        let found = format!("byte {} begins no character", error.valid_up_to());
        findings.add(&ENCODING, None, found);
    }
    (String::from_utf8_lossy(bytes).into_owned(), findings.0)
}

/// Checks an initialization; `name` is its reference.
pub fn initialization(name: &str, read: &Result<Initialization, SegmentError>) -> Vec<Finding> {
    let mut findings = Findings::default();
    match read {
        Err(error) => findings.add(&INITIALIZATION, None, format!("{name}: {error}")),
        Ok(initialization) => {
            for (there, wanted) in
                [(initialization.typed, "ftyp"), (initialization.fragmented, "mvex")]
            {
                if !there {
                    let found = format!("{name}: there is no {wanted} box");
                    findings.add(&INITIALIZATION, None, found);
                }
            }
        }
    }
    findings.0
}

/// What is named as a media playlist, and is a playlist of variants.
pub fn not_media() -> Vec<Finding> {
    let mut findings = Findings::default();
    findings.add(&TARGET, None, "a playlist of variants, where one of segments was named");
    findings.0
}

/// Checks that a segment can be read; `initialized`: whether the manifest names an initialization.
pub fn segment(name: &str, initialized: bool, read: &Result<Facts, SegmentError>) -> Vec<Finding> {
    let mut findings = Findings::default();
    match read {
        Err(error @ SegmentError::UnknownTrack { .. }) if !initialized => {
            findings.add(&NO_INITIALIZATION, None, format!("{name}: {error}"));
        }
        Err(error) => findings.add(&FORMAT, None, format!("{name}: {error}")),
        Ok(facts) if facts.undated => findings.add(&UNDATED, None, format!("{name}: none")),
        Ok(_) => {}
    }
    findings.0
}
