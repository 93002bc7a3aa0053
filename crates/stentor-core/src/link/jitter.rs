//! How much later or earlier than its delay a unit comes: three distributions, one roll each.

use std::time::Duration;

/// How the difference from the delay is distributed. All have mean 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Evenly from `-spread` to `+spread` (tc-netem(8), uniform).
    #[default]
    Uniform,
    /// Normally, with a standard deviation of `spread` (tc-netem(8), normal).
    Normal,
    /// As Pareto with shape 3, moved and scaled to mean 0 and a standard deviation of `spread`
    /// (tc-netem(8), pareto): mostly a little early, now and then very late.
    Pareto,
}

impl Shape {
    /// Its name in a link's words.
    pub const fn name(self) -> &'static str {
        match self {
            Shape::Uniform => "uniform",
            Shape::Normal => "normal",
            Shape::Pareto => "pareto",
        }
    }
}

/// How far from the delay units come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jitter {
    /// The half width (uniform) or the standard deviation (normal, Pareto).
    pub spread: Duration,
    /// The distribution.
    pub shape: Shape,
}
