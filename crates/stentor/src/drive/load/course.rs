//! The course of a run: what each thread counted in each interval, put together again.
//!
//! Threads hand over their part of an interval when it is over, so that it can be shown while the
//! run goes on; the whole is added up from the same parts.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::time::Duration;

use stentor_core::load::{Counts, Tally};
use stentor_core::measure::Latency;
use stentor_core::moment::Moment;

use super::outcome::{Interval, Spread};
use super::troubles::Troubles;

/// What one thread counted in one interval.
#[derive(Debug)]
pub(super) struct Part {
    number: u64,
    until: Moment,
    counts: Counts,
    connections_lost: u64,
    latency: Spread,
}

/// Everything a thread counted.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) tally: Tally,
    pub(super) troubles: Troubles,
    /// When its last lane was done.
    pub(super) ended: Moment,
    /// When it last sent a request.
    pub(super) last_sent: Moment,
}

/// One thread's side.
#[derive(Debug)]
pub(super) struct Course {
    start: Moment,
    every: Duration,
    number: u64,
    next: Moment,
    total: Tally,
    parts: Sender<Part>,
    /// Wakes who collects the parts.
    bell: UnixStream,
}

impl Course {
    /// A course that begins at `start` and is handed over `every` so often.
    pub(super) fn new(
        start: Moment,
        every: Duration,
        parts: Sender<Part>,
        bell: UnixStream,
    ) -> Course {
        let next = start + every;
        Course { start, every, number: 0, next, total: Tally::new(), parts, bell }
    }

    /// When the interval under way is over.
    pub(super) fn next(&self) -> Moment {
        self.next
    }

    /// Hands over the interval under way if it is over, and begins another.
    pub(super) fn look(&mut self, now: Moment, tally: &mut Tally) {
        if now >= self.next {
            self.hand_over(self.next, tally);
            // Whoever was kept for longer than an interval has nothing to tell of the others.
            while self.next <= now {
                self.next = self.next + self.every;
                self.number += 1;
            }
        }
    }

    /// Hands over the last interval, and gives up the whole.
    pub(super) fn end(mut self, now: Moment, mut tally: Tally) -> Tally {
        self.hand_over(now.max(self.start), &mut tally);
        self.total
    }

    fn hand_over(&mut self, until: Moment, tally: &mut Tally) {
        let part = Part {
            number: self.number,
            until,
            counts: tally.counts,
            connections_lost: tally.connections.lost,
            latency: Spread::of(&tally.latency),
        };
        tally.drain_into(&mut self.total);
        // Nobody collects any more: then the whole is all that is wanted.
        let _ = self.parts.send(part);
        let _ = self.bell.write(&[1]);
    }
}

/// The intervals of all threads together.
#[derive(Debug)]
pub(super) struct Collector {
    start: Moment,
    every: Duration,
    threads: usize,
    /// Intervals that some thread has not handed over yet, and of how many threads they are.
    open: BTreeMap<u64, (Interval, Latency, usize)>,
    done: Vec<Interval>,
}

impl Collector {
    /// Collects from so many threads.
    pub(super) fn new(start: Moment, every: Duration, threads: usize) -> Collector {
        Collector { start, every, threads, open: BTreeMap::new(), done: Vec::new() }
    }

    /// Adds a part.
    pub(super) fn take(&mut self, part: Part) {
        let span = self.every.saturating_mul(u32::try_from(part.number).unwrap_or(u32::MAX));
        let from = Moment::START + span;
        let blank = || {
            let counts = Counts::default();
            let latency = Spread::default();
            (
                Interval { from, until: from, counts, connections_lost: 0, latency },
                Latency::new(),
                0,
            )
        };
        let (interval, latency, threads) = self.open.entry(part.number).or_insert_with(blank);
        interval.until = interval.until.max(Moment::START + part.until.since(self.start));
        interval.connections_lost += part.connections_lost;
        add(&mut interval.counts, &part.counts);
        part.latency.add_to(latency);
        *threads += 1;
    }

    /// The next interval that every thread has handed over, in the order of time.
    pub(super) fn ready(&mut self) -> Option<&Interval> {
        let (_, (_, _, threads)) = self.open.first_key_value()?;
        if *threads < self.threads {
            return None;
        }
        self.close()
    }

    fn close(&mut self) -> Option<&Interval> {
        let (_, (mut interval, latency, _)) = self.open.pop_first()?;
        interval.latency = Spread::of(&latency);
        self.done.push(interval);
        self.done.last()
    }

    /// All intervals.
    pub(super) fn end(mut self) -> Vec<Interval> {
        while self.close().is_some() {}
        // The one in which the last thread noticed that it was over.
        self.done.retain(|interval| {
            interval.until > interval.from || interval.counts != Counts::default()
        });
        self.done
    }
}

fn add(all: &mut Counts, more: &Counts) {
    all.sent += more.sent;
    all.verified += more.verified;
    all.wrong += more.wrong;
    all.late += more.late;
    all.lost += more.lost;
    all.error += more.error;
}
