//! Quantities as people write them: `10k`, `64Ki`, `20ms`, `1%`, `2Mbit`.
//!
//! `k M G` are powers of ten and `Ki Mi Gi` powers of two; a time always carries its unit; a rate
//! counts bits only where `bit` is written. Numbers are read as decimals, never through binary
//! fractions, so that what is written reads back to the nanosecond and to the bit.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Probability(pub f64);

/// How fast bits flow, in bit/s: `2Mbit`, `1.5Gbit`, or in bytes per second where no `bit` is
/// written: `250k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BitRate(pub u64);

/// Splits `1.5Mi` into `1.5` and `Mi`; the number has no sign and no exponent.
fn split(written: &str) -> (&str, &str) {
    let end = written.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(written.len());
    written.split_at(end)
}

/// The decimal `number` times `factor`, exactly; fractions of the smallest unit are dropped.
/// `None` for what is no number, has more than 18 decimals, or does not fit.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let read = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok() };
    let decimals = u32::try_from(fraction.len()).ok().filter(|decimals| *decimals <= 18)?;
    let whole = u128::from(read(whole)?) * u128::from(factor);
    let fraction = u128::from(read(fraction)?) * u128::from(factor) / 10_u128.pow(decimals);
    u64::try_from(whole + fraction).ok()
}

/// What the letters before a unit multiply by.
fn prefix(letters: &str) -> Option<u64> {
    Some(match letters {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    })
}

/// The largest power of ten among the prefixes that divides `number`.
fn shortest(number: u64) -> (u64, &'static str) {
    match number {
        0 => (0, ""),
        n if n % 1_000_000_000 == 0 => (n / 1_000_000_000, "G"),
        n if n % 1_000_000 == 0 => (n / 1_000_000, "M"),
        n if n % 1_000 == 0 => (n / 1_000, "k"),
        n => (n, ""),
    }
}

impl FromStr for Amount {
    type Err = UnitError;

    fn from_str(written: &str) -> Result<Amount, UnitError> {
        let wanted = "an amount such as 250, 10k, 5M (powers of ten) or 64Ki, 1Mi (powers of two)";
        let refused = || UnitError { written: written.to_owned(), wanted };
        let (number, unit) = split(written);
        let read = prefix(unit).and_then(|factor| scaled(number, factor));
        read.map(Amount).ok_or_else(refused)
    }
}

/// The shortest that reads back exactly: `64Ki`, `10k`, `1500`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ten, letter) = shortest(self.0);
        let powers = [(1_u64 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
        let two = powers.iter().find(|(power, _)| self.0 != 0 && self.0.is_multiple_of(*power));
        match two.map(|(power, letters)| (self.0 / power, letters)) {
            // 1024000 is 1024k as well as 1000Ki: the power of ten is the plainer.
            Some((two, letters)) if two < ten => write!(f, "{two}{letters}"),
            _ => write!(f, "{ten}{letter}"),
        }
    }
}

impl FromStr for BitRate {
    type Err = UnitError;

    fn from_str(written: &str) -> Result<BitRate, UnitError> {
        let wanted = "a rate such as 2Mbit or 56kbit (bit/s), or 250k (bytes per second)";
        let refused = || UnitError { written: written.to_owned(), wanted };
        let (number, unit) = split(written.strip_suffix("/s").unwrap_or(written));
        let (letters, bits) = match unit.strip_suffix("bit") {
            Some(letters) => (letters, 1),
            None => (unit.strip_suffix('B').unwrap_or(unit), 8),
        };
        let factor = prefix(letters).ok_or_else(refused)? * bits;
        scaled(number, factor).map(BitRate).ok_or_else(refused)
    }
}

/// In bits, the shortest that reads back exactly: `2Mbit`, `1500kbit`.
impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, letter) = shortest(self.0);
        write!(f, "{number}{letter}bit")
    }
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(written: &str) -> Result<Span, UnitError> {
        let wanted = "a time with its unit, such as 250us, 20ms, 3s, 2m or 1h";
        let refused = || UnitError { written: written.to_owned(), wanted };
        let (number, unit) = split(written);
        let nanoseconds = match unit {
            "ns" => 1,
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(refused()),
        };
        let read = scaled(number, nanoseconds);
        read.map(|ns| Span(Duration::from_nanos(ns))).ok_or_else(refused)
    }
}

/// The largest unit in which at most three decimals say it all: `20ms`, `1.5s`, `1000000.001us`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0.as_nanos();
        let (unit, name) = match ns {
            0 => return f.write_str("0s"),
            _ if ns.is_multiple_of(1_000_000) && ns >= 1_000_000_000 => (1_000_000_000, "s"),
            _ if ns.is_multiple_of(1_000) && ns >= 1_000_000 => (1_000_000, "ms"),
            _ if ns >= 1_000 => (1_000, "us"),
            _ => (1, "ns"),
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
        let (number, unit) = split(written);
        let number: f64 = number.parse().map_err(|_| refused())?;
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
        check(".5k", Some(500));
        check("1.", Some(1));
        check(".", None);
    }

    #[test]
    fn amounts_are_written_short() {
        let check = |amount: u64, expected: &str| {
            assert_eq!(Amount(amount).to_string(), expected);
            assert_eq!(expected.parse(), Ok(Amount(amount)));
        };
        check(0, "0");
        check(1500, "1500");
        check(10_000, "10k");
        check(65_536, "64Ki");
        check(1 << 20, "1Mi");
        check(3_000_000_000, "3G");
        check(u64::MAX, "18446744073709551615");
    }

    #[test]
    fn rates_count_bits_only_where_bit_is_written() {
        let check = |written: &str, expected: Option<u64>, again: &str| {
            let rate = written.parse::<BitRate>().ok();
            assert_eq!(rate.map(|rate| rate.0), expected, "{written}");
            assert_eq!(rate.map_or(String::new(), |rate| rate.to_string()), again);
        };
        check("2Mbit", Some(2_000_000), "2Mbit");
        check("1.5Mbit/s", Some(1_500_000), "1500kbit");
        check("250k", Some(2_000_000), "2Mbit");
        check("1MiB/s", Some(8 << 20), "8388608bit");
        check("0", Some(0), "0bit");
        check("100bit", Some(100), "100bit");
        check("2mbit", None, "");
        check("bit", None, "");
        check("99999999999Gbit", None, "");
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
        check("1.001s", Some(1_001_000_000));
        check("0.000000001s", Some(1));
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
        check(1_000_001_000, "1000.001ms");
        check(1_000_000_001, "1000000.001us");
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
