//! The rate of datagrams, raised until no more gets through, then held to be measured.
//!
//! Each step sends a short row at four times the rate of the one before and waits for its answers:
//! a path that is slower stretches the row, or drops from it. So at most a row is ever too fast.
//! Then a rate a little above what came through is held, and the answers between the first and
//! the last are counted (packet dispersion: Dovrolis et al., "What do packet dispersion techniques
//! measure?", INFOCOM 2001; a long row measures what passes, not what the narrowest line could).

use std::time::Duration;

use super::Output;
use super::text::{Answer, Text};
use crate::measure::Sequence;
use crate::moment::Moment;

/// How much faster each step is.
const STEP: f64 = 4.0;
/// How long a step sends, and how many datagrams at least.
const STEP_SPAN: Duration = Duration::from_millis(100);
const STEP_LEAST: u64 = 10;
/// A row that comes back so much longer than it left has met something slower.
const STRETCH: f64 = 1.15;
/// As short as this a stretch is the machine's own.
const STRETCH_LEAST: Duration = Duration::from_millis(2);
/// So few of a row that come back show a queue that is full.
const SHARE: f64 = 0.75;
/// The rate that is held, beside what came through.
const ABOVE: f64 = 1.25;
/// What comes back of the rate that is held; more shows that the path would take more.
const PASSED: f64 = 0.93;
/// After the round trip, how much longer an answer may be missing before the row is judged.
const GRACE: Duration = Duration::from_millis(200);
/// How far behind the newest an answer may be to be told from a duplicate.
const WINDOW: usize = 1 << 16;

/// What is asked of a climb.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClimbPlan {
    /// Bytes of each datagram.
    pub length: usize,
    /// The rate of the first step, in bit/s of payload.
    pub from_bps: f64,
    /// The highest rate, in bit/s of payload.
    pub cap_bps: f64,
    /// A round trip on this path.
    pub round_trip: Duration,
    /// How long the last rate is held.
    pub hold: Duration,
    /// When sending ends at the latest.
    pub until: Moment,
}

/// What limited the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The path: more was sent than came back.
    Path,
    /// The cap: the path may take more.
    Cap,
    /// This machine did not send faster.
    Sender,
    /// The time was up before the path showed a limit.
    Time,
}

/// What came of a climb.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Climbed {
    /// Payload that came back each second between the first and the last answer to the rate that
    /// was held, in bit/s; `None` if fewer than two did.
    pub rate_bps: Option<f64>,
    /// The rate that was held, as it was really sent, in bit/s.
    pub held_bps: f64,
    /// What limited it.
    pub limit: Limit,
    /// Datagrams sent in all steps.
    pub sent: u64,
    /// Of these, answered rightly.
    pub answered: u64,
}

/// A row of datagrams at one rate.
#[derive(Clone, Copy, Debug)]
struct Row {
    rate_bps: f64,
    held: bool,
    first: u64,
    count: u64,
    sent: u64,
    began: Moment,
    /// When the first and the last left.
    left: Option<(Moment, Moment)>,
    /// When the first and the last came back.
    came: Option<(Moment, Moment)>,
    answered: u64,
}

impl Row {
    /// Bits of payload each second of `count` datagrams from the first moment to the last.
    fn rate(&self, ends: Option<(Moment, Moment)>, count: u64, length: usize) -> Option<f64> {
        let (first, last) = ends?;
        let seconds = last.since(first).as_secs_f64();
        let bits = count.saturating_sub(1) as f64 * length as f64 * 8.0;
        (seconds > 0.0 && bits > 0.0).then(|| bits / seconds)
    }
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Climb {
    plan: ClimbPlan,
    text: Text,
    row: Row,
    sequence: Sequence,
    first: u64,
    next: u64,
    answered: u64,
    over: Option<Climbed>,
}

impl Climb {
    /// A climb that begins at `now`, with the number `first`.
    pub fn new(now: Moment, plan: ClimbPlan, text: Text, first: u64) -> Climb {
        let rate = plan.from_bps.min(plan.cap_bps);
        let mut climb = Climb {
            plan,
            text,
            row: Row {
                rate_bps: rate,
                held: false,
                first,
                count: 0,
                sent: 0,
                began: now,
                left: None,
                came: None,
                answered: 0,
            },
            sequence: Sequence::new(WINDOW),
            first,
            next: first,
            answered: 0,
            over: None,
        };
        climb.begin(now, rate, None);
        climb
    }

    /// One more than the number of the last datagram sent.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    fn begin(&mut self, now: Moment, rate_bps: f64, hold: Option<Duration>) {
        let rate_bps = rate_bps.clamp(1.0, self.plan.cap_bps.max(1.0));
        let span = hold.unwrap_or(STEP_SPAN).as_secs_f64();
        let most = rate_bps * span / (self.plan.length as f64 * 8.0);
        let count = Duration::try_from_secs_f64(most).map_or(u64::MAX, |whole| whole.as_secs());
        self.row = Row {
            rate_bps,
            held: hold.is_some(),
            first: self.next,
            count: count.max(STEP_LEAST),
            sent: 0,
            began: now,
            left: None,
            came: None,
            answered: 0,
        };
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Moment) -> Output {
        if self.over.is_some() {
            return Output::Over;
        }
        let row = &mut self.row;
        if row.sent < row.count && (now < self.plan.until || row.sent < 2) {
            let gap = self.plan.length as f64 * 8.0 / row.rate_bps * row.sent as f64;
            let due = row.began + Duration::try_from_secs_f64(gap).unwrap_or(Duration::MAX);
            if now < due {
                return Output::Wait(due);
            }
            row.sent += 1;
            let began = row.left.map_or(now, |(first, _)| first);
            row.left = Some((began, now));
            let number = self.next;
            self.next += 1;
            // How fast it really was sent is judged by the row.
            return Output::Send { number, length: self.plan.length, late: None };
        }
        let left = row.left.map_or(row.began, |(_, last)| last);
        let quiet_since = row.came.map_or(left, |(_, last)| last.max(left));
        let judged = quiet_since + self.plan.round_trip + GRACE;
        if row.answered < row.sent && now < judged {
            return Output::Wait(judged);
        }
        self.judge(now);
        match self.over {
            Some(_) => Output::Over,
            None => Output::Wait(now),
        }
    }

    /// The row is complete: on to the next step, to the rate that is held, or over.
    fn judge(&mut self, now: Moment) {
        let row = self.row;
        let (length, cap) = (self.plan.length, self.plan.cap_bps);
        let sent = row.rate(row.left, row.sent, length).unwrap_or(row.rate_bps);
        let came = row.rate(row.came, row.answered, length);
        let share = row.answered as f64 / row.sent.max(1) as f64;
        let at_cap = row.rate_bps >= cap * 0.999;
        let sender = sent < row.rate_bps * 0.8;
        let time_left = self.plan.until.since(now);
        if row.held {
            let passed = came.is_some_and(|came| came >= sent * PASSED);
            let more = passed && !at_cap && !sender;
            if more && time_left > self.plan.hold {
                return self.begin(now, row.rate_bps * STEP, None);
            }
            let limit = match (passed, at_cap, sender) {
                (true, true, _) => Limit::Cap,
                (_, _, true) => Limit::Sender,
                (true, false, false) => Limit::Time,
                (false, _, false) => Limit::Path,
            };
            return self.finish(came, sent, limit);
        }
        if row.answered == 0 {
            return self.finish(None, sent, Limit::Path);
        }
        let span = |ends: Option<(Moment, Moment)>| {
            ends.map_or(Duration::ZERO, |(first, last)| last.since(first))
        };
        let (left, back) = (span(row.left), span(row.came));
        let stretched =
            back > left + STRETCH_LEAST && back.as_secs_f64() > left.as_secs_f64() * STRETCH;
        let full = stretched || share < SHARE || sender || at_cap;
        if !full && time_left > self.plan.hold / 2 {
            return self.begin(now, row.rate_bps * STEP, None);
        }
        let hold = self.plan.hold.min(time_left).max(self.plan.hold / 4);
        let rate = match came {
            Some(came) if stretched || share < SHARE => came * ABOVE,
            Some(_) | None if sender => sent,
            Some(_) | None => row.rate_bps,
        };
        // Sending ends by the number of datagrams; the time is for the climb.
        self.plan.until = self.plan.until.max(now + hold);
        self.begin(now, rate, Some(hold));
    }

    fn finish(&mut self, rate_bps: Option<f64>, held_bps: f64, limit: Limit) {
        let sent = self.next - self.first;
        let answered = self.answered;
        self.over = Some(Climbed { rate_bps, held_bps, limit, sent, answered });
    }

    /// Takes a datagram that came.
    pub fn handle(&mut self, now: Moment, bytes: &[u8]) {
        let Answer::Right(number, _) = self.text.read(bytes, self.plan.length) else { return };
        let Some(place) = number.checked_sub(self.first).filter(|_| number < self.next) else {
            return;
        };
        let before = self.sequence.arrived();
        self.sequence.feed(place, true);
        if self.sequence.arrived() == before {
            return;
        }
        self.answered += 1;
        // What comes of an earlier step says nothing about this one.
        if number >= self.row.first {
            self.row.answered += 1;
            let first = self.row.came.map_or(now, |(first, _)| first);
            self.row.came = Some((first, now));
        }
    }

    /// The rate at which it sends now, in bit/s.
    pub fn rate_bps(&self) -> f64 {
        self.row.rate_bps
    }

    /// What came of it; until it is over, of the row that is under way.
    pub fn report(&self) -> Climbed {
        let row = self.row;
        let length = self.plan.length;
        self.over.unwrap_or_else(|| Climbed {
            rate_bps: row.rate(row.came, row.answered, length),
            held_bps: row.rate(row.left, row.sent, length).unwrap_or(row.rate_bps),
            limit: Limit::Time,
            sent: self.next - self.first,
            answered: self.answered,
        })
    }
}
