//! Losses that come in bursts, as Gilbert and Elliott modelled them.

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
