//! Many different datagrams that go round together.
//!
//! The memory of a flow is short, and before the first of many comes again it is forgotten. Here one
//! of them, the anchor, is waited for, each time twice as long (Brent, BIT 20, 1980): when it comes
//! again, so many others in between are taken for a turn of a circle. From then on every datagram is
//! remembered in a table that all flows share, and what is known weighs against what is new. A
//! circle brings nothing new; a client brings little else, even if it says a part again.
//!
//! What becomes of repetitions is left to the guard.

use super::mix;
use crate::moment::Moment;

/// How many datagrams the first anchor is waited for.
const PATIENCE_MIN: u16 = 16;
/// How many an anchor is waited for at most: more than what a buffer of 4 MiB holds of the smallest,
/// which are 768 bytes each to Linux, so that no circle is longer.
const PATIENCE_MAX: u16 = 8192;

/// Turns that are answered before what goes round is refused: whoever asks again gives up sooner.
const TURNS: u16 = 4;
/// Datagrams that a turn has at least; the guard itself finds fewer.
const TURN_MIN: u16 = 8;
/// How many known datagrams a new one outweighs.
const NEW: u16 = 4;

/// What is known of one flow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Circle {
    /// The tag that is waited for; 0 is none.
    anchor: u32,
    /// Datagrams since it came.
    since: u16,
    /// How many it is waited for.
    patience: u16,
    /// Datagrams of a turn; 0 if nothing seems to go round.
    turn: u16,
    /// Known datagrams, less those that outweigh them.
    weight: u16,
    /// Tells this suspicion from an earlier one.
    era: u16,
}

impl Circle {
    /// Looks at the tag of a datagram; says whether something seems to go round.
    pub(super) fn meets(&mut self, now: Moment, tag: u32) -> bool {
        self.since = self.since.saturating_add(1);
        if self.anchor == tag {
            self.turned(now);
        } else if self.since >= self.patience {
            self.wait_for(tag);
        }
        self.is_suspected()
    }

    /// The anchor came again.
    fn turned(&mut self, now: Moment) {
        if self.turn == 0 {
            // Milliseconds, or nearly, of the last minute.
            self.era = u16::try_from(now.as_nanos() >> 20 & 0xffff).unwrap_or_default();
            self.weight = 0;
        }
        (self.turn, self.since) = (self.since, 0);
    }

    /// The anchor did not come; another may.
    fn wait_for(&mut self, tag: u32) {
        let longer = self.patience.saturating_mul(2).max(PATIENCE_MIN);
        self.patience = if longer > PATIENCE_MAX { PATIENCE_MIN } else { longer };
        (self.anchor, self.since) = (tag, 0);
        if self.weight == 0 {
            self.turn = 0;
        }
    }

    /// Whether each datagram is to be remembered.
    pub(super) fn is_suspected(&self) -> bool {
        self.turn > 0
    }

    /// What a datagram is remembered by; `datagram` stands for its payload and its flow.
    pub(super) fn key(&self, datagram: u64) -> u64 {
        mix(datagram ^ u64::from(self.era))
    }

    /// Weighs a datagram; says whether it is one of a circle.
    pub(super) fn closes(&mut self, known: bool) -> bool {
        self.weight = match known {
            true => self.weight.saturating_add(1),
            false => self.weight.saturating_sub(NEW),
        };
        known && self.weight >= self.turn.max(TURN_MIN).saturating_mul(TURNS)
    }
}

/// Places of the table.
const PLACES: usize = 16_384;
/// Places that a datagram may have.
const WAYS: usize = 4;

/// What suspected flows said: a fixed table of 64 KiB, in sets of four.
#[derive(Clone, Debug)]
pub(super) struct Known {
    sets: Vec<[u32; WAYS]>,
}

impl Default for Known {
    fn default() -> Known {
        Known { sets: vec![[0; WAYS]; PLACES / WAYS] }
    }
}

impl Known {
    /// Remembers a datagram by its key; says whether it was known.
    pub(super) fn note(&mut self, now: Moment, key: u64) -> bool {
        let index = usize::try_from(key % (PLACES / WAYS) as u64).unwrap_or_default();
        let Some(set) = self.sets.get_mut(index) else { return false };
        let tag = u32::try_from(key >> 32).unwrap_or_default().max(1);
        let known = set.contains(&tag);
        if !known {
            // By chance, lest some of a circle drive each other out in every turn.
            let way = usize::try_from(mix(now.as_nanos() ^ key) % WAYS as u64).unwrap_or_default();
            let free = set.iter().position(|&place| place == 0).unwrap_or(way);
            if let Some(place) = set.get_mut(free) {
                *place = tag;
            }
        }
        known
    }

    /// Bytes it takes, whatever was sent.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.sets.capacity() * size_of::<[u32; WAYS]>()
    }
}
