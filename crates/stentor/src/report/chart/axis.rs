//! Axes: from values to places between 0 and 1, the ticks between, and values in words.

use super::Series;

/// What one direction of a chart means.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// What is measured: `latency`.
    pub label: String,
    /// In what unit values are given, and said.
    pub unit: Unit,
    /// How values become places.
    pub scale: Scale,
    /// The first and the last value; else what the points need, a linear axis from 0.
    pub range: Option<(f64, f64)>,
}

/// How values become places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equally far apart.
    #[default]
    Linear,
    /// Equal ratios are equally far apart; what is not positive lies at the lower end.
    Log,
    /// Quantiles from 0 to 1, each nine as wide as the one before, as HdrHistogram draws them
    /// (x = 1 / (1 - q), logarithmic). The quantile 1 lies at the end.
    Percentile,
}

/// What values are given in, and how they are said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Things: `12k`.
    #[default]
    Count,
    /// Nanoseconds, said in the unit that fits: `1.5 ms`.
    Nanos,
    /// Things a second: `12k/s`.
    PerSecond,
    /// Bytes, in powers of ten: `1.5 MB`.
    Bytes,
    /// Bytes a second: `1.5 MB/s`.
    BytesPerSecond,
    /// Bits a second: `2 Mbit/s`.
    BitsPerSecond,
    /// A share of one: 0.015 is `1.5%`.
    Share,
    /// How many times as much: `1.32×`.
    Times,
}

impl Unit {
    /// The value in words, to three digits.
    pub fn said(self, value: f64) -> String {
        self.said_beside(value, value)
    }

    /// The value in the unit that suits `greatest`: the ticks of an axis have all the same.
    fn said_beside(self, value: f64, greatest: f64) -> String {
        if !value.is_finite() {
            return "–".to_owned();
        }
        let thousands = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];
        let times = [(1e9, " s"), (1e6, " ms"), (1e3, " us"), (1.0, " ns")];
        let (steps, tail) = match self {
            Unit::Count => (thousands, ""),
            Unit::PerSecond => (thousands, "/s"),
            Unit::Nanos => (times, ""),
            Unit::Bytes => (thousands.map(spaced), "B"),
            Unit::BytesPerSecond => (thousands.map(spaced), "B/s"),
            Unit::BitsPerSecond => (thousands.map(spaced), "bit/s"),
            Unit::Share => return percent(value),
            Unit::Times => return format!("{value:.2}×"),
        };
        if value == 0.0 {
            return "0".to_owned();
        }
        let fits = |(factor, _): &&(f64, &str)| greatest.abs() >= factor * 0.9995;
        let last = (1.0, if self == Unit::Nanos { " ns" } else { "" });
        let (factor, name) = steps.iter().find(fits).copied().unwrap_or(last);
        format!("{}{name}{tail}", digits(value / factor))
    }
}

/// A prefix with the space that parts a number from a unit of letters.
fn spaced((factor, prefix): (f64, &'static str)) -> (f64, &'static str) {
    let prefix = match prefix {
        "G" => " G",
        "M" => " M",
        "k" => " k",
        _ => " ",
    };
    (factor, prefix)
}

/// Three digits that count, without zeros at the end.
fn digits(value: f64) -> String {
    let size = value.abs();
    let places = match size {
        _ if size >= 99.95 => 0,
        _ if size >= 9.995 => 1,
        _ if size >= 0.9995 => 2,
        _ => 3,
    };
    trim(&format!("{value:.places$}"))
}

/// As many nines as there are: 0.9999 is `99.99%`. Three digits count, of the share or of what it
/// lacks.
fn percent(share: f64) -> String {
    let small = (share.abs().min((1.0 - share).abs()) * 100.0).max(1e-12);
    let places = (2.0 - small.log10().floor()).clamp(0.0, 12.0);
    let place = (0..=12u8).find(|place| f64::from(*place) >= places).unwrap_or(12).into();
    trim(&format!("{:.place$}", share * 100.0)) + "%"
}

fn trim(digits: &str) -> String {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        digits.to_owned()
    }
}

/// An axis with a range: values become places.
pub(super) struct Ruler {
    scale: Scale,
    unit: Unit,
    /// Both as the scale has them: the value, its logarithm, or how many nines.
    low: f64,
    high: f64,
}

/// How many nines a percentile axis shows if the points need no more.
const NINES: f64 = 2.0;

impl Ruler {
    /// An axis of these values. Those that are not finite do not count.
    pub(super) fn new(axis: &Axis, values: impl Iterator<Item = f64>) -> Ruler {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let given = axis.range.map(|(low, high)| [low, high]);
        let mut take = |value: f64| {
            let place = place(axis.scale, value);
            if place.is_finite() {
                (low, high) = (low.min(place), high.max(place));
            }
        };
        match given {
            Some(ends) => ends.into_iter().for_each(&mut take),
            None => values.for_each(&mut take),
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if given.is_none() {
            match axis.scale {
                Scale::Linear => low = low.min(0.0),
                // From a whole decade, or from its 2 or 5: as far as a tick.
                Scale::Log => (low, high) = (rounded(low, false), rounded(high, true)),
                Scale::Percentile => (low, high) = (0.0, high.max(NINES)),
            }
        }
        if high - low < f64::EPSILON * high.abs().max(1.0) {
            high = low + 1.0;
        }
        Ruler { scale: axis.scale, unit: axis.unit, low, high }
    }

    /// Room above the greatest value, up to a tick if one is near.
    pub(super) fn with_headroom(mut self, ticks: u32) -> Ruler {
        if self.scale == Scale::Linear {
            let step = step(self.high - self.low, ticks);
            // A line at the very top would be taken for the frame.
            self.high = (self.high * 1.03 / step).ceil() * step;
        }
        self
    }

    /// Where the value lies: 0 at the lower end, 1 at the upper; what lies beyond is at the end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let place = match place(self.scale, value) {
            place if place.is_nan() => self.low,
            place => place.clamp(self.low, self.high),
        };
        (place - self.low) / (self.high - self.low)
    }

    /// Whether the value is on the axis.
    pub(super) fn has(&self, value: f64) -> bool {
        let slack = (self.high - self.low) * 1e-9;
        (self.low - slack..=self.high + slack).contains(&place(self.scale, value))
    }

    /// Values where lines are drawn, with their words; about `most` of them.
    pub(super) fn ticks(&self, most: u32) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Linear => {
                let step = step(self.high - self.low, most);
                let first = (self.low / step - 1e-9).ceil();
                let values = (0..=most + 1).map(|place| (first + f64::from(place)) * step);
                let values = values.filter(|value| self.has(*value));
                let beside = self.low.abs().max(self.high.abs());
                values.map(|value| (value, self.unit.said_beside(value, beside))).collect()
            }
            Scale::Log => self.decades(most),
            Scale::Percentile => {
                let nines = (0..=12).map(|nines| 1.0 - 10f64.powi(-nines));
                let shown = nines.chain([0.5]).filter(|share| self.has(*share));
                shown.map(|share| (share, percent(share))).collect()
            }
        }
    }

    /// 1, 10, 100, with 2 and 5 between if that is too few, or some left out if too many.
    fn decades(&self, most: u32) -> Vec<(f64, String)> {
        let decades = self.high - self.low;
        let between: &[f64] = if decades <= 2.1 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let every = (decades / f64::from(most.max(1))).ceil().max(1.0);
        let mut ticks = Vec::new();
        let mut exponent = self.low.floor();
        while exponent <= self.high + 1e-9 && ticks.len() < 64 {
            for factor in between {
                let value = factor * 10f64.powf(exponent);
                if self.has(value) {
                    ticks.push((value, self.unit.said(value)));
                }
            }
            exponent += every;
        }
        ticks
    }
}

/// The value as the scale has it.
fn place(scale: Scale, value: f64) -> f64 {
    match scale {
        // Beyond this a difference would have no number.
        Scale::Linear => value.clamp(-1e300, 1e300),
        Scale::Log if value > 0.0 => value.log10(),
        Scale::Log => f64::NEG_INFINITY,
        Scale::Percentile => -(1.0 - value.clamp(0.0, 1.0)).log10(),
    }
}

/// A logarithm moved to that of 1, 2 or 5 times a power of ten, down or up.
fn rounded(place: f64, up: bool) -> f64 {
    let decade = place.floor();
    let steps = [0.0, 2f64.log10(), 5f64.log10(), 1.0].map(|step| decade + step);
    let slack = 1e-9;
    let found = if up {
        steps.into_iter().find(|step| *step >= place - slack)
    } else {
        steps.into_iter().rev().find(|step| *step <= place + slack)
    };
    found.unwrap_or(place)
}

/// 1, 2 or 5 times a power of ten, so that about `most` fit into the span.
fn step(span: f64, most: u32) -> f64 {
    let rough = span / f64::from(most.max(1));
    let decade = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * decade >= rough * 0.999);
    let step = factor.unwrap_or(10.0) * decade;
    if step.is_normal() { step } else { 1.0 }
}

/// All values of one direction, of all series.
pub(super) fn values(series: &[Series], of: fn(&(f64, f64)) -> f64) -> impl Iterator<Item = f64> {
    let drawn = |point: &&(f64, f64)| point.0.is_finite() && point.1.is_finite();
    series.iter().flat_map(move |series| series.points.iter().filter(drawn).map(of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_said_with_three_digits_and_their_unit() {
        let check = |unit: Unit, value, expected| assert_eq!(unit.said(value), expected);
        check(Unit::Nanos, 0.0, "0");
        check(Unit::Nanos, 850.0, "850 ns");
        check(Unit::Nanos, 1_234.0, "1.23 us");
        check(Unit::Nanos, 999_960.0, "1 ms");
        check(Unit::Nanos, 1.5e9, "1.5 s");
        check(Unit::Nanos, 12e9, "12 s");
        check(Unit::Nanos, 0.25, "0.25 ns");
        check(Unit::Count, 12_345.0, "12.3k");
        check(Unit::Count, 7.0, "7");
        check(Unit::PerSecond, 2e6, "2M/s");
        check(Unit::Bytes, 512.0, "512 B");
        check(Unit::Bytes, 1_500_000.0, "1.5 MB");
        check(Unit::BitsPerSecond, 2e6, "2 Mbit/s");
        check(Unit::Share, 0.9999, "99.99%");
        check(Unit::Share, 0.0, "0%");
        check(Unit::Share, 1.0, "100%");
        check(Unit::Share, 29_600.0 / 30_000.0, "98.67%");
        check(Unit::Share, 215.0 / 30_000.0, "0.717%");
        check(Unit::Share, 1.0 - 10f64.powi(-6), "99.9999%");
        check(Unit::Times, 1.318, "1.32×");
        check(Unit::Times, f64::NAN, "–");
    }

    fn words(axis: &Axis, values: &[f64], most: u32) -> Vec<String> {
        let ruler = Ruler::new(axis, values.iter().copied()).with_headroom(most);
        ruler.ticks(most).into_iter().map(|(_, words)| words).collect()
    }

    #[test]
    fn ticks_are_round() {
        let linear = Axis { unit: Unit::Nanos, ..Axis::default() };
        assert_eq!(
            words(&linear, &[3e6, 9.7e8], 5),
            ["0", "0.2 s", "0.4 s", "0.6 s", "0.8 s", "1 s"]
        );
        let log = Axis { unit: Unit::Nanos, scale: Scale::Log, ..Axis::default() };
        assert_eq!(words(&log, &[4e4, 9e8], 6), ["100 us", "1 ms", "10 ms", "100 ms", "1 s"]);
        assert_eq!(words(&log, &[4e6, 3e7], 6), ["2 ms", "5 ms", "10 ms", "20 ms", "50 ms"]);
        let percentile = Axis { unit: Unit::Share, scale: Scale::Percentile, ..Axis::default() };
        assert_eq!(
            words(&percentile, &[0.5, 0.9995, 1.0], 6),
            ["0%", "90%", "99%", "99.9%", "50%"]
        );
    }

    #[test]
    fn any_values_make_an_axis() {
        for scale in [Scale::Linear, Scale::Log, Scale::Percentile] {
            let cases: [&[f64]; 6] = [
                &[],
                &[0.0],
                &[f64::NAN, f64::INFINITY],
                &[5.0, 5.0],
                &[-3.0, 1e300],
                &[f64::MIN, f64::MAX],
            ];
            for values in cases {
                let axis = Axis { scale, ..Axis::default() };
                let ruler = Ruler::new(&axis, values.iter().copied()).with_headroom(5);
                for value in values.iter().chain(&[0.0, 1.0, f64::NAN]) {
                    assert!(
                        (0.0..=1.0).contains(&ruler.at(*value)),
                        "{scale:?} {values:?} {value}"
                    );
                }
                assert!(ruler.ticks(5).len() <= 64);
            }
        }
    }
}
