//! Whatever is written, a target is refused or read; what was read, written, reads the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stentor_core::endpoint::Target;

fuzz_target!(|written: &str| {
    match written.parse::<Target>() {
        Ok(target) => assert_eq!(target.to_string().parse::<Target>(), Ok(target)),
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
});
