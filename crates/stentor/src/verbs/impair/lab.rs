//! `impair --lab`: programs at the two ends of a link that carries real packets.
//!
//! The link and the programs are driven by [`crate::drive::lab`]; here words become its settings, and
//! what it carried a report.

use std::ffi::OsString;

use stentor_core::link::Scenario;

use super::{Args, Told, decisions, plan, scenario};
use crate::complaint::{Complaint, Exit};
use crate::drive::lab::{self, Carried, Lab, Programs, SERVER, Settings};
use crate::report::json::impair::{Config, Outcome};
use crate::report::{console, impair as report};
use crate::verbs::{programs, seed};

/// The link's name in the decision log, where a proxy has its transport's.
const NAME: &str = "lab";

/// Runs the programs on the link, to their end.
pub(super) fn carry_out(args: &Args, told: &mut Told) -> Result<Exit, Complaint> {
    let programs = programs(args)?;
    let spec = plan::spec(args)?;
    let scenario = match args.scenario.as_deref() {
        Some(path) => scenario::read(path, &spec)?.0,
        None => Scenario::new(&spec, [], None)
            .map_err(|error| Complaint::usage(format!("--link: {error}"), ""))?,
    };
    let seed = seed::given_or_fresh(args.seed);
    let settings = Settings::new(scenario, seed)?;
    told.config = Some(Config {
        listen: Vec::new(),
        target: SERVER.0.to_string(),
        upstream: vec![SERVER.0.to_string(), SERVER.1.to_string()],
        link: spec.to_string(),
        scenario: args.scenario.is_some(),
        seed: seed.0,
        control: None,
        programs: std::iter::once(&programs.server)
            .chain(&programs.clients)
            .map(|words| words.iter().map(|word| word.to_string_lossy().into_owned()).collect())
            .collect(),
    });
    // Opened while we are who we were: in the private networks files may be out of reach.
    let (log, written) = decisions::open(args.decisions.as_deref())?;
    Lab::possible()?;
    if !args.quiet {
        console::notice(report::lab_ready(&spec.to_string()));
        console::notice(format!("stentor: all chance follows from --seed {}", seed.0));
    }
    let ran = lab::run(settings, &programs, None)?;
    if let Some(mut log) = log {
        for (direction, decision) in &ran.carried.log {
            log(NAME, *direction, decision);
        }
    }
    if !args.quiet && !args.json {
        console::notice(report::lab(&ran.carried).trim_end());
    }
    told.result = Some(Outcome::of_packets(&ran.carried));
    warn(args, &ran, told);
    written.check()?;
    Ok(if ran.interrupted { Exit::Interrupted } else { Exit::Passed(ran.code) })
}

/// What a reader should know besides.
fn warn(args: &Args, ran: &lab::Outcome, told: &mut Told) {
    let Carried { up, down, log_not_kept, .. } = &ran.carried;
    if !ran.clients_started && !ran.interrupted {
        let words = "the server ended before it listened, so no client was started";
        told.warnings.push(words.to_owned());
    }
    if *log_not_kept > 0 && args.decisions.is_some() {
        told.warnings.push(format!("{log_not_kept} decisions more than the log has room for"));
    }
    if up.missed + down.missed > 0 {
        let count = up.missed + down.missed;
        let words = format!("{count} packets were lost on the way to the link, which was not run");
        told.warnings.push(words);
    }
    for words in &told.warnings {
        console::notice(format!("stentor: {words}"));
    }
}

/// The server, and at least one client: a link needs somebody at each end.
fn programs(args: &Args) -> Result<Programs, Complaint> {
    let (server, clients): (Vec<OsString>, _) = programs::read(&args.command, &args.with)?;
    if server.is_empty() || clients.is_empty() {
        let what = "--lab has two ends, and a program for one";
        let next = "Write stentor impair --lab --link loss=5% -- SERVER --with 'CLIENT'; the server \
                    is 10.0.0.1 and 127.0.0.1 for both.";
        return Err(Complaint::usage(what, next));
    }
    Ok(Programs { server, clients })
}
