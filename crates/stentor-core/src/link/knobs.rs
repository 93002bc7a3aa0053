//! What one direction of a link is set to, and which settings make no sense.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::burst::Burst;
use super::jitter::Jitter;
use super::stream::StreamKnobs;
use super::trace::Trace;
use crate::units::{Amount, BitRate, Probability, Span};

/// The longest delay, jitter or slot: an hour. Light takes 22 minutes to Mars at its farthest.
pub const DELAY_MAX: Duration = Duration::from_secs(3600);
/// The fastest rate: 1 Tbit/s. Beyond it a unit takes no whole nanosecond.
pub const RATE_MAX: BitRate = BitRate(1_000_000_000_000);
/// The queue before a transmitter, unless given: 100 packets, some 150 kB.
pub const QUEUE_DEFAULT: Queue = Queue::Units(100);

/// How much may wait behind the unit that is being sent; what comes to a full queue is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// So many bytes: `queue=64KiB`.
    Bytes(u64),
    /// So many units: `queue=100p`.
    Units(u64),
}

/// Whether jitter may change the order of units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// A unit with less jitter overtakes one with more, as on parallel paths.
    #[default]
    Free,
    /// No unit is delivered before one that came earlier: one path, of changing length.
    Keep,
}

/// All settings of one direction. The default is a perfect link: nothing lost, no delay, no limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Knobs {
    /// How fast the transmitter is; `None`: infinitely.
    pub rate: Option<BitRate>,
    /// What waits before the transmitter; `None`: [`QUEUE_DEFAULT`]. Without `rate` and `trace`
    /// nothing ever waits.
    pub queue: Option<Queue>,
    /// The time from the end of transmission to delivery.
    pub delay: Duration,
    /// How the delay varies; the sum of both is never below 0.
    pub jitter: Option<Jitter>,
    /// Whether jitter may reorder.
    pub order: Order,
    /// How likely each unit is lost.
    pub loss: Probability,
    /// Losses in bursts, beside `loss`.
    pub burst: Option<Burst>,
    /// Every nth unit is lost, beside `loss`: the nth, the 2nth and so on.
    pub every: Option<u64>,
    /// How likely a unit arrives twice: a copy of it, with jitter of its own, queues behind it.
    pub duplicate: Probability,
    /// How likely a unit overtakes: it skips delay and jitter (never the transmitter), and so
    /// arrives before those that were sent up to a delay earlier. tc-netem(8), `reorder`.
    pub reorder: Probability,
    /// How likely one bit of a unit is flipped; the copy of a unit is never struck. On a stream:
    /// of each piece of 1460 bytes, the fault of a broken middlebox.
    pub corrupt: Probability,
    /// Delivery only at whole multiples of this time, in bunches, as a medium does that hands out
    /// turns (tc-netem(8), `slot`).
    pub slots: Option<Duration>,
    /// The file of a recorded link, as it was written; the roof reads it ([`super::Trace`]).
    pub trace: Option<String>,
    /// What can only happen to streams.
    pub stream: StreamKnobs,
}

/// A setting that makes no sense, and what would.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KnobError {
    /// Nothing would ever arrive.
    #[error("rate=0bit would deliver nothing, ever: for a dead link write loss=100%")]
    RateZero,
    /// Too fast to be told apart from no limit.
    #[error("rate={0} is beyond {RATE_MAX}: leave rate out for a link without a limit")]
    RateTooHigh(BitRate),
    /// Longer than [`DELAY_MAX`].
    #[error("{knob}={written} is longer than an hour (light needs 22 minutes to Mars)")]
    TooLong {
        /// The word.
        knob: &'static str,
        /// The time that was given.
        written: Span,
    },
    /// Neither 0 nor 1 of n can be meant.
    #[error("every={0}: every nth unit is lost, n from 2; for all of them write loss=100%")]
    Every(u64),
    /// A probability outside 0 to 1.
    #[error("{0} takes a probability from 0 to 1")]
    Probability(&'static str),
    /// Both say how fast the link is.
    #[error("rate and trace both say how fast the link is: leave one of them out")]
    RateAndTrace,
    /// A queue without anything to wait for.
    #[error("queue without rate or trace: nothing would ever wait in it; add rate=2Mbit")]
    QueueWithoutRate,
    /// An overtaking unit skips the delay, and there is none.
    #[error("reorder without delay: a unit overtakes by skipping the delay; add delay=20ms")]
    ReorderWithoutDelay,
    /// One says that units overtake, the other that they do not.
    #[error("reorder and order=keep contradict each other: leave one of them out")]
    ReorderInOrder,
    /// Slots of no length.
    #[error("slots=0s: a slot needs a length, such as slots=20ms")]
    SlotsZero,
    /// A line that is bad for ever, or a burst that never begins.
    #[error(
        "burst={0}: P and R must be above 0, or the line never changes; loss=P is without bursts"
    )]
    BurstNeverChanges(String),
    /// A list with commas cannot hold it.
    #[error("trace={0}: the name of a file, which must not be empty or hold a comma")]
    TraceName(String),
    /// The roof has to hand in what the file holds.
    #[error("trace={0} is named but its content was not handed in")]
    TraceMissing(String),
    /// A stall that never ends, or lasts no time.
    #[error("stall={0}: SILENT/EVERY with SILENT shorter than EVERY, such as 1s/4s")]
    Stall(String),
    /// Pieces without bytes.
    #[error("slice={0}: AVERAGE[/VARIATION[/PAUSE]] in bytes, AVERAGE above VARIATION")]
    Slice(String),
    /// A setting that means something only on the other tier.
    #[error("{knob} has no meaning {tier}: {instead}")]
    Tier {
        /// The word.
        knob: &'static str,
        /// `on streams`, or `on datagrams and packets`.
        tier: &'static str,
        /// What to write instead, or why not.
        instead: &'static str,
    },
}

impl Knobs {
    /// Checks what no type can: ranges, and settings that contradict each other.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn check(&self) -> Result<(), KnobError> {
        match self.rate {
            Some(BitRate(0)) => return Err(KnobError::RateZero),
            Some(rate) if rate > RATE_MAX => return Err(KnobError::RateTooHigh(rate)),
            Some(_) if self.trace.is_some() => return Err(KnobError::RateAndTrace),
            None if self.trace.is_none() && self.queue.is_some() => {
                return Err(KnobError::QueueWithoutRate);
            }
            Some(_) | None => {}
        }
        for (knob, span) in self.spans() {
            if span > DELAY_MAX {
                return Err(KnobError::TooLong { knob, written: Span(span) });
            }
        }
        for (knob, Probability(value)) in self.probabilities() {
            if !(0.0..=1.0).contains(&value) {
                return Err(KnobError::Probability(knob));
            }
        }
        if let Some(n @ (0 | 1)) = self.every {
            return Err(KnobError::Every(n));
        }
        if let Some(burst) = self.burst.filter(|burst| burst.p.0 == 0.0 || burst.r.0 == 0.0) {
            return Err(KnobError::BurstNeverChanges(burst.to_string()));
        }
        if self.slots == Some(Duration::ZERO) {
            return Err(KnobError::SlotsZero);
        }
        if self.reorder.0 > 0.0 && self.order == Order::Keep {
            return Err(KnobError::ReorderInOrder);
        }
        if self.reorder.0 > 0.0 && self.delay == Duration::ZERO && self.jitter.is_none() {
            return Err(KnobError::ReorderWithoutDelay);
        }
        if let Some(file) = &self.trace
            && (file.is_empty() || file.contains(','))
        {
            return Err(KnobError::TraceName(file.clone()));
        }
        self.stream.check()
    }

    /// Checks that everything set means something for datagrams and packets.
    ///
    /// # Errors
    /// [`KnobError::Tier`] names the first setting that is only for streams.
    pub fn check_units(&self) -> Result<(), KnobError> {
        let tier = "on datagrams and packets";
        match self.stream.first_set() {
            None => Ok(()),
            Some(knob @ "loss-as-delay") => {
                let instead = "they can really be lost: write loss=1%";
                Err(KnobError::Tier { knob, tier, instead })
            }
            Some(knob) => {
                let instead = "it is a fault of connections; impair a tcp:// target with it";
                Err(KnobError::Tier { knob, tier, instead })
            }
        }
    }

    /// Checks that everything set means something for streams.
    ///
    /// # Errors
    /// [`KnobError::Tier`] names the first setting that is only for datagrams and packets.
    pub fn check_stream(&self) -> Result<(), KnobError> {
        let model = "a proxy of TCP cannot lose segments; use the lab link, or loss-as-delay=1%, \
                     a model of the symptom";
        let order = "a stream keeps its order and its bytes; use the lab link or a udp:// target";
        let store = "a proxy of TCP drops nothing: it stops reading, and TCP slows the sender down";
        let units = "a stream has no units to bunch; use the lab link, a udp:// target, or slice";
        let set = [
            ("loss", self.loss.0 > 0.0, model),
            ("burst", self.burst.is_some(), model),
            ("every", self.every.is_some(), model),
            ("duplicate", self.duplicate.0 > 0.0, order),
            ("reorder", self.reorder.0 > 0.0, order),
            ("queue", self.queue.is_some(), store),
            ("slots", self.slots.is_some(), units),
        ];
        match set.into_iter().find(|(_, set, _)| *set) {
            None => Ok(()),
            Some((knob, _, instead)) => Err(KnobError::Tier { knob, tier: "on streams", instead }),
        }
    }

    /// Whether the link changes nothing.
    pub fn is_plain(&self) -> bool {
        *self == Knobs::default()
    }

    /// The trace that goes with these knobs: exactly when they name one.
    pub(super) fn matching<'a>(
        &self,
        trace: Option<&'a Trace>,
    ) -> Result<Option<&'a Trace>, KnobError> {
        match (&self.trace, trace) {
            (Some(file), None) => Err(KnobError::TraceMissing(file.clone())),
            (Some(_), Some(trace)) => Ok(Some(trace)),
            (None, _) => Ok(None),
        }
    }

    fn spans(&self) -> [(&'static str, Duration); 3] {
        [
            ("delay", self.delay),
            ("jitter", self.jitter.map_or(Duration::ZERO, |jitter| jitter.spread)),
            ("slots", self.slots.unwrap_or_default()),
        ]
    }

    fn probabilities(&self) -> [(&'static str, Probability); 8] {
        let burst =
            |part: fn(&Burst) -> Probability| self.burst.as_ref().map_or(Probability(0.0), part);
        [
            ("loss", self.loss),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("corrupt", self.corrupt),
            ("burst", burst(|burst| burst.p)),
            ("burst", burst(|burst| burst.r)),
            ("burst", burst(|burst| burst.bad)),
            ("burst", burst(|burst| burst.good)),
        ]
    }
}

/// `64KiB`, or `100p`.
impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Queue::Bytes(bytes) => write!(f, "{}B", Amount(*bytes)),
            Queue::Units(units) => write!(f, "{units}p"),
        }
    }
}
