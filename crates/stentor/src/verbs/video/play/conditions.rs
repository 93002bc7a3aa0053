//! `--fail-if`: when a session was bad, in the words of a person: `stalls>0`, `startup>2s`.

use std::time::Duration;

use stentor_core::units::{Amount, BitRate, Span};

use crate::complaint::Complaint;
use crate::drive::video::outcome::Outcome;

/// Conditions that were understood.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions(Vec<Condition>);

#[derive(Clone, Copy, Debug)]
struct Condition {
    metric: Metric,
    operator: Operator,
    bound: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metric {
    Stalls,
    Stalled,
    Startup,
    Rate,
    Switches,
    WrongSizes,
    Failures,
}

const METRICS: [(&str, Metric); 7] = [
    ("stalls", Metric::Stalls),
    ("stalled", Metric::Stalled),
    ("startup", Metric::Startup),
    ("rate", Metric::Rate),
    ("switches", Metric::Switches),
    ("wrong-sizes", Metric::WrongSizes),
    ("failures", Metric::Failures),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    AtLeast,
    AtMost,
    Above,
    Below,
}

/// A longer one before its beginning.
const OPERATORS: [(&str, Operator); 4] = [
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    (">", Operator::Above),
    ("<", Operator::Below),
];

impl Conditions {
    /// Reads what was written.
    ///
    /// # Errors
    /// A condition that is none (exit 2).
    pub(super) fn read(written: &[String]) -> Result<Conditions, Complaint> {
        let read = |written: &String| {
            Condition::read(written).map_err(|why| {
                let names = METRICS.map(|(name, _)| name).join(", ");
                let next =
                    format!("A condition is one of {names}, then >, >=, < or <=, and a bound.");
                Complaint::usage(format!("--fail-if {written:?}: {why}"), next)
            })
        };
        written.iter().map(read).collect::<Result<_, _>>().map(Conditions)
    }

    /// Those that hold, each with the value that it holds for; of many players the worst.
    pub(super) fn met(&self, outcomes: &[Outcome]) -> Vec<String> {
        let of = |condition: &Condition| {
            let values = outcomes.iter().map(|outcome| condition.metric.value(outcome));
            let value = values.filter(|value| condition.holds(*value)).reduce(|worst, value| {
                match condition.operator {
                    Operator::Above | Operator::AtLeast => worst.max(value),
                    Operator::Below | Operator::AtMost => worst.min(value),
                }
            })?;
            Some(condition.metric.shown(value))
        };
        self.0.iter().filter_map(of).collect()
    }
}

impl Condition {
    fn read(written: &str) -> Result<Condition, String> {
        let sign = |(sign, operator): &(&'static str, Operator)| {
            written.find(sign).map(|at| (at, *sign, *operator))
        };
        let found = OPERATORS.iter().find_map(sign);
        let (at, sign, operator) = found.ok_or("it compares nothing")?;
        let (name, bound) = written.split_at(at);
        let (name, bound) = (name.trim(), bound.get(sign.len()..).unwrap_or_default().trim());
        let metric = METRICS.iter().find(|(known, _)| *known == name).map(|(_, metric)| *metric);
        let metric = metric.ok_or_else(|| format!("{name:?} is no figure of a session"))?;
        Ok(Condition { metric, operator, bound: metric.bound(bound)? })
    }

    fn holds(&self, value: f64) -> bool {
        match self.operator {
            Operator::AtLeast => value >= self.bound,
            Operator::AtMost => value <= self.bound,
            Operator::Above => value > self.bound,
            Operator::Below => value < self.bound,
        }
    }
}

impl Metric {
    fn bound(self, written: &str) -> Result<f64, String> {
        match self {
            Metric::Stalled | Metric::Startup => {
                let span = written.parse::<Span>().map_err(|error| error.to_string())?;
                Ok(span.0.as_secs_f64())
            }
            Metric::Rate => {
                let rate = written.parse::<BitRate>().map_err(|error| error.to_string())?;
                Ok(rate.0 as f64)
            }
            Metric::Stalls | Metric::Switches | Metric::WrongSizes | Metric::Failures => {
                let count = written.parse::<Amount>().map_err(|error| error.to_string())?;
                Ok(count.0 as f64)
            }
        }
    }

    fn value(self, outcome: &Outcome) -> f64 {
        let metrics = &outcome.metrics;
        match self {
            Metric::Stalls => metrics.stalls as f64,
            Metric::Stalled => metrics.stalled.as_secs_f64(),
            Metric::Startup => metrics.start_up.as_secs_f64(),
            Metric::Rate => metrics.mean_bps,
            Metric::Switches => metrics.switches as f64,
            Metric::WrongSizes => outcome.account.wrong_sizes as f64,
            Metric::Failures => outcome.account.failures.len() as f64,
        }
    }

    fn shown(self, value: f64) -> String {
        let name = METRICS.iter().find(|(_, metric)| *metric == self).map_or("", |(name, _)| name);
        match self {
            Metric::Stalled | Metric::Startup => {
                format!("{name} {:.3} s", Duration::from_secs_f64(value).as_secs_f64())
            }
            Metric::Rate => format!("{name} {value:.0} bit/s"),
            Metric::Stalls | Metric::Switches | Metric::WrongSizes | Metric::Failures => {
                format!("{name} {value}")
            }
        }
    }
}
