//! The oracle: the best qualities for a network that is known from beginning to end, as the mark that
//! rules are measured against.

use std::time::Duration;

use crate::moment::Moment;
use crate::video::buffer::Policy;
use crate::video::film::Film;
use crate::video::metrics::REBUFFER_LINEAR;
use crate::video::network::Network;

/// How many ways to the same chunk and quality are kept. More change the result by less than the
/// metrics show; the tests compare with trying everything.
const KEPT: usize = 96;

/// One way of coming to a chunk.
#[derive(Clone, Copy, Debug)]
struct Way {
    at: Moment,
    level: Duration,
    playing: bool,
    started: bool,
    value: f64,
    quality: usize,
    /// Its place among the ways to the chunk before.
    from: usize,
}

/// Finds the qualities with the highest linear QoE, of which each chunk is fetched as soon as there is
/// room for it.
///
/// Dynamic programming over chunks. A way is dropped when another to the same quality is as early,
/// runs dry as late and has as much value; of the rest the `KEPT` best are followed.
pub fn plan(film: &Film, network: &Network, policy: Policy) -> Vec<usize> {
    let mut steps: Vec<Vec<Way>> = Vec::with_capacity(film.chunks().len());
    let begin = Way {
        at: Moment::START,
        level: Duration::ZERO,
        playing: false,
        started: false,
        value: 0.0,
        quality: 0,
        from: 0,
    };
    for chunk in 0..film.chunks().len() {
        let before = steps.last().map_or(std::slice::from_ref(&begin), Vec::as_slice);
        let mut ways = Vec::new();
        for quality in 0..film.qualities() {
            let from = before.iter().enumerate();
            let mut reached: Vec<Way> = from
                .map(|(from, way)| {
                    let mut next = way.fetch(film, network, policy, chunk, quality);
                    let rate = film.rate_bps(quality);
                    let change = (rate - film.rate_bps(way.quality)).abs();
                    next.value += (rate - if chunk == 0 { 0.0 } else { change }) / 1e6;
                    Way { from, quality, ..next }
                })
                .collect();
            keep(&mut reached);
            ways.append(&mut reached);
        }
        steps.push(ways);
    }
    trace_back(&steps)
}

/// The qualities that led to the best of the last ways.
fn trace_back(steps: &[Vec<Way>]) -> Vec<usize> {
    let last = steps.last().map_or(&[][..], Vec::as_slice).iter().enumerate();
    let best = last.reduce(|best, one| if one.1.value > best.1.value { one } else { best });
    let mut at = best.map_or(0, |(at, _)| at);
    let mut plan = Vec::with_capacity(steps.len());
    for ways in steps.iter().rev() {
        let Some(way) = ways.get(at) else { break };
        plan.push(way.quality);
        at = way.from;
    }
    plan.reverse();
    plan
}

impl Way {
    /// Waits for room, fetches a chunk, and pays for freezes; quality is paid by the caller.
    fn fetch(
        mut self,
        film: &Film,
        network: &Network,
        policy: Policy,
        chunk: usize,
        quality: usize,
    ) -> Way {
        let duration = film.duration(chunk);
        let excess = (self.level + duration).saturating_sub(policy.capacity()).min(self.level);
        if !excess.is_zero() {
            // Nothing more fits: playing begins, as in the buffer.
            (self.playing, self.started) = (true, true);
            self.pass(excess);
        }
        let arrives = network.arrives(network.begins(self.at), film.bytes(chunk, quality));
        self.pass(arrives.since(self.at));
        self.level += duration;
        let threshold = if self.started { policy.resume() } else { policy.start() };
        let complete = chunk + 1 == film.chunks().len();
        if self.level >= threshold || complete {
            (self.playing, self.started) = (true, true);
        }
        self
    }

    fn pass(&mut self, time: Duration) {
        self.at = self.at + time;
        let played = if self.playing { time.min(self.level) } else { Duration::ZERO };
        self.level -= played;
        let frozen = time - played;
        if self.started && !frozen.is_zero() {
            self.playing = false;
            self.value -= REBUFFER_LINEAR * frozen.as_secs_f64();
        }
    }

    /// Whether nothing can be gained by `other` that is not gained by this one.
    ///
    /// What counts beside time is when the buffer would run dry. While the film has not begun, being
    /// late is free and sometimes wise, so that no way beats another.
    fn beats(&self, other: &Way) -> bool {
        let as_early = self.at <= other.at;
        let ahead_s = other.at.since(self.at).as_secs_f64();
        match (self.started && other.started, self.playing, other.playing) {
            (true, true, true) => {
                let as_long = self.at + self.level >= other.at + other.level;
                as_early && as_long && self.value >= other.value
            }
            // Time in a freeze is paid for: this one would have to pay as long.
            (true, false, false) => {
                let value = self.value - REBUFFER_LINEAR * ahead_s;
                as_early && self.level >= other.level && value >= other.value
            }
            _ => false,
        }
    }
}

fn keep(ways: &mut Vec<Way>) {
    ways.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.at.cmp(&b.at)));
    let mut kept: Vec<Way> = Vec::with_capacity(KEPT);
    for way in ways.iter() {
        if kept.len() < KEPT && !kept.iter().any(|other| other.beats(way)) {
            kept.push(*way);
        }
    }
    *ways = kept;
}
