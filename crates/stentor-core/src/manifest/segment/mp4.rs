//! Fragmented MP4: the tracks of `moov`, and the runs of samples of each `moof`.

use super::pictures::{Coding, is_key, measured_units};
use super::{Facts, Format, Medium, STREAMS_MAX, SegmentError, span};

/// The flag of a sample that needs others (14496-12, 8.8.3.1).
const NON_SYNC: u32 = 0x1_0000;
/// What comes before the boxes inside a visual sample entry, in bytes (14496-12, 12.1.3).
const VISUAL_ENTRY_BYTES: usize = 78;

/// What a decoder needs before the first segment, as far as it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Initialization {
    /// The tracks.
    pub streams: Vec<Stream>,
    /// Whether it says what it is (`ftyp`).
    pub typed: bool,
    /// Whether it announces fragments (`mvex`).
    pub fragmented: bool,
}

/// A track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Its number.
    pub track: u32,
    /// What it carries.
    pub medium: Medium,
    /// Ticks of its clock in a second.
    pub timescale: u32,
    /// How its pictures are coded, and how long the lengths of their units are, in bytes.
    units: Option<(Coding, usize)>,
    duration: u32,
    flags: u32,
}

/// A box: its four characters, where it begins, and what is in it.
#[derive(Clone, Copy)]
struct Boxed<'a> {
    kind: [u8; 4],
    at: usize,
    body_at: usize,
    body: &'a [u8],
}

impl Boxed<'_> {
    fn wrong(&self, wanted: &'static str) -> SegmentError {
        SegmentError::Box { kind: name(self.kind), at: self.at, wanted }
    }

    /// Version and flags, which begin many boxes.
    fn version_and_flags(&self) -> Result<(u8, u32), SegmentError> {
        let word = word(self.body, 0).ok_or_else(|| self.wanting())?;
        let [version, ..] = word.to_be_bytes();
        Ok((version, word & 0xff_ffff))
    }

    fn wanting(&self) -> SegmentError {
        self.wrong("it is shorter than its own fields")
    }
}

fn name(kind: [u8; 4]) -> String {
    kind.iter().map(|byte| char::from(*byte)).collect()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    let eight = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_be_bytes(eight.try_into().ok()?))
}

/// Walks the boxes of a stretch of bytes that begins at `offset`, and hands each to `take`.
fn walk<'a>(
    mut rest: &'a [u8],
    mut offset: usize,
    mut take: impl FnMut(Boxed<'a>) -> Result<(), SegmentError>,
) -> Result<(), SegmentError> {
    while !rest.is_empty() {
        let cut = |kind: &[u8], says: u64| SegmentError::Cut {
            kind: kind.iter().map(|byte| char::from(*byte)).collect(),
            at: offset,
            has: rest.len(),
            says,
        };
        let (Some(short), Some(kind)) = (word(rest, 0), rest.get(4..8)) else {
            return Err(cut(b"", 8));
        };
        let (head, says) = match short {
            // To the end of the file.
            0 => (8, rest.len() as u64),
            1 => (16, long(rest, 8).ok_or_else(|| cut(kind, 16))?),
            _ => (8, u64::from(short)),
        };
        let length = usize::try_from(says).ok().filter(|length| *length <= rest.len());
        let length = length.ok_or_else(|| cut(kind, says))?;
        let kind = kind.try_into().unwrap_or_default();
        let body = rest.get(head..length).ok_or(SegmentError::Box {
            kind: name(kind),
            at: offset,
            wanted: "it is shorter than its own head",
        })?;
        take(Boxed { kind, at: offset, body_at: offset.saturating_add(head), body })?;
        (rest, offset) = (rest.get(length..).unwrap_or_default(), offset.saturating_add(length));
    }
    Ok(())
}

/// The first box of a kind inside another, `skip` bytes after its beginning.
fn inside<'a>(
    outer: Boxed<'a>,
    skip: usize,
    kind: &[u8; 4],
) -> Result<Option<Boxed<'a>>, SegmentError> {
    let mut found = None;
    let body = outer.body.get(skip..).unwrap_or_default();
    walk(body, outer.body_at.saturating_add(skip), |inner| {
        if inner.kind == *kind && found.is_none() {
            found = Some(inner);
        }
        Ok(())
    })?;
    Ok(found)
}

pub(super) fn initialization(bytes: &[u8]) -> Result<Initialization, SegmentError> {
    let mut initialization = Initialization::default();
    let mut movie = None;
    walk(bytes, 0, |outer| {
        match &outer.kind {
            b"ftyp" => initialization.typed = true,
            b"moov" => movie = Some(outer),
            _ => {}
        }
        Ok(())
    })?;
    let movie = movie.ok_or(SegmentError::Without { kind: "moov", why: "" })?;
    walk_movie(movie, &mut initialization)?;
    match initialization.streams.is_empty() {
        true => Err(SegmentError::Without { kind: "trak", why: " in moov" }),
        false => Ok(initialization),
    }
}

fn walk_movie(movie: Boxed<'_>, initialization: &mut Initialization) -> Result<(), SegmentError> {
    let mut extends = None;
    walk(movie.body, movie.body_at, |inner| {
        match &inner.kind {
            b"trak" if initialization.streams.len() < STREAMS_MAX => {
                initialization.streams.push(track(inner)?);
            }
            b"mvex" => extends = Some(inner),
            _ => {}
        }
        Ok(())
    })?;
    let Some(extends) = extends else { return Ok(()) };
    initialization.fragmented = true;
    walk(extends.body, extends.body_at, |inner| {
        if inner.kind == *b"trex" {
            let field = |at| word(inner.body, at).ok_or_else(|| inner.wanting());
            let (track, duration, flags) = (field(4)?, field(12)?, field(20)?);
            let own = initialization.streams.iter_mut().find(|stream| stream.track == track);
            if let Some(stream) = own {
                (stream.duration, stream.flags) = (duration, flags);
            }
        }
        Ok(())
    })
}

fn track(trak: Boxed<'_>) -> Result<Stream, SegmentError> {
    let without = |kind| SegmentError::Without { kind, why: " in trak" };
    let header = inside(trak, 0, b"tkhd")?.ok_or(without("tkhd"))?;
    let media = inside(trak, 0, b"mdia")?.ok_or(without("mdia"))?;
    let media_header = inside(media, 0, b"mdhd")?.ok_or(without("mdhd"))?;
    // Times of creation and change come first; they have 64 bits in version 1.
    let number_at = if header.version_and_flags()?.0 == 1 { 20 } else { 12 };
    let scale_at = if media_header.version_and_flags()?.0 == 1 { 20 } else { 12 };
    let track = word(header.body, number_at).ok_or_else(|| header.wanting())?;
    let timescale = word(media_header.body, scale_at).ok_or_else(|| media_header.wanting())?;
    if timescale == 0 {
        return Err(media_header.wrong("a timescale of 0 measures nothing"));
    }
    let handler = inside(media, 0, b"hdlr")?.and_then(|handler| handler.body.get(8..12));
    let medium = match handler {
        Some(b"vide") => Medium::Video,
        Some(b"soun") => Medium::Audio,
        _ => Medium::Other,
    };
    let units = if medium == Medium::Video { coding(media)? } else { None };
    Ok(Stream { track, medium, timescale, units, duration: 0, flags: 0 })
}

/// How the pictures of a track are coded; `None` where their units are not read.
fn coding(media: Boxed<'_>) -> Result<Option<(Coding, usize)>, SegmentError> {
    let Some(info) = inside(media, 0, b"minf")? else { return Ok(None) };
    let Some(table) = inside(info, 0, b"stbl")? else { return Ok(None) };
    let Some(descriptions) = inside(table, 0, b"stsd")? else { return Ok(None) };
    let mut found = None;
    let (entries, at) = (descriptions.body.get(8..), descriptions.body_at.saturating_add(8));
    walk(entries.unwrap_or_default(), at, |entry| {
        let (coding, kind, at) = match &entry.kind {
            b"avc1" | b"avc3" => (Coding::Avc, b"avcC", 4),
            b"hvc1" | b"hev1" => (Coding::Hevc, b"hvcC", 21),
            _ => return Ok(()),
        };
        let sets = inside(entry, VISUAL_ENTRY_BYTES, kind)?;
        let length = sets.and_then(|sets| sets.body.get(at)).map(|byte| usize::from(byte & 3) + 1);
        found = found.or(length.map(|length| (coding, length)));
        Ok(())
    })?;
    Ok(found)
}

/// What the fragments of one track come to.
#[derive(Clone, Copy)]
struct Account {
    stream: Stream,
    begin: Option<u64>,
    ticks: u64,
    samples: u64,
    key_frame: Option<bool>,
    undated: bool,
}

pub(super) fn fragments(
    bytes: &[u8],
    before: Option<&Initialization>,
) -> Result<Facts, SegmentError> {
    let mut own = before.cloned().unwrap_or_default();
    let mut accounts: Vec<Account> = Vec::new();
    let mut fragments = 0_u64;
    let mut data = false;
    walk(bytes, 0, |outer| {
        match &outer.kind {
            b"moov" => walk_movie(outer, &mut own)?,
            b"moof" => {
                fragments += 1;
                fragment(outer, bytes, &own, &mut accounts)?;
            }
            b"mdat" => data = true,
            _ => {}
        }
        Ok(())
    })?;
    if fragments == 0 {
        return Err(SegmentError::Without { kind: "moof", why: ": it is no fragment" });
    }
    if !data {
        return Err(SegmentError::Without { kind: "mdat", why: " to the moof" });
    }
    let video = accounts.iter().find(|account| account.stream.medium == Medium::Video);
    let told = video.or(accounts.first());
    let told = told.ok_or(SegmentError::Without { kind: "traf", why: " in moof" })?;
    let scale = told.stream.timescale;
    Ok(Facts {
        format: Format::Mp4,
        medium: told.stream.medium,
        begin: told.begin.map(|ticks| span(ticks, scale)),
        duration: Some(span(told.ticks, scale)),
        key_frame: told.key_frame.filter(|_| told.stream.medium == Medium::Video),
        samples: told.samples,
        undated: accounts.iter().any(|account| account.undated),
    })
}

fn fragment(
    moof: Boxed<'_>,
    file: &[u8],
    initialization: &Initialization,
    accounts: &mut Vec<Account>,
) -> Result<(), SegmentError> {
    walk(moof.body, moof.body_at, |traf| {
        if traf.kind != *b"traf" {
            return Ok(());
        }
        let header = inside(traf, 0, b"tfhd")?;
        let header = header.ok_or(SegmentError::Without { kind: "tfhd", why: " in traf" })?;
        let defaults = Defaults::read(header, initialization)?;
        let at = accounts.iter().position(|one| one.stream.track == defaults.stream.track);
        let at = match at {
            Some(at) => at,
            None if accounts.len() < STREAMS_MAX => {
                accounts.push(Account {
                    stream: defaults.stream,
                    begin: None,
                    ticks: 0,
                    samples: 0,
                    key_frame: None,
                    undated: false,
                });
                accounts.len() - 1
            }
            None => return Ok(()),
        };
        let Some(account) = accounts.get_mut(at) else { return Ok(()) };
        match inside(traf, 0, b"tfdt")? {
            None => account.undated = true,
            Some(time) => {
                let short = || word(time.body, 4).map(u64::from);
                let wide = time.version_and_flags()?.0 == 1;
                let begin = if wide { long(time.body, 4) } else { short() };
                let begin = begin.ok_or_else(|| time.wanting())?;
                account.begin.get_or_insert(begin);
            }
        }
        walk(traf.body, traf.body_at, |inner| {
            if inner.kind == *b"trun" {
                run(inner, moof.at, file, &defaults, account)
            } else {
                Ok(())
            }
        })
    })
}

/// What holds for every sample of a track's fragment that says nothing else.
struct Defaults {
    stream: Stream,
    absolute: bool,
    duration: u32,
    size: u32,
    flags: u32,
}

impl Defaults {
    fn read(header: Boxed<'_>, initialization: &Initialization) -> Result<Defaults, SegmentError> {
        let flags = header.version_and_flags()?.1;
        let track = word(header.body, 4).ok_or_else(|| header.wanting())?;
        let stream = initialization.streams.iter().find(|stream| stream.track == track);
        let stream = *stream.ok_or(SegmentError::UnknownTrack { track })?;
        let absolute = flags & 0x1 != 0;
        let mut at = 8 + if absolute { 8 } else { 0 } + if flags & 0x2 != 0 { 4 } else { 0 };
        let mut next = |flag: u32, otherwise: u32| {
            if flags & flag == 0 {
                return Ok(otherwise);
            }
            let value = word(header.body, at).ok_or_else(|| header.wanting())?;
            at += 4;
            Ok(value)
        };
        let duration = next(0x8, stream.duration)?;
        let size = next(0x10, 0)?;
        let flags = next(0x20, stream.flags)?;
        Ok(Defaults { stream, absolute, duration, size, flags })
    }
}

/// Adds up a run of samples (14496-12, 8.8.8).
fn run(
    trun: Boxed<'_>,
    moof_at: usize,
    file: &[u8],
    defaults: &Defaults,
    account: &mut Account,
) -> Result<(), SegmentError> {
    let flags = trun.version_and_flags()?.1;
    let count = word(trun.body, 4).ok_or_else(|| trun.wanting())?;
    let mut at = 8;
    let mut head = |flag: u32| {
        if flags & flag == 0 {
            return Ok(None);
        }
        let value = word(trun.body, at).ok_or_else(|| trun.wanting())?;
        at += 4;
        Ok(Some(value))
    };
    let (offset, first_flags) = (head(0x1)?, head(0x4)?);
    let fields = [0x100, 0x200, 0x400, 0x800].map(|flag| flags & flag != 0);
    let entry_bytes = 4 * fields.iter().filter(|there| **there).count();
    let entries = trun.body.get(at..).unwrap_or_default();
    let of = |entry: &[u8], field: usize| {
        let before = fields.iter().take(field).filter(|there| **there).count();
        fields.get(field).filter(|there| **there).and_then(|_| word(entry, 4 * before))
    };
    if entry_bytes.saturating_mul(usize::try_from(count).unwrap_or(usize::MAX)) > entries.len() {
        return Err(trun.wrong("it has fewer samples than it says"));
    }
    let ticks = match fields {
        [true, ..] => {
            let rows = entries.chunks_exact(entry_bytes.max(1));
            let rows = rows.take(usize::try_from(count).unwrap_or(usize::MAX));
            rows.fold(0_u64, |sum, row| sum.saturating_add(of(row, 0).unwrap_or(0).into()))
        }
        _ => u64::from(defaults.duration).saturating_mul(count.into()),
    };
    if account.samples == 0 && count > 0 {
        let first = entries.get(..entry_bytes).unwrap_or_default();
        let sample_flags = first_flags.or(of(first, 2)).unwrap_or(defaults.flags);
        let size = of(first, 1).unwrap_or(defaults.size);
        // Offsets that count from the file's beginning mean nothing in a part of it.
        let sample = sample(file, moof_at, offset, size).filter(|_| !defaults.absolute);
        let units = defaults.stream.units.zip(sample);
        let coded = units
            .and_then(|((coding, length), sample)| is_key(coding, measured_units(sample, length)));
        // A sample that calls itself a sync sample, and is none, is no key frame either.
        account.key_frame = Some(sample_flags & NON_SYNC == 0 && coded != Some(false));
    }
    account.samples = account.samples.saturating_add(count.into());
    account.ticks = account.ticks.saturating_add(ticks);
    Ok(())
}

/// The bytes of the first sample of a run, where they can be found.
fn sample(file: &[u8], moof_at: usize, offset: Option<u32>, size: u32) -> Option<&[u8]> {
    // The offset is signed.
    let offset = i64::from(i32::from_be_bytes(offset?.to_be_bytes()));
    let begin = usize::try_from(i64::try_from(moof_at).ok()?.checked_add(offset)?).ok()?;
    file.get(begin..begin.checked_add(usize::try_from(size).ok()?)?)
}
