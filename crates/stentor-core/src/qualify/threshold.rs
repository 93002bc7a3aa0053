//! Quantities of a path, the thresholds on them, and how a person moves one.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::Application;
use crate::units::{Probability, Span};

/// What is measured of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// Share of what was sent and never came back.
    Loss,
    /// One-way delay.
    Delay,
    /// Interarrival jitter.
    Jitter,
    /// Payload that passes in the slower direction.
    Throughput,
    /// 10 kB there and back, the connection included.
    Transaction,
}

impl Quantity {
    /// All, in the order of the table.
    pub const ALL: [Quantity; 5] = [
        Quantity::Loss,
        Quantity::Delay,
        Quantity::Jitter,
        Quantity::Throughput,
        Quantity::Transaction,
    ];

    /// The word for it, also in `--limit`.
    pub const fn name(self) -> &'static str {
        match self {
            Quantity::Loss => "loss",
            Quantity::Delay => "delay",
            Quantity::Jitter => "jitter",
            Quantity::Throughput => "throughput",
            Quantity::Transaction => "transaction",
        }
    }

    /// A value of it as people write it: `1.2%`, `150 ms`, `64 kbit/s`.
    pub fn show(self, value: f64) -> String {
        match self {
            Quantity::Loss => format!("{}%", figures(value * 100.0)),
            Quantity::Delay | Quantity::Jitter | Quantity::Transaction if value < 1.0 => {
                format!("{} ms", figures(value * 1e3))
            }
            Quantity::Delay | Quantity::Jitter | Quantity::Transaction => {
                format!("{} s", figures(value))
            }
            Quantity::Throughput => match value {
                big if big >= 1e9 => format!("{} Gbit/s", figures(big / 1e9)),
                big if big >= 1e6 => format!("{} Mbit/s", figures(big / 1e6)),
                big if big >= 1e3 => format!("{} kbit/s", figures(big / 1e3)),
                small => format!("{} bit/s", figures(small)),
            },
        }
    }
}

/// Three significant figures without a tail of zeros: `0.52`, `1.5`, `150`.
fn figures(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 99.95 => 0,
        middle if middle >= 9.995 => 1,
        small if small >= 0.9995 => 2,
        _ => 3,
    };
    let digits = format!("{value:.decimals$}");
    match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits,
    }
}

/// On which side of the limit a value must lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The limit or less.
    AtMost,
    /// The limit or more.
    AtLeast,
}

/// A numeric demand on one quantity, with its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// On what.
    pub quantity: Quantity,
    /// On which side.
    pub bound: Bound,
    /// The limit, in the quantity's SI unit.
    pub limit: f64,
    /// Where the number comes from.
    pub source: &'static str,
}

impl Threshold {
    pub(super) const fn at_most(quantity: Quantity, limit: f64, source: &'static str) -> Threshold {
        Threshold { quantity, bound: Bound::AtMost, limit, source }
    }

    pub(super) const fn at_least(
        quantity: Quantity,
        limit: f64,
        source: &'static str,
    ) -> Threshold {
        Threshold { quantity, bound: Bound::AtLeast, limit, source }
    }

    /// The same demand with another limit.
    pub(super) const fn at(self, limit: f64) -> Threshold {
        Threshold { limit, source: "given on the command line", ..self }
    }

    /// Whether a value keeps it.
    pub fn holds(&self, value: f64) -> bool {
        match self.bound {
            Bound::AtMost => value <= self.limit,
            Bound::AtLeast => value >= self.limit,
        }
    }

    /// How much of the limit a value uses up: 1 on the limit, more beyond it.
    pub fn strain(&self, value: f64) -> f64 {
        let (asked, offered) = match self.bound {
            Bound::AtMost => (value, self.limit),
            Bound::AtLeast => (self.limit, value),
        };
        match (asked, offered) {
            // Nothing of nothing: loss 0 where none is allowed.
            (0.0, _) => 0.0,
            (_, 0.0) => f64::INFINITY,
            (asked, offered) => asked / offered,
        }
    }
}

/// `at most 150 ms`.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.bound {
            Bound::AtMost => "at most",
            Bound::AtLeast => "at least",
        };
        write!(f, "{} {side} {}", self.quantity.name(), self.quantity.show(self.limit))
    }
}

/// Another limit than the table's: `voip:delay=100ms`, or `delay=100ms` for every application
/// that has a threshold on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Override {
    /// For which application; `None` is all.
    pub application: Option<Application>,
    /// On what.
    pub quantity: Quantity,
    /// The limit, in the quantity's SI unit.
    pub limit: f64,
}

impl Override {
    pub(super) fn applies(&self, application: Application, quantity: Quantity) -> bool {
        self.application.is_none_or(|own| own == application) && self.quantity == quantity
    }
}

/// Why another limit was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OverrideError {
    /// No `=`.
    #[error("{0:?} is no limit: write QUANTITY=VALUE, or APPLICATION:QUANTITY=VALUE")]
    Form(String),
    /// Not one of the seven.
    #[error("{0:?} is no application: {known} are known", known = Application::names())]
    Application(String),
    /// Not one of the quantities.
    #[error("{0:?} is no quantity: loss, delay, jitter, throughput and transaction are known")]
    Quantity(String),
    /// Not a value of that quantity.
    #[error("{value:?} is no limit for {quantity}: write it as {wanted}")]
    Value {
        /// What was written.
        value: String,
        /// For what.
        quantity: &'static str,
        /// What would do.
        wanted: &'static str,
    },
}

impl FromStr for Override {
    type Err = OverrideError;

    fn from_str(written: &str) -> Result<Override, OverrideError> {
        let form = || OverrideError::Form(written.to_owned());
        let (left, value) = written.split_once('=').ok_or_else(form)?;
        let (application, name) = match left.split_once(':') {
            Some((application, name)) => (Some(application.parse()?), name),
            None => (None, left),
        };
        let quantity = Quantity::ALL.into_iter().find(|quantity| quantity.name() == name);
        let quantity = quantity.ok_or_else(|| OverrideError::Quantity(name.to_owned()))?;
        let (limit, wanted) = match quantity {
            Quantity::Loss => (value.parse().ok().map(|Probability(p)| p), "1% or 0.01"),
            Quantity::Throughput => (bits(value), "64kbit or 2.5Mbit"),
            Quantity::Delay | Quantity::Jitter | Quantity::Transaction => {
                (value.parse().ok().map(|Span(span)| span.as_secs_f64()), "150ms or 2s")
            }
        };
        let refused =
            || OverrideError::Value { value: value.to_owned(), quantity: quantity.name(), wanted };
        Ok(Override { application, quantity, limit: limit.ok_or_else(refused)? })
    }
}

/// `64kbit`, `2.5Mbit`: bits per second.
fn bits(written: &str) -> Option<f64> {
    let number = written.strip_suffix("bit")?;
    let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
    let (digits, prefix) = number.split_at(end);
    let factor = match prefix {
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return None,
    };
    digits.parse::<f64>().ok().map(|value| value * factor).filter(|value| value.is_finite())
}
