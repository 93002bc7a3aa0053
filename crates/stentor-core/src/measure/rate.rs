//! How many a second: now, and over all.

use crate::moment::Moment;

/// Counts things and says how many a second there were.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    began: Moment,
    lap: Moment,
    in_lap: u64,
    total: u64,
}

impl Rate {
    /// Starts counting at `now`.
    pub fn new(now: Moment) -> Rate {
        Rate { began: now, lap: now, in_lap: 0, total: 0 }
    }

    /// Counts `more`.
    pub fn feed(&mut self, more: u64) {
        self.in_lap += more;
        self.total += more;
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many a second since the last lap (or the start), and begins the next one; `None` if no
    /// time has passed.
    pub fn lap(&mut self, now: Moment) -> Option<f64> {
        let rate = per_second(self.in_lap, now, self.lap)?;
        (self.lap, self.in_lap) = (now, 0);
        Some(rate)
    }

    /// How many a second since the start; `None` if no time has passed.
    pub fn overall(&self, now: Moment) -> Option<f64> {
        per_second(self.total, now, self.began)
    }
}

fn per_second(count: u64, now: Moment, since: Moment) -> Option<f64> {
    let seconds = now.since(since).as_secs_f64();
    (seconds > 0.0).then(|| count as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn laps_and_the_whole() {
        let at = |ms| Moment::START + Duration::from_millis(ms);
        let mut rate = Rate::new(at(0));
        assert_eq!(rate.overall(at(0)), None);
        rate.feed(100);
        assert_eq!(rate.lap(at(500)), Some(200.0));
        rate.feed(100);
        assert_eq!((rate.lap(at(500)), rate.lap(at(1500))), (None, Some(100.0)));
        assert_eq!((rate.overall(at(2000)), rate.total()), (Some(100.0), 200));
    }
}
