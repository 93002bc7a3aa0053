//! What of a run's results is a failure, as a person says it: `p99>5ms`, `loss>0.1%`.
//!
//! Exit codes and sentences are left to the roof.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use super::account::{Counts, Tally};
use crate::units::{Amount, Probability, Span};

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// `p50`, `p99.9`: so many per cent of the latencies do not exceed it; above 0, below 100.
    Percentile(f64),
    /// `max`: the longest latency.
    Max,
    /// `mean`: the mean latency.
    Mean,
    /// `loss`: requests without a reply.
    Loss,
    /// `wrong`: replies that are not right.
    Wrong,
    /// `late`: replies after the timeout.
    Late,
    /// `errors`: requests whose connection failed, and connections refused.
    Errors,
    /// `duplicates`: further replies to a datagram.
    Duplicates,
    /// `reordered`: replies after one to a later datagram.
    Reordered,
    /// `unsent`: requests intended and never sent.
    Unsent,
    /// `rate`: verified replies a second.
    Rate,
    /// `lateness`: the 99th percentile of how late our own sends were.
    Lateness,
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
}

/// What a value is compared with, or a value that was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A time: `5ms`.
    Time(Duration),
    /// A share of the requests sent, 0 to 1: `0.1%`.
    Share(f64),
    /// A number of requests: `0`.
    Number(u64),
    /// A rate: `10k`, `10k/s`.
    PerSecond(f64),
}

/// When a run has failed: `p99>5ms`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    /// What is looked at.
    pub metric: Metric,
    /// How.
    pub operator: Operator,
    /// With what it is compared.
    pub bound: Value,
}

/// Why a condition was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the condition {written:?}, at byte {at}: {why}")]
pub struct ConditionError {
    /// As it was written.
    pub written: String,
    /// Where, counted from 0.
    pub at: usize,
    /// What is wrong, and what would do.
    pub why: String,
}

/// Why a run has failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failing {
    /// Nothing was sent or nothing verified.
    NothingVerified,
    /// A condition of the person is met, by this value.
    Met(Condition, Value),
    /// A condition of the person has no value to look at, so it cannot be said that it is not met.
    Unknown(Condition),
    /// Without a condition on it, this metric must be 0, and was this.
    NotZero(Metric, u64),
}

/// The names of the metrics but the percentiles.
const NAMES: &[(&str, Metric)] = &[
    ("max", Metric::Max),
    ("mean", Metric::Mean),
    ("loss", Metric::Loss),
    ("wrong", Metric::Wrong),
    ("late", Metric::Late),
    ("errors", Metric::Errors),
    ("duplicates", Metric::Duplicates),
    ("reordered", Metric::Reordered),
    ("unsent", Metric::Unsent),
    ("rate", Metric::Rate),
    ("lateness", Metric::Lateness),
];

/// In which quantity a metric is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Time,
    Count,
    Rate,
}

impl Metric {
    fn parse(name: &str) -> Option<Metric> {
        if let Some(percent) = name.strip_prefix('p') {
            let is_plain = percent.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let percent: f64 = percent.parse().ok()?;
            let is_percentile = is_plain && percent > 0.0 && percent < 100.0;
            return is_percentile.then_some(Metric::Percentile(percent));
        }
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, metric)| *metric)
    }

    const fn quantity(self) -> Quantity {
        match self {
            Metric::Percentile(_) | Metric::Max | Metric::Mean | Metric::Lateness => Quantity::Time,
            Metric::Rate => Quantity::Rate,
            Metric::Loss
            | Metric::Wrong
            | Metric::Late
            | Metric::Errors
            | Metric::Duplicates
            | Metric::Reordered
            | Metric::Unsent => Quantity::Count,
        }
    }

    /// Its value in a run that measured for `measured`; `None` if there was nothing to look at.
    /// Counts are numbers, of the requests that count (without the warm-up).
    pub fn value(self, tally: &Tally, measured: Duration) -> Option<Value> {
        if let Some(count) = self.count(tally, &tally.counts) {
            return Some(Value::Number(count));
        }
        match self {
            Metric::Percentile(percent) => tally.latency.percentile(percent).map(Value::Time),
            Metric::Max => tally.latency.max().map(Value::Time),
            Metric::Mean => tally.latency.mean().map(Value::Time),
            Metric::Lateness => tally.lateness.percentile(99.0).map(Value::Time),
            Metric::Rate => {
                let seconds = measured.as_secs_f64();
                let rate = tally.counts.verified as f64 / seconds;
                (seconds > 0.0).then_some(Value::PerSecond(rate))
            }
            Metric::Loss
            | Metric::Wrong
            | Metric::Late
            | Metric::Errors
            | Metric::Duplicates
            | Metric::Reordered
            | Metric::Unsent => None,
        }
    }

    /// Its number among `counts` of `tally`, if it is a count.
    fn count(self, tally: &Tally, counts: &Counts) -> Option<u64> {
        match self {
            Metric::Loss => Some(counts.lost),
            Metric::Wrong => Some(counts.wrong),
            Metric::Late => Some(counts.late),
            Metric::Errors => Some(counts.error + tally.connections.refused),
            Metric::Duplicates => Some(tally.duplicates),
            Metric::Reordered => Some(tally.reordered),
            Metric::Unsent => Some(tally.unsent),
            Metric::Percentile(_)
            | Metric::Max
            | Metric::Mean
            | Metric::Rate
            | Metric::Lateness => None,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, NAMES.iter().find(|(_, metric)| metric == self)) {
            (Metric::Percentile(percent), _) => write!(f, "p{percent}"),
            (_, Some((name, _))) => f.write_str(name),
            (_, None) => f.write_str("metric"),
        }
    }
}

impl Operator {
    /// The operators; a longer one before its beginning.
    const ALL: [(&str, Operator); 4] = [
        (">=", Operator::AtLeast),
        ("<=", Operator::AtMost),
        (">", Operator::Above),
        ("<", Operator::Below),
    ];

    fn holds<T: PartialOrd>(self, value: &T, bound: &T) -> bool {
        match self {
            Operator::Above => value > bound,
            Operator::AtLeast => value >= bound,
            Operator::Below => value < bound,
            Operator::AtMost => value <= bound,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = Operator::ALL.iter().find(|(_, operator)| operator == self);
        f.write_str(sign.map_or("", |(sign, _)| sign))
    }
}

/// As it is read back: `5ms`, `0.1%`, `12`, `8100.5/s`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Time(time) => Span(*time).fmt(f),
            Value::Share(share) => Probability(*share).fmt(f),
            Value::Number(number) => number.fmt(f),
            Value::PerSecond(rate) => write!(f, "{rate}/s"),
        }
    }
}

impl FromStr for Condition {
    type Err = ConditionError;

    /// Reads a metric, an operator and a bound; spaces may stand between them.
    fn from_str(written: &str) -> Result<Condition, ConditionError> {
        let wrong =
            |at: usize, why: String| ConditionError { written: written.to_owned(), at, why };
        let place = |rest: &str| written.len() - rest.len();
        let begin = written.trim_start();
        let end = begin.find(|c: char| !c.is_ascii_alphanumeric() && c != '.');
        let (name, rest) = begin.split_at(end.unwrap_or(begin.len()));
        let metric = Metric::parse(name).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            let names = names.join(", ");
            wrong(place(begin), format!("{name:?} is no metric; there are p50, p99.9 ..., {names}"))
        })?;
        let rest = rest.trim_start();
        let sign = Operator::ALL.iter().find(|(sign, _)| rest.starts_with(sign));
        let (sign, operator) = sign.ok_or_else(|| {
            wrong(place(rest), format!("after {metric} comes >, >=, < or <=, as in {metric}>..."))
        })?;
        let bound = rest.get(sign.len()..).unwrap_or_default().trim_start();
        let at = place(bound);
        let bound = bound.trim_end();
        let read = match metric.quantity() {
            Quantity::Time => bound.parse().map(|Span(time)| Value::Time(time)),
            Quantity::Count if bound.ends_with('%') => {
                bound.parse().map(|Probability(share)| Value::Share(share))
            }
            Quantity::Count => bound.parse().map(|Amount(number)| Value::Number(number)),
            Quantity::Rate => {
                let number = bound.strip_suffix("/s").unwrap_or(bound);
                rate(number)
            }
        };
        let bound = read.map_err(|error| wrong(at, error.to_string()))?;
        Ok(Condition { metric, operator: *operator, bound })
    }
}

fn rate(written: &str) -> Result<Value, crate::units::UnitError> {
    // A measured rate has a fraction, which an amount of things has not.
    let plain = written.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match written.parse::<f64>() {
        Ok(rate) if plain => Ok(Value::PerSecond(rate)),
        _ => written.parse().map(|Amount(number)| Value::PerSecond(number as f64)),
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.metric, self.operator, self.bound)
    }
}

impl Condition {
    /// Why the run has failed by this condition, if it has.
    fn failing(self, tally: &Tally, measured: Duration) -> Option<Failing> {
        let sent = tally.counts.sent;
        let value = match (self.bound, self.metric.value(tally, measured)) {
            (Value::Share(_), Some(Value::Number(_))) if sent == 0 => None,
            (Value::Share(_), Some(Value::Number(n))) => Some(Value::Share(n as f64 / sent as f64)),
            (_, value) => value,
        };
        let holds = match (value, self.bound) {
            (Some(Value::Time(value)), Value::Time(bound)) => self.operator.holds(&value, &bound),
            (Some(Value::Number(value)), Value::Number(bound)) => {
                self.operator.holds(&value, &bound)
            }
            (Some(Value::Share(value)), Value::Share(bound))
            | (Some(Value::PerSecond(value)), Value::PerSecond(bound)) => {
                self.operator.holds(&value, &bound)
            }
            // No value, or a bound of another quantity, which parsing does not make.
            _ => return Some(Failing::Unknown(self)),
        };
        value.filter(|_| holds).map(|value| Failing::Met(self, value))
    }
}

/// Everything for which the run that `tally` tells of has failed; `measured` is how long it took
/// without the warm-up.
///
/// A run must verify something, and have no reply wrong, late or doubled, none lost and no error,
/// also not in the warm-up: unless a condition of the person is about that metric, which then says
/// how much is too much.
pub fn judge(tally: &Tally, measured: Duration, conditions: &[Condition]) -> Vec<Failing> {
    let mut failing = Vec::new();
    if tally.counts.verified == 0 {
        failing.push(Failing::NothingVerified);
    }
    failing.extend(conditions.iter().filter_map(|condition| condition.failing(tally, measured)));
    let all = tally.all();
    let zero = [Metric::Wrong, Metric::Loss, Metric::Late, Metric::Errors, Metric::Duplicates];
    for metric in zero {
        let count = metric.count(tally, &all).unwrap_or(0);
        if count > 0 && conditions.iter().all(|condition| condition.metric != metric) {
            failing.push(Failing::NotZero(metric, count));
        }
    }
    failing
}
