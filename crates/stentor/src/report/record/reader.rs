//! Reads a record back, whoever wrote it and however it ended.
//!
//! What a later version added is skipped and counted; a last line that was cut short is left out,
//! with a warning; anything else that is wrong is refused, with its line and column. What the lines
//! say is in `line`.

use std::fmt;
use std::io::{self, BufRead, Read};

use serde::Deserialize;
use stentor_core::moment::Moment;
use stentor_core::timeline::record::{Entry, Life, Loss, Place, Record, VERSION};
use stentor_os::failure::describe;

use super::line::{HeaderLine, Line, Meaning, Refusal};
use super::{LINE_MAX, SCHEMA, THINGS_MAX, foreign};
use crate::complaint::{Complaint, Exit};

/// What was left out in reading; the record counts it as a loss at its end, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    /// The last line, if it was cut short: the run that wrote it died, or its disk was full.
    pub torn_line: Option<u64>,
    /// Entries of kinds, or with words, that this version does not know.
    pub unknown_entries: u64,
    /// The first of them: line, and what was not known.
    pub first_unknown: Option<(u64, String)>,
    /// Keys that this version does not know, in entries that it does.
    pub unknown_keys: u64,
}

impl Warnings {
    /// Each warning as a sentence, without the name of the file.
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if let Some(line) = self.torn_line {
            sentences.push(format!(
                "line {line}, the last, is cut short and left out: the run that wrote it did not \
                 end in order"
            ));
        }
        if let Some((line, what)) = &self.first_unknown {
            sentences.push(format!(
                "{} skipped that this version does not know, the first in line {line}: {what}",
                counted(self.unknown_entries, "entry", "entries")
            ));
        }
        if self.unknown_keys > 0 {
            sentences.push(format!(
                "{} skipped that this version does not know",
                counted(self.unknown_keys, "key", "keys")
            ));
        }
        sentences
    }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Why a file was refused.
#[derive(Debug)]
pub enum Trouble {
    /// It could not be read on.
    Unreadable {
        /// The line that was being read, from 1.
        line: u64,
        /// What the system said.
        error: io::Error,
    },
    /// It is no record.
    Foreign {
        /// What it seems to be: `a pcap file`.
        seems: String,
    },
    /// It is a record of another version of the form.
    Version {
        /// As its first line has it: `stentor.trace/2`.
        schema: String,
    },
    /// A line that is not what it should be.
    Malformed {
        /// Which line, from 1.
        line: u64,
        /// Which byte of it, from 1; none if the line as a whole is wrong.
        column: Option<usize>,
        /// What is wrong.
        what: String,
    },
    /// A line beyond [`LINE_MAX`].
    LongLine {
        /// Which line, from 1.
        line: u64,
    },
    /// More than [`THINGS_MAX`] entries, counting what is listed in them.
    TooMany {
        /// Where the limit was passed, from 1.
        line: u64,
        /// The limit.
        most: u64,
    },
}

impl std::error::Error for Trouble {}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Unreadable { line, error } => {
                write!(f, "line {line}: {}", describe(error))
            }
            Trouble::Foreign { seems } => write!(
                f,
                "this is no record of a trace: it seems to be {seems}; expected is JSON Lines that \
                 begin with {{\"schema\":\"{SCHEMA}/{VERSION}\""
            ),
            Trouble::Version { schema } => {
                write!(
                    f,
                    "the record is of the form {schema}, and this version reads {SCHEMA}/{VERSION}"
                )
            }
            Trouble::Malformed { line, column: Some(column), what } => {
                write!(f, "line {line}, column {column}: {what}")
            }
            Trouble::Malformed { line, column: None, what } => write!(f, "line {line}: {what}"),
            Trouble::LongLine { line } => {
                write!(f, "line {line} is longer than {} MiB", LINE_MAX >> 20)
            }
            Trouble::TooMany { line, most } => {
                write!(f, "line {line}: more than {most} entries")
            }
        }
    }
}

impl Trouble {
    /// The complaint about `file`, with its next step.
    pub fn complaint(&self, file: &str) -> Complaint {
        let next = match self {
            Trouble::Foreign { .. } => {
                format!("stentor trace -o {file} -- COMMAND makes one.")
            }
            Trouble::Version { .. } => {
                "Use the version of stentor that wrote it, or a later one.".to_owned()
            }
            Trouble::TooMany { line, .. } => {
                format!("Show its beginning: head -n {} {file}.", line.saturating_sub(1))
            }
            Trouble::Unreadable { .. } | Trouble::Malformed { .. } | Trouble::LongLine { .. } => {
                String::new()
            }
        };
        Complaint::new(Exit::Environment, format!("{file}: {self}"), next)
    }
}

/// Reads a record; its lists come in the order of their moments.
pub fn read(input: impl BufRead) -> Result<(Record, Warnings), Trouble> {
    read_at_most(THINGS_MAX, input)
}

pub(super) fn read_at_most(most: u64, input: impl BufRead) -> Result<(Record, Warnings), Trouble> {
    let mut lines = Lines { input, text: Vec::new(), number: 0 };
    let mut warnings = Warnings::default();
    let mut record = header(&mut lines, &mut warnings)?;
    let mut things = 0;
    while let Some(whole) = lines.next()? {
        if lines.text.trim_ascii().is_empty() {
            continue;
        }
        let number = lines.number;
        match entry(&lines.text) {
            Ok(Meaning::Entry(entry, keys)) => {
                warnings.unknown_keys += keys;
                things += weight(&entry);
                if things > most {
                    return Err(Trouble::TooMany { line: number, most });
                }
                record.push(*entry);
            }
            Ok(Meaning::Skipped(what)) => {
                warnings.unknown_entries += 1;
                warnings.first_unknown.get_or_insert((number, what));
            }
            Ok(Meaning::Wrong(_)) | Err(_) if !whole => warnings.torn_line = Some(number),
            Ok(Meaning::Wrong(what)) => {
                return Err(Trouble::Malformed {
                    line: number,
                    column: None,
                    what: what.to_owned(),
                });
            }
            Err(error) => return Err(malformed(number, &error)),
        }
    }
    record.sort();
    let left_out = warnings.unknown_entries + u64::from(warnings.torn_line.is_some());
    if left_out > 0 {
        let loss = Loss { at: last(&record), place: Place::Record, count: left_out };
        record.losses.push(loss);
    }
    Ok((record, warnings))
}

fn entry(text: &[u8]) -> Result<Meaning, serde_json::Error> {
    // Without its end, so that a column counts in this line.
    serde_json::from_slice::<Line<'_>>(text.trim_ascii_end()).map(Line::meaning)
}

/// The lines of a file.
struct Lines<R> {
    input: R,
    text: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Takes the next line into `text`; whether it has an end. None at the end of the file.
    fn next(&mut self) -> Result<Option<bool>, Trouble> {
        self.text.clear();
        self.number += 1;
        let limit = LINE_MAX as u64 + 1;
        let read = self.input.by_ref().take(limit).read_until(b'\n', &mut self.text);
        match read {
            Err(error) => Err(Trouble::Unreadable { line: self.number, error }),
            Ok(0) => Ok(None),
            Ok(_) if self.text.last() == Some(&b'\n') => Ok(Some(true)),
            Ok(_) if self.text.len() > LINE_MAX => Err(Trouble::LongLine { line: self.number }),
            Ok(_) => Ok(Some(false)),
        }
    }

    /// What the file seems to be, by the line that was read and some of what follows.
    fn seems(&mut self) -> String {
        const ENOUGH: u64 = 4096;
        // What cannot be read does not help to tell.
        let _ = self.input.by_ref().take(ENOUGH).read_to_end(&mut self.text);
        foreign::seems(&self.text)
    }
}

/// Reads the first line.
fn header<R: BufRead>(lines: &mut Lines<R>, warnings: &mut Warnings) -> Result<Record, Trouble> {
    #[derive(Deserialize)]
    struct Form {
        schema: String,
    }
    let whole = match lines.next() {
        Ok(whole) => whole.unwrap_or_default(),
        // The first line of a binary file may be very long.
        Err(Trouble::LongLine { .. }) => true,
        Err(trouble) => return Err(trouble),
    };
    let form = serde_json::from_slice::<Form>(&lines.text).ok();
    let version =
        form.as_ref().and_then(|form| form.schema.strip_prefix(SCHEMA)?.strip_prefix('/'));
    let Some((form, version)) = form.as_ref().zip(version) else {
        let begun = format!("{{\"schema\":\"{SCHEMA}/");
        let seems = if !whole && lines.text.starts_with(begun.as_bytes()) {
            "a record that was cut short in its first line".to_owned()
        } else {
            lines.seems()
        };
        return Err(Trouble::Foreign { seems });
    };
    if version != VERSION.to_string() {
        return Err(Trouble::Version { schema: form.schema.clone() });
    }
    let line: HeaderLine<'_> = serde_json::from_slice(lines.text.trim_ascii_end())
        .map_err(|error| malformed(1, &error))?;
    warnings.unknown_keys += line.extra.0;
    let header = line.into_header().map_err(|refusal| {
        let what = match refusal {
            Refusal::Unknown(what) => format!("{what} is not known"),
            Refusal::Wrong(what) => what.to_owned(),
        };
        Trouble::Malformed { line: 1, column: None, what }
    })?;
    Ok(Record::new(header))
}

/// serde_json's words, whose `at line 1 column 5` counts within the one line it was given.
fn malformed(line: u64, error: &serde_json::Error) -> Trouble {
    let words = error.to_string();
    let what = words.rsplit_once(" at line ").map_or(words.as_str(), |(what, _)| what);
    Trouble::Malformed { line, column: Some(error.column()), what: what.to_owned() }
}

/// How many things an entry is: itself, and what is listed in it.
fn weight(entry: &Entry) -> u64 {
    let listed = match entry {
        Entry::Process(process) => match &process.life {
            Life::Started { command } | Life::Execed { command } => command.len(),
            Life::Forked { .. }
            | Life::Thread
            | Life::ThreadExited
            | Life::Exited { .. }
            | Life::Killed { .. } => 0,
        },
        Entry::Call(call) => call.messages.len() + call.arguments.descriptors.len() / 8,
        Entry::Snapshot(_) | Entry::Packet(_) | Entry::Loss(_) | Entry::Note(_) => 0,
    };
    1 + listed as u64
}

/// The latest moment of a sorted record.
fn last(record: &Record) -> Moment {
    let lasts = [
        record.processes.last().map(|process| process.at),
        record.calls.last().map(|call| call.entered),
        record.snapshots.last().map(|snapshot| snapshot.at),
        record.packets.last().map(|packet| packet.at),
        record.losses.last().map(|loss| loss.at),
        record.notes.last().map(|note| note.at),
    ];
    lasts.into_iter().flatten().max().unwrap_or_default()
}
