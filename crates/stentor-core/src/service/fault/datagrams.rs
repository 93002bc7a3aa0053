//! Spoils the answers of one UDP port.
//!
//! [`FaultyDatagrams`] says which part of an answer goes out after which delay, [`Outbox`] keeps it
//! until then. `drip` and `rst` have no meaning for datagrams and are passed over here, so that one
//! `--fault` may serve TCP and UDP; a server of UDP alone can refuse them ([`Kind::on_datagrams`]).
//!
//! [`Kind::on_datagrams`]: super::Kind::on_datagrams

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::{Armed, Faults, Struck, stalled_for};
use crate::moment::Moment;
use crate::seed::Seed;

/// One datagram that an answer becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    /// How long after the answer was ready it is sent; zero: now.
    pub delay: Duration,
    /// Which bytes of the answer.
    pub bytes: Range<usize>,
}

/// The faults of one UDP port.
#[derive(Clone, Debug)]
pub struct FaultyDatagrams {
    armed: Vec<Armed>,
}

impl FaultyDatagrams {
    /// Arms those of `faults` that mean something for datagrams.
    pub fn new(faults: &Faults, seed: Seed) -> FaultyDatagrams {
        let armed = faults.iter().filter(|fault| fault.kind.on_datagrams());
        FaultyDatagrams { armed: armed.map(|fault| Armed::new(fault, seed, "udp")).collect() }
    }

    /// Says what becomes of an answer of `len` bytes: at most four datagrams, none if it is lost.
    pub fn handle(&mut self, now: Moment, len: usize) -> Vec<Portion> {
        let mut struck = Struck::default();
        for armed in &mut self.armed {
            if armed.strikes() {
                struck.add(armed.kind);
            }
        }
        if struck.silent {
            return Vec::new();
        }
        let late = struck.late.unwrap_or_default();
        let wait = struck
            .stall
            .map_or(Duration::ZERO, |(silent, every)| stalled_for(now + late, silent, every));
        let delay = late + wait;
        let end = if struck.truncate { len / 2 } else { len };
        let mut portions = Vec::with_capacity(4);
        for _ in 0..=u8::from(struck.dup) {
            match struck.split {
                Some(pause) if end > 1 => {
                    portions.push(Portion { delay, bytes: 0..end / 2 });
                    portions.push(Portion { delay: delay + pause, bytes: end / 2..end });
                }
                _ => portions.push(Portion { delay, bytes: 0..end }),
            }
        }
        portions
    }
}

/// The most that waits in one outbox, in bytes; each datagram counts its payload and 64 more.
pub const OUTBOX_MAX: usize = 4 << 20;

/// What its place in the outbox costs, beside the payload.
const DATAGRAM_COST: usize = 64;

/// Datagrams that are sent later; `A` is where to, and from which of our addresses.
#[derive(Clone, Debug)]
pub struct Outbox<A> {
    waiting: BTreeMap<(Moment, u64), (A, Vec<u8>)>,
    weight: usize,
    nth: u64,
}

/// What to do with an outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing<A> {
    /// Send this payload there, now.
    Send(A, Vec<u8>),
    /// Nothing before this moment.
    Wait(Moment),
    /// Nothing waits.
    Idle,
}

impl<A> Outbox<A> {
    /// An empty outbox.
    pub fn new() -> Outbox<A> {
        Outbox { waiting: BTreeMap::new(), weight: 0, nth: 0 }
    }

    /// Keeps a datagram until `due`; `false` if the outbox is full and it was not taken.
    pub fn handle(&mut self, due: Moment, to: A, payload: &[u8]) -> bool {
        let weight = payload.len() + DATAGRAM_COST;
        let fits = self.weight + weight <= OUTBOX_MAX;
        if fits {
            self.weight += weight;
            self.waiting.insert((due, self.nth), (to, payload.to_vec()));
            self.nth += 1;
        }
        fits
    }

    /// Gives up the datagram that was due first, if its time has come.
    pub fn poll(&mut self, now: Moment) -> Outgoing<A> {
        match self.waiting.first_entry() {
            None => Outgoing::Idle,
            Some(first) if first.key().0 > now => Outgoing::Wait(first.key().0),
            Some(first) => {
                let (to, payload) = first.remove();
                self.weight -= payload.len() + DATAGRAM_COST;
                Outgoing::Send(to, payload)
            }
        }
    }
}

impl<A> Default for Outbox<A> {
    fn default() -> Outbox<A> {
        Outbox::new()
    }
}
