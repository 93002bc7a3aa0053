//! What `qualify` prints and writes: progress while it runs, then the report in every form asked
//! for, and how the run ends.
//!
//! What a report looks like is in `report::qualify` and `report::json`; how its files are opened and
//! written is in `verbs::outputs`.

use std::fs::File;
use std::io::Write;

use super::Args;
use crate::complaint::{Complaint, Exit};
use crate::drive::qualify::{Kind, Outcome, Trouble};
use crate::report::console::{self, Status};
use crate::report::json::{Envelope, qualify as json};
use crate::report::qualify::{Head, Report, page, text};
use crate::verbs::outputs;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
    Page,
    Svg,
}

impl outputs::Form for Form {
    const KNOWN: &'static [(&'static str, Form)] =
        &[("txt", Form::Text), ("json", Form::Json), ("html", Form::Page), ("svg", Form::Svg)];
    const JSON: Option<Form> = Some(Form::Json);
}

/// Where the report goes.
pub(super) type Outputs = outputs::Outputs<Form>;

/// Ends a run that did not come to a result.
pub(super) fn failed(
    outputs: Outputs,
    config: Option<&Head>,
    complaint: Complaint,
) -> Result<Exit, Complaint> {
    let mut envelope = envelope(&outputs, complaint.exit, Some(complaint.to_string()));
    envelope.config = config.map(json::Config::from);
    outputs.failed(&envelope, complaint)
}

/// Prints and writes the report, and says how the run ends.
pub(super) fn finish(
    outputs: Outputs,
    args: &Args,
    head: &Head,
    outcome: &Outcome,
) -> Result<Exit, Complaint> {
    let report = Report::of(head, outcome, outputs.began);
    let complaint = complaint(&report);
    let exit = complaint.as_ref().map_or(Exit::Good, |complaint| complaint.exit);
    let mut envelope = envelope(&outputs, exit, complaint.as_ref().map(Complaint::to_string));
    envelope.config = Some(json::Config::from(head));
    envelope.result = Some(json::Outcome::from(&report));
    envelope.warnings = report.notes();
    let render = |form, file: &mut File, envelope: &Object| {
        let text = match form {
            Form::Text => text::text(&report, text::WIDTH, false),
            Form::Json => envelope.text(),
            Form::Page => page::html(&report),
            Form::Svg => page::svg(&report),
        };
        file.write_all(text.as_bytes())
    };
    let shown = || {
        let width = console::width().unwrap_or(text::WIDTH);
        report.measured().then(|| text::text(&report, width, console::colour()))
    };
    outputs.finish(envelope, render, shown)?;
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

type Object = Envelope<json::Config, json::Outcome>;

fn envelope(outputs: &Outputs, exit: Exit, error: Option<String>) -> Object {
    Envelope::new(json::SCHEMA, outputs.began, exit, error)
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
