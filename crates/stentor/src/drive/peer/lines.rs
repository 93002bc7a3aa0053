//! The person's lines: cut from standard input as it comes, or handed over by a prompt.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, TryRecvError};

use stentor_core::peer::LINE_MAX;

/// Read at once.
const ROOM: usize = 16 * 1024;

/// What a person did at a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// A line.
    Line(String),
    /// The end of the input (^D): to leave.
    End,
    /// ^C.
    Interrupt,
    /// The terminal failed.
    Failed(String),
}

/// Where the person's lines come from.
#[derive(Debug)]
pub enum Source {
    /// A pipe or a file, read to its end.
    Pipe(File),
    /// A prompt in a thread of its own, which writes a byte to the bell for each thing typed.
    Prompt(Receiver<Typed>, UnixStream),
    /// Lines known beforehand.
    Known(VecDeque<Vec<u8>>),
}

/// What comes next from the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A line without its newline.
    Line(Vec<u8>),
    /// A line that is too long to be sent, with its length as far as it was read.
    TooLong,
    /// There will be no more.
    End,
    /// The person leaves.
    Leave,
    /// ^C.
    Interrupt,
    /// The prompt failed.
    Failed(String),
    /// Nothing at the moment.
    Nothing,
}

/// Takes one line after the other, and never more than it was asked for.
#[derive(Debug)]
pub(super) struct Lines {
    source: Source,
    kept: Vec<u8>,
    /// Of a line that is too long the rest is passed over.
    skipping: bool,
    over: bool,
    ended: bool,
}

impl Lines {
    pub(super) fn new(source: Source) -> Lines {
        Lines { source, kept: Vec::new(), skipping: false, over: false, ended: false }
    }

    /// The descriptor to wait for, unless all is over; a prompt's always, for its ^C.
    pub(super) fn watch(&self, wanted: bool) -> Option<BorrowedFd<'_>> {
        match &self.source {
            Source::Pipe(file) => (wanted && !self.over).then(|| file.as_fd()),
            Source::Prompt(_, bell) => (!self.over).then(|| bell.as_fd()),
            Source::Known(_) => None,
        }
    }

    /// Reads once; to be called when the descriptor is readable.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        match &mut self.source {
            Source::Pipe(file) => {
                let start = self.kept.len();
                self.kept.resize(start + ROOM, 0);
                let read = file.read(self.kept.get_mut(start..).unwrap_or_default());
                self.kept.truncate(start + read.as_ref().map_or(0, |count| *count));
                match read {
                    Ok(count) => self.over = count == 0,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            Source::Prompt(_, bell) => {
                // One byte for each thing typed: the count does not matter, only that it rang.
                let _ = bell.read(&mut [0; 64]);
            }
            Source::Known(_) => {}
        }
        Ok(())
    }

    /// Whether a line may be cut without reading on.
    pub(super) fn has_more(&self) -> bool {
        match &self.source {
            Source::Pipe(_) => {
                !self.ended
                    && (self.over || self.kept.len() > LINE_MAX || self.kept.contains(&b'\n'))
            }
            Source::Known(_) => !self.ended,
            Source::Prompt(..) => false,
        }
    }

    /// What a prompt's person did besides saying lines, without taking a line while there is no
    /// room for it.
    pub(super) fn next(&mut self) -> Next {
        if self.ended {
            return Next::Nothing;
        }
        let next = match &mut self.source {
            Source::Pipe(_) => self.cut(),
            Source::Known(lines) => lines.pop_front().map_or(Next::End, Next::Line),
            Source::Prompt(typed, _) => match typed.try_recv() {
                Ok(Typed::Line(line)) if line.len() > LINE_MAX => Next::TooLong,
                Ok(Typed::Line(line)) => Next::Line(line.replace('\n', " ").into_bytes()),
                Ok(Typed::End) => Next::Leave,
                Ok(Typed::Interrupt) => Next::Interrupt,
                Ok(Typed::Failed(what)) => Next::Failed(what),
                Err(TryRecvError::Empty) => Next::Nothing,
                Err(TryRecvError::Disconnected) => Next::Leave,
            },
        };
        let last = matches!(next, Next::End | Next::Leave | Next::Interrupt | Next::Failed(_));
        self.ended = last;
        self.over |= last;
        next
    }

    fn cut(&mut self) -> Next {
        loop {
            match self.kept.iter().position(|byte| *byte == b'\n') {
                Some(at) => {
                    let mut line: Vec<u8> = self.kept.drain(..=at).collect();
                    line.pop();
                    match (std::mem::take(&mut self.skipping), line.len() > LINE_MAX) {
                        (true, _) => {}
                        (false, true) => return Next::TooLong,
                        (false, false) => return Next::Line(line),
                    }
                }
                None if self.skipping && !self.over => {
                    self.kept.clear();
                    return Next::Nothing;
                }
                None if self.kept.len() > LINE_MAX && !self.skipping => {
                    self.kept.clear();
                    self.skipping = true;
                    return Next::TooLong;
                }
                None if self.over && !self.kept.is_empty() && !self.skipping => {
                    return Next::Line(std::mem::take(&mut self.kept));
                }
                None if self.over => return Next::End,
                None => return Next::Nothing,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_long_ones_passed_over() {
        let path = std::env::temp_dir().join(format!("stentor-lines-{}", std::process::id()));
        let long = "x".repeat(3 * LINE_MAX);
        std::fs::write(&path, format!("one\n\n{long}\ntwo\n{}\nend", "y".repeat(LINE_MAX)))
            .unwrap();
        let mut lines = Lines::new(Source::Pipe(File::open(&path).unwrap()));
        std::fs::remove_file(&path).unwrap();
        let mut seen = Vec::new();
        loop {
            match lines.next() {
                Next::Nothing => lines.fill().unwrap(),
                Next::End => break,
                Next::Line(line) => seen.push(line.len()),
                Next::TooLong => seen.push(usize::MAX),
                Next::Leave | Next::Interrupt | Next::Failed(_) => panic!("nobody typed"),
            }
        }
        assert_eq!(seen, [3, 0, usize::MAX, 3, LINE_MAX, 3]);
        assert_eq!(lines.next(), Next::Nothing);
    }
}
