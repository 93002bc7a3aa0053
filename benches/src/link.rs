//! The link engine alone: how many units a second it decides about and carries, in virtual time.
//!
//! A unit is an index, as in a simulation, so that no payload is copied; each is handed in and
//! polled for at the moment it comes, as a driver does that is never late.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use stentor_core::link::{Link, Output, Spec, Unit};
use stentor_core::moment::Moment;
use stentor_core::seed::Seed;

use crate::figures::median;

const UNITS: u64 = 1_000_000;
const UNITS_QUICK: u64 = 100_000;
const ROUNDS: usize = 7;
/// A unit every 12 microseconds is 1 Gbit/s of 1500 bytes.
const GAP_NS: u64 = 12_000;

const LINKS: &[(&str, &str)] = &[
    ("nothing", ""),
    ("delay", "delay=20ms"),
    ("delay and jitter", "delay=20ms,jitter=5ms:normal"),
    ("rate and queue", "rate=900Mbit,queue=1MiB,delay=20ms"),
    ("loss in bursts", "burst=1%/25%,delay=20ms"),
    (
        "everything",
        "delay=20ms,jitter=5ms:normal,rate=900Mbit,queue=1MiB,loss=1%,burst=1%/25%,every=100,\
         duplicate=1%,reorder=1%,corrupt=1%",
    ),
];

/// Measures and renders the table, in Markdown.
pub(crate) fn measure(quick: bool) -> Result<String, String> {
    let units = if quick { UNITS_QUICK } else { UNITS };
    let mut table = format!(
        "Millions of units per second on one core, {units} units, medians of {ROUNDS} rounds.\n\n\
         | link | words | units/s |\n|---|---|---|\n"
    );
    for (name, words) in LINKS {
        let mut rounds = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            rounds.push(round(words, units)?);
        }
        let speed = median(rounds) / 1e6;
        writeln!(table, "| {name} | `{words}` | {speed:.1} M |").map_err(|e| e.to_string())?;
    }
    Ok(table)
}

/// Units per second of one round.
fn round(words: &str, units: u64) -> Result<f64, String> {
    let spec: Spec = words.parse().map_err(|error| format!("{words}: {error}"))?;
    let made = Link::new(&spec.up, None, Seed(1), "up");
    let mut link = made.map_err(|error| format!("{words}: {error}"))?;
    let mut decisions = 0_u64;
    let begin = Instant::now();
    for number in 0..units {
        let now = Moment::from_nanos(number * GAP_NS);
        link.handle(now, Unit::new(number, 1500), &mut |_| decisions += 1);
        while let Output::Deliver(unit) = link.poll(now) {
            black_box(unit);
        }
    }
    let took = begin.elapsed().as_secs_f64();
    black_box(decisions);
    let seen = link.counters();
    let ends = seen.delivered + seen.dropped() + link.waiting();
    if seen.taken + seen.duplicated != ends {
        return Err(format!("{words}: the counters do not add up: {seen:?}"));
    }
    Ok(units as f64 / took)
}
