//! The book's buffer, byte by byte: what it holds, when playing begins, freezes and ends, when it is
//! full, to the nanosecond.
//!
//! Bytes come at once, as a socket gives them ([`Input::Bytes`]), or evenly, as in the formulae
//! ([`Input::Rate`]); they leave evenly while playing. As in [`super::buffer`] there is no tick: an
//! event carries the moment at which it happened, however late it is asked for. All is counted in
//! whole parts of a byte, so that nothing is lost to rounding. Reading, and not reading while the
//! buffer is full, is left to the driver.

use std::collections::VecDeque;
use std::time::Duration;

use super::buffer::{self, Event, Output, PolicyError, What};
use crate::moment::Moment;
use crate::units::BitRate;

/// The largest buffer; a film has at most 2^52 bytes, and nobody keeps a thousandth of that.
pub const CAPACITY_MAX: u64 = 1 << 40;
/// The longest time for which a number of bytes is played: 52 days.
const PER_MAX_NS: u64 = 1 << 52;
/// A buffer that was full is not full any more when so large a part of it has been played.
const ROOM_PART: u64 = 8;

/// How fast film is played: so many bytes in so much time (the book's R).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Playout {
    bytes: u64,
    per_ns: u64,
}

impl Playout {
    /// A film of `bytes` that plays for `length`, evenly; `None` where either is nothing or beyond
    /// any film.
    pub fn of(bytes: u64, length: Duration) -> Option<Playout> {
        let per_ns = u64::try_from(length.as_nanos()).ok().filter(|ns| *ns <= PER_MAX_NS)?;
        if bytes == 0 || per_ns == 0 || bytes > 1 << 52 {
            return None;
        }
        let divisor = common_divisor(bytes, per_ns);
        Some(Playout { bytes: bytes / divisor, per_ns: per_ns / divisor })
    }

    /// In bit/s.
    pub fn bps(&self) -> f64 {
        self.bytes as f64 * 8e9 / self.per_ns as f64
    }

    /// How many whole bytes are played in `time`.
    pub fn bytes_in(&self, time: Duration) -> u64 {
        let bytes = time.as_nanos().saturating_mul(self.bytes.into()) / u128::from(self.per_ns);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// How long `bytes` play, to the nanosecond.
    pub fn time_of(&self, bytes: u64) -> Duration {
        let ns = u128::from(bytes) * u128::from(self.per_ns) / u128::from(self.bytes);
        Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

fn common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one.max(1)
}

/// How fast film is played, how much is kept, and how much it takes to begin; in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    playout: Playout,
    capacity_bytes: u64,
    start_bytes: u64,
    resume_bytes: u64,
}

impl Policy {
    /// Film that is played at `playout` (the book's R), of which `capacity_bytes` are kept (B, at
    /// most [`CAPACITY_MAX`]); playing begins with `start_bytes` (Q), and goes on after a freeze with
    /// `resume_bytes`.
    ///
    /// # Errors
    /// When playing could never begin.
    pub fn new(
        playout: Playout,
        capacity_bytes: u64,
        start_bytes: u64,
        resume_bytes: u64,
    ) -> Result<Policy, PolicyError> {
        let time = |bytes| playout.time_of(bytes);
        let capacity_bytes = capacity_bytes.min(CAPACITY_MAX);
        for (what, wanted) in
            [("the start", start_bytes), ("going on after a freeze", resume_bytes)]
        {
            if wanted > capacity_bytes {
                let (wanted, capacity) = (time(wanted), time(capacity_bytes));
                return Err(PolicyError::Never { what, wanted, capacity });
            }
        }
        match capacity_bytes {
            0 => Err(PolicyError::Nothing),
            _ => Ok(Policy { playout, capacity_bytes, start_bytes, resume_bytes }),
        }
    }

    /// The same as a policy in playing time; a buffer holds at least a byte.
    pub fn of(policy: &buffer::Policy, playout: Playout) -> Policy {
        let capacity_bytes = playout.bytes_in(policy.capacity()).clamp(1, CAPACITY_MAX);
        let bytes = |time| playout.bytes_in(time).min(capacity_bytes);
        let (start_bytes, resume_bytes) = (bytes(policy.start()), bytes(policy.resume()));
        Policy { playout, capacity_bytes, start_bytes, resume_bytes }
    }

    /// R.
    pub fn playout(&self) -> Playout {
        self.playout
    }

    /// B.
    pub fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes
    }

    /// Q.
    pub fn start_bytes(&self) -> u64 {
        self.start_bytes
    }

    /// With how much it goes on after a freeze.
    pub fn resume_bytes(&self) -> u64 {
        self.resume_bytes
    }
}

/// What happens to a buffer from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// So many bytes have arrived at once.
    Bytes(u64),
    /// From now on bytes arrive evenly at this rate (the book's x), as far as there is room: what is
    /// full takes no more than is played, and holds the sender to that.
    Rate(BitRate),
    /// The driver left bytes where they were, as no more of them fitted: the buffer is full, though
    /// the time that a read takes may have made room for a few already.
    Refused,
    /// The film's last byte has arrived.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Playing,
    Frozen,
    Ended,
}

/// What is reached when nothing comes from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Enough,
    Empty,
    Full,
    Room,
}

/// The machine. It says `Full` once when there is no room for a byte more, and `Room` when an eighth
/// has been played since, so that a sender who is held back is one event and not thousands.
///
/// A part is the smallest amount: of a byte there are as many as `Playout::per_ns` times 8e9, so that
/// both rates are whole numbers of parts in a nanosecond.
#[derive(Clone, Debug)]
pub struct Buffer {
    policy: Policy,
    phase: Phase,
    /// Up to when everything has been accounted for.
    now: Moment,
    /// All in parts; at most 2^125.
    level: i128,
    received: i128,
    /// What comes in a nanosecond.
    inflow: i128,
    /// `Full` was said, and `Room` not since.
    full: bool,
    complete: bool,
    events: VecDeque<Event>,
}

impl Buffer {
    /// An empty buffer.
    pub fn new(policy: Policy) -> Buffer {
        Buffer {
            policy,
            phase: Phase::Starting,
            now: Moment::START,
            level: 0,
            received: 0,
            inflow: 0,
            full: false,
            complete: false,
            events: VecDeque::new(),
        }
    }

    /// The whole bytes in it at `now`, if nothing happens before; a byte that is half played counts.
    pub fn level_bytes(&self, now: Moment) -> u64 {
        let byte = self.byte();
        whole((self.level_at(now) + byte - 1) / byte)
    }

    /// The same as playing time.
    pub fn level(&self, now: Moment) -> Duration {
        Duration::from_nanos(whole(self.level_at(now) / self.outflow()))
    }

    /// How many whole bytes have arrived, as of the last call.
    pub fn received_bytes(&self) -> u64 {
        whole(self.received / self.byte())
    }

    /// How long it has played at `now`, if nothing happens before.
    pub fn played(&self, now: Moment) -> Duration {
        let span = span(now.since(self.now));
        let received = self.received + self.taken_in(span);
        Duration::from_nanos(whole((received - self.level_at(now)) / self.outflow()))
    }

    /// How many bytes fit into it at `now`, if nothing happens before.
    pub fn room_bytes(&self, now: Moment) -> u64 {
        whole((self.capacity() - self.level_at(now)).max(0) / self.byte())
    }

    /// When so many bytes fit, if nothing comes; `None` if that never happens by itself.
    pub fn fits(&self, bytes: u64) -> Option<Moment> {
        let over = self.level + self.byte() * i128::from(bytes) - self.capacity();
        let outflow = self.outflow();
        match self.phase {
            _ if over <= 0 => Some(self.now),
            Phase::Playing if over <= self.level => Some(later(self.now, ceiling(over, outflow))),
            Phase::Playing | Phase::Starting | Phase::Frozen | Phase::Ended => None,
        }
    }

    /// When so many bytes have arrived since the beginning, if nothing happens before; `None` if
    /// nothing is coming.
    pub fn arrives(&self, bytes: u64) -> Option<Moment> {
        let left = (self.parts(bytes) - self.received).max(0);
        let held = self.phase == Phase::Playing && self.level >= self.capacity();
        let inflow = if held { self.inflow.min(self.outflow()) } else { self.inflow };
        match (left, inflow) {
            (0, _) => Some(self.now),
            (_, 0) => None,
            (left, inflow) => Some(later(self.now, ceiling(left, inflow))),
        }
    }

    /// Whether it is playing, as of the last call.
    pub fn is_playing(&self) -> bool {
        self.phase == Phase::Playing
    }

    /// Whether the sender is held back, as of the last call.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Whether the last picture was shown, as of the last call.
    pub fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Takes an input. Film that arrives in the very moment in which the buffer runs dry comes in
    /// time: no freeze.
    pub fn handle(&mut self, now: Moment, input: Input) {
        while let Some((next, mark)) = self.next().filter(|(next, _)| *next < now) {
            self.reach(next, mark);
        }
        self.pass(now);
        match input {
            Input::Bytes(bytes) if !self.complete => {
                let parts = i128::from(bytes).saturating_mul(self.byte());
                self.level = self.level.saturating_add(parts);
                self.received = self.received.saturating_add(parts);
            }
            Input::Rate(rate) if !self.complete => {
                self.inflow = i128::from(rate.0) * i128::from(self.policy.playout.per_ns);
            }
            Input::Refused if !self.full && !self.complete => self.fill(),
            Input::Bytes(_) | Input::Rate(_) | Input::Refused => {}
            Input::End => (self.complete, self.inflow) = (true, 0),
        }
        self.settle();
    }

    /// Says what happened up to `now`, and then when to come back.
    pub fn poll(&mut self, now: Moment) -> Output {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Output::Event(event);
            }
            match self.next() {
                None => return Output::Idle,
                Some((next, _)) if next > now => return Output::Wait(next),
                Some((next, mark)) => self.reach(next, mark),
            }
        }
    }

    /// Parts of a byte.
    fn byte(&self) -> i128 {
        i128::from(self.policy.playout.per_ns) * 8_000_000_000
    }

    /// Parts that are played in a nanosecond.
    fn outflow(&self) -> i128 {
        i128::from(self.policy.playout.bytes) * 8_000_000_000
    }

    fn parts(&self, bytes: u64) -> i128 {
        i128::from(bytes) * self.byte()
    }

    fn capacity(&self) -> i128 {
        self.parts(self.policy.capacity_bytes)
    }

    /// What is in it in the moment in which it is no longer full.
    fn room_mark(&self) -> i128 {
        self.capacity() - self.capacity() / i128::from(ROOM_PART)
    }

    /// With how much playing begins in this phase.
    fn threshold(&self) -> Option<i128> {
        // With nothing at all there is nothing to begin with.
        match self.phase {
            Phase::Starting => Some(self.parts(self.policy.start_bytes.max(1))),
            Phase::Frozen => Some(self.parts(self.policy.resume_bytes.max(1))),
            Phase::Playing | Phase::Ended => None,
        }
    }

    /// By how much the level changes in a nanosecond.
    fn slope(&self) -> i128 {
        match self.phase {
            // What is full takes only what is played.
            Phase::Playing if self.level >= self.capacity() => {
                (self.inflow - self.outflow()).min(0)
            }
            Phase::Playing => self.inflow - self.outflow(),
            Phase::Starting | Phase::Frozen => self.inflow,
            Phase::Ended => 0,
        }
    }

    fn level_at(&self, now: Moment) -> i128 {
        let change = self.slope().saturating_mul(span(now.since(self.now)));
        let most = self.level.max(self.capacity());
        self.level.saturating_add(change).clamp(0, most)
    }

    /// What arrives evenly in so many nanoseconds of this phase: what is played, and what the level
    /// rises by.
    fn taken_in(&self, ns: i128) -> i128 {
        if self.inflow == 0 {
            return 0;
        }
        let most = (self.capacity() - self.level).max(0);
        let rises = self.slope().saturating_mul(ns).min(most);
        match self.phase {
            Phase::Playing => rises.saturating_add(self.outflow().saturating_mul(ns)),
            Phase::Starting | Phase::Frozen | Phase::Ended => rises,
        }
    }

    /// What is reached next without an input, and when.
    fn next(&self) -> Option<(Moment, Mark)> {
        let slope = self.slope();
        let (mark, distance) = match self.threshold() {
            Some(threshold) => (Mark::Enough, threshold - self.level),
            None if slope > 0 && !self.full => (Mark::Full, self.capacity() - self.level),
            None if slope < 0 && self.full => (Mark::Room, self.room_mark() - self.level),
            None if slope < 0 => (Mark::Empty, -self.level),
            None => return None,
        };
        // What rises does not come to what is below it.
        let ahead = match (slope > 0, distance > 0) {
            (true, true) | (false, false) if slope != 0 => ceiling(distance.abs(), slope.abs()),
            _ => return None,
        };
        Some((later(self.now, ahead), mark))
    }

    /// Goes to the next mark and says what happens there. Moments are whole nanoseconds: what is left
    /// of the last one is lived in the new phase, so that lateness does not add up.
    fn reach(&mut self, next: Moment, mark: Mark) {
        let (before, slope) = (self.level, self.slope());
        let target = match mark {
            Mark::Enough => self.threshold().unwrap_or(before),
            Mark::Empty => 0,
            Mark::Full => self.capacity(),
            Mark::Room => self.room_mark(),
        };
        let ns = span(next.since(self.now));
        let over = slope.saturating_mul(ns).saturating_sub(target - before);
        self.received = self.received.saturating_add(self.taken_in(ns));
        (self.now, self.level) = (self.now.max(next), target);
        match mark {
            Mark::Enough => self.begin(),
            Mark::Empty if self.complete => self.turn(Phase::Ended, What::Ended),
            Mark::Empty => self.turn(Phase::Frozen, What::Stalled),
            Mark::Full => self.fill(),
            Mark::Room => {
                self.full = false;
                self.say(What::Room);
            }
        }
        let rest = if slope == 0 { 0.0 } else { over as f64 / slope as f64 };
        let lived = fraction(self.slope(), rest);
        let most = self.capacity().max(target);
        self.level = self.level.saturating_add(lived).clamp(0, most);
    }

    /// Begins or goes on to play.
    fn begin(&mut self) {
        match self.phase {
            Phase::Starting => self.turn(Phase::Playing, What::Started),
            Phase::Frozen => self.turn(Phase::Playing, What::Resumed),
            Phase::Playing | Phase::Ended => {}
        }
    }

    /// What follows from an input at once.
    fn settle(&mut self) {
        if self.capacity() - self.level < self.byte() && !self.full && self.level > 0 {
            self.fill();
        }
        if let Some(threshold) = self.threshold() {
            let enough = self.level >= threshold || self.complete || self.full;
            if self.level > 0 && enough {
                self.begin();
            } else if self.complete && self.level == 0 {
                self.turn(Phase::Ended, What::Ended);
            }
        }
    }

    fn fill(&mut self) {
        self.full = true;
        self.say(What::Full);
    }

    fn turn(&mut self, phase: Phase, what: What) {
        self.phase = phase;
        self.say(what);
    }

    fn pass(&mut self, now: Moment) {
        let level = self.level_at(now);
        self.received = self.received.saturating_add(self.taken_in(span(now.since(self.now))));
        self.level = level;
        self.now = self.now.max(now);
    }

    fn say(&mut self, what: What) {
        self.events.push_back(Event { at: self.now, what });
    }
}

fn span(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

fn ceiling(distance: i128, slope: i128) -> i128 {
    let slope = slope.max(1);
    distance / slope + i128::from(distance % slope != 0)
}

fn later(from: Moment, ns: i128) -> Moment {
    from + Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

fn whole(number: i128) -> u64 {
    u64::try_from(number.max(0)).unwrap_or(u64::MAX)
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "`as` saturates; it is less than one nanosecond"
)]
fn fraction(slope: i128, rest: f64) -> i128 {
    (slope as f64 * rest) as i128
}

#[cfg(test)]
mod tests;
