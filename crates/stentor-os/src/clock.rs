//! The monotonic clock, as nanoseconds since the first reading of this process.

use std::sync::OnceLock;
use std::time::Instant;

static BEGAN: OnceLock<Instant> = OnceLock::new();

/// Nanoseconds since the first call in this process (CLOCK_MONOTONIC, clock_gettime(2)).
pub fn nanoseconds() -> u64 {
    let began = BEGAN.get_or_init(Instant::now);
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
