//! What a link decided, and how often: plain data for a log, counters that add up.

use std::fmt;
use std::time::Duration;

use crate::moment::Moment;
use crate::units::Span;

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Knob {
    /// Each unit is lost with a probability.
    Loss,
    /// Units are lost in bursts (Gilbert-Elliott).
    Burst,
    /// Every nth unit is lost.
    Every,
    /// The queue before the transmitter is full.
    Queue,
    /// As much is inside as a link holds ([`UNITS_MAX`](super::UNITS_MAX)).
    Flight,
    /// A unit arrives twice.
    Duplicate,
    /// A bit is flipped.
    Corrupt,
    /// A unit overtakes.
    Reorder,
    /// A unit is later or earlier than the delay says.
    Jitter,
}

impl Knob {
    /// Every knob, in the order in which a link asks them.
    pub const ALL: [Knob; 9] = [
        Knob::Loss,
        Knob::Burst,
        Knob::Every,
        Knob::Duplicate,
        Knob::Corrupt,
        Knob::Reorder,
        Knob::Jitter,
        Knob::Queue,
        Knob::Flight,
    ];

    /// Its name, in words and logs, and of its die.
    pub const fn name(self) -> &'static str {
        match self {
            Knob::Loss => "loss",
            Knob::Burst => "burst",
            Knob::Every => "every",
            Knob::Queue => "queue",
            Knob::Flight => "flight",
            Knob::Duplicate => "duplicate",
            Knob::Corrupt => "corrupt",
            Knob::Reorder => "reorder",
            Knob::Jitter => "jitter",
        }
    }
}

/// What was decided about a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It is not delivered.
    Dropped,
    /// A copy follows it; the queue may still drop the copy.
    Doubled,
    /// This bit of its payload is flipped; bit 0 is the highest of byte 0, as on the wire.
    Flipped(u64),
    /// It skips delay and jitter, and so overtakes those that do not.
    Overtakes,
    /// It is this much later than the delay says.
    Later(Duration),
    /// It is this much earlier than the delay says.
    Earlier(Duration),
}

/// One decision about one unit. What a knob leaves alone is not mentioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The number of the unit on this link, from 1; a copy has its original's.
    pub seq: u64,
    /// Whether it is about the copy that `duplicate` made.
    pub copy: bool,
    /// When the unit came.
    pub at: Moment,
    /// What decided.
    pub knob: Knob,
    /// What it decided.
    pub what: What,
}

/// One line of a decision log: `0.020000 17 loss dropped`.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let copy = if self.copy { "'" } else { "" };
        write!(f, "{} {}{copy} {} ", self.at, self.seq, self.knob.name())?;
        match self.what {
            What::Dropped => f.write_str("dropped"),
            What::Doubled => f.write_str("doubled"),
            What::Flipped(bit) => write!(f, "flipped bit {bit}"),
            What::Overtakes => f.write_str("overtakes"),
            What::Later(span) => write!(f, "later by {}", Span(span)),
            What::Earlier(span) => write!(f, "earlier by {}", Span(span)),
        }
    }
}

/// What a link did, in units: `taken + duplicated = delivered + dropped() + waiting`, where
/// [`Link::waiting`](super::Link::waiting) says how many are still inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Units handed in.
    pub taken: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Units handed out, copies included.
    pub delivered: u64,
    /// Lost by [`Knob::Loss`].
    pub lost: u64,
    /// Lost by [`Knob::Burst`].
    pub lost_in_burst: u64,
    /// Lost by [`Knob::Every`].
    pub lost_by_count: u64,
    /// Dropped because the queue was full.
    pub queue_full: u64,
    /// Dropped because too much was inside.
    pub flight_full: u64,
    /// Bits flipped, one in each unit that was struck.
    pub corrupted: u64,
    /// Units that skipped the delay.
    pub reordered: u64,
    /// Bytes handed in, as the units said that they cost.
    pub taken_bytes: u64,
    /// Bytes handed out.
    pub delivered_bytes: u64,
}

impl Counters {
    /// Notes a unit that `knob` lost.
    pub(super) const fn lose(&mut self, knob: Knob) {
        match knob {
            Knob::Burst => self.lost_in_burst += 1,
            Knob::Every => self.lost_by_count += 1,
            Knob::Queue => self.queue_full += 1,
            Knob::Flight => self.flight_full += 1,
            Knob::Loss | Knob::Duplicate | Knob::Corrupt | Knob::Reorder | Knob::Jitter => {
                self.lost += 1;
            }
        }
    }

    /// All units that are not delivered, for whatever reason.
    pub const fn dropped(&self) -> u64 {
        self.lost + self.lost_in_burst + self.lost_by_count + self.queue_full + self.flight_full
    }
}
