//! Clients that write for ever and never read: what they cost the service in memory, and another
//! client in time.
//!
//! "Before" and "during" take turns on one service. During means: every one of them is stuck, as
//! neither the kernel nor the service takes any more. While they still fill the buffers of the
//! kernel they compete for the processor, which is told apart.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::client;
use crate::figures::{Latencies, mib, yes};
use crate::program::Server;

const CLIENTS: usize = 1_000;
const ROUNDS: usize = 6;
const ROUNDS_QUICK: usize = 2;
const SPAN: Duration = Duration::from_secs(2);
const SPAN_QUICK: Duration = Duration::from_millis(500);
/// Growth of the service's resident memory with all of them, in bytes.
const GROWTH_MAX: u64 = 64 << 20;
const P99_RATIO_MAX: f64 = 2.0;
/// When nobody could write a byte for so long, all are stuck.
const STUCK: Duration = Duration::from_millis(400);

/// Round trips of the other client.
#[derive(Default)]
struct Tally {
    before: Latencies,
    filling: Latencies,
    during: Latencies,
    rss_max: u64,
    written_max: u64,
}

/// Measures and renders the table, in Markdown.
pub(crate) fn measure(quick: bool) -> Result<String, String> {
    client::descriptors()?;
    let (rounds, span) = if quick { (ROUNDS_QUICK, SPAN_QUICK) } else { (ROUNDS, SPAN) };
    // They are to stay for the whole turn, not to be closed as stalled after 30 s.
    let server = Server::start(&["-p", "0", "--write-stall", "10m"])?;
    let address = server.address()?;
    drop(client::many(address, 64)?);
    let rss = server.memory("VmRSS")?;
    let mut tally = Tally::default();
    for _ in 0..rounds {
        round(&server, address, span, &mut tally)?;
    }
    let peak = server.memory("VmHWM")?;
    let said = server.end()?;
    render(rounds, rss, peak, tally, &said)
}

fn round(
    server: &Server,
    address: SocketAddr,
    span: Duration,
    tally: &mut Tally,
) -> Result<(), String> {
    // A few, so that one that shares its thread with the other client is among them.
    let mut others = client::many(address, 4)?;
    for other in &mut others {
        tally.before.merge(&client::ping_pong(other, span / 4)?);
    }
    let mut writers = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        let stream = client::connect(address)?;
        stream.set_nonblocking(true).map_err(|error| format!("nonblocking: {error}"))?;
        writers.push(stream);
    }
    let filler = std::thread::spawn(move || {
        let written = fill(&mut writers);
        written.map(|written| (writers, written))
    });
    while !filler.is_finished() {
        for other in &mut others {
            tally.filling.merge(&client::ping_pong(other, Duration::from_millis(50))?);
        }
    }
    let (writers, written) = filler.join().map_err(|_| "the filler failed".to_owned())??;
    tally.written_max = tally.written_max.max(written);
    for other in &mut others {
        tally.during.merge(&client::ping_pong(other, span / 4)?);
    }
    tally.rss_max = tally.rss_max.max(server.memory("VmRSS")?);
    drop(writers);
    Ok(())
}

/// Writes to all until none takes a byte any more; how many bytes they took.
fn fill(writers: &mut [TcpStream]) -> Result<u64, String> {
    let text = "the herald calls across the water\n".repeat(2_000);
    let (mut written, mut moved, from) = (0, Instant::now(), Instant::now());
    while moved.elapsed() < STUCK {
        for writer in &mut *writers {
            match writer.write(text.as_bytes()) {
                Ok(count) => {
                    written += count as u64;
                    moved = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(format!("a client that never reads: {error}")),
            }
        }
        if from.elapsed() > Duration::from_secs(60) {
            return Err("clients that never read could write for 60 s: no end".to_owned());
        }
        // Nothing announces that nobody can write; the processor is left to the service.
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(written)
}

fn render(
    rounds: usize,
    rss: u64,
    peak: u64,
    mut tally: Tally,
    summary: &str,
) -> Result<String, String> {
    let growth = tally.rss_max.max(peak).saturating_sub(rss);
    let before = tally.before.percentiles_us([50, 99]);
    let filling = tally.filling.percentiles_us([50, 99]);
    let during = tally.during.percentiles_us([50, 99]);
    let ratio = |of: [f64; 2]| [of[0] / before[0], of[1] / before[1]];
    let mut table = format!(
        "{CLIENTS} clients that write and never read; {rounds} rounds before, filling, during, on \
         one service.\n\n\
         | memory of `serve` | MiB |\n|---|---|\n\
         | RSS before | {:.1} |\n| RSS with all stuck, highest | {:.1} |\n\
         | peak (VmHWM) | {:.1} |\n| growth | {:.1} |\n| at most 64 MiB | {} |\n\
         | written by all before they were stuck, kernel and service | {:.0} |\n\n\
         | another client's ping-pong | round trips | p50, us | p99, us | p50 to before | p99 to \
         before | p99 below 2 |\n|---|---|---|---|---|---|---|\n",
        mib(rss),
        mib(tally.rss_max),
        mib(peak),
        mib(growth),
        yes(growth <= GROWTH_MAX),
        mib(tally.written_max),
    );
    let rows = [
        ("before", before, tally.before.len(), false),
        ("while they fill", filling, tally.filling.len(), false),
        ("all stuck", during, tally.during.len(), true),
    ];
    for (name, [p50, p99], count, demanded) in rows {
        let [r50, r99] = ratio([p50, p99]);
        let verdict = if demanded { yes(r99 < P99_RATIO_MAX) } else { "-" };
        writeln!(
            table,
            "| {name} | {count} | {p50:.1} | {p99:.1} | {r50:.2} | {r99:.2} | {verdict} |"
        )
        .map_err(|error| error.to_string())?;
    }
    if let Some(line) = summary.lines().find(|line| line.starts_with("connections")) {
        writeln!(table, "\nIts own account: `{line}`").map_err(|error| error.to_string())?;
    }
    Ok(table)
}
