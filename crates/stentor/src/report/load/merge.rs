//! Runs added up from their logs: many machines drove one service, and this is what it did.

use std::time::Duration;

use stentor_core::load::Tally;
use stentor_core::measure::Latency;
use stentor_core::moment::Moment;

use super::Head;
use super::hdr::{Log, wall};
use crate::drive::load::outcome::{Interval, Outcome, Spread};

/// Intervals of the sum, at most; they become longer before there are more.
const INTERVALS_MAX: u128 = 3_600;

/// Adds up logs by the wall clock, each with the name it is shown by.
pub fn merge(logs: &[(String, Log)]) -> (Head, Outcome) {
    let began = logs.iter().map(|(_, log)| log.began).min().unwrap_or_default();
    let mut head = Head { counted: true, ..Head::default() };
    let mut tally = Tally::new();
    let (mut end, mut sending, mut interrupted) = (Duration::ZERO, Duration::ZERO, false);
    for (name, log) in logs {
        let offset = log.began.saturating_sub(began);
        let lines = log.lines.iter().map(|line| offset + line.from + line.length);
        let last = lines.max().unwrap_or_default();
        match log.carried.as_ref().and_then(|one| Some((one, one.tally().ok()?))) {
            Some((carried, one)) => {
                tally.merge(&one);
                add(&mut head, &carried.head);
                interrupted |= carried.interrupted;
                end = end.max(offset + Duration::from_nanos(carried.took_ns)).max(last);
                sending = sending.max(Duration::from_nanos(carried.sending_ns));
            }
            None => {
                head.counted = false;
                end = end.max(last);
                sending = sending.max(last.saturating_sub(offset));
            }
        }
        head.logs.push(name.clone());
    }
    let intervals = intervals(logs, began, &mut tally.latency);
    let warnings = warnings(logs, &head);
    if head.target.is_empty() {
        "an unknown target".clone_into(&mut head.target);
    }
    let outcome = Outcome {
        started: wall(began),
        took: end,
        scheduled: sending,
        sending,
        tally,
        intervals,
        troubles: Vec::new(),
        failing: Vec::new(),
        warnings,
        interrupted,
    };
    (head, outcome)
}

/// Adds the head of one run to that of all.
fn add(head: &mut Head, one: &Head) {
    if head.target.is_empty() {
        let (logs, counted) = (std::mem::take(&mut head.logs), head.counted);
        *head = Head { logs, counted, peer: None, ..one.clone() };
        return;
    }
    if !head.target.split(", ").any(|target| target == one.target) {
        head.target = format!("{}, {}", head.target, one.target);
    }
    head.connections += one.connections;
    head.threads += one.threads;
    head.closed |= one.closed;
    head.poisson |= one.poisson;
    head.timeout_ns = head.timeout_ns.max(one.timeout_ns);
    head.rate_per_second = head.rate_per_second.zip(one.rate_per_second).map(|(a, b)| a + b);
    head.seeds.extend(&one.seeds);
    if head.verify != one.verify {
        head.verify = format!("{}, {}", head.verify, one.verify);
    }
}

/// The course of all together, in intervals as long as the longest of them, and all latencies.
fn intervals(logs: &[(String, Log)], began: Duration, total: &mut Latency) -> Vec<Interval> {
    let at = |log: &Log, from: Duration| log.began.saturating_sub(began) + from;
    let lines = || logs.iter().flat_map(|(_, log)| log.lines.iter().map(move |line| (log, line)));
    let longest = lines().map(|(_, line)| line.length.as_nanos()).max().unwrap_or(0);
    let last = lines().map(|(log, line)| at(log, line.from).as_nanos()).max().unwrap_or(0);
    let step = longest.max(last / INTERVALS_MAX + 1).max(1_000_000);
    let moment = |ns: u128| Moment::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX));
    // By their middle: two machines that began the same second are in the same interval.
    let place = |log: &Log, from: Duration, length: Duration| {
        (at(log, from).as_nanos() + length.as_nanos() / 2) / step
    };
    let mut placed: Vec<_> =
        lines().map(|(log, line)| (place(log, line.from, line.length), &line.latency)).collect();
    placed.sort_by_key(|(place, _)| *place);
    let mut intervals = Vec::new();
    for lines in placed.chunk_by(|one, other| one.0 == other.0) {
        let Some((place, _)) = lines.first() else { continue };
        let mut latency = Latency::new();
        lines.iter().for_each(|(_, spread)| spread.add_to(&mut latency));
        total.merge(&latency);
        intervals.push(Interval {
            from: moment(place * step),
            until: moment((place + 1) * step),
            counts: Default::default(),
            connections_lost: 0,
            latency: Spread::of(&latency),
        });
    }
    intervals
}

/// What a sum does not tell.
fn warnings(logs: &[(String, Log)], head: &Head) -> Vec<String> {
    let mut warnings = Vec::new();
    for (number, (name, log)) in logs.iter().enumerate() {
        let twin = logs.iter().take(number).find(|(_, other)| other == log);
        if let Some((other, _)) = twin {
            warnings.push(format!("{name} and {other} are the same run, which counts twice"));
        }
        if !log.tags.is_empty() {
            let tags = log.tags.join(", ");
            warnings.push(format!("{name}: lines with these tags were passed over: {tags}"));
        }
        if log.carried.is_none() {
            warnings.push(format!(
                "{name}: another program's log, with latencies alone; what was wrong, late or lost \
                 is not in it, so it is not in the sum"
            ));
        }
    }
    if head.target.contains(", ") {
        warnings.push("the runs had several targets, and their latencies are mixed".to_owned());
    }
    warnings
}
