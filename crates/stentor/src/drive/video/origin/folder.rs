//! A folder that other tools have made, as an origin has it: files by their path, and nothing beside it.
//!
//! What a path leads to is resolved with every symbolic link, and refused unless that is still inside
//! the folder; names that begin with a point are not served. Whoever can change the folder while it is
//! served decides what is in it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use hyper::body::Bytes;
use stentor_os::failure::Failure;
use tokio::task::JoinHandle;

use super::entity::{ASK, Entity, Source};
use super::film::slice;

/// How much of a file is read at once: what a client costs.
const PIECE_BYTES: u64 = 64 << 10;
/// How deep manifests are looked for, below the folder whose page it is.
const DEPTH_MAX: usize = 4;
/// How many files are looked at for that.
const FILES_MAX: usize = 10_000;

/// A folder.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Without symbolic links.
    root: PathBuf,
}

/// What is under a path of a folder.
#[derive(Debug)]
pub(super) enum Found {
    /// A file.
    File(Entity),
    /// A folder: with its manifests, if its path ends as one of a folder does.
    Folder(Option<Listing>),
}

/// The manifests of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Their paths relative to it, in order.
    pub manifests: Vec<PathBuf>,
    /// Whether there were too many files to look at all of them.
    pub cut: bool,
}

impl Folder {
    /// The folder at `path`.
    ///
    /// # Errors
    /// It is not there, or no folder, or not to be read.
    pub fn open(path: &Path) -> Result<Folder, Failure> {
        let named = |operation| move |error| Failure::new(operation, path.display(), error);
        let root = fs::canonicalize(path).map_err(named("open"))?;
        fs::read_dir(&root).map_err(named("opendir"))?;
        Ok(Folder { root })
    }

    /// The manifests in all of it.
    pub fn manifests(&self) -> Listing {
        listing(&self.root)
    }

    /// What is under a path, from its `/` on, without escapes. Reads the disk.
    pub(super) fn find(&self, path: &[u8]) -> Option<Found> {
        let mut place = self.root.clone();
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            // That is `.` and `..`, too.
            if name.starts_with(b".") || name.contains(&0) {
                return None;
            }
            place.push(OsStr::from_bytes(name));
        }
        let place = fs::canonicalize(place).ok().filter(|place| place.starts_with(&self.root))?;
        let kind = fs::metadata(&place).ok()?;
        let as_folder = path.ends_with(b"/");
        if kind.is_dir() {
            return Some(Found::Folder(as_folder.then(|| listing(&place))));
        }
        // A pipe would be waited for.
        (kind.is_file() && !as_folder).then(|| entity(&place))?.map(Found::File)
    }
}

fn entity(place: &Path) -> Option<Entity> {
    let file = File::open(place).ok()?;
    let kind = file.metadata().ok().filter(fs::Metadata::is_file)?;
    let modified = kind.modified().ok();
    let stamp = modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let stamp_ns = stamp.map_or(0, |since| since.as_nanos());
    let mut tag = format!("\"{:x}-{stamp_ns:x}-{:x}\"", kind.len(), kind.ino());
    // It may be changed once more by the same time stamp (RFC 9110, 8.8.2.2).
    let age = modified.and_then(|time| SystemTime::now().duration_since(time).ok());
    if age.is_none_or(|age| age < Duration::from_secs(1)) {
        tag.insert_str(0, "W/");
    }
    let content = content_type(place);
    let source = Source::File(Arc::new(file));
    Some(Entity { content, length: kind.len(), tag, modified, cache: ASK, source })
}

/// The media type of a file, by its name.
fn content_type(place: &Path) -> &'static str {
    let extension = place.extension().and_then(OsStr::to_str).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "m3u8" => "application/vnd.apple.mpegurl",
        "mpd" => "application/dash+xml",
        "mp4" | "m4v" | "cmfv" => "video/mp4",
        "m4s" => "video/iso.segment",
        "m4a" | "cmfa" => "audio/mp4",
        "ts" => "video/mp2t",
        "webm" => "video/webm",
        "mkv" => "video/matroska",
        "ogv" => "video/ogg",
        "aac" => "audio/aac",
        "ac3" => "audio/ac3",
        "ec3" => "audio/eac3",
        "mp3" => "audio/mpeg",
        "opus" | "ogg" | "oga" => "audio/ogg",
        "flac" => "audio/flac",
        "wav" => "audio/vnd.wave",
        "vtt" => "text/vtt; charset=utf-8",
        "ttml" => "application/ttml+xml",
        "html" | "htm" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "xml" => "application/xml",
        "txt" | "md" => "text/plain; charset=utf-8",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "svg" => "image/svg+xml",
        "ico" => "image/vnd.microsoft.icon",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// The manifests in a folder and below it.
fn listing(folder: &Path) -> Listing {
    let (mut manifests, mut seen) = (Vec::new(), 0);
    let mut waiting = vec![(folder.to_owned(), 0)];
    while let Some((place, depth)) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&place) else { continue };
        for entry in entries.flatten().take(FILES_MAX.saturating_sub(seen)) {
            seen += 1;
            let hidden = entry.file_name().as_bytes().starts_with(b".");
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            if hidden {
            } else if kind.is_dir() && depth < DEPTH_MAX {
                waiting.push((path, depth + 1));
            } else if kind.is_file()
                && matches!(path.extension().and_then(OsStr::to_str), Some("m3u8" | "mpd"))
            {
                manifests.extend(path.strip_prefix(folder).map(Path::to_owned));
            }
        }
    }
    manifests.sort();
    Listing { manifests, cut: seen >= FILES_MAX }
}

/// Reads a file in pieces, away from the loop: a disk may be slow.
#[derive(Debug)]
pub(super) struct Reader {
    file: Arc<File>,
    /// What was read, and where it begins.
    read: (u64, Bytes),
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Reader {
    pub(super) fn new(file: Arc<File>) -> Reader {
        Reader { file, read: (0, Bytes::new()), reading: None }
    }

    /// At most `most` bytes from `at` on, of a stretch that goes up to `end`; none where the file has
    /// become shorter.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        at: u64,
        end: u64,
        most: u64,
    ) -> Poll<io::Result<Bytes>> {
        loop {
            let (begin, bytes) = &self.read;
            let inside = at.saturating_sub(*begin);
            if inside < bytes.len() as u64 {
                return Poll::Ready(Ok(slice(bytes, inside, most)));
            }
            let reading = self.reading.get_or_insert_with(|| {
                let (file, count) = (Arc::clone(&self.file), end.saturating_sub(at));
                tokio::task::spawn_blocking(move || read(&file, at, count.min(PIECE_BYTES)))
            });
            let bytes = ready!(Pin::new(reading).poll(cx));
            self.reading = None;
            let bytes = bytes.map_err(io::Error::other)??;
            if bytes.is_empty() {
                return Poll::Ready(Ok(bytes));
            }
            self.read = (at, bytes);
        }
    }
}

fn read(file: &File, at: u64, count: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(count).unwrap_or(0)];
    let count = file.read_at(&mut bytes, at)?;
    bytes.truncate(count);
    Ok(bytes.into())
}
