//! Checks what was measured of the segments against what the manifest declares.

use std::time::Duration;

use super::rules::{
    ALIGNED, DIFFERS, EMPTY, FASTER, JUMP, KEY, LONGER, MEAN, PEAK, PROMISED, SUSTAINED, TARGETS,
};
use super::{Finding, Findings, Part};
use crate::manifest::{Presentation, Segment, Track, rates_bps, rounded_s};

/// How far a segment's duration or beginning may be from where it belongs: a frame at 10 pictures a
/// second.
const TOLERANCE: Duration = Duration::from_millis(100);
/// The share of a rate that is rounding: durations are written in decimals, and played in ticks.
const ROUNDING: f64 = 0.001;

/// What was measured of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// How many bytes came.
    pub bytes: u64,
    /// When it begins on its track's clock; `None` where that is not known.
    pub begin: Option<Duration>,
    /// How long it plays, by its own boxes; `None` where that is not known.
    pub duration: Option<Duration>,
    /// Whether its first picture is a key frame; `None` where that is not known.
    pub key_frame: Option<bool>,
}

/// What is known of a track besides its place in the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The target duration that is declared (HLS), in seconds.
    pub target_s: Option<u64>,
    /// Whether key frames are promised.
    pub promised: bool,
    /// Whether jumps in time are announced (EXT-X-DISCONTINUITY).
    pub jumps: bool,
    /// Whether the text that lists its segments breaks a rule: its list is not compared with others.
    pub broken: bool,
    /// The tracks that may play beside it, by their places in the film: one of each group does.
    pub beside: Vec<Vec<usize>>,
    /// The segments that were measured, from the first on; `None` for one that could not be had.
    pub segments: Vec<Option<Measured>>,
}

impl Told {
    /// Sizes in bytes and durations, declared ones where they were not measured.
    fn sizes(&self, track: &Track) -> Vec<(u64, Duration)> {
        let pairs = self.segments.iter().zip(&track.segments);
        let size = |(one, segment): (&Option<Measured>, &Segment)| {
            let declared = segment.duration;
            match one {
                // Nothing, in the time it should play: no rate is said to be higher than it is.
                None => (0, declared),
                Some(one) => {
                    // One that plays no time is told as such, and would have any rate.
                    let duration = one.duration.filter(|duration| !duration.is_zero());
                    (one.bytes, duration.unwrap_or(declared))
                }
            }
        };
        pairs.map(size).collect()
    }

    fn rates_bps(&self, track: &Track) -> (u64, u64) {
        rates_bps(&self.sizes(track), self.target_s.unwrap_or(track.target_s()))
    }
}

/// The true peak and average bit rates of a track in bit/s (RFC 8216, 4.1), and with them those of
/// whatever may play beside it: the fastest of each group (4.3.4.2). `None`: nothing was measured.
pub fn combined_bps(film: &Presentation, told: &[Told], track: usize) -> Option<(u64, u64)> {
    let rates = |index: usize| {
        let (track, told) = film.tracks.get(index).zip(told.get(index))?;
        (!told.segments.is_empty()).then(|| told.rates_bps(track))
    };
    let own = rates(track)?;
    let beside = told.get(track).map(|told| told.beside.as_slice()).unwrap_or_default();
    let fastest = |group: &Vec<usize>| {
        let all = group.iter().copied().filter_map(rates);
        all.fold((0, 0), |(a, b): (u64, u64), (peak, average)| (peak.max(a), average.max(b)))
    };
    let add =
        |(a, b): (u64, u64), (peak, average)| (a.saturating_add(peak), b.saturating_add(average));
    Some(beside.iter().map(fastest).fold(own, add))
}

/// Checks the tracks of a film; what a track does not declare is not checked.
pub fn measured(film: &Presentation, told: &[Told]) -> Vec<Finding> {
    let mut findings = Findings::default();
    let mut steady = Vec::new();
    for (index, (track, told)) in film.tracks.iter().zip(told).enumerate() {
        each(index, track, told, &mut findings);
        let before = findings.0.len();
        if !told.broken {
            jumps(index, track, told, &mut findings);
        }
        if findings.0.len() == before && !told.broken {
            steady.push((index, track, told));
        }
    }
    for (index, (track, one)) in film.tracks.iter().zip(told).enumerate() {
        let declared = track.peak_bps > 0 && !one.broken;
        if let Some(combined) = combined_bps(film, told, index).filter(|_| declared) {
            rates(film, (index, track), one, combined, &mut findings);
        }
    }
    targets(film, told, &mut findings);
    aligned(&steady, &mut findings);
    findings.0
}

fn each(track: usize, declared: &Track, told: &Told, findings: &mut Findings) {
    for (index, (segment, one)) in declared.segments.iter().zip(&told.segments).enumerate() {
        let Some(one) = one else { continue };
        let part = Part::Segment { track, segment: index };
        let place = |found: String| format!("{}, segment {index}: {found}", declared.name);
        let says = segment.duration.as_secs_f64();
        if one.bytes == 0 || one.duration.is_some_and(|duration| duration.is_zero()) {
            let played = one.duration.unwrap_or_default().as_secs_f64();
            let found = format!("{} bytes that play {played} s", one.bytes);
            findings.of(part, &EMPTY, place(found));
            continue;
        }
        if let Some(duration) = one.duration {
            let is = duration.as_secs_f64();
            let above = told.target_s.filter(|target_s| rounded_s(duration) > *target_s);
            if let Some(target_s) = above {
                let found = format!("{is:.3} s, and the target is {target_s} s");
                findings.of(part, &LONGER, place(found));
            } else if duration.abs_diff(segment.duration) > TOLERANCE {
                findings.of(part, &DIFFERS, place(format!("{is:.3} s, and it says {says} s")));
            }
        }
        if one.key_frame == Some(false) {
            let rule = if told.promised { &PROMISED } else { &KEY };
            findings.of(part, rule, place("its first picture needs others".to_owned()));
        }
    }
}

/// Checks that each segment begins where the one before it ended.
fn jumps(track: usize, declared: &Track, told: &Told, findings: &mut Findings) {
    if told.jumps {
        return;
    }
    let pairs = told.segments.iter().zip(told.segments.iter().skip(1));
    for (index, ((before, next), segment)) in pairs.zip(&declared.segments).enumerate() {
        let (Some(before), Some(next)) = (before, next) else { continue };
        let (Some(begin), Some(duration), Some(next)) = (before.begin, before.duration, next.begin)
        else {
            continue;
        };
        // Of one that is as long as nobody said, that is told already.
        let odd = duration.abs_diff(segment.duration) > TOLERANCE;
        let end = begin.saturating_add(duration);
        if !odd && end.abs_diff(next) > TOLERANCE {
            let (is, wants) = (next.as_secs_f64(), end.as_secs_f64());
            let index = index + 1;
            let found =
                format!("{}, segment {index}: at {is:.3} s, not {wants:.3} s", declared.name);
            findings.of(Part::Segment { track, segment: index }, &JUMP, found);
        }
    }
}

fn rates(
    film: &Presentation,
    (index, track): (usize, &Track),
    told: &Told,
    (peak, average): (u64, u64),
    findings: &mut Findings,
) {
    let part = Part::Track(index);
    let above = |is: u64, says: u64| is as f64 > says as f64 * (1.0 + ROUNDING);
    let said = |is: u64, says: u64| {
        let percent = 100.0 * (is as f64 / says.max(1) as f64 - 1.0);
        format!("{}: {is} bit/s, and it says {says} ({percent:.1} % more)", track.name)
    };
    // A part of a film says nothing about its average.
    let whole = told.segments.len() == track.segments.len()
        && told.segments.iter().all(Option::is_some)
        && !film.live;
    if let Some(declared) = track.average_bps.filter(|says| whole && above(average, *says)) {
        findings.of(part, &MEAN, said(average, declared));
    }
    // The definition of the peak is HLS's; a track with a target is one of HLS.
    if told.target_s.is_some() {
        if above(peak, track.peak_bps) {
            findings.of(part, &PEAK, said(peak, track.peak_bps));
        }
        return;
    }
    let needed_s = sustained_s(&told.sizes(track), track.peak_bps);
    let buffer_s = film.buffer.as_secs_f64();
    if buffer_s > 0.0 && needed_s > buffer_s * (1.0 + ROUNDING) + 1e-3 {
        let name = &track.name;
        let found = format!("{name}: {needed_s:.3} s must be buffered, and it says {buffer_s}");
        findings.of(part, &SUSTAINED, found);
    } else if above(peak, track.peak_bps) {
        findings.of(part, &FASTER, said(peak, track.peak_bps));
    }
}

/// How long a client must buffer that receives `bps` and begins at the worst segment, in seconds: the
/// largest lead of arriving over playing, over all rows of segments.
fn sustained_s(sizes: &[(u64, Duration)], bps: u64) -> f64 {
    let (mut row, mut worst) = (0.0_f64, 0.0_f64);
    for (bytes, duration) in sizes {
        let lead = *bytes as f64 * 8.0 / bps.max(1) as f64 - duration.as_secs_f64();
        row = (row + lead).max(0.0);
        worst = worst.max(row);
    }
    worst
}

/// Checks that all variants of HLS have one target duration.
fn targets(film: &Presentation, told: &[Told], findings: &mut Findings) {
    let tracks = film.tracks.iter().zip(told).enumerate();
    let tracks = tracks.filter(|(_, (_, told))| !told.broken);
    let mut declared =
        tracks.filter_map(|(index, (track, told))| Some((index, track, told.target_s?)));
    let Some((_, first, wants)) = declared.next() else { return };
    for (index, track, is) in declared.filter(|(_, _, is)| *is != wants) {
        let found = format!("{}: {is} s, and {} has {wants} s", track.name, first.name);
        findings.of(Part::Track(index), &TARGETS, found);
    }
}

/// Compares the beginnings of segments between the tracks of one kind of medium.
fn aligned(tracks: &[(usize, &Track, &Told)], findings: &mut Findings) {
    let mut firsts: Vec<(&Track, &Told)> = Vec::new();
    for (index, track, told) in tracks {
        let Some((first, reference)) = firsts.iter().find(|(first, _)| first.mime == track.mime)
        else {
            firsts.push((track, told));
            continue;
        };
        if track.segments.len() != first.segments.len() {
            let (is, wants) = (track.segments.len(), first.segments.len());
            let found = format!("{}: {is} segments, and {} has {wants}", track.name, first.name);
            findings.of(Part::Track(*index), &ALIGNED, found);
        }
        let (ours, theirs) = (begins(track, told), begins(first, reference));
        let apart = ours.iter().zip(&theirs).position(|(one, other)| {
            one.zip(*other).is_some_and(|(one, other)| one.abs_diff(other) > TOLERANCE)
        });
        let Some(segment) = apart else { continue };
        let at = |begins: &[Option<Duration>]| {
            begins.get(segment).copied().flatten().unwrap_or_default().as_secs_f64()
        };
        let found = format!(
            "{}, segment {segment}: at {:.3} s, and {} at {:.3} s",
            track.name,
            at(&ours),
            first.name,
            at(&theirs)
        );
        findings.of(Part::Segment { track: *index, segment }, &ALIGNED, found);
    }
}

/// When the segments begin: as they say, or else by the durations before them.
fn begins(track: &Track, told: &Told) -> Vec<Option<Duration>> {
    let mut at = Duration::ZERO;
    let pairs = told.segments.iter().zip(&track.segments);
    let begin = |(one, segment): (&Option<Measured>, &Segment)| {
        let own = one.and_then(|one| one.begin);
        let by_durations = at;
        at = at.saturating_add(one.and_then(|one| one.duration).unwrap_or(segment.duration));
        one.map(|_| own.unwrap_or(by_durations))
    };
    pairs.map(begin).collect()
}
