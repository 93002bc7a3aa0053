//! The decision log: a line for each thing that was decided about a datagram.
//!
//! It is written by the proxies' thread, through a buffer; what the disk refused is told in the end.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};

use stentor_core::link::{Decision, Direction};
use stentor_os::failure::Failure;

use crate::complaint::Complaint;
use crate::drive::impair::Log;
use crate::verbs::outputs;

/// What came of the writing, known when the proxies have ended.
#[derive(Debug)]
pub(super) struct Written {
    path: PathBuf,
    outcome: Option<Receiver<io::Result<()>>>,
}

/// The log as the proxies take it, with its file opened; `None` if none is wanted.
pub(super) fn open(path: Option<&Path>) -> Result<(Option<Log>, Written), Complaint> {
    let Some(path) = path else {
        return Ok((None, Written { path: PathBuf::new(), outcome: None }));
    };
    let named = |error| Failure::new("write", path.display(), error);
    let file = outputs::opened(path)?;
    outputs::emptied(&file).map_err(named)?;
    let file = BufWriter::new(file);
    let (told, outcome) = mpsc::channel();
    let mut sheet = Sheet { file, failed: None, told };
    let log: Log = Box::new(move |proxy, direction, decision| {
        sheet.write(proxy, direction, decision);
    });
    Ok((Some(log), Written { path: path.to_owned(), outcome: Some(outcome) }))
}

struct Sheet {
    file: BufWriter<File>,
    failed: Option<io::Error>,
    told: mpsc::Sender<io::Result<()>>,
}

impl Sheet {
    fn write(&mut self, proxy: &str, direction: Direction, decision: &Decision) {
        if self.failed.is_none() {
            let line = writeln!(self.file, "{proxy} {} {decision}", direction.name());
            self.failed = line.err();
        }
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        let ended = match self.failed.take() {
            Some(error) => Err(error),
            None => self.file.flush(),
        };
        // Nobody waits for it after a failure of its own.
        let _ = self.told.send(ended);
    }
}

impl Written {
    /// Whether every line is in the file; asked when the proxies have ended.
    pub(super) fn check(self) -> Result<(), Complaint> {
        let Some(outcome) = self.outcome else { return Ok(()) };
        let lost = || io::Error::other("the thread that wrote it panicked");
        let ended = outcome.recv().unwrap_or_else(|_| Err(lost()));
        let named = |error| Failure::new("write", self.path.display().to_string(), error);
        Ok(ended.map_err(named)?)
    }
}
