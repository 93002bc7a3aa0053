//! Any text is refused as a playlist or read, and what was read, written again, reads the same; its
//! check ends, with no more findings than it may have.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stentor_core::manifest::check::{self, FINDINGS_MAX};
use stentor_core::manifest::hls::{Media, Playlist, media, multivariant, read};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert!(check::hls(text).len() <= FINDINGS_MAX);
    // Characters that the writer leaves out, since they cannot stand in a line.
    let writable = !text.replace("\r\n", "\n").contains(|c: char| c.is_control() && c != '\n');
    match read(text) {
        Ok(Playlist::Multivariant(film)) => {
            let again = read(&multivariant(&film));
            if writable {
                assert_eq!(again, Ok(Playlist::Multivariant(film)));
            }
        }
        Ok(Playlist::Media(Media { track, live, .. })) => {
            let target_s = track.target_s();
            let again = read(&media(&track, live));
            if writable {
                assert_eq!(again, Ok(Playlist::Media(Media { track, target_s, live })));
            }
        }
        Err(_) => {}
    }
});
