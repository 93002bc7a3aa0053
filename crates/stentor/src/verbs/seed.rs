//! The seed of a run: the one that was given, or a fresh one, which the verb prints.

use std::time::{SystemTime, UNIX_EPOCH};

use stentor_core::seed::Seed;

/// The seed that was given with `--seed`, or a number from the clock.
pub(crate) fn given_or_fresh(given: Option<u64>) -> Seed {
    Seed(given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |since| u64::from(since.subsec_nanos()) ^ since.as_secs())
    }))
}
