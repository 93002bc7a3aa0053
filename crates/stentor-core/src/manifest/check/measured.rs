//! Checks what was measured of the segments against what the manifest declares.

use std::time::Duration;

use super::rules::{ALIGNED, DIFFERS, EMPTY, KEY, LONGER, MEAN, PEAK, SHORT, SUSTAINED};
use super::{Finding, Findings};
use crate::manifest::{Presentation, Track, rates_bps, rounded_s};

/// How far a segment's duration may be from the declared one: a frame at 10 pictures a second.
const TOLERANCE: Duration = Duration::from_millis(100);

/// What was measured of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// How many bytes came.
    pub bytes: u64,
    /// How long it plays, by its own boxes.
    pub duration: Duration,
    /// Whether its first picture is a key frame; `None` where that is not known.
    pub key_frame: Option<bool>,
}

/// Checks the tracks of a film. `segments`: of each track those that were measured, from the first
/// on. `target_s`: the target duration of each track that is declared (HLS), in seconds.
///
/// What a track does not declare is not checked.
pub fn measured(
    film: &Presentation,
    segments: &[Vec<Measured>],
    target_s: &[Option<u64>],
) -> Vec<Finding> {
    let mut findings = Findings::default();
    let targets = target_s.iter().copied().chain(std::iter::repeat(None));
    for ((track, measured), target_s) in film.tracks.iter().zip(segments).zip(targets) {
        each(track, measured, target_s, &mut findings);
        rates(film, track, measured, target_s, &mut findings);
    }
    aligned(film, segments, &mut findings);
    findings.0
}

fn each(track: &Track, measured: &[Measured], target_s: Option<u64>, findings: &mut Findings) {
    for (index, (segment, one)) in track.segments.iter().zip(measured).enumerate() {
        let place = |found: String| format!("{}, segment {index}: {found}", track.name);
        let (is, says) = (one.duration.as_secs_f64(), segment.duration.as_secs_f64());
        if one.bytes == 0 || one.duration.is_zero() {
            findings.add(&EMPTY, None, place(format!("{} bytes that play {is} s", one.bytes)));
            continue;
        }
        if one.duration.abs_diff(segment.duration) > TOLERANCE {
            findings.add(&DIFFERS, None, place(format!("{is} s, and it says {says} s")));
        }
        if let Some(target_s) = target_s.filter(|target_s| rounded_s(one.duration) > *target_s) {
            findings.add(&LONGER, None, place(format!("{is} s, and the target is {target_s} s")));
        }
        if one.key_frame == Some(false) {
            findings.add(&KEY, None, place("another picture".to_owned()));
        }
        let wanted = segment.resource.range.map(|range| range.length);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != one.bytes) {
            findings.add(&SHORT, None, place(format!("{} bytes of {wanted}", one.bytes)));
        }
    }
}

fn rates(
    film: &Presentation,
    track: &Track,
    measured: &[Measured],
    target_s: Option<u64>,
    findings: &mut Findings,
) {
    let sizes: Vec<_> = measured.iter().map(|one| (one.bytes, one.duration)).collect();
    let (peak, average) = rates_bps(&sizes, target_s.unwrap_or(track.target_s()));
    let said = |is: u64, says: u64| {
        let percent = 100.0 * (is as f64 / says as f64 - 1.0);
        format!("{}: {is} bit/s, and it says {says} ({percent:.1} % more)", track.name)
    };
    // The definition of the peak is HLS's; a track with a target is one of HLS.
    if target_s.is_some() && peak > track.peak_bps {
        findings.add(&PEAK, None, said(peak, track.peak_bps));
    }
    // A part of a film says nothing about its average.
    let whole = measured.len() == track.segments.len();
    if let Some(declared) = track.average_bps.filter(|declared| whole && average > *declared) {
        findings.add(&MEAN, None, said(average, declared));
    }
    if target_s.is_none() {
        let excess_s = sustained_s(measured, track.peak_bps);
        let buffer_s = film.buffer.as_secs_f64();
        if excess_s > buffer_s + 1e-6 {
            let found = format!("{}: {excess_s:.3} s are needed of {buffer_s} s", track.name);
            findings.add(&SUSTAINED, None, found);
        }
    }
}

/// How long a client must buffer that receives `bps` and begins at the worst segment, in seconds: the
/// largest lead of arriving over playing, over all rows of segments.
fn sustained_s(measured: &[Measured], bps: u64) -> f64 {
    let (mut row, mut worst) = (0.0_f64, 0.0_f64);
    for one in measured {
        let lead = one.bytes as f64 * 8.0 / bps.max(1) as f64 - one.duration.as_secs_f64();
        row = (row + lead).max(0.0);
        worst = worst.max(row);
    }
    worst
}

/// Compares the beginnings of segments between the tracks of one kind of medium.
fn aligned(film: &Presentation, segments: &[Vec<Measured>], findings: &mut Findings) {
    let tracks: Vec<_> = film.tracks.iter().zip(segments).collect();
    let Some(((first, reference), others)) = tracks.split_first() else { return };
    for (track, measured) in others.iter().filter(|(track, _)| track.mime == first.mime) {
        let (mut ours, mut theirs) = (Duration::ZERO, Duration::ZERO);
        for (index, (one, other)) in measured.iter().zip(reference.iter()).enumerate() {
            if ours.abs_diff(theirs) > TOLERANCE {
                let (is, wants) = (ours.as_secs_f64(), theirs.as_secs_f64());
                let (name, first) = (&track.name, &first.name);
                let found = format!("{name}, segment {index}: at {is} s, and {first} at {wants} s");
                findings.add(&ALIGNED, None, found);
                break;
            }
            ours = ours.saturating_add(one.duration);
            theirs = theirs.saturating_add(other.duration);
        }
        if track.segments.len() != first.segments.len() {
            let (is, wants) = (track.segments.len(), first.segments.len());
            let found = format!("{}: {is} segments, and {} has {wants}", track.name, first.name);
            findings.add(&ALIGNED, None, found);
        }
    }
}
