//! What a session prints and writes: a picture that moves while it runs, then the report in every form
//! asked for, and how the run ends.
//!
//! What a report looks like is in `report::video` and `report::json::video`; how its files are opened
//! and written is in `verbs::outputs`.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::screen::Screen;
use super::{Args, plan};
use crate::complaint::{Complaint, Exit};
use crate::drive::video::outcome::{Config, Outcome};
use crate::drive::video::play::News;
use crate::drive::video::play::crowd::Standing;
use crate::report::chart::Unit;
use crate::report::console::{self, Status};
use crate::report::json::Envelope;
use crate::report::json::video::play as json;
use crate::report::json::video::{events, p1203};
use crate::report::video::play::crowd::{self, Crowd};
use crate::report::video::play::live::Live;
use crate::report::video::play::{Known, Report, page, text};
use crate::verbs::link::Words;
use crate::verbs::outputs;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
    Lines,
    Page,
    Svg,
    P1203,
}

impl outputs::Form for Form {
    const KNOWN: &'static [(&'static str, Form)] = &[
        ("txt", Form::Text),
        ("json", Form::Json),
        ("jsonl", Form::Lines),
        ("svg", Form::Svg),
        ("html", Form::Page),
    ];
    const JSON: Option<Form> = Some(Form::Json);
}

type Object = Envelope<json::Config, json::Outcome>;

/// Where the report goes, and what is shown until then.
#[derive(Debug)]
pub(super) struct Outputs {
    outputs: outputs::Outputs<Form>,
    known: Option<Known>,
    quiet: bool,
    /// Whether a question may stand unanswered at a terminal.
    asks: bool,
    screen: Screen,
    status: Status,
}

impl Outputs {
    /// Opens every file.
    ///
    /// # Errors
    /// A name that does not say its form (exit 2), a file that cannot be made.
    pub(super) fn open(args: &Args) -> Result<Outputs, Complaint> {
        let mut outputs = outputs::Outputs::open(&args.output, args.json)?;
        if let Some(path) = &args.p1203 {
            outputs.files.add(path, Form::P1203)?;
        }
        let default = || format!("127.0.0.1:{}", args.port.unwrap_or(plan::PORT));
        let source = args.target.clone().or_else(|| args.sim.clone()).unwrap_or_else(default);
        // A policy that makes no sense is complained of by those who need one.
        let screen = Screen::new(Live::new(&source, plan::policy(args).ok()));
        let asks = args.manual && io::stdin().is_terminal();
        let (quiet, status) = (args.quiet, Status::default());
        Ok(Outputs { outputs, known: None, quiet, asks, screen, status })
    }

    /// Learns what is known of the network. Without it, that is what the words of a link say.
    pub(super) fn knows(&mut self, known: Known) {
        self.known = Some(known);
    }

    /// Shows what happens while a session runs; nothing that moves when `still`, because a person is
    /// being asked.
    pub(super) fn tell(&mut self, news: News<'_>, still: bool) {
        if !self.quiet {
            self.screen.tell(news, still);
        }
    }

    /// Learns that one request is for all of the film.
    pub(super) fn streams(&mut self) {
        self.screen.stream();
    }

    /// Shows how many players fare.
    pub(super) fn stands(&mut self, standing: Standing) {
        let Standing { clients, begun, ended, bytes } = standing;
        if !self.quiet {
            let bytes = Unit::Bytes.said(bytes as f64);
            let line = format!("{begun} of {clients} players begun, {ended} ended, {bytes}");
            self.status.show(&line);
        }
    }

    /// Takes away what moves.
    fn still(&mut self) {
        self.screen.end();
        self.status.clear();
    }

    /// Ends a run that came to no session.
    ///
    /// # Errors
    /// Always the complaint, and with it what could not be written.
    pub(super) fn failed(
        mut self,
        config: Option<&Config>,
        complaint: Complaint,
    ) -> Result<Exit, Complaint> {
        self.still();
        let mut envelope = self.envelope(complaint.exit, Some(complaint.to_string()));
        envelope.config = config.map(json::Config::from);
        self.outputs.failed(&envelope, complaint)
    }

    /// Prints and writes the report. `failed` are the conditions of `--fail-if` that hold.
    ///
    /// # Errors
    /// What could not be written, and why the run does not end with 0.
    pub(super) fn finish(
        mut self,
        config: &Config,
        outcome: &Outcome,
        failed: &[String],
    ) -> Result<Exit, Complaint> {
        self.still();
        if self.asks && outcome.interrupted {
            // The report begins on a line of its own, not behind the question.
            console::notice("");
        }
        let known = self.known.take().or_else(|| of_link(config)).unwrap_or_default();
        let report = Report::of(config, outcome, &known, self.outputs.began);
        let complaint = complaint(std::slice::from_ref(outcome), failed);
        let mut envelope = self.concluded(config, complaint.as_ref());
        let session = Some(json::Session::from(&report));
        envelope.result = Some(json::Outcome { session, clients: None });
        envelope.warnings = report.notes();
        let render = |form, file: &mut File, envelope: &Object| match form {
            Form::Text => put(file, &text::text(&report, text::WIDTH, false)),
            Form::Json => put(file, &envelope.text()),
            Form::Lines => events::write(config, outcome, file),
            Form::Page => put(file, &page::html(&report)),
            Form::Svg => put(file, &page::svg(&report)),
            Form::P1203 => put(file, &p1203::text(&report)),
        };
        let shown = || {
            let width = console::width().unwrap_or(text::WIDTH);
            report.measured().then(|| text::text(&report, width, console::colour()))
        };
        self.outputs.finish(envelope, render, shown)?;
        ends(complaint, report.measured(), self.quiet)
    }

    /// The same for players that ran at once, and together took so long.
    ///
    /// # Errors
    /// What could not be written, and why the run does not end with 0.
    pub(super) fn finish_all(
        mut self,
        config: &Config,
        outcomes: &[Outcome],
        took: Duration,
        failed: &[String],
    ) -> Result<Exit, Complaint> {
        self.still();
        let crowd = Crowd::of(outcomes);
        let complaint = complaint(outcomes, failed);
        let mut envelope = self.concluded(config, complaint.as_ref());
        let clients = Some(json::Clients::of(&crowd, took));
        envelope.result = Some(json::Outcome { session: None, clients });
        envelope.warnings = crowd.troubles.iter().map(|(what, _)| what.clone()).collect();
        let render = |form, file: &mut File, envelope: &Object| match form {
            Form::Text => put(file, &crowd::text(config, &crowd, took, text::WIDTH)),
            Form::Json => put(file, &envelope.text()),
            Form::Lines => {
                outcomes.iter().try_for_each(|outcome| events::write(config, outcome, &*file))
            }
            Form::Page => put(file, &crowd::html(config, &crowd, took)),
            Form::Svg => put(file, &crowd::svg(config, &crowd)),
            Form::P1203 => Err(io::Error::other("its form is of one player, not of many")),
        };
        let width = console::width().unwrap_or(text::WIDTH);
        let shown = || (crowd.bytes > 0).then(|| crowd::text(config, &crowd, took, width));
        self.outputs.finish(envelope, render, shown)?;
        ends(complaint, crowd.bytes > 0, self.quiet)
    }

    fn envelope(&self, exit: Exit, error: Option<String>) -> Object {
        Envelope::new(json::SCHEMA, self.outputs.began, exit, error)
    }

    fn concluded(&self, config: &Config, complaint: Option<&Complaint>) -> Object {
        let exit = complaint.map_or(Exit::Good, |complaint| complaint.exit);
        let mut envelope = self.envelope(exit, complaint.map(Complaint::to_string));
        envelope.config = Some(json::Config::from(config));
        envelope
    }
}

fn put(file: &mut File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())
}

/// What the words of a link say of it: a rate that is always the same.
fn of_link(config: &Config) -> Option<Known> {
    let words: Words = config.link.as_deref()?.parse().ok()?;
    let down = words.spec.down;
    down.rate.filter(|_| down.trace.is_none()).map(Known::steady)
}

/// Why the run does not end with 0.
fn complaint(outcomes: &[Outcome], failed: &[String]) -> Option<Complaint> {
    if outcomes.iter().any(|outcome| outcome.interrupted) {
        let what = "interrupted: these are the figures so far";
        return Some(Complaint::new(Exit::Interrupted, what, ""));
    }
    let troubles: Vec<_> = outcomes.iter().filter_map(|one| one.trouble.as_ref()).collect();
    if let Some(trouble) = troubles.first() {
        let of = match outcomes.len() {
            1 => String::new(),
            all => {
                format!("{} of {all} players did not come to the end; the first: ", troubles.len())
            }
        };
        let what = format!("{of}{}", trouble.what);
        return Some(Complaint::new(Exit::Bad, what, &trouble.next));
    }
    let failing = || Complaint::new(Exit::Bad, format!("failed: {}", failed.join("; ")), "");
    (!failed.is_empty()).then(failing)
}

/// Ends the run; that it was interrupted is no more than a notice under a report.
fn ends(complaint: Option<Complaint>, measured: bool, quiet: bool) -> Result<Exit, Complaint> {
    match complaint {
        Some(complaint) if complaint.exit == Exit::Interrupted && measured => {
            if !quiet {
                console::notice(format!("stentor: {complaint}"));
            }
            Ok(Exit::Interrupted)
        }
        Some(complaint) => Err(complaint),
        None => Ok(Exit::Good),
    }
}
