//! Faults on request, for people who test clients: what they are called and what they are given.
//!
//! The words are here; [`stream`] keeps a connection's answers back and spoils them,
//! [`datagrams`] does the same for UDP. Both are told the time and roll seeded dice. `silent` and
//! `stall` strike a connection (or a datagram), everything else an answer. Several may strike one
//! answer: it is then cut short (`truncate`, `rst`), or sent twice (`dup`), in two halves (`split`),
//! byte by byte (`drip`), after a delay (`late`), and all of that outside the silences of `stall`.

pub mod datagrams;
pub mod stream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

pub use datagrams::{FaultyDatagrams, Outbox, Outgoing, Portion};
pub use stream::{Due, FaultyStream};

use crate::moment::Moment;
use crate::seed::{Dice, Seed};
use crate::units::{Probability, Span, UnitError};

/// The pause between the halves of a `split` answer, unless given.
pub const SPLIT_PAUSE: Duration = Duration::from_millis(200);
/// The gap between the bytes of a `drip` answer, unless given.
pub const DRIP_GAP: Duration = Duration::from_millis(10);
/// The delay of a `late` answer, unless given.
pub const LATE_DELAY: Duration = Duration::from_millis(300);
/// Of every `every`, a `stall` is silent during the first `silent`: 1 s of 4 s, unless given.
pub const STALL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Half of the answer, a pause, the rest.
    Split(Duration),
    /// The answer byte by byte, with this gap between two. Streams only.
    Drip(Duration),
    /// Nothing is answered during the first `silent` of every `every` since the run began;
    /// what was kept back is then sent at once.
    Stall {
        /// How long nothing is answered.
        silent: Duration,
        /// From the beginning of one silence to that of the next.
        every: Duration,
    },
    /// Nothing is ever answered, and nothing closed.
    Silent,
    /// Half of the answer, then a reset. Streams only.
    Rst,
    /// The answer twice.
    Dup,
    /// The answer after a delay.
    Late(Duration),
    /// Half of the answer, then an orderly close; of a datagram, its first half.
    Truncate,
}

impl Kind {
    /// The name on the command line, which is also the name of its die.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Split(_) => "split",
            Kind::Drip(_) => "drip",
            Kind::Stall { .. } => "stall",
            Kind::Silent => "silent",
            Kind::Rst => "rst",
            Kind::Dup => "dup",
            Kind::Late(_) => "late",
            Kind::Truncate => "truncate",
        }
    }

    /// Whether it means anything for datagrams: they have no bytes to drip and nothing to reset.
    pub const fn on_datagrams(self) -> bool {
        !matches!(self, Kind::Drip(_) | Kind::Rst)
    }
}

/// One fault and how often it strikes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// How often, from 0 to 1: of all answers, or of all connections for `stall` and `silent`.
    pub chance: Probability,
}

/// All faults of a server, each kind at most once: `split=200ms,rst:10%`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults(Vec<Fault>);

/// Why a fault was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FaultError {
    /// No such fault.
    #[error(
        "{0:?} is not a fault: split=200ms, drip=10ms, stall=1s/4s, silent, rst, dup, late=300ms \
         or truncate, each with an optional probability such as rst:10%"
    )]
    Unknown(String),
    /// The span or the probability is not one.
    #[error("fault {fault}: {source}")]
    Unit {
        /// The name of the fault.
        fault: &'static str,
        /// What is wrong.
        source: UnitError,
    },
    /// A value for a fault that takes none.
    #[error("fault {fault} takes no value, not {value:?}: write {fault} or {fault}:10%")]
    NoValue {
        /// The name of the fault.
        fault: &'static str,
        /// What was given.
        value: String,
    },
    /// A stall that is not `SILENT/EVERY`, or that never ends.
    #[error(
        "fault stall takes SILENT/EVERY with SILENT shorter than EVERY, such as 1s/4s (silent \
         for the first second of every four), not {0:?}"
    )]
    Stall(String),
    /// The same fault twice.
    #[error("fault {0} is given twice: which of the two is meant cannot be guessed")]
    Twice(&'static str),
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(written: &str) -> Result<Fault, FaultError> {
        let (rest, chance) = match written.split_once(':') {
            Some((rest, chance)) => (rest, Some(chance)),
            None => (written, None),
        };
        let (name, value) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (rest, None),
        };
        let kind = match name {
            "split" => Kind::Split(span("split", value, SPLIT_PAUSE)?),
            "drip" => Kind::Drip(span("drip", value, DRIP_GAP)?),
            "late" => Kind::Late(span("late", value, LATE_DELAY)?),
            "stall" => stall(value)?,
            "silent" => bare(Kind::Silent, value)?,
            "rst" => bare(Kind::Rst, value)?,
            "dup" => bare(Kind::Dup, value)?,
            "truncate" => bare(Kind::Truncate, value)?,
            _ => return Err(FaultError::Unknown(written.to_owned())),
        };
        let chance = chance.map_or(Ok(Probability(1.0)), str::parse);
        let chance = chance.map_err(|source| FaultError::Unit { fault: kind.name(), source })?;
        Ok(Fault { kind, chance })
    }
}

fn span(fault: &'static str, value: Option<&str>, usual: Duration) -> Result<Duration, FaultError> {
    let Some(value) = value else { return Ok(usual) };
    let parsed = value.parse::<Span>();
    parsed.map(|span| span.0).map_err(|source| FaultError::Unit { fault, source })
}

fn bare(kind: Kind, value: Option<&str>) -> Result<Kind, FaultError> {
    match value {
        None => Ok(kind),
        Some(value) => Err(FaultError::NoValue { fault: kind.name(), value: value.to_owned() }),
    }
}

fn stall(value: Option<&str>) -> Result<Kind, FaultError> {
    let Some(value) = value else { return Ok(Kind::Stall { silent: STALL.0, every: STALL.1 }) };
    let refused = || FaultError::Stall(value.to_owned());
    let (silent, every) = value.split_once('/').ok_or_else(refused)?;
    let silent = span("stall", Some(silent), STALL.0)?;
    let every = span("stall", Some(every), STALL.1)?;
    if silent >= every {
        return Err(refused());
    }
    Ok(Kind::Stall { silent, every })
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        match self.kind {
            Kind::Split(span) | Kind::Drip(span) | Kind::Late(span) => write!(f, "={}", Span(span)),
            Kind::Stall { silent, every } => write!(f, "={}/{}", Span(silent), Span(every)),
            Kind::Silent | Kind::Rst | Kind::Dup | Kind::Truncate => Ok(()),
        }?;
        if self.chance.0 < 1.0 {
            write!(f, ":{}", self.chance)?;
        }
        Ok(())
    }
}

impl Faults {
    /// Gathers faults, of which each kind may stand once.
    ///
    /// # Errors
    /// [`FaultError::Twice`].
    pub fn new(faults: impl IntoIterator<Item = Fault>) -> Result<Faults, FaultError> {
        let mut all: Vec<Fault> = Vec::new();
        for fault in faults {
            if all.iter().any(|other| other.kind.name() == fault.kind.name()) {
                return Err(FaultError::Twice(fault.kind.name()));
            }
            all.push(fault);
        }
        Ok(Faults(all))
    }

    /// The faults, as they were given.
    pub fn iter(&self) -> impl Iterator<Item = Fault> + '_ {
        self.0.iter().copied()
    }

    /// Whether nothing goes wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A list with commas: `split=200ms,rst:10%`; the empty list is the empty string.
impl FromStr for Faults {
    type Err = FaultError;

    fn from_str(written: &str) -> Result<Faults, FaultError> {
        let faults: Result<Vec<Fault>, _> =
            written.split_terminator(',').map(str::parse::<Fault>).collect();
        Faults::new(faults?)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{fault}")?;
        }
        Ok(())
    }
}

/// One fault with its die: named after it, so that one fault never changes another's luck.
#[derive(Clone, Debug)]
struct Armed {
    kind: Kind,
    chance: f64,
    die: Dice,
}

impl Armed {
    fn new(fault: Fault, seed: Seed, of: &str) -> Armed {
        let name = format!("{}/{of}", fault.kind.name());
        Armed { kind: fault.kind, chance: fault.chance.0, die: Dice::new(seed, &name) }
    }

    fn strikes(&mut self) -> bool {
        self.die.chance(self.chance)
    }
}

/// The faults that struck one answer, or one connection.
#[derive(Clone, Copy, Debug, Default)]
struct Struck {
    split: Option<Duration>,
    drip: Option<Duration>,
    stall: Option<(Duration, Duration)>,
    silent: bool,
    rst: bool,
    dup: bool,
    late: Option<Duration>,
    truncate: bool,
}

impl Struck {
    fn add(&mut self, kind: Kind) {
        match kind {
            Kind::Split(pause) => self.split = Some(pause),
            Kind::Drip(gap) => self.drip = Some(gap),
            Kind::Stall { silent, every } => self.stall = Some((silent, every)),
            Kind::Silent => self.silent = true,
            Kind::Rst => self.rst = true,
            Kind::Dup => self.dup = true,
            Kind::Late(delay) => self.late = Some(delay),
            Kind::Truncate => self.truncate = true,
        }
    }
}

/// How long a stall still lasts at `now`; zero outside its silences.
fn stalled_for(now: Moment, silent: Duration, every: Duration) -> Duration {
    let every = every.as_nanos().max(1);
    let into = u128::from(now.as_nanos()) % every;
    let left = silent.as_nanos().saturating_sub(into);
    Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX))
}
