//! What `video check` prints and writes, and how the run ends.
//!
//! What a report looks like is in `report::video::check` and `report::json::video::check`.

use std::fs::File;
use std::io::Write;

use crate::complaint::{Complaint, Exit};
use crate::drive::video::check::{Outcome, Plan};
use crate::report::console::{self, Status};
use crate::report::json::Envelope;
use crate::report::json::video::check as json;
use crate::report::video::check as report;
use crate::verbs::outputs;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
}

impl outputs::Form for Form {
    const KNOWN: &'static [(&'static str, Form)] = &[("txt", Form::Text), ("json", Form::Json)];
    const JSON: Option<Form> = Some(Form::Json);
}

/// Where the report goes.
pub(super) type Outputs = outputs::Outputs<Form>;

type Object = Envelope<json::Config, json::Result>;

/// Ends a run that was not understood.
pub(super) fn failed(outputs: Outputs, complaint: Complaint) -> Result<Exit, Complaint> {
    let error = Some(complaint.to_string());
    let envelope = Object::new(json::SCHEMA, outputs.began, complaint.exit, error);
    outputs.failed(&envelope, complaint)
}

/// Prints and writes the report, and says how the run ends.
pub(super) fn finish(
    outputs: Outputs,
    plan: &Plan,
    strict: bool,
    mut outcome: Outcome,
) -> Result<Exit, Complaint> {
    let complaint = complaint(&mut outcome, strict);
    let exit = complaint.as_ref().map_or(Exit::Good, |complaint| complaint.exit);
    let error = complaint.as_ref().map(ToString::to_string);
    let mut envelope = Object::new(json::SCHEMA, outputs.began, exit, error);
    envelope.config = Some(json::Config::new(plan, strict));
    envelope.result = Some(json::Result::from(&outcome));
    for manifest in &outcome.manifests {
        let notes = manifest.notes.iter().map(|note| format!("{}: {note}", manifest.name));
        envelope.warnings.extend(notes);
    }
    let render = |form, file: &mut File, envelope: &Object| {
        let text = match form {
            Form::Text => report::text(&outcome, false),
            Form::Json => envelope.text(),
        };
        file.write_all(text.as_bytes())
    };
    // Where nothing was had, there is nothing to tell but why.
    let any = !outcome.manifests.is_empty();
    let shown = || any.then(|| report::text(&outcome, console::colour()));
    outputs.finish(envelope, render, shown)?;
    complaint.map_or(Ok(Exit::Good), Err)
}

/// Why the run does not end with 0.
fn complaint(outcome: &mut Outcome, strict: bool) -> Option<Complaint> {
    if outcome.interrupted() {
        let what = "interrupted: this is what was found so far";
        return Some(Complaint::new(Exit::Interrupted, what, ""));
    }
    if let Some(trouble) = &outcome.trouble {
        return Some(Complaint::new(trouble.exit, trouble.what.clone(), trouble.next.clone()));
    }
    match outcome.counts() {
        (0, 0) => None,
        (0, _) if !strict => None,
        (0, should) => {
            let what = format!("{should} of advice is not kept, and --strict asks for it");
            Some(Complaint::new(Exit::Bad, what, ""))
        }
        (must, _) => {
            let rules = if must == 1 { "rule is" } else { "rules are" };
            Some(Complaint::new(Exit::Bad, format!("{must} {rules} broken"), ""))
        }
    }
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

    /// Which share is done, and what is being fetched.
    pub(super) fn show(&mut self, doing: &str, done: f64) {
        if !self.quiet {
            self.status.show(&format!("{:3.0} % {doing}", done * 100.0));
        }
    }

    pub(super) fn end(&mut self) {
        self.status.clear();
    }
}
