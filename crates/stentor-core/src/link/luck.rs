//! The dice of one link: one for each knob, all rolled once for each unit.

use std::ops::Range;

use super::decision::Knob;
use super::knobs::Knobs;
use crate::seed::{Dice, Seed};

/// All dice of a link, and whether its line is in a bad state.
#[derive(Clone, Debug)]
pub(super) struct Luck {
    loss: Dice,
    burst: Dice,
    burst_loss: Dice,
    duplicate: Dice,
    corrupt: Dice,
    corrupt_bit: Dice,
    reorder: Dice,
    jitter: Dice,
    jitter_copy: Dice,
    bad: bool,
}

/// What chance says about one unit.
#[derive(Clone, Debug)]
pub(super) struct Rolls {
    /// The knob that loses it, if one does.
    pub(super) lost: Option<Knob>,
    pub(super) doubled: bool,
    pub(super) overtakes: bool,
    /// In `[0, 1)`, for the unit and for its copy.
    pub(super) jitter: f64,
    pub(super) jitter_copy: f64,
    corrupted: bool,
    bit: u64,
}

impl Luck {
    /// The dice of the link of this name.
    pub(super) fn new(seed: Seed, name: &str) -> Luck {
        let die = |knob: &str| Dice::new(seed, &format!("{name}/{knob}"));
        Luck {
            loss: die("loss"),
            burst: die("burst"),
            burst_loss: die("burst-loss"),
            duplicate: die("duplicate"),
            corrupt: die("corrupt"),
            corrupt_bit: die("corrupt-bit"),
            reorder: die("reorder"),
            jitter: die("jitter"),
            jitter_copy: die("jitter-copy"),
            bad: false,
        }
    }

    /// Rolls every die for the unit of number `seq`, whether its knob is turned up or not: what one
    /// knob is set to must not move another's luck.
    pub(super) fn roll(&mut self, knobs: &Knobs, seq: u64) -> Rolls {
        let loss = self.loss.chance(knobs.loss.0);
        let (change, strike) = (self.burst.unit(), self.burst_loss.unit());
        let burst = knobs.burst.is_some_and(|burst| {
            self.bad = burst.step(self.bad, change);
            strike < burst.loss(self.bad)
        });
        let every = knobs.every.is_some_and(|nth| seq.is_multiple_of(nth));
        Rolls {
            lost: match (loss, burst, every) {
                (true, _, _) => Some(Knob::Loss),
                (_, true, _) => Some(Knob::Burst),
                (_, _, true) => Some(Knob::Every),
                (false, false, false) => None,
            },
            doubled: self.duplicate.chance(knobs.duplicate.0),
            corrupted: self.corrupt.chance(knobs.corrupt.0),
            bit: self.corrupt_bit.bits(),
            overtakes: self.reorder.chance(knobs.reorder.0),
            jitter: self.jitter.unit(),
            jitter_copy: self.jitter_copy.unit(),
        }
    }
}

impl Rolls {
    /// The bit that is flipped, if one is, of a unit whose bytes in `range` may be struck.
    pub(super) fn flip_in(&self, range: &Range<usize>) -> Option<u64> {
        let bits = 8 * range.len() as u64;
        let within = (u128::from(self.bit) * u128::from(bits)) >> 64;
        let bit = 8 * range.start as u64 + u64::try_from(within).unwrap_or(0);
        (self.corrupted && bits > 0).then_some(bit)
    }
}
