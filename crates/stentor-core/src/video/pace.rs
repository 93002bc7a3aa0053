//! A rate kept exactly: how much may be sent by now, and when there will be more.
//!
//! The clock decides, not the number of turns: a turn that comes late finds more. What is not used,
//! because there was nothing to send or nobody took it, is lost: the driver says so, and it waits.

use std::time::Duration;

use crate::moment::Moment;
use crate::units::BitRate;

/// The most time that is made up for when a turn comes late, on a machine that has more to do.
const ARREARS_MAX: Duration = Duration::from_secs(1);
/// The bits of a byte, times the nanoseconds of a second.
const BIT_NS: u128 = 8 * 1_000_000_000;

/// One stream of bytes at a rate.
#[derive(Clone, Debug)]
pub struct Pace {
    rate: BitRate,
    /// Until when everything that was sent is paid for.
    paid: Moment,
}

impl Pace {
    /// A stream of this rate, which has sent nothing; a rate of 0 sends nothing, ever.
    pub const fn new(rate: BitRate) -> Pace {
        Pace { rate, paid: Moment::START }
    }

    /// Something new is to be sent, or somebody has begun to take it again: it has all of its time
    /// before it, and that of what was sent before.
    pub fn begin(&mut self, now: Moment) {
        self.paid = self.paid.max(now);
    }

    /// How many of the `left` bytes may be sent now, or when to ask again. At least the bytes of
    /// `piece` are sent at once, as long as there are so many.
    ///
    /// # Errors
    /// The moment from which on there is enough.
    pub fn poll(&mut self, now: Moment, left: u64, piece: Duration) -> Result<u64, Moment> {
        let wanted = self.bytes(piece).max(1).min(left);
        let due = self.paid + self.span(wanted);
        if due > now {
            return Err(due);
        }
        let lost = now.since(due).saturating_sub(ARREARS_MAX);
        self.paid = self.paid + lost;
        Ok(self.bytes(now.since(self.paid)).clamp(wanted, left.max(wanted)))
    }

    /// Notes that so many bytes were sent.
    pub fn sent(&mut self, bytes: u64) {
        self.paid = self.paid + self.span(bytes);
    }

    /// What is sent in this time, rounded down.
    fn bytes(&self, span: Duration) -> u64 {
        let bytes = u128::from(ns(span)) * u128::from(self.rate.0) / BIT_NS;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// How long so many bytes take, rounded up.
    fn span(&self, bytes: u64) -> Duration {
        let Some(rate) = std::num::NonZeroU64::new(self.rate.0) else { return Duration::MAX };
        let ns = (u128::from(bytes) * BIT_NS).div_ceil(u128::from(rate.get()));
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

fn ns(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Dice, Seed};

    const PIECE: Duration = Duration::from_millis(5);

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    /// Sends `bytes` from `begin`, each turn up to `late_ns` late; when the last byte left.
    fn run(pace: &mut Pace, begin: Moment, bytes: u64, late_ns: u64, dice: &mut Dice) -> Moment {
        let (mut now, mut left) = (begin, bytes);
        pace.begin(now);
        while left > 0 {
            match pace.poll(now, left, PIECE) {
                Ok(count) => {
                    pace.sent(count);
                    left -= count;
                }
                Err(due) => now = due + Duration::from_nanos(dice.below(late_ns + 1)),
            }
        }
        now
    }

    #[test]
    fn every_rate_is_exact_whenever_the_turns_come() {
        for seed in 0..200 {
            let dice = &mut Dice::new(Seed(seed), "pace");
            // From a byte in eight seconds on.
            let rate = BitRate(1 + dice.below([5, 2_000_000_000][usize::from(seed % 4 > 0)]));
            let late_ns = [0, 1_200_000, 900_000_000][usize::try_from(seed % 3).unwrap()];
            // Ten seconds of it.
            let bytes = (rate.0 * 10 / 8).max(1);
            let exact_ns = u128::from(bytes) * 8_000_000_000 / u128::from(rate.0);
            let mut pace = Pace::new(rate);
            let took = run(&mut pace, at(77), bytes, late_ns, dice).since(at(77)).as_nanos();
            assert!(took >= exact_ns, "seed {seed}: {rate} was exceeded: {took} ns");
            let over = took - exact_ns;
            assert!(over <= u128::from(late_ns) + 100_000, "seed {seed}: {rate}: {over} ns late");
        }
    }

    #[test]
    fn answers_in_a_row_share_the_rate_and_a_pause_is_no_credit() {
        let mut pace = Pace::new(BitRate(8_000_000));
        let dice = &mut Dice::new(Seed(1), "pace");
        assert_eq!(run(&mut pace, at(0), 500_000, 0, dice), at(500));
        assert_eq!(run(&mut pace, at(500), 500_000, 0, dice), at(1000));
        assert_eq!(run(&mut pace, at(9000), 1000, 0, dice), at(9001));
    }

    #[test]
    fn what_nobody_took_is_lost() {
        let mut pace = Pace::new(BitRate(8_000_000));
        pace.begin(at(0));
        assert_eq!(pace.poll(at(5), u64::MAX, PIECE), Ok(5000));
        pace.sent(5000);
        assert_eq!(pace.poll(at(900), u64::MAX, PIECE), Ok(895_000));
        assert_eq!(pace.poll(at(8000), u64::MAX, PIECE), Ok(1_005_000));
        assert_eq!(pace.poll(at(8000), 7, PIECE), Ok(7));
        pace.begin(at(8000));
        assert_eq!(pace.poll(at(8000), u64::MAX, PIECE), Err(at(8005)));
    }

    #[test]
    fn a_rate_of_nothing_waits_for_ever() {
        let mut pace = Pace::new(BitRate(0));
        assert_eq!(pace.poll(at(5), 1, PIECE), Err(Moment::from_nanos(u64::MAX)));
    }
}
