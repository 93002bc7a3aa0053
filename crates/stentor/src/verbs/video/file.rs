//! A file that a person names, or standard input, read whole and within bounds.

use std::fs::File;
use std::io::{self, Read};

use stentor_os::failure::describe;

use crate::complaint::{Complaint, Exit};

/// What stands for standard input.
pub(super) const STDIN: &str = "-";

/// What is in the file `path`, of at most `most` bytes; `flag` is the option that names it, `form` says
/// what it should hold.
///
/// # Errors
/// One that cannot be read (exit 3), one that is longer or empty (2).
pub(super) fn read(flag: &str, path: &str, most: u64, form: &str) -> Result<Vec<u8>, Complaint> {
    let failed = |call: &str, error: io::Error| {
        let what = format!("{flag} {path}: {call}: {}", describe(&error));
        Complaint::new(Exit::Environment, what, form)
    };
    let from: Box<dyn Read> = match path {
        STDIN => Box::new(io::stdin().lock()),
        path => Box::new(File::open(path).map_err(|error| failed("open", error))?),
    };
    let mut bytes = Vec::new();
    from.take(most + 1).read_to_end(&mut bytes).map_err(|error| failed("read", error))?;
    let refused = |what: String| Complaint::usage(format!("{flag} {path}: {what}"), form);
    match bytes.len() as u64 {
        0 => Err(refused("it is empty".to_owned())),
        length if length > most => {
            Err(refused(format!("it is longer than {} MiB, and was not read", most >> 20)))
        }
        _ => Ok(bytes),
    }
}
