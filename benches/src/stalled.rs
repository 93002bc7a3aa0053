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
const ROUNDS_QUICK: usize = 1;
const SPAN: Duration = Duration::from_secs(2);
const SPAN_QUICK: Duration = Duration::from_millis(200);
/// Growth of the service's resident memory with all of them, in bytes.
const GROWTH_MAX: u64 = 64 << 20;
const P99_RATIO_MAX: f64 = 2.0;
/// When nobody could write a byte for so long, all are stuck; a single turn of a service's loop
/// over 1,000 full buffers may take a good part of it.
const STUCK: Duration = Duration::from_millis(1_500);

/// What they write, and more arguments of the service: plain text, and what costs a service most,
/// as its capitals are three times as long (U+0390); that also with more threads than most
/// machines of today have cores, since a bound for each thread would not be one for all.
const CASES: &[(&str, &str, &[&str])] = &[
    ("ASCII", ASCII, &[]),
    ("U+0390", LONGEST, &[]),
    ("U+0390, 16 threads", LONGEST, &["--threads", "16"]),
];
const ASCII: &str = "the herald calls across the water\n";
const LONGEST: &str = "ΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐΐ\n";

/// What one text came to.
#[derive(Default)]
struct Tally {
    rss: u64,
    peak: u64,
    account: String,
    before: Latencies,
    filling: Latencies,
    during: Latencies,
    /// Questions of another client that had no answer for [`client::PATIENCE`], while they fill.
    unanswered: u64,
    rss_max: u64,
    written_max: u64,
}

/// Measures and renders the tables, in Markdown.
pub(crate) fn measure(quick: bool) -> Result<String, String> {
    client::descriptors()?;
    let (rounds, span) = if quick { (ROUNDS_QUICK, SPAN_QUICK) } else { (ROUNDS, SPAN) };
    let mut tallies = Vec::new();
    // The texts that grow take their time to fill the buffers.
    let cases = if quick { 1 } else { CASES.len() };
    for &(name, text, more) in CASES.iter().take(cases) {
        // They are to stay for the whole turn, not to be closed as stalled after 30 s.
        let server = Server::start(&[&["-p", "0", "--write-stall", "10m"], more].concat())?;
        let address = server.address()?;
        drop(client::many(address, 64)?);
        let mut tally = Tally { rss: server.memory("VmRSS")?, ..Tally::default() };
        for _ in 0..rounds {
            round(&server, address, text, span, &mut tally)?;
        }
        tally.peak = server.memory("VmHWM")?;
        let said = server.end()?;
        let account = said.lines().find(|line| line.starts_with("connections"));
        tally.account = account.unwrap_or_default().to_owned();
        tallies.push((name, tally));
    }
    render(rounds, &mut tallies)
}

fn round(
    server: &Server,
    address: SocketAddr,
    text: &'static str,
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
        let written = fill(&mut writers, text);
        written.map(|written| (writers, written))
    });
    while !filler.is_finished() {
        for other in &mut others {
            match client::ping_pong(other, Duration::from_millis(50)) {
                Ok(latencies) => tally.filling.merge(&latencies),
                Err(complaint) => {
                    crate::notice(&format!("another client, while they fill: {complaint}"));
                    tally.unanswered += 1;
                    *other = client::connect(address)?;
                }
            }
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
fn fill(writers: &mut [TcpStream], text: &str) -> Result<u64, String> {
    let text = text.repeat(2_000);
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

fn render(rounds: usize, tallies: &mut [(&str, Tally)]) -> Result<String, String> {
    let mut table = format!(
        "{CLIENTS} clients that write and never read; rounds of before, filling, stuck on \
         one service for each text: {rounds}. Memory of `serve` in MiB; written is what kernel and service \
         took of all clients before they were stuck.\n\n\
         | text | RSS before | RSS with all stuck | peak | growth | at most 64 MiB | written, MiB \
         |\n|---|---|---|---|---|---|---|\n"
    );
    let failed = |error: std::fmt::Error| error.to_string();
    for (name, tally) in &*tallies {
        let growth = tally.peak.max(tally.rss_max).saturating_sub(tally.rss);
        let [rss, most, peak] = [tally.rss, tally.rss_max, tally.peak].map(mib);
        let (grown, met) = (mib(growth), yes(growth <= GROWTH_MAX));
        let written = mib(tally.written_max);
        writeln!(
            table,
            "| {name} | {rss:.1} | {most:.1} | {peak:.1} | {grown:.1} | {met} | {written:.0} |"
        )
        .map_err(failed)?;
    }
    table.push_str(
        "\n| text | another client's ping-pong | round trips | p50, us | p99, us | p50 to before | \
         p99 to before | p99 below 2 | no answer in 10 s |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for (name, tally) in &mut *tallies {
        let before = tally.before.percentiles_us([50, 99]);
        let rows = [
            ("before", &mut tally.before, false, 0),
            ("while they fill", &mut tally.filling, false, tally.unanswered),
            ("all stuck", &mut tally.during, true, 0),
        ];
        for (when, latencies, demanded, unanswered) in rows {
            let [p50, p99] = latencies.percentiles_us([50, 99]);
            let (r50, r99) = (p50 / before[0], p99 / before[1]);
            let verdict = if demanded { yes(r99 < P99_RATIO_MAX) } else { "-" };
            let count = latencies.len();
            writeln!(
                table,
                "| {name} | {when} | {count} | {p50:.1} | {p99:.1} | {r50:.2} | {r99:.2} | {verdict} | \
                 {unanswered} |"
            )
            .map_err(failed)?;
        }
    }
    for (name, tally) in &*tallies {
        writeln!(table, "\n`serve` on {name}: `{}`", tally.account).map_err(failed)?;
    }
    Ok(table)
}
