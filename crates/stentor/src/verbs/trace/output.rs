//! The files of a trace: opened before the run, the record written while it runs.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use stentor_core::timeline::ladder::{Filter, Ladder};
use stentor_core::timeline::matcher::Explained;
use stentor_core::timeline::record::{Entry, Header, Record};
use stentor_os::failure::Failure;

use crate::complaint::Complaint;
use crate::drive::trace::Keeper;
use crate::report::{console, ladder, mermaid, page, pcapng, record, svg};
use crate::verbs::outputs::{self, Files};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Record,
    Pcapng,
    Svg,
    Page,
    Mermaid,
    Text,
    Lua,
}

impl outputs::Form for Form {
    const KNOWN: &'static [(&'static str, Form)] = &[
        ("jsonl", Form::Record),
        ("pcapng", Form::Pcapng),
        ("svg", Form::Svg),
        ("html", Form::Page),
        ("mmd", Form::Mermaid),
        ("txt", Form::Text),
        ("lua", Form::Lua),
    ];
    const JSON: Option<Form> = None;
}

/// The files of one run.
pub(super) struct Outputs {
    files: Files<Form>,
    /// The records under way.
    writers: Vec<record::Writer<File>>,
}

/// Columns of a ladder in a file.
const FILE_WIDTH: usize = 120;

impl Outputs {
    /// Opens every file now: a run whose result cannot be kept is not begun.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Outputs, Complaint> {
        Ok(Outputs { files: Files::open(paths)?, writers: Vec::new() })
    }

    /// Writes a stored record again, whole.
    pub(super) fn copy(&mut self, stored: &Record) -> Result<(), Complaint> {
        for (name, file) in self.files.take(Form::Record)? {
            record::write(stored, file, name)?;
        }
        Ok(())
    }

    /// Hands on what the records still hold.
    pub(super) fn finish_record(&mut self) -> Result<(), Complaint> {
        let ended = self.writers.drain(..).map(|writer| Ok(writer.finish().map(drop)?));
        // Each of them is ended, whatever became of the others.
        ended.collect::<Vec<_>>().into_iter().collect()
    }

    /// Explains the record, writes the files, and gives back the terminal's ladder, whatever became
    /// of them.
    pub(super) fn draw(
        mut self,
        record: &Record,
        filter: &Filter,
    ) -> (String, Result<(), Complaint>) {
        let explained = Explained::of(record);
        let ladder = Ladder::of(record, &explained, filter);
        let whole = Filter { rows_max: None, ..filter.clone() };
        let drawn = (!self.files.is_empty()).then(|| Ladder::of(record, &explained, &whole));
        let drawn = drawn.as_ref().unwrap_or(&ladder);
        let written = self.files.write(|form, file| {
            let text = match form {
                Form::Svg => svg::drawing(drawn, svg::ROWS_MAX),
                Form::Page => page::html(drawn, page::ROWS_MAX),
                Form::Mermaid => mermaid::diagram(drawn, mermaid::TEXT_MAX),
                Form::Text => ladder::trace::terminal(drawn, FILE_WIDTH, false),
                Form::Lua => pcapng::dissector().to_owned(),
                Form::Pcapng => return pcapng::write(record, &explained.edges, file).map(drop),
                // Taken when the run began, or copied.
                Form::Record => return Ok(()),
            };
            file.write_all(text.as_bytes())
        });
        let width = console::width().unwrap_or(100);
        (ladder::trace::terminal(&ladder, width, console::colour()), written)
    }
}

impl Keeper for Outputs {
    fn begin(&mut self, header: &Header) -> Result<(), Complaint> {
        for (name, file) in self.files.take(Form::Record)? {
            self.writers.push(record::Writer::new(file, name, header)?);
        }
        Ok(())
    }

    fn keep(&mut self, entry: &Entry) -> Result<(), Complaint> {
        for writer in &mut self.writers {
            writer.write(entry)?;
        }
        Ok(())
    }
}

/// Reads a stored record; what had to be passed over is said.
pub(super) fn read(path: &Path) -> Result<Record, Complaint> {
    let file = File::open(path).map_err(|error| Failure::new("open", path.display(), error))?;
    let name = path.display().to_string();
    let (mut read, warnings) =
        record::read(BufReader::new(file)).map_err(|trouble| trouble.complaint(&name))?;
    for sentence in warnings.sentences() {
        console::notice(format!("stentor: {name}: {sentence}"));
    }
    read.sort();
    Ok(read)
}
