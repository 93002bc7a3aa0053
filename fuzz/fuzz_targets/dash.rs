//! Any text is refused as a DASH manifest or read, and what was read, written again, reads the same;
//! its check ends, with no more findings than it may have.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use stentor_core::manifest::Track;
use stentor_core::manifest::check::{self, FINDINGS_MAX};
use stentor_core::manifest::dash::{read, write};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert!(check::dash(text).len() <= FINDINGS_MAX);
    let Ok(film) = read(text) else { return };
    // A segment that plays no time, or all of them for centuries, cannot be written.
    let century = Duration::from_secs(100 * 366 * 24 * 3600);
    let sound = |track: &Track| {
        let timed = track.segments.iter().all(|segment| !segment.duration.is_zero());
        timed && track.length() < century
    };
    if !film.tracks.iter().all(sound) || film.buffer > century {
        return;
    }
    // Neither can three bases.
    let Ok(written) = write(&film) else { return };
    let again = read(&written).unwrap_or_else(|error| panic!("{error}\n{written}"));
    assert_eq!(again.live, film.live);
    assert_eq!(again.tracks.len(), film.tracks.len());
    for (track, before) in again.tracks.iter().zip(&film.tracks) {
        assert_eq!(track.peak_bps, before.peak_bps);
        assert_eq!(track.segments.len(), before.segments.len(), "{written}");
    }
});
