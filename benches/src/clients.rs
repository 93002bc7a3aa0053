//! Many clients at once, in a closed loop, every byte checked; the service's ways to carry them
//! take turns.

use std::fmt::Write;
use std::time::Duration;

use crate::closed_loop::{self, Load};
use crate::figures::{Latencies, median, yes};
use crate::program::Server;
use crate::{client, watch};

/// Clients, and questions of each in one turn.
const LOADS: &[(usize, u32)] = &[(1, 20_000), (50, 1_000), (1_000, 100)];
const ROUNDS: usize = 8;
const ROUNDS_QUICK: usize = 3;

/// The ways compared, and their arguments.
const WAYS: &[(&str, &[&str])] = &[
    ("reactor", &["-p", "0"]),
    ("reactor, one thread", &["-p", "0", "--threads", "1"]),
    ("threads", &["-p", "0", "--mode", "threads"]),
];

/// What one way did with one load.
#[derive(Default)]
struct Tally {
    rates: Vec<f64>,
    cpu_ns: Vec<f64>,
    latencies: Latencies,
    wrong: u64,
    lost: u64,
}

/// Measures and renders the table, in Markdown.
pub(crate) fn measure(quick: bool) -> Result<String, String> {
    client::descriptors()?;
    let rounds = if quick { ROUNDS_QUICK } else { ROUNDS };
    let mut table = format!(
        "Closed loop: each client has one question of 31 bytes under way; all clients on one \
         thread of the same machine. Medians of {rounds} rounds, in which the ways take turns; \
         percentiles of all round trips.\n\n\
         | clients | serve | requests/s | to reactor | p50, us | p99, us | CPU of serve, \
         us/request | answers checked | all right |\n|---|---|---|---|---|---|---|---|---|\n"
    );
    for &(clients, asked) in LOADS {
        let asked = if quick { asked / 4 } else { asked };
        let mut tallies: Vec<Tally> = WAYS.iter().map(|_| Tally::default()).collect();
        for _ in 0..rounds {
            // A fresh process each time: the same program differs from start to start.
            for ((_, arguments), tally) in WAYS.iter().zip(&mut tallies) {
                turn(arguments, clients, asked, tally)?;
            }
        }
        let reference = tallies.first().map_or(0.0, |tally| median(tally.rates.clone()));
        for ((name, _), tally) in WAYS.iter().zip(tallies) {
            row(&mut table, clients, name, tally, reference)?;
        }
    }
    Ok(table)
}

fn turn(arguments: &[&str], clients: usize, asked: u32, tally: &mut Tally) -> Result<(), String> {
    let server = Server::start(arguments)?;
    let limit = Duration::from_secs(60);
    let load = Load { clients, pause: Duration::ZERO, rounds: Some(asked), limit };
    let before = watch::cpu_ns(server.pid())?;
    let outcome = closed_loop::run(server.address()?, &load)?;
    let spent = watch::cpu_ns(server.pid())?.saturating_sub(before);
    tally.rates.push(outcome.answered as f64 / outcome.took.as_secs_f64());
    // A thread that has ended takes its account along: not told where threads come and go.
    tally.cpu_ns.push(spent as f64 / outcome.answered.max(1) as f64);
    tally.latencies.merge(&outcome.latencies);
    tally.wrong += outcome.wrong;
    tally.lost += outcome.asked - outcome.answered;
    server.end()?;
    Ok(())
}

fn row(
    table: &mut String,
    clients: usize,
    name: &str,
    mut tally: Tally,
    reference: f64,
) -> Result<(), String> {
    let rate = median(tally.rates);
    let checked = tally.latencies.len();
    let [p50, p99] = tally.latencies.percentiles_us([50, 99]);
    let right = yes(tally.wrong == 0 && tally.lost == 0);
    let cpu = if name == "threads" {
        "-".to_owned()
    } else {
        format!("{:.1}", median(tally.cpu_ns) / 1e3)
    };
    writeln!(
        table,
        "| {clients} | {name} | {rate:.0} | {:.2} | {p50:.0} | {p99:.0} | {cpu} | {checked} | {right} |",
        rate / reference,
    )
    .map_err(|error| error.to_string())
}
