//! Interarrival jitter: how unevenly a path delays.

use std::time::Duration;

use crate::moment::Moment;

/// The estimator of RFC 3550, section 6.4.1, in the integer arithmetic of its appendix A.8, on
/// nanoseconds: J += (|D| - J) / 16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jitter {
    /// The transit time of the last one, in nanoseconds; the clocks need not agree.
    transit_ns: Option<i128>,
    /// Sixteen times the jitter, in nanoseconds.
    scaled_ns: u128,
}

impl Jitter {
    /// Takes one arrival: when it was sent and when it came. A constant difference between the
    /// two clocks does not matter.
    pub fn feed(&mut self, sent: Moment, came: Moment) {
        let transit = i128::from(came.as_nanos()) - i128::from(sent.as_nanos());
        if let Some(last) = self.transit_ns.replace(transit) {
            let difference = transit.abs_diff(last);
            self.scaled_ns =
                (self.scaled_ns + difference).saturating_sub((self.scaled_ns + 8) >> 4);
        }
    }

    /// The jitter now; zero before the second arrival.
    pub fn value(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.scaled_ns >> 4).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jitter(transits_ns: &[u64]) -> u128 {
        let mut jitter = Jitter::default();
        for (n, transit) in transits_ns.iter().enumerate() {
            let sent = n as u64 * 20_000_000;
            jitter.feed(Moment::from_nanos(sent), Moment::from_nanos(sent + transit));
        }
        jitter.value().as_nanos()
    }

    #[test]
    fn a_constant_transit_has_none() {
        assert_eq!(jitter(&[]), 0);
        assert_eq!(jitter(&[5_000_000]), 0);
        assert_eq!(jitter(&[5_000_000; 50]), 0);
    }

    #[test]
    fn one_difference_counts_a_sixteenth() {
        assert_eq!(jitter(&[1_000_000, 17_000_000]), 1_000_000);
    }

    #[test]
    fn alternation_converges_on_the_difference() {
        let transits: Vec<u64> = (0..400).map(|n| 1_000_000 * (1 + n % 2)).collect();
        let value = jitter(&transits);
        assert!((999_000..=1_000_000).contains(&value), "{value}");
    }

    #[test]
    fn clocks_that_differ_do_not_matter() {
        let mut jitter = Jitter::default();
        for n in 0..10_u64 {
            // The receiver's clock is behind: what came seems older than what was sent.
            jitter.feed(Moment::from_nanos(1_000_000 + n), Moment::from_nanos(n));
        }
        assert_eq!(jitter.value(), Duration::ZERO);
    }
}
