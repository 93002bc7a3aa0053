//! An origin and a thousand players of it on one machine: who stalls, how long they wait, what it costs.
//!
//! Each connection is paced to twice the film's rate, so that the path itself never makes a player stall:
//! a stall would be the origin's fault, or the players'. Both share the machine's cores.

use std::fmt::Write as _;
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::Value;

use crate::figures::{mib, yes};
use crate::program::{self, Running};
use crate::watch;

/// What each connection carries; the film "lecture" has 1 Mbit/s.
const RATE: &str = "2Mbit";
/// Q: this many seconds of film are buffered before playing.
const START_S: f64 = 4.0;
/// Seconds from the first request to the first picture, by Q/x.
const START_UP_S: f64 = START_S / 2.0;

/// A size of the crowd.
struct Run {
    players: u32,
    /// The film, and how long it plays, in seconds.
    film: (&'static str, u64),
}

const FULL: &[Run] =
    &[Run { players: 100, film: ("lecture", 120) }, Run { players: 1000, film: ("lecture", 120) }];
/// 30 players of 10 s: that it runs, and not what it shows.
const QUICK: &[Run] = &[Run { players: 30, film: ("short", 10) }];

pub(super) fn measure(quick: bool) -> Result<String, String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut table = format!(
        "{cores} cores, {RATE}/s for each connection, Q = {START_S} s: Q/x = {START_UP_S} s\n\n\
         | players | film | to the end | without a stall | stalls | start-up, median, 99 %, most | \
         MiB/s | CPU of the origin | CPU of the players | all of them, and no stall |\n\
         |---|---|---|---|---|---|---|---|---|---|\n"
    );
    for run in if quick { QUICK } else { FULL } {
        table += &run.measure()?;
    }
    Ok(table)
}

impl Run {
    fn measure(&self) -> Result<String, String> {
        let stentor = program::stentor()?;
        let address = program::free_port()?;
        let port = address.port().to_string();
        let (film, length_s) = self.film;
        let mut origin = Command::new(&stentor);
        origin.args(["video", "serve", "-q", "--seed", "1", "--film", film, "--rate", RATE]);
        origin.args(["-b", "127.0.0.1", "-p", &port]).stdin(Stdio::null());
        let origin = Running::start(origin.stdout(Stdio::null()).stderr(Stdio::null()))?;
        program::await_listener(address)?;
        let report = std::env::temp_dir().join(format!("stentor-crowd-{port}.json"));
        let failed = |error: std::io::Error| format!("{}: {error}", report.display());
        let file = File::create(&report).map_err(failed)?;
        let mut players = Command::new(&stentor);
        players.args(["video", "play", "-q", "-J", "--rule", "fixed:0"]);
        players.args([
            "--clients",
            &self.players.to_string(),
            &format!("http://{address}/master.m3u8"),
        ]);
        players.stdin(Stdio::null()).stdout(file);
        let (before_s, origin_before) = (children_s()?, watch::cpu_ns(origin.pid())?);
        let from = Instant::now();
        let mut players = Running::start(&mut players)?;
        let status = players.wait(Duration::from_secs(length_s * 2 + 60));
        let took_s = from.elapsed().as_secs_f64();
        let origin_s = (watch::cpu_ns(origin.pid())? - origin_before) as f64 / 1e9;
        let players_s = children_s()? - before_s;
        let text = std::fs::read(&report).map_err(failed);
        // Whatever it says, the file has been read.
        let _ = std::fs::remove_file(&report);
        let told: Value = serde_json::from_slice(&text?)
            .map_err(|error| format!("report of video play, {status:?}: {error}"))?;
        if let Some(error) = told.pointer("/error").and_then(Value::as_str) {
            return Err(format!("video play, {status:?}: {error}"));
        }
        Ok(self.row(&told, took_s, origin_s, players_s))
    }

    fn row(&self, told: &Value, took_s: f64, origin_s: f64, players_s: f64) -> String {
        let number = |path: &str| told.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let crowd = |name: &str| number(&format!("/result/clients/{name}"));
        let players = f64::from(self.players);
        let (ended, smooth) = (crowd("ended"), crowd("smooth"));
        let stalls = crowd("stalls/mean") * players;
        let bytes = told.pointer("/result/clients/received_bytes").and_then(Value::as_u64);
        let mut row =
            format!("| {players} | {} | {ended} | {smooth} | {stalls:.0} | ", self.film.0);
        let waits = ["p50", "p99", "max"].map(|part| crowd(&format!("start_up_s/{part}")));
        let [median, late, most] = waits;
        _ = write!(row, "{median:.2}, {late:.2}, {most:.2} s | ");
        let rate = mib(bytes.unwrap_or(0)) / took_s;
        let share = |seconds: f64| 100.0 * seconds / took_s;
        _ = writeln!(
            row,
            "{rate:.0} | {origin_s:.1} s, {:.0} % | {players_s:.1} s, {:.0} % | {} |",
            share(origin_s),
            share(players_s),
            yes(ended >= players && smooth >= players)
        );
        row
    }
}

/// Processor time of the children that have been awaited, in seconds: they are one at a time here.
fn children_s() -> Result<f64, String> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_err(|errno| format!("getrusage RUSAGE_CHILDREN: {errno}"))?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}
