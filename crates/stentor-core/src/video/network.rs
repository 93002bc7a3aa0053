//! The network of a simulation: a recorded link, and what each request costs before its first byte.
//!
//! Reading traces is left to [`crate::link`] (Mahimahi, `time bandwidth`) and the roof (JSON).

use std::time::Duration;

use thiserror::Error;

use crate::link::{Trace, TraceError};
use crate::moment::Moment;
use crate::units::BitRate;

/// The longest latency that is simulated.
pub const LATENCY_MAX: Duration = Duration::from_secs(3600);

/// A link that repeats, and its latency.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    trace: Trace,
    /// When each stretch of the latency ends, in nanoseconds, and how long a request waits in it.
    latencies: Vec<(u64, Duration)>,
    /// How far into the trace a session begins.
    ahead: Duration,
    /// What passes before each body.
    head_bytes: u64,
}

/// A stretch of a network, as the JSON of simulators has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// How long it lasts.
    pub duration: Duration,
    /// How fast it is.
    pub rate: BitRate,
    /// What a request made in it costs before its first byte.
    pub latency: Duration,
}

/// Why a network is none.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum NetworkError {
    /// Nothing passes, or no time.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A latency that no one would wait for.
    #[error("period {period} has a latency of {latency:?}: at most an hour is possible")]
    Latency {
        /// From 0.
        period: usize,
        /// As given.
        latency: Duration,
    },
    /// A number that is none.
    #[error("period {period} has {what} {number}, which is not one: 0 or more is needed")]
    Number {
        /// From 0.
        period: usize,
        /// Which number.
        what: &'static str,
        /// As given.
        number: f64,
    },
}

impl Period {
    /// The period of the numbers in a network's JSON: milliseconds, kbit/s, milliseconds. `period`
    /// says in an error which one it was.
    ///
    /// # Errors
    /// When a number is not one.
    pub fn from_json_numbers(
        period: usize,
        duration_ms: f64,
        bandwidth_kbps: f64,
        latency_ms: f64,
    ) -> Result<Period, NetworkError> {
        let span = |what, number: f64| {
            let span = Duration::try_from_secs_f64(number / 1e3);
            span.map_err(|_| NetworkError::Number { period, what, number })
        };
        Ok(Period {
            duration: span("the duration in ms", duration_ms)?,
            rate: rate(bandwidth_kbps).ok_or(NetworkError::Number {
                period,
                what: "the bandwidth in kbit/s",
                number: bandwidth_kbps,
            })?,
            latency: span("the latency in ms", latency_ms)?,
        })
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked; the fraction of a bit means nothing"
)]
fn rate(kbps: f64) -> Option<BitRate> {
    (0.0..1e15).contains(&kbps).then_some(BitRate((kbps * 1e3).round() as u64))
}

impl Network {
    /// A recorded link with the same latency at all times.
    ///
    /// # Errors
    /// When the latency is more than an hour.
    pub fn recorded(trace: Trace, latency: Duration) -> Result<Network, NetworkError> {
        let latencies = vec![(trace.period_ns(), latency)];
        Network { trace, latencies, ahead: Duration::ZERO, head_bytes: 0 }.check()
    }

    /// Always the same.
    ///
    /// # Errors
    /// When the rate is 0 or the latency more than an hour.
    pub fn steady(rate: BitRate, latency: Duration) -> Result<Network, NetworkError> {
        Network::of_periods(&[Period { duration: Duration::from_secs(1), rate, latency }])
    }

    /// One period after the other, again and again.
    ///
    /// # Errors
    /// When nothing would pass, or a latency is more than an hour.
    pub fn of_periods(periods: &[Period]) -> Result<Network, NetworkError> {
        let trace = Trace::of_stretches(periods.iter().map(|one| (one.duration, one.rate)))?;
        let mut end = Moment::START;
        let latencies = periods.iter().map(|period| {
            end = end + period.duration;
            (end.as_nanos(), period.latency)
        });
        let latencies = latencies.collect();
        Network { trace, latencies, ahead: Duration::ZERO, head_bytes: 0 }.check()
    }

    /// The same, met by a session that begins so far into it.
    #[must_use]
    pub fn beginning_at(self, ahead: Duration) -> Network {
        let ahead =
            Duration::from_nanos((Moment::START + ahead).as_nanos() % self.trace.period_ns());
        Network { ahead, ..self }
    }

    /// The same, on which so many bytes come before each body: the head of an HTTP reply.
    #[must_use]
    pub fn with_heads(self, head_bytes: u64) -> Network {
        Network { head_bytes, ..self }
    }

    fn check(self) -> Result<Network, NetworkError> {
        match self.latencies.iter().position(|(_, latency)| *latency > LATENCY_MAX) {
            None => Ok(self),
            Some(period) => {
                let latency = self.latencies.get(period).map_or(Duration::ZERO, |(_, long)| *long);
                Err(NetworkError::Latency { period, latency })
            }
        }
    }

    /// When the body of a request made at `now` begins to pass.
    pub fn begins(&self, now: Moment) -> Moment {
        let into = (now + self.ahead).as_nanos() % self.trace.period_ns();
        let at = self.latencies.partition_point(|(end, _)| *end <= into);
        let latency = self.latencies.get(at).or(self.latencies.last());
        let head = now + latency.map_or(Duration::ZERO, |(_, latency)| *latency);
        if self.head_bytes > 0 { self.arrives(head, self.head_bytes) } else { head }
    }

    /// When the first `bytes` of a body have arrived that began to pass at `begin`.
    pub fn arrives(&self, begin: Moment, bytes: u64) -> Moment {
        let passed = self.trace.passes(begin + self.ahead, bytes);
        Moment::START + passed.since(Moment::START + self.ahead)
    }

    /// How many of `bytes` have arrived at `now` of a body that began to pass at `begin`.
    pub fn arrived(&self, begin: Moment, now: Moment, bytes: u64) -> u64 {
        let (mut least, mut most) = (0, bytes);
        while least < most {
            let middle = most - (most - least) / 2;
            match self.arrives(begin, middle) <= now {
                true => least = middle,
                false => most = middle - 1,
            }
        }
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn latency_and_rate_are_those_of_the_period() {
        // 1 s at 8 kbit/s (1000 bytes), 1 s at 16 kbit/s.
        let period = |kbps, latency| Period::from_json_numbers(0, 1000.0, kbps, latency).unwrap();
        let network = Network::of_periods(&[period(8.0, 100.0), period(16.0, 20.0)]).unwrap();
        assert_eq!(network.begins(at(0)), at(100));
        assert_eq!(network.begins(at(1000)), at(1020));
        assert_eq!(network.begins(at(2999)), at(3099));
        assert_eq!(network.arrives(at(500), 500), at(1000));
        assert_eq!(network.arrives(at(500), 1500), at(1500));
        assert_eq!(network.arrives(at(500), 3000), at(3000 - 500));
        for (now, expected) in [(0, 0), (500, 0), (501, 1), (1000, 500), (1500, 1500), (9000, 2000)]
        {
            assert_eq!(network.arrived(at(500), at(now), 2000), expected, "{now}");
        }
    }

    #[test]
    fn the_head_of_a_reply_comes_before_its_body() {
        let network = Network::steady(BitRate(8000), Duration::from_millis(100)).unwrap();
        let network = network.with_heads(250);
        assert_eq!(network.begins(at(0)), at(350));
        assert_eq!(network.arrives(network.begins(at(0)), 1000), at(1350));
    }

    #[test]
    fn a_session_may_begin_within_the_trace() {
        let period = |kbps, latency| Period::from_json_numbers(0, 1000.0, kbps, latency).unwrap();
        let network = Network::of_periods(&[period(8.0, 100.0), period(16.0, 20.0)]).unwrap();
        for ahead_ms in [0, 300, 1999, 2000, 7300] {
            let later = network.clone().beginning_at(Duration::from_millis(ahead_ms));
            for ms in [0, 1, 700, 1001, 5000] {
                let (now, then) = (at(ms), at(ms + ahead_ms));
                assert_eq!(later.begins(now).since(now), network.begins(then).since(then));
                let took = network.arrives(then, 1234).since(then);
                assert_eq!(later.arrives(now, 1234).since(now), took, "{ahead_ms} {ms}");
            }
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let check = |ms, kbps, latency, said: &str| {
            let error = Period::from_json_numbers(3, ms, kbps, latency).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        };
        check(-1.0, 1.0, 1.0, "period 3 has the duration in ms -1");
        check(1.0, f64::NAN, 1.0, "the bandwidth in kbit/s NaN");
        check(1.0, 1.0, f64::INFINITY, "the latency in ms inf");
        assert!(Network::steady(BitRate(0), Duration::ZERO).is_err());
        assert!(Network::steady(BitRate(1), Duration::from_secs(4000)).is_err());
    }
}
