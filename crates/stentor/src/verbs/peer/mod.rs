//! `stentor peer`: two equals, each client and server at once, with no server between.
//!
//! Here the words of the command line become a plan, and what happens becomes words; who dials and
//! which connection stays is decided in `stentor_core::peer`, and driven by [`crate::drive::peer`].

mod plan;
mod prompt;
mod screen;

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::time::SystemTime;

use stentor_core::peer::{End, Parting, Refusal};
use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;

use self::prompt::Prompt;
use self::screen::{Screen, refusal_words};
use crate::complaint::{Complaint, Exit};
use crate::drive::peer::{self, Outcome, Outlet, Plan, Source};
use crate::report::console;
use crate::report::json::{self, Envelope};

pub use plan::Args;

/// Talks to a peer until one of the two leaves.
///
/// # Errors
/// Nobody answered, the other broke off, or an address cannot be had.
pub fn run(args: Args) -> Result<Exit, Complaint> {
    let started = SystemTime::now();
    let mut screen = Screen::new(args.quiet, args.json);
    let mut config = None;
    let mut outcome = None;
    let ended = talk(&args, &mut screen, &mut config, &mut outcome);
    if args.json {
        let exit = ended.as_ref().map_or_else(|complaint| complaint.exit, |exit| *exit);
        let error = ended.as_ref().err().map(ToString::to_string);
        let mut object: Envelope<json::peer::Config, json::peer::Outcome> =
            Envelope::new(json::peer::SCHEMA, started, exit, error);
        object.config = config;
        object.result = outcome.as_ref().map(|outcome| screen.account(outcome));
        object.warnings = screen.warnings();
        console::data(object.text())?;
    }
    ended
}

fn talk(
    args: &Args,
    screen: &mut Screen,
    config: &mut Option<json::peer::Config>,
    outcome: &mut Option<Outcome>,
) -> Result<Exit, Complaint> {
    let interrupts = Interrupts::install()
        .map_err(|error| Failure::new("sigaction", "SIGINT and SIGTERM", error))?;
    let seed = args.seed();
    let plan = args.plan(seed, &interrupts)?;
    let config = config.insert(args.config(&plan, seed));
    let doors = peer::listen(&plan.listen)?;
    config.listen = doors.addresses.iter().map(ToString::to_string).collect();
    screen.introduce(&plan, seed);
    let prompt = match args.json || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        true => None,
        false => Some(Prompt::start(plan.settings.name.as_str())?),
    };
    // Dropped last: the terminal is put back as it was when all has been said.
    let (source, _mode) = match prompt {
        Some(prompt) => {
            screen.print_by(prompt.printer);
            (prompt.source, Some(prompt.mode))
        }
        None => (standard_input()?, None),
    };
    let outlet = match args.json || screen.has_prompt() {
        true => None,
        false => Some(Outlet::new(
            console::unbuffered().map_err(|error| Failure::new("dup", "standard output", error))?,
        )),
    };
    let run =
        peer::run(&plan, doors, source, outlet, Some(&interrupts), &mut |told| screen.show(told))?;
    let run = outcome.insert(run);
    screen.leave();
    verdict(&plan, run)
}

fn standard_input() -> Result<Source, Complaint> {
    let file = io::stdin().as_fd().try_clone_to_owned();
    let file = file.map_err(|error| Failure::new("dup", "standard input", error))?;
    Ok(Source::Pipe(File::from(file)))
}

/// The exit code, or what went wrong.
fn verdict(plan: &Plan, outcome: &Outcome) -> Result<Exit, Complaint> {
    if outcome.interrupted {
        return Ok(Exit::Interrupted);
    }
    let bad = |what: String, next: &str| Err(Complaint::new(Exit::Bad, what, next));
    match &outcome.end {
        End::Parted(parting) if !parting.is_orderly() => {
            bad(format!("the conversation broke off: {}", parting_words(parting)), "")
        }
        _ if outcome.lines_too_long > 0 => {
            let what = format!("{} of the lines were not sent", outcome.lines_too_long);
            bad(what, "A line has at most 8192 bytes; stentor send takes a stream of any length.")
        }
        _ if outcome.counters.conversations > 0 => Ok(Exit::Good),
        End::Parted(_) | End::Left => bad("nobody came".to_owned(), ""),
        End::Unreachable => Err(unreachable(plan, outcome)),
        End::Refused(refusal) => {
            let who = target(plan);
            let next = match refusal {
                Refusal::Ourselves => "Dial the address that the other one shows.",
                Refusal::TheyAreBusy => "Try again later.",
                Refusal::Violation(_) => "Check the address: another program listens there.",
                Refusal::WeAreBusy | Refusal::Silent | Refusal::Closed | Refusal::TooMany => "",
            };
            let exit = if *refusal == Refusal::Ourselves { Exit::Usage } else { Exit::Bad };
            Err(Complaint::new(exit, format!("{who}: {}", refusal_words(refusal)), next))
        }
    }
}

fn target(plan: &Plan) -> String {
    let words: Vec<_> = plan.target.iter().map(ToString::to_string).collect();
    format!("tcp {}", words.join(" and "))
}

/// Nobody answered at the given address.
fn unreachable(plan: &Plan, outcome: &Outcome) -> Complaint {
    let within = plan.settings.patience;
    match &outcome.failure {
        Some(failure) => {
            let what = format!("{failure}, for {within:?}");
            let next = "Start the other peer there first, or check its address; -w waits longer.";
            Complaint::new(Exit::Environment, what, next)
        }
        None => {
            let what = format!("no peer answered at {} within {within:?}", target(plan));
            Complaint::new(Exit::Environment, what, "Check the address; -w waits longer.")
        }
    }
}

/// How a conversation ended, in words.
fn parting_words(parting: &Parting) -> String {
    match parting {
        Parting::BothEnded => "both had said all".to_owned(),
        Parting::WeLeft => "we left".to_owned(),
        Parting::TheyLeft => "the other left".to_owned(),
        Parting::Unanswered => "the other did not answer the farewell within 5 s".to_owned(),
        Parting::Broken => {
            "the connection ended without a farewell; the other's program was ended, or the network"
                .to_owned()
        }
        Parting::Silent => "nothing came for 30 s, not even a sign of life".to_owned(),
        Parting::Violation(violation) => violation.to_string(),
    }
}
