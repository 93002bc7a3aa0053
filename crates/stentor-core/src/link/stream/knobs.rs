//! What a link's words can ask of streams only, and which toxics they become.

use std::time::Duration;

use super::toxic::Named;
use crate::link::knobs::{KnobError, Knobs};
use crate::units::Probability;

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
    /// Whether connection number `connection` is to be refused.
    pub fn refuses(&self, seed: crate::seed::Seed, connection: u64) -> bool {
        let _ = (seed, connection);
        false
    }
}

/// The toxics that do to a stream what `knobs` say, in their order.
///
/// # Errors
/// Whatever [`Knobs::check`] and [`Knobs::check_stream`] refuse.
pub fn toxics(knobs: &Knobs) -> Result<Vec<Named>, KnobError> {
    knobs.check()?;
    Ok(Vec::new())
}
