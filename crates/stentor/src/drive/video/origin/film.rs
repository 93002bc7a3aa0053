//! A generated film as an origin has it: manifests, an initialization, chunks, and whole files.
//!
//! Nothing of it is stored but the manifests. A chunk is drawn when it is asked for, and its padding
//! is one block of zeros, of which everybody is sent slices.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use stentor_core::manifest::{Presentation, Resource, Segment, Track, dash, hls, rates_bps};
use stentor_core::video::film::Film;
use stentor_core::video::mp4::{self, ChunkError};

use super::entity::{ASK, Entity, KEEP_NOT, Source, fingerprint};

/// The media types of manifests (RFC 8216, 4; ISO/IEC 23009-1, annex C).
const HLS: &str = "application/vnd.apple.mpegurl";
const DASH: &str = "application/dash+xml";

/// How many zeros are sent at once, at most.
const ZEROS_BYTES: usize = 256 << 10;
static ZEROS: [u8; ZEROS_BYTES] = [0; ZEROS_BYTES];

/// A film with its manifests.
#[derive(Debug)]
pub struct Catalogue {
    film: Film,
    /// Of everything that a chunk depends on: the validators follow from it.
    fingerprint: u64,
    /// For each quality, where each chunk begins in the chunks put together; at the end their length.
    offsets: Vec<Vec<u64>>,
    initialization: Bytes,
    master: Bytes,
    manifest: Bytes,
}

impl Catalogue {
    /// Lays out a film.
    ///
    /// # Errors
    /// A chunk that is too small for its pictures.
    pub fn new(film: Film) -> Result<Catalogue, ChunkError> {
        check(&film)?;
        let offsets: Vec<Vec<u64>> = (0..film.qualities()).map(|q| offsets(&film, q)).collect();
        let tracks = |of: fn(&Film, usize) -> Track| {
            let tracks = (0..film.qualities()).map(|quality| of(&film, quality)).collect();
            // Whoever has this much, and the declared rate, never waits (ISO/IEC 23009-1, 5.3.1.2).
            let buffer = film.chunks().iter().map(|chunk| chunk.duration).max();
            Presentation { tracks, buffer: buffer.unwrap_or_default(), ..Presentation::default() }
        };
        let master = hls::multivariant(&tracks(hls_track)).into();
        // A track of ours has no base, and is always written.
        let manifest = dash::write(&tracks(dash_track)).unwrap_or_default().into();
        let initialization = mp4::initialization().into();
        let fingerprint = film_fingerprint(&film);
        Ok(Catalogue { film, fingerprint, offsets, initialization, master, manifest })
    }

    /// The film.
    pub fn film(&self) -> &Film {
        &self.film
    }

    /// What is under a path, from its `/` on.
    pub(super) fn find(self: &Arc<Catalogue>, path: &str) -> Option<Entity> {
        match path {
            "/master.m3u8" => Some(Entity::text(HLS, ASK, self.master.clone())),
            "/manifest.mpd" => Some(Entity::text(DASH, ASK, self.manifest.clone())),
            "/init.mp4" => Some(Entity::text(mp4::MIME, KEEP_NOT, self.initialization.clone())),
            _ => self.find_quality(path),
        }
    }

    fn find_quality(self: &Arc<Catalogue>, path: &str) -> Option<Entity> {
        let (quality, name) = path.strip_prefix('/')?.split_once('/')?;
        let quality = number(quality).filter(|quality| *quality < self.film.qualities())?;
        if name == "playlist.m3u8" {
            let text = hls::media(&hls_track(&self.film, quality), false);
            return Some(Entity::text(HLS, ASK, text.into()));
        }
        let chunk = match name {
            "film.mp4" => None,
            _ => Some(number(name.strip_suffix(".m4s")?)?),
        };
        let length = match chunk {
            Some(chunk) => self.film.bytes(chunk, quality),
            None => self.initialization.len() as u64 + self.offsets.get(quality)?.last()?,
        };
        let name = name.split('.').next().unwrap_or_default();
        let (first, whole) = (chunk.unwrap_or(0), chunk.is_none());
        let source = Source::Film { catalogue: Arc::clone(self), quality, first, whole };
        let tag = format!("\"{:016x}-{quality}-{name}\"", self.fingerprint);
        let (content, modified, cache) = (mp4::MIME, None, KEEP_NOT);
        (length > 0).then_some(Entity { content, length, tag, modified, cache, source })
    }
}

/// A number as the manifests write it: another spelling is another path.
fn number(text: &str) -> Option<usize> {
    let number: usize = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Draws the chunks that could be too small for their pictures.
fn check(film: &Film) -> Result<(), ChunkError> {
    let longest = film.chunks().iter().map(|chunk| chunk.duration).max().unwrap_or_default();
    // A picture takes less than 64 bytes with its entry in the table, and the card less than 16 KiB.
    let enough = (16 << 10) + u64::from(mp4::pictures(longest)) * 64;
    for (index, chunk) in film.chunks().iter().enumerate() {
        for (quality, bytes) in chunk.bytes.iter().enumerate() {
            if *bytes < enough {
                mp4::chunk(film, index, quality)?;
            }
        }
    }
    Ok(())
}

fn offsets(film: &Film, quality: usize) -> Vec<u64> {
    let ends = (0..film.chunks().len()).scan(0, |end, chunk| {
        *end += film.bytes(chunk, quality);
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

fn film_fingerprint(film: &Film) -> u64 {
    let mut numbers: Vec<u64> = film.rates().iter().map(|rate| rate.0).collect();
    for chunk in film.chunks() {
        numbers.extend([chunk.duration.subsec_nanos().into(), chunk.duration.as_secs()]);
        numbers.extend(&chunk.bytes);
    }
    let bytes: Vec<[u8; 8]> = numbers.into_iter().map(u64::to_le_bytes).collect();
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    fingerprint(std::iter::once(version).chain(bytes.iter().map(<[u8; 8]>::as_slice)))
}

/// A quality with what both manifests say of it.
fn track(film: &Film, quality: usize, before: &str, initialization: &str) -> Track {
    let segment = |(index, duration): (usize, Duration)| Segment {
        resource: Resource { uri: format!("{before}{index}.m4s"), range: None },
        duration,
    };
    let durations = film.chunks().iter().map(|chunk| chunk.duration).enumerate();
    let mut track = Track {
        codecs: Some(mp4::CODECS.to_owned()),
        resolution: Some(mp4::SIZE),
        mime: Some(mp4::MIME.to_owned()),
        initialization: Some(Resource { uri: initialization.to_owned(), range: None }),
        segments: durations.map(segment).collect(),
        ..Track::default()
    };
    let sizes = film.chunks().iter().enumerate();
    let sizes: Vec<_> =
        sizes.map(|(index, chunk)| (film.bytes(index, quality), chunk.duration)).collect();
    let (peak, average) = rates_bps(&sizes, track.target_s());
    track.peak_bps = peak;
    track.average_bps = Some(average);
    track
}

fn hls_track(film: &Film, quality: usize) -> Track {
    let name = format!("{quality}/playlist.m3u8");
    Track { name, ..track(film, quality, "", "../init.mp4") }
}

fn dash_track(film: &Film, quality: usize) -> Track {
    Track { name: quality.to_string(), ..track(film, quality, &format!("{quality}/"), "init.mp4") }
}

/// Reads a stretch of a film.
#[derive(Debug)]
pub(super) struct Reader {
    catalogue: Arc<Catalogue>,
    quality: usize,
    /// Where the stretch begins in the chunks put together.
    base: u64,
    /// How much of it is the initialization.
    before: u64,
    /// The chunk that was drawn last.
    drawn: Option<(usize, Bytes)>,
}

impl Reader {
    pub(super) fn new(
        catalogue: &Arc<Catalogue>,
        quality: usize,
        first: usize,
        whole: bool,
    ) -> Reader {
        let base = catalogue.offsets.get(quality).and_then(|offsets| offsets.get(first));
        let before = if whole { catalogue.initialization.len() as u64 } else { 0 };
        let (catalogue, base) = (Arc::clone(catalogue), base.copied().unwrap_or(0));
        Reader { catalogue, quality, base, before, drawn: None }
    }

    /// At most `most` bytes from `at` on; none behind the end.
    ///
    /// # Errors
    /// A chunk that is too small for its pictures.
    pub(super) fn read(&mut self, at: u64, most: u64) -> Result<Bytes, ChunkError> {
        let Some(behind) = at.checked_sub(self.before) else {
            return Ok(slice(&self.catalogue.initialization, at, most));
        };
        let at = self.base + behind;
        let offsets = self.catalogue.offsets.get(self.quality).map_or(&[][..], |all| all);
        let chunk = offsets.partition_point(|begin| *begin <= at).saturating_sub(1);
        let (Some(begin), Some(end)) = (offsets.get(chunk), offsets.get(chunk + 1)) else {
            return Ok(Bytes::new());
        };
        let (inside, left) = (at - begin, end - at);
        let head = match &self.drawn {
            Some((index, head)) if *index == chunk => head,
            Some(_) | None => {
                let head = mp4::chunk(&self.catalogue.film, chunk, self.quality)?.head.into();
                &self.drawn.insert((chunk, head)).1
            }
        };
        if inside < head.len() as u64 {
            return Ok(slice(head, inside, most));
        }
        let count = usize::try_from(left.min(most)).unwrap_or(usize::MAX).min(ZEROS_BYTES);
        Ok(Bytes::from_static(ZEROS.get(..count).unwrap_or_default()))
    }
}

/// At most `most` bytes from `at` on, without a copy.
pub(super) fn slice(bytes: &Bytes, at: u64, most: u64) -> Bytes {
    let fit = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let begin = fit(at).min(bytes.len());
    let end = begin.saturating_add(fit(most)).min(bytes.len());
    bytes.slice(begin..end)
}
