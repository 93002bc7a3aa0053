//! One toxic at work: what it holds, and when the next bytes leave it.
//!
//! What leaves, and when, follows from when things came, not from when anybody asks. The chain and
//! the driver's side are in `pipe`.

use std::collections::VecDeque;
use std::time::Duration;

use super::knobs::Stall;
use super::toxic::{Named, Since, Toxic};
use crate::link::jitter::delayed;
use crate::link::transmitter::Transmitter;
use crate::moment::Moment;
use crate::seed::{Dice, Seed};
use crate::units::BitRate;

/// The most pieces that one stage holds; more bytes join the last of them, none are lost.
pub(super) const PIECES_MAX: usize = 4096;
/// Places that an empty queue keeps; an idle connection that once was busy gives the others back.
pub(super) const PLACES_KEPT: usize = 16;
/// What loss and corruption strike as one: the payload of a full segment on Ethernet.
const SEGMENT: usize = 1460;
/// How often in a row a segment may be "lost": with Linux's 200 ms the last wait is 6.4 s, and a
/// probability of 100 % does not stop the stream for ever.
const LOSSES_MAX: u32 = 6;
/// The most bytes that leave as one at a rate.
const QUANTUM_MAX: usize = 64 << 10;
/// The least that may wait for its turn at a rate; where 100 ms carry more, it is that.
const QUEUE_MIN: usize = 64 << 10;
/// The most bytes that leave as one along a trace: those of one opportunity.
const QUANTUM_OF_TRACE: usize = 1500;

/// What moves along the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Bytes(Vec<u8>),
    /// The direction ends in order.
    End,
    /// The connection is closed in order.
    Close,
    /// The connection is reset.
    Reset,
}

/// What a stage holds.
#[derive(Clone, Debug)]
struct Held {
    came: Moment,
    /// In `[0, 1)`: what chance says about it, whatever the toxic is later set to.
    roll: f64,
    piece: Piece,
    /// How many of its bytes have left.
    gone: usize,
}

impl Held {
    fn len(&self) -> usize {
        self.piece.len() - self.gone
    }

    /// What of it has not left.
    fn rest(mut self) -> Piece {
        if let Piece::Bytes(bytes) = &mut self.piece {
            bytes.drain(..self.gone.min(bytes.len()));
        }
        self.piece
    }
}

impl Piece {
    pub(super) fn len(&self) -> usize {
        match self {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::End | Piece::Close | Piece::Reset => 0,
        }
    }
}

/// One toxic of one direction of one connection.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) named: Named,
    /// Whether it strikes this connection.
    pub(super) strikes: bool,
    /// Compared with the toxicity, always the same for one connection and name.
    draw: f64,
    die: Dice,
    transmitter: Transmitter,
    held: VecDeque<Held>,
    held_bytes: usize,
    /// When the next so many bytes of the first piece leave.
    next: Option<(Moment, usize)>,
    begun: Moment,
    /// When the first thing came.
    touched: Option<Moment>,
    /// When the last piece left.
    left: Moment,
    /// How many bytes have left.
    passed: u64,
    threw_away: bool,
    /// It has said how the stream ends: no byte comes after that.
    ended: bool,
}

impl Stage {
    pub(super) fn new(now: Moment, named: &Named, seed: Seed, pipe: &str) -> Stage {
        let name = format!("{pipe}/{}", named.name);
        let draw = Dice::new(seed, &format!("{name}/toxicity")).unit();
        Stage {
            strikes: draw < named.toxicity.0,
            draw,
            die: Dice::new(seed, &name),
            transmitter: transmitter(&named.toxic),
            named: named.clone(),
            held: VecDeque::new(),
            held_bytes: 0,
            next: None,
            begun: now,
            touched: None,
            left: now,
            passed: 0,
            threw_away: false,
            ended: false,
        }
    }

    /// Sets the toxic anew at `now`; what is held is timed anew, by the rolls it had.
    pub(super) fn set(&mut self, now: Moment, named: &Named) {
        if self.named == *named {
            return;
        }
        self.strikes = self.draw < named.toxicity.0;
        self.transmitter = transmitter(&named.toxic);
        self.named = named.clone();
        self.next = None;
        // What a shorter delay would have let go before now leaves now.
        self.left = self.left.max(now);
    }

    /// Takes what came at `came`.
    pub(super) fn take(&mut self, came: Moment, piece: Piece) {
        self.touched.get_or_insert(came);
        if self.ended && matches!(piece, Piece::Bytes(_) | Piece::End) {
            return;
        }
        // An end that passed would begin an orderly close, which no reset can follow.
        let throws = match piece {
            Piece::Bytes(_) => self.named.toxic.swallows(),
            Piece::End => matches!(self.named.toxic, Toxic::ResetPeer { .. }),
            Piece::Close | Piece::Reset => false,
        };
        if self.strikes && throws {
            self.threw_away = true;
            return;
        }
        self.held_bytes += piece.len();
        if self.held.len() >= PIECES_MAX
            && let (Piece::Bytes(more), Some(last)) = (&piece, self.held.back_mut())
            && let Piece::Bytes(bytes) = &mut last.piece
        {
            bytes.extend_from_slice(more);
            // The later of the two: nothing may leave sooner than its delay.
            last.came = last.came.max(came);
            return;
        }
        let roll = self.die.unit();
        self.held.push_back(Held { came, roll, piece, gone: 0 });
    }

    /// When something happens here, if nothing else comes.
    pub(super) fn due(&mut self) -> Option<Moment> {
        let next = self.plan().map(|(due, _)| due);
        next.into_iter().chain(self.alarm().map(|(at, _)| at)).min()
    }

    /// Gives up the next piece that has left by `now`, and when it did.
    pub(super) fn release(&mut self, now: Moment) -> Option<(Moment, Piece)> {
        let planned = self.plan();
        if let Some((alarm, word)) = self.alarm()
            && alarm <= now
            && planned.is_none_or(|(due, _)| due > alarm)
        {
            self.ended = true;
            self.held.clear();
            self.held_bytes = 0;
            self.next = None;
            return Some((alarm.max(self.left), word));
        }
        let (at, bytes) = planned.filter(|(due, _)| *due <= now)?;
        self.next = None;
        let first = self.held.front_mut()?;
        let mut piece = match &first.piece {
            Piece::Bytes(held) if bytes < first.len() => {
                let cut = held.get(first.gone..first.gone + bytes).unwrap_or_default().to_vec();
                first.gone += bytes;
                Piece::Bytes(cut)
            }
            Piece::Bytes(_) | Piece::End | Piece::Close | Piece::Reset => {
                let whole = self.held.pop_front()?.rest();
                if self.held.is_empty() {
                    self.held.shrink_to(PLACES_KEPT);
                }
                whole
            }
        };
        self.left = at;
        self.passed += piece.len() as u64;
        self.held_bytes -= piece.len();
        self.corrupt(&mut piece);
        Some((at, piece))
    }

    /// Everything it holds, in order, for a chain that goes on without it, and behind it how the
    /// stream ends if bytes of it are gone.
    pub(super) fn dissolve(self) -> Vec<Piece> {
        let word = match self.last_word() {
            Piece::Close if matches!(self.named.toxic, Toxic::Timeout(_)) => Some(Piece::Close),
            Piece::Reset if self.threw_away => Some(Piece::Reset),
            Piece::Bytes(_) | Piece::End | Piece::Close | Piece::Reset => None,
        };
        let word = word.filter(|_| self.strikes && !self.ended);
        self.held.into_iter().map(Held::rest).chain(word).collect()
    }

    /// How many bytes more may wait here for their turn at a rate; `None` where nothing waits for one.
    /// A link has a queue, and a sender whose bytes find no place in it waits with the rest.
    pub(super) fn queue_room(&self) -> Option<usize> {
        let Toxic::Bandwidth(rate) = self.named.toxic else { return None };
        let queue = usize::try_from(rate.0 / 8 / 10).unwrap_or(usize::MAX).max(QUEUE_MIN);
        self.strikes.then(|| queue.saturating_sub(self.held_bytes))
    }

    /// How many bytes it holds.
    pub(super) const fn holds(&self) -> usize {
        self.held_bytes
    }

    /// Whether bytes pass as if it were not there.
    pub(super) fn is_plain(&self) -> bool {
        self.held.is_empty() && (!self.strikes || self.named.toxic == Toxic::Noop)
    }

    /// When it speaks by itself, and what: how a toxic ends the stream.
    fn alarm(&self) -> Option<(Moment, Piece)> {
        if !self.strikes || self.ended {
            return None;
        }
        if let Toxic::LimitData(limit) = self.named.toxic {
            let at = self.touched?.max(self.left);
            return (self.passed >= limit).then_some((at, Piece::Close));
        }
        let (after, since) = self.named.toxic.ends_after()?;
        let from = match since {
            Since::Begin => self.begun,
            Since::Data => self.touched?,
        };
        Some((from + after, self.last_word()))
    }

    /// How its toxic ends the stream, if it does.
    const fn last_word(&self) -> Piece {
        if matches!(self.named.toxic, Toxic::HalfClose(_)) {
            Piece::End
        } else if matches!(self.named.toxic, Toxic::ResetPeer { .. }) {
            Piece::Reset
        } else {
            Piece::Close
        }
    }

    /// When how many bytes of the first piece leave; decided once.
    fn plan(&mut self) -> Option<(Moment, usize)> {
        if self.next.is_none() {
            self.next = self.decide();
        }
        self.next
    }

    fn decide(&mut self) -> Option<(Moment, usize)> {
        let first = self.held.front()?;
        let (came, len, roll) = (first.came, first.len(), first.roll);
        let ready = came.max(self.left);
        if !self.strikes || !matches!(first.piece, Piece::Bytes(_)) {
            return self.decide_end(came, ready, roll, len);
        }
        let waited = self.passed > 0 && came <= self.left;
        Some(match &self.named.toxic {
            Toxic::Latency { delay, jitter } => {
                let offset = jitter.map_or(0, |jitter| jitter.offset_ns(roll));
                ((came + delayed(*delay, offset)).max(self.left), len)
            }
            Toxic::Bandwidth(rate) => {
                let bytes = len.min(quantum(*rate));
                (self.transmitter.send(ready, bytes as u64, waited), bytes)
            }
            Toxic::Recorded(_) => {
                let bytes = len.min(QUANTUM_OF_TRACE);
                (self.transmitter.send(ready, bytes as u64, waited), bytes)
            }
            Toxic::Slicer(slice) => {
                let most = slice.variation.saturating_mul(2).saturating_add(1);
                let least = slice.average.saturating_sub(slice.variation);
                let bytes = least.saturating_add(self.die.below(most)).max(1);
                let pause = if self.passed > 0 { slice.pause } else { Duration::ZERO };
                let at = came.max(self.left + pause);
                (at, len.min(usize::try_from(bytes).unwrap_or(usize::MAX)))
            }
            Toxic::LimitData(limit) => {
                let left = usize::try_from(limit.saturating_sub(self.passed)).unwrap_or(usize::MAX);
                (left > 0).then_some((ready, len.min(left)))?
            }
            Toxic::Stall(stall) => (out_of_silence(ready, self.begun, *stall), len),
            Toxic::Corrupt(_) => (ready, len.min(SEGMENT)),
            Toxic::LossAsDelay { probability, timeout } => {
                let mut losses = 0;
                while losses < LOSSES_MAX && self.die.chance(probability.0) {
                    losses += 1;
                }
                let wait = timeout.saturating_mul((1 << losses) - 1);
                ((came + wait).max(self.left), len.min(SEGMENT))
            }
            Toxic::Noop
            | Toxic::SlowClose(_)
            | Toxic::Timeout(_)
            | Toxic::ResetPeer { .. }
            | Toxic::HalfClose(_) => (ready, len),
        })
    }

    /// The same for the end of the stream, and for anything where the toxic does not strike.
    fn decide_end(
        &self,
        came: Moment,
        ready: Moment,
        roll: f64,
        len: usize,
    ) -> Option<(Moment, usize)> {
        let toxic = &self.named.toxic;
        if !self.strikes {
            Some((ready, len))
        } else if let Toxic::Latency { delay, jitter } = toxic {
            let offset = jitter.map_or(0, |jitter| jitter.offset_ns(roll));
            Some(((came + delayed(*delay, offset)).max(self.left), len))
        } else if let Toxic::SlowClose(delay) = toxic {
            Some((ready.max(came + *delay), len))
        } else if let Toxic::Stall(stall) = toxic {
            Some((out_of_silence(ready, self.begun, *stall), len))
        } else if matches!(toxic, Toxic::LimitData(limit) if self.passed >= *limit) {
            None
        } else {
            Some((ready, len))
        }
    }

    fn corrupt(&mut self, piece: &mut Piece) {
        let (Toxic::Corrupt(chance), Piece::Bytes(bytes)) = (&self.named.toxic, piece) else {
            return;
        };
        let (struck, bit) = (self.die.chance(chance.0), self.die.below(8 * bytes.len() as u64));
        let byte = usize::try_from(bit / 8).ok().and_then(|byte| bytes.get_mut(byte));
        if let Some(byte) = byte.filter(|_| struck && self.strikes) {
            *byte ^= 0x80 >> (bit % 8);
        }
    }
}

/// What leaves as one at a rate: a full segment, as on a network; the bytes of a millisecond where
/// that is more, so that a fast link costs no more turns than that, and those of 10 ms where it is
/// less, so that a slow link trickles.
fn quantum(rate: BitRate) -> usize {
    let in_time = |part: u64| usize::try_from(rate.0 / 8 / part).unwrap_or(usize::MAX);
    in_time(1000).max(SEGMENT.min(in_time(100))).clamp(1, QUANTUM_MAX)
}

/// The end of the silence that `at` falls into, or `at` itself.
fn out_of_silence(at: Moment, begun: Moment, stall: Stall) -> Moment {
    let every = stall.every.as_nanos().max(1);
    let into = at.since(begun).as_nanos() % every;
    let left = stall.silent.as_nanos().saturating_sub(into);
    at + Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX))
}

/// What sends bytes for a toxic that limits their rate.
fn transmitter(toxic: &Toxic) -> Transmitter {
    if let Toxic::Bandwidth(rate) = toxic {
        Transmitter::new(Some(*rate), None)
    } else if let Toxic::Recorded(trace) = toxic {
        Transmitter::new(None, Some(trace))
    } else {
        Transmitter::Instant
    }
}
