//! Runs made by hand, for the tests of what shows them.

use std::time::{Duration, UNIX_EPOCH};

use stentor_core::load::verdict::{Failing, Metric};
use stentor_core::load::{Connections, Counts, Pace, Tally};
use stentor_core::measure::Latency;
use stentor_core::moment::Moment;
use stentor_core::seed::{Dice, Seed};

use crate::drive::load::outcome::{Config, Interval, Outcome, Spread, Trouble};

pub(super) fn config(target: &str) -> Config {
    Config {
        target: target.parse().unwrap(),
        peer: None,
        connections: 64,
        threads: 2,
        pace: Pace::Constant(200.0),
        duration: Some(Duration::from_secs(20)),
        count: None,
        warmup: Duration::ZERO,
        length: 32,
        payload: "generated".into(),
        framing: "line".into(),
        verify: "upper".into(),
        depth: 1,
        reconnect: None,
        timeout: Duration::from_secs(5),
        interval: Duration::from_secs(1),
        seed: Seed(42),
        fail_if: vec![],
    }
}

/// A run with nothing in it.
pub(super) fn empty() -> Outcome {
    Outcome {
        started: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        took: Duration::ZERO,
        scheduled: Duration::ZERO,
        sending: Duration::ZERO,
        tally: Tally::new(),
        intervals: vec![],
        troubles: vec![],
        failing: vec![],
        warnings: vec![],
        interrupted: false,
    }
}

/// A run of so many seconds; `latency` gives each request's, by when it was due.
fn run(seconds: u64, per_second: u64, latency: impl Fn(u64, &mut Dice) -> u64) -> Outcome {
    let mut dice = Dice::new(Seed(42), "sample");
    let mut outcome = empty();
    outcome.took = Duration::from_secs(seconds) + Duration::from_micros(740);
    outcome.sending = Duration::from_secs(seconds);
    outcome.scheduled = outcome.sending;
    let gap = 1_000_000_000 / per_second;
    for second in 0..seconds {
        let mut now = Latency::new();
        for n in 0..per_second {
            let due = second * 1_000_000_000 + n * gap;
            now.record(Duration::from_nanos(latency(due, &mut dice)));
            outcome.tally.lateness.record(Duration::from_nanos(4_000 + dice.below(22_000)));
        }
        let counts = Counts { sent: per_second, verified: per_second, ..Counts::default() };
        outcome.tally.latency.merge(&now);
        outcome.intervals.push(Interval {
            from: Moment::from_nanos(second * 1_000_000_000),
            until: Moment::from_nanos((second + 1) * 1_000_000_000),
            counts,
            connections_lost: 0,
            latency: Spread::of(&now),
        });
    }
    let sent = seconds * per_second;
    outcome.tally.counts = Counts { sent, verified: sent, ..Counts::default() };
    outcome.tally.connections = Connections { opened: 64, ..Connections::default() };
    (0..64).for_each(|n| outcome.tally.connect.record(Duration::from_micros(90 + n)));
    (outcome.tally.bytes_sent, outcome.tally.bytes_received) = (sent * 32, sent * 32);
    outcome
}

/// A server that answers at once, but stalls one second of every four.
pub(super) fn stalled() -> Outcome {
    run(20, 200, |due, dice| {
        let into = due % 4_000_000_000;
        let waits = if into >= 3_000_000_000 { 4_000_000_000 - into } else { 0 };
        waits + 80_000 + dice.below(40_000)
    })
}

/// A quick server over a bad network: replies wrong, late, lost and doubled, and connections reset.
pub(super) fn bad() -> Outcome {
    let mut outcome = run(60, 200, |_, dice| {
        let tail = 1.0 / (1.0 - dice.unit()).max(1e-4);
        Duration::from_secs_f64(90e-6 + 20e-6 * tail.powf(0.9)).subsec_nanos().into()
    });
    let mut dice = Dice::new(Seed(7), "bad");
    let total = &mut outcome.tally;
    for interval in &mut outcome.intervals {
        let counts = &mut interval.counts;
        (counts.lost, counts.wrong, counts.late) = (dice.below(9), dice.below(3), dice.below(2));
        counts.error = if dice.chance(0.1) { 12 } else { 0 };
        interval.connections_lost = counts.error / 4;
        counts.verified -= counts.lost + counts.wrong + counts.late + counts.error;
        total.counts.verified -= counts.lost + counts.wrong + counts.late + counts.error;
        total.counts.lost += counts.lost;
        total.counts.wrong += counts.wrong;
        total.counts.late += counts.late;
        total.counts.error += counts.error;
        total.connections.lost += interval.connections_lost;
        total.connections.lost_in_use += interval.connections_lost;
    }
    total.failures[1] = total.counts.error;
    (total.duplicates, total.reordered, total.unsent, total.unasked) = (31, 12, 7, 1);
    outcome.troubles.push(Trouble {
        operation: "recv",
        errno: "ECONNRESET".into(),
        words: "connection reset by peer".into(),
        times: total.connections.lost,
    });
    outcome.failing.push(Failing::NotZero(Metric::Wrong, total.counts.wrong));
    outcome
}
