//! Numbered packets as they arrive: lost, late, duplicated, reordered.
//!
//! What a packet is, and who numbered it, is left to the caller.

/// Whether an arrival is reordered: RFC 4737, section 3.3. A packet is reordered if its number is
/// smaller than the next expected, which is one more than the greatest that has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    next_expected: u64,
}

impl Order {
    /// Takes the number of an arrival; says whether it is reordered. Duplicates are not to be
    /// given (RFC 4737, section 3.4: only the first arrival of a packet counts).
    pub fn feed(&mut self, number: u64) -> bool {
        let reordered = number < self.next_expected;
        if !reordered {
            self.next_expected = number.saturating_add(1);
        }
        reordered
    }

    /// One more than the greatest number that has come.
    pub fn next_expected(&self) -> u64 {
        self.next_expected
    }
}

/// What an arrival was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first with its number, not after a greater one.
    InOrder,
    /// The first with its number, after a greater one (RFC 4737).
    Reordered,
    /// Its number had come before (RFC 5560: one of a duplicated packet's further arrivals).
    Duplicate,
    /// So far behind that nobody remembers whether its number had come: counted as neither.
    Forgotten,
}

/// Tells arrivals apart by their numbers, which count from 0; remembers a window of them.
#[derive(Clone, Debug)]
pub struct Sequence {
    order: Order,
    /// One bit for each number of the window, at the number modulo the window.
    come: Vec<u64>,
    arrived: u64,
    late: u64,
    duplicates: u64,
    reordered: u64,
    forgotten: u64,
}

impl Sequence {
    /// Starts before number 0. `window` is how far behind the greatest number an arrival may be to
    /// be told from a duplicate; it is rounded up to a multiple of 64.
    pub fn new(window: usize) -> Sequence {
        let come = vec![0; window.div_ceil(64).max(1)];
        let order = Order::default();
        Sequence { order, come, arrived: 0, late: 0, duplicates: 0, reordered: 0, forgotten: 0 }
    }

    /// Takes the number of an arrival, and whether it came in time.
    pub fn feed(&mut self, number: u64, in_time: bool) -> Arrival {
        let window = self.come.len() as u64 * 64;
        let next = self.order.next_expected();
        if number.saturating_add(window) < next {
            self.forgotten += 1;
            return Arrival::Forgotten;
        }
        // Numbers that were skipped have not come: their bits are those of a window ago.
        for skipped in next.max(number.saturating_sub(window))..=number {
            self.mark(skipped, false);
        }
        if self.mark(number, true) {
            self.duplicates += 1;
            return Arrival::Duplicate;
        }
        self.arrived += 1;
        self.late += u64::from(!in_time);
        if self.order.feed(number) {
            self.reordered += 1;
            return Arrival::Reordered;
        }
        Arrival::InOrder
    }

    /// Sets the bit of `number`; gives back what it was.
    fn mark(&mut self, number: u64, come: bool) -> bool {
        let (word, bit) = (number / 64 % self.come.len() as u64, 1_u64 << (number % 64));
        let word = usize::try_from(word).unwrap_or(usize::MAX);
        let Some(word) = self.come.get_mut(word) else { return false };
        let before = *word & bit != 0;
        *word = if come { *word | bit } else { *word & !bit };
        before
    }

    /// How many numbers have come, in time or late, each once.
    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Of these, how many came too late.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Arrivals beyond the first of their number.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// First arrivals after a greater number (RFC 4737).
    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Arrivals too far behind to be told.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// How many of `sent` numbers (0 up to it) have not come. What was forgotten had been sent,
    /// and is taken for one that came.
    pub fn lost(&self, sent: u64) -> u64 {
        sent.saturating_sub(self.arrived).saturating_sub(self.forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(numbers: &[u64], expected: &[Arrival]) {
        let mut sequence = Sequence::new(64);
        let got: Vec<Arrival> = numbers.iter().map(|n| sequence.feed(*n, true)).collect();
        assert_eq!(got, expected, "{numbers:?}");
    }

    #[test]
    fn arrivals_are_told_apart() {
        use Arrival::{Duplicate, Forgotten, InOrder, Reordered};
        check(&[0, 1, 2], &[InOrder; 3]);
        check(&[0, 2, 1], &[InOrder, InOrder, Reordered]);
        // Both 1 and 2 come after 3: each is reordered, and 3 is not (RFC 4737, section 3.3).
        check(&[3, 1, 2, 4], &[InOrder, Reordered, Reordered, InOrder]);
        check(&[0, 0, 1, 0], &[InOrder, Duplicate, InOrder, Duplicate]);
        check(&[0, 2, 1, 1], &[InOrder, InOrder, Reordered, Duplicate]);
        check(&[0, 1000, 1, 999, 999], &[InOrder, InOrder, Forgotten, Reordered, Duplicate]);
        // The bit of 64 is that of 0, which has come.
        check(&[0, 64, 1, 63], &[InOrder, InOrder, Reordered, Reordered]);
        check(&[u64::MAX, 5], &[InOrder, Forgotten]);
    }

    #[test]
    fn what_has_not_come_is_lost() {
        let mut sequence = Sequence::new(1024);
        for number in (0..100).filter(|number| number % 10 != 0) {
            sequence.feed(number, number != 55);
        }
        assert_eq!((sequence.lost(100), sequence.arrived(), sequence.late()), (10, 90, 1));
    }
}
