//! Quantities as people write them: `10k`, `64Ki`, `20ms`, `1%`.
//!
//! `k M G` are powers of ten and `Ki Mi Gi` powers of two; a time always carries its unit.
//! Endpoints are in [`crate::endpoint`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// Why a quantity was not understood: what was written, and what would be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{written:?} is not {wanted}")]
pub struct UnitError {
    written: String,
    wanted: &'static str,
}

/// A number of things or of bytes: `250`, `10k`, `64Ki`, `1.5M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub u64);

/// A span of time: `250us`, `20ms`, `3s`, `2m`, `1h`; the number may have a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A probability: `1%`, `0.5%` or `0.01`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Probability(pub f64);

/// Splits `1.5Mi` into 1.5 and `Mi`; the number has no sign and no exponent.
fn split(written: &str) -> Option<(f64, &str)> {
    let end = written.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(written.len());
    let (number, unit) = written.split_at(end);
    Some((number.parse().ok()?, unit))
}

/// Takes a number that a `u64` holds exactly enough; fractions of the smallest unit are dropped.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked; the fraction of a smallest unit means nothing"
)]
fn whole(number: f64) -> Option<u64> {
    (number.is_finite() && (0.0..1.8e19).contains(&number)).then_some(number as u64)
}

impl FromStr for Amount {
    type Err = UnitError;

    fn from_str(written: &str) -> Result<Amount, UnitError> {
        let wanted = "an amount such as 250, 10k, 5M (powers of ten) or 64Ki, 1Mi (powers of two)";
        let refused = || UnitError { written: written.to_owned(), wanted };
        if let Ok(exact) = written.parse() {
            return Ok(Amount(exact));
        }
        let (number, unit) = split(written).ok_or_else(refused)?;
        let factor = match unit {
            "" => 1.0,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "Ki" => 1024.0,
            "Mi" => 1024.0 * 1024.0,
            "Gi" => 1024.0 * 1024.0 * 1024.0,
            _ => return Err(refused()),
        };
        whole(number * factor).map(Amount).ok_or_else(refused)
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(written: &str) -> Result<Span, UnitError> {
        let wanted = "a time with its unit, such as 250us, 20ms, 3s, 2m or 1h";
        let refused = || UnitError { written: written.to_owned(), wanted };
        let (number, unit) = split(written).ok_or_else(refused)?;
        let nanoseconds = match unit {
            "ns" => 1.0,
            "us" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(refused()),
        };
        // 8.152 * 1e6 is 8151999.999...
        whole((number * nanoseconds).round())
            .map(|ns| Span(Duration::from_nanos(ns)))
            .ok_or_else(refused)
    }
}

/// The largest unit in which at most three decimals say it all: `20ms`, `1.5s`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0.as_nanos();
        let (unit, name) = match ns {
            0 => return f.write_str("0s"),
            1..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "us"),
            1_000_000..1_000_000_000 => (1_000_000, "ms"),
            _ => (1_000_000_000, "s"),
        };
        let (int, frac) = (ns / unit, ns % unit * 1000 / unit);
        let digits = format!("{frac:03}");
        match digits.trim_end_matches('0') {
            "" => write!(f, "{int}{name}"),
            digits => write!(f, "{int}.{digits}{name}"),
        }
    }
}

impl FromStr for Probability {
    type Err = UnitError;

    fn from_str(written: &str) -> Result<Probability, UnitError> {
        let wanted = "a probability such as 1%, 0.5% or 0.01";
        let refused = || UnitError { written: written.to_owned(), wanted };
        let (number, unit) = split(written).ok_or_else(refused)?;
        let value = match unit {
            "" => number,
            "%" => number / 100.0,
            _ => return Err(refused()),
        };
        (0.0..=1.0).contains(&value).then_some(Probability(value)).ok_or_else(refused)
    }
}

/// In per cent where that reads back exactly, else plain: `7%`.
impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 0.07 * 100.0 is 7.000000000000001.
        let digits = format!("{:.10}", self.0 * 100.0);
        let percent = digits.trim_end_matches('0').trim_end_matches('.').to_owned() + "%";
        match percent.parse::<Probability>() {
            Ok(read) if read == *self => f.write_str(&percent),
            _ => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        let check = |written: &str, expected: Option<u64>| {
            assert_eq!(written.parse::<Amount>().ok().map(|a| a.0), expected, "{written}");
        };
        check("0", Some(0));
        check("18446744073709551615", Some(u64::MAX));
        check("10k", Some(10_000));
        check("1.5M", Some(1_500_000));
        check("64Ki", Some(65_536));
        check("1Gi", Some(1 << 30));
        check("", None);
        check("k", None);
        check("-1", None);
        check("1e9", None);
        check("10K", None);
        check("1.2.3", None);
        check("99999999999G", None);
    }

    #[test]
    fn spans() {
        let check = |written: &str, expected: Option<u64>| {
            let ns = written.parse::<Span>().ok().map(|span| span.0.as_nanos());
            assert_eq!(ns, expected.map(u128::from), "{written}");
        };
        check("20ms", Some(20_000_000));
        check("0.5s", Some(500_000_000));
        check("250us", Some(250_000));
        check("8.152ms", Some(8_152_000));
        check("2m", Some(120_000_000_000));
        check("0s", Some(0));
        check("20", None);
        check("ms", None);
        check("20 ms", None);
    }

    #[test]
    fn spans_are_written_short() {
        let check = |ns: u64, expected: &str| {
            assert_eq!(Span(Duration::from_nanos(ns)).to_string(), expected);
        };
        check(0, "0s");
        check(17, "17ns");
        check(250_000, "250us");
        check(20_000_000, "20ms");
        check(1_500_000_000, "1.5s");
        check(300_000_000_000, "300s");
    }

    #[test]
    fn probabilities() {
        let check = |written: &str, expected: Option<f64>| {
            assert_eq!(written.parse::<Probability>().ok().map(|p| p.0), expected, "{written}");
        };
        check("1%", Some(0.01));
        check("0.25", Some(0.25));
        check("100%", Some(1.0));
        check("101%", None);
        check("%", None);
    }

    #[test]
    fn probabilities_read_back() {
        let check = |value: f64, expected: &str| {
            assert_eq!(Probability(value).to_string(), expected);
            assert_eq!(expected.parse(), Ok(Probability(value)));
        };
        check(0.0, "0%");
        check(0.07, "7%");
        check(0.005, "0.5%");
        check(1.0, "100%");
        check(1e-15, "0.000000000000001");
    }

    #[test]
    fn a_refusal_says_what_would_do() {
        let refusal = "20".parse::<Span>().unwrap_err().to_string();
        assert_eq!(
            refusal,
            "\"20\" is not a time with its unit, such as 250us, 20ms, 3s, 2m or 1h"
        );
    }
}
