//! The guard against loops of datagrams between two services that answer everything.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::moment::Moment;
use crate::seed::Seed;

/// What the guard may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Hides where a source stands in the table.
    pub seed: Seed,
}

/// The table of sources.
#[derive(Clone, Debug)]
pub struct Guard {
    seed: u64,
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    last: u32,
    spent: u32,
    at: Moment,
}

/// Tells payloads apart.
pub fn fingerprint(payload: &[u8]) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = payload.len() as u64 ^ K;
    let mut words = payload.chunks_exact(8);
    for word in words.by_ref() {
        let word = word.try_into().map_or(0, u64::from_le_bytes);
        hash = (hash.rotate_left(5) ^ word).wrapping_mul(K);
    }
    for byte in words.remainder() {
        hash = (hash.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(K);
    }
    hash ^ (hash >> 32)
}

impl Guard {
    /// An empty table.
    pub fn new(settings: Settings) -> Guard {
        Guard { seed: settings.seed.0, buckets: vec![Bucket::default(); 4096] }
    }

    /// Says whether a datagram may be answered; `told` and `answer` are fingerprints.
    pub fn handle(&mut self, now: Moment, source: SocketAddr, told: u64, answer: u64) -> bool {
        let key = match source.ip().to_canonical() {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or_default(),
        };
        let place = fingerprint(&(key ^ self.seed).to_le_bytes()) % 4096;
        let Some(bucket) = self.buckets.get_mut(usize::try_from(place).unwrap_or_default()) else {
            return false;
        };
        let tag = u32::try_from(told >> 32).unwrap_or_default();
        let counts = told == answer || bucket.last == tag;
        bucket.last = tag;
        if now.since(bucket.at) > Duration::from_secs(1) {
            bucket.spent = 0;
        }
        if counts {
            bucket.at = now;
            bucket.spent += 1;
        }
        !counts || bucket.spent <= 9
    }
}
