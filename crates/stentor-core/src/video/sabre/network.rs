//! The reference's network: periods that repeat, a latency for each request, and downloads that are
//! looked at every 12000 bits or 50 ms, whichever takes longer.

use super::playback::Playback;
use super::{Period, SabreError};

/// A download is looked at after so many bits and so many ms, if it can be abandoned.
const PROGRESS_BITS: f64 = 12_000.0;
const PROGRESS_MS: f64 = 50.0;

pub(super) struct Network<'a> {
    trace: &'a [Period],
    multiplier: f64,
    index: usize,
    now_ms: f64,
    to_next_ms: f64,
    /// The period of `index`, with its bandwidth multiplied.
    period: Period,
    /// The best quality that the network carries now.
    pub(super) sustainable: usize,
}

/// How far a download has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) quality: usize,
    pub(super) size: f64,
    pub(super) downloaded: f64,
    /// Since the request, with latency.
    pub(super) time_ms: f64,
    pub(super) first_bit_ms: f64,
}

impl<'a> Network<'a> {
    pub(super) fn new(
        trace: &'a [Period],
        multiplier: f64,
        playback: &mut Playback<'_>,
    ) -> Network<'a> {
        let nothing = Period { duration_ms: 0.0, bandwidth_kbps: 0.0, latency_ms: 0.0 };
        let mut network = Network {
            trace,
            multiplier,
            index: 0,
            now_ms: 0.0,
            to_next_ms: 0.0,
            period: nothing,
            sustainable: 0,
        };
        network.enter();
        network.sustainable = network.carried(playback);
        network
    }

    fn enter(&mut self) {
        if let Some(period) = self.trace.get(self.index) {
            let bandwidth_kbps = period.bandwidth_kbps * self.multiplier;
            self.period = Period { bandwidth_kbps, ..*period };
        }
        self.to_next_ms = self.period.duration_ms;
    }

    /// The best quality below which every one fits the bandwidth less latency.
    fn carried(&self, playback: &Playback<'_>) -> usize {
        let factor = 1.0 - self.period.latency_ms / playback.movie.segment_ms;
        let effective = self.period.bandwidth_kbps * factor;
        let higher = playback.movie.bitrates_kbps.iter().skip(1);
        higher.take_while(|rate| **rate <= effective).count()
    }

    fn next_period(&mut self, playback: &mut Playback<'_>) {
        self.index += 1;
        if self.index == self.trace.len() {
            self.index = 0;
        }
        self.enter();
        let before = self.sustainable;
        self.sustainable = self.carried(playback);
        if self.sustainable != before {
            playback.network_changed(self.now_ms, self.sustainable, before);
        }
    }

    fn spend(&mut self, time: f64) {
        self.to_next_ms -= time;
        self.now_ms += time;
    }

    /// Passes one latency, and returns how long it took; periods share it by their own latencies.
    fn latency(&mut self, playback: &mut Playback<'_>) -> f64 {
        let (mut units, mut total) = (1.0, 0.0);
        while units > 0.0 {
            let latency = self.period.latency_ms;
            let time = units * latency;
            if time <= self.to_next_ms {
                total += time;
                self.spend(time);
                units = 0.0;
            } else {
                total += self.to_next_ms;
                self.now_ms += self.to_next_ms;
                units -= self.to_next_ms / latency;
                self.next_period(playback);
            }
        }
        total
    }

    /// Downloads `size` bits without looking, and returns how long it took.
    fn whole(&mut self, mut size: f64, playback: &mut Playback<'_>) -> f64 {
        let mut total = 0.0;
        while size > 0.0 {
            let bandwidth = self.period.bandwidth_kbps;
            if size <= self.to_next_ms * bandwidth {
                let time = size / bandwidth;
                total += time;
                self.now_ms += time;
                self.to_next_ms -= time;
                size = 0.0;
            } else {
                total += self.to_next_ms;
                self.now_ms += self.to_next_ms;
                size -= self.to_next_ms * bandwidth;
                self.next_period(playback);
            }
        }
        total
    }

    /// Downloads up to `size` bits, until at least `bits` and `ms` have passed; what came and how
    /// long it took.
    fn part(
        &mut self,
        mut size: f64,
        (mut least_bits, mut least_ms): (f64, f64),
        playback: &mut Playback<'_>,
    ) -> (f64, f64) {
        let (mut total_bits, mut total_ms) = (0.0, 0.0);
        while size > 0.0 && (least_bits > 0.0 || least_ms > 0.0) {
            let bandwidth = self.period.bandwidth_kbps;
            let (bits, time);
            if bandwidth > 0.0 {
                let least = maximum(least_bits, least_ms * bandwidth);
                let to_next = self.to_next_ms * bandwidth;
                if size <= least && size <= to_next {
                    bits = size;
                    time = bits / bandwidth;
                    self.spend(time);
                } else if least <= to_next {
                    bits = least;
                    time = bits / bandwidth;
                    // Rounding must not make another turn of what is done.
                    (least_bits, least_ms) = (0.0, 0.0);
                    self.spend(time);
                } else {
                    (bits, time) = (to_next, self.to_next_ms);
                    self.now_ms += time;
                    self.next_period(playback);
                }
            } else {
                bits = 0.0;
                if least_bits > 0.0 || least_ms > self.to_next_ms {
                    time = self.to_next_ms;
                    self.now_ms += time;
                    self.next_period(playback);
                } else {
                    time = least_ms;
                    self.spend(time);
                }
            }
            total_bits += bits;
            total_ms += time;
            size -= bits;
            least_bits -= bits;
            least_ms -= time;
        }
        (total_bits, total_ms)
    }

    /// Lets `time` ms pass without a request.
    pub(super) fn pause(&mut self, mut time: f64, playback: &mut Playback<'_>) {
        while time > self.to_next_ms {
            time -= self.to_next_ms;
            self.now_ms += self.to_next_ms;
            self.next_period(playback);
        }
        self.spend(time);
    }

    /// Downloads `size` bits in one request.
    pub(super) fn download(
        &mut self,
        quality: usize,
        size: f64,
        playback: &mut Playback<'_>,
    ) -> Progress {
        let first_bit_ms = self.latency(playback);
        let time_ms = first_bit_ms + self.whole(size, playback);
        Progress { quality, size, downloaded: size, time_ms, first_bit_ms }
    }

    /// Downloads `size` bits unless `abandon` names another quality on the way; it is given the
    /// progress and the level of the buffer by then.
    ///
    /// # Errors
    /// Those of `abandon`.
    pub(super) fn download_watched(
        &mut self,
        quality: usize,
        size: f64,
        playback: &mut Playback<'_>,
        mut abandon: impl FnMut(&Progress, f64, &Playback<'_>) -> Result<Option<usize>, SabreError>,
    ) -> Result<(Progress, Option<usize>), SabreError> {
        let level = playback.level_ms();
        let first_bit_ms = self.latency(playback);
        let mut progress =
            Progress { quality, size, downloaded: 0.0, time_ms: 0.0 + first_bit_ms, first_bit_ms };
        let mut least_ms = PROGRESS_MS - progress.time_ms;
        let mut abandoned = None;
        while progress.downloaded < size && abandoned.is_none() {
            let left = size - progress.downloaded;
            let (bits, time) = self.part(left, (PROGRESS_BITS, least_ms), playback);
            progress.time_ms += time;
            progress.downloaded += bits;
            if progress.downloaded < size {
                let level = maximum(0.0, level - progress.time_ms);
                abandoned = abandon(&progress, level, playback)?;
                least_ms = PROGRESS_MS;
            }
        }
        Ok((progress, abandoned))
    }
}

/// Python's `max(a, b)`: `a` unless `b` is greater.
pub(super) fn maximum(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

/// Python's `min(a, b)`: `a` unless `b` is less.
pub(super) fn minimum(a: f64, b: f64) -> f64 {
    if b < a { b } else { a }
}
