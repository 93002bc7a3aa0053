//! Figures that do not depend on the time of day: instructions of the program itself for a
//! request, by callgrind, and system calls, by strace.
//!
//! Each is the difference of two runs of different length, so that start and end are in neither.

use std::ffi::OsString;
use std::fs;
use std::time::{Duration, Instant};

use super::ask::{self, Shape};
use super::duel::Bench;
use super::meter::{Extent, Meter};
use super::peer::{EPOLL, GO, MIO, OURS, PROTOCOL, Peer, TOKIO, TOKIO_ONE};
use super::script::Dialect;
use super::workshop::there;
use crate::notice;

/// Requests of the shorter and the longer run.
const LENGTHS: [u64; 2] = [2_000, 12_000];
const LENGTHS_QUICK: [u64; 2] = [500, 2_500];
const SHAPE: Shape = Shape { connections: 50, depth: 1 };
const COMPARED: &[&Peer] = &[&OURS, &EPOLL, &MIO, &TOKIO, &TOKIO_ONE];
/// Also under strace; valgrind takes a program with its own stacks or an interpreter badly.
const TRACED: &[&Peer] = &[&OURS, &EPOLL, &MIO, &TOKIO, &TOKIO_ONE, &GO, &PROTOCOL];

/// What counts.
#[derive(Clone, Copy, Debug)]
enum Counter {
    Instructions,
    Calls,
}

/// What a request costs one server.
#[derive(Debug)]
pub(crate) struct Count {
    pub(crate) name: &'static str,
    /// Instructions outside the kernel.
    pub(crate) instructions: Option<f64>,
    pub(crate) calls: Option<f64>,
}

/// Counts for every server; nothing of a tool that is not there.
///
/// # Errors
/// A server answers wrong, or a tool does not tell.
pub(crate) fn run(bench: &Bench, quick: bool) -> Result<Vec<Count>, String> {
    let lengths = if quick { LENGTHS_QUICK } else { LENGTHS };
    let tools = [("valgrind", "instructions"), ("strace", "system calls")].map(|(tool, what)| {
        let there = there(tool);
        if !there {
            notice(&format!("SKIPPED: {what} need {tool}(1), which is not there"));
        }
        there
    });
    let mut counts = Vec::new();
    for &peer in TRACED {
        let of = |counter, counts: bool| -> Result<Option<f64>, String> {
            if !counts {
                return Ok(None);
            }
            difference(bench, peer, counter, lengths)
                .map_err(|error| format!("counts of {}: {error}", peer.name))
        };
        let compared = COMPARED.iter().any(|known| known.name == peer.name);
        let instructions = of(Counter::Instructions, tools[0] && compared)?;
        let calls = of(Counter::Calls, tools[1])?;
        if instructions.is_some() || calls.is_some() {
            counts.push(Count { name: peer.name, instructions, calls });
        }
    }
    Ok(counts)
}

fn difference(
    bench: &Bench,
    peer: &Peer,
    counter: Counter,
    lengths: [u64; 2],
) -> Result<Option<f64>, String> {
    let [short, long] = lengths;
    let (Some(less), Some(more)) =
        (count(bench, peer, counter, short)?, count(bench, peer, counter, long)?)
    else {
        return Ok(None);
    };
    Ok(Some(more.saturating_sub(less) as f64 / (long - short) as f64))
}

/// What a run of so many requests counts, from the start of the server to its end.
fn count(
    bench: &Bench,
    peer: &Peer,
    counter: Counter,
    requests: u64,
) -> Result<Option<u64>, String> {
    let file = bench.workshop.file("counts.txt");
    // What an earlier run left must not be read for this one's.
    let _ = fs::remove_file(&file);
    let named = |option: &str| {
        let mut argument = OsString::from(option);
        argument.push(&file);
        argument
    };
    let through: Vec<OsString> = match counter {
        Counter::Instructions => vec![
            "valgrind".into(),
            "--tool=callgrind".into(),
            "--callgrind-out-file=/dev/null".into(),
            named("--log-file="),
        ],
        // -D: the server is our child, and strace its grandchild, so that signals reach it.
        Counter::Calls => {
            vec!["strace".into(), "-D".into(), "-f".into(), "-c".into(), "-o".into(), named("")]
        }
    };
    let Some(server) = peer.start(&bench.workshop, bench.cores.server, &through)? else {
        return Ok(None);
    };
    let mut meter = Meter::new(None, Extent::Count(requests));
    let script = match peer.dialect {
        Dialect::Capitals => &bench.capitals,
        Dialect::Redis => &bench.redis,
    };
    ask::drive(server.address, script, SHAPE, &mut meter)?;
    server.end()?;
    // strace writes after the server has gone.
    let from = Instant::now();
    while from.elapsed() < Duration::from_secs(10) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        if let Some(count) = total(counter, &text) {
            return Ok(Some(count));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(format!("{} has no total", file.display()))
}

fn total(counter: Counter, text: &str) -> Option<u64> {
    match counter {
        Counter::Instructions => {
            text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
        }
        // % time, seconds, usecs/call, calls, and perhaps errors.
        Counter::Calls => {
            let line = text.lines().find(|line| line.trim_end().ends_with(" total"))?;
            line.split_whitespace().nth(3)?.parse().ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_found_in_what_the_tools_write() {
        let callgrind = "==7== Events    : Ir\n==7== Collected : 123456\n";
        assert_eq!(total(Counter::Instructions, callgrind), Some(123_456));
        assert_eq!(total(Counter::Instructions, "==7== Callgrind\n"), None);
        let strace = "% time     seconds  usecs/call     calls    errors syscall\n\
                      ------ ----------- ----------- --------- --------- ----------------\n\
                      100.00    0.001234           1       987         3 total\n";
        assert_eq!(total(Counter::Calls, strace), Some(987));
    }
}
