//! What `load` prints and writes: progress while it runs, then the report in every form asked for.
//!
//! What a report looks like is in `report::load` and `report::json`; here are its files, which are
//! opened before the run.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use stentor_core::load::Pace;
use stentor_core::load::verdict::{self, Failing};
use stentor_core::units::Span;
use stentor_os::failure::Failure;

use super::{Args, plan};
use crate::complaint::{Complaint, Exit};
use crate::drive::load::outcome::{Config, Interval, Outcome};
use crate::report::console::{self, Status};
use crate::report::json::{Envelope, load as json};
use crate::report::load::{Head, cautions, csv, failing, hdr, merge, page, text};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Json,
    Csv,
    Page,
    Svg,
    Hdr,
}

const FORMS: [(&str, Form); 6] = [
    ("txt", Form::Text),
    ("json", Form::Json),
    ("csv", Form::Csv),
    ("html", Form::Page),
    ("svg", Form::Svg),
    ("hdr", Form::Hdr),
];

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
        let mut outputs = Outputs { files: Vec::new(), json: args.json, began: SystemTime::now() };
        for path in &args.output {
            let extension = path.extension().and_then(|extension| extension.to_str());
            let Some((_, form)) = FORMS.iter().find(|(known, _)| Some(*known) == extension) else {
                let known: Vec<String> =
                    FORMS.iter().map(|(known, _)| format!(".{known}")).collect();
                let what = format!("-o {}: its name does not say its form", path.display());
                return Err(Complaint::usage(what, format!("One of {}.", known.join(", "))));
            };
            outputs.add(path, *form)?;
        }
        for (path, form) in [(&args.html, Form::Page), (&args.hdr, Form::Hdr)] {
            if let Some(path) = path {
                outputs.add(path, form)?;
            }
        }
        Ok(outputs)
    }

    fn add(&mut self, path: &Path, form: Form) -> Result<(), Complaint> {
        let file =
            File::create(path).map_err(|error| Failure::new("open", path.display(), error))?;
        self.files.push((path.to_owned(), form, file));
        Ok(())
    }

    /// Ends a run that did not come to a result; the JSON says so, too.
    pub(super) fn failed(
        mut self,
        config: Option<&Config>,
        complaint: Complaint,
    ) -> Result<Exit, Complaint> {
        let error = Some(complaint.to_string());
        let mut envelope = self.envelope(complaint.exit, error);
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
        head: &Head,
        config: Option<&Config>,
        outcome: &Outcome,
    ) -> Result<Exit, Complaint> {
        let exit = match (outcome.interrupted, outcome.failing.is_empty()) {
            (true, _) => Exit::Interrupted,
            (false, true) => Exit::Good,
            (false, false) => Exit::Bad,
        };
        let failings: Vec<String> = outcome.failing.iter().map(failing).collect();
        let error = (!failings.is_empty()).then(|| failings.join("; "));
        let mut envelope = self.envelope(exit, error);
        envelope.config = config.map(json::Config::from);
        envelope.result = Some(json::Outcome::of(head, outcome));
        envelope.warnings = cautions(head, outcome);
        for (path, form, file) in &mut self.files {
            let text = match form {
                Form::Text => text::text(head, outcome, text::WIDTH),
                Form::Json => envelope.text(),
                Form::Csv => csv::csv(outcome),
                Form::Page => page::html(head, config, outcome),
                Form::Svg => page::svg(head, outcome),
                Form::Hdr => String::new(),
            };
            let written = match form {
                Form::Hdr => hdr::write(head, outcome, file),
                Form::Text | Form::Json | Form::Csv | Form::Page | Form::Svg => {
                    file.write_all(text.as_bytes())
                }
            };
            written.map_err(|error| Failure::new("write", path.display(), error))?;
        }
        if self.json {
            console::data(envelope.text())?;
        } else {
            console::data(text::text(head, outcome, console::width().unwrap_or(text::WIDTH)))?;
        }
        Ok(exit)
    }

    fn envelope(&self, exit: Exit, error: Option<String>) -> Envelope<json::Config, json::Outcome> {
        Envelope::new(json::SCHEMA, self.began, exit, error)
    }
}

/// Adds up the logs of other runs, and reports the sum as if it were one.
pub(super) fn merged(args: &Args, outputs: Outputs) -> Result<Exit, Complaint> {
    let read = || {
        let conditions = plan::conditions(&args.fail_if)?;
        let mut logs = Vec::new();
        for path in &args.merge {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|error| Failure::new("open", &name, error))?;
            let log =
                hdr::read(BufReader::new(file)).map_err(|trouble| trouble.complaint(&name))?;
            logs.push((name, log));
        }
        let (head, mut outcome) = merge::merge(&logs);
        let failings = verdict::judge(&outcome.tally, outcome.sending, &conditions);
        // Without counts nothing can be said of replies, only of their latencies.
        let told = |failing: &Failing| match failing {
            Failing::Met(..) | Failing::Unknown(_) => true,
            Failing::NothingVerified | Failing::NotZero(..) => head.counted,
        };
        outcome.failing = failings.into_iter().filter(told).collect();
        Ok((head, outcome))
    };
    match read() {
        Ok((head, outcome)) => outputs.finish(&head, None, &outcome),
        Err(complaint) => outputs.failed(None, complaint),
    }
}

/// What is shown while the run goes on, on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    quiet: bool,
    lines: bool,
    status: Status,
}

impl Progress {
    /// At a terminal one line that changes, with `-v` a line for each interval.
    pub(super) fn new(args: &Args) -> Progress {
        Progress { quiet: args.quiet, lines: args.verbose, status: Status::default() }
    }

    /// Says what is about to be done, defaults included.
    pub(super) fn begin(&self, config: &Config) {
        if self.quiet {
            return;
        }
        let pace = match config.pace {
            Pace::Constant(rate) => format!("{rate} requests/s"),
            Pace::Poisson(rate) => format!("{rate} requests/s (Poisson)"),
            Pace::Ramp { to, over, .. } => format!("up to {to} requests/s in {}", Span(over)),
            Pace::Max => "closed loop".to_owned(),
        };
        let end = match (config.duration, config.count) {
            (Some(duration), None) => format!("for {}", Span(duration)),
            (Some(duration), Some(count)) => {
                format!("{count} of them, for {} at most", Span(duration))
            }
            (None, count) => format!("{} of them", count.unwrap_or_default()),
        };
        console::notice(format!(
            "stentor load {}: {} connections, {} threads, {pace}, {end}; -w {}, seed {}",
            config.target,
            config.connections,
            config.threads,
            Span(config.timeout),
            config.seed.0
        ));
    }

    /// Shows an interval that is over.
    pub(super) fn show(&mut self, interval: &Interval) {
        if self.quiet {
            return;
        }
        let line = text::line(interval);
        if self.lines {
            console::notice(line);
        } else {
            self.status.show(&line);
        }
    }

    /// Takes away the line that changes.
    pub(super) fn end(&mut self) {
        self.status.clear();
    }
}
