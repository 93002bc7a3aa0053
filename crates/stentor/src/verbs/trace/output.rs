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

const FORMS: [(&str, Form); 7] = [
    ("jsonl", Form::Record),
    ("pcapng", Form::Pcapng),
    ("svg", Form::Svg),
    ("html", Form::Page),
    ("mmd", Form::Mermaid),
    ("txt", Form::Text),
    ("lua", Form::Lua),
];

/// The files of one run.
pub(super) struct Outputs {
    files: Vec<(PathBuf, Form, File)>,
    /// The records under way.
    writers: Vec<record::Writer<File>>,
}

/// Columns of a ladder in a file.
const FILE_WIDTH: usize = 120;

impl Outputs {
    /// Opens every file now: a run whose result cannot be kept is not begun.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Outputs, Complaint> {
        let mut files = Vec::new();
        for path in paths {
            let extension = path.extension().and_then(|extension| extension.to_str());
            let form = FORMS.iter().find(|(known, _)| Some(*known) == extension);
            let Some((_, form)) = form else {
                let known: Vec<String> =
                    FORMS.iter().map(|(known, _)| format!(".{known}")).collect();
                let what = format!("-o {}: its name does not say its form", path.display());
                return Err(Complaint::usage(what, format!("One of {}.", known.join(", "))));
            };
            let file =
                File::create(path).map_err(|error| Failure::new("open", path.display(), error))?;
            files.push((path.clone(), *form, file));
        }
        Ok(Outputs { files, writers: Vec::new() })
    }

    /// Writes a stored record again, whole.
    pub(super) fn copy(&self, stored: &Record) -> Result<(), Complaint> {
        for (path, form, file) in &self.files {
            if *form == Form::Record {
                let file = file.try_clone();
                let file = file.map_err(|error| Failure::new("dup", path.display(), error))?;
                record::write(stored, file, path.display().to_string())?;
            }
        }
        Ok(())
    }

    /// Hands on what the records still hold.
    pub(super) fn finish_record(&mut self) -> Result<(), Complaint> {
        for writer in self.writers.drain(..) {
            writer.finish()?;
        }
        Ok(())
    }

    /// Explains the record, writes the files, and gives back the terminal's ladder.
    pub(super) fn draw(self, record: &Record, filter: &Filter) -> Result<String, Complaint> {
        let explained = Explained::of(record);
        let ladder = Ladder::of(record, &explained, filter);
        let whole = Filter { rows_max: None, ..filter.clone() };
        let drawn = (!self.files.is_empty()).then(|| Ladder::of(record, &explained, &whole));
        for (path, form, mut file) in self.files {
            let drawn = drawn.as_ref().unwrap_or(&ladder);
            let text = match form {
                Form::Svg => svg::drawing(drawn, svg::ROWS_MAX),
                Form::Page => page::html(drawn, page::ROWS_MAX),
                Form::Mermaid => mermaid::diagram(drawn, mermaid::TEXT_MAX),
                Form::Text => ladder::trace::terminal(drawn, FILE_WIDTH, false),
                Form::Lua => pcapng::dissector().to_owned(),
                Form::Pcapng => {
                    let written = pcapng::write(record, &explained.edges, file);
                    written.map_err(|error| Failure::new("write", path.display(), error))?;
                    continue;
                }
                // Written while the programs ran, or copied.
                Form::Record => continue,
            };
            let written = file.write_all(text.as_bytes());
            written.map_err(|error| Failure::new("write", path.display(), error))?;
        }
        let width = console::width().unwrap_or(100);
        Ok(ladder::trace::terminal(&ladder, width, console::colour()))
    }
}

impl Keeper for Outputs {
    fn begin(&mut self, header: &Header) -> Result<(), Complaint> {
        for (path, form, file) in &self.files {
            if *form == Form::Record {
                let file = file.try_clone();
                let file = file.map_err(|error| Failure::new("dup", path.display(), error))?;
                self.writers.push(record::Writer::new(file, path.display().to_string(), header)?);
            }
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
