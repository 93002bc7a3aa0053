//! More clients than the service has places or descriptors for: what it costs while they wait, and
//! how soon the next is served once one leaves.
//!
//! `serve` keeps 64 descriptors back and caps its connections below its limit, so EMFILE cannot
//! come of clients alone. It is made to come: the limit of the running process is lowered with
//! prlimit(1) to what it has open.

use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mio::net::TcpStream as Watched;
use mio::{Events, Interest, Poll, Token};

use crate::client::{self, PATIENCE};
use crate::figures::yes;
use crate::notice;
use crate::program::Server;
use crate::watch;

const PLACES: usize = 100;
const SURPLUS: usize = 200;
const WATCHED: Duration = Duration::from_secs(4);
const WATCHED_QUICK: Duration = Duration::from_secs(2);
const RECOVERIES: usize = 40;
const RECOVERIES_QUICK: usize = 20;

const CPU_MAX_PERCENT: f64 = 2.0;
const RECOVERY_MAX_MS: f64 = 100.0;
const QUESTION: &[u8] = b"is anybody there?\n";
const ANSWER: &[u8] = b"IS ANYBODY THERE?\n";

/// What runs out.
#[derive(Clone, Copy, PartialEq)]
enum Scarce {
    /// Nothing: for comparison.
    Nothing,
    Places,
    Descriptors,
}

/// Measures and renders the table, in Markdown.
pub(crate) fn measure(quick: bool) -> Result<String, String> {
    client::descriptors()?;
    let mut table = format!(
        "{PLACES} clients are served, {SURPLUS} more wait with a question sent; then one leaves, \
         again and again.\n\n\
         | what ran out | `accept` failed | CPU of serve, % of one core | at most 2 % | log lines \
         | at most one a second | next answer after one left: median, ms | slowest, ms | at most \
         100 ms |\n|---|---|---|---|---|---|---|---|---|\n"
    );
    let prlimit = Command::new("prlimit").arg("--version").stdout(Stdio::null()).status();
    let has_prlimit = prlimit.is_ok_and(|status| status.success());
    for scarce in [Scarce::Nothing, Scarce::Places, Scarce::Descriptors] {
        if scarce == Scarce::Descriptors && !has_prlimit {
            notice("SKIPPED: EMFILE needs prlimit(1), of util-linux, which is not there");
            continue;
        }
        row(&mut table, scarce, quick)?;
    }
    Ok(table)
}

fn row(table: &mut String, scarce: Scarce, quick: bool) -> Result<(), String> {
    let (span, recoveries) = match quick {
        true => (WATCHED_QUICK, RECOVERIES_QUICK),
        false => (WATCHED, RECOVERIES),
    };
    let cap = PLACES.to_string();
    let arguments: &[&str] = match scarce {
        Scarce::Places => &["-p", "0", "--max-conns", &cap],
        Scarce::Nothing | Scarce::Descriptors => &["-p", "0"],
    };
    let server = Server::start(arguments)?;
    let address = server.address()?;
    let served = client::many(address, PLACES)?;
    if scarce == Scarce::Descriptors {
        forbid_more(server.pid())?;
    }
    let surplus = if scarce == Scarce::Nothing { 0 } else { SURPLUS };
    let waiting = Waiting::new(address, surplus)?;
    let (from, before) = (Instant::now(), watch::cpu_ns(server.pid())?);
    // The span itself is what is measured.
    std::thread::sleep(span);
    let spent = watch::cpu_ns(server.pid())?.saturating_sub(before);
    let watched = from.elapsed();
    let cpu = 100.0 * spent as f64 / watched.as_nanos() as f64;
    let lines = server.lines_since(from);
    let whole_seconds = usize::try_from(watched.as_secs()).unwrap_or(usize::MAX);
    let mut times = waiting.recover(served, if surplus == 0 { 0 } else { recoveries })?;
    times.sort_by(f64::total_cmp);
    let middle = times.get(times.len() / 2).copied();
    let slowest = times.last().copied();
    let failed = accept_failures(&server.end()?);
    let shown = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.2}"));
    let name = match scarce {
        Scarce::Nothing => "nothing",
        Scarce::Places => "places (`--max-conns 100`)",
        Scarce::Descriptors => "descriptors (EMFILE)",
    };
    if scarce == Scarce::Descriptors && failed == 0 {
        return Err("accept never failed: the limit was not reached".to_owned());
    }
    writeln!(
        table,
        "| {name} | {failed} times | {cpu:.2} | {} | {} in {:.0} s | {} | {} | {} | {} |",
        yes(cpu <= CPU_MAX_PERCENT),
        lines.len(),
        watched.as_secs_f64(),
        yes(lines.len() <= whole_seconds + 1),
        shown(middle),
        shown(slowest),
        slowest.map_or("-", |ms| yes(ms <= RECOVERY_MAX_MS)),
    )
    .map_err(|error| error.to_string())
}

/// Lowers a process's limit so that the next descriptor is refused with EMFILE: to the first
/// number that is free, since numbers are given from the lowest on (open(2)).
fn forbid_more(pid: u32) -> Result<(), String> {
    let open = watch::descriptors(pid)?;
    let limit = (0..).find(|number| !open.contains(number)).unwrap_or(0);
    let status = Command::new("prlimit")
        .args([format!("--pid={pid}"), format!("--nofile={limit}:{limit}")])
        .status()
        .map_err(|error| format!("prlimit: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("prlimit: {status}")) }
}

/// The number in `accept       failed 3 times`, a line which is left out at 0.
fn accept_failures(summary: &str) -> u64 {
    let line = summary.lines().find_map(|line| line.strip_prefix("accept"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

/// Clients in the backlog, each with a question sent.
struct Waiting {
    poll: Poll,
    streams: Vec<Watched>,
}

impl Waiting {
    fn new(address: SocketAddr, count: usize) -> Result<Waiting, String> {
        let failed = |error: io::Error| format!("a client that waits: {error}");
        let poll = Poll::new().map_err(failed)?;
        let mut streams = Vec::new();
        for number in 0..count {
            // The kernel completes the handshake: the backlog has room for them all.
            let mut stream = client::connect(address)?;
            stream.write_all(QUESTION).map_err(failed)?;
            stream.set_nonblocking(true).map_err(failed)?;
            let mut stream = Watched::from_std(stream);
            let interest = Interest::READABLE;
            poll.registry().register(&mut stream, Token(number), interest).map_err(failed)?;
            streams.push(stream);
        }
        Ok(Waiting { poll, streams })
    }

    /// Lets one of the served go at a time, and says after how many milliseconds each time the
    /// next had its answer.
    fn recover(mut self, mut served: Vec<TcpStream>, times: usize) -> Result<Vec<f64>, String> {
        let mut took = Vec::new();
        let mut events = Events::with_capacity(8);
        for _ in 0..times {
            self.poll
                .poll(&mut events, Some(Duration::ZERO))
                .map_err(|error| format!("poll: {error}"))?;
            if !events.is_empty() {
                return Err("a client was answered for whom there was no place".to_owned());
            }
            let Some(leaving) = served.pop() else { break };
            let from = Instant::now();
            drop(leaving);
            let next = self.answered(from)?;
            took.push(from.elapsed().as_secs_f64() * 1e3);
            self.check(next)?;
        }
        Ok(took)
    }

    /// Who is answered next.
    fn answered(&mut self, from: Instant) -> Result<usize, String> {
        let mut events = Events::with_capacity(8);
        while from.elapsed() < PATIENCE {
            let left = PATIENCE.saturating_sub(from.elapsed());
            self.poll.poll(&mut events, Some(left)).map_err(|error| format!("poll: {error}"))?;
            if let Some(event) = events.iter().next() {
                return Ok(event.token().0);
            }
        }
        Err("nobody was served after one had left".to_owned())
    }

    /// Checks the answer of one, who keeps the place.
    fn check(&mut self, number: usize) -> Result<(), String> {
        let stream = self.streams.get_mut(number);
        let mut answer = [0; 64];
        let count = stream
            .ok_or("no such client")?
            .read(&mut answer)
            .map_err(|error| format!("the answer: {error}"))?;
        match answer.get(..count) == Some(ANSWER) {
            true => Ok(()),
            false => Err(format!("{count} bytes are not the answer")),
        }
    }
}
