//! One direction of a link that carries units: datagrams of a proxy, packets of a device, or
//! numbers of a simulation.
//!
//! A unit is first struck by chance (loss, burst, every; duplicate; corrupt), waits in a bounded
//! queue for the transmitter (rate or trace), and is then on its way (delay, jitter, reorder, order,
//! slots). All chance is decided when the unit comes, and all times follow from when units came, not
//! from when the driver asks: a late driver delivers late, but decides the same.

use std::ops::Range;

use super::decision::{Counters, Decision};
use super::knobs::{KnobError, Knobs};
use super::trace::Trace;
use crate::moment::Moment;
use crate::seed::Seed;

/// The most units that are on their way at once, behind the transmitter.
pub const FLIGHT_UNITS_MAX: usize = 1 << 18;
/// The most bytes that are on their way at once, behind the transmitter.
pub const FLIGHT_BYTES_MAX: u64 = 256 << 20;

/// What a link carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit<P> {
    /// The bytes themselves, or whatever stands for them.
    pub payload: P,
    /// What it costs on the link, in bytes: with all headers that the rate should count.
    pub bytes: usize,
    /// Which bytes of the payload `corrupt` may strike. Without the IP header, for example, a flip
    /// reaches the checksum of the transport; empty: none.
    pub corruptible: Range<usize>,
}

impl<P> Unit<P> {
    /// A unit of `bytes` bytes, all of which may be struck.
    pub const fn new(payload: P, bytes: usize) -> Unit<P> {
        Unit { payload, bytes, corruptible: 0..bytes }
    }
}

/// A unit that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<P> {
    /// What was handed in.
    pub payload: P,
    /// Its number on this link, from 1.
    pub seq: u64,
    /// Whether it is the copy that `duplicate` made.
    pub copy: bool,
    /// When it was handed in.
    pub sent: Moment,
    /// When it arrives; the driver may be later.
    pub due: Moment,
    /// The bit that is flipped, if one is: [`flip`](Delivery::flip) does it to bytes.
    pub flipped: Option<u64>,
}

impl<P: AsMut<[u8]>> Delivery<P> {
    /// Flips the bit that `corrupt` chose, if it chose one; bit 0 is the highest of byte 0.
    pub fn flip(&mut self) {
        let Some(bit) = self.flipped else { return };
        let byte = usize::try_from(bit / 8).ok();
        if let Some(byte) = byte.and_then(|byte| self.payload.as_mut().get_mut(byte)) {
            *byte ^= 0x80 >> (bit % 8);
        }
    }
}

/// What the driver has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<P> {
    /// Hand this on.
    Deliver(Delivery<P>),
    /// Nothing before this moment.
    Wait(Moment),
    /// Nothing until another unit is handled.
    Idle,
}

/// One direction of a link.
#[derive(Clone, Debug)]
pub struct Link<P> {
    counters: Counters,
    ready: std::collections::VecDeque<Delivery<P>>,
}

impl<P: Clone> Link<P> {
    /// A link that is set to `knobs`; its dice are named after `name` (`up`, `down`, or whatever
    /// tells it from the other links of the run). A trace is handed in exactly when `knobs` names
    /// one.
    ///
    /// # Errors
    /// Whatever [`Knobs::check`] and [`Knobs::check_units`] refuse, and a trace that is missing.
    pub fn new(
        knobs: &Knobs,
        trace: Option<&Trace>,
        seed: Seed,
        name: &str,
    ) -> Result<Link<P>, KnobError> {
        let _ = (trace, seed, name);
        knobs.check()?;
        Ok(Link { counters: Counters::default(), ready: std::collections::VecDeque::new() })
    }

    /// Turns the knobs at `now`. Units inside keep what chance decided about them and the delay
    /// they have begun; those still in the queue leave at the new rate, the one being sent at the
    /// old. Dice go on rolling where they were.
    ///
    /// # Errors
    /// As [`Link::new`]; the link is then unchanged.
    pub fn set(
        &mut self,
        now: Moment,
        knobs: &Knobs,
        trace: Option<&Trace>,
    ) -> Result<(), KnobError> {
        let _ = (now, trace);
        knobs.check()
    }

    /// Takes a unit at `now` and tells `log` what was decided about it.
    pub fn handle(&mut self, now: Moment, unit: Unit<P>, log: &mut impl FnMut(Decision)) {
        let _ = log;
        self.counters.taken += 1;
        let (payload, seq) = (unit.payload, self.counters.taken);
        self.ready.push_back(Delivery {
            payload,
            seq,
            copy: false,
            sent: now,
            due: now,
            flipped: None,
        });
    }

    /// Says what to do at `now`, until it says to wait or that it is idle.
    pub fn poll(&mut self, now: Moment) -> Output<P> {
        let _ = now;
        self.ready.pop_front().map_or(Output::Idle, Output::Deliver)
    }

    /// What it did so far.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// How many units are inside: in the queue, being sent, or on their way.
    pub fn waiting(&self) -> u64 {
        self.ready.len() as u64
    }
}
