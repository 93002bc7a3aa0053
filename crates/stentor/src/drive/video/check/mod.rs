//! Fetches a manifest and all that it names, measures it, and checks it by the rules.
//!
//! `walk` goes from manifests to their segments, `source` fetches or reads them; the rules and the
//! reading of bytes are core's. What a person sees of it is in `report::video::check`.

mod source;
mod walk;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stentor_core::manifest::TEXT_MAX;
use stentor_core::manifest::check::Finding;
use stentor_core::moment::Moment;
use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;
use url::Url;

use crate::complaint::{Complaint, Exit};
use crate::drive::race::now;

/// How deep a folder is searched for manifests, and how many are checked.
const DEPTH_MAX: usize = 8;
const MANIFESTS_MAX: usize = 1000;

/// What is checked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The manifest: a URL, of http, https or file.
    pub targets: Vec<Url>,
    /// What the targets have in common, and as what it is shown: they are named from there on.
    pub root: (Url, String),
    /// How many segments of each track are fetched, from the first on.
    pub extent: Extent,
    /// The longest wait for a connection and for bytes.
    pub silence_max: Duration,
}

/// How many segments are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every one.
    All,
    /// So many of each track, from the first on; 0: only manifests.
    First(usize),
}

impl Extent {
    fn of(self, segments: usize) -> usize {
        match self {
            Extent::All => segments,
            Extent::First(count) => segments.min(count),
        }
    }
}

/// What was found.
#[derive(Debug)]
pub struct Outcome {
    /// Every manifest, in the order in which they were come upon.
    pub manifests: Vec<Manifest>,
    /// How long it took.
    pub took: Duration,
    /// How many bytes came.
    pub bytes: u64,
    /// How many requests were sent; 0 where all was on disk.
    pub requests: u64,
    /// Over how many connections.
    pub connections: u64,
    /// Why it did not come to its end.
    pub trouble: Option<Complaint>,
}

impl Outcome {
    /// How many findings there are of rules that players rely on, and of advice.
    pub fn counts(&self) -> (usize, usize) {
        let all = self.manifests.iter().flat_map(|manifest| &manifest.findings);
        let (must, should): (Vec<_>, Vec<_>) = all.partition(|finding| finding.rule.must);
        (must.len(), should.len())
    }

    /// Whether a signal ended it.
    pub fn interrupted(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.exit == Exit::Interrupted)
    }
}

/// A manifest, and what was found in it and behind it.
#[derive(Debug)]
pub struct Manifest {
    /// As it is called in the report.
    pub name: String,
    /// Where it is.
    pub url: Url,
    /// What it is.
    pub kind: Kind,
    /// What is against the rules.
    pub findings: Vec<Finding>,
    /// The qualities that it names, measured.
    pub tracks: Vec<Figures>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
}

/// What a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An HLS playlist of variants.
    Multivariant,
    /// An HLS playlist of segments.
    Media,
    /// A DASH manifest.
    Dash,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Multivariant => "HLS multivariant playlist",
            Kind::Media => "HLS media playlist",
            Kind::Dash => "DASH manifest",
        }
    }
}

/// What a quality declares, and what it was measured to be.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// As the manifest calls it.
    pub name: String,
    /// The declared peak bit rate, in bit/s.
    pub declared_peak_bps: Option<u64>,
    /// The true one, of what was fetched.
    pub peak_bps: Option<u64>,
    /// The declared average, in bit/s.
    pub declared_average_bps: Option<u64>,
    /// The true one, of what was fetched.
    pub average_bps: Option<u64>,
    /// How many segments were fetched.
    pub fetched: usize,
    /// How many there are.
    pub segments: usize,
    /// How many bytes the fetched ones have.
    pub bytes: u64,
    /// The longest of them.
    pub longest: Option<Duration>,
    /// The target duration, in seconds (HLS).
    pub target_s: Option<u64>,
    /// Why its time was not measured.
    pub unmeasured: Option<String>,
}

/// Checks what is planned; `progress` hears what is being done, and which share of all is done.
///
/// It ends early by a signal, or when a server or a disk does not answer: what was found until then
/// is the outcome's, and [`Outcome::trouble`] says why.
pub fn run(
    plan: &Plan,
    interrupts: Option<&Interrupts>,
    progress: &mut dyn FnMut(&str, f64),
) -> Outcome {
    let began: Moment = now();
    let mut walker = walk::Walker::new(plan, interrupts, progress);
    let trouble = plan.targets.iter().find_map(|target| walker.target(target).err());
    let source = walker.source;
    let (requests, connections) = source.sent();
    Outcome {
        manifests: walker.manifests,
        took: now().since(began),
        bytes: source.bytes,
        requests,
        connections,
        trouble,
    }
}

/// The manifests in a folder and the folders in it: playlists of variants first, so that their media
/// playlists are known by them.
///
/// # Errors
/// The folder cannot be read, or holds none (exit 3).
pub fn manifests(folder: &Path) -> Result<Vec<PathBuf>, Complaint> {
    let mut found = Vec::new();
    search(folder, 0, &mut found)?;
    found.sort_by_cached_key(|path| (!multivariant(path), path.clone()));
    if found.is_empty() {
        let what = format!("{}: there is no manifest in it", folder.display());
        let next = "Its name ends with .m3u8, .m3u or .mpd.";
        return Err(Complaint::new(Exit::Environment, what, next));
    }
    Ok(found)
}

fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Complaint> {
    let fail = |error| Failure::new("read", folder.display(), error);
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in folder.read_dir().map_err(fail)? {
        entries.push(entry.map_err(fail)?.path());
    }
    entries.sort();
    for path in entries {
        if found.len() >= MANIFESTS_MAX {
            break;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        // A link to a folder could lead in a circle.
        let folder = path.symlink_metadata().is_ok_and(|data| data.is_dir());
        if folder && depth < DEPTH_MAX {
            search(&path, depth + 1, found)?;
        } else if path.is_file() && matches!(extension, Some("m3u8" | "m3u" | "mpd")) {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a file is a playlist of variants, by as much of it as is checked. One that cannot be read
/// is found out about later.
fn multivariant(path: &Path) -> bool {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(TEXT_MAX as u64).read_to_end(&mut text));
    read.is_ok() && String::from_utf8_lossy(&text).contains("#EXT-X-STREAM-INF")
}
