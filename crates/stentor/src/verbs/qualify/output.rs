//! What `qualify` prints and writes: progress while it runs, then the report in every form asked
//! for, and how the run ends.
//!
//! What a report looks like is in `report::qualify` and `report::json`; here are its files, which
//! are opened before the run.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use stentor_os::failure::Failure;

use super::Args;
use crate::complaint::{Complaint, Exit};
use crate::drive::qualify::{Kind, Outcome, Trouble};
use crate::report::console::{self, Status};
use crate::report::json::{Envelope, qualify as json};
use crate::report::qualify::{Head, Report, page, text};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Json,
    Page,
    Svg,
}

const FORMS: [(&str, Form); 4] =
    [("txt", Form::Text), ("json", Form::Json), ("html", Form::Page), ("svg", Form::Svg)];

/// Where the report goes.
#[derive(Debug)]
pub(super) struct Outputs {
    files: Vec<(PathBuf, Form, File)>,
    json: bool,
    began: SystemTime,
}

impl Outputs {
    /// Opens every file now: a run whose result cannot be kept is not begun.
    ///
    /// # Errors
    /// A name that does not say its form (exit 2), a file that cannot be made.
    pub(super) fn open(args: &Args) -> Result<Outputs, Complaint> {
        let mut files = Vec::new();
        for path in &args.output {
            let extension = path.extension().and_then(|extension| extension.to_str());
            let Some((_, form)) = FORMS.iter().find(|(known, _)| Some(*known) == extension) else {
                let known: Vec<String> =
                    FORMS.iter().map(|(known, _)| format!(".{known}")).collect();
                let what = format!("-o {}: its name does not say its form", path.display());
                return Err(Complaint::usage(what, format!("One of {}.", known.join(", "))));
            };
            let file =
                File::create(path).map_err(|error| Failure::new("open", path.display(), error))?;
            files.push((path.clone(), *form, file));
        }
        Ok(Outputs { files, json: args.json, began: SystemTime::now() })
    }

    /// Ends a run that did not come to a result; the JSON says so, too.
    pub(super) fn failed(
        mut self,
        config: Option<&Head>,
        complaint: Complaint,
    ) -> Result<Exit, Complaint> {
        let mut envelope = self.envelope(complaint.exit, Some(complaint.to_string()));
        envelope.config = config.map(json::Config::from);
        let object = envelope.text();
        for (path, form, file) in &mut self.files {
            if *form == Form::Json {
                let written = file.write_all(object.as_bytes());
                written.map_err(|error| Failure::new("write", path.display(), error))?;
            }
        }
        if self.json {
            console::data(object)?;
        }
        Err(complaint)
    }

    /// Prints and writes the report, and says how the run ends.
    pub(super) fn finish(
        mut self,
        args: &Args,
        head: &Head,
        outcome: &Outcome,
    ) -> Result<Exit, Complaint> {
        let report = Report::of(head, outcome, self.began);
        let complaint = complaint(&report);
        let exit = complaint.as_ref().map_or(Exit::Good, |complaint| complaint.exit);
        let mut envelope = self.envelope(exit, complaint.as_ref().map(Complaint::to_string));
        envelope.config = Some(json::Config::from(head));
        envelope.result = Some(json::Outcome::from(&report));
        envelope.warnings = report.notes();
        for (path, form, file) in &mut self.files {
            let written = match form {
                Form::Text => text::text(&report, text::WIDTH, false),
                Form::Json => envelope.text(),
                Form::Page => page::html(&report),
                Form::Svg => page::svg(&report),
            };
            let written = file.write_all(written.as_bytes());
            written.map_err(|error| Failure::new("write", path.display(), error))?;
        }
        if self.json {
            console::data(envelope.text())?;
        } else if report.measured() {
            let width = console::width().unwrap_or(text::WIDTH);
            console::data(text::text(&report, width, console::colour()))?;
        }
        match complaint {
            Some(complaint) if exit == Exit::Interrupted && report.measured() => {
                if !args.quiet {
                    console::notice(format!("stentor: {complaint}"));
                }
                Ok(Exit::Interrupted)
            }
            Some(complaint) => Err(complaint),
            None => Ok(Exit::Good),
        }
    }

    fn envelope(&self, exit: Exit, error: Option<String>) -> Envelope<json::Config, json::Outcome> {
        Envelope::new(json::SCHEMA, self.began, exit, error)
    }
}

/// Why the run does not end with 0.
fn complaint(report: &Report<'_>) -> Option<Complaint> {
    if report.outcome.interrupted {
        let what = "interrupted: these are the figures so far";
        return Some(Complaint::new(Exit::Interrupted, what, ""));
    }
    let troubles = report.troubles();
    if !report.measured() {
        let refused = !troubles.is_empty() && troubles.iter().all(|one| one.kind == Kind::Refused);
        let exit = if refused { Exit::Environment } else { Exit::Bad };
        let what: Vec<&str> = troubles.iter().map(|trouble| trouble.what.as_str()).collect();
        let next = troubles.first().map(|trouble| trouble.next.as_str()).unwrap_or_default();
        return Some(Complaint::new(exit, what.join("; "), next));
    }
    let failed = report.failed();
    if !failed.is_empty() {
        let names: Vec<&str> = failed.iter().map(|application| application.name()).collect();
        let what = format!("this path does not do for {}", names.join(", "));
        return Some(Complaint::new(Exit::Bad, what, ""));
    }
    let is_serious = |trouble: &&&Trouble| matches!(trouble.kind, Kind::Wrong | Kind::Broken);
    let serious: Vec<&&Trouble> = troubles.iter().filter(is_serious).collect();
    let next = serious.first()?.next.as_str();
    let what: Vec<&str> = serious.iter().map(|trouble| trouble.what.as_str()).collect();
    Some(Complaint::new(Exit::Bad, what.join("; "), next))
}

/// What is shown while the run goes on, on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    quiet: bool,
    status: Status,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Progress {
        Progress { quiet, status: Status::default() }
    }

    /// A bar of how much is done, and what is being done.
    pub(super) fn show(&mut self, doing: &str, done: f64) {
        const CELLS: u8 = 24;
        if self.quiet {
            return;
        }
        let full = (0..CELLS).filter(|cell| f64::from(*cell) < done * f64::from(CELLS)).count();
        let bar: String =
            (0..usize::from(CELLS)).map(|cell| if cell < full { '█' } else { '░' }).collect();
        self.status.show(&format!("{bar} {doing}"));
    }

    pub(super) fn end(&mut self) {
        self.status.clear();
    }
}
