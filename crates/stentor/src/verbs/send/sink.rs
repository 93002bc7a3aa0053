//! Where the answer goes: to standard output as it comes, or into memory.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use stentor_os::failure::Failure;

use super::plan::{Plan, Source};
use crate::complaint::Complaint;
use crate::report::console;

/// Takes the answer, piece by piece.
#[derive(Debug)]
pub(super) enum Sink {
    /// Keeps the first bytes.
    Keep {
        /// What was kept.
        bytes: Vec<u8>,
        /// How much at most.
        most: usize,
        /// Whether nothing was left out.
        whole: bool,
    },
    /// Writes to standard output.
    Print(Printer),
}

/// Bytes on their way to standard output.
#[derive(Debug)]
pub(super) struct Printer {
    file: File,
    pending: Vec<u8>,
    written: usize,
    /// Rows of a dump: what is not yet a full row, and the offset of its first byte.
    dump: Option<(Vec<u8>, u64)>,
    /// The answer to a message ends with a newline on standard output, whatever the server sent.
    newline: bool,
    last: Option<u8>,
}

impl Sink {
    /// A sink that keeps at most `most` bytes.
    pub(super) fn keep(most: usize) -> Sink {
        Sink::Keep { bytes: Vec::new(), most, whole: true }
    }

    /// A sink to standard output, in the form the plan asks for.
    pub(super) fn print(plan: &Plan) -> Result<Sink, Complaint> {
        let file =
            console::unbuffered().map_err(|error| Failure::new("dup", "standard output", error))?;
        let newline = !plan.hex && matches!(plan.source, Source::Message(_));
        let dump = plan.hex.then(Default::default);
        let pending = Vec::new();
        Ok(Sink::Print(Printer { file, pending, written: 0, dump, newline, last: None }))
    }

    /// Takes bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        match self {
            Sink::Keep { bytes: kept, most, whole } => {
                let room = most.saturating_sub(kept.len()).min(bytes.len());
                *whole &= room == bytes.len();
                kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
            }
            Sink::Print(printer) => printer.take(bytes),
        }
    }

    /// The descriptor to wait for while bytes are pending.
    pub(super) fn pending(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Sink::Print(p) if p.written < p.pending.len() => Some(p.file.as_fd()),
            Sink::Print(_) | Sink::Keep { .. } => None,
        }
    }

    /// Writes once; it may block if the reader of a pipe has little room, until a signal comes.
    pub(super) fn flush_once(&mut self) -> io::Result<()> {
        let Sink::Print(printer) = self else { return Ok(()) };
        let rest = printer.pending.get(printer.written..).unwrap_or_default();
        match printer.file.write(rest) {
            Ok(count) => printer.written += count,
            Err(error) if again(&error) => {}
            Err(error) => return Err(error),
        }
        if printer.written == printer.pending.len() {
            printer.pending.clear();
            printer.written = 0;
        }
        Ok(())
    }

    /// Takes the end of the answer: the last row of a dump, the newline after a message's answer.
    pub(super) fn end(&mut self) {
        let Sink::Print(printer) = self else { return };
        if let Some((row, offset)) = printer.dump.as_mut().filter(|(row, _)| !row.is_empty()) {
            dump_row(&mut printer.pending, *offset, row);
            row.clear();
        }
        if printer.newline && printer.last.is_some_and(|byte| byte != b'\n') {
            printer.pending.push(b'\n');
            printer.last = Some(b'\n');
        }
    }

    /// Gives what was kept, and whether that is all.
    pub(super) fn kept(&mut self) -> (Vec<u8>, bool) {
        match self {
            Sink::Keep { bytes, whole, .. } => (std::mem::take(bytes), *whole),
            Sink::Print(_) => (Vec::new(), false),
        }
    }
}

impl Printer {
    fn take(&mut self, bytes: &[u8]) {
        self.last = bytes.last().copied().or(self.last);
        let Some((row, offset)) = &mut self.dump else {
            self.pending.extend_from_slice(bytes);
            return;
        };
        for &byte in bytes {
            row.push(byte);
            if row.len() == 16 {
                dump_row(&mut self.pending, *offset, row);
                *offset += 16;
                row.clear();
            }
        }
    }
}

/// `00000000  48 45 4c 4c 4f  |HELLO|`, as hexdump -C writes it.
fn dump_row(out: &mut Vec<u8>, offset: u64, row: &[u8]) {
    let mut hex = String::new();
    for (place, byte) in row.iter().enumerate() {
        let _ = write!(hex, "{}{byte:02x} ", if place == 8 { " " } else { "" });
    }
    let shown = |&byte: &u8| if (b' '..=b'~').contains(&byte) { char::from(byte) } else { '.' };
    let text: String = row.iter().map(shown).collect();
    out.extend_from_slice(format!("{offset:08x}  {hex:<49} |{text}|\n").as_bytes());
}

/// Errors after which the same write may succeed later.
fn again(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.kind() == io::ErrorKind::Interrupted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_has_sixteen_bytes_in_a_row() {
        let mut out = Vec::new();
        dump_row(&mut out, 0, b"0123456789abcdef");
        dump_row(&mut out, 16, b"\x00\xffA");
        let expected = "\
00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|
00000010  00 ff 41                                          |..A|
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut sink = Sink::keep(4);
        sink.take(b"abc");
        sink.take(b"def");
        sink.end();
        assert!(sink.pending().is_none());
        assert_eq!(sink.kept(), (b"abcd".to_vec(), false));
    }
}
