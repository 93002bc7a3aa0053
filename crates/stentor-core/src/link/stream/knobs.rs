//! What a link's words can ask of streams only, and which toxics they become.

use std::fmt;
use std::time::Duration;

use super::toxic::{Named, Since, Toxic};
use crate::link::knobs::{DELAY_MAX, KnobError, Knobs};
use crate::link::trace::Trace;
use crate::seed::{Dice, Seed};
use crate::units::{Amount, Probability, Span};

/// Nothing passes during the first `silent` of every `every` since the connection began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// How long nothing passes.
    pub silent: Duration,
    /// From the beginning of one silence to that of the next; longer than `silent`.
    pub every: Duration,
}

/// Bytes pass in small pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The mean size of a piece, in bytes; at least 1.
    pub average: u64,
    /// How far a size may be from the mean, in bytes; less than `average`.
    pub variation: u64,
    /// The pause after each piece.
    pub pause: Duration,
}

/// The settings that only streams have; the default is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamKnobs {
    /// `stall=SILENT/EVERY`: nothing passes for a while, again and again; nothing is lost.
    pub stall: Option<Stall>,
    /// `reset=TIME`: so long after it began the connection is reset.
    pub reset: Option<Duration>,
    /// `half-close=TIME`: so long after it began this direction ends in order (FIN), the other
    /// goes on; what comes later is thrown away.
    pub half_close: Option<Duration>,
    /// `slow-close=TIME`: the end of the stream is passed on so much later.
    pub slow_close: Option<Duration>,
    /// `truncate=BYTES`: after so many bytes the connection is closed in order.
    pub truncate: Option<u64>,
    /// `refuse[=PROBABILITY]`: so many connections are refused. A matter of the driver, before any
    /// byte flows: [`StreamKnobs::refuses`].
    pub refuse: Option<Probability>,
    /// `slice=AVERAGE[/VARIATION[/PAUSE]]`: bytes pass in small pieces.
    pub slice: Option<Slice>,
    /// `loss-as-delay=PROBABILITY[/TIMEOUT]`: a *model of the symptom* of loss, not loss: of each
    /// 1460 bytes, with this probability, they and all behind them come a retransmission timeout
    /// later, doubled for each repeated loss (RFC 6298 section 5.5).
    pub loss_as_delay: Option<(Probability, Duration)>,
}

impl StreamKnobs {
    /// Whether connection number `connection` of the proxy `name` is to be refused.
    pub fn refuses(&self, seed: Seed, name: &str, connection: u64) -> bool {
        let Some(Probability(chance)) = self.refuse else { return false };
        Dice::new(seed, &format!("{name}/refuse/{connection}")).chance(chance)
    }

    /// The name of the first setting that is made.
    pub(in crate::link) fn first_set(&self) -> Option<&'static str> {
        let set = [
            ("stall", self.stall.is_some()),
            ("reset", self.reset.is_some()),
            ("half-close", self.half_close.is_some()),
            ("slow-close", self.slow_close.is_some()),
            ("truncate", self.truncate.is_some()),
            ("refuse", self.refuse.is_some()),
            ("slice", self.slice.is_some()),
            ("loss-as-delay", self.loss_as_delay.is_some()),
        ];
        set.into_iter().find(|(_, set)| *set).map(|(name, _)| name)
    }

    pub(in crate::link) fn check(&self) -> Result<(), KnobError> {
        let spans = [
            ("stall", self.stall.map(|stall| stall.every)),
            ("reset", self.reset),
            ("half-close", self.half_close),
            ("slow-close", self.slow_close),
            ("slice", self.slice.map(|slice| slice.pause)),
            ("loss-as-delay", self.loss_as_delay.map(|(_, timeout)| timeout)),
        ];
        for (knob, span) in spans {
            if let Some(span) = span.filter(|span| *span > DELAY_MAX) {
                return Err(KnobError::TooLong { knob, written: Span(span) });
            }
        }
        let chances =
            [("refuse", self.refuse), ("loss-as-delay", self.loss_as_delay.map(|(p, _)| p))];
        for (knob, chance) in chances {
            if chance.is_some_and(|chance| !(0.0..=1.0).contains(&chance.0)) {
                return Err(KnobError::Probability(knob));
            }
        }
        match (self.stall, self.slice) {
            (Some(stall), _) if stall.silent >= stall.every || stall.silent.is_zero() => {
                Err(KnobError::Stall(stall.to_string()))
            }
            (_, Some(slice)) if slice.average <= slice.variation => {
                Err(KnobError::Slice(slice.to_string()))
            }
            _ => Ok(()),
        }
    }
}

/// `1s/4s`.
impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Span(self.silent), Span(self.every))
    }
}

/// `100`, `100/50`, `100/50/10us`.
impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Amount(self.average))?;
        if self.variation > 0 || !self.pause.is_zero() {
            write!(f, "/{}", Amount(self.variation))?;
        }
        if !self.pause.is_zero() {
            write!(f, "/{}", Span(self.pause))?;
        }
        Ok(())
    }
}

/// The toxics that do to a stream what `knobs` say, in the order in which bytes meet them. A trace
/// is handed in exactly when `knobs` name one.
///
/// # Errors
/// Whatever [`Knobs::check`] and [`Knobs::check_stream`] refuse, and a trace that is missing.
pub fn toxics(knobs: &Knobs, trace: Option<&Trace>) -> Result<Vec<Named>, KnobError> {
    knobs.check()?;
    knobs.check_stream()?;
    let trace = knobs.matching(trace)?;
    let delayed = !knobs.delay.is_zero() || knobs.jitter.is_some();
    let latency = || Toxic::Latency { delay: knobs.delay, jitter: knobs.jitter };
    let lossy = |(probability, timeout)| Toxic::LossAsDelay { probability, timeout };
    let reset = |after| Toxic::ResetPeer { after, since: Since::Begin };
    let stream = &knobs.stream;
    let chain = [
        ("corrupt", (knobs.corrupt.0 > 0.0).then_some(Toxic::Corrupt(knobs.corrupt))),
        ("truncate", stream.truncate.map(Toxic::LimitData)),
        ("slice", stream.slice.map(Toxic::Slicer)),
        ("rate", knobs.rate.map(Toxic::Bandwidth)),
        ("trace", trace.cloned().map(Toxic::Recorded)),
        ("loss-as-delay", stream.loss_as_delay.map(lossy)),
        ("delay", delayed.then(latency)),
        ("stall", stream.stall.map(Toxic::Stall)),
        ("slow-close", stream.slow_close.map(Toxic::SlowClose)),
        ("half-close", stream.half_close.map(Toxic::HalfClose)),
        ("reset", stream.reset.map(reset)),
    ];
    let named = |(name, toxic): (&str, Option<Toxic>)| {
        Some(Named { name: name.to_owned(), toxic: toxic?, toxicity: Probability(1.0) })
    };
    Ok(chain.into_iter().filter_map(named).collect())
}
