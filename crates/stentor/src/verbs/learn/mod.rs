//! `stentor learn`: the lecture as lessons that run on real sockets and prove what they say.
//!
//! Here: the arguments, the catalogue, and how a run ends. What a lesson stands on is in `stage`
//! and `calls`, how it looks in `page`, its words in `lessons/` beside the crates.

mod account;
#[cfg(target_os = "linux")]
mod apart;
mod backlog;
#[cfg(target_os = "linux")]
mod buffer;
mod byte_order;
mod bytestream;
mod calls;
#[cfg(target_os = "linux")]
mod causes;
#[cfg(target_os = "linux")]
mod checksum;
mod close;
mod concurrency;
mod errors;
mod evidence;
mod fetch;
mod half;
#[cfg(target_os = "linux")]
mod header;
mod latency;
#[cfg(target_os = "linux")]
mod loss;
mod manifest;
mod nonblocking;
mod overhead;
mod page;
mod peer;
mod ports;
mod qualify;
mod segments;
mod service;
mod socket;
mod stage;
mod tcp;
mod text;
mod udp;
#[cfg(target_os = "linux")]
mod udp_header;
#[cfg(target_os = "linux")]
mod witnessed;

use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::time::SystemTime;

use clap::builder::{PossibleValue, PossibleValuesParser};
use stentor_os::failure::Failure;
use stentor_os::net::interfaces;
use stentor_os::signal::Interrupts;

use self::page::{View, heading, verdict_line};
use self::stage::{Record, Stage, Stop, verdict};
use self::text::Text;
use crate::complaint::{Complaint, Exit};
use crate::report::console;

/// The arguments of `learn`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The lesson, by name or by number; without one: the list of lessons
    #[arg(value_name = "LESSON", value_parser = names(), hide_possible_values = true)]
    lesson: Option<String>,
    /// Runs every lesson and ends with a table
    #[arg(long, conflicts_with = "lesson")]
    all: bool,
    /// Adds the reason to each step
    #[arg(long)]
    explain: bool,
    /// Shows only the verdict
    #[arg(short, long)]
    quiet: bool,
    /// One JSON object (schema stentor.learn/1) instead of text
    #[arg(short = 'J', long)]
    json: bool,
}

/// A lesson of the catalogue.
struct Lesson {
    /// Its place in the lecture's order; the numbers of lessons yet to come stay free.
    number: u8,
    /// The number as a person types it.
    digits: &'static str,
    name: &'static str,
    group: Group,
    /// The words, as in `lessons/`.
    source: &'static str,
    play: fn(&mut Stage<'_>) -> Result<(), Stop>,
}

/// The groups of the lecture's lessons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Calls,
    Bytes,
    Servers,
    Price,
    Applications,
}

impl Group {
    fn title(self) -> &'static str {
        match self {
            Group::Calls => "1  Sockets and their calls",
            Group::Bytes => "2  What travels",
            Group::Servers => "3  Servers and their limits",
            Group::Price => "4  What a transport costs",
            Group::Applications => "5  Applications",
        }
    }
}

macro_rules! lesson {
    ($number:literal, $name:literal, $group:ident, $play:path) => {
        Lesson {
            number: $number,
            digits: stringify!($number),
            name: $name,
            group: Group::$group,
            source: include_str!(concat!("../../../../../lessons/", $name, ".md")),
            play: $play,
        }
    };
}

/// The lessons that exist, in the lecture's order.
const LESSONS: &[Lesson] = &[
    lesson!(1, "socket", Calls, socket::play),
    lesson!(2, "udp", Calls, udp::play),
    lesson!(3, "tcp", Calls, tcp::play),
    #[cfg(target_os = "linux")]
    lesson!(4, "calls", Calls, causes::play),
    lesson!(5, "errors", Calls, errors::play),
    lesson!(6, "bytestream", Bytes, bytestream::play),
    lesson!(7, "half", Bytes, half::play),
    lesson!(8, "byte-order", Bytes, byte_order::play),
    #[cfg(target_os = "linux")]
    lesson!(9, "udp-header", Bytes, udp_header::play),
    #[cfg(target_os = "linux")]
    lesson!(10, "checksum", Bytes, checksum::play),
    lesson!(11, "ports", Servers, ports::play),
    lesson!(12, "concurrency", Servers, concurrency::play),
    lesson!(13, "nonblocking", Servers, nonblocking::play),
    lesson!(14, "backlog", Servers, backlog::play),
    lesson!(15, "close", Servers, close::play),
    lesson!(16, "overhead", Price, overhead::play),
    #[cfg(target_os = "linux")]
    lesson!(17, "loss", Price, loss::play),
    lesson!(18, "latency", Price, latency::play),
    lesson!(19, "qualify", Price, qualify::play),
    lesson!(21, "fetch", Applications, fetch::play),
    lesson!(22, "peer", Applications, peer::play),
    #[cfg(target_os = "linux")]
    lesson!(23, "buffer", Applications, buffer::play),
    lesson!(24, "manifest", Applications, manifest::play),
];

/// Names and numbers, so that the parser refuses others and names the nearest.
fn names() -> PossibleValuesParser {
    let value = |lesson: &Lesson| PossibleValue::new(lesson.name).alias(lesson.digits);
    PossibleValuesParser::new(LESSONS.iter().map(value))
}

/// A lesson that was played.
struct Played {
    lesson: &'static Lesson,
    text: Text,
    record: Record,
    exit: Exit,
    complaint: Option<Complaint>,
}

/// Runs the verb.
pub fn run(args: Args) -> Result<Exit, Complaint> {
    let wanted = args.lesson.as_deref();
    let chosen: Vec<_> = LESSONS
        .iter()
        .filter(|lesson| args.all || wanted.is_some_and(|w| w == lesson.name || w == lesson.digits))
        .collect();
    let started = SystemTime::now();
    if chosen.is_empty() {
        match args.json {
            true => console::data(account::text(started, &[], Exit::Good))?,
            false => list()?,
        }
        return Ok(Exit::Good);
    }
    let view =
        View { quiet: args.quiet || args.json, explain: args.explain, colour: console::colour() };
    let interrupts = Interrupts::install()
        .map_err(|error| Failure::new("sigaction", "SIGINT and SIGTERM", error))?;
    loopback()?;
    let mut played = Vec::new();
    for lesson in chosen {
        if args.all && !view.quiet && !played.is_empty() {
            console::data(format!("\n{}\n\n", "-".repeat(80)))?;
        }
        let run = play(lesson, view, &interrupts, &mut |text| console::data(text))?;
        if !args.json {
            tell(&run, view.colour)?;
        }
        let exit = run.exit;
        played.push(run);
        if exit == Exit::Interrupted {
            break;
        }
    }
    let exit = worst(&played);
    if args.json {
        console::data(account::text(started, &played, exit))?;
        for words in played.iter().filter_map(account::complaint) {
            console::notice(format!("stentor: {words}"));
        }
    } else if args.all {
        console::data(table(&played, view.colour))?;
    }
    Ok(exit)
}

/// Refuses where there is no loopback to play on.
fn loopback() -> Result<(), Complaint> {
    let known =
        interfaces::ipv4().map_err(|error| Failure::new("getifaddrs", "the interfaces", error))?;
    match known.iter().any(|interface| interface.address == Ipv4Addr::LOCALHOST) {
        true => Ok(()),
        false => Err(Complaint::new(
            Exit::Impossible,
            "no interface of this machine has the address 127.0.0.1",
            "Bring the loopback up: ip link set lo up.",
        )),
    }
}

/// Plays one lesson; an error only if our own output failed.
fn play(
    lesson: &'static Lesson,
    view: View,
    interrupts: &Interrupts,
    out: &mut dyn FnMut(&str) -> io::Result<()>,
) -> Result<Played, Complaint> {
    let text = Text::parse(lesson.source);
    let mut stage = Stage::new(view, out, Some(interrupts));
    stage.open(lesson.number, lesson.name, &text)?;
    let ended = match (lesson.play)(&mut stage) {
        Ok(()) => stage.end(&text).map_err(Stop::Output),
        Err(stop) => Err(stop),
    };
    let record = stage.into_record();
    let (exit, complaint) = match verdict(&record, ended) {
        Ok(exit) => (exit, None),
        // Nobody reads any more: no word, no further lesson.
        Err(complaint) if complaint.what.is_empty() => return Err(complaint),
        Err(complaint) => (complaint.exit, Some(complaint)),
    };
    Ok(Played { lesson, text, record, exit, complaint })
}

/// The verdict of one lesson.
fn tell(played: &Played, colour: bool) -> io::Result<()> {
    let name = played.lesson.name;
    match &played.complaint {
        Some(complaint) => {
            console::notice(format!("stentor: learn {name}: {complaint}"));
            Ok(())
        }
        None => {
            let good = played.exit == Exit::Good;
            console::data(verdict_line(name, &played.record.claims, good, colour))
        }
    }
}

/// The list of lessons.
fn list() -> io::Result<()> {
    let mut shown = "Lessons: each runs on real sockets and proves what it says.\n".to_owned();
    let mut group = None;
    for lesson in LESSONS {
        if group != Some(lesson.group) {
            let title = heading(console::colour(), lesson.group.title());
            let _ = write!(shown, "\n{title}\n");
            group = Some(lesson.group);
        }
        let title = Text::parse(lesson.source).title;
        let _ = writeln!(shown, "  {:>2}  {:<12} {title}", lesson.number, lesson.name);
    }
    shown
        .push_str("\nstentor learn NAME (or its number) runs one; stentor learn --all runs all.\n");
    console::data(shown)
}

/// All verdicts under each other.
fn table(played: &[Played], colour: bool) -> String {
    let mut shown = format!("\n{}\n", heading(colour, "All lessons"));
    for run in played {
        let held = run.record.claims.iter().filter(|claim| claim.held).count();
        let verdict = match run.exit {
            Exit::Good => "holds",
            Exit::Impossible => "not possible here",
            Exit::Interrupted => "interrupted",
            Exit::Bad
            | Exit::Usage
            | Exit::Environment
            | Exit::Ours
            | Exit::NotExecutable
            | Exit::NotFound
            | Exit::Passed(_) => "FAILS",
        };
        let (number, name) = (run.lesson.number, run.lesson.name);
        let claims = run.record.claims.len();
        let _ =
            writeln!(shown, "  {number:>2}  {name:<12} {held:>2} of {claims:>2} claims  {verdict}");
    }
    shown
}

/// One exit code for several lessons: an early end, then a contradiction weighs most, then what could not be tried.
fn worst(played: &[Played]) -> Exit {
    let any = |exit| played.iter().any(|run| run.exit == exit);
    [Exit::Interrupted, Exit::Bad, Exit::Environment, Exit::Impossible]
        .into_iter()
        .find(|exit| any(*exit))
        .unwrap_or(Exit::Good)
}
