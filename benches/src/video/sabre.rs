//! How long a session of the reference's takes here: the simulation alone, with reading its two files,
//! and as a process from its start to its end.
//!
//! The reference itself is not measured here: its 0.3 s for a session, which include the start of its
//! interpreter, are a figure that was noted when its 48 results were taken.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use stentor::report::json::video::film::Numbers;
use stentor::report::json::video::network::Periods;
use stentor_core::video::sabre::{Options, parse, simulate};

use super::{data, read};
use crate::figures::median;
use crate::program::stentor;

/// What a session takes the reference, in microseconds.
const REFERENCE_US: f64 = 300_000.0;
const ROUNDS: usize = 200;
const ROUNDS_QUICK: usize = 20;

/// A run of the reference.
struct Run {
    network: String,
    arguments: String,
    options: Options,
}

/// Measures and renders the table, in Markdown.
pub(super) fn measure(quick: bool) -> Result<String, String> {
    let rounds = if quick { ROUNDS_QUICK } else { ROUNDS };
    let runs = runs()?;
    let (mut alone, mut reading, mut process) = (Vec::new(), Vec::new(), Vec::new());
    for run in &runs {
        alone.push(alone_us(run, rounds)?);
        reading.push(reading_us(run, rounds)?);
        process.push(process_us(run, rounds.div_ceil(20))?);
    }
    let mut table = format!(
        "Microseconds for a session of the reference's ({} runs, {rounds} rounds each; a process {} \
         rounds). The reference itself was not run: its 0.3 s are a noted figure, and include the start \
         of its interpreter.\n\n| what | median | slowest run | times as fast as 0.3 s |\n|---|---|---|---|\n",
        runs.len(),
        rounds.div_ceil(20),
    );
    for (name, samples) in [
        ("the simulation alone", alone),
        ("with reading film and network", reading),
        ("a process from start to end", process),
    ] {
        let slowest = samples.iter().copied().fold(0.0, f64::max);
        let middle = median(samples);
        let times = REFERENCE_US / middle;
        table += &format!("| {name} | {middle:.0} us | {slowest:.0} us | {times:.0} |\n");
    }
    Ok(table)
}

fn runs() -> Result<Vec<Run>, String> {
    let text = read(&data("sabre-expected.json"))?;
    let all: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_slice(&text).map_err(|error| format!("sabre-expected.json: {error}"))?;
    let mut runs = Vec::new();
    for (network, configurations) in all {
        for (name, run) in configurations {
            let arguments = run.get("arguments").and_then(Value::as_str);
            let arguments = arguments.ok_or_else(|| format!("{name} has no arguments"))?;
            let options = parse(arguments.split_whitespace()).map_err(|error| error.to_string())?;
            let network = format!("{network}.json");
            runs.push(Run { network, arguments: arguments.to_owned(), options });
        }
    }
    Ok(runs)
}

/// The median time of `rounds`, in microseconds.
fn timed(rounds: usize, mut once: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    let mut samples = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begin = Instant::now();
        once()?;
        samples.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(samples))
}

fn alone_us(run: &Run, rounds: usize) -> Result<f64, String> {
    let movie = Numbers::read(&read(&data("film.json"))?).map_err(|e| e.to_string())?.movie();
    let network = Periods::read(&read(&data(&run.network))?).map_err(|e| e.to_string())?.sabre();
    timed(rounds, || {
        let report = simulate(&run.options, &movie, &network);
        black_box(report.map_err(|error| error.to_string())?);
        Ok(())
    })
}

fn reading_us(run: &Run, rounds: usize) -> Result<f64, String> {
    timed(rounds, || {
        let movie = Numbers::read(&read(&data("film.json"))?).map_err(|e| e.to_string())?.movie();
        let network = read(&data(&run.network))?;
        let network = Periods::read(&network).map_err(|error| error.to_string())?.sabre();
        let report = simulate(&run.options, &movie, &network);
        black_box(report.map_err(|error| error.to_string())?);
        Ok(())
    })
}

fn process_us(run: &Run, rounds: usize) -> Result<f64, String> {
    let program = stentor()?;
    timed(rounds, || {
        let mut command = Command::new(&program);
        command.args(["video", "play", "--compat", "sabre", "--film"]).arg(data("film.json"));
        command.arg("--sim").arg(data(&run.network)).arg("--");
        command.args(run.arguments.split_whitespace()).stdout(Stdio::null());
        let status = command.status().map_err(|error| format!("start stentor: {error}"))?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("{} ended with {status}", run.arguments)),
        }
    })
}
