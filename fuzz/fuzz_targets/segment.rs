//! Any bytes as an initialization and as a segment: read or refused, and never worse than that. What
//! is read is checked beside a sound initialization, too, so that fragments get past their track.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stentor_core::manifest::check;
use stentor_core::manifest::segment::{format, initialization, read};
use stentor_core::video::mp4;

fuzz_target!(|bytes: &[u8]| {
    let own = initialization(bytes);
    _ = check::initialization("any", &own);
    _ = format(bytes);
    let sound = initialization(&mp4::initialization()).ok();
    for before in [None, own.ok().as_ref(), sound.as_ref()] {
        let facts = read(bytes, before);
        _ = check::segment("any", before.is_some(), &facts);
        if let Ok(facts) = facts {
            assert!(facts.samples > 0 || facts.key_frame.is_none(), "{facts:?}");
        }
    }
});
