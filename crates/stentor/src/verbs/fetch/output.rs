//! Where the bytes of a reply go: standard output, a file, or nowhere.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use stentor_os::failure::{Failure, errno_name};
use stentor_os::net::poll::{self, Watch};
use stentor_os::signal::Interrupts;

use crate::complaint::{Complaint, Exit};
use crate::report::console;

/// How many pieces may wait for a slow reader; a piece is what one read brought, at most 64 KiB or so.
const PIECES_WAITING_MAX: usize = 4;

/// Where to, and what has gone there.
#[derive(Debug)]
pub(super) struct Output {
    place: Place,
    written_bytes: u64,
    line_open: bool,
}

#[derive(Debug)]
enum Place {
    Standard(Standard),
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
            Some(_) | None => Place::Standard(
                Standard::start().map_err(|e| Failure::new("start", "standard output", e))?,
            ),
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
            Place::Standard(standard) => standard.write(bytes, interrupts)?,
            Place::File(path, file) => file
                .write_all(bytes)
                .map_err(|error| Failure::new("write", path.display(), error))?,
        }
        self.written_bytes += u64::try_from(bytes.len()).unwrap_or_default();
        self.line_open = bytes.last().map_or(self.line_open, |last| *last != b'\n');
        Ok(())
    }

    /// Waits until all is written; the complaints are those of [`Output::write`].
    pub(super) fn finish(&mut self, interrupts: Option<&Interrupts>) -> Result<(), Complaint> {
        match &mut self.place {
            Place::Standard(standard) => standard.settle(0, interrupts),
            Place::File(..) | Place::Nowhere => Ok(()),
        }
    }

    /// Says what a file holds when the fetch did not end well.
    pub(super) fn kept(&self) -> Option<String> {
        match (&self.place, self.written_bytes) {
            (Place::File(path, _), 0) => Some(format!("{} is empty", path.display())),
            (Place::File(path, _), bytes) => {
                Some(format!("{} keeps the {bytes} bytes that came", path.display()))
            }
            (Place::Standard(_) | Place::Nowhere, _) => None,
        }
    }

    /// Whether the cursor of a terminal stands behind bytes that ended no line.
    pub(super) fn cursor_astray(&self) -> bool {
        matches!(self.place, Place::Standard(_)) && self.line_open && io::stdout().is_terminal()
    }
}

/// Standard output, written by a thread of its own: a reader who has stopped holds up that thread
/// and not the one that minds ^C. (To ask poll(2) before each write would need writes of at most
/// PIPE_BUF bytes, which is a third as fast.)
#[derive(Debug)]
struct Standard {
    queue: Sender<Vec<u8>>,
    /// One byte comes for each piece that was written; the end comes with the first error.
    bell: UnixStream,
    error: Arc<Mutex<Option<io::Error>>>,
    waiting: usize,
}

impl Standard {
    fn start() -> io::Result<Standard> {
        let (bell, mut ringer) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let (queue, pieces) = mpsc::channel::<Vec<u8>>();
        let error = Arc::new(Mutex::new(None));
        let told = Arc::clone(&error);
        let write = move || {
            for piece in pieces {
                if let Err(error) = console::data(piece) {
                    *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    return;
                }
                // Whoever waited may have given up: then nobody counts.
                let _ = ringer.write_all(&[0]);
            }
        };
        thread::Builder::new().name("output".into()).spawn(write)?;
        Ok(Standard { queue, bell, error, waiting: 0 })
    }

    fn write(&mut self, bytes: &[u8], interrupts: Option<&Interrupts>) -> Result<(), Complaint> {
        self.settle(PIECES_WAITING_MAX - 1, interrupts)?;
        if self.queue.send(bytes.to_vec()).is_err() {
            return Err(self.broken());
        }
        self.waiting += 1;
        Ok(())
    }

    /// Waits until at most `left` pieces are still to be written.
    fn settle(&mut self, left: usize, interrupts: Option<&Interrupts>) -> Result<(), Complaint> {
        loop {
            let mut rung = [0; PIECES_WAITING_MAX];
            match self.bell.read(&mut rung) {
                Ok(0) if self.waiting > 0 => return Err(self.broken()),
                Ok(count) => self.waiting = self.waiting.saturating_sub(count),
                // Nothing yet, or a signal: the poll below tells.
                Err(_) => {}
            }
            if self.waiting <= left {
                return Ok(());
            }
            let mut watches = vec![Watch::new(self.bell.as_fd(), true, false)];
            watches.extend(interrupts.map(|held| Watch::new(held.as_fd(), true, false)));
            poll::wait(&mut watches, None)
                .map_err(|error| Failure::new("poll", "standard output", error))?;
            if watches.get(1).is_some_and(|signal| signal.readable) {
                return Err(Complaint::new(Exit::Interrupted, "interrupted while writing", ""));
            }
        }
    }

    fn broken(&self) -> Complaint {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner).take();
        error.unwrap_or_else(|| io::ErrorKind::BrokenPipe.into()).into()
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
