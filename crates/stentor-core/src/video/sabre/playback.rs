//! The player's buffer and its books, in the reference's order.

use std::collections::VecDeque;

use super::Movie;

/// What is buffered, and everything that is counted while it plays.
pub(super) struct Playback<'a> {
    pub(super) movie: &'a Movie,
    /// ln(b / b0) of each quality, computed as the reference does.
    pub(super) utilities: Vec<f64>,
    /// The qualities of the buffered segments, the one playing first.
    pub(super) contents: VecDeque<usize>,
    /// How much of the first has been played, in ms.
    pub(super) consumed_ms: f64,
    pub(super) rebuffer_events: f64,
    pub(super) rebuffer_ms: f64,
    pub(super) played_utility: f64,
    pub(super) played_bitrate: f64,
    pub(super) total_play_ms: f64,
    pub(super) bitrate_change: f64,
    pub(super) log_change: f64,
    last_played: Option<usize>,
    /// The quality that ends the start, when the person says which.
    pub(super) ramp_up: Option<usize>,
    pub(super) ramp_up_origin_ms: f64,
    pub(super) ramp_up_ms: Option<f64>,
    pub(super) reactions: Reactions,
}

/// How long the player takes to follow a network that has become better.
pub(super) struct Reactions {
    pub(super) buffer_ms: f64,
    pub(super) total_ms: f64,
    pending: VecDeque<Rise>,
}

/// The network carries a better quality since a time, which may have been followed at another.
struct Rise {
    at_ms: f64,
    quality: usize,
    followed_ms: Option<f64>,
}

impl<'a> Playback<'a> {
    pub(super) fn new(movie: &'a Movie, buffer_ms: f64, ramp_up: Option<usize>) -> Playback<'a> {
        let offset = 0.0 - movie.bitrates_kbps.first().copied().unwrap_or(1.0).ln();
        Playback {
            movie,
            utilities: movie.bitrates_kbps.iter().map(|rate| rate.ln() + offset).collect(),
            contents: VecDeque::new(),
            consumed_ms: 0.0,
            rebuffer_events: 0.0,
            rebuffer_ms: 0.0,
            played_utility: 0.0,
            played_bitrate: 0.0,
            total_play_ms: 0.0,
            bitrate_change: 0.0,
            log_change: 0.0,
            last_played: None,
            ramp_up,
            ramp_up_origin_ms: 0.0,
            ramp_up_ms: None,
            reactions: Reactions { buffer_ms, total_ms: 0.0, pending: VecDeque::new() },
        }
    }

    /// The bit rate of a quality, in kbit/s.
    pub(super) fn bitrate(&self, quality: usize) -> f64 {
        self.movie.bitrates_kbps.get(quality).copied().unwrap_or(0.0)
    }

    pub(super) fn level_ms(&self) -> f64 {
        self.movie.segment_ms * self.contents.len() as f64 - self.consumed_ms
    }

    /// Plays for `time` ms, or waits where the buffer is empty. `sustainable`: the best quality that
    /// the network carries now.
    pub(super) fn deplete(&mut self, mut time: f64, sustainable: usize) {
        if self.contents.is_empty() {
            self.rebuffer_ms += time;
            self.total_play_ms += time;
            return;
        }
        let segment = self.movie.segment_ms;
        if self.consumed_ms > 0.0 {
            if time + self.consumed_ms < segment {
                self.consumed_ms += time;
                self.total_play_ms += time;
                return;
            }
            time -= segment - self.consumed_ms;
            self.total_play_ms += segment - self.consumed_ms;
            self.contents.pop_front();
            self.consumed_ms = 0.0;
        }
        while time > 0.0
            && let Some(&quality) = self.contents.front()
        {
            self.begin(quality, sustainable);
            if time >= segment {
                self.contents.pop_front();
                self.total_play_ms += segment;
                time -= segment;
            } else {
                self.consumed_ms = time;
                self.total_play_ms += time;
                time = 0.0;
            }
        }
        if time > 0.0 {
            self.rebuffer_ms += time;
            self.total_play_ms += time;
            self.rebuffer_events += 1.0;
        }
        self.reactions.settle(self.total_play_ms);
    }

    /// Books a segment that begins to play.
    fn begin(&mut self, quality: usize, sustainable: usize) {
        let rate = self.bitrate(quality);
        self.played_utility += self.utilities.get(quality).copied().unwrap_or(0.0);
        self.played_bitrate += rate;
        if let Some(last) = self.last_played.filter(|last| *last != quality) {
            let before = self.bitrate(last);
            self.bitrate_change += (rate - before).abs();
            self.log_change += (rate / before).ln().abs();
        }
        self.last_played = Some(quality);
        if self.ramp_up_ms.is_none() && quality >= self.ramp_up.unwrap_or(sustainable) {
            self.ramp_up_ms = Some(self.total_play_ms - self.ramp_up_origin_ms);
        }
        self.reactions.follow(quality, self.total_play_ms);
    }

    /// Plays what is left.
    pub(super) fn play_out(&mut self, sustainable: usize) {
        self.deplete(self.level_ms(), sustainable);
        self.clear();
    }

    pub(super) fn clear(&mut self) {
        self.contents.clear();
        self.consumed_ms = 0.0;
    }

    /// The network now carries `quality`, and carried `before`.
    pub(super) fn network_changed(&mut self, now_ms: f64, quality: usize, before: usize) {
        self.reactions.settle(now_ms);
        for rise in &mut self.reactions.pending {
            if rise.followed_ms.is_none() && rise.quality > quality {
                rise.followed_ms = Some(now_ms);
            }
        }
        let known = self.reactions.pending.iter().any(|rise| quality <= rise.quality);
        if quality > before && !known && self.contents.iter().all(|held| quality > *held) {
            let rise = Rise { at_ms: now_ms, quality, followed_ms: None };
            self.reactions.pending.push_back(rise);
        }
    }
}

impl Reactions {
    fn follow(&mut self, quality: usize, now_ms: f64) {
        for rise in &mut self.pending {
            if rise.followed_ms.is_none() && quality >= rise.quality {
                rise.followed_ms = Some(now_ms);
            }
        }
    }

    /// Counts every rise that lies a whole buffer back.
    fn settle(&mut self, now_ms: f64) {
        let cutoff = now_ms - self.buffer_ms;
        while let Some(rise) = self.pending.pop_front_if(|rise| rise.at_ms < cutoff) {
            let taken = rise.followed_ms.map_or(self.buffer_ms, |followed| followed - rise.at_ms);
            self.total_ms += taken.min(self.buffer_ms);
        }
    }
}
