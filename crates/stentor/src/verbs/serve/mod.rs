//! `stentor serve`: lower case in, CAPITALS out, over TCP and UDP, until it is told to end.
//!
//! Here the words of the command line become a plan, and counters a report; the sockets are
//! driven by [`crate::drive::serve`].

mod plan;
mod summary;

use std::time::SystemTime;

use stentor_core::service::counters::Counters;
use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;

use crate::complaint::{Complaint, Exit};
use crate::drive::serve::{self, Address};
use crate::report::json::{self, Envelope};
use crate::report::{console, log};
use crate::verbs::until;

pub use plan::Args;

/// Serves until a signal, or the one conversation of `--once`.
///
/// # Errors
/// The first address that cannot be had, or arguments that do not fit together.
pub fn run(args: Args) -> Result<Exit, Complaint> {
    let started = SystemTime::now();
    log::begin(args.log, args.verbose);
    let mut config = None;
    let outcome = serve(&args, &mut config);
    if args.json {
        let exit = outcome.as_ref().map_or_else(|complaint| complaint.exit, |(exit, _)| *exit);
        let error = outcome.as_ref().err().map(ToString::to_string);
        let mut object: Envelope<json::serve::Config, json::serve::Outcome> =
            Envelope::new(json::serve::SCHEMA, started, exit, error);
        object.config = config;
        object.result = outcome.as_ref().ok().map(|(_, counters)| counters.into());
        console::data(object.text())?;
    }
    outcome.map(|(exit, _)| exit)
}

/// Serves to the end; `config` is what the arguments came to, with the addresses that were got.
fn serve(
    args: &Args,
    config: &mut Option<json::serve::Config>,
) -> Result<(Exit, Counters), Complaint> {
    let plan = args.plan()?;
    let config = config.insert(summary::config(&plan));
    let interrupts = Interrupts::install()
        .map_err(|error| Failure::new("sigaction", "SIGINT and SIGTERM", error))?;
    let seed = (!plan.faults.is_empty()).then_some(plan.seed);
    let congestion = plan.congestion.clone();
    let running =
        serve::start(plan).map_err(|failure| plan::not_started(failure, congestion.as_deref()))?;
    config.addresses = running.addresses.iter().map(summary::word).collect();
    say(args, &ready_line(&running.addresses));
    for missing in &running.missing {
        console::notice(format!("stentor: without {missing}"));
    }
    if let Some(seed) = seed {
        console::notice(format!("stentor: faults by --seed {}", seed.0));
    }
    if args.public {
        console::notice("stentor: --public: every machine that reaches this one can use it");
    }
    let exit = until::told_to_end(&running, &interrupts)?;
    let counters = running.finish()?;
    if let Err(sum) = counters.check() {
        let next = "This is a fault of stentor's: please report it.";
        return Err(Complaint::new(Exit::Bad, format!("the counters do not add up: {sum}"), next));
    }
    if !args.quiet && !args.json {
        until::printed(console::data(summary::text(&counters)));
    }
    Ok((exit, counters))
}

/// Data for people goes to standard output, unless that is promised to JSON.
fn say(args: &Args, line: &str) {
    match (args.quiet, args.json) {
        (true, _) => {}
        (false, true) => console::notice(line),
        (false, false) => until::printed(console::data(format!("{line}\n"))),
    }
}

/// The lecture's words, then every address to use.
fn ready_line(addresses: &[Address]) -> String {
    let mut inet: Vec<(String, Vec<&str>)> = Vec::new();
    for address in addresses {
        let (place, transport) = match address {
            Address::Tcp(address) => (address.to_string(), "tcp"),
            Address::Udp(address) => (address.to_string(), "udp"),
            Address::Unix(path) => (format!("unix:{}", path.display()), ""),
        };
        match inet.iter_mut().find(|(known, _)| *known == place) {
            Some((_, transports)) => transports.push(transport),
            None => inet.push((place, vec![transport])),
        }
    }
    let words = inet.into_iter().map(|(place, transports)| match transports.join("+").as_str() {
        "" => place,
        transports => format!("{place} ({transports})"),
    });
    format!("The server is ready to receive on {}", words.collect::<Vec<_>>().join(", "))
}
