//! How sure a share is: the confidence interval of a probability that was seen in trials.
//!
//! Clopper and Pearson's exact interval ("The Use of Confidence or Fiducial Limits", Biometrika
//! 26, 1934): it covers the true probability *at least* as often as it says, also where nothing
//! or everything happened. Wilson's is narrower, but covers less than it says for rare events,
//! which are what is looked for here; a test on it would fail too often.

/// How often the interval must hold the true value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// 99 in 100.
    Percent99,
    /// 999 in 1,000.
    Percent99_9,
}

impl Confidence {
    /// The probability that is left outside, on both sides together.
    const fn outside(self) -> f64 {
        match self {
            Confidence::Percent99 => 0.01,
            Confidence::Percent99_9 => 0.001,
        }
    }
}

/// From `low` to `high`, both probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The least probability that explains what was seen.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

impl Interval {
    /// The interval of the probability of what happened in `happened` of `trials`. Without a
    /// trial it is everything.
    pub fn new(happened: u64, trials: u64, confidence: Confidence) -> Interval {
        let happened = happened.min(trials);
        let (k, n) = (happened as f64, trials as f64);
        let tail = confidence.outside() / 2.0;
        let low = if happened == 0 { 0.0 } else { quantile(tail, k, n - k + 1.0) };
        let high = if happened == trials { 1.0 } else { quantile(1.0 - tail, k + 1.0, n - k) };
        Interval { low, high }
    }

    /// Whether `probability` explains what was seen.
    pub fn contains(&self, probability: f64) -> bool {
        (self.low..=self.high).contains(&probability)
    }
}

/// Where the beta distribution reaches `wanted`. Bisection: the function rises, and 60 halvings
/// are all a double can tell.
fn quantile(wanted: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if incomplete_beta(middle, a, b) < wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The regularized incomplete beta function (NIST Digital Library of Mathematical Functions,
/// 8.17), by the continued fraction 8.17.22, evaluated as Lentz does.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast below the mean; 8.17.4 is the other half.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta_fraction(1.0 - x, b, a);
    }
    incomplete_beta_fraction(x, a, b)
}

fn incomplete_beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    // It takes some multiple of the square root of the larger parameter.
    const STEPS_MAX: u32 = 200_000;
    let kept = |value: f64| if value.abs() < TINY { TINY } else { value };
    let front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p();
    let mut c = 1.0;
    let mut d = 1.0 / kept(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..STEPS_MAX {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / kept(1.0 + even * d);
        c = kept(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / kept(1.0 + odd * d);
        c = kept(1.0 + odd / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-14 {
            break;
        }
    }
    front.exp() * fraction / a
}

/// The logarithm of the gamma function of a number of at least 1: Stirling's series (NIST DLMF
/// 5.11.1), from 10 on, where six terms leave less than 1e-15.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 10.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let r = 1.0 / (x * x);
    let series = (1.0 / 12.0
        - r * (1.0 / 360.0
            - r * (1.0 / 1260.0
                - r * (1.0 / 1680.0 - r * (1.0 / 1188.0 - r * 691.0 / 360_360.0)))))
        / x;
    let half_ln_two_pi = 0.918_938_533_204_672_7;
    shift + (x - 0.5) * x.ln() - x + half_ln_two_pi + series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_interval() {
        // Against closed forms: with nothing seen the upper end is 1 - (outside / 2)^(1 / n).
        let check = |happened, trials, confidence, low: f64, high: f64| {
            let interval = Interval::new(happened, trials, confidence);
            let near = |one: f64, other: f64| (one - other).abs() < 1e-9;
            assert!(
                near(interval.low, low) && near(interval.high, high),
                "{happened} of {trials}: {interval:?}, not {low} to {high}"
            );
        };
        let none = |n: f64, tail: f64| 1.0 - tail.powf(1.0 / n);
        check(0, 1000, Confidence::Percent99, 0.0, none(1000.0, 0.005));
        check(0, 1_000_000, Confidence::Percent99_9, 0.0, none(1e6, 0.0005));
        check(50, 50, Confidence::Percent99, 0.005_f64.powf(1.0 / 50.0), 1.0);
        check(0, 0, Confidence::Percent99, 0.0, 1.0);
        check(1, 1, Confidence::Percent99, 0.005, 1.0);
    }

    #[test]
    fn its_ends_leave_half_of_the_rest_on_each_side() {
        // Summed term by term, by another road than the incomplete beta function.
        let tail_above = |k: u64, n: u64, p: f64| -> f64 {
            let (mut term, mut sum) = ((1.0 - p).powf(n as f64), 0.0);
            for i in 0..k {
                sum += term;
                term *= (n - i) as f64 / (i + 1) as f64 * p / (1.0 - p);
            }
            1.0 - sum
        };
        for (k, n) in [(1, 10), (5, 100), (30, 400), (90, 100), (100, 400)] {
            let interval = Interval::new(k, n, Confidence::Percent99);
            let (above, below) =
                (tail_above(k, n, interval.low), 1.0 - tail_above(k + 1, n, interval.high));
            assert!((above - 0.005).abs() < 1e-9, "{k} of {n}: {above}");
            assert!((below - 0.005).abs() < 1e-9, "{k} of {n}: {below}");
        }
    }

    #[test]
    fn more_trials_are_surer_and_more_confidence_is_wider() {
        let few = Interval::new(10, 1000, Confidence::Percent99);
        let many = Interval::new(10_000, 1_000_000, Confidence::Percent99);
        let surer = Interval::new(10_000, 1_000_000, Confidence::Percent99_9);
        assert!(few.contains(0.01) && many.contains(0.01) && !many.contains(0.011));
        assert!(few.low < many.low && many.high < few.high);
        assert!(surer.low < many.low && many.high < surer.high);
    }
}
