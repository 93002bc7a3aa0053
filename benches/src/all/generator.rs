//! What a load generator costs by itself: processor time of the client for each request, beside a
//! bare client in C that checks nothing. The server is the same for all.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::ask::{self, Shape};
use super::cores;
use super::duel::{Bench, Spread};
use super::meter::{Extent, Meter};
use super::peer::{EPOLL, Server};
use super::workshop::Source;
use crate::figures::median;
use crate::notice;
use crate::program::{self, Running};

const SHAPE: Shape = Shape { connections: 50, depth: 1 };
const REQUESTS: u64 = 100_000;
const REQUESTS_QUICK: u64 = 10_000;
const LIMIT: Duration = Duration::from_secs(60);
/// Of the processor time of the bare client.
pub(crate) const AT_MOST: f64 = 1.1;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// The yardstick.
    Bare,
    /// The one that all servers here are measured with.
    Bench,
    /// `stentor load`.
    Load,
}

impl Client {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Client::Bare => "C epoll, checks nothing",
            Client::Bench => "this bench's client, checks every byte",
            Client::Load => "stentor load, checks every byte",
        }
    }
}

/// What one of them costs, in all rounds.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) client: Client,
    /// Nanoseconds on a processor for each request.
    pub(crate) cpu_ns: Vec<f64>,
}

impl Cost {
    pub(crate) fn median_ns(&self) -> f64 {
        median(self.cpu_ns.clone())
    }

    /// Its processor time to that of another, round by round.
    pub(crate) fn to(&self, other: &Cost) -> Spread {
        Spread::of(self.cpu_ns.iter().zip(&other.cpu_ns).map(|(mine, its)| mine / its).collect())
    }
}

/// Has the clients take turns; the bare one comes first.
///
/// # Errors
/// A client fails, or an answer is wrong.
pub(crate) fn run(bench: &Bench, quick: bool) -> Result<Vec<Cost>, String> {
    let requests = if quick { REQUESTS_QUICK } else { REQUESTS };
    let Some(bare) = bench.workshop.program(Source::C("client"))? else { return Ok(Vec::new()) };
    let mut costs = vec![Client::Bare, Client::Bench];
    match has_load()? {
        true => costs.push(Client::Load),
        false => notice("SKIPPED: stentor has no verb load; the bench's own client stands for it"),
    }
    let mut costs: Vec<Cost> =
        costs.into_iter().map(|client| Cost { client, cpu_ns: Vec::new() }).collect();
    for _ in 0..bench.pace.rounds {
        for cost in &mut costs {
            let Some(server) = EPOLL.start(&bench.workshop, bench.cores.server, &[])? else {
                return Ok(Vec::new());
            };
            let turn = || match cost.client {
                Client::Bench => own(bench, &server, requests),
                Client::Bare => {
                    let port = server.address.port().to_string();
                    let connections = SHAPE.connections.to_string();
                    let mut argv = bare.clone();
                    argv.extend([port, connections, requests.to_string()].map(OsString::from));
                    spent(&argv, requests, |said| said.trim().parse().ok())
                }
                Client::Load => spent(&load(&server, requests)?, requests, verified),
            };
            let ns = cores::on(bench.cores.client, turn)
                .map_err(|error| format!("{}: {error}", cost.client.name()))?;
            cost.cpu_ns.push(ns / requests as f64);
        }
    }
    Ok(costs)
}

/// Whether this `stentor` can drive load; a verb is in the help only once it works.
pub(crate) fn has_load() -> Result<bool, String> {
    says(&["--help"], "\n  load ")
}

/// Whether what `stentor` prints with these arguments has some words in it.
pub(crate) fn says(arguments: &[&str], words: &str) -> Result<bool, String> {
    let output = Command::new(program::stentor()?)
        .args(arguments)
        .output()
        .map_err(|error| format!("stentor {arguments:?}: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).contains(words))
}

fn load(server: &Server, requests: u64) -> Result<Vec<OsString>, String> {
    let mut argv = vec![program::stentor()?.into_os_string()];
    let (target, requests) = (format!("tcp://{}", server.address), requests.to_string());
    let connections = SHAPE.connections.to_string();
    let flags = ["load", &target, "-c", &connections, "-r", "max", "-n", &requests, "-l", "32"];
    argv.extend(flags.map(OsString::from));
    argv.extend(["--quiet", "--json"].map(OsString::from));
    Ok(argv)
}

/// How many replies `load` says it has verified.
fn verified(said: &str) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_str(said).ok()?;
    value.pointer("/result/requests/verified")?.as_u64()
}

/// Processor time in ns of a program from its start to its end. Children are awaited one at a time
/// here, so that the growth of RUSAGE_CHILDREN (getrusage(2)) is its own.
fn spent(
    argv: &[OsString],
    requests: u64,
    answered: impl Fn(&str) -> Option<u64>,
) -> Result<f64, String> {
    let (program, arguments) = argv.split_first().ok_or("no program")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    let before = children_ns()?;
    let mut running = Running::start(&mut command)?;
    let out = running.child.stdout.take().ok_or("no pipe")?;
    let said = std::thread::spawn(move || std::io::read_to_string(out));
    let status = running.wait(LIMIT)?;
    let ns = children_ns()? - before;
    let said = said.join().map_err(|_| "the reader failed".to_owned())?;
    let said = said.map_err(|error| format!("read what it says: {error}"))?;
    match answered(&said) {
        Some(count) if count == requests && status.success() => Ok(ns),
        _ => Err(format!("{status}; {requests} were asked for, and it says {said:?}")),
    }
}

fn children_ns() -> Result<f64, String> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_err(|errno| format!("getrusage RUSAGE_CHILDREN: {errno}"))?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 * 1e3)
}

/// Processor time in ns of this bench's client, connecting included, as it is for the others.
fn own(bench: &Bench, server: &Server, requests: u64) -> Result<f64, String> {
    let thread_ns = || {
        getrusage(UsageWho::RUSAGE_THREAD)
            .map(|usage| (usage.user_time() + usage.system_time()).num_microseconds() as f64 * 1e3)
            .map_err(|errno| format!("getrusage RUSAGE_THREAD: {errno}"))
    };
    let before = thread_ns()?;
    let mut meter = Meter::new(None, Extent::Count(requests));
    ask::drive(server.address, &bench.capitals, SHAPE, &mut meter)?;
    Ok(thread_ns()? - before)
}
