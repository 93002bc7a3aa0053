//! Losses that come in bursts, as Gilbert and Elliott modelled them.

use std::fmt;

use crate::units::Probability;

/// A line that is either good or bad and changes before each unit: `burst=P/R[/BAD[/GOOD]]`.
///
/// E. N. Gilbert, "Capacity of a Burst-Noise Channel", Bell System Technical Journal 39 (1960),
/// with a good state that may lose, too: E. O. Elliott, "Estimates of Error Rates for Codes on
/// Burst-Noise Channels", BSTJ 42 (1963). `p` and `r` have the names they have there and in
/// tc-netem(8), `gemodel`. With `bad` = 1 and `good` = 0 a burst has 1/r units in the mean, and
/// p / (p + r) of all units are lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// How likely a good line turns bad before a unit.
    pub p: Probability,
    /// How likely a bad line turns good before a unit.
    pub r: Probability,
    /// How likely a unit is lost while the line is bad (netem's 1-h); 1 unless given.
    pub bad: Probability,
    /// How likely a unit is lost while the line is good (netem's 1-k); 0 unless given.
    pub good: Probability,
}

impl Burst {
    /// The mean share of units that is lost in the long run, from 0 to 1.
    pub fn mean_loss(self) -> f64 {
        let bad = self.p.0 / (self.p.0 + self.r.0);
        bad * self.bad.0 + (1.0 - bad) * self.good.0
    }

    /// Moves the line, which is `bad` or not, on by one unit.
    pub(super) fn step(self, bad: bool, roll: f64) -> bool {
        bad != (roll < if bad { self.r.0 } else { self.p.0 })
    }

    /// How likely a unit is lost now.
    pub(super) fn loss(self, bad: bool) -> f64 {
        if bad { self.bad.0 } else { self.good.0 }
    }
}

/// `1%/25%`, with `/BAD` and `/GOOD` where they are not 100 % and 0 %.
impl fmt::Display for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.p, self.r)?;
        match (self.bad.0 < 1.0, self.good.0 > 0.0) {
            (false, false) => Ok(()),
            (_, false) => write!(f, "/{}", self.bad),
            (_, true) => write!(f, "/{}/{}", self.bad, self.good),
        }
    }
}
