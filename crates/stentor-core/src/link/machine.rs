//! One direction of a link that carries units: datagrams of a proxy, packets of a device, or
//! numbers of a simulation.
//!
//! A unit is first struck by chance (loss, burst, every; duplicate; corrupt), as in tc-netem(8)
//! before it costs anything; it then waits in a bounded queue for the transmitter (rate or trace),
//! and is at last on its way (delay, jitter, reorder, order, slots). All chance is decided when the
//! unit comes, and all times follow from when units came, not from when the driver asks: a late
//! driver delivers late, but decides the same.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use super::decision::{Counters, Decision, Knob, What};
use super::jitter::delayed;
use super::knobs::{KnobError, Knobs, Order, QUEUE_DEFAULT, Queue};
use super::luck::{Luck, Rolls};
use super::trace::Trace;
use super::transmitter::Transmitter;
use crate::moment::Moment;
use crate::seed::Seed;

/// The most units that are inside a link at once.
pub const UNITS_MAX: usize = 1 << 18;
/// The most bytes that are inside a link at once.
pub const BYTES_MAX: u64 = 256 << 20;

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
    /// What it cost, in bytes.
    pub bytes: usize,
    /// Its number on this link, from 1.
    pub seq: u64,
    /// Whether it is the copy that `duplicate` made.
    pub copy: bool,
    /// When it was handed in.
    pub sent: Moment,
    /// When it arrives; the driver may be later.
    pub due: Moment,
    /// The bit that is to be flipped, if one is: [`flip`](Delivery::flip) does it to bytes.
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

/// A unit inside the link; what chance says about its delay is decided.
#[derive(Clone, Debug)]
struct Inside<P> {
    delivery: Delivery<P>,
    overtakes: bool,
    /// How far from the delay it comes, in nanoseconds.
    offset_ns: i64,
}

/// A unit on its way. The heap gives up the greatest: the one that is due first, and of those due
/// at once the one that left first. By its number alone, jitter could never reorder.
#[derive(Clone, Debug)]
struct Flying<P> {
    left: u64,
    delivery: Delivery<P>,
}

impl<P> Ord for Flying<P> {
    fn cmp(&self, other: &Flying<P>) -> Ordering {
        (other.delivery.due, other.left).cmp(&(self.delivery.due, self.left))
    }
}

impl<P> PartialOrd for Flying<P> {
    fn partial_cmp(&self, other: &Flying<P>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> PartialEq for Flying<P> {
    fn eq(&self, other: &Flying<P>) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<P> Eq for Flying<P> {}

/// One direction of a link.
#[derive(Clone, Debug)]
pub struct Link<P> {
    knobs: Knobs,
    luck: Luck,
    transmitter: Transmitter,
    now: Moment,
    /// What is being sent, and when it has left.
    sending: Option<(Moment, Inside<P>)>,
    queue: VecDeque<Inside<P>>,
    queued_bytes: u64,
    flight: BinaryHeap<Flying<P>>,
    inside_bytes: u64,
    /// How many have left the transmitter.
    left: u64,
    /// The latest due of all that left: what `order=keep` keeps.
    last_due: Moment,
    counters: Counters,
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
        knobs.check()?;
        knobs.check_units()?;
        Ok(Link {
            transmitter: Transmitter::new(knobs.rate, knobs.matching(trace)?),
            knobs: knobs.clone(),
            luck: Luck::new(seed, name),
            now: Moment::START,
            sending: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            flight: BinaryHeap::new(),
            inside_bytes: 0,
            left: 0,
            last_due: Moment::START,
            counters: Counters::default(),
        })
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
        knobs.check()?;
        knobs.check_units()?;
        let trace = knobs.matching(trace)?;
        self.advance(now);
        self.transmitter = Transmitter::new(knobs.rate, trace);
        self.knobs = knobs.clone();
        Ok(())
    }

    /// Takes a unit at `now` and tells `log` what was decided about it.
    pub fn handle(&mut self, now: Moment, unit: Unit<P>, log: &mut impl FnMut(Decision)) {
        self.advance(now);
        self.counters.taken += 1;
        self.counters.taken_bytes += unit.bytes as u64;
        let seq = self.counters.taken;
        let rolls = self.luck.roll(&self.knobs, seq);
        let at = self.now;
        if let Some(knob) = rolls.lost {
            self.counters.lose(knob);
            return log(Decision { seq, copy: false, at, knob, what: What::Dropped });
        }
        let copy = rolls.doubled.then(|| unit.payload.clone());
        let flipped = rolls.flip_in(&unit.corruptible);
        let bytes = unit.bytes;
        let made = |payload, copy, flipped| Delivery {
            payload,
            bytes,
            seq,
            copy,
            sent: at,
            due: at,
            flipped,
        };
        self.admit(made(unit.payload, false, flipped), &rolls, log);
        if let Some(payload) = copy {
            self.counters.duplicated += 1;
            log(Decision { seq, copy: false, at, knob: Knob::Duplicate, what: What::Doubled });
            self.admit(made(payload, true, None), &rolls, log);
        }
        self.advance(now);
    }

    /// Says what to do at `now`, until it says to wait or that it is idle.
    pub fn poll(&mut self, now: Moment) -> Output<P> {
        self.advance(now);
        match self.flight.peek().map(|first| first.delivery.due) {
            Some(due) if due <= self.now => {}
            first => return self.next_due(first).map_or(Output::Idle, Output::Wait),
        }
        let Some(Flying { delivery, .. }) = self.flight.pop() else { return Output::Idle };
        self.counters.delivered += 1;
        self.counters.delivered_bytes += delivery.bytes as u64;
        self.inside_bytes -= delivery.bytes as u64;
        Output::Deliver(delivery)
    }

    /// What it did so far.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// How many units are inside: in the queue, being sent, or on their way.
    pub fn waiting(&self) -> u64 {
        self.inside() as u64
    }

    /// How many units and bytes wait in the queue at `now`, without the one being sent.
    pub fn queued(&mut self, now: Moment) -> (u64, u64) {
        self.advance(now);
        (self.queue.len() as u64, self.queued_bytes)
    }

    fn inside(&self) -> usize {
        self.queue.len() + usize::from(self.sending.is_some()) + self.flight.len()
    }

    /// Lets a unit that was not lost into the queue, if there is room.
    fn admit(&mut self, delivery: Delivery<P>, rolls: &Rolls, log: &mut impl FnMut(Decision)) {
        let (seq, copy, at) = (delivery.seq, delivery.copy, delivery.sent);
        let mut note = |knob, what| log(Decision { seq, copy, at, knob, what });
        let bytes = delivery.bytes as u64;
        if self.inside() >= UNITS_MAX || self.inside_bytes + bytes > BYTES_MAX {
            self.counters.lose(Knob::Flight);
            return note(Knob::Flight, What::Dropped);
        }
        let full = match self.knobs.queue.unwrap_or(QUEUE_DEFAULT) {
            Queue::Bytes(limit) => self.queued_bytes + bytes > limit,
            Queue::Units(limit) => self.queue.len() as u64 >= limit,
        };
        // What finds the transmitter free need not wait; how long the queue is does not matter.
        if self.sending.is_some() && full && !matches!(self.transmitter, Transmitter::Instant) {
            self.counters.lose(Knob::Queue);
            return note(Knob::Queue, What::Dropped);
        }
        if let Some(bit) = delivery.flipped {
            self.counters.corrupted += 1;
            note(Knob::Corrupt, What::Flipped(bit));
        }
        let overtakes = rolls.overtakes && !copy;
        let offset_ns = self.knobs.jitter.map_or(0, |jitter| {
            jitter.offset_ns(if copy { rolls.jitter_copy } else { rolls.jitter })
        });
        if overtakes {
            self.counters.reordered += 1;
            note(Knob::Reorder, What::Overtakes);
        } else if self.knobs.jitter.is_some() {
            let delay = delayed(self.knobs.delay, offset_ns);
            note(
                Knob::Jitter,
                match delay.checked_sub(self.knobs.delay) {
                    Some(later) => What::Later(later),
                    None => What::Earlier(self.knobs.delay.saturating_sub(delay)),
                },
            );
        }
        self.inside_bytes += bytes;
        let inside = Inside { delivery, overtakes, offset_ns };
        if self.sending.is_some() {
            self.queued_bytes += bytes;
            self.queue.push_back(inside);
        } else {
            self.send(at, inside, false);
        }
    }

    fn send(&mut self, start: Moment, inside: Inside<P>, waited: bool) {
        let left = self.transmitter.send(start, inside.delivery.bytes as u64, waited);
        self.sending = Some((left, inside));
    }

    /// Lets everything leave the transmitter that has left it by `now`.
    fn advance(&mut self, now: Moment) {
        self.now = self.now.max(now);
        while let Some((left, inside)) = self.sending.take_if(|(left, _)| *left <= self.now) {
            let due = self.due(left, &inside);
            self.last_due = self.last_due.max(due);
            let delivery = Delivery { due, ..inside.delivery };
            self.flight.push(Flying { left: self.left, delivery });
            self.left += 1;
            if let Some(next) = self.queue.pop_front() {
                self.queued_bytes -= next.delivery.bytes as u64;
                self.send(left, next, true);
            }
        }
    }

    /// When a unit arrives that leaves the transmitter at `left`.
    fn due(&self, left: Moment, inside: &Inside<P>) -> Moment {
        let delay = match inside.overtakes {
            true => Duration::ZERO,
            false => delayed(self.knobs.delay, inside.offset_ns),
        };
        let due = match self.knobs.order {
            Order::Keep => (left + delay).max(self.last_due),
            Order::Free => left + delay,
        };
        let Some(slot) = self.knobs.slots else { return due };
        let slot = u64::try_from(slot.as_nanos()).unwrap_or(u64::MAX).max(1);
        Moment::from_nanos(due.as_nanos().div_ceil(slot).saturating_mul(slot))
    }

    /// When there is something to do next, of which `first` is the first that is on its way.
    fn next_due(&self, first: Option<Moment>) -> Option<Moment> {
        let Some((left, inside)) = &self.sending else { return first };
        // What waits behind the one being sent may overtake it only if chance moves units at all;
        // if not, one timer for its arrival will do, and none is needed for its leaving.
        let moved = self.knobs.jitter.is_some() || self.knobs.reorder.0 > 0.0;
        let sent = if moved && !self.queue.is_empty() { *left } else { self.due(*left, inside) };
        Some(first.map_or(sent, |first| first.min(sent)))
    }
}

#[cfg(test)]
mod tests;
