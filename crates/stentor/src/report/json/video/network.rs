//! A network as JSON, in the form of the reference simulator: an array of periods, each with its
//! `duration_ms`, `bandwidth_kbps` and `latency_ms`.

use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use stentor_core::link::{RATE_MAX, TRACE_LINES_MAX};
use stentor_core::video::network::{LATENCY_MAX, Network, NetworkError, Period};
use stentor_core::video::sabre;

use super::numbers::{Array, Malformed, Number, Place, needed, once};

/// The longest period: a hundred years, as in every other form of a trace.
const DURATION_MAX: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

const DURATION: &str = "duration_ms";
const BANDWIDTH: &str = "bandwidth_kbps";
const LATENCY: &str = "latency_ms";

/// The periods of a network's JSON; their numbers are finite and not negative.
#[derive(Clone, Debug, PartialEq)]
pub struct Periods(Vec<Numbers>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Numbers {
    duration_ms: f64,
    bandwidth_kbps: f64,
    latency_ms: f64,
}

impl Periods {
    /// Reads the text of a network.
    ///
    /// # Errors
    /// What is not JSON, or another JSON than a network's: where, and what should be there.
    pub fn read(text: &[u8]) -> Result<Periods, Malformed> {
        let mut from = serde_json::Deserializer::from_slice(text);
        let here = Place { key: "the network", indices: [None, None] };
        let period = |index| Object { index };
        let periods = Array::new(here, TRACE_LINES_MAX, period).deserialize(&mut from)?;
        from.end()?;
        Ok(Periods(periods))
    }

    /// The network that they describe.
    ///
    /// # Errors
    /// When they let nothing through.
    pub fn network(&self) -> Result<Network, NetworkError> {
        let periods = self.0.iter().enumerate().map(|(index, numbers)| {
            let Numbers { duration_ms, bandwidth_kbps, latency_ms } = *numbers;
            Period::from_json_numbers(index, duration_ms, bandwidth_kbps, latency_ms)
        });
        Network::of_periods(&periods.collect::<Result<Vec<_>, _>>()?)
    }

    /// The same as the reference takes it: nothing is rounded.
    pub fn sabre(&self) -> Vec<sabre::Period> {
        let period = |numbers: &Numbers| {
            let Numbers { duration_ms, bandwidth_kbps, latency_ms } = *numbers;
            sabre::Period { duration_ms, bandwidth_kbps, latency_ms }
        };
        self.0.iter().map(period).collect()
    }
}

/// A period.
struct Object {
    index: usize,
}

impl<'de> DeserializeSeed<'de> for Object {
    type Value = Numbers;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Numbers, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object {
    type Value = Numbers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = self.index;
        write!(f, "an object with {DURATION}, {BANDWIDTH} and {LATENCY} for period {index}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Numbers, A::Error> {
        let (mut duration, mut bandwidth, mut latency) = (None, None, None);
        // The key with the number of the period behind it.
        let [of_duration, of_bandwidth, of_latency] = [DURATION, BANDWIDTH, LATENCY]
            .map(|key| Place { key, indices: [Some(self.index), None] });
        while let Some(key) = from.next_key::<String>()? {
            let (place, into, most) = match key.as_str() {
                DURATION => (of_duration, &mut duration, DURATION_MAX.as_secs_f64() * 1e3),
                BANDWIDTH => (of_bandwidth, &mut bandwidth, RATE_MAX.0 as f64 / 1e3),
                LATENCY => (of_latency, &mut latency, LATENCY_MAX.as_secs_f64() * 1e3),
                _ => {
                    from.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            once(&mut from, place, into, Number { place, least: 0.0, with_least: true, most })?;
        }
        Ok(Numbers {
            duration_ms: needed(duration, of_duration)?,
            bandwidth_kbps: needed(bandwidth, of_bandwidth)?,
            latency_ms: needed(latency, of_latency)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stentor_core::moment::Moment;

    #[test]
    fn periods_are_read_in_any_order_of_keys() {
        let text = br#"[{"latency_ms": 100, "bandwidth_kbps": 8.0, "duration_ms": 1000},
            {"duration_ms": 1e3, "name": [1, {}], "bandwidth_kbps": 0, "latency_ms": 20}]"#;
        let periods = Periods::read(text).unwrap();
        let raw = sabre::Period { duration_ms: 1e3, bandwidth_kbps: 8.0, latency_ms: 100.0 };
        assert_eq!((periods.sabre().len(), periods.sabre()[0]), (2, raw));
        let network = periods.network().unwrap();
        let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
        assert_eq!((network.begins(at(0)), network.begins(at(1000))), (at(100), at(1020)));
        assert_eq!(network.arrives(at(0), 1001), at(2001));
    }

    #[test]
    fn what_is_no_network_is_refused_by_line_and_number() {
        let check = |text: &str, said: &str| {
            let read = Periods::read(text.as_bytes()).map_err(|error| error.to_string());
            let refused =
                read.and_then(|periods| periods.network().map_err(|error| error.to_string()));
            let error = refused.unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        };
        let good = "{\"duration_ms\": 1, \"bandwidth_kbps\": 1, \"latency_ms\": 0}";
        check("[]", "line 1, column 2: the network is empty");
        check("{}", "invalid type: map, expected an array for the network");
        check(
            "[1]",
            "expected an object with duration_ms, bandwidth_kbps and latency_ms for period 0",
        );
        check(&format!("[{good},\n {{\"duration_ms\": 1}}]"), "line 2, column");
        check(&format!("[{good},\n {{\"duration_ms\": 1}}]"), "bandwidth_kbps[1] is missing");
        check(
            "[{\"duration_ms\": -1}]",
            "-1 is not a number of at least 0 and at most 3162240000000",
        );
        check("[{\"latency_ms\": 3600001}]", "3600001 is not a number");
        check("[{\"latency_ms\": null}]", "invalid type: null, expected a number of at least 0");
        check("[{\"bandwidth_kbps\": 1e10}]", "at most 1000000000 for bandwidth_kbps[0]");
        check("[{\"bandwidth_kbps\": -NaN}]", "line 1");
        check(
            &good.replace("bps\": 1", "bps\": 0").replace('{', "[{").replace('}', "}]"),
            "lets nothing through",
        );
        check("[{\"duration_ms\": 0, \"bandwidth_kbps\": 1, \"latency_ms\": 0}]", "lasts no time");
    }
}
