//! The clocks: nanoseconds since the first reading of this process, and one moment on both of the
//! kernel's clocks.

use std::sync::OnceLock;

static BEGAN: OnceLock<u64> = OnceLock::new();

/// Nanoseconds since the first call in this process (CLOCK_MONOTONIC, clock_gettime(2)).
pub fn nanoseconds() -> u64 {
    let began = began_ns();
    read(libc::CLOCK_MONOTONIC).saturating_sub(began)
}

/// What CLOCK_MONOTONIC showed at the first call: for alarms that the kernel sets by it.
pub(crate) fn began_ns() -> u64 {
    *BEGAN.get_or_init(|| read(libc::CLOCK_MONOTONIC))
}

/// One moment on two clocks, in nanoseconds (clock_gettime(2)), read one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// CLOCK_MONOTONIC: never steps back; since a moment near the system's start.
    pub monotonic_ns: u64,
    /// CLOCK_REALTIME: what packets are stamped with; since 1970, and may be set.
    pub realtime_ns: u64,
}

/// The moment of the call.
pub fn stamp() -> Stamp {
    let monotonic_ns = read(libc::CLOCK_MONOTONIC);
    Stamp { monotonic_ns, realtime_ns: read(libc::CLOCK_REALTIME) }
}

/// How far CLOCK_REALTIME is ahead of CLOCK_MONOTONIC, as measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// `realtime - monotonic`.
    pub ahead_ns: i64,
    /// The measurement is off by at most this.
    pub uncertainty_ns: u64,
}

/// Measures the distance of the two clocks: the reading of CLOCK_REALTIME that two readings of
/// CLOCK_MONOTONIC enclosed most closely, of several.
pub fn offset() -> Offset {
    let mut best = Offset { ahead_ns: 0, uncertainty_ns: u64::MAX };
    for _ in 0..16 {
        let before = read(libc::CLOCK_MONOTONIC);
        let realtime = read(libc::CLOCK_REALTIME);
        let span = read(libc::CLOCK_MONOTONIC).saturating_sub(before);
        if span < best.uncertainty_ns {
            let middle = before.saturating_add(span / 2);
            let ahead = i128::from(realtime) - i128::from(middle);
            best = Offset { ahead_ns: i64::try_from(ahead).unwrap_or(0), uncertainty_ns: span };
        }
    }
    best
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec through a pointer that lives for the call. Both
    // clocks exist on every system, so there is no failure to report.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_leads_from_one_clock_to_the_other() {
        let offset = offset();
        let stamp = stamp();
        let reached = i128::from(stamp.monotonic_ns) + i128::from(offset.ahead_ns);
        // A second of room: the machine may stop between the two readings of a stamp.
        assert!((i128::from(stamp.realtime_ns) - reached).abs() < 1_000_000_000);
        assert!(offset.uncertainty_ns < 1_000_000_000, "{offset:?}");
    }
}
