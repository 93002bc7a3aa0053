//! A film of ours as files in a folder, to be broken.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stentor_core::manifest::{Presentation, Resource, Segment, Track, dash, hls, rates_bps};
use stentor_core::units::BitRate;
use stentor_core::video::film::{Chunk, Film};
use stentor_core::video::mp4;

/// The sizes of the chunks, as shares of their rate in percent: the second one is the peak.
const SHARES: [u64; 4] = [80, 130, 90, 100];
const RATES: [u64; 2] = [100_000, 300_000];

/// Files by their names.
#[derive(Clone)]
pub(super) struct Files(pub(super) BTreeMap<String, Vec<u8>>);

/// A film of two qualities whose chunks play so long, in ms.
fn film(lengths_ms: [u64; 4]) -> Film {
    let chunk = |(share, ms): (u64, u64)| Chunk {
        duration: Duration::from_millis(ms),
        bytes: RATES.iter().map(|rate| rate * ms * share / 800_000).collect(),
    };
    let chunks = SHARES.into_iter().zip(lengths_ms).map(chunk).collect();
    Film::new(RATES.map(BitRate).to_vec(), chunks).unwrap()
}

fn track(film: &Film, quality: usize) -> Track {
    let chunks = film.chunks();
    let sizes: Vec<_> = chunks.iter().map(|one| (one.bytes[quality], one.duration)).collect();
    let segment = |(number, one): (usize, &Chunk)| Segment {
        resource: Resource { uri: format!("{number}.m4s"), range: None },
        duration: one.duration,
    };
    let mut track = Track {
        name: quality.to_string(),
        codecs: Some(mp4::CODECS.to_owned()),
        resolution: Some(mp4::SIZE),
        mime: Some(mp4::MIME.to_owned()),
        initialization: Some(Resource { uri: "../init.mp4".to_owned(), range: None }),
        segments: chunks.iter().enumerate().map(segment).collect(),
        ..Track::default()
    };
    let (peak_bps, average) = rates_bps(&sizes, track.target_s());
    (track.peak_bps, track.average_bps) = (peak_bps, Some(average));
    track
}

impl Files {
    /// A sound film of four chunks of 2 s, for HLS and for DASH.
    pub(super) fn sound() -> Files {
        let film = film([2000; 4]);
        let mut files = Files(BTreeMap::new());
        let mut add = |name: String, bytes: Vec<u8>| _ = files.0.insert(name, bytes);
        let variant = |quality| {
            let name = format!("{quality}/playlist.m3u8");
            Track { name, ..track(&film, quality) }
        };
        let tracks = (0..2).map(variant).collect();
        let variants = Presentation { tracks, ..Presentation::default() };
        add("master.m3u8".to_owned(), hls::multivariant(&variants).into());
        let based =
            |quality: usize| Track { bases: vec![format!("{quality}/")], ..track(&film, quality) };
        let tracks = (0..2).map(based).collect();
        let buffer = Duration::from_secs(2);
        let manifest = Presentation { buffer, tracks, ..Presentation::default() };
        add("manifest.mpd".to_owned(), dash::write(&manifest).unwrap().into());
        add("init.mp4".to_owned(), mp4::initialization());
        for quality in 0..2 {
            let list = hls::media(&track(&film, quality), false);
            add(format!("{quality}/playlist.m3u8"), list.into());
            for number in 0..4 {
                let chunk = mp4::chunk(&film, number, quality).unwrap().to_bytes();
                add(format!("{quality}/{number}.m4s"), chunk);
            }
        }
        files
    }

    /// Replaces a quality by one whose chunks begin at other times.
    pub(super) fn shift(&mut self, quality: usize) {
        let film = film([1800, 2200, 2000, 2000]);
        let list = hls::media(&track(&film, quality), false);
        self.0.insert(format!("{quality}/playlist.m3u8"), list.into());
        for number in 0..4 {
            let chunk = mp4::chunk(&film, number, quality).unwrap().to_bytes();
            self.0.insert(format!("{quality}/{number}.m4s"), chunk);
        }
    }

    /// The bytes of a file.
    pub(super) fn file(&mut self, name: &str) -> &mut Vec<u8> {
        self.0.get_mut(name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// Replaces a text once in a file.
    pub(super) fn replace(&mut self, name: &str, from: &str, to: &str) {
        let text = String::from_utf8(self.file(name).clone()).unwrap();
        assert!(text.contains(from), "{from:?} is not in {name}: {text}");
        *self.file(name) = text.replacen(from, to, 1).into_bytes();
    }

    /// The place behind the four characters of the first box of a kind.
    pub(super) fn within(&mut self, name: &str, kind: &[u8; 4]) -> usize {
        let file = self.file(name);
        file.windows(4).position(|window| window == kind).unwrap() + 4
    }

    /// Makes every sample of a segment so many percent longer.
    pub(super) fn stretch(&mut self, name: &str, percent: u32) {
        let at = self.within(name, b"trun");
        let file = self.file(name);
        let word =
            |file: &[u8], at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
        // Version and flags, count, offset, flags of the first; then duration and size of each.
        let count = word(file, at + 4) as usize;
        for sample in 0..count {
            let at = at + 16 + 8 * sample;
            let longer = word(file, at) * (100 + percent) / 100;
            file[at..at + 4].copy_from_slice(&longer.to_be_bytes());
        }
    }

    /// Writes everything into a new folder.
    pub(super) fn write(&self) -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("stentor-check-{}-{number}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        for (name, bytes) in &self.0 {
            let path = folder.0.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        folder
    }
}

/// A folder that goes with the test.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    /// The path of a file in it.
    pub(super) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
