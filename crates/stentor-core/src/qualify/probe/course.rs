//! Round trips as they were, one after the other: for their distribution, their jitter, a picture.

use std::time::Duration;

use crate::measure::{Jitter, Latency};
use crate::moment::Moment;

/// A probe, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When it was sent.
    pub sent: Moment,
    /// How long its answer took; `None` while there is none.
    pub took: Option<Duration>,
}

/// All probes of a machine in the order in which they were sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// The probes.
    pub points: Vec<Point>,
    /// Their round trips.
    pub round_trips: Latency,
    running: Jitter,
}

impl Course {
    /// Notes that the next one left.
    pub(super) fn sent(&mut self, now: Moment) {
        self.points.push(Point { sent: now, took: None });
    }

    /// Notes the first answer to the one of this number.
    pub(super) fn came(&mut self, number: u64, now: Moment) -> Option<Duration> {
        let point = self.points.get_mut(usize::try_from(number).ok()?)?;
        let took = now.since(point.sent);
        point.took = Some(took);
        self.round_trips.record(took);
        self.running.feed(point.sent, now);
        Some(took)
    }

    /// The interarrival jitter of RFC 3550, section 6.4.1, as it stood at the end: a running
    /// estimate, in the order of arrival, of which the last sixteen or so count most.
    pub fn jitter_running(&self) -> Option<Duration> {
        (self.round_trips.len() > 1).then(|| self.running.value())
    }

    /// The mean of |D| (RFC 3550, section 6.4.1) over the run, of probes sent one after the other
    /// of which both came back (the selection of RFC 3393, section 2.4): the same as the running
    /// estimate tends to where nothing is reordered, and a steadier figure. And of how many pairs.
    pub fn jitter_mean(&self) -> Option<(Duration, u64)> {
        let pairs = self.points.windows(2).filter_map(|pair| match pair {
            [one, next] => Some(one.took?.abs_diff(next.took?)),
            _ => None,
        });
        let (mut sum, mut count) = (0_u128, 0_u64);
        for difference in pairs {
            sum += difference.as_nanos();
            count += 1;
        }
        let mean = sum.checked_div(u128::from(count))?;
        Some((Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX)), count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_of_neighbours_that_both_came() {
        let mut course = Course::default();
        let ms = |ms| Moment::START + Duration::from_millis(ms);
        for (number, took) in [Some(10), Some(14), None, Some(30), Some(31)].iter().enumerate() {
            course.sent(ms(number as u64 * 20));
            if let Some(took) = took {
                course.came(number as u64, ms(number as u64 * 20 + took));
            }
        }
        // |14 - 10| and |31 - 30|; the lost one parts the others.
        assert_eq!(course.jitter_mean(), Some((Duration::from_micros(2500), 2)));
        // By RFC 3550 of arrivals: 4, 16 and 1 ms.
        let expected = ((4.0 * 15.0 / 16.0 + 16.0) * 15.0 / 16.0 + 1.0) / 16.0;
        let running = course.jitter_running().unwrap().as_secs_f64() * 1e3;
        assert!((running - expected).abs() < 0.001, "{running} {expected}");
        assert_eq!(Course::default().jitter_mean(), None);
        assert_eq!(Course::default().jitter_running(), None);
    }
}
