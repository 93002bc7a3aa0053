//! SIGTERM under load: who loses an answer, how connections end, and when the service is gone.
//!
//! Two kinds of clients: those that pause between two questions, as people and most programs do,
//! and those that never do, whom only the deadline ends.

use std::fmt::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client;
use crate::closed_loop::{self, Load};
use crate::figures::{median, yes};
use crate::program::Server;

const CLIENTS: usize = 200;
const ROUNDS: usize = 5;
const ROUNDS_QUICK: usize = 2;
/// Under load for so long before the signal.
const BEFORE: Duration = Duration::from_millis(700);
/// `--drain` of the clients that never pause; the default of 25 s would show nothing else.
const DEADLINE: Duration = Duration::from_secs(2);

/// What one kind of clients saw, over all rounds.
#[derive(Default)]
struct Tally {
    asked: u64,
    lost: u64,
    crossed: u64,
    wrong: u64,
    resets: u64,
    fins: u64,
    took_s: Vec<f64>,
    codes: Vec<Option<i32>>,
    refused: usize,
}

/// Measures and renders the table, in Markdown.
pub(crate) fn measure(quick: bool) -> Result<String, String> {
    client::descriptors()?;
    let rounds = if quick { ROUNDS_QUICK } else { ROUNDS };
    let kinds = [
        ("pause 500 ms", Duration::from_millis(500)),
        ("pause 50 ms", Duration::from_millis(50)),
        ("never pause", Duration::ZERO),
    ];
    let mut table = format!(
        "{CLIENTS} clients, SIGTERM under load, `--drain 2s`; sums of {rounds} rounds, in which the \
         kinds take turns. Lost: it had arrived, or a reset tore its answer away. Crossed: it was \
         asked while the service's FIN was on its way.\n\n\
         | clients | questions | lost | crossed | wrong | ended by FIN | by reset | new connection \
         refused | time to exit, s: median | slowest | exit codes | none lost, exit 0 in time \
         |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    );
    let mut tallies: Vec<Tally> = kinds.iter().map(|_| Tally::default()).collect();
    for _ in 0..rounds {
        for ((_, pause), tally) in kinds.iter().zip(&mut tallies) {
            turn(*pause, tally)?;
        }
    }
    for ((name, _), tally) in kinds.iter().zip(tallies) {
        row(&mut table, name, tally, rounds)?;
    }
    Ok(table)
}

fn turn(pause: Duration, tally: &mut Tally) -> Result<(), String> {
    let server = Server::start(&["-p", "0", "--drain", "2s"])?;
    let address = server.address()?;
    let limit = Duration::from_secs(60);
    let load = Load { clients: CLIENTS, pause, rounds: None, limit };
    let clients = std::thread::spawn(move || closed_loop::run(address, &load));
    // Under load is a matter of time: no event announces that it has been long enough.
    std::thread::sleep(BEFORE);
    server.terminate()?;
    let from = Instant::now();
    let newcomer = std::thread::spawn(move || {
        // The doors are shut by the service's next turns; a moment later nobody is let in.
        std::thread::sleep(Duration::from_millis(100));
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err()
    });
    let (code, said) = server.wait(limit)?;
    tally.took_s.push(from.elapsed().as_secs_f64());
    let refused = newcomer.join().map_err(|_| "the newcomer failed".to_owned())?;
    let outcome = clients.join().map_err(|_| "the load failed".to_owned())??;
    if code != Some(0) {
        crate::notice(&format!("serve ended with {code:?}: {said}"));
    }
    tally.codes.push(code);
    tally.refused += usize::from(refused);
    tally.asked += outcome.asked;
    tally.lost += outcome.lost;
    tally.crossed += outcome.crossed;
    tally.wrong += outcome.wrong;
    tally.resets += outcome.resets;
    tally.fins += outcome.fins;
    Ok(())
}

fn row(table: &mut String, name: &str, tally: Tally, rounds: usize) -> Result<(), String> {
    let slowest = tally.took_s.iter().copied().fold(0.0, f64::max);
    let in_time = slowest <= DEADLINE.as_secs_f64() + 0.1;
    let good = tally.codes.iter().all(|code| *code == Some(0));
    let mut codes: Vec<String> = tally
        .codes
        .iter()
        .map(|code| code.map_or("a signal".to_owned(), |code| code.to_string()))
        .collect();
    codes.sort();
    codes.dedup();
    writeln!(
        table,
        "| {name} | {} | {} | {} | {} | {} | {} | {} of {rounds} | {:.2} | {slowest:.2} | {} | {} |",
        tally.asked,
        tally.lost,
        tally.crossed,
        tally.wrong,
        tally.fins,
        tally.resets,
        tally.refused,
        median(tally.took_s),
        codes.join(", "),
        yes(tally.lost == 0 && tally.wrong == 0 && in_time && good),
    )
    .map_err(|error| error.to_string())
}
