//! What is played: a manifest, found out by its content, as a film and the address of each chunk.
//!
//! Reading manifests is `stentor_core::manifest`'s; here they are fetched, and bounded. The chunks
//! themselves are fetched by the session.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stentor_core::manifest::dash::{self, DashError};
use stentor_core::manifest::hls::{self, Media, Playlist};
use stentor_core::manifest::index::{self, Look};
use stentor_core::manifest::{
    ByteRange, Presentation, Resource, SEGMENTS_MAX, Segment, TEXT_MAX, Track,
};
use stentor_core::units::BitRate;
use stentor_core::video::film::{CHUNK_BYTES_MAX, Chunk, Film, QUALITIES_MAX};
use stentor_core::video::session::Download;
use url::Url;

use super::web::{Fault, Reply, Web};

/// The most bytes of all playlists of a film together.
const PLAYLISTS_MAX_BYTES: usize = 4 * TEXT_MAX;
/// The largest initialization that is fetched, in bytes.
const INITIALIZATION_MAX_BYTES: u64 = 16 << 20;
/// How much of a file is read at once, in search of its index, and how often.
const INDEX_READ_BYTES: u64 = 16 * 1024;
const INDEX_READS_MAX: usize = 16;
/// How much of a reply says what it is.
const BEGINNING_BYTES: usize = 1024;
const ORIGIN: &str = "stentor video serve has /master.m3u8 and /manifest.mpd.";
const CHECK: &str = "stentor video check URL says more.";

/// A film to be played, and where its chunks are.
#[derive(Clone, Debug)]
pub struct Script {
    /// The film.
    pub film: Arc<Film>,
    /// Whether its sizes are exact.
    pub exact: bool,
    /// What it was found to be.
    pub found: String,
    /// What was left out, and why.
    pub notes: Vec<String>,
    tracks: Vec<Addresses>,
}

/// Where the chunks of a quality are.
#[derive(Clone, Debug)]
struct Addresses {
    base: Url,
    segments: Vec<Resource>,
}

/// What a URL was found to be.
#[derive(Debug)]
pub enum Found {
    /// A manifest.
    Script(Box<Script>),
    /// One file, for progressive playing.
    File {
        /// Where it is, after redirects.
        url: Url,
    },
}

/// What lies at a URL, for one who wants a single file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// A file: an MP4, or something else that is no text. Where it is, after redirects.
    File(Url),
    /// A manifest, in words: `an HLS playlist`.
    Manifest(&'static str),
}

impl Script {
    /// Where a chunk is.
    ///
    /// # Errors
    /// A reference that is none.
    pub fn address(&self, chunk: usize, quality: usize) -> Result<(Url, Option<ByteRange>), Fault> {
        let track = self.tracks.get(quality).or(self.tracks.last());
        match track.and_then(|track| Some((track, track.segments.get(chunk)?))) {
            Some((track, resource)) => Ok((joined(&track.base, &resource.uri)?, resource.range)),
            None => Err(Fault {
                unreachable: false,
                status: None,
                what: format!("chunk {chunk} of quality {quality} has no address"),
                next: String::new(),
            }),
        }
    }

    /// Whether a download has another size than the film says exactly.
    pub fn is_wrong_size(&self, download: &Download) -> bool {
        self.exact && self.film.bytes(download.chunk, download.quality) != download.bytes
    }

    /// Takes the exact sizes of another description of the same film.
    ///
    /// # Errors
    /// It is not the same: another number of qualities or chunks.
    pub fn with_sizes_of(mut self, film: Film) -> Result<Script, String> {
        let shape = |film: &Film| (film.qualities(), film.chunks().len());
        let ((qualities, chunks), (ours, our_chunks)) = (shape(&film), shape(&self.film));
        if (qualities, chunks) != (ours, our_chunks) {
            return Err(format!(
                "--film has {qualities} qualities of {chunks} chunks, and the manifest {ours} of \
                 {our_chunks}"
            ));
        }
        (self.film, self.exact) = (Arc::new(film), true);
        Ok(self)
    }
}

/// Finds out what `url` is, and fetches all of the manifest that it takes to play.
///
/// # Errors
/// It cannot be fetched, is no manifest, is live, or is no film.
pub async fn find(web: &Web, url: &Url) -> Result<Found, Fault> {
    let (reply, kind, text) = begin(web, url).await?;
    let url = reply.url.clone();
    match kind {
        Kind::File => return Ok(Found::File { url }),
        Kind::Hls | Kind::Dash => {}
        other @ (Kind::Html | Kind::Nothing | Kind::Other) => {
            return Err(strange(&reply, other, &text));
        }
    }
    let text = whole(web, reply, text).await?;
    let script = if Kind::of(text.as_bytes()) == Kind::Dash {
        let presentation = dash::read(&text).map_err(|error| unread(&url, &error))?;
        of_dash(web, &url, presentation).await?
    } else {
        match hls::read(&text).map_err(|error| Fault::of(&url, error, CHECK))? {
            Playlist::Multivariant(presentation) => of_hls(web, &url, presentation).await?,
            Playlist::Media(media) => {
                refuse_live(&url, media.live)?;
                // It does not say its rate; what it has of sizes does.
                let track = Track { peak_bps: guessed_bps(&media.track), ..media.track };
                let built = Builder::new("an HLS media playlist");
                built.take(web, vec![(url.clone(), track)], &url).await?
            }
        }
    };
    Ok(Found::Script(Box::new(script)))
}

/// Finds out whether `url` is a file that one request fetches; no more of it is read than that takes.
///
/// # Errors
/// It cannot be fetched, or is neither a film nor a manifest.
pub async fn look(web: &Web, url: &Url) -> Result<Looked, Fault> {
    let (reply, kind, text) = begin(web, url).await?;
    match kind {
        Kind::Hls => Ok(Looked::Manifest("an HLS playlist")),
        Kind::Dash => Ok(Looked::Manifest("a DASH manifest")),
        // How a film is packed does not matter to one who only counts its bytes.
        Kind::Other if std::str::from_utf8(&text).is_err() => Ok(Looked::File(reply.url)),
        Kind::File => Ok(Looked::File(reply.url)),
        other @ (Kind::Html | Kind::Nothing | Kind::Other) => Err(strange(&reply, other, &text)),
    }
}

/// Asks for `url`, and reads as much as says what it is.
async fn begin(web: &Web, url: &Url) -> Result<(Reply, Kind, Vec<u8>), Fault> {
    let missing = |fault: Fault| match fault.status {
        Some(_) => Fault { next: format!("Is the path right? {ORIGIN}"), ..fault },
        None => fault,
    };
    let mut reply = web.get(url, None).await.map_err(missing)?;
    let mut text = Vec::new();
    while text.len() < BEGINNING_BYTES
        && let Some(piece) = reply.piece().await?
    {
        text.extend_from_slice(&piece);
    }
    let kind = Kind::of(&text);
    Ok((reply, kind, text))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Hls,
    Dash,
    File,
    Html,
    Nothing,
    Other,
}

impl Kind {
    fn of(bytes: &[u8]) -> Kind {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
        let begins = |word: &[u8]| {
            text.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word))
        };
        let head = text.get(..text.len().min(BEGINNING_BYTES)).unwrap_or(text);
        let has = |word: &[u8]| head.windows(word.len()).any(|part| part == word);
        let boxed = bytes.get(4..8).is_some_and(|name| {
            [b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"sidx"]
                .iter()
                .any(|known| name == known.as_slice())
        });
        match () {
            () if text.is_empty() => Kind::Nothing,
            () if begins(b"#EXTM3U") => Kind::Hls,
            () if boxed => Kind::File,
            () if begins(b"<!doctype html") || begins(b"<html") => Kind::Html,
            () if has(b"<MPD") => Kind::Dash,
            () => Kind::Other,
        }
    }
}

fn strange(reply: &Reply, kind: Kind, text: &[u8]) -> Fault {
    let next = format!(
        "A manifest is an HLS playlist (it begins with #EXTM3U) or a DASH MPD: is the path right? \
         {ORIGIN}"
    );
    let what = match kind {
        Kind::Html => "this is an HTML page, not a manifest".to_owned(),
        Kind::Nothing => "the answer is empty, not a manifest".to_owned(),
        Kind::Hls | Kind::Dash | Kind::File | Kind::Other => {
            let begin = text.get(..text.len().min(24)).unwrap_or(text).escape_ascii();
            let kind = reply.kind.as_deref().unwrap_or("no type");
            format!("neither a manifest nor an MP4 file: {kind}, beginning with \"{begin}\"")
        }
    };
    Fault::of(&reply.url, what, &next)
}

/// The text of a manifest, as much of it as is read at all.
async fn whole(web: &Web, mut reply: Reply, mut bytes: Vec<u8>) -> Result<String, Fault> {
    while let Some(piece) = reply.piece().await? {
        if bytes.len() + piece.len() > TEXT_MAX {
            let what = format!("the manifest has more than {TEXT_MAX} bytes");
            return Err(Fault::of(&reply.url, what, "A manifest of a film is a thousandth of it."));
        }
        bytes.extend_from_slice(&piece);
    }
    let url = reply.url.clone();
    web.keep(reply);
    String::from_utf8(bytes)
        .map(|text| text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
        .map_err(|error| Fault::of(&url, format_args!("the manifest is no text: {error}"), CHECK))
}

fn unread(url: &Url, error: &DashError) -> Fault {
    Fault::of(url, error, CHECK)
}

fn joined(base: &Url, reference: &str) -> Result<Url, Fault> {
    let wrong =
        |why: String| Fault::of(base, format_args!("the reference {reference:?}: {why}"), CHECK);
    let url = base.join(reference).map_err(|error| wrong(error.to_string()))?;
    match matches!(url.scheme(), "http" | "https") {
        true => Ok(url),
        false => Err(wrong(format!("{} is neither http nor https", url.scheme()))),
    }
}

fn refuse_live(url: &Url, live: bool) -> Result<(), Fault> {
    if !live {
        return Ok(());
    }
    let what = "this is a live stream: more of it is to come (no #EXT-X-ENDLIST, or type=dynamic), \
                and only stored video is played";
    Err(Fault::of(url, what, "Play a recording: a playlist that has its end."))
}

async fn of_dash(web: &Web, url: &Url, presentation: Presentation) -> Result<Script, Fault> {
    refuse_live(url, presentation.live)?;
    let mut built = Builder::new("a DASH manifest");
    let mut tracks = Vec::new();
    let all = presentation.tracks.len();
    for track in presentation.tracks {
        let base = track.bases.iter().try_fold(url.clone(), |base, next| joined(&base, next))?;
        if is_video(&track) {
            let track = indexed(web, &base, track).await?;
            tracks.push((base, track));
        }
    }
    if tracks.len() < all {
        built.notes.push(format!(
            "{} of {all} representations are no video: audio and subtitles are not fetched",
            all - tracks.len()
        ));
    }
    built.take(web, tracks, url).await
}

/// A representation that is one file, with the segments that its own index names; as it is without one.
async fn indexed(web: &Web, base: &Url, mut track: Track) -> Result<Track, Fault> {
    let [Segment { resource: Resource { uri, range: None }, .. }] = track.segments.as_slice()
    else {
        return Ok(track);
    };
    let uri = uri.clone();
    let url = joined(base, &uri)?;
    let mut range = ByteRange { offset: 0, length: INDEX_READ_BYTES };
    for _ in 0..INDEX_READS_MAX {
        let bytes = bytes(web, &url, range).await?;
        match index::look(range.offset, &bytes).map_err(|error| Fault::of(&url, error, CHECK))? {
            Look::Found(found) => {
                let segment = |(range, duration)| Segment {
                    resource: Resource { uri: uri.clone(), range: Some(range) },
                    duration,
                };
                track.segments = found.into_iter().map(segment).collect();
                return Ok(track);
            }
            Look::Further(next) => {
                range = ByteRange { length: next.length.max(INDEX_READ_BYTES), ..next };
            }
            Look::Missing => break,
        }
    }
    Ok(track)
}

/// Some bytes of a file; fewer where it ends.
async fn bytes(web: &Web, url: &Url, range: ByteRange) -> Result<Vec<u8>, Fault> {
    let mut reply = web.get(url, Some(range)).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = reply.piece().await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > range.length {
            let what = format!("more than the {} bytes that were asked for", range.length);
            return Err(Fault::of(url, what, ""));
        }
    }
    web.keep(reply);
    Ok(bytes)
}

/// Whether a representation has pictures; one that does not say so has.
fn is_video(track: &Track) -> bool {
    let mime = track.mime.as_deref().unwrap_or("video/");
    mime.starts_with("video/") || track.resolution.is_some()
}

/// Fetches the playlist of each variant. One that is not there is left out.
async fn of_hls(web: &Web, url: &Url, presentation: Presentation) -> Result<Script, Fault> {
    let mut built = Builder::new("an HLS playlist");
    let mut tracks = Vec::new();
    let (mut bytes, mut segments, mut lost) = (0, 0, None);
    let mut seen = BTreeMap::new();
    for variant in presentation.tracks {
        let place = joined(url, &variant.name)?;
        // Variants that differ in their sound alone name the same pictures.
        if seen.insert(place.clone(), ()).is_some() {
            continue;
        }
        let (place, text) = match playlist(web, &place).await {
            Ok(found) => found,
            Err(fault) if fault.unreachable => return Err(fault),
            Err(fault) => {
                built.notes.push(format!("left out: {}", fault.what));
                lost = Some(fault);
                continue;
            }
        };
        bytes += text.len();
        let media = match hls::read(&text).map_err(|error| Fault::of(&place, error, CHECK))? {
            Playlist::Media(media) => media,
            Playlist::Multivariant(_) => {
                let what = "the playlist of a variant names variants itself";
                return Err(Fault::of(&place, what, CHECK));
            }
        };
        let Media { track, live, .. } = media;
        refuse_live(&place, live)?;
        segments += track.segments.len();
        if bytes > PLAYLISTS_MAX_BYTES || segments > SEGMENTS_MAX {
            let what =
                format!("its playlists have {bytes} bytes and {segments} segments: too much");
            return Err(Fault::of(url, what, CHECK));
        }
        tracks.push((
            place,
            Track {
                segments: track.segments,
                first: track.first,
                initialization: track.initialization,
                ..variant
            },
        ));
    }
    match (tracks.is_empty(), lost) {
        (true, Some(fault)) => Err(fault),
        _ => built.take(web, tracks, url).await,
    }
}

async fn playlist(web: &Web, url: &Url) -> Result<(Url, String), Fault> {
    let reply = web.get(url, None).await?;
    let place = reply.url.clone();
    let text = whole(web, reply, Vec::new()).await?;
    match Kind::of(text.as_bytes()) {
        Kind::Hls => Ok((place, text)),
        Kind::Html => Err(Fault::of(&place, "this is an HTML page, not a playlist", CHECK)),
        Kind::Dash | Kind::File | Kind::Nothing | Kind::Other => {
            Err(Fault::of(&place, "this is no HLS playlist", CHECK))
        }
    }
}

/// What a playlist without variants says of its rate: the sizes of its ranges; else nothing, which is
/// taken for 1 Mbit/s.
fn guessed_bps(track: &Track) -> u64 {
    let sizes =
        track.segments.iter().map(|segment| segment.resource.range.map(|range| range.length));
    let bytes = sizes.sum::<Option<u64>>().filter(|bytes| *bytes > 0);
    let ns = track.length().as_nanos();
    let rate = |bytes: u64| u128::from(bytes) * 8_000_000_000 / ns.max(1);
    bytes.map_or(1_000_000, |bytes| u64::try_from(rate(bytes)).unwrap_or(u64::MAX))
}

/// Makes one film of tracks.
struct Builder {
    found: &'static str,
    notes: Vec<String>,
}

impl Builder {
    fn new(found: &'static str) -> Builder {
        Builder { found, notes: Vec::new() }
    }

    async fn take(
        mut self,
        web: &Web,
        mut tracks: Vec<(Url, Track)>,
        url: &Url,
    ) -> Result<Script, Fault> {
        if tracks.is_empty() {
            return Err(Fault::of(url, "the manifest has no video", CHECK));
        }
        self.leave_odd_lengths(&mut tracks);
        tracks.sort_by_key(|(_, track)| declared_bps(track));
        self.leave_equals(&mut tracks);
        self.fetch_initializations(web, &mut tracks).await?;
        if tracks.len() > QUALITIES_MAX {
            let over = tracks.len() - QUALITIES_MAX;
            self.notes.push(format!(
                "the {over} highest qualities are left out: {QUALITIES_MAX} are enough"
            ));
            tracks.truncate(QUALITIES_MAX);
        }
        let found = format!("{}, {} qualities", self.found, tracks.len());
        let (film, exact) = film(&tracks).map_err(|error| Fault::of(url, error, CHECK))?;
        let tracks = tracks.into_iter().map(|(base, track)| Addresses {
            base,
            segments: track.segments.into_iter().map(|segment| segment.resource).collect(),
        });
        let film = Arc::new(film);
        Ok(Script { film, exact, found, notes: self.notes, tracks: tracks.collect() })
    }

    /// Chunks of all qualities must stand for the same pictures: those whose number of chunks most
    /// share stay.
    fn leave_odd_lengths(&mut self, tracks: &mut Vec<(Url, Track)>) {
        let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, track) in tracks.iter() {
            *votes.entry(track.segments.len()).or_default() += 1;
        }
        let most = votes.into_iter().max_by_key(|(count, votes)| (*votes, *count));
        let most = most.map_or(0, |(count, _)| count);
        let notes = &mut self.notes;
        tracks.retain(|(url, track)| {
            let count = track.segments.len();
            if count != most {
                let name = &track.name;
                notes.push(format!(
                    "left out: {name:?} of {url} has {count} chunks, the others {most}"
                ));
            }
            count == most
        });
    }

    fn leave_equals(&mut self, tracks: &mut Vec<(Url, Track)>) {
        let mut before = None;
        let notes = &mut self.notes;
        tracks.retain(|(url, track)| {
            let rate = declared_bps(track);
            let fresh = before.replace(rate) != Some(rate);
            if !fresh {
                let name = &track.name;
                notes.push(format!(
                    "left out: {name:?} of {url} has the same {rate} bit/s as another"
                ));
            }
            fresh
        });
    }

    /// Fetches what a decoder would need first. Without it a quality cannot be played, and is left out.
    async fn fetch_initializations(
        &mut self,
        web: &Web,
        tracks: &mut Vec<(Url, Track)>,
    ) -> Result<(), Fault> {
        let mut known: BTreeMap<(Url, Option<(u64, u64)>), bool> = BTreeMap::new();
        let mut place = 0;
        while let Some((base, track)) = tracks.get(place) {
            let Some(resource) = &track.initialization else {
                place += 1;
                continue;
            };
            let url = joined(base, &resource.uri)?;
            let range = resource.range;
            let key = (url, range.map(|range| (range.offset, range.length)));
            let is_there = match known.get(&key) {
                Some(is_there) => *is_there,
                None => match counted(web, &key.0, range).await {
                    Ok(()) => true,
                    Err(fault) if fault.unreachable || tracks.len() == 1 => return Err(fault),
                    Err(fault) => {
                        self.notes.push(format!("left out: {}", fault.what));
                        false
                    }
                },
            };
            known.insert(key, is_there);
            match is_there {
                true => place += 1,
                false => {
                    tracks.remove(place);
                }
            }
        }
        Ok(())
    }
}

async fn counted(web: &Web, url: &Url, range: Option<ByteRange>) -> Result<(), Fault> {
    let mut reply = web.get(url, range).await?;
    while reply.piece().await?.is_some() {
        if reply.bytes() > INITIALIZATION_MAX_BYTES {
            let what = format!("an initialization of more than {INITIALIZATION_MAX_BYTES} bytes");
            return Err(Fault::of(url, what, CHECK));
        }
    }
    web.keep(reply);
    Ok(())
}

fn declared_bps(track: &Track) -> u64 {
    track.average_bps.filter(|bps| *bps > 0).unwrap_or(track.peak_bps)
}

/// The film of tracks with the same number of segments, and whether its sizes are exact.
fn film(tracks: &[(Url, Track)]) -> Result<(Film, bool), String> {
    let rates: Vec<BitRate> =
        tracks.iter().map(|(_, track)| BitRate(declared_bps(track))).collect();
    let Some((_, first)) = tracks.first() else { return Err("the manifest has no video".into()) };
    let ranged = |segment: &Segment| segment.resource.range.is_some();
    let exact = tracks.iter().all(|(_, track)| track.segments.iter().all(ranged));
    let mut chunks = Vec::with_capacity(first.segments.len());
    for (index, segment) in first.segments.iter().enumerate() {
        let bytes = tracks.iter().zip(&rates).map(|((_, track), rate)| {
            let range = track.segments.get(index).and_then(|segment| segment.resource.range);
            range.map_or_else(|| expected(*rate, segment.duration), |range| range.length)
        });
        chunks.push(Chunk { duration: segment.duration, bytes: bytes.collect() });
    }
    Film::new(rates, chunks).map(|film| (film, exact)).map_err(|error| error.to_string())
}

/// The bytes of a chunk by its declared rate, as far as there can be so many.
fn expected(rate: BitRate, duration: Duration) -> u64 {
    let bytes = u128::from(rate.0) * duration.as_nanos() / 8_000_000_000;
    u64::try_from(bytes).unwrap_or(u64::MAX).max(1).min(CHUNK_BYTES_MAX.saturating_add(1))
}
