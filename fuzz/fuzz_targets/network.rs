//! Whatever stands where a network should (JSON, a table, Mahimahi's stamps), it is refused with a
//! reason or carries bytes: none before it was asked for, and more never earlier than less. The
//! reference's engine plays a film over its JSON, or says why not.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use stentor::verbs::video::network::{Found, understand};
use stentor_core::moment::Moment;
use stentor_core::video::network::Network;
use stentor_core::video::sabre::{Movie, Options, simulate};

fuzz_target!(|bytes: &[u8]| {
    let found = match understand(bytes) {
        Ok(found) => found,
        Err(refusal) => return assert!(!refusal.to_string().is_empty()),
    };
    let network = match found {
        Found::Trace(trace) => Network::recorded(trace, Duration::from_millis(50)),
        Found::Periods(periods) => {
            let sabre = periods.sabre();
            // The reference walks every period for every bit of time: few of them, as in its data.
            let sound = |one: &f64| (1.0..1e7).contains(one);
            if sabre.len() < 64 && sabre.iter().all(|one| sound(&one.duration_ms) && sound(&one.bandwidth_kbps)) {
                let sizes_bits = vec![vec![1e4, 2e4]; 4];
                let bitrates_kbps = vec![10.0, 20.0];
                let movie = Movie { segment_ms: 1000.0, bitrates_kbps, sizes_bits };
                let _ = simulate(&Options::default(), &movie, &sabre);
            }
            periods.network()
        }
    };
    let Ok(network) = network else { return };
    for ms in [0, 1, 999, 1000, 12_345] {
        let now = Moment::from_nanos(ms * 1_000_000);
        let begin = network.begins(now);
        assert!(begin >= now);
        let mut last = begin;
        for size in [0, 1, 1499, 1500, 1501, 1 << 20] {
            let at = network.arrives(begin, size);
            assert!(at >= last);
            last = at;
        }
        let at = network.arrives(begin, 1500);
        assert!(network.arrived(begin, at, 1500) == 1500 || at == Moment::from_nanos(u64::MAX));
    }
});
