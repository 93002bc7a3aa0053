//! When each request is *intended*: a function of its number and of the start, of nothing else.
//!
//! No moment is computed from the one before, nor from when something was really sent, so the
//! schedule never drifts and never waits for a slow server. (Poisson arrivals are a sum by nature:
//! of the drawn gaps, exact to a nanosecond.) Waiting for a moment is left to the driver.

use std::time::Duration;

use thiserror::Error;

use crate::moment::Moment;
use crate::seed::{Dice, Seed};

/// The greatest rate, in requests per second: one each nanosecond.
pub const RATE_MAX: f64 = 1e9;

/// How many gaps of a Poisson process are drawn only to count them; of more, the mean is off by
/// less than a thousandth (its standard deviation is its root).
const DRAWN_MAX: u64 = 1 << 20;

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

/// Why a pace cannot be kept by anybody.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum PaceError {
    /// A rate that is no rate.
    #[error("{0} requests a second: a rate is more than 0 and at most {RATE_MAX}")]
    Rate(f64),
    /// A ramp that takes no time or only has zeros.
    #[error("a ramp needs a time to take, and one of its two rates above 0")]
    Ramp,
}

impl Pace {
    /// Whether the numbers make sense; a schedule of others would be empty.
    ///
    /// # Errors
    /// If a rate is not above 0 (a ramp may have one end at 0) and at most [`RATE_MAX`], or a
    /// ramp takes no time.
    pub fn check(self) -> Result<(), PaceError> {
        let rate = |rate: f64, above: bool| {
            let is_rate = (0.0..=RATE_MAX).contains(&rate) && (rate > 0.0 || !above);
            if is_rate { Ok(()) } else { Err(PaceError::Rate(rate)) }
        };
        match self {
            Pace::Max => Ok(()),
            Pace::Constant(per_second) | Pace::Poisson(per_second) => rate(per_second, true),
            Pace::Ramp { from, to, over } => {
                rate(from, false)?;
                rate(to, false)?;
                let is_ramp = from + to > 0.0 && !over.is_zero();
                if is_ramp { Ok(()) } else { Err(PaceError::Ramp) }
            }
        }
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

    /// Ends the schedule of a count that is given up: how many were still to be taken, whenever they
    /// were intended, but for those before `from`. 0 without a count.
    pub fn give_up_count(&mut self, from: Moment) -> u64 {
        if !self.pace.is_closed() && self.left.is_some() {
            return self.give_up(from, Moment::from_nanos(u64::MAX));
        }
        let left = self.left.unwrap_or(0);
        self.stop();
        left
    }

    /// Ends the schedule: how many of those intended from `from` to `now` were still to be taken,
    /// which are those that were offered and never sent. In the closed loop there are none. Takes
    /// no longer for more of them; of a Poisson process, the number of more than `DRAWN_MAX` is
    /// their mean.
    pub fn give_up(&mut self, from: Moment, now: Moment) -> u64 {
        if let Some(before) = from.as_nanos().checked_sub(1) {
            self.pass(now.min(Moment::from_nanos(before)));
        }
        let given_up = self.pass(now);
        self.stop();
        given_up
    }

    /// Takes all that are intended until `last`, and counts them.
    fn pass(&mut self, last: Moment) -> u64 {
        if self.next.is_none_or(|next| next > last) {
            return 0;
        }
        let passed = match self.pace {
            Pace::Max => 0,
            Pace::Poisson(rate) => return self.pass_by_luck(rate, last),
            Pace::Constant(_) | Pace::Ramp { .. } => {
                // The first that is not: the moments ascend with the numbers.
                let (mut low, mut high) = (self.taken, u64::MAX / self.share.of);
                while low < high {
                    let middle = u64::midpoint(low, high);
                    let is_due = self.moment(middle).is_some_and(|moment| moment <= last);
                    (low, high) = if is_due { (middle + 1, high) } else { (low, middle) };
                }
                (low - self.taken).min(self.left.unwrap_or(u64::MAX))
            }
        };
        self.taken += passed;
        self.left = self.left.map(|left| left - passed);
        self.next = self.compute();
        passed
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float that is out of range becomes the nearest number"
    )]
    fn pass_by_luck(&mut self, rate: f64, last: Moment) -> u64 {
        let mut passed = 0;
        while let Some(next) = self.next.filter(|next| *next <= last) {
            if passed == DRAWN_MAX {
                let span = self.until.map_or(last, |until| last.min(until)).since(next);
                let mean = span.as_secs_f64() * rate / self.share.of as f64;
                let rest = (mean.round() as u64).min(self.left.unwrap_or(u64::MAX));
                self.left = self.left.map(|left| left - rest);
                // What comes after them is nobody's matter: the schedule ends here.
                self.next = None;
                return passed + rest;
            }
            self.advance();
            passed += 1;
        }
        passed
    }

    fn is_before_end(&self, moment: Moment) -> bool {
        self.until.is_none_or(|until| moment < until)
    }

    fn compute(&mut self) -> Option<Moment> {
        if self.left == Some(0) {
            return None;
        }
        let Pace::Poisson(rate) = self.pace else { return self.moment(self.taken) };
        // Inverse transform: -ln(1 - u), u in [0, 1), has the exponential distribution.
        let gap = -(-self.dice.unit()).ln_1p();
        self.gaps_ns += gap * 1e9 * self.share.of as f64 / rate;
        self.placed(self.gaps_ns)
    }

    /// When the request is intended before which `taken` of this lane were; `None`: never, or by
    /// luck.
    fn moment(&self, taken: u64) -> Option<Moment> {
        let number = taken.saturating_mul(self.share.of).saturating_add(self.share.index) as f64;
        match self.pace {
            Pace::Max | Pace::Poisson(_) => None,
            Pace::Constant(rate) => self.placed(number * 1e9 / rate),
            Pace::Ramp { from, to, over } => {
                self.placed(ramp_seconds(number, from, to, over.as_secs_f64())? * 1e9)
            }
        }
    }

    fn placed(&self, offset_ns: f64) -> Option<Moment> {
        let moment = self.start + nanoseconds(offset_ns)?;
        self.is_before_end(moment).then_some(moment)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(pace: Pace, limit: Limit, share: Share) -> Vec<u64> {
        let mut schedule = Schedule::new(pace, limit, share, Moment::from_nanos(1000), Seed(7));
        let mut moments = Vec::new();
        // Whenever it is asked: the answer does not depend on it.
        while let Some(next) = schedule.peek(Moment::from_nanos(u64::MAX / 2)) {
            moments.push(next.as_nanos());
            schedule.advance();
            assert!(moments.len() <= 2_000_000);
        }
        assert!(moments.is_sorted());
        moments
    }

    fn count(count: u64) -> Limit {
        Limit { count: Some(count), until: None }
    }

    fn seconds(seconds: u64) -> Limit {
        let until = Moment::from_nanos(1000) + Duration::from_secs(seconds);
        Limit { count: None, until: Some(until) }
    }

    #[test]
    fn a_constant_pace_never_drifts() {
        // A third of a second cannot be written in nanoseconds; the millionth is still right.
        let moments = moments(Pace::Constant(3.0), count(1_000_001), Share::WHOLE);
        assert_eq!(moments[..3], [1000, 333_334_333, 666_667_667]);
        assert_eq!(moments[1_000_000], 1000 + 1_000_000_000_000_000_u64.div_ceil(3) - 1);
    }

    #[test]
    fn lanes_together_are_the_whole() {
        let of = 7;
        for pace in [
            Pace::Constant(1000.0),
            Pace::Ramp { from: 0.0, to: 500.0, over: Duration::from_secs(3) },
        ] {
            for limit in [count(1001), seconds(2)] {
                let lane = |index| moments(pace, limit, Share { index, of });
                let mut together: Vec<u64> = (0..of).flat_map(lane).collect();
                together.sort_unstable();
                assert_eq!(together, moments(pace, limit, Share::WHOLE), "{pace:?} {limit:?}");
            }
        }
    }

    #[test]
    fn a_ramp_sends_what_is_under_it() {
        let check = |from, to, over, length, expected: usize| {
            let pace = Pace::Ramp { from, to, over: Duration::from_secs(over) };
            let got = moments(pace, seconds(length), Share::WHOLE).len();
            assert!(got.abs_diff(expected) <= 1, "{pace:?}: {got}, not {expected}");
        };
        check(0.0, 100.0, 10, 10, 500);
        check(100.0, 300.0, 10, 10, 2000);
        check(100.0, 300.0, 10, 20, 5000);
        check(300.0, 100.0, 10, 5, 1250);
        check(100.0, 0.0, 10, 60, 500);
        check(200.0, 200.0, 10, 10, 2000);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread() {
        let moments = moments(Pace::Poisson(1000.0), seconds(100), Share::WHOLE);
        // The count has the standard deviation of its root.
        assert!(moments.len().abs_diff(100_000) < 4 * 317, "{}", moments.len());
        let gaps: Vec<f64> = moments.windows(2).map(|w| (w[1] - w[0]) as f64 / 1e6).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 1.0).abs() < 0.02 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        let other = Schedule::new(
            Pace::Poisson(1000.0),
            seconds(1),
            Share { index: 1, of: 2 },
            Moment::START,
            Seed(7),
        );
        assert_ne!(other.peek(Moment::START).map(Moment::as_nanos), moments.first().copied());
    }

    #[test]
    fn the_closed_loop_is_due_now_until_its_end() {
        let start = Moment::from_nanos(100);
        let limit = Limit { count: Some(2), until: Some(Moment::from_nanos(500)) };
        let mut schedule = Schedule::new(Pace::Max, limit, Share::WHOLE, start, Seed(1));
        assert_eq!(schedule.peek(Moment::START), Some(start));
        assert_eq!(schedule.peek(Moment::from_nanos(400)), Some(Moment::from_nanos(400)));
        assert_eq!(schedule.peek(Moment::from_nanos(500)), None);
        schedule.advance();
        schedule.advance();
        assert_eq!(schedule.peek(Moment::from_nanos(400)), None);
    }

    #[test]
    fn what_is_given_up_is_what_was_due() {
        let pace = Pace::Constant(1000.0);
        let at = |ms| Moment::START + Duration::from_millis(ms);
        let mut schedule = Schedule::new(pace, seconds(10), Share::WHOLE, Moment::START, Seed(1));
        schedule.advance();
        assert_eq!(schedule.give_up(Moment::START, at(20)), 20);
        assert_eq!(schedule.peek(Moment::START), None);
    }

    #[test]
    fn giving_up_counts_as_taking_one_after_the_other_does() {
        let ramp = |from, to| Pace::Ramp { from, to, over: Duration::from_secs(3) };
        for pace in [
            Pace::Constant(333.0),
            Pace::Poisson(333.0),
            ramp(0.0, 500.0),
            ramp(200.0, 0.0),
            ramp(7.0, 90.0),
        ] {
            for limit in [count(700), seconds(2), seconds(5)] {
                for (index, ms) in [(0, 0), (1, 10), (2, 1_999), (0, 4_321), (1, 60_000)] {
                    let share = Share { index, of: 3 };
                    let now = Moment::START + Duration::from_millis(ms);
                    let from = Moment::START + Duration::from_millis(ms / 3);
                    let fresh = || Schedule::new(pace, limit, share, Moment::START, Seed(3));
                    let (mut one, mut taken) = (fresh(), 0);
                    while let Some(next) = one.peek(now).filter(|next| *next <= now) {
                        taken += u64::from(next >= from);
                        one.advance();
                    }
                    let what = format!("{pace:?} {limit:?} {index} {ms}");
                    assert_eq!(fresh().give_up(from, now), taken, "{what}");
                }
            }
        }
    }

    #[test]
    fn any_number_is_given_up_at_once() {
        // A week of a request each nanosecond: counted one by one, this test would not end.
        let week = 7 * 24 * 3600;
        let now = Moment::START + Duration::from_secs(2 * week);
        let (start, whole) = (Moment::from_nanos(1000), week * 1_000_000_000);
        for pace in [Pace::Constant(1e9), Pace::Poisson(1e9)] {
            let mut schedule = Schedule::new(pace, seconds(week), Share::WHOLE, start, Seed(1));
            let given_up = schedule.give_up(start, now);
            assert!(given_up.abs_diff(whole) < whole / 1000, "{pace:?}: {given_up}");
        }
        let over = Duration::from_secs(week);
        let pace = Pace::Ramp { from: 0.0, to: 1e9, over };
        let mut schedule = Schedule::new(pace, seconds(week), Share::WHOLE, start, Seed(1));
        assert!(schedule.give_up(start, now).abs_diff(whole / 2) < whole / 1000);
        let mut schedule = Schedule::new(pace, count(u64::MAX), Share::WHOLE, start, Seed(1));
        assert!(schedule.give_up_count(start) > whole);
    }

    #[test]
    fn rates_are_checked() {
        let ramp = |from, to, s| Pace::Ramp { from, to, over: Duration::from_secs(s) };
        for good in [Pace::Max, Pace::Constant(0.1), Pace::Poisson(1e9), ramp(0.0, 5.0, 1)] {
            assert_eq!(good.check(), Ok(()), "{good:?}");
        }
        for bad in [
            Pace::Constant(0.0),
            Pace::Constant(f64::NAN),
            Pace::Poisson(-1.0),
            Pace::Poisson(f64::INFINITY),
            ramp(0.0, 0.0, 1),
            ramp(1.0, 2.0, 0),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
