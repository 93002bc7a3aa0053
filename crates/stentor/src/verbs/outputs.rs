//! The files that a verb writes its report into: `-o FILE.EXT`, whose name says its form.
//!
//! They are opened before the run, because a run whose result cannot be kept is not begun; what is
//! in them stays until there is something to put in its place, and one that cannot be written does
//! not cost the others. Here is also where the report goes besides: standard output, as text or as
//! one JSON object. What a report looks like is left to the verb and to `report`.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use stentor_os::failure::Failure;

use crate::complaint::{Complaint, Exit};
use crate::report::console;
use crate::report::json::Envelope;

/// What a file of a verb's may hold.
pub(super) trait Form: Copy + PartialEq + 'static {
    /// The extension of a name, and the form that it says.
    const KNOWN: &'static [(&'static str, Self)];
    /// The form that holds the object of `--json`, also when the run failed.
    const JSON: Option<Self>;
}

/// Files that are open, and not yet written.
#[derive(Debug)]
pub(super) struct Files<F> {
    files: Vec<(PathBuf, F, File)>,
}

impl<F: Form> Files<F> {
    /// Opens files whose names say their forms.
    ///
    /// # Errors
    /// A name that does not say its form (exit 2), a file that cannot be made.
    pub(super) fn open(paths: &[PathBuf]) -> Result<Files<F>, Complaint> {
        let mut files = Files { files: Vec::new() };
        for path in paths {
            let extension = path.extension().and_then(|extension| extension.to_str());
            let Some((_, form)) = F::KNOWN.iter().find(|(known, _)| Some(*known) == extension)
            else {
                let known: Vec<String> =
                    F::KNOWN.iter().map(|(known, _)| format!(".{known}")).collect();
                let what = format!("-o {}: its name does not say its form", path.display());
                return Err(Complaint::usage(what, format!("One of {}.", known.join(", "))));
            };
            files.add(path, *form)?;
        }
        Ok(files)
    }

    /// Opens one more, whatever it is called.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn add(&mut self, path: &Path, form: F) -> Result<(), Complaint> {
        self.files.push((path.to_owned(), form, opened(path)?));
        Ok(())
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Gives away the files of one form, emptied, each with its name: they are written while the
    /// run goes on.
    ///
    /// # Errors
    /// What is in them cannot be taken away.
    pub(super) fn take(&mut self, form: F) -> Result<Vec<(String, File)>, Complaint> {
        let mut taken = Vec::new();
        for (path, _, file) in self.files.extract_if(.., |(_, held, _)| *held == form) {
            emptied(&file).map_err(|error| Failure::new("write", path.display(), error))?;
            taken.push((path.display().to_string(), file));
        }
        Ok(taken)
    }

    /// Writes every file in place of what was there; none is left out because another failed.
    ///
    /// # Errors
    /// The first file that could not be written.
    pub(super) fn write(
        &mut self,
        mut render: impl FnMut(F, &mut File) -> io::Result<()>,
    ) -> Result<(), Complaint> {
        self.write_those(|_| true, &mut render)
    }

    fn write_those(
        &mut self,
        wanted: impl Fn(F) -> bool,
        render: &mut impl FnMut(F, &mut File) -> io::Result<()>,
    ) -> Result<(), Complaint> {
        let mut all = Ok(());
        for (path, form, file) in self.files.iter_mut().filter(|(_, form, _)| wanted(*form)) {
            if let Err(error) = emptied(file).and_then(|()| render(*form, file)) {
                all = all.and(Err(Failure::new("write", path.display(), error).into()));
            }
        }
        all
    }
}

/// Opens a file to write, and leaves what is in it: a run that comes to nothing keeps the report of
/// an earlier one, and what is written may be made of what is read.
///
/// A FIFO is open once somebody reads it (fifo(7)); that this is waited for is said.
pub(super) fn opened(path: &Path) -> Result<File, Complaint> {
    let fifo = path.metadata().is_ok_and(|found| found.file_type().is_fifo());
    if fifo {
        console::notice(format!("stentor: {} is a FIFO: waits until it is read", path.display()));
    }
    let file = File::options().write(true).create(true).truncate(false).open(path);
    Ok(file.map_err(|error| Failure::new("open", path.display(), error))?)
}

/// Takes away what an earlier run left; a device has nothing to take away.
pub(super) fn emptied(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
}

/// Where the report of a verb with `--json` goes.
#[derive(Debug)]
pub(super) struct Outputs<F> {
    /// Its files.
    pub(super) files: Files<F>,
    json: bool,
    /// When the run began.
    pub(super) began: SystemTime,
}

impl<F: Form> Outputs<F> {
    /// Opens every file now, which is when the run begins; `json`: standard output is the object.
    ///
    /// # Errors
    /// Those of [`Files::open`].
    pub(super) fn open(paths: &[PathBuf], json: bool) -> Result<Outputs<F>, Complaint> {
        Ok(Outputs { files: Files::open(paths)?, json, began: SystemTime::now() })
    }

    /// Ends a run that did not come to a result: `envelope` says so in every JSON that was wanted.
    ///
    /// # Errors
    /// Always the complaint, and with it what could not be written.
    pub(super) fn failed<C: Serialize, R: Serialize>(
        mut self,
        envelope: &Envelope<C, R>,
        complaint: Complaint,
    ) -> Result<Exit, Complaint> {
        let object = envelope.text();
        let written = self.files.write_those(|form| Some(form) == F::JSON, &mut |_, file| {
            file.write_all(object.as_bytes())
        });
        let shown = if self.json { printed(&object) } else { Ok(()) };
        let lost = [written, shown].into_iter().filter_map(Result::err).map(|lost| lost.what);
        let what: Vec<String> = std::iter::once(complaint.what).chain(lost).collect();
        Err(Complaint { what: what.join("; "), ..complaint })
    }

    /// Writes and prints the report of a run; `render` writes one form of it, `text` is what people
    /// read on standard output, if anything.
    ///
    /// Files of JSON are written last, so that they tell of others that could not be.
    ///
    /// # Errors
    /// The first file that could not be written, or standard output. A reader who has gone is none:
    /// whoever reads no further has seen enough, and the verdict stays what it is.
    pub(super) fn finish<C: Serialize, R: Serialize>(
        mut self,
        mut envelope: Envelope<C, R>,
        mut render: impl FnMut(F, &mut File, &Envelope<C, R>) -> io::Result<()>,
        text: impl FnOnce() -> Option<String>,
    ) -> Result<(), Complaint> {
        let mut written = Ok(());
        for json in [false, true] {
            let part = self
                .files
                .write_those(|form| (Some(form) == F::JSON) == json, &mut |form, file| {
                    render(form, file, &envelope)
                });
            if let Err(complaint) = &part {
                let said = [envelope.error.take(), Some(complaint.to_string())];
                let said: Vec<String> = said.into_iter().flatten().collect();
                envelope.fails(complaint.exit, said.join("; "));
            }
            written = written.and(part);
        }
        let text = if self.json { Some(envelope.text()) } else { text() };
        written.and(text.map_or(Ok(()), |text| printed(&text)))
    }
}

/// Prints data, unless its reader has gone.
fn printed(text: &str) -> Result<(), Complaint> {
    match console::data(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
