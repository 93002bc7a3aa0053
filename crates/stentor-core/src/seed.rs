//! Chance that can be repeated: one seed per run, and a named die for each thing left to luck.
//!
//! A die is made from the seed *and a name*, so that using one more die, or rolling one of them
//! more often, never changes another's luck. Choosing the seed is left to the caller.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// The number from which all chance of a run follows; always printed, so that it can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

/// One source of chance, independent of every other name under the same seed.
#[derive(Clone, Debug)]
pub struct Dice(Xoshiro256PlusPlus);

impl Dice {
    /// Makes the die called `name` under `seed`.
    pub fn new(seed: Seed, name: &str) -> Dice {
        // FNV-1a, 64 bit: names are few and short, they only must not collide by habit.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Dice(Xoshiro256PlusPlus::seed_from_u64(seed.0 ^ hash))
    }

    /// Rolls 64 bits, each equally likely.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Rolls a number in `0..bound`; 0 when `bound` is 0.
    ///
    /// Lemire's multiplication ("Fast Random Integer Generation in an Interval", 2019) without
    /// its rejection step: the bias is at most `bound` / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.bits()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(u64::MAX)
    }

    /// Says yes with `probability` (0 to 1; outside it never or always).
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Rolls a number in `[0, 1)`, with 53 bits.
    pub fn unit(&mut self) -> f64 {
        const STEP: f64 = 1.0 / 9_007_199_254_740_992.0; // 2^-53
        (self.bits() >> 11) as f64 * STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_name_repeat() {
        let mut one = Dice::new(Seed(7), "loss");
        let mut two = Dice::new(Seed(7), "loss");
        assert!((0..100).all(|_| one.bits() == two.bits()));
    }

    #[test]
    fn another_name_has_other_luck() {
        let mut loss = Dice::new(Seed(7), "loss");
        let mut delay = Dice::new(Seed(7), "delay");
        assert!((0..100).any(|_| loss.bits() != delay.bits()));
    }

    #[test]
    fn rolls_stay_in_their_range() {
        let mut dice = Dice::new(Seed(1), "range");
        assert!((0..1000).all(|_| dice.below(6) < 6));
        assert!((0..1000).all(|_| (0.0..1.0).contains(&dice.unit())));
        assert!((0..1000).all(|_| !dice.chance(0.0) && dice.chance(1.0)));
        assert_eq!(dice.below(0), 0);
    }
}
