//! Where things come from: a server, or the disk.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE};
use stentor_core::manifest::ByteRange;
use stentor_core::manifest::check::{Delivery, Finding, Reply, What, delivered};
use stentor_os::failure::describe;
use stentor_os::signal::Interrupts;
use url::Url;

use crate::complaint::{Complaint, Exit};
use crate::drive::race;
use crate::drive::video::get::{End, Getter, Got};

/// Fetches and reads, and counts what came.
pub(super) struct Source<'a> {
    getter: Option<Getter<'a>>,
    silence_max: Duration,
    interrupts: Option<&'a Interrupts>,
    /// What a person has named. Only if that is on disk, others may be: a server must not make us
    /// read there.
    targets: &'a [Url],
    /// Servers that are known to keep players of other origins out: said once for each.
    unshared: BTreeSet<String>,
    pub(super) bytes: u64,
}

/// Something that came, or the reason why not.
pub(super) struct Loaded {
    pub(super) bytes: Vec<u8>,
    /// Where it was in the end: what it refers to is relative to there.
    pub(super) url: Url,
    /// Whether it is longer than what was kept.
    pub(super) long: bool,
    absent: Option<String>,
    got: Option<Got>,
}

impl Loaded {
    /// Why it is not there, if so.
    pub(super) fn missing(&self) -> Option<String> {
        let status = self.got.as_ref().map_or(200, |got| got.status);
        let refused = !(200..300).contains(&status);
        self.absent.clone().or(refused.then(|| format!("the server answered {status}")))
    }
}

impl<'a> Source<'a> {
    pub(super) fn new(
        silence_max: Duration,
        interrupts: Option<&'a Interrupts>,
        targets: &'a [Url],
    ) -> Source<'a> {
        let unshared = BTreeSet::new();
        Source { getter: None, silence_max, interrupts, targets, unshared, bytes: 0 }
    }

    /// How many requests were sent, over how many connections.
    pub(super) fn sent(&self) -> (u64, u64) {
        self.getter.as_ref().map_or((0, 0), |getter| (getter.requests, getter.connections))
    }

    /// Fetches or reads at most `bytes_max` bytes of `url`, or of a range of it.
    ///
    /// # Errors
    /// No server, no reply (exit 3); a signal (130).
    pub(super) fn load(
        &mut self,
        url: &Url,
        range: Option<ByteRange>,
        bytes_max: usize,
    ) -> Result<Loaded, Complaint> {
        if race::interrupted(self.interrupts) {
            return Err(Complaint::new(Exit::Interrupted, "interrupted", ""));
        }
        let loaded = match url.scheme() {
            "http" | "https" => self.fetch(url, range, bytes_max)?,
            "file" if self.targets.iter().any(|target| target.scheme() == "file") => {
                read(url, range, bytes_max, !self.targets.contains(url))
            }
            "file" => absent(url, "a file is not a server's to name"),
            _ => absent(url, "neither http nor https"),
        };
        self.bytes = self.bytes.saturating_add(loaded.bytes.len() as u64);
        Ok(loaded)
    }

    fn fetch(
        &mut self,
        url: &Url,
        range: Option<ByteRange>,
        bytes_max: usize,
    ) -> Result<Loaded, Complaint> {
        let getter = match &mut self.getter {
            Some(getter) => getter,
            none => none.insert(Getter::new(self.silence_max, self.interrupts)?),
        };
        let mut got = getter.get(url, range, bytes_max)?;
        let (bytes, url) = (std::mem::take(&mut got.body), got.url.clone());
        let long = got.end == End::Long;
        Ok(Loaded { bytes, url, long, absent: None, got: Some(got) })
    }

    /// What the rules say of how something came; `asked` is where it was looked for.
    pub(super) fn judge(
        &mut self,
        loaded: &Loaded,
        asked: &Url,
        what: What,
        name: &str,
        range: Option<ByteRange>,
    ) -> Vec<Finding> {
        let reply = loaded.got.as_ref().map(|got| Reply {
            status: got.status,
            path: asked.path(),
            media_type: got.header(CONTENT_TYPE),
            shared: got.headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN),
            redirects: got.redirects,
            cut: got.end == End::Cut,
            announced: got.announced,
        });
        let bytes = loaded.bytes.len() as u64;
        let absent = loaded.absent.as_deref();
        let mut found = delivered(&Delivery { what, name, range, bytes, absent, reply });
        let origin = loaded.url.origin().ascii_serialization();
        if found.iter().any(|finding| finding.rule.name == "no-cors")
            && !self.unshared.insert(origin)
        {
            found.retain(|finding| finding.rule.name != "no-cors");
        }
        found
    }
}

/// What is not there, and why.
fn absent(url: &Url, why: &str) -> Loaded {
    let absent = Some(why.to_owned());
    Loaded { bytes: Vec::new(), url: url.clone(), long: false, absent, got: None }
}

/// Reads a file; one that a manifest has `named` is a regular one.
fn read(url: &Url, range: Option<ByteRange>, bytes_max: usize, named: bool) -> Loaded {
    // A pipe would be waited for, and a device has no end.
    let path = url.to_file_path().unwrap_or_default();
    if named && path.metadata().is_ok_and(|data| !data.is_file()) {
        return absent(url, "not a regular file");
    }
    let mut loaded =
        Loaded { bytes: Vec::new(), url: url.clone(), long: false, absent: None, got: None };
    let read = || -> io::Result<Vec<u8>> {
        let path = url.to_file_path().map_err(|()| io::ErrorKind::InvalidInput)?;
        let mut file = File::open(path)?;
        if let Some(range) = range {
            file.seek(SeekFrom::Start(range.offset))?;
        }
        // One byte more tells whether there is more.
        let most = (bytes_max as u64).saturating_add(1);
        let most = range.map_or(most, |range| range.length.min(most));
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => {
            loaded.long = bytes.len() > bytes_max;
            loaded.bytes = bytes;
        }
        Err(error) => loaded.absent = Some(describe(&error)),
    }
    loaded
}
