//! Whatever stands where a film's JSON should, it is refused with its place, or read; a film that was
//! read, written, reads the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stentor::report::json::video::film::Numbers;

fuzz_target!(|bytes: &[u8]| {
    let numbers = match Numbers::read(bytes) {
        Ok(numbers) => numbers,
        Err(refusal) => return assert!(!refusal.reason.is_empty() && refusal.reason.len() < 2000),
    };
    let all = numbers.segment_sizes_bits.iter().flatten().chain(&numbers.bitrates_kbps);
    assert!(all.chain([&numbers.segment_duration_ms]).all(|one| *one > 0.0 && one.is_finite()));
    assert_eq!(Numbers::read(numbers.text().as_bytes()).unwrap(), numbers);
    if let Ok(film) = numbers.film() {
        let again = Numbers::of(&film).unwrap().film().unwrap();
        assert_eq!(again, film);
    }
});
