//! `stentor send`: text to a server, its answer back, and whether it is the right one.
//!
//! The words of the command line become a plan (`plan`); `stream` carries it out over TCP and unix
//! sockets, `datagram` over UDP; `told` is what came of it, and `outcome` says it.

mod datagram;
mod open;
mod outcome;
mod plan;
mod prompt;
mod sink;
mod stream;
mod told;
mod witness;

use std::ffi::OsString;
use std::time::SystemTime;

use stentor_core::casing::Case;
use stentor_core::endpoint::{Target, Transport};
use stentor_core::units::{Amount, Span};
use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;

use crate::complaint::{Complaint, Exit};
use crate::verbs::link::LinkArgs;
use plan::{Plan, Source, Split};
use sink::Sink;
use told::Told;

/// The arguments of `send`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Without a message: standard input is sent as it is (with -u each line as \
    a datagram), or, at a terminal, a prompt asks for sentences.\n\n\
    Exit codes: 0 answered, and rightly; 1 answered wrongly, in part or not at all; 2 usage; \
    3 cannot resolve or connect; 130 interrupted.")]
pub struct Args {
    /// Where to, then what: the first word is a target only as tcp://HOST:PORT, udp://HOST:PORT,
    /// unix:PATH or HOST:PORT; otherwise the target is 127.0.0.1:12000
    // Two things in one list: only their words tell them apart.
    #[arg(value_name = "TARGET] [MESSAGE")]
    words: Vec<OsString>,
    /// Sends datagrams over UDP
    #[arg(short = 'u', long)]
    udp: bool,
    /// Uses IPv4 addresses alone
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Uses IPv6 addresses alone
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Port of the default host, 127.0.0.1 [default: 12000]
    #[arg(short, long, value_name = "PORT")]
    port: Option<u16>,
    /// Longest wait for the connection, and for each silence of the server
    #[arg(short = 'w', long, value_name = "TIME", default_value = "5s")]
    timeout: Span,
    /// Sends a datagram again up to N times, waiting twice as long each time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(..=20))]
    retry: u32,
    /// Takes any answer, not only the upper case of what was sent
    #[arg(long)]
    no_verify: bool,
    /// The capitals a right answer has
    #[arg(long, value_enum, default_value_t = Letters::Unicode)]
    case: Letters,
    /// Pauses for TIME after N bytes of the stream; repeatable
    #[arg(long, value_name = "N@TIME")]
    split: Vec<Split>,
    /// Gives at most N bytes to each send call
    #[arg(long, value_name = "N")]
    chunk: Option<Amount>,
    /// Keeps the sending side open at the end of the input, and closes when all is answered
    #[arg(long)]
    no_half_close: bool,
    /// Ends the connection by a reset when all is answered
    #[arg(long)]
    rst: bool,
    /// Sends from this local port
    #[arg(long, value_name = "PORT")]
    source_port: Option<u16>,
    /// Prints the answer as a hexadecimal dump
    #[arg(long, conflicts_with = "json")]
    hex: bool,
    /// Prints how long each phase took, on standard error
    #[arg(long)]
    timing: bool,
    /// Prints one JSON object (stentor.send/1) instead of the answer
    #[arg(short = 'J', long)]
    json: bool,
    /// Draws every call and what it moved, on standard error
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    link: LinkArgs,
}

/// The alphabets of `--case`.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Letters {
    /// Every letter that Unicode gives a capital
    Unicode,
    /// Only a to z
    Ascii,
}

impl From<Letters> for Case {
    fn from(letters: Letters) -> Case {
        match letters {
            Letters::Unicode => Case::Unicode,
            Letters::Ascii => Case::Ascii,
        }
    }
}

/// Runs the verb.
pub fn run(args: Args) -> Result<Exit, Complaint> {
    let started = SystemTime::now();
    match Plan::read(&args) {
        Ok(plan) => carry_out(&plan, started),
        Err(complaint) if args.json => {
            outcome::print_json(None, None, started, Some(&complaint))?;
            Err(complaint)
        }
        Err(complaint) => Err(complaint),
    }
}

/// Sends what comes from standard input to `target` with every default, as `send TARGET` does:
/// at a terminal it prompts, otherwise it is a filter.
pub fn run_to(target: Target) -> Result<Exit, Complaint> {
    carry_out(&Plan::to(target), SystemTime::now())
}

/// Prompts for sentences at the terminal and sends each to `target` on a new connection (over UDP
/// as a datagram), until the end of the input (^D: the exit of the last failure, 0 if there was
/// none) or ^C (130).
pub fn prompt(target: Target) -> Result<Exit, Complaint> {
    prompt::run(&Plan { source: Source::Prompt, ..Plan::to(target) })
}

fn carry_out(plan: &Plan, started: SystemTime) -> Result<Exit, Complaint> {
    if plan.source == Source::Prompt {
        return prompt::run(plan);
    }
    let interrupts = interrupts()?;
    let mut told = Told::begin();
    let sink = if plan.json { Sink::keep(outcome::JSON_ANSWER_MAX) } else { Sink::print(plan)? };
    let complaint = once(plan, &interrupts, sink, &mut told).err();
    let complaint = complaint.map(|complaint| match (&plan.link, &told.link) {
        (Some(link), Some(beside)) => link.explain(beside, complaint),
        _ => complaint,
    });
    outcome::report(plan, &mut told, started, complaint.as_ref())?;
    match complaint {
        Some(complaint) => Err(complaint),
        None => Ok(Exit::Good),
    }
}

/// SIGINT and SIGTERM, taken over so that they end a wait and not the process.
fn interrupts() -> Result<Interrupts, Complaint> {
    let fail = |error| Failure::new("sigaction", "SIGINT and SIGTERM", error);
    let interrupts = Interrupts::install().map_err(fail)?;
    interrupts.end_blocked_calls().map_err(fail)?;
    Ok(interrupts)
}

/// One conversation from resolving to closing; a complaint if it was not answered rightly. What
/// is known is in `told` either way.
fn once(
    plan: &Plan,
    interrupts: &Interrupts,
    sink: Sink,
    told: &mut Told,
) -> Result<(), Complaint> {
    match plan.transport {
        Transport::Udp => datagram::converse(plan, interrupts, sink, told),
        Transport::Tcp | Transport::Unix => stream::converse(plan, interrupts, sink, told),
    }
}
