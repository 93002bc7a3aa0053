//! The other's lines on their way to standard output when that is no terminal: a reader who does
//! not read holds up the other, and never this peer's pings.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// More than this waiting, and nothing more is read from the other.
const PENDING_MAX: usize = 64 * 1024;
/// A pipe that poll(2) calls writable takes so much without blocking (PIPE_BUF, pipe(7)).
const PIECE: usize = 4096;

/// Bytes that wait for their reader.
#[derive(Debug)]
pub struct Outlet {
    file: File,
    pending: Vec<u8>,
    written: usize,
}

impl Outlet {
    /// An outlet to a file of its own ([`crate::report::console::unbuffered`]).
    pub fn new(file: File) -> Outlet {
        Outlet { file, pending: Vec::new(), written: 0 }
    }

    pub(super) fn take(&mut self, line: &str) {
        self.pending.extend_from_slice(line.as_bytes());
        self.pending.push(b'\n');
    }

    pub(super) fn is_full(&self) -> bool {
        self.pending.len() - self.written > PENDING_MAX
    }

    pub(super) fn watch(&self) -> Option<BorrowedFd<'_>> {
        (self.written < self.pending.len()).then(|| self.file.as_fd())
    }

    /// Writes once; to be called when the descriptor is writable.
    pub(super) fn flush_once(&mut self) -> io::Result<()> {
        let rest = self.pending.get(self.written..).unwrap_or_default();
        match self.file.write(rest.get(..PIECE).unwrap_or(rest)) {
            Ok(count) => self.written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if self.written == self.pending.len() {
            self.pending.clear();
            self.written = 0;
        } else if self.written > PENDING_MAX {
            self.pending.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }
}
