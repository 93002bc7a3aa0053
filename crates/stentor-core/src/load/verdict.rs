//! What of a run's results is a failure, as a person says it: `p99>5ms`, `loss>0.1%`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use super::Tally;

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// `p50`: half of the latencies do not exceed it.
    P50,
    /// `p90`
    P90,
    /// `p99`
    P99,
    /// `p99.9`
    P99_9,
    /// `p99.99`
    P99_99,
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

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(written: &str) -> Result<Condition, ConditionError> {
        Err(ConditionError { written: written.to_owned(), at: 0, why: String::new() })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        Ok(())
    }
}

/// Everything for which the run that `tally` tells of has failed; `measured` is how long it took
/// without the warm-up.
///
/// A run must verify something, and have no reply wrong, late or doubled, none lost and no error:
/// unless a condition of the person is about that metric, which then says how much is too much.
pub fn judge(tally: &Tally, measured: Duration, conditions: &[Condition]) -> Vec<Failing> {
    let _ = (tally, measured, conditions);
    Vec::new()
}
