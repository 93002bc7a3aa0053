//! `stentor impair`: a worse network between a client and a server, in ways that are true and can be
//! repeated.
//!
//! Here words become proxies, and counts a report; the proxies are driven by
//! [`crate::drive::impair`], and what happens to bytes and datagrams is decided in core.

mod command;
mod control;
mod decisions;
#[cfg(target_os = "linux")]
mod lab;
mod plan;
mod scenario;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use stentor_core::link::Turn;
use stentor_core::moment::Moment;
use stentor_core::units::Span;
use stentor_os::failure::Failure;
use stentor_os::net::poll::{self, Watch};
use stentor_os::signal::Interrupts;

use crate::complaint::{Complaint, Exit};
use crate::drive::impair::control::Control;
use crate::drive::impair::{self, Counts, Running};
use crate::report::console::Status;
use crate::report::json::{self, Envelope};
use crate::report::{console, impair as report};
use crate::verbs::link::Words;
use command::Child;
use plan::{Opened, Plan};

/// How often the live line is written anew.
const LIVE_EVERY: Duration = Duration::from_millis(500);

/// The arguments of `impair`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
    stentor impair 8000 127.0.0.1:12000 --link delay=20ms,jitter=5ms,loss=1%\n    \
    stentor impair udp://127.0.0.1:8000 udp://127.0.0.1:12000 --up burst=1%/25% --seed 7\n    \
    stentor impair 127.0.0.1:12000 --link 3g -- stentor send '{}' hello\n    \
    stentor impair --config proxies.json --metrics --control\n    \
    stentor impair --lab --link loss=5% -- stentor serve -1 --with 'stentor send hello'\n\n\
    Words of a link (docs/impair.md explains each): delay jitter order rate queue slots trace, on \
    datagrams loss burst every duplicate reorder corrupt, on streams stall reset half-close \
    slow-close truncate refuse slice loss-as-delay corrupt; presets 3g edge dsl satellite wifi \
    starlink.\n\n\
    Proxies end TCP twice, so nothing that they do is packet loss. --lab is: COMMAND and the programs \
    of --with run in two private networks, joined by a link that carries real packets (Linux; no \
    root where user namespaces and /dev/net/tun allow it).\n\n\
    With -- COMMAND the exit code is the command's (with --lab as of trace: of a server that was \
    ended after its clients, theirs); 125 is a failure of impair itself, 126 and 127 \
    as in timeout(1). Without, ^C ends it with 130.")]
pub struct Args {
    /// Where clients come in (ADDRESS:PORT, a port alone is on 127.0.0.1, tcp:// or udp:// chooses),
    /// and where it leads; with -- COMMAND the first may be left out
    #[arg(value_name = "LISTEN] [TARGET")]
    words: Vec<String>,
    /// A command to run with {} replaced by the address of the proxy; with --lab the server
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    /// Carries packets between COMMAND and the programs of --with, not proxies' bytes
    #[cfg(target_os = "linux")]
    #[arg(long, requires = "command", conflicts_with_all = ["words", "tcp", "udp", "duration"])]
    lab: bool,
    /// With --lab: a client, started when COMMAND listens (repeatable; also after COMMAND)
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "CLIENT", requires = "lab")]
    with: Vec<String>,
    /// What the network does, in both directions
    #[arg(long, value_name = "SPEC")]
    link: Option<Words>,
    /// The same, for what clients send
    #[arg(long, value_name = "SPEC")]
    up: Option<String>,
    /// The same, for what clients receive
    #[arg(long, value_name = "SPEC")]
    down: Option<String>,
    /// A TOML file of timed changes
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Only TCP
    #[arg(short, long, conflicts_with = "udp")]
    tcp: bool,
    /// Only UDP
    #[arg(short, long)]
    udp: bool,
    /// From which all chance follows [default: a new one, printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write each decision about a datagram to FILE
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Open and change proxies over HTTP, as Toxiproxy's clients do; put it last, or write
    /// --control=ADDRESS
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = control::ADDRESS)]
    control: Option<String>,
    /// Proxies to begin with: Toxiproxy's JSON, and toxics in it
    #[arg(long, value_name = "FILE", requires = "control")]
    config: Option<PathBuf>,
    /// Count bytes for Prometheus at /metrics of the control address
    #[arg(long, requires = "control")]
    metrics: bool,
    /// What /version of the control address says, for clients that are particular about it
    #[arg(long, value_name = "TEXT", requires = "control", default_value = control::VERSION)]
    version_string: String,
    /// End by itself after this time
    #[arg(short, long, value_name = "TIME", conflicts_with = "command")]
    duration: Option<Span>,
    /// The report as one JSON object (schema stentor.impair/1) on standard output
    #[arg(short = 'J', long)]
    json: bool,
    /// No ready line, no live line and no report
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the verb.
///
/// # Errors
/// What was not understood, an address that cannot be had, a command that cannot be run.
pub fn run(args: Args) -> Result<Exit, Complaint> {
    let started = SystemTime::now();
    let own = !args.command.is_empty();
    let mut told = Told::default();
    #[cfg(target_os = "linux")]
    let outcome = match args.lab {
        true => lab::carry_out(&args, &mut told),
        false => carry_out(&args, &mut told),
    };
    #[cfg(not(target_os = "linux"))]
    let outcome = carry_out(&args, &mut told);
    let outcome = outcome.map_err(|complaint| if own { ours(complaint) } else { complaint });
    if args.json {
        let exit = outcome.as_ref().map_or_else(|complaint| complaint.exit, |exit| *exit);
        let error = outcome.as_ref().err().map(ToString::to_string);
        let mut object: Envelope<json::impair::Config, json::impair::Outcome> =
            Envelope::new(json::impair::SCHEMA, started, exit, error);
        object.config = told.config;
        object.result = told.result;
        object.warnings = told.warnings;
        console::data(object.text())?;
    }
    outcome
}

/// What is known of a run, whatever came of it.
#[derive(Debug, Default)]
struct Told {
    config: Option<json::impair::Config>,
    result: Option<json::impair::Outcome>,
    warnings: Vec<String>,
}

/// A command's exit codes are passed on, so failures of our own have codes of their own.
fn ours(complaint: Complaint) -> Complaint {
    let own = matches!(complaint.exit, Exit::Bad | Exit::Environment | Exit::Impossible);
    Complaint { exit: if own { Exit::Ours } else { complaint.exit }, ..complaint }
}

fn carry_out(args: &Args, told: &mut Told) -> Result<Exit, Complaint> {
    let mut plan = Plan::read(args)?;
    let proxies = control::config(args, &mut plan)?;
    // Before signals are taken over: to open a FIFO may last until somebody reads it.
    let (log, written) = decisions::open(args.decisions.as_deref())?;
    let interrupts = Interrupts::install()
        .map_err(|error| Failure::new("sigaction", "SIGINT and SIGTERM", error))?;
    let running = impair::start(plan.seed, log)?;
    let opened = plan.open(running.handle())?;
    let control = control::start(args, &plan, running.handle(), &opened, proxies)?;
    told.config = Some(plan.config(&opened, control.as_ref()));
    told.warnings = plan.notices.clone();
    for notice in &plan.notices {
        console::notice(format!("stentor: {notice}"));
    }
    ready(args, &plan, &opened, control.as_ref())?;
    let first = opened.first().map(|one| one.address);
    let first = first.or(control.as_ref().map(|control| control.address));
    let child = match (args.command.as_slice(), first) {
        ([], _) | (_, None) => None,
        (command, Some(address)) => Some(Child::start(command, address)?),
    };
    // Not before the command was started, whose own limit this is not.
    stentor_os::limits::raise_descriptors()
        .map_err(|error| Failure::new("setrlimit", "RLIMIT_NOFILE", error))?;
    let ended = wait(args, plan, &running, &opened, control.as_ref(), child, &interrupts);
    let proxies = counted(&running, &opened, control);
    told.result = Some(json::impair::Outcome::new(&proxies));
    running.stop().map_err(|error| Failure::new("epoll_wait", "the loop of the proxies", error))?;
    if !args.quiet && !args.json {
        let text = report::text(&proxies);
        if args.command.is_empty() {
            console::data(text)?
        } else {
            console::notice(text.trim_end())
        }
    }
    written.check()?;
    ended
}

/// Each proxy in words, and what it did; they are closed.
fn counted(
    running: &Running,
    opened: &[Opened],
    control: Option<Control>,
) -> Vec<(report::Title, Counts)> {
    if let Some(control) = control {
        return control::ended(control);
    }
    let close = |one: &Opened| {
        let counts = running.handle().close(one.id).ok().flatten();
        counts.map(|counts| (one.title.clone(), counts))
    };
    opened.iter().filter_map(close).collect()
}

/// Where the proxies are, which tier is in force, and how to repeat it.
fn ready(
    args: &Args,
    plan: &Plan,
    opened: &[Opened],
    control: Option<&Control>,
) -> Result<(), Complaint> {
    if args.quiet {
        return Ok(());
    }
    let data = args.command.is_empty() && !args.json;
    let proxies = opened.iter().map(|one| report::ready(&one.title));
    for line in proxies.chain(control.map(|control| report::control(control.address))) {
        if data { console::data(line + "\n")? } else { console::notice(line) }
    }
    console::notice(format!("stentor: all chance follows from --seed {}", plan.seed.0));
    Ok(())
}

/// Until the command or the time has ended, or a signal came; the scenario moves along meanwhile.
fn wait(
    args: &Args,
    mut plan: Plan,
    running: &Running,
    opened: &[Opened],
    control: Option<&Control>,
    mut child: Option<Child>,
    interrupts: &Interrupts,
) -> Result<Exit, Complaint> {
    let began = Instant::now();
    let mut status = Status::default();
    // Proxies that come and go are told of by the control server itself.
    let live = !args.quiet && args.command.is_empty() && control.is_none();
    let live = live && std::io::stderr().is_terminal();
    let exit = loop {
        let signals = interrupts.taken();
        match &mut child {
            None if signals > 0 => break Ok(Exit::Interrupted),
            Some(child) if signals > 0 => {
                if !child.was_interrupted() && !args.quiet {
                    console::notice("stentor: waits for the command; once more ends it at once");
                }
                child.interrupt(signals, interrupts.terminated());
            }
            None | Some(_) => {}
        }
        if child.as_ref().is_some_and(Child::has_ended)
            && let Some(child) = child.take()
        {
            break child.end();
        }
        let elapsed = began.elapsed();
        if args.duration.is_some_and(|Span(limit)| elapsed >= limit) {
            break Ok(Exit::Good);
        }
        let turn = turn(&mut plan, running, opened, control, elapsed)?;
        if live {
            let counts = opened.iter().filter_map(|one| running.handle().counts(one.id).ok()?);
            status.show(&report::live(&counts.collect::<Vec<_>>(), elapsed));
        }
        let left = args.duration.map(|Span(limit)| limit.saturating_sub(elapsed));
        let timeout = [turn, left, live.then_some(LIVE_EVERY)].into_iter().flatten().min();
        let watch = |fd| Watch::new(fd, true, false);
        let mut watches = vec![watch(interrupts.as_fd())];
        watches.extend(child.as_ref().map(|child| watch(child.over())));
        poll::wait(&mut watches, timeout)
            .map_err(|error| Failure::new("poll", "signals", error))?;
    };
    status.clear();
    exit
}

/// Turns the knobs as the scenario has it by now; how long until it turns them again.
fn turn(
    plan: &mut Plan,
    running: &Running,
    opened: &[Opened],
    control: Option<&Control>,
    elapsed: Duration,
) -> Result<Option<Duration>, Complaint> {
    let Some(scenario) = &mut plan.scenario else { return Ok(None) };
    let now = Moment::START + elapsed;
    loop {
        match scenario.poll(now) {
            Turn::Set(_, spec) => {
                for one in opened {
                    let recorded = &mut plan.recorded;
                    let (rules, _) = plan::rules(one.transport, &spec, plan.preset, recorded)?;
                    match control {
                        Some(control) => control::turn(control, one, rules, &spec)?,
                        None => running.handle().set(one.id, rules)?,
                    }
                }
            }
            Turn::Wait(moment) => return Ok(Some(moment.since(now))),
            Turn::Over => return Ok(None),
        }
    }
}
