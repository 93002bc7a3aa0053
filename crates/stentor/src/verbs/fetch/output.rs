//! Where the bytes of a reply go: standard output, a file, or nowhere.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use stentor_os::failure::{Failure, errno_name};
use stentor_os::net::poll::{self, Watch};
use stentor_os::signal::Interrupts;

use crate::complaint::{Complaint, Exit};
use crate::report::console;

/// A pipe that is ready for writing takes this much without blocking (PIPE_BUF, pipe(7)).
const SURE_BYTES: usize = 4096;

/// Where to, and what has gone there.
#[derive(Debug)]
pub(super) struct Output {
    place: Place,
    written_bytes: u64,
    line_open: bool,
}

#[derive(Debug)]
enum Place {
    Standard,
    File(PathBuf, File),
    Nowhere,
}

impl Output {
    /// Opens the output before anything is asked of the network.
    ///
    /// Without a `path` the bytes go to standard output, unless that is `taken`. Complaints: the
    /// file cannot be made (exit 3), or standard output is wanted twice (exit 2).
    pub(super) fn open(path: Option<&Path>, taken: bool) -> Result<Output, Complaint> {
        let place = match path {
            None if taken => Place::Nowhere,
            Some(path) if path == Path::new("-") && taken => {
                return Err(Complaint::usage(
                    "-o - and --json both want standard output",
                    "Name a file: -o FILE.",
                ));
            }
            Some(path) if path != Path::new("-") => {
                Place::File(path.to_owned(), File::create(path).map_err(|e| unopened(path, e))?)
            }
            Some(_) | None => Place::Standard,
        };
        Ok(Output { place, written_bytes: 0, line_open: false })
    }

    /// Writes bytes. Complaints: the reader has gone (quiet), a full disk (exit 3), a signal (130).
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        interrupts: Option<&Interrupts>,
    ) -> Result<(), Complaint> {
        match &mut self.place {
            Place::Nowhere => {}
            Place::Standard => {
                for piece in bytes.chunks(SURE_BYTES) {
                    ready(interrupts)?;
                    console::data(piece)?;
                }
            }
            Place::File(path, file) => file
                .write_all(bytes)
                .map_err(|error| Failure::new("write", path.display(), error))?,
        }
        self.written_bytes += u64::try_from(bytes.len()).unwrap_or_default();
        self.line_open = bytes.last().map_or(self.line_open, |last| *last != b'\n');
        Ok(())
    }

    /// Says what a file holds when the fetch did not end well.
    pub(super) fn kept(&self) -> Option<String> {
        match (&self.place, self.written_bytes) {
            (Place::File(path, _), 0) => Some(format!("{} is empty", path.display())),
            (Place::File(path, _), bytes) => {
                Some(format!("{} keeps the {bytes} bytes that came", path.display()))
            }
            (Place::Standard | Place::Nowhere, _) => None,
        }
    }

    /// Whether the cursor of a terminal stands behind bytes that ended no line.
    pub(super) fn cursor_astray(&self) -> bool {
        matches!(self.place, Place::Standard) && self.line_open && io::stdout().is_terminal()
    }
}

/// Waits until standard output takes bytes, so that a reader who has stopped cannot hold off ^C.
fn ready(interrupts: Option<&Interrupts>) -> Result<(), Complaint> {
    let Some(interrupts) = interrupts else { return Ok(()) };
    let stdout = io::stdout();
    loop {
        let mut watches =
            [Watch::new(interrupts.as_fd(), true, false), Watch::new(stdout.as_fd(), false, true)];
        poll::wait(&mut watches, None)
            .map_err(|error| Failure::new("poll", "standard output", error))?;
        let [signal, output] = watches;
        if signal.readable {
            return Err(Complaint::new(Exit::Interrupted, "interrupted while writing", ""));
        }
        if output.writable {
            return Ok(());
        }
    }
}

fn unopened(path: &Path, error: io::Error) -> Complaint {
    let next = match errno_name(&error).as_deref() {
        Some("ENOENT") => "Its directory does not exist: mkdir -p makes it.",
        Some("EISDIR") => "That is a directory: name a file in it.",
        Some(_) | None => "",
    };
    let failure = Failure::new("open", path.display(), error);
    Complaint::new(Exit::Environment, failure.to_string(), next)
}
