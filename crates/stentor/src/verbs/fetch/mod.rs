//! `stentor fetch`: resolves, connects and gets a URL, each part timed and seen.
//!
//! Arguments become a [`Plan`]; [`fetch`] carries it out and gives a [`Report`], which is rendered
//! here for people and by [`crate::report::json::fetch`] for programs.

mod account;
mod engine;
mod hop;
mod output;
mod plan;
mod redirect;
mod text;
mod trouble;

pub use account::{Head, Hop, Phase, Phases, Report};
pub use engine::{Deliver, Piece, fetch};
pub use plan::{Args, Plan, Show};

use std::io::{self, IsTerminal};
use std::time::SystemTime;

use stentor_os::signal::Interrupts;

use self::output::Output;
use crate::complaint::{Complaint, Exit};
use crate::report::json::{self, Envelope};
use crate::report::{console, ladder};

/// How wide a conversation is drawn, in columns: the width that every terminal has.
const LADDER_WIDTH: usize = 80;

/// Runs the verb.
pub fn run(args: Args) -> Result<Exit, Complaint> {
    let started = SystemTime::now();
    let prepared = args.plan().and_then(|plan| {
        let output = Output::open(args.output.as_deref(), args.json)?;
        let interrupts = Interrupts::install().map_err(|error| {
            stentor_os::failure::Failure::new("sigaction", "SIGINT and SIGTERM", error)
        })?;
        Ok((plan, output, interrupts))
    });
    let (plan, mut output, interrupts) = match prepared {
        Ok(prepared) => prepared,
        Err(complaint) => {
            if args.json {
                json(started, Some(&complaint), None, None)?;
            }
            return Err(complaint);
        }
    };
    let mut report = fetch(&plan, Some(&interrupts), &mut |piece| match piece {
        Piece::Bytes(bytes) => output.write(bytes, Some(&interrupts)),
        Piece::Redirected(hop) => {
            if !args.quiet {
                console::notice(format!("stentor: {}", text::redirected(hop)));
                warn(hop);
            }
            Ok(())
        }
    });
    let written = output.finish(Some(&interrupts));
    let trouble = report.trouble.take().or(written.err());
    if trouble.as_ref().is_some_and(|complaint| complaint.what.is_empty()) {
        // The reader of the body has gone; nobody waits for an account of it either.
        return trouble.map_or(Ok(Exit::Good), Err);
    }
    tell(&args, &report, &output);
    if args.json {
        let config = json::fetch::Config::new(&plan, args.output.as_deref());
        json(started, trouble.as_ref(), Some(config), Some(&report))?;
    }
    let Some(complaint) = trouble else { return Ok(Exit::Good) };
    if let Some(kept) = output.kept() {
        console::notice(format!("stentor: {kept}"));
    }
    Err(complaint)
}

/// The account for people, on standard error.
fn tell(args: &Args, report: &Report, output: &Output) {
    if args.quiet {
        return;
    }
    let timing = args.timing || io::stderr().is_terminal();
    if output.cursor_astray() && (timing || args.verbose) {
        console::notice("");
    }
    if args.verbose {
        for hop in &report.hops {
            console::notice(ladder::text(&hop.conversation, LADDER_WIDTH));
        }
    }
    if timing && !report.hops.is_empty() {
        console::notice(text::table(report));
    }
    if let Some(last) = report.hops.last().filter(|hop| hop.redirect.is_none()) {
        warn(last);
    }
}

fn warn(hop: &Hop) {
    for warning in &hop.warnings {
        console::notice(format!("stentor: warning: {warning}"));
    }
}

fn json(
    started: SystemTime,
    trouble: Option<&Complaint>,
    config: Option<json::fetch::Config>,
    report: Option<&Report>,
) -> Result<(), Complaint> {
    let exit = trouble.map_or(Exit::Good, |complaint| complaint.exit);
    let error = trouble.map(ToString::to_string);
    let mut envelope = Envelope::new(json::fetch::SCHEMA, started, exit, error);
    envelope.config = config;
    envelope.result = report.map(json::fetch::Outcomes::new);
    let hops = report.into_iter().flat_map(|report| &report.hops);
    envelope.warnings = hops.flat_map(|hop| hop.warnings.iter().cloned()).collect();
    Ok(console::data(envelope.text())?)
}
