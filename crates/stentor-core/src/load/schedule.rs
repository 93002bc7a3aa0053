//! When each request is *intended*: a function of its number and of the start, of nothing else.
//!
//! No moment is computed from the one before, nor from when something was really sent, so the
//! schedule never drifts and never waits for a slow server. (Poisson arrivals are a sum by nature:
//! of the drawn gaps, exact to a nanosecond.) Waiting for a moment is left to the driver.

use std::time::Duration;

use crate::moment::Moment;
use crate::seed::{Dice, Seed};

/// How requests are spread over time, all lanes together; rates are requests per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// At equal distances.
    Constant(f64),
    /// At random, independent of each other (a Poisson process).
    Poisson(f64),
    /// At a rate that goes from one value to another in a straight line, and then stays.
    Ramp {
        /// The rate at the start.
        from: f64,
        /// The rate at the end of `over`, and from then on.
        to: f64,
        /// How long the change takes.
        over: Duration,
    },
    /// As soon as a reply makes room: the closed loop, which hides the waiting of what it does
    /// not send.
    Max,
}

impl Pace {
    /// Whether this is the closed loop, in which an intended moment is when there was room.
    pub fn is_closed(self) -> bool {
        self == Pace::Max
    }
}

/// When a run ends; with neither, when it is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// How many requests are intended, all lanes together.
    pub count: Option<u64>,
    /// From when on none is.
    pub until: Option<Moment>,
}

/// Which of how many lanes: lane `index` of `of` has every `of`-th request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Counted from 0, below `of`.
    pub index: u64,
    /// At least 1.
    pub of: u64,
}

impl Share {
    /// The only lane.
    pub const WHOLE: Share = Share { index: 0, of: 1 };
}

/// The intended moments of one lane.
#[derive(Clone, Debug)]
pub struct Schedule {
    pace: Pace,
    share: Share,
    start: Moment,
    until: Option<Moment>,
    /// How many requests the lane has left.
    left: Option<u64>,
    /// How many were taken.
    taken: u64,
    /// The next moment; kept, since it is asked for more often than taken.
    next: Option<Moment>,
    dice: Dice,
    /// Sum of the gaps drawn so far, in nanoseconds.
    gaps_ns: f64,
}

impl Schedule {
    /// The lane `share` of a run that begins at `start`. The luck of Poisson arrivals is the
    /// lane's own; the lanes together are a Poisson process of the whole rate again.
    pub fn new(pace: Pace, limit: Limit, share: Share, start: Moment, seed: Seed) -> Schedule {
        let of = share.of.max(1);
        let left = limit.count.map(|count| count / of + u64::from(share.index < count % of));
        let mut schedule = Schedule {
            pace,
            share: Share { index: share.index, of },
            start,
            until: limit.until,
            left,
            taken: 0,
            next: None,
            dice: Dice::new(seed, &format!("load arrivals {}", share.index)),
            gaps_ns: 0.0,
        };
        schedule.next = schedule.compute();
        schedule
    }

    /// The moment of the next request; in the closed loop that is `now` (or the start). `None`
    /// once there is no next one, which in the closed loop depends on `now`.
    pub fn peek(&self, now: Moment) -> Option<Moment> {
        if self.pace.is_closed() {
            let next = now.max(self.start);
            return (self.left != Some(0) && self.is_before_end(next)).then_some(next);
        }
        self.next
    }

    /// Goes on to the request after the next.
    pub fn advance(&mut self) {
        self.taken += 1;
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.next = self.compute();
    }

    /// Ends the schedule: nothing is intended from now on.
    pub fn stop(&mut self) {
        (self.left, self.next) = (Some(0), None);
    }

    /// How many requests of a count are still to be taken, intended or not, and takes them; 0
    /// without a count.
    pub fn give_up_count(&mut self) -> u64 {
        let left = self.left.unwrap_or(0);
        self.stop();
        left
    }

    /// How many requests intended before `now` are still to be taken, and takes them: those that
    /// were offered and never sent. In the closed loop there are none.
    pub fn give_up(&mut self, now: Moment) -> u64 {
        let mut given_up = 0;
        while let Some(next) = self.next
            && next <= now
        {
            self.advance();
            given_up += 1;
        }
        self.stop();
        given_up
    }

    fn is_before_end(&self, moment: Moment) -> bool {
        self.until.is_none_or(|until| moment < until)
    }

    fn compute(&mut self) -> Option<Moment> {
        if self.left == Some(0) {
            return None;
        }
        let number = self.taken.saturating_mul(self.share.of).saturating_add(self.share.index);
        let offset_ns = match self.pace {
            Pace::Max => return None,
            Pace::Constant(rate) => number as f64 * 1e9 / rate,
            Pace::Poisson(rate) => {
                // Inverse transform: -ln(1 - u), u in [0, 1), has the exponential distribution.
                let gap = -(-self.dice.unit()).ln_1p();
                self.gaps_ns += gap * 1e9 * self.share.of as f64 / rate;
                self.gaps_ns
            }
            Pace::Ramp { from, to, over } => {
                ramp_seconds(number as f64, from, to, over.as_secs_f64())? * 1e9
            }
        };
        let next = self.start + nanoseconds(offset_ns)?;
        self.is_before_end(next).then_some(next)
    }
}

/// When the `number`-th request is due at a rate that goes from `from` to `to` in `over` seconds:
/// where the integral of the rate reaches `number`. `None` if it never does.
fn ramp_seconds(number: f64, from: f64, to: f64, over: f64) -> Option<f64> {
    let in_ramp = f64::midpoint(from, to) * over;
    let seconds = if number > in_ramp {
        over + (number - in_ramp) / to
    } else if number > 0.0 {
        let slope = (to - from) / over;
        // from t + slope t^2 / 2 = number, solved without the difference of two near numbers. A
        // ramp that ends at 0 has its root there; rounding must not put it beyond.
        let root = (from * from + 2.0 * slope * number).max(0.0).sqrt();
        2.0 * number / (from + root)
    } else {
        0.0
    };
    seconds.is_finite().then_some(seconds)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked; a fraction of a nanosecond means nothing"
)]
fn nanoseconds(number: f64) -> Option<Duration> {
    (0.0..1.8e19).contains(&number).then_some(Duration::from_nanos(number.round() as u64))
}
