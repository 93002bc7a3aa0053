//! How much later or earlier than its delay a unit comes: three distributions, one roll each.

use std::fmt;
use std::time::Duration;

use super::knobs::DELAY_MAX;
use crate::units::Span;

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
    /// Every shape.
    pub const ALL: [Shape; 3] = [Shape::Uniform, Shape::Normal, Shape::Pareto];

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

impl Jitter {
    /// The difference from the delay in nanoseconds that belongs to `roll`, which is evenly
    /// distributed in `[0, 1)`; at most an hour either way.
    ///
    /// Every shape is the inverse of its distribution function, so that each takes one roll and a
    /// change of shape leaves all later rolls where they were.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "clamped to an hour; the fraction of a nanosecond means nothing"
    )]
    pub fn offset_ns(self, roll: f64) -> i64 {
        // Half a step up: a roll is a multiple of 2^-53, and 0 would be infinitely far out.
        let roll = (roll + f64::EPSILON / 4.0).min(1.0 - f64::EPSILON / 2.0);
        let deviation = match self.shape {
            Shape::Uniform => 2.0 * roll - 1.0,
            Shape::Normal => normal(roll),
            Shape::Pareto => pareto(roll),
        };
        let longest = DELAY_MAX.as_nanos() as f64;
        (deviation * self.spread.as_nanos() as f64).clamp(-longest, longest).round() as i64
    }
}

/// `5ms`, `5ms:normal`, `5ms:pareto`.
impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Span(self.spread))?;
        if self.shape != Shape::Uniform {
            write!(f, ":{}", self.shape.name())?;
        }
        Ok(())
    }
}

/// The delay with its jitter, never below 0.
pub(super) fn delayed(delay: Duration, offset_ns: i64) -> Duration {
    let offset = Duration::from_nanos(offset_ns.unsigned_abs());
    if offset_ns < 0 { delay.saturating_sub(offset) } else { delay + offset }
}

/// Pareto with shape 3 and scale 1 has mean 3/2 and variance 3/4; moved and scaled to 0 and 1.
fn pareto(roll: f64) -> f64 {
    ((1.0 - roll).powf(-1.0 / 3.0) - 1.5) / 0.75_f64.sqrt()
}

/// The normal deviate below which `p` of all are: M. J. Wichura, "Algorithm AS 241: The Percentage
/// Points of the Normal Distribution", Applied Statistics 37 (1988), PPND16; about 1 part in 10^16.
fn normal(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180625 - q * q;
        return q * ratio(r, &CENTRE);
    }
    let r = (-if q < 0.0 { p } else { 1.0 - p }.ln()).sqrt();
    let far = if r <= 5.0 { ratio(r - 1.6, &MIDDLE) } else { ratio(r - 5.0, &TAIL) };
    far.copysign(q)
}

/// One polynomial over another, each with its constant term first.
fn ratio(x: f64, [above, below]: &[[f64; 8]; 2]) -> f64 {
    let value = |terms: &[f64; 8]| terms.iter().rev().fold(0.0, |sum, term| sum * x + term);
    value(above) / value(below)
}

/// AS 241's a and b, for 0.075 <= p <= 0.925.
const CENTRE: [[f64; 8]; 2] = [
    [
        3.387_132_872_796_366_5,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_854,
    ],
];

/// AS 241's c and d, up to 1.4e-11 from the ends.
const MIDDLE: [[f64; 8]; 2] = [
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
];

/// AS 241's e and f, beyond.
const TAIL: [[f64; 8]; 2] = [
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        0.296_560_571_828_504_87,
        0.026_532_189_526_576_124,
        0.001_242_660_947_388_078_4,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        0.599_832_206_555_888,
        0.136_929_880_922_735_8,
        0.014_875_361_290_850_615,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_7e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviates_are_those_of_the_tables() {
        let check = |p: f64, expected: f64| {
            assert!((normal(p) - expected).abs() < 1e-9 * expected.abs().max(1.0), "{p}");
        };
        // Python's statistics.NormalDist().inv_cdf(p).
        check(0.5, 0.0);
        check(0.6, 0.2533471031357998);
        check(0.025, -1.9599639845400538);
        check(0.95, 1.6448536269514715);
        check(0.99, 2.3263478740408408);
        check(0.001, -3.090232306167813);
        check(1e-06, -4.753424308822899);
        check(1e-12, -7.034483825301132);
        check(1e-15, -7.941345326170995);
        assert!((pareto(0.0) - (-0.577_350_269_189_625_8)).abs() < 1e-12);
        assert!((pareto(0.875) - 0.577_350_269_189_625_8).abs() < 1e-12);
    }

    #[test]
    fn offsets_stay_finite_at_both_ends() {
        let spread = Duration::from_millis(10);
        for shape in Shape::ALL {
            let jitter = Jitter { spread, shape };
            assert!(jitter.offset_ns(0.0) < 0 && jitter.offset_ns(1.0 - f64::EPSILON) > 0);
            let hour = Jitter { spread: DELAY_MAX, shape };
            assert!(hour.offset_ns(1.0) <= 3_600_000_000_000);
        }
    }
}
