//! Whatever is written, a link is refused or read; what was read, written, reads the same, and every
//! link that is read can be made, or says what keeps it from being made.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stentor_core::link::{Link, Spec, stream};
use stentor_core::seed::Seed;

fuzz_target!(|written: &str| {
    let spec = match written.parse::<Spec>() {
        Ok(spec) => spec,
        Err(refusal) => return assert!(!refusal.to_string().is_empty()),
    };
    assert_eq!(spec.to_string().parse::<Spec>().as_ref(), Ok(&spec));
    for knobs in [&spec.up, &spec.down] {
        assert!(knobs.check().is_ok());
        if let Err(refusal) = Link::<u64>::new(knobs, None, Seed(1), "up") {
            assert!(!refusal.to_string().is_empty());
        }
        if let Err(refusal) = stream::toxics(knobs, None) {
            assert!(!refusal.to_string().is_empty());
        }
    }
});
