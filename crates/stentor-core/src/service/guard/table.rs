//! A table of fixed size for what strangers make us remember.
//!
//! Sets of four places. A newcomer takes the place that has been idle longest; places that are
//! busy (in debt, repeating or muted) are never given away, or a flood of forged sources would
//! unmute a loop. When all four are busy the newcomers of this set share one spare place, so that
//! memory does not grow and they, too, are rationed.

use crate::moment::Moment;

const WAYS: usize = 4;

/// What is remembered of one key.
pub(super) trait Entry: Copy + Default {
    /// Whether forgetting it would do a misbehaving source a favour.
    fn is_busy(&self, now: Moment) -> bool;
    /// Orders those that are idle: the smallest is forgotten first.
    fn last_used(&self) -> Moment;
}

#[derive(Clone, Copy, Debug, Default)]
struct Place<T> {
    key: u64,
    entry: T,
}

#[derive(Clone, Copy, Debug, Default)]
struct Set<T> {
    places: [Place<T>; WAYS],
    spare: T,
}

/// The table; keys must be well mixed, as their low bits choose the set.
#[derive(Clone, Debug)]
pub(super) struct Table<T> {
    sets: Vec<Set<T>>,
    /// Never used: what [`Table::entry`] would lend of a table without sets.
    nowhere: T,
}

impl<T: Entry> Table<T> {
    /// A table for `entries` keys, at least four.
    pub(super) fn new(entries: usize) -> Table<T> {
        let sets = (entries / WAYS).max(1);
        Table { sets: vec![Set::default(); sets], nowhere: T::default() }
    }

    /// Finds or makes the entry of `key`; `true` if it is one that newcomers share.
    pub(super) fn entry(&mut self, now: Moment, key: u64) -> (&mut T, bool) {
        let index = key % self.sets.len().max(1) as u64;
        let index = usize::try_from(index).unwrap_or_default();
        let Some(Set { places, spare }) = self.sets.get_mut(index) else {
            return (&mut self.nowhere, true);
        };
        let known = places.iter().position(|place| place.key == key);
        let idle = || {
            let idle = places.iter().enumerate().filter(|(_, place)| !place.entry.is_busy(now));
            idle.min_by_key(|(_, place)| place.entry.last_used()).map(|(index, _)| index)
        };
        match known.or_else(idle).and_then(|index| places.get_mut(index)) {
            Some(place) => {
                if place.key != key {
                    *place = Place { key, entry: T::default() };
                }
                (&mut place.entry, false)
            }
            None => (spare, true),
        }
    }

    /// Bytes it takes, whatever was sent.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.sets.capacity() * size_of::<Set<T>>()
    }
}
