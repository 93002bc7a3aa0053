//! How late the loop itself was: the honest remainder of every delay it made.

use std::time::Duration;

use stentor_core::moment::Moment;

/// How much later than due things left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    /// How many things had a time to leave at.
    pub count: u64,
    /// All of it together.
    pub sum: Duration,
    /// The worst.
    pub max: Duration,
}

impl Lateness {
    /// Notes that something due at `due` left at `now`.
    pub(super) fn note(&mut self, due: Moment, now: Moment) {
        let late = now.since(due);
        self.count += 1;
        self.sum = self.sum.saturating_add(late);
        self.max = self.max.max(late);
    }

    /// The mean; zero if nothing had a time.
    pub fn mean(&self) -> Duration {
        let count = u32::try_from(self.count).unwrap_or(u32::MAX);
        self.sum.checked_div(count).unwrap_or_default()
    }
}
