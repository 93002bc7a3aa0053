//! `stentor impair`: a worse network between a client and a server, in ways that are true and can be
//! repeated.
//!
//! Here words become proxies, and counts a report; the proxies are driven by
//! [`crate::drive::impair`], and what happens to bytes and datagrams is decided in core.

mod command;
mod decisions;
mod plan;
mod scenario;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use stentor_core::link::{Spec, Turn};
use stentor_core::moment::Moment;
use stentor_core::units::Span;
use stentor_os::failure::Failure;
use stentor_os::net::poll::{self, Watch};
use stentor_os::signal::Interrupts;

use crate::complaint::{Complaint, Exit};
use crate::drive::impair::{self, Counts, Running};
use crate::report::json::{self, Envelope};
use crate::report::{console, impair as report};
use command::Child;
use plan::{Opened, Plan};

/// How often the live line is written anew.
const LIVE_EVERY: Duration = Duration::from_millis(500);

/// The arguments of `impair`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
    stentor impair 8000 127.0.0.1:12000 --link delay=20ms,jitter=5ms,loss=1%\n    \
    stentor impair udp://127.0.0.1:8000 udp://127.0.0.1:12000 --up burst=1%/25% --seed 7\n    \
    stentor impair 127.0.0.1:12000 --link 3g -- stentor send '{}' hello\n\n\
    Words of a link (docs/impair.md explains each): delay jitter order rate queue slots trace, on \
    datagrams loss burst every duplicate reorder corrupt, on streams stall reset half-close \
    slow-close truncate refuse slice loss-as-delay corrupt; presets 3g edge dsl satellite wifi \
    starlink.\n\n\
    With -- COMMAND the exit code is the command's; 125 is a failure of impair itself, 126 and 127 \
    as in timeout(1). Without, ^C ends it with 130.")]
pub struct Args {
    /// Where clients come in (ADDRESS:PORT, a port alone is on 127.0.0.1, tcp:// or udp:// chooses),
    /// and where it leads; with -- COMMAND the first may be left out
    #[arg(value_name = "LISTEN] [TARGET")]
    words: Vec<String>,
    /// A command to run with {} replaced by the address of the proxy
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    /// What the network does, in both directions
    #[arg(long, value_name = "SPEC")]
    link: Option<Spec>,
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
    /// End by itself after this time
    #[arg(short, long, value_name = "TIME")]
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
    let outcome = carry_out(&args, &mut told);
    let outcome = outcome.map_err(|complaint| if own { ours(complaint) } else { complaint });
    if args.json {
        let exit = outcome.as_ref().map_or_else(|complaint| complaint.exit, |exit| *exit);
        let error = outcome.as_ref().err().map(ToString::to_string);
        let mut object: Envelope<json::impair::Config, json::impair::Outcome> =
            Envelope::new(json::impair::SCHEMA, started, exit, error);
        object.config = told.config;
        object.result = told.ended.then(|| json::impair::Outcome::new(&told.proxies));
        object.warnings = told.warnings;
        console::data(object.text())?;
    }
    outcome
}

/// What is known of a run, whatever came of it.
#[derive(Debug, Default)]
struct Told {
    config: Option<json::impair::Config>,
    /// Each proxy in words, and what it did.
    proxies: Vec<(report::Title, Counts)>,
    warnings: Vec<String>,
    ended: bool,
}

/// A command's exit codes are passed on, so failures of our own have codes of their own.
fn ours(complaint: Complaint) -> Complaint {
    let own = matches!(complaint.exit, Exit::Bad | Exit::Environment | Exit::Impossible);
    Complaint { exit: if own { Exit::Ours } else { complaint.exit }, ..complaint }
}

fn carry_out(args: &Args, told: &mut Told) -> Result<Exit, Complaint> {
    let plan = Plan::read(args)?;
    let interrupts = Interrupts::install()
        .map_err(|error| Failure::new("sigaction", "SIGINT and SIGTERM", error))?;
    let (log, written) = decisions::open(args.decisions.as_deref())?;
    let running = impair::start(plan.seed, log)?;
    let opened = plan.open(running.handle())?;
    told.config = Some(plan.config(&opened));
    told.warnings = plan.notices.clone();
    for notice in &plan.notices {
        console::notice(format!("stentor: {notice}"));
    }
    ready(args, &plan, &opened)?;
    let child = match args.command.as_slice() {
        [] => None,
        command => Some(Child::start(command, &opened)?),
    };
    let ended = wait(args, plan, &running, &opened, child, &interrupts);
    for one in &opened {
        let counts = running.handle().close(one.id).ok().flatten();
        told.proxies.extend(counts.map(|counts| (one.title.clone(), counts)));
    }
    told.ended = true;
    running.stop().map_err(|error| Failure::new("epoll_wait", "the loop of the proxies", error))?;
    if !args.quiet && !args.json {
        let text = report::text(&told.proxies);
        if args.command.is_empty() {
            console::data(text)?
        } else {
            console::notice(text.trim_end())
        }
    }
    written.check()?;
    ended
}

/// Where the proxies are, which tier is in force, and how to repeat it.
fn ready(args: &Args, plan: &Plan, opened: &[Opened]) -> Result<(), Complaint> {
    if args.quiet {
        return Ok(());
    }
    let data = args.command.is_empty() && !args.json;
    for one in opened {
        let line = report::ready(&one.title);
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
    mut child: Option<Child>,
    interrupts: &Interrupts,
) -> Result<Exit, Complaint> {
    let began = Instant::now();
    let mut status = console::Status::default();
    let live = !args.quiet && args.command.is_empty() && std::io::stderr().is_terminal();
    let exit = loop {
        if interrupts.taken() > 0 {
            // The command is in the same group at a terminal, and has heard it, too.
            break child
                .take()
                .map_or(Ok(Exit::Interrupted), |child| child.end().map(|_| Exit::Interrupted));
        }
        if child.as_ref().is_some_and(Child::has_ended)
            && let Some(child) = child.take()
        {
            break child.end();
        }
        let elapsed = began.elapsed();
        if args.duration.is_some_and(|Span(limit)| elapsed >= limit) && child.is_none() {
            break Ok(Exit::Good);
        }
        let turn = turn(&mut plan, running, opened, elapsed)?;
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
    elapsed: Duration,
) -> Result<Option<Duration>, Complaint> {
    let Some(scenario) = &mut plan.scenario else { return Ok(None) };
    let now = Moment::START + elapsed;
    loop {
        match scenario.poll(now) {
            Turn::Set(_, spec) => {
                for one in opened {
                    running.handle().set(one.id, plan::rules(one.transport, &spec)?)?;
                }
            }
            Turn::Wait(moment) => return Ok(Some(moment.since(now))),
            Turn::Over => return Ok(None),
        }
    }
}
