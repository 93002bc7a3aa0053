//! Whatever is in a file, it is refused or read; what was read, written, reads the same, and is a
//! pcapng file without an error.
//!
//! Half of the inputs are given a good first line, so that the lines after it are reached.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stentor::report::pcapng;
use stentor::report::record::{self, Warnings};

const FIRST: &str = r#"{"schema":"stentor.trace/1","stentor":"","kernel":"","machine":"","mode":"lab","wire":"raw","snaplen":1,"began_unix_ns":1}
"#;

fuzz_target!(|data: &[u8]| {
    let file = match data.split_first() {
        Some((b'+', lines)) => [FIRST.as_bytes(), lines].concat(),
        Some(_) | None => data.to_vec(),
    };
    match record::read(&*file) {
        Ok((read, warnings)) => {
            let written = record::write(&read, Vec::new(), "memory").unwrap();
            assert_eq!(record::read(&*written).unwrap(), (read.clone(), Warnings::default()));
            pcapng::write(&read, &[], Vec::new()).unwrap();
            warnings.sentences();
        }
        Err(trouble) => assert!(!trouble.complaint("file").to_string().is_empty()),
    }
});
