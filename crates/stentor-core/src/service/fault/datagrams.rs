//! Spoils the answers of one UDP port.
//!
//! Says which part of an answer goes out after which delay; holding it until then is left to the
//! driver. `drip` and `rst` have no meaning for datagrams and are passed over here.

use std::ops::Range;
use std::time::Duration;

use super::{Armed, Faults, Struck, stalled_for};
use crate::moment::Moment;
use crate::seed::Seed;

/// One datagram that an answer becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    /// How long after the answer was ready it is sent; zero: now.
    pub delay: Duration,
    /// Which bytes of the answer.
    pub bytes: Range<usize>,
}

/// The faults of one UDP port.
#[derive(Clone, Debug)]
pub struct FaultyDatagrams {
    armed: Vec<Armed>,
}

impl FaultyDatagrams {
    /// Arms those of `faults` that mean something for datagrams.
    pub fn new(faults: &Faults, seed: Seed) -> FaultyDatagrams {
        let armed = faults.iter().filter(|fault| fault.kind.on_datagrams());
        FaultyDatagrams { armed: armed.map(|fault| Armed::new(fault, seed, "udp")).collect() }
    }

    /// Says what becomes of an answer of `len` bytes: at most four datagrams, none if it is lost.
    pub fn handle(&mut self, now: Moment, len: usize) -> Vec<Portion> {
        let mut struck = Struck::default();
        for armed in &mut self.armed {
            if armed.strikes() {
                struck.add(armed.kind);
            }
        }
        if struck.silent {
            return Vec::new();
        }
        let late = struck.late.unwrap_or_default();
        let wait = struck
            .stall
            .map_or(Duration::ZERO, |(silent, every)| stalled_for(now + late, silent, every));
        let delay = late + wait;
        let end = if struck.truncate { len / 2 } else { len };
        let mut portions = Vec::with_capacity(4);
        for _ in 0..=u8::from(struck.dup) {
            match struck.split {
                Some(pause) if end > 1 => {
                    portions.push(Portion { delay, bytes: 0..end / 2 });
                    portions.push(Portion { delay: delay + pause, bytes: end / 2..end });
                }
                _ => portions.push(Portion { delay, bytes: 0..end }),
            }
        }
        portions
    }
}
