//! The files that a link's words name: recorded links, read before anything is opened.

use std::fs::File;
use std::io::Read;

use stentor_core::link::{Direction, Spec, Trace};

use crate::complaint::{Complaint, Exit};

/// The longest file that is read, in bytes: a Mahimahi trace of an hour at 100 Mbit/s has 200 MB,
/// but its period is what matters, and that is minutes.
const FILE_MAX: u64 = 64 << 20;

/// The recorded links of both directions, where the words name any.
///
/// # Errors
/// A file that cannot be read (exit 3), is too long, or is not a trace (exit 2).
pub fn traces(spec: &Spec) -> Result<[Option<Trace>; 2], Complaint> {
    let mut found = [None, None];
    for (direction, path) in spec.traces() {
        let trace = read(path)?;
        let [up, down] = &mut found;
        match direction {
            Direction::Up => *up = Some(trace),
            Direction::Down => *down = Some(trace),
        }
    }
    Ok(found)
}

fn read(path: &str) -> Result<Trace, Complaint> {
    let failed = |error: std::io::Error| {
        let what = format!("open {path}: {}", stentor_os::failure::describe(&error));
        Complaint::new(Exit::Environment, what, "trace=FILE names the file of a recorded link.")
    };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    let read = file.take(FILE_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if read as u64 > FILE_MAX {
        let what = format!("{path} is longer than {} MiB", FILE_MAX >> 20);
        return Err(Complaint::usage(what, "Cut the trace: it begins again after its end."));
    }
    text.parse().map_err(|error| {
        let next = "A trace is Mahimahi's (a number of milliseconds in each line) or a table of \
                    seconds and Mbit/s.";
        Complaint::usage(format!("{path}: {error}"), next)
    })
}
