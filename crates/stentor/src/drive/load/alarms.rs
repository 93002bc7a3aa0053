//! When each lane wants to be asked again: a heap in which every lane stands once.
//!
//! Its memory is fixed, however often an alarm is changed.

use stentor_core::moment::Moment;

/// Later than any run lasts.
const NEVER: Moment = Moment::from_nanos(u64::MAX);

/// One alarm for each lane; those that want none stand at the end of time.
#[derive(Debug)]
pub(super) struct Alarms {
    at: Vec<Moment>,
    /// Lanes; each is not before its parent, which stands at (place - 1) / 2.
    heap: Vec<usize>,
    /// Where each lane stands in the heap.
    place: Vec<usize>,
}

impl Alarms {
    /// Alarms for so many lanes, none of them set.
    pub(super) fn new(lanes: usize) -> Alarms {
        let each: Vec<usize> = (0..lanes).collect();
        Alarms { at: vec![NEVER; lanes], place: each.clone(), heap: each }
    }

    /// The earliest alarm and its lane; `None` if none is set.
    pub(super) fn first(&self) -> Option<(Moment, usize)> {
        let lane = *self.heap.first()?;
        Some((self.at(lane), lane)).filter(|(at, _)| *at < NEVER)
    }

    /// Sets the alarm of a lane, or takes it back.
    pub(super) fn set(&mut self, lane: usize, at: Option<Moment>) {
        let at = at.unwrap_or(NEVER);
        let (Some(kept), Some(place)) = (self.at.get_mut(lane), self.place.get(lane)) else {
            return;
        };
        let earlier = at < *kept;
        *kept = at;
        if earlier { self.rise(*place) } else { self.sink(*place) }
    }

    /// Rings for a lane no later than at `at`. An alarm that is earlier is left as it is, which
    /// costs one question too many and saves a change for each request.
    pub(super) fn no_later(&mut self, lane: usize, at: Moment) {
        if at < self.at(lane) {
            self.set(lane, Some(at));
        }
    }

    fn at(&self, lane: usize) -> Moment {
        self.at.get(lane).copied().unwrap_or(NEVER)
    }

    fn lane(&self, place: usize) -> Option<usize> {
        self.heap.get(place).copied()
    }

    fn rise(&mut self, mut place: usize) {
        while let Some(parent) = place.checked_sub(1).map(|below| below / 2)
            && self.is_before(place, parent)
        {
            self.swap(place, parent);
            place = parent;
        }
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let child = if self.is_before(right, left) { right } else { left };
            if !self.is_before(child, place) {
                return;
            }
            self.swap(place, child);
            place = child;
        }
    }

    /// Whether both places are there and the first rings before the other.
    fn is_before(&self, one: usize, other: usize) -> bool {
        match (self.lane(one), self.lane(other)) {
            (Some(one), Some(other)) => self.at(one) < self.at(other),
            (Some(_) | None, Some(_) | None) => false,
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.heap.swap(one, other);
        for place in [one, other] {
            if let Some(kept) = self.lane(place).and_then(|lane| self.place.get_mut(lane)) {
                *kept = place;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stentor_core::seed::{Dice, Seed};

    #[test]
    fn the_first_is_always_the_earliest() {
        for seed in 0..200 {
            let mut dice = Dice::new(Seed(seed), "alarms");
            let lanes = 1 + usize::try_from(dice.below(40)).unwrap();
            let mut alarms = Alarms::new(lanes);
            let mut known = vec![None; lanes];
            assert_eq!(alarms.first(), None);
            for _ in 0..400 {
                let lane = usize::try_from(dice.below(lanes as u64)).unwrap();
                let at = Moment::from_nanos(dice.below(1000));
                match dice.below(4) {
                    0 => {
                        alarms.set(lane, None);
                        known[lane] = None;
                    }
                    1 => {
                        alarms.no_later(lane, at);
                        known[lane] = Some(known[lane].map_or(at, |kept: Moment| kept.min(at)));
                    }
                    _ => {
                        alarms.set(lane, Some(at));
                        known[lane] = Some(at);
                    }
                }
                let first = alarms.first();
                assert_eq!(first.map(|(at, _)| at), known.iter().flatten().min().copied());
                assert!(first.is_none_or(|(at, lane)| known[lane] == Some(at)), "seed {seed}");
            }
        }
    }
}
