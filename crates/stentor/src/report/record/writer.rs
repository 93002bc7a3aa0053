//! Writes a record: line by line while the program runs, or whole.
//!
//! Whole lines are gathered and handed on in pieces of 64 KiB, or when asked to flush; memory does
//! not grow with the run. What the lines say is in `line`.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;

use serde::Serialize;
use stentor_core::moment::Moment;
use stentor_core::timeline::record::{Entry, Header, Loss, Place, Record};
use stentor_os::failure::{describe, errno_name};

use super::LINE_MAX;
use super::line::{HeaderLine, Line};
use crate::complaint::{Complaint, Exit};

/// How much is gathered before it is handed on, in bytes.
const GATHERED: usize = 64 << 10;

/// Writes entries as they come.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: Option<W>,
    file: String,
    gathered: Vec<u8>,
    /// Lines in `gathered`.
    lines: u64,
    safe: Safe,
    stopped: Option<Stopped>,
}

/// What was handed on whole.
#[derive(Clone, Copy, Debug, Default)]
struct Safe {
    lines: u64,
    bytes: u64,
}

/// Why no more can be written, and what of the file can be relied on.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// The file, as it was named.
    pub file: String,
    /// What the system said.
    pub error: Arc<io::Error>,
    /// Entries that are whole in the file, without the first line.
    pub entries: u64,
    /// Bytes of whole lines; what follows them is not to be relied on.
    pub bytes: u64,
    /// Bytes after them: the beginning of a line whose end is missing.
    pub torn: u64,
}

impl std::error::Error for Stopped {}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = match self.entries {
            1 => "1 entry is".to_owned(),
            entries => format!("{entries} entries are"),
        };
        let (file, error) = (&self.file, describe(&self.error));
        write!(f, "write {file}: {error}; {entries} safe in it ({} bytes)", self.bytes)?;
        match self.torn {
            0 => Ok(()),
            torn => write!(f, ", and {torn} bytes of a line that is cut short"),
        }
    }
}

impl From<Stopped> for Complaint {
    fn from(stopped: Stopped) -> Complaint {
        if stopped.error.kind() == ErrorKind::BrokenPipe {
            return Complaint::reader_gone();
        }
        let next = match errno_name(&stopped.error).as_deref() {
            Some("ENOSPC" | "EDQUOT") => "Make room there, or write to another place.",
            Some("EFBIG") => "Raise the limit on the size of files: ulimit -f.",
            _ => "",
        };
        Complaint::new(Exit::Environment, stopped.to_string(), next)
    }
}

impl<W: Write> Writer<W> {
    /// Begins a record with its first line, and hands that on at once; `file` is its name, for
    /// complaints.
    pub fn new(out: W, file: impl Into<String>, header: &Header) -> Result<Writer<W>, Stopped> {
        let mut writer = Writer {
            out: Some(out),
            file: file.into(),
            gathered: Vec::with_capacity(GATHERED + 4096),
            lines: 0,
            safe: Safe::default(),
            stopped: None,
        };
        writer.gather(&HeaderLine::from(header));
        writer.flush()?;
        Ok(writer)
    }

    /// Adds an entry. One too long for a line is replaced by the loss of one entry.
    ///
    /// Once stopped, it stays so: a record with a hole would be taken for a whole one.
    pub fn write(&mut self, entry: &Entry) -> Result<(), Stopped> {
        self.line(&Line::entry(entry), moment(entry))
    }

    fn line(&mut self, line: &Line<'_>, at: Moment) -> Result<(), Stopped> {
        if !self.gather(line) {
            self.gather(&Line::loss(&Loss { at, place: Place::Record, count: 1 }));
        }
        if self.gathered.len() >= GATHERED || self.stopped.is_some() {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Adds a line to what is gathered; false, and nothing added, if it is too long.
    fn gather<T: Serialize>(&mut self, line: &T) -> bool {
        if self.stopped.is_some() {
            return true;
        }
        let start = self.gathered.len();
        // Plain structs with string keys cannot fail to serialise, nor a vector to take them.
        let written = serde_json::to_writer(&mut self.gathered, line).is_ok();
        if !written || self.gathered.len() - start >= LINE_MAX {
            self.gathered.truncate(start);
            return false;
        }
        self.gathered.push(b'\n');
        self.lines += 1;
        true
    }

    /// Hands on what is gathered, and flushes what lies below.
    pub fn flush(&mut self) -> Result<(), Stopped> {
        if let Some(stopped) = &self.stopped {
            return Err(stopped.clone());
        }
        let Some(out) = &mut self.out else { return Ok(()) };
        let mut handed = 0;
        let ended = loop {
            match self.gathered.get(handed..).filter(|rest| !rest.is_empty()) {
                None => break out.flush(),
                Some(rest) => match out.write(rest) {
                    Ok(0) => break Err(ErrorKind::WriteZero.into()),
                    Ok(bytes) => handed += bytes,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => break Err(error),
                },
            }
        };
        match ended {
            Ok(()) => {
                self.safe.lines += self.lines;
                self.safe.bytes += self.gathered.len() as u64;
                self.gathered.clear();
                self.lines = 0;
                Ok(())
            }
            Err(error) => Err(self.stop(error, handed)),
        }
    }

    fn stop(&mut self, error: io::Error, handed: usize) -> Stopped {
        let handed = self.gathered.get(..handed).unwrap_or_default();
        let whole = handed.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let lines = handed.iter().filter(|byte| **byte == b'\n').count();
        let stopped = Stopped {
            file: self.file.clone(),
            error: Arc::new(error),
            entries: (self.safe.lines + lines as u64).saturating_sub(1),
            bytes: self.safe.bytes + whole as u64,
            torn: (handed.len() - whole) as u64,
        };
        self.gathered.clear();
        self.stopped.insert(stopped).clone()
    }

    /// Hands on the rest and gives the destination back.
    pub fn finish(mut self) -> Result<W, Stopped> {
        self.flush()?;
        // Only here is it taken, and `self` with it.
        self.out.take().ok_or_else(|| self.stop(ErrorKind::NotConnected.into(), 0))
    }
}

/// What was gathered is not lost because a caller returned early; it is too late to complain.
impl<W: Write> Drop for Writer<W> {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// The moment an entry stands at in its list.
fn moment(entry: &Entry) -> Moment {
    match entry {
        Entry::Process(process) => process.at,
        Entry::Call(call) => call.entered,
        Entry::Snapshot(snapshot) => snapshot.at,
        Entry::Packet(packet) => packet.at,
        Entry::Loss(loss) => loss.at,
        Entry::Note(note) => note.at,
    }
}

/// Writes a whole record, its entries by their moments; see [`Writer`].
pub fn write<W: Write>(record: &Record, out: W, file: impl Into<String>) -> Result<W, Stopped> {
    let mut writer = Writer::new(out, file, &record.header)?;
    let Record { header: _, processes, calls, snapshots, packets, losses, notes } = record;
    let mut processes = processes.iter().peekable();
    let mut calls = calls.iter().peekable();
    let mut snapshots = snapshots.iter().peekable();
    let mut packets = packets.iter().peekable();
    let mut losses = losses.iter().peekable();
    let mut notes = notes.iter().peekable();
    loop {
        // Of equal moments the process comes first, so that it is known when it calls.
        let heads = [
            processes.peek().map(|process| process.at),
            calls.peek().map(|call| call.entered),
            packets.peek().map(|packet| packet.at),
            snapshots.peek().map(|snapshot| snapshot.at),
            losses.peek().map(|loss| loss.at),
            notes.peek().map(|note| note.at),
        ];
        let first = heads.iter().enumerate().filter_map(|(list, at)| at.map(|at| (at, list))).min();
        let Some((at, list)) = first else { break };
        let line = match list {
            0 => processes.next().map(Line::process),
            1 => calls.next().map(Line::call),
            2 => packets.next().map(Line::packet),
            3 => snapshots.next().map(Line::snapshot),
            4 => losses.next().map(Line::loss),
            _ => notes.next().map(Line::note),
        };
        if let Some(line) = line {
            writer.line(&line, at)?;
        }
    }
    writer.finish()
}
