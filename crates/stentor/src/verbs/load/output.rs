//! What `load` prints and writes: progress while it runs, then the report in every form asked for.
//!
//! What a report looks like is in `report::load` and `report::json`; how its files are opened and
//! written is in `verbs::outputs`.

use std::fs::File;
use std::io::{BufReader, Write};

use stentor_core::load::Pace;
use stentor_core::load::verdict::{self, Failing};
use stentor_core::units::Span;
use stentor_os::failure::Failure;

use super::{Args, plan};
use crate::complaint::{Complaint, Exit};
use crate::drive::load::outcome::{Config, News, Outcome};
use crate::report::console::{self, Status};
use crate::report::json::{Envelope, load as json};
use crate::report::load::{Head, cautions, csv, failing, hdr, merge, page, text};
use crate::verbs::outputs;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
    Csv,
    Page,
    Svg,
    Hdr,
}

impl outputs::Form for Form {
    const KNOWN: &'static [(&'static str, Form)] = &[
        ("txt", Form::Text),
        ("json", Form::Json),
        ("csv", Form::Csv),
        ("html", Form::Page),
        ("svg", Form::Svg),
        ("hdr", Form::Hdr),
    ];
    const JSON: Option<Form> = Some(Form::Json);
}

/// Where the report goes.
pub(super) type Outputs = outputs::Outputs<Form>;

/// Opens every file now.
///
/// # Errors
/// A name that does not say its form (exit 2), a file that cannot be made.
pub(super) fn open(args: &Args) -> Result<Outputs, Complaint> {
    let mut outputs = Outputs::open(&args.output, args.json)?;
    for (path, form) in [(&args.html, Form::Page), (&args.hdr, Form::Hdr)] {
        if let Some(path) = path {
            outputs.files.add(path, form)?;
        }
    }
    Ok(outputs)
}

/// Ends a run that did not come to a result.
pub(super) fn failed(
    outputs: Outputs,
    config: Option<&Config>,
    complaint: Complaint,
) -> Result<Exit, Complaint> {
    let mut envelope = envelope(&outputs, complaint.exit, Some(complaint.to_string()));
    envelope.config = config.map(json::Config::from);
    outputs.failed(&envelope, complaint)
}

/// Prints and writes the report, and says how the run ends.
pub(super) fn finish(
    outputs: Outputs,
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
    let mut envelope = envelope(&outputs, exit, error);
    envelope.config = config.map(json::Config::from);
    envelope.result = Some(json::Outcome::of(head, outcome));
    envelope.warnings = cautions(head, outcome);
    let render = |form, file: &mut File, envelope: &Object| {
        let text = match form {
            Form::Text => text::text(head, outcome, text::WIDTH),
            Form::Json => envelope.text(),
            Form::Csv => csv::csv(outcome),
            Form::Page => page::html(head, config, outcome),
            Form::Svg => page::svg(head, outcome),
            Form::Hdr => return hdr::write(head, outcome, file),
        };
        file.write_all(text.as_bytes())
    };
    let shown = || Some(text::text(head, outcome, console::width().unwrap_or(text::WIDTH)));
    outputs.finish(envelope, render, shown)?;
    Ok(exit)
}

type Object = Envelope<json::Config, json::Outcome>;

fn envelope(outputs: &Outputs, exit: Exit, error: Option<String>) -> Object {
    Envelope::new(json::SCHEMA, outputs.began, exit, error)
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
        Ok((head, outcome)) => finish(outputs, &head, None, &outcome),
        Err(complaint) => failed(outputs, None, complaint),
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

    /// Shows how it goes.
    pub(super) fn tell(&mut self, news: News<'_>) {
        if self.quiet {
            return;
        }
        let line = match news {
            News::Interval(interval) => text::line(interval),
            News::Stopping => {
                self.status.clear();
                return console::notice(
                    "stentor: nothing more is sent; waiting for replies that are owed. ^C again \
                     does not wait",
                );
            }
        };
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
