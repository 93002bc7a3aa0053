//! What a link did to each packet, and how well this program did its part.

use std::collections::BTreeMap;

use stentor_core::link::{Counters, Decision, Direction, Knob, What};
use stentor_core::moment::Moment;

/// The most passages and the most decisions that are kept; what comes later is counted.
const KEPT_MAX: usize = 1 << 20;

/// One packet's way over the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Which way.
    pub direction: Direction,
    /// Its number on this direction, from 1.
    pub seq: u64,
    /// When the link took it from the kernel that sent it.
    pub at: Moment,
    /// Its first bytes, as it was sent, from the IP header on.
    pub bytes: Box<[u8]>,
    /// Its whole length, in bytes.
    pub length: u32,
    /// When it was given to the kernel at the other end, and when its copy was; empty if it was
    /// dropped, or on its way still when the link was stopped.
    pub arrivals: Vec<Moment>,
    /// Why it was dropped, if it was; of a doubled one, why the last was.
    pub dropped: Option<Knob>,
    /// The bit behind the beginning of what may be struck that was flipped, as [`What::Flipped`] counts.
    pub flipped: Option<u64>,
    /// Whether it overtook others.
    pub overtook: bool,
}

/// How late this program was: a delivery has a moment, and takes place when the system lets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Packets delivered.
    pub deliveries: u64,
    /// The sum, in nanoseconds.
    pub total_ns: u64,
    /// The worst, in nanoseconds.
    pub worst_ns: u64,
    /// How many were more than a millisecond late.
    pub over_1ms: u64,
}

impl Lateness {
    pub(super) fn add(&mut self, due: Moment, now: Moment) {
        let late = u64::try_from(now.since(due).as_nanos()).unwrap_or(u64::MAX);
        self.deliveries += 1;
        self.total_ns = self.total_ns.saturating_add(late);
        self.worst_ns = self.worst_ns.max(late);
        self.over_1ms += u64::from(late > 1_000_000);
    }

    /// The mean, in nanoseconds.
    pub const fn mean_ns(&self) -> u64 {
        match self.total_ns.checked_div(self.deliveries) {
            Some(mean) => mean,
            None => 0,
        }
    }
}

/// What one direction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// By the link.
    pub link: Counters,
    /// Inside the link when it was stopped.
    pub inside: u64,
    /// Packets that the kernel dropped before the link could take them: this program was not run
    /// for too long.
    pub missed: u64,
    /// Packets that the kernel at the other end would not take.
    pub refused: u64,
}

/// What a link came to.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    /// From the client to the server.
    pub up: Totals,
    /// From the server to the client.
    pub down: Totals,
    /// How late deliveries were.
    pub lateness: Lateness,
    /// Every packet, in the order in which its way ended; empty unless asked for.
    pub passages: Vec<Passage>,
    /// Passages beyond the limit of a million.
    pub passages_not_kept: u64,
    /// Every decision, in the order of time.
    pub log: Vec<(Direction, Decision)>,
    /// Decisions beyond the limit of a million.
    pub log_not_kept: u64,
}

impl Carried {
    /// The totals of one direction.
    pub const fn totals(&self, direction: Direction) -> &Totals {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }
}

/// Gathers passages and decisions while the link runs.
#[derive(Debug)]
pub(super) struct Witness {
    /// Bytes kept of each packet; none: passages are not kept.
    bytes_max: Option<usize>,
    /// By direction and number, with how many deliveries are still to come.
    under_way: BTreeMap<(u8, u64), (Passage, u32)>,
    carried: Carried,
}

fn key(direction: Direction, seq: u64) -> (u8, u64) {
    (u8::from(direction == Direction::Down), seq)
}

impl Witness {
    pub(super) fn new(bytes_max: Option<usize>) -> Witness {
        Witness { bytes_max, under_way: BTreeMap::new(), carried: Carried::default() }
    }

    /// The beginning of a packet, to be kept; none if that is not asked for, or too many are.
    pub(super) fn excerpt(&self, packet: &[u8]) -> Option<Box<[u8]>> {
        let kept = self.carried.passages.len() + self.under_way.len();
        let bytes_max = self.bytes_max.filter(|_| kept < KEPT_MAX)?;
        Some(packet.get(..bytes_max).unwrap_or(packet).into())
    }

    pub(super) fn decided(&mut self, direction: Direction, decision: Decision) {
        if self.carried.log.len() < KEPT_MAX {
            self.carried.log.push((direction, decision));
        } else {
            self.carried.log_not_kept += 1;
        }
    }

    /// A packet that the link has taken, and what was decided about it.
    pub(super) fn took(&mut self, mut passage: Passage, decisions: &[Decision]) {
        let mut expected = 1_u32;
        for decision in decisions {
            match decision.what {
                What::Dropped => {
                    passage.dropped = Some(decision.knob);
                    expected = expected.saturating_sub(1);
                }
                What::Doubled => expected += 1,
                What::Flipped(bit) => passage.flipped = Some(bit),
                What::Overtakes => passage.overtook = true,
                What::Later(_) | What::Earlier(_) => {}
            }
        }
        match expected {
            0 => self.carried.passages.push(passage),
            _ => {
                let key = key(passage.direction, passage.seq);
                self.under_way.insert(key, (passage, expected));
            }
        }
    }

    /// A packet whose passage is not kept.
    pub(super) fn passed_over(&mut self) {
        if self.bytes_max.is_some() {
            self.carried.passages_not_kept += 1;
        }
    }

    pub(super) fn delivered(&mut self, direction: Direction, seq: u64, due: Moment, now: Moment) {
        self.carried.lateness.add(due, now);
        let key = key(direction, seq);
        let Some((passage, expected)) = self.under_way.get_mut(&key) else { return };
        passage.arrivals.push(now);
        *expected -= 1;
        if *expected == 0
            && let Some((passage, _)) = self.under_way.remove(&key)
        {
            self.carried.passages.push(passage);
        }
    }

    /// What there is, with those that were on their way.
    pub(super) fn finish(mut self) -> Carried {
        let left = self.under_way.into_values().map(|(passage, _)| passage);
        self.carried.passages.extend(left);
        self.carried
    }
}
