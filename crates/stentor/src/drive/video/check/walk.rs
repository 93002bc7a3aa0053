//! From a manifest to its media playlists, initializations and segments, and back to its lines with
//! what was found there.

use std::collections::BTreeMap;
use std::rc::Rc;

use stentor_core::manifest::check::{self, Finding, Measured, Part, Told, What};
use stentor_core::manifest::hls::{self, Media, Playlist};
use stentor_core::manifest::segment::{self, Facts, Format, Initialization, Medium};
use stentor_core::manifest::{Place, Presentation, Resource, TEXT_MAX, Track, dash};
use stentor_os::signal::Interrupts;
use url::Url;

use super::source::{Loaded, Source};
use super::{Extent, Figures, Kind, Manifest, Plan};
use crate::complaint::{Complaint, Exit};

/// The longest segment that is measured, in bytes: all of it is held at once.
const SEGMENT_MAX: usize = 256 << 20;

/// Goes from target to target.
pub(super) struct Walker<'a> {
    plan: &'a Plan,
    pub(super) source: Source<'a>,
    pub(super) manifests: Vec<Manifest>,
    progress: &'a mut dyn FnMut(&str, f64),
    /// Media playlists that were read, by their URLs: which manifest they are, and what is in them.
    media: BTreeMap<String, (usize, Option<Rc<Read>>)>,
    /// Initializations, by URL and range; `None` for one that cannot be read.
    initializations: BTreeMap<(String, u64, u64), Option<Rc<Initialization>>>,
}

/// A media playlist that was understood.
struct Read {
    media: Media,
    url: Url,
    hints: Hints,
    places: Vec<Place>,
}

/// What the text of a playlist says about its segments besides their list.
#[derive(Clone, Copy)]
struct Hints {
    independent: bool,
    jumps: bool,
    /// Why the time of its segments cannot be measured.
    unmeasured: Option<&'static str>,
    /// Where the initialization is named.
    map: Option<Place>,
}

impl Hints {
    fn of(text: &str) -> Hints {
        let tags = |tag: &str| text.lines().filter(|line| line.starts_with(tag)).count();
        let encrypted = text.contains("#EXT-X-KEY:METHOD=AES-128");
        let unmeasured = match encrypted {
            true => Some("not measured: encrypted"),
            // Which of them is whose is not kept when the playlist is read.
            false if tags("#EXT-X-MAP:") > 1 => Some("not measured: several initializations"),
            false => None,
        };
        Hints {
            independent: tags("#EXT-X-INDEPENDENT-SEGMENTS") > 0,
            jumps: tags("#EXT-X-DISCONTINUITY") > 0,
            unmeasured,
            map: text.lines().position(|line| line.starts_with("#EXT-X-MAP:")).map(|before| {
                Place { line: u32::try_from(before + 1).unwrap_or(u32::MAX), column: 1 }
            }),
        }
    }
}

/// Where the segments of a track are, and where findings about them belong.
struct Whence {
    base: Url,
    /// The number of the manifest whose lines name the segments.
    manifest: usize,
    /// The line of each segment; the last one stands for those behind it.
    places: Vec<Place>,
    hints: Hints,
    target_s: Option<u64>,
    promised: bool,
    /// The group that it is of, and those that play beside it.
    group: Option<(String, String)>,
    beside: Vec<(String, String)>,
}

/// A set of tracks to be measured together.
struct Set {
    film: Presentation,
    whences: Vec<Whence>,
    /// The manifest that declares the tracks, and where.
    top: usize,
    places: Vec<Place>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        interrupts: Option<&'a Interrupts>,
        progress: &'a mut dyn FnMut(&str, f64),
    ) -> Walker<'a> {
        Walker {
            plan,
            source: Source::new(plan.silence_max, interrupts, &plan.targets),
            manifests: Vec::new(),
            progress,
            media: BTreeMap::new(),
            initializations: BTreeMap::new(),
        }
    }

    /// What something is called in the report: from the common root on.
    fn name(&self, url: &Url) -> String {
        let (root, shown) = &self.plan.root;
        // A file is called what it is called on disk, unless that would move a terminal's cursor.
        let path = |url: &Url| url.to_file_path().ok().filter(|_| url.scheme() == "file");
        if let (Some(root), Some(path)) = (path(root), path(url))
            && let Some(rest) = path.strip_prefix(root).ok().and_then(|rest| rest.to_str())
            && !rest.is_empty()
            && !rest.contains(char::is_control)
        {
            return format!("{shown}{rest}");
        }
        match url.as_str().strip_prefix(root.as_str()) {
            Some(rest) if !rest.is_empty() => format!("{shown}{rest}"),
            _ => url.to_string(),
        }
    }

    /// Checks a manifest and everything behind it.
    ///
    /// # Errors
    /// It cannot be had, or is no manifest; something did not answer; a signal.
    pub(super) fn target(&mut self, url: &Url) -> Result<(), Complaint> {
        if self.media.contains_key(url.as_str()) {
            return Ok(());
        }
        let name = self.name(url);
        (self.progress)(&name, 0.0);
        let loaded = self.source.load(url, None, TEXT_MAX)?;
        if let Some(why) = loaded.missing() {
            return Err(Complaint::new(Exit::Environment, format!("{url}: {why}"), ""));
        }
        let (text, odd) = check::encoding(&loaded.bytes);
        let Some(kind) = kind(url, &text) else {
            let what = format!("{url} is neither an HLS playlist nor a DASH manifest");
            let next = "Name the manifest itself: its path ends with .m3u8 or .mpd.";
            return Err(Complaint::new(Exit::Environment, what, next));
        };
        match kind {
            Kind::Dash => self.dash(url, &loaded, &text, odd),
            Kind::Multivariant => self.multivariant(url, &loaded, &text, odd),
            Kind::Media => {
                let index = self.playlist(url, &loaded, &text, odd);
                self.single(index, url)
            }
        }
    }

    /// Enters a manifest into the report.
    fn enter(&mut self, url: &Url, loaded: &Loaded, kind: Kind, mut found: Vec<Finding>) -> usize {
        let name = self.name(url);
        let what = if kind == Kind::Dash { What::Manifest } else { What::Playlist };
        found.extend(self.source.judge(loaded, url, what, &name, None));
        let mut notes = Vec::new();
        if loaded.long {
            notes.push(format!("only its first {} MiB were read", TEXT_MAX >> 20));
        }
        self.manifests.push(Manifest {
            name,
            url: loaded.url.clone(),
            kind,
            findings: found,
            tracks: Vec::new(),
            notes,
        });
        self.manifests.len() - 1
    }

    /// Whether the text of a manifest breaks a rule.
    fn is_broken(&self, manifest: usize) -> bool {
        let manifest = self.manifests.get(manifest);
        manifest.is_some_and(|manifest| manifest.findings.iter().any(|finding| finding.rule.must))
    }

    fn note(&mut self, manifest: usize, note: impl Into<String>) {
        if let Some(manifest) = self.manifests.get_mut(manifest) {
            manifest.notes.push(note.into());
        }
    }

    fn add(&mut self, manifest: usize, place: Option<Place>, findings: Vec<Finding>) {
        let Some(manifest) = self.manifests.get_mut(manifest) else { return };
        let placed = |finding: Finding| Finding { place: finding.place.or(place), ..finding };
        manifest.findings.extend(findings.into_iter().map(placed));
    }

    fn dash(
        &mut self,
        url: &Url,
        loaded: &Loaded,
        text: &str,
        mut found: Vec<Finding>,
    ) -> Result<(), Complaint> {
        found.extend(check::dash(text));
        let unsure = found.iter().any(|finding| finding.rule.name == "two-addressings");
        let top = self.enter(url, loaded, Kind::Dash, found);
        if unsure {
            self.note(top, "its segments were not checked: they are addressed in two ways");
            return Ok(());
        }
        let film = match dash::read(text) {
            Ok(film) => film,
            Err(error) => {
                self.note(top, format!("its segments were not checked: {error}"));
                return Ok(());
            }
        };
        if film.live {
            self.note(top, "live: what it names now was checked");
        }
        let spoken = check::representations(text);
        let hints = Hints { independent: false, jumps: false, unmeasured: None, map: None };
        let mut whences = Vec::new();
        for (track, spoken) in film.tracks.iter().zip(&spoken) {
            let joined =
                track.bases.iter().try_fold(loaded.url.clone(), |url, base| url.join(base));
            let Ok(base) = joined else {
                self.note(top, format!("{}: its BaseURL is none", track.name));
                return Ok(());
            };
            let (target_s, promised) = (None, spoken.promised);
            let places = vec![spoken.place];
            let (manifest, group, beside) = (top, None, Vec::new());
            whences.push(Whence {
                base,
                manifest,
                places,
                hints,
                target_s,
                promised,
                group,
                beside,
            });
        }
        let places = spoken.iter().map(|spoken| spoken.place).collect();
        self.measure(Set { film, whences, top, places })
    }

    fn multivariant(
        &mut self,
        url: &Url,
        loaded: &Loaded,
        text: &str,
        mut found: Vec<Finding>,
    ) -> Result<(), Complaint> {
        found.extend(check::hls(text));
        let top = self.enter(url, loaded, Kind::Multivariant, found);
        let mut film = match hls::read(text) {
            Ok(Playlist::Multivariant(film)) => film,
            Ok(Playlist::Media(_)) => return Ok(()),
            Err(error) => {
                self.note(top, format!("its variants were not checked: {error}"));
                return Ok(());
            }
        };
        let independent = Hints::of(text).independent;
        let variants = check::variants(text).into_iter().take(film.tracks.len());
        let (mut places, mut beside): (Vec<_>, Vec<_>) =
            variants.map(|variant| (variant.place, (None, variant.beside))).unzip();
        for rendition in check::renditions(text) {
            film.tracks.push(Track { name: rendition.uri, ..Track::default() });
            places.push(rendition.place);
            beside.push((Some(rendition.group), Vec::new()));
        }
        let mut whences = Vec::new();
        let mut tracks = Vec::new();
        let mut kept = Vec::new();
        let all = std::mem::take(&mut film.tracks).into_iter().zip(places).zip(beside);
        for ((mut track, place), (group, beside)) in all {
            let Ok(media_url) = loaded.url.join(&track.name) else {
                self.note(top, format!("{}: that is no reference", track.name));
                continue;
            };
            let Some((manifest, read)) = self.media(&media_url, top, place)? else { continue };
            let listed = &read.media.track;
            track.segments.clone_from(&listed.segments);
            track.initialization.clone_from(&listed.initialization);
            track.first = listed.first;
            film.live |= read.media.live;
            whences.push(Whence { group, beside, ..whence(&read, manifest, independent) });
            tracks.push(track);
            kept.push(place);
        }
        film.tracks = tracks;
        self.measure(Set { film, whences, top, places: kept })
    }

    /// Reads a media playlist once, however many variants share it.
    fn media(
        &mut self,
        url: &Url,
        top: usize,
        place: Place,
    ) -> Result<Option<(usize, Rc<Read>)>, Complaint> {
        if !self.media.contains_key(url.as_str()) {
            let loaded = self.source.load(url, None, TEXT_MAX)?;
            if loaded.missing().is_some() {
                let name = self.name(url);
                let found = self.source.judge(&loaded, url, What::Playlist, &name, None);
                self.add(top, Some(place), found);
                return Ok(None);
            }
            let (text, odd) = check::encoding(&loaded.bytes);
            self.playlist(url, &loaded, &text, odd);
        }
        let known = self.media.get(url.as_str());
        Ok(known.and_then(|(index, read)| Some((*index, Rc::clone(read.as_ref()?)))))
    }

    /// Enters a media playlist, and gives its number.
    fn playlist(
        &mut self,
        url: &Url,
        loaded: &Loaded,
        text: &str,
        mut found: Vec<Finding>,
    ) -> usize {
        found.extend(check::hls(text));
        let index = self.enter(url, loaded, Kind::Media, found);
        let read = match hls::read(text) {
            Ok(Playlist::Media(media)) => Some(Rc::new(Read {
                media,
                url: loaded.url.clone(),
                hints: Hints::of(text),
                places: check::playlist_lines(text),
            })),
            Ok(Playlist::Multivariant(_)) => {
                // What is both is told already.
                if !self.is_broken(index) {
                    self.add(index, None, check::not_media());
                }
                None
            }
            Err(error) => {
                self.note(index, format!("its segments were not checked: {error}"));
                None
            }
        };
        if read.as_ref().is_some_and(|read| read.media.live) {
            self.note(index, "live: what it names now was checked");
        }
        self.media.insert(url.to_string(), (index, read));
        index
    }

    /// Measures a media playlist that no other one names.
    fn single(&mut self, index: usize, url: &Url) -> Result<(), Complaint> {
        let read = self.media.get(url.as_str()).and_then(|(_, read)| read.clone());
        let Some(read) = read else { return Ok(()) };
        let name = self.name(url);
        let track = Track { name, ..read.media.track.clone() };
        let film =
            Presentation { live: read.media.live, tracks: vec![track], ..Presentation::default() };
        let whences = vec![whence(&read, index, false)];
        self.measure(Set { film, whences, top: index, places: vec![Place { line: 1, column: 1 }] })
    }

    /// Fetches the segments of a set of tracks, and checks what was measured; what had come before
    /// an error is checked all the same.
    fn measure(&mut self, mut set: Set) -> Result<(), Complaint> {
        let total: usize =
            set.film.tracks.iter().map(|track| self.plan.extent.of(track.segments.len())).sum();
        let (mut told, mut figures) = (Vec::new(), Vec::new());
        let (mut done, mut ended) = (0, Ok(()));
        for (track, whence) in set.film.tracks.iter_mut().zip(&set.whences) {
            let mut one = Told {
                target_s: whence.target_s,
                promised: whence.promised,
                jumps: whence.hints.jumps,
                broken: self.is_broken(whence.manifest),
                beside: whence.beside.iter().map(|group| members(&set.whences, group)).collect(),
                segments: Vec::new(),
            };
            let mut own = Figures { name: track.name.clone(), ..Figures::default() };
            own.unmeasured = whence.hints.unmeasured.map(str::to_owned);
            if ended.is_ok() {
                ended = self.track(track, whence, &mut one, &mut own, (&mut done, total));
            }
            figures.push(summed(own, track, &one));
            told.push(one);
        }
        for (index, own) in figures.iter_mut().enumerate() {
            let rates = check::combined_bps(&set.film, &told, index);
            (own.peak_bps, own.average_bps) = rates.filter(|_| own.fetched > 0).unzip();
        }
        if let Some(top) = self.manifests.get_mut(set.top) {
            top.tracks = figures;
        }
        for finding in check::measured(&set.film, &told) {
            let (manifest, place) = match finding.part {
                Part::Whole => (set.top, None),
                Part::Track(track) => (set.top, set.places.get(track).copied()),
                Part::Segment { track, segment } => {
                    let Some(whence) = set.whences.get(track) else { continue };
                    (whence.manifest, place(whence, segment))
                }
            };
            self.add(manifest, place, vec![finding]);
        }
        ended
    }

    fn track(
        &mut self,
        track: &mut Track,
        whence: &Whence,
        told: &mut Told,
        figures: &mut Figures,
        (done, total): (&mut usize, usize),
    ) -> Result<(), Complaint> {
        let extent = self.plan.extent;
        let wanted = extent.of(track.segments.len());
        let before = match track.initialization.clone().filter(|_| extent != Extent::First(0)) {
            Some(resource) => self.initialization(&resource, whence)?,
            None => None,
        };
        let segments = std::mem::take(&mut track.segments);
        let mut ended = Ok(());
        for (index, listed) in segments.iter().take(wanted).enumerate() {
            (self.progress)(&listed.resource.uri, *done as f64 / total.max(1) as f64);
            *done += 1;
            let initialized = track.initialization.is_some();
            let before = before.as_deref();
            let one = match self.segment(&listed.resource, whence, index, initialized, before) {
                Ok(one) => one,
                Err(complaint) => {
                    ended = Err(complaint);
                    break;
                }
            };
            let Some((mut measured, facts, note)) = one else {
                told.segments.push(None);
                continue;
            };
            if let Some(facts) = facts {
                kind_of(track, facts.medium);
            }
            if figures.unmeasured.is_some() {
                (measured.begin, measured.duration, measured.key_frame) = (None, None, None);
            } else if let Some(note) = note {
                figures.unmeasured = Some(note);
            }
            told.segments.push(Some(measured));
        }
        track.segments = segments;
        ended
    }

    /// Fetches an initialization once.
    fn initialization(
        &mut self,
        resource: &Resource,
        whence: &Whence,
    ) -> Result<Option<Rc<Initialization>>, Complaint> {
        let place = whence.hints.map.or(place(whence, 0));
        let Some(url) = self.resolve(resource, whence, place) else { return Ok(None) };
        let range = resource.range;
        let (offset, length) = range.map_or((0, 0), |range| (range.offset, range.length));
        let key = (url.to_string(), offset, length);
        if let Some(known) = self.initializations.get(&key) {
            return Ok(known.clone());
        }
        let loaded = self.source.load(&url, range, SEGMENT_MAX)?;
        let name = self.name(&url);
        let what = What::Media(segment::format(&loaded.bytes));
        let mut found = self.source.judge(&loaded, &url, what, &name, range);
        let mut read = None;
        if loaded.missing().is_none() {
            let parsed = segment::initialization(&loaded.bytes);
            if found.iter().all(|finding| !finding.rule.must) {
                found.extend(check::initialization(&name, &parsed));
            }
            read = parsed.ok().map(Rc::new);
        }
        self.add(whence.manifest, place, found);
        self.initializations.insert(key, read.clone());
        Ok(read)
    }

    fn resolve(&mut self, resource: &Resource, whence: &Whence, at: Option<Place>) -> Option<Url> {
        let url = whence.base.join(&resource.uri).ok();
        if url.as_ref().is_some_and(|url| url.scheme() == "data") {
            self.note(whence.manifest, "a data: URL was not checked");
            return None;
        }
        if url.is_none() {
            let line = at.map(|place| format!("{place}: ")).unwrap_or_default();
            self.note(whence.manifest, format!("{line}{:?} leads nowhere", resource.uri));
        }
        url
    }

    /// Fetches and measures a segment; `None` if it is not there.
    fn segment(
        &mut self,
        resource: &Resource,
        whence: &Whence,
        index: usize,
        initialized: bool,
        before: Option<&Initialization>,
    ) -> Result<Option<Came>, Complaint> {
        let place = place(whence, index);
        let Some(url) = self.resolve(resource, whence, place) else { return Ok(None) };
        let range = resource.range;
        let mut loaded = self.source.load(&url, range, SEGMENT_MAX)?;
        let name = self.name(&url);
        let what = match whence.hints.unmeasured {
            Some(_) => What::Media(Format::Other),
            None => What::Media(segment::format(&loaded.bytes)),
        };
        let mut found = self.source.judge(&loaded, &url, what, &name, range);
        let missing = loaded.missing().is_some();
        if let Some(range) = range.filter(|_| !missing) {
            cut_out(&mut loaded, range.offset, range.length);
        }
        let bytes = loaded.bytes.len() as u64;
        let broken = found.iter().any(|finding| finding.rule.must);
        let nothing = Measured { bytes, begin: None, duration: None, key_frame: None };
        // What is empty, cut, too long or not to be read says nothing about its time; nor does a
        // segment whose initialization is missing, which is told once.
        let lost = initialized && before.is_none();
        let untold = whence.hints.unmeasured.is_some() || lost || broken || bytes == 0;
        let mut facts = None;
        let mut note = None;
        if loaded.long {
            note = Some(format!("not measured: segments over {} MiB", SEGMENT_MAX >> 20));
        } else if !untold && !missing {
            let read = segment::read(&loaded.bytes, before);
            found.extend(check::segment(&name, initialized, &read));
            note = read.as_ref().ok().and_then(unknown);
            facts = read.ok();
        }
        self.add(whence.manifest, place, found);
        if missing {
            return Ok(None);
        }
        let measured = facts.map_or(nothing, |facts| Measured {
            bytes,
            begin: facts.begin,
            duration: facts.duration,
            key_frame: facts.key_frame,
        });
        // A broken body is told already, and is not empty besides.
        Ok(if broken { None } else { Some((measured, facts, note)) })
    }
}

/// What came of a segment: its figures, what it says, and why its time is not known.
type Came = (Measured, Option<Facts>, Option<String>);

/// Keeps the wanted part of a resource that a server sent whole.
fn cut_out(loaded: &mut Loaded, offset: u64, length: u64) {
    if loaded.bytes.len() as u64 <= length {
        return;
    }
    let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(loaded.bytes.len());
    loaded.bytes.drain(..begin);
    loaded.bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
}

/// Why the time of a segment is not known.
fn unknown(facts: &Facts) -> Option<String> {
    match (facts.format, facts.duration) {
        (Format::Other, _) => Some("not measured: neither MP4 nor a transport stream".to_owned()),
        (Format::TransportStream, None) => {
            Some("not measured: a transport stream of a single dated packet".to_owned())
        }
        (Format::Mp4 | Format::TransportStream, _) => None,
    }
}

fn whence(read: &Read, manifest: usize, independent: bool) -> Whence {
    Whence {
        base: read.url.clone(),
        manifest,
        places: read.places.clone(),
        hints: read.hints,
        target_s: Some(read.media.target_s).filter(|target_s| *target_s > 0),
        promised: independent || read.hints.independent,
        group: None,
        beside: Vec::new(),
    }
}

/// The tracks of a group.
fn members(whences: &[Whence], group: &(String, String)) -> Vec<usize> {
    let own = whences.iter().enumerate();
    let own = own.filter(|(_, whence)| whence.group.as_ref() == Some(group));
    own.map(|(index, _)| index).collect()
}

fn place(whence: &Whence, segment: usize) -> Option<Place> {
    whence.places.get(segment).or(whence.places.last()).copied()
}

/// Tells video from sound where the manifest does not: only like is compared with like.
fn kind_of(track: &mut Track, medium: Medium) {
    if track.mime.is_none() {
        let kind = match medium {
            Medium::Video => "video",
            Medium::Audio => "audio",
            Medium::Other => "other",
        };
        track.mime = Some(kind.to_owned());
    }
}

fn summed(mut figures: Figures, track: &Track, told: &Told) -> Figures {
    let came = || told.segments.iter().flatten();
    figures.declared_peak_bps = Some(track.peak_bps).filter(|bps| *bps > 0);
    figures.declared_average_bps = track.average_bps;
    figures.fetched = came().count();
    figures.segments = track.segments.len();
    figures.bytes = came().map(|one| one.bytes).fold(0, u64::saturating_add);
    figures.longest = came().filter_map(|one| one.duration).max();
    figures.target_s = told.target_s;
    figures
}

/// What a manifest is, by its path, or else by its text.
fn kind(url: &Url, text: &str) -> Option<Kind> {
    let path = url.path().to_ascii_lowercase();
    let named = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
    let begins = text.trim_start_matches('\u{feff}').starts_with("#EXTM3U");
    if named(&[".mpd"]) {
        return Some(Kind::Dash);
    }
    if !named(&[".m3u8", ".m3u"]) && !begins {
        return text.contains("<MPD").then_some(Kind::Dash);
    }
    // A playlist that is both is told to be, whatever it is taken for.
    match text.contains("#EXT-X-STREAM-INF") && !text.contains("#EXTINF") {
        true => Some(Kind::Multivariant),
        false => Some(Kind::Media),
    }
}
