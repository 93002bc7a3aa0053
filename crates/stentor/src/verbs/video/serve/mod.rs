//! `stentor video serve`: an origin of a generated film or of a folder, until it is told to end.
//!
//! Here the words of the command line become a plan, and what was witnessed becomes lines; the
//! sockets are driven by [`crate::drive::video::origin`].

mod plan;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;

use crate::complaint::{Complaint, Exit};
use crate::drive::video::origin::{self, Exchange, Source, Totals};
use crate::drive::video::rtp::sender;
use crate::report::json::Envelope;
use crate::report::json::video::{rtp as rtp_json, serve as json};
use crate::report::video::{origin as report, rtp};
use crate::report::{console, log};
use crate::verbs::until;

pub(crate) use plan::Args;

/// How many requests may wait to be logged; what comes while there are so many is only counted.
const LOG_MAX: usize = 16 << 10;

/// Serves until a signal.
///
/// # Errors
/// The first address that cannot be had, or arguments that do not fit together.
pub(super) fn run(args: Args) -> Result<Exit, Complaint> {
    let started = SystemTime::now();
    log::begin(args.log, args.verbose);
    let mut config = None;
    let outcome = serve(&args, &mut config);
    if args.json {
        let exit = outcome.as_ref().map_or_else(|complaint| complaint.exit, |(exit, _)| *exit);
        let error = outcome.as_ref().err().map(ToString::to_string);
        let mut object: Envelope<json::Config, json::Outcome> =
            Envelope::new(json::SCHEMA, started, exit, error);
        object.config = config;
        object.result = outcome.as_ref().ok().map(|(_, totals)| totals.into());
        console::data(object.text())?;
    }
    outcome.map(|(exit, _)| exit)
}

/// Serves to the end; `config` is what the arguments came to, with the addresses that were got.
fn serve(args: &Args, config: &mut Option<json::Config>) -> Result<(Exit, Totals), Complaint> {
    let (sender, exchanges) = sync_channel(LOG_MAX);
    let plan = args.plan(sender)?;
    let config = config.insert(args.config(&plan));
    let interrupts = Interrupts::install()
        .map_err(|error| Failure::new("sigaction", "SIGINT and SIGTERM", error))?;
    let source = plan.source.clone();
    let (rate, seed) = (plan.rate, plan.seed);
    let running = origin::start(plan)?;
    let writer = write_log(args, exchanges)?;
    config.addresses = running.addresses.iter().map(ToString::to_string).collect();
    let streams = match &source {
        Source::Film(catalogue) if args.udp => {
            let film = Arc::new(catalogue.film().clone());
            let addresses = running.addresses.clone();
            let plan = sender::Plan { film, addresses, rate, seed };
            let (listener, writer) = stream_log(args)?;
            Some((sender::start(plan, listener)?, writer))
        }
        Source::Film(_) | Source::Folder(_) => None,
    };
    if let Some(address) = running.addresses.first() {
        let ready = match &source {
            Source::Film(catalogue) => report::film_ready(*address, catalogue.film()),
            Source::Folder(folder) => report::folder_ready(*address, &folder.manifests()),
        };
        say(args, &ready);
    }
    if streams.is_some() {
        say(args, &rtp::ready(&running.addresses));
    }
    for missing in &running.missing {
        console::notice(format!("stentor: without {missing}"));
    }
    if !config.faults.is_empty() {
        console::notice(format!("stentor: faults by --seed {}", config.seed));
    }
    if args.public {
        console::notice("stentor: --public: every machine that reaches this one can use it");
    }
    let exit = until::told_to_end(&running, &interrupts)?;
    if let Some((streams, writer)) = streams {
        // Says goodbye to its players.
        drop(streams);
        let _ = writer.join();
    }
    let totals = running.finish()?;
    // Every sender went with the threads: it writes what is left, and ends.
    let _ = writer.join();
    if !args.quiet && !args.json {
        until::printed(console::data(report::summary(&totals)));
    }
    Ok((exit, totals))
}

/// Writes a line for each request, on a thread of its own: a terminal that is stopped must not stop
/// the answers.
fn write_log(args: &Args, exchanges: Receiver<Exchange>) -> Result<JoinHandle<()>, Complaint> {
    let (quiet, form) = (args.quiet, args.log);
    let work = move || {
        for exchange in exchanges {
            match form {
                _ if quiet => {}
                log::Form::Human => console::notice(report::line(&exchange)),
                log::Form::Json => console::notice(json::line(&exchange).trim_end()),
            }
        }
    };
    let thread = thread::Builder::new().name("log".to_owned()).spawn(work);
    Ok(thread.map_err(|error| Failure::new("clone", "the thread of the log", error))?)
}

/// Writes a line for whatever happens to a stream over UDP, on a thread of its own, which ends with
/// the listener: packets have their time, whoever reads the log.
fn stream_log(args: &Args) -> Result<(sender::Listener, JoinHandle<()>), Complaint> {
    let (quiet, form) = (args.quiet, args.log);
    let (sender, lines) = sync_channel(LOG_MAX);
    let work = move || {
        for (peer, quality, news) in lines {
            match form {
                _ if quiet => {}
                log::Form::Human => console::notice(rtp::line(peer, quality, news)),
                log::Form::Json => console::notice(rtp_json::line(peer, quality, news)),
            }
        }
    };
    let thread = thread::Builder::new().name("rtp-log".to_owned()).spawn(work);
    let thread =
        thread.map_err(|error| Failure::new("clone", "the thread of the log over UDP", error))?;
    // What there is no room for is left out: a player's next report says as much.
    let listener = move |peer, quality, news| {
        let _ = sender.try_send((peer, quality, news));
    };
    Ok((Box::new(listener), thread))
}

/// Data for people goes to standard output, unless that is promised to JSON.
fn say(args: &Args, text: &str) {
    match (args.quiet, args.json) {
        (true, _) => {}
        (false, true) => console::notice(text.trim_end()),
        (false, false) => until::printed(console::data(text)),
    }
}
