//! When a unit has left the transmitter: at a rate, or along a recorded link.
//!
//! What waits, and for how long, is left to the machines.

use super::trace::{OPPORTUNITY_BYTES, Opportunities, Table, Trace};
use crate::moment::Moment;
use crate::units::BitRate;

/// What sends one unit after the other.
#[derive(Clone, Debug)]
pub(super) enum Transmitter {
    /// Everything at once.
    Instant,
    /// At a constant rate; `carry` is what the last unit left of a nanosecond, times the rate.
    Rate { bps: u64, carry: u128 },
    /// Whenever the recorded link had an opportunity. `next` counts opportunities since the run
    /// began, `left` is what the last one used still has, in bytes.
    Opportunities { known: Opportunities, next: u64, left: u64 },
    /// As fast as the recorded link was.
    Table(Table),
}

impl Transmitter {
    /// At `rate`, along `trace`, or without a limit.
    pub(super) fn new(rate: Option<BitRate>, trace: Option<&Trace>) -> Transmitter {
        match (rate, trace) {
            (None, None) => Transmitter::Instant,
            // A rate of 0 is refused before; 1 keeps the division whole.
            (Some(rate), _) => Transmitter::Rate { bps: rate.0.max(1), carry: 0 },
            (None, Some(Trace::Opportunities(known))) => {
                Transmitter::Opportunities { known: known.clone(), next: 0, left: 0 }
            }
            (None, Some(Trace::Table(table))) => Transmitter::Table(table.clone()),
        }
    }

    /// When a unit of `bytes` that begins at `start` has left. `waited`: it was there when the one
    /// before it left, and so continues without a gap.
    pub(super) fn send(&mut self, start: Moment, bytes: u64, waited: bool) -> Moment {
        match self {
            Transmitter::Instant => start,
            Transmitter::Rate { bps, carry } => {
                let before = if waited { *carry } else { 0 };
                let work = u128::from(bytes) * 8_000_000_000 + before;
                *carry = work % u128::from(*bps);
                later(start, work / u128::from(*bps))
            }
            Transmitter::Opportunities { known, next, left } => {
                if !waited || *next == 0 {
                    // Those up to now are gone, as in Mahimahi, where an opportunity is burnt
                    // before the packet that comes in its very millisecond is queued.
                    *next = known.first_after(start).max(*next);
                    *left = 0;
                }
                let bytes = bytes.max(1);
                if bytes <= *left {
                    *left -= bytes;
                    return start;
                }
                let needed = (bytes - *left).div_ceil(OPPORTUNITY_BYTES);
                *left = *left + needed * OPPORTUNITY_BYTES - bytes;
                *next = next.saturating_add(needed);
                known.moment(*next - 1)
            }
            Transmitter::Table(table) => table.passes(start, bytes),
        }
    }
}

impl Trace {
    /// When the first `bytes` of a transfer have passed that begins at `start` and is alone.
    pub fn passes(&self, start: Moment, bytes: u64) -> Moment {
        Transmitter::new(None, Some(self)).send(start, bytes, false)
    }
}

fn later(start: Moment, nanoseconds: u128) -> Moment {
    let nanoseconds = u64::try_from(nanoseconds).unwrap_or(u64::MAX);
    Moment::from_nanos(start.as_nanos().saturating_add(nanoseconds))
}

impl Opportunities {
    /// The number of the first opportunity after `moment`, from 0.
    fn first_after(&self, moment: Moment) -> u64 {
        let (period, now) = (self.period_ns(), moment.as_nanos());
        let into = now % period;
        let gone = self.stamps_ms.partition_point(|ms| ms * 1_000_000 <= into);
        (now / period).saturating_mul(self.len()).saturating_add(gone as u64)
    }

    /// When the opportunity of this number comes.
    fn moment(&self, number: u64) -> Moment {
        let within = usize::try_from(number % self.len()).unwrap_or(usize::MAX);
        let stamp = self.stamps_ms.get(within).map_or(0, |ms| ms * 1_000_000);
        let begin = (number / self.len()).saturating_mul(self.period_ns());
        Moment::from_nanos(begin.saturating_add(stamp))
    }

    fn len(&self) -> u64 {
        self.stamps_ms.len() as u64
    }
}

impl Table {
    /// When `bytes` have passed that began at `start`.
    fn passes(&self, start: Moment, bytes: u64) -> Moment {
        if bytes == 0 {
            return start;
        }
        let (period, now) = (self.period_ns(), start.as_nanos());
        let into = now % period;
        let row = self.rows.partition_point(|row| row.end_ns <= into);
        let already = self
            .rows
            .get(row)
            .map_or(0, |row| row.passed - u128::from(row.end_ns - into) * u128::from(row.bps));
        // The last of the wanted parts of a bit: the unit has left when that has.
        let last = already + u128::from(bytes) * 8_000_000_000 - 1;
        let (periods, wanted) = (last / self.passed(), last % self.passed() + 1);
        let row = self.rows.partition_point(|row| row.passed < wanted);
        let end = self.rows.get(row).map_or(0, |row| {
            let missing = (row.passed - wanted) / u128::from(row.bps.max(1));
            u128::from(row.end_ns) - missing
        });
        let begin = u128::from(now / period) + periods;
        later(Moment::START, (begin * u128::from(period)).saturating_add(end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(moment: Moment) -> f64 {
        moment.as_nanos() as f64 / 1e6
    }

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_rate_loses_no_part_of_a_nanosecond() {
        let mut line = Transmitter::new(Some(BitRate(7)), None);
        let mut now = line.send(Moment::START, 1, false);
        for _ in 1..7 {
            now = line.send(now, 1, true);
        }
        assert_eq!(now.as_nanos(), 8_000_000_000);
    }

    #[test]
    fn opportunities_are_used_wasted_and_repeated() {
        let trace: Trace = "2\n5\n5\n10".parse().unwrap();
        let mut line = Transmitter::new(None, Some(&trace));
        // One unit each, the second continues the first.
        assert_eq!(ms(line.send(at(0), 1500, false)), 2.0);
        assert_eq!(ms(line.send(at(2), 1500, true)), 5.0);
        assert_eq!(ms(line.send(at(5), 1500, true)), 5.0);
        // Came at 10: that one is gone, the next period begins there.
        assert_eq!(ms(line.send(at(10), 1500, false)), 12.0);
        // Small units share an opportunity, large ones span several.
        assert_eq!(ms(line.send(at(22), 700, false)), 25.0);
        assert_eq!(ms(line.send(at(25), 700, true)), 25.0);
        assert_eq!(ms(line.send(at(25), 700, true)), 25.0);
        assert_eq!(ms(line.send(at(25), 900, true)), 25.0);
        assert_eq!(ms(line.send(at(25), 1, true)), 30.0);
        // What an opportunity had left is wasted once nothing waits.
        assert_eq!(ms(line.send(at(30), 1, false)), 32.0);
        // Five seconds of opportunities, 4 of 1500 bytes every 10 ms.
        assert_eq!(ms(line.send(at(100), 4 * 500 * 1500, false)), 5100.0);
    }

    #[test]
    fn tables_are_walked_over_gaps_and_ends() {
        // 1 s at 8 kbit/s (1000 bytes), 1 s of nothing, 1 s at 16 kbit/s (2000 bytes).
        let trace: Trace = "0 0\n1 0.008\n2 0\n3 0.016".parse().unwrap();
        let mut line = Transmitter::new(None, Some(&trace));
        assert_eq!(ms(line.send(at(0), 500, false)), 500.0);
        assert_eq!(ms(line.send(at(0), 1000, false)), 1000.0);
        assert_eq!(ms(line.send(at(500), 502, false)), 2001.0);
        assert_eq!(ms(line.send(at(1500), 2000, false)), 3000.0);
        assert_eq!(ms(line.send(at(1500), 2001, false)), 3001.0);
        assert_eq!(ms(line.send(at(3000), 3000, false)), 6000.0);
        assert_eq!(ms(line.send(at(3000), 9000, false)), 12000.0);
        assert_eq!(ms(line.send(at(4000), 0, false)), 4000.0);
    }
}
