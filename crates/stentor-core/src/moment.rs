//! Time, as the machines know it: nanoseconds since the run began.
//!
//! Reading a clock is left to `stentor-os`; a driver reads it once per turn and hands it down.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A point in time: nanoseconds since the run began. Saturates after 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// When the run began.
    pub const START: Moment = Moment(0);

    /// The moment `nanoseconds` after the run began.
    pub const fn from_nanos(nanoseconds: u64) -> Moment {
        Moment(nanoseconds)
    }

    /// Nanoseconds since the run began.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, span: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Seconds with microseconds: `1.000250`.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000_000, self.0 % 1_000_000_000 / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_add_subtract_and_saturate() {
        let second = Moment::START + Duration::from_secs(1);
        assert_eq!(second.as_nanos(), 1_000_000_000);
        assert_eq!(second.since(Moment::START), Duration::from_secs(1));
        assert_eq!(Moment::START.since(second), Duration::ZERO);
        assert_eq!((second + Duration::MAX).as_nanos(), u64::MAX);
        assert_eq!((second + Duration::from_micros(250)).to_string(), "1.000250");
    }
}
