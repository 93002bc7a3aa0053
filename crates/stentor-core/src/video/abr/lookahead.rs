//! Model predictive control: the best next five chunks, if the throughput stays as predicted (Yin et
//! al., "A Control-Theoretic Approach for Dynamic Adaptive Video Streaming over HTTP", SIGCOMM 2015).

use std::collections::VecDeque;

use super::View;
use crate::video::metrics::REBUFFER_LINEAR;
use crate::video::session::Download;

/// How many chunks are looked ahead.
const HORIZON: usize = 5;
/// Of how many downloads the prediction is the harmonic mean, and the errors are remembered.
const REMEMBERED: usize = 5;

/// MPC with the downloads it remembers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mpc {
    robust: bool,
    /// Throughputs with latency, in bit/s, the newest last.
    seen_bps: VecDeque<f64>,
    /// |predicted - seen| / seen of each.
    errors: VecDeque<f64>,
}

/// Where a row of choices has led.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Node {
    first: usize,
    last: usize,
    level_s: f64,
    value: f64,
}

impl Mpc {
    /// MPC; `robust` lowers its prediction by the largest of its last errors.
    pub fn new(robust: bool) -> Mpc {
        Mpc { robust, ..Mpc::default() }
    }

    pub(super) fn choose(&mut self, view: &View<'_>) -> usize {
        let Some(predicted) = self.harmonic_mean() else { return 0 };
        let worst = self.errors.iter().copied().fold(0.0, f64::max);
        let bps = if self.robust { predicted / (1.0 + worst) } else { predicted };
        best_first(view, bps)
    }

    pub(super) fn received(&mut self, download: &Download) {
        let total_s = download.total.as_secs_f64();
        if total_s <= 0.0 || download.bytes == 0 {
            return;
        }
        let bps = download.bytes as f64 * 8.0 / total_s;
        if let Some(predicted) = self.harmonic_mean() {
            remember(&mut self.errors, (predicted - bps).abs() / bps);
        }
        remember(&mut self.seen_bps, bps);
    }

    fn harmonic_mean(&self) -> Option<f64> {
        let sum: f64 = self.seen_bps.iter().map(|bps| 1.0 / bps).sum();
        (sum > 0.0).then(|| self.seen_bps.len() as f64 / sum)
    }
}

fn remember(numbers: &mut VecDeque<f64>, number: f64) {
    numbers.push_back(number);
    if numbers.len() > REMEMBERED {
        numbers.pop_front();
    }
}

/// The first of the choices with the highest linear QoE over the horizon.
///
/// Dynamic programming: of two rows that end in the same quality, one with less buffer and less value
/// never leads to more. So for each quality only the rows that no other beats are kept, and the
/// result is that of trying all.
pub(super) fn best_first(view: &View<'_>, bps: f64) -> usize {
    let film = view.film;
    let last = view.last.unwrap_or(0);
    let mut nodes = vec![Node { first: 0, last, level_s: view.level.as_secs_f64(), value: 0.0 }];
    let end = film.chunks().len().min(view.chunk + HORIZON);
    for chunk in view.chunk..end {
        let mut next = Vec::with_capacity(nodes.len() * film.qualities());
        for quality in 0..film.qualities() {
            let mut reached: Vec<Node> =
                nodes.iter().map(|node| step(view, *node, chunk, quality, bps)).collect();
            unbeaten(&mut reached);
            next.append(&mut reached);
        }
        nodes = next;
    }
    let best =
        nodes.into_iter().reduce(|best, one| if one.value > best.value { one } else { best });
    best.map_or(0, |node| node.first)
}

fn step(view: &View<'_>, node: Node, chunk: usize, quality: usize, bps: f64) -> Node {
    let film = view.film;
    let takes_s = film.bytes(chunk, quality) as f64 * 8.0 / bps;
    let frozen_s = (takes_s - node.level_s).max(0.0);
    let change = (film.rate_bps(quality) - film.rate_bps(node.last)).abs();
    let level_s = (node.level_s - takes_s).max(0.0) + film.duration(chunk).as_secs_f64();
    Node {
        first: if chunk == view.chunk { quality } else { node.first },
        last: quality,
        // What does not fit is waited for, and costs nothing.
        level_s: level_s.min(view.capacity.as_secs_f64()),
        value: node.value + (film.rate_bps(quality) - change) / 1e6 - REBUFFER_LINEAR * frozen_s,
    }
}

/// Keeps the nodes that no other equals or beats in both level and value.
fn unbeaten(nodes: &mut Vec<Node>) {
    nodes.sort_by(|a, b| b.level_s.total_cmp(&a.level_s).then(b.value.total_cmp(&a.value)));
    let mut highest = f64::NEG_INFINITY;
    nodes.retain(|node| {
        let kept = node.value > highest;
        highest = highest.max(node.value);
        kept
    });
}
