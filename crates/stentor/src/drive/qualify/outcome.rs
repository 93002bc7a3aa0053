//! What a measurement came to: by each transport its figures, or why there are none.

use std::time::Duration;

use stentor_core::measure::Latency;
use stentor_core::moment::Moment;
use stentor_core::qualify::probe::{Climbed, Course, Form, Trained};
use stentor_core::qualify::{Figures, Path};

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// When it began, on the clock of the run.
    pub began: Moment,
    /// How long it took.
    pub took: Duration,
    /// By datagrams; `None`: not asked for.
    pub udp: Option<Udp>,
    /// By streams; `None`: not asked for.
    pub tcp: Option<Tcp>,
    /// How much later than due probes left: this machine's own part of what was measured.
    pub lateness: Latency,
    /// Whether a signal ended it.
    pub interrupted: bool,
}

/// What kind of trouble it is: the exit code depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody is there: refused, or unreachable.
    Refused,
    /// Nobody answers.
    Silent,
    /// The answers are not those of an echoing or upper-casing service.
    Wrong,
    /// It worked, and then no more.
    Broken,
}

/// Why a transport was not measured, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What kind.
    pub kind: Kind,
    /// What happened.
    pub what: String,
    /// What to do about it.
    pub next: String,
}

/// Measured by datagrams.
#[derive(Clone, Debug, Default)]
pub struct Udp {
    /// Why not, or not to the end.
    pub trouble: Option<Trouble>,
    /// The rate that passes.
    pub climbed: Option<Climbed>,
    /// Datagrams while nothing else was sent; `None` if it did not come to that.
    pub train: Option<Trained>,
    /// From one of them to the next.
    pub interval: Duration,
    /// Datagrams beside the bulk transfer over TCP.
    pub loaded: Option<Trained>,
}

/// Measured by streams. `sent_bytes = verified_bytes + missing_bytes + unawaited_bytes`.
#[derive(Clone, Debug, Default)]
pub struct Tcp {
    /// Why not, or not to the end.
    pub trouble: Option<Trouble>,
    /// How the service answers, once it has.
    pub form: Option<Form>,
    /// From connect to connected.
    pub connects: Latency,
    /// Small messages while nothing else was sent.
    pub messages: Option<Course>,
    /// 10 kB there and back, the connection included.
    pub transactions: Latency,
    /// What passes in both directions at once, in bit/s of payload.
    pub throughput_bps: Option<f64>,
    /// Whether our own cap was the limit.
    pub capped: bool,
    /// Small messages on another connection beside the bulk transfer.
    pub loaded: Option<Course>,
    /// Bytes sent on all connections.
    pub sent_bytes: u64,
    /// Bytes that came back rightly.
    pub verified_bytes: u64,
    /// Bytes that were waited for and did not come.
    pub missing_bytes: u64,
    /// Bytes still on their way when a bulk transfer was ended by us.
    pub unawaited_bytes: u64,
}

impl Outcome {
    /// The figures that verdicts are made of.
    pub fn path(&self) -> Path {
        let udp = self.udp.as_ref().map(Udp::figures).unwrap_or_default();
        let tcp = self.tcp.as_ref().map(Tcp::figures).unwrap_or_default();
        Path { udp, tcp }
    }
}

impl Udp {
    fn figures(&self) -> Figures {
        let train = self.train.as_ref();
        let course = train.map(|train| &train.course);
        Figures {
            loss: train.and_then(Trained::loss),
            delay_s: course.and_then(|course| half(course.round_trips.percentile(50.0))),
            jitter_s: course.and_then(jitter),
            throughput_bps: self.climbed.and_then(|climbed| climbed.rate_bps),
            transaction_s: None,
        }
    }
}

impl Tcp {
    /// The share of what was waited for that did not come.
    pub fn loss(&self) -> Option<f64> {
        let awaited = self.verified_bytes + self.missing_bytes;
        (awaited > 0).then(|| self.missing_bytes as f64 / awaited as f64)
    }

    fn figures(&self) -> Figures {
        let course = self.messages.as_ref();
        // A loss becomes delay here: what most messages keep is not the median.
        let worst = course.and_then(|course| course.round_trips.percentile(99.0));
        Figures {
            loss: self.loss(),
            delay_s: half(worst),
            jitter_s: course.and_then(jitter),
            throughput_bps: self.throughput_bps,
            transaction_s: self.transactions.percentile(50.0).map(|took| took.as_secs_f64()),
        }
    }
}

/// One way, in seconds: half of there and back, since no clock at the far end is asked.
fn half(round_trip: Option<Duration>) -> Option<f64> {
    round_trip.map(|took| took.as_secs_f64() / 2.0)
}

fn jitter(course: &Course) -> Option<f64> {
    course.jitter_mean().map(|(mean, _)| mean.as_secs_f64())
}
