//! Something that can be had under a path: what it is, how long, and where its bytes come from.

use std::fs::File;
use std::sync::Arc;
use std::time::SystemTime;

use hyper::body::Bytes;

use super::film::Catalogue;

/// What is under a path.
#[derive(Clone, Debug)]
pub(super) struct Entity {
    /// Its media type.
    pub(super) content: &'static str,
    /// Its length, in bytes.
    pub(super) length: u64,
    /// Its validator, with its quotes; weak with a `W/` before them.
    pub(super) tag: String,
    /// When it was changed last.
    pub(super) modified: Option<SystemTime>,
    /// What Cache-Control says of it.
    pub(super) cache: &'static str,
    /// Where the bytes are.
    pub(super) source: Source,
}

/// Caches ask whether it is still the same.
pub(super) const ASK: &str = "no-cache";
/// Nobody keeps it: what is played is fetched, and what is measured is the network.
pub(super) const KEEP_NOT: &str = "no-store";

/// Where bytes come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// They are here.
    Memory(Bytes),
    /// They are in a file.
    File(Arc<File>),
    /// A stretch of a film in one quality: its chunks from `first` on, after the initialization if it
    /// is a file of its own.
    Film { catalogue: Arc<Catalogue>, quality: usize, first: usize, whole: bool },
}

impl Entity {
    /// A text of the origin's own.
    pub(super) fn text(content: &'static str, cache: &'static str, body: Bytes) -> Entity {
        let tag = format!("\"{:016x}\"", fingerprint([&*body]));
        let length = body.len() as u64;
        Entity { content, length, tag, modified: None, cache, source: Source::Memory(body) }
    }

    /// Whether it is a piece of film or sound, and no manifest or page.
    pub(super) fn is_media(&self) -> bool {
        self.content.starts_with("video/") || self.content.starts_with("audio/")
    }
}

/// FNV-1a, 64 bit, of pieces: for validators, which nobody has a reason to forge.
pub(super) fn fingerprint<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    pieces.into_iter().flatten().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
