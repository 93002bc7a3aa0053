//! What a log carries besides latencies: a line of JSON, so that runs can be added up whole.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use stentor_core::load::{Connections, Counts, Failure, Tally};

use super::{Head, hdr};
use crate::drive::load::outcome::Outcome;

/// The counts of a run and under which head they stand. Times in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Carried {
    pub(super) head: Head,
    pub(super) took_ns: u64,
    pub(super) sending_ns: u64,
    pub(super) interrupted: bool,
    counts: [u64; 6],
    warmup: [u64; 6],
    failures: Vec<u64>,
    waited: u64,
    unsent: u64,
    duplicates: u64,
    reordered: u64,
    unasked: u64,
    guessed: u64,
    connections: [u64; 4],
    sent_bytes: u64,
    received_bytes: u64,
    lateness: String,
    connect: String,
}

impl Carried {
    /// What is carried of a run.
    pub(super) fn of(head: &Head, outcome: &Outcome) -> Carried {
        let tally = &outcome.tally;
        let ns = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let list = |counts: &Counts| {
            [counts.sent, counts.verified, counts.wrong, counts.late, counts.lost, counts.error]
        };
        let connections = &tally.connections;
        Carried {
            head: head.clone(),
            took_ns: ns(outcome.took),
            sending_ns: ns(outcome.sending),
            interrupted: outcome.interrupted,
            counts: list(&tally.counts),
            warmup: list(&tally.warmup),
            failures: tally.failures.to_vec(),
            waited: tally.waited,
            unsent: tally.unsent,
            duplicates: tally.duplicates,
            reordered: tally.reordered,
            unasked: tally.unasked,
            guessed: tally.guessed,
            connections: [
                connections.opened,
                connections.refused,
                connections.lost,
                connections.lost_in_use,
            ],
            sent_bytes: tally.bytes_sent,
            received_bytes: tally.bytes_received,
            lateness: hdr::wrapped(&tally.lateness),
            connect: hdr::wrapped(&tally.connect),
        }
    }

    /// As one line.
    pub(super) fn json(&self) -> String {
        // Plain structs with string keys cannot fail to serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the line back, and its histograms.
    pub(super) fn parse(json: &str) -> Result<Carried, String> {
        let carried: Carried =
            serde_json::from_str(json).map_err(|error| format!("the counts: {error}"))?;
        carried.tally()?;
        Ok(carried)
    }

    /// The tally, but for its latencies, which are in the log's lines.
    pub(super) fn tally(&self) -> Result<Tally, String> {
        // A person can write anything; sums of a thousand logs must still be numbers.
        const MOST: u64 = 1 << 53;
        let numbers = [
            self.waited,
            self.unsent,
            self.duplicates,
            self.reordered,
            self.unasked,
            self.guessed,
            self.sent_bytes,
            self.received_bytes,
            self.took_ns,
            self.sending_ns,
            self.head.connections,
            self.head.threads,
        ];
        let lists = [&self.counts[..], &self.warmup, &self.failures, &self.connections, &numbers];
        if let Some(number) = lists.iter().flat_map(|list| list.iter()).find(|n| **n > MOST) {
            return Err(format!("the counts: {number} is beyond all measure"));
        }
        let counts = |[sent, verified, wrong, late, lost, error]: [u64; 6]| Counts {
            sent,
            verified,
            wrong,
            late,
            lost,
            error,
        };
        let [opened, refused, lost, lost_in_use] = self.connections;
        let mut failures = [0; Failure::ALL.len()];
        failures.iter_mut().zip(&self.failures).for_each(|(count, carried)| *count = *carried);
        let tally = Tally {
            counts: counts(self.counts),
            warmup: counts(self.warmup),
            failures,
            waited: self.waited,
            unsent: self.unsent,
            duplicates: self.duplicates,
            reordered: self.reordered,
            unasked: self.unasked,
            guessed: self.guessed,
            connections: Connections { opened, refused, lost, lost_in_use },
            bytes_sent: self.sent_bytes,
            bytes_received: self.received_bytes,
            lateness: hdr::unwrapped(&self.lateness)?,
            connect: hdr::unwrapped(&self.connect)?,
            ..Tally::new()
        };
        if !tally.adds_up(0) {
            return Err("the counts do not add up: sent is not verified + wrong + late + lost + \
                        error, or the errors' reasons are not all told"
                .to_owned());
        }
        Ok(tally)
    }
}
