//! Whatever is in a file, it is refused by the line or read; what was read can be added up, and
//! shown in every form.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stentor::report::load::{hdr, merge, text};

fuzz_target!(|data: &[u8]| match hdr::read(data) {
    Ok(log) => {
        let (head, outcome) = merge::merge(&[("one".to_owned(), log.clone()), ("two".to_owned(), log)]);
        assert!(!text::text(&head, &outcome, 80).is_empty());
        hdr::write(&head, &outcome, Vec::new()).unwrap();
    }
    Err(trouble) => assert!(!trouble.complaint("file").to_string().is_empty()),
});
