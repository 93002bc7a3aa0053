//! The verdict on a path: the lecture's seven kinds of application, each with its numeric
//! thresholds, held against what was measured.
//!
//! Measuring is left to the driver, drawing to the report. Units are SI throughout: seconds, bits
//! per second, and a plain fraction for loss.

mod application;
pub mod probe;
mod threshold;

pub use application::{Application, Needs};
pub use threshold::{Bound, Override, OverrideError, Quantity, Threshold};

/// How data travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// Whole datagrams, each at most once, in any order (RFC 768).
    Udp,
    /// A stream of bytes, complete and in order, or an error (RFC 9293).
    Tcp,
}

impl Transport {
    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
        }
    }
}

/// What was measured of a path by one transport; `None` where it could not be measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// The share of probes that were never answered, there and back (0 to 1). By TCP: the share of
    /// bytes that never came back; what TCP lost and repaired shows as delay.
    pub loss: Option<f64>,
    /// One-way delay in seconds: half of a round trip. The median by UDP; by TCP the 99th
    /// percentile, because there a loss becomes delay.
    pub delay_s: Option<f64>,
    /// Interarrival jitter in seconds (RFC 3550, section 6.4.1).
    pub jitter_s: Option<f64>,
    /// What passes in the slower direction, in bits per second of payload.
    pub throughput_bps: Option<f64>,
    /// Seconds for 10 kB there and back, the connection included.
    pub transaction_s: Option<f64>,
}

impl Figures {
    /// The measured value of a quantity, in its SI unit.
    pub const fn value(&self, quantity: Quantity) -> Option<f64> {
        match quantity {
            Quantity::Loss => self.loss,
            Quantity::Delay => self.delay_s,
            Quantity::Jitter => self.jitter_s,
            Quantity::Throughput => self.throughput_bps,
            Quantity::Transaction => self.transaction_s,
        }
    }
}

/// A path as it was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Path {
    /// By datagrams.
    pub udp: Figures,
    /// By streams.
    pub tcp: Figures,
}

impl Path {
    /// What was measured by a transport.
    pub const fn by(&self, transport: Transport) -> &Figures {
        match transport {
            Transport::Udp => &self.udp,
            Transport::Tcp => &self.tcp,
        }
    }
}

/// A threshold beside the value that was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Check {
    /// What is demanded.
    pub threshold: Threshold,
    /// By which transport it was measured.
    pub transport: Transport,
    /// The value in the quantity's unit; `None` was not measured, and does not hold.
    pub value: Option<f64>,
}

impl Check {
    /// Whether the value keeps the threshold. On the threshold is kept.
    pub fn holds(&self) -> bool {
        self.value.is_some_and(|value| self.threshold.holds(value))
    }

    /// How much of the limit is used up: above 1 it is missed, and what was not measured is
    /// infinitely so.
    pub fn strain(&self) -> f64 {
        self.value.map_or(f64::INFINITY, |value| self.threshold.strain(value))
    }
}

/// What a path is worth for one application.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// For what.
    pub application: Application,
    /// Whether every threshold of `transport` is kept.
    pub passed: bool,
    /// The transport to use; where none passes, the one that the application would prefer.
    pub transport: Transport,
    /// Why this transport.
    pub reason: &'static str,
    /// Every threshold of that transport with its value, in the order of the table.
    pub checks: Vec<Check>,
    /// Which of them decided: the one with the greatest strain.
    pub decided_by: usize,
}

impl Verdict {
    /// The check that decided.
    pub fn decisive(&self) -> Option<&Check> {
        self.checks.get(self.decided_by)
    }
}

/// Judges a path for an application: the first transport in the order of its preference that keeps
/// all thresholds is the one to use.
pub fn judge(path: &Path, application: Application, overrides: &[Override]) -> Verdict {
    let verdict = |(transport, reason): (Transport, &'static str)| {
        let limit = |threshold: Threshold| {
            let fits = |other: &&Override| other.applies(application, threshold.quantity);
            let limit = overrides.iter().rev().find(fits);
            limit.map_or(threshold, |other| threshold.at(other.limit))
        };
        let checks: Vec<Check> = application
            .thresholds(transport)
            .iter()
            .map(|threshold| Check {
                threshold: limit(*threshold),
                transport,
                value: path.by(transport).value(threshold.quantity),
            })
            .collect();
        let strains = checks.iter().map(Check::strain).enumerate();
        let decided_by = strains.fold((0, f64::NEG_INFINITY), |worst, (index, strain)| {
            if strain > worst.1 { (index, strain) } else { worst }
        });
        Verdict {
            application,
            passed: checks.iter().all(Check::holds),
            transport,
            reason,
            checks,
            decided_by: decided_by.0,
        }
    };
    let preferred = verdict(application.preferred());
    if preferred.passed {
        return preferred;
    }
    let otherwise = application.otherwise().map(verdict);
    otherwise.filter(|other| other.passed).unwrap_or(preferred)
}

#[cfg(test)]
mod tests;
