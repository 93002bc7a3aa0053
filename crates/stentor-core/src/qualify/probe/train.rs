//! Numbered datagrams at even distances: loss, order, round trips, jitter.

use std::time::Duration;

use super::Output;
use super::course::Course;
use super::text::{Answer, Form, Text};
use crate::measure::{Confidence, Interval, Sequence};
use crate::moment::Moment;

/// How far behind the newest an answer may be to be told from a duplicate.
const WINDOW: usize = 1 << 16;
/// Answers are waited for so many times the longest round trip, and [`GRACE`] more.
const LONGEST_TIMES: u32 = 3;
const GRACE: Duration = Duration::from_millis(100);

/// What a train is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainPlan {
    /// From one datagram to the next.
    pub interval: Duration,
    /// When the last one may be sent.
    pub until: Moment,
    /// How many are sent at most.
    pub count: u64,
    /// Bytes of each, at least [`super::LENGTH_MIN`].
    pub length: usize,
    /// The longest wait for an answer; one that takes longer is late.
    pub patience: Duration,
    /// Whether one right answer ends it: to find out whether anybody answers at all.
    pub one_is_enough: bool,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Train {
    plan: TrainPlan,
    text: Text,
    /// The number of the first: answers to another train of the run are strangers to this one.
    first: u64,
    due: Moment,
    sequence: Sequence,
    course: Course,
    last: Moment,
    counts: Trained,
}

/// What came of a train. `sent = answered + late + lost`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trained {
    /// Datagrams sent.
    pub sent: u64,
    /// Of these, answered rightly and in time.
    pub answered: u64,
    /// Answered rightly after the longest wait.
    pub late: u64,
    /// Never answered rightly.
    pub lost: u64,
    /// Right answers beyond the first.
    pub duplicates: u64,
    /// First answers after one to a later datagram (RFC 4737).
    pub reordered: u64,
    /// Answers of which some bytes were others than sent.
    pub corrupted: u64,
    /// Answers of which the end was missing.
    pub cut: u64,
    /// Datagrams that answer nothing of this train.
    pub strangers: u64,
    /// Right answers in the very bytes that were sent; the others were in capitals.
    pub echoes: u64,
    /// Each datagram.
    pub course: Course,
}

impl Trained {
    /// The share that was not answered in time, there and back.
    pub fn loss(&self) -> Option<f64> {
        (self.sent > 0).then(|| (self.lost + self.late) as f64 / self.sent as f64)
    }

    /// Between which probabilities of loss the true one lies, with 99 % confidence.
    pub fn loss_interval(&self) -> Interval {
        Interval::new(self.lost + self.late, self.sent, Confidence::Percent99)
    }
}

impl Train {
    /// A train whose first datagram is due at `now` and has the number `first`.
    pub fn new(now: Moment, plan: TrainPlan, text: Text, first: u64) -> Train {
        Train {
            plan,
            text,
            first,
            due: now,
            sequence: Sequence::new(WINDOW),
            course: Course::default(),
            last: now,
            counts: Trained::default(),
        }
    }

    /// One more than the number of the last datagram sent: where the next train begins.
    pub fn next_number(&self) -> u64 {
        self.first + self.counts.sent
    }

    /// Whether it sends no more.
    fn has_left(&self) -> bool {
        self.counts.sent >= self.plan.count
            || self.due >= self.plan.until
            || (self.plan.one_is_enough && self.counts.answered > 0)
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Moment) -> Output {
        if self.has_left() {
            return self.end(now);
        }
        if now < self.due {
            return Output::Wait(self.due);
        }
        let late = now.since(self.due);
        let number = self.next_number();
        self.counts.sent += 1;
        self.course.sent(now);
        self.last = now;
        // A driver that was held up sends fewer, never a burst, which would measure its own queue.
        self.due = (self.due + self.plan.interval).max(now + self.plan.interval / 2);
        Output::Send { number, length: self.plan.length, late: Some(late) }
    }

    fn end(&self, now: Moment) -> Output {
        let open = self.counts.sent - self.sequence.arrived();
        let found = self.plan.one_is_enough && self.counts.answered > 0;
        // Who has answered within a time will hardly take thrice as long; who has not yet may
        // take all there is.
        let longest = self.course.round_trips.max().map(|max| max * LONGEST_TIMES + GRACE);
        let wait = longest.unwrap_or(self.plan.patience).min(self.plan.patience);
        let end = self.last + wait;
        if open == 0 || found || now >= end { Output::Over } else { Output::Wait(end) }
    }

    /// Takes a datagram that came.
    pub fn handle(&mut self, now: Moment, bytes: &[u8]) {
        let (number, form) = match self.text.read(bytes, self.plan.length) {
            Answer::Right(number, form) => (number, form),
            Answer::Cut => return self.counts.cut += 1,
            Answer::Corrupted => return self.counts.corrupted += 1,
            Answer::Stranger => return self.counts.strangers += 1,
        };
        let place = number.checked_sub(self.first).filter(|place| *place < self.counts.sent);
        let Some(place) = place else { return self.counts.strangers += 1 };
        let before = self.sequence.arrived();
        let sent = usize::try_from(place).ok().and_then(|place| self.course.points.get(place));
        let in_time = sent.is_some_and(|point| now.since(point.sent) <= self.plan.patience);
        self.sequence.feed(place, in_time);
        if self.sequence.arrived() > before {
            self.counts.echoes += u64::from(form == Form::Echo);
            self.counts.answered += u64::from(in_time);
            if in_time {
                self.course.came(place, now);
            }
        }
    }

    /// How many were sent and how many are answered so far.
    pub fn progress(&self) -> (u64, u64) {
        (self.counts.sent, self.sequence.arrived())
    }

    /// What came of it so far; what was not answered by now is lost.
    pub fn report(&self) -> Trained {
        Trained {
            late: self.sequence.late(),
            lost: self.counts.sent - self.sequence.arrived(),
            duplicates: self.sequence.duplicates(),
            reordered: self.sequence.reordered(),
            course: self.course.clone(),
            ..self.counts.clone()
        }
    }
}
