//! BOLA: near-optimal bit rates from the buffer's level (Spiteri, Urgaonkar and Sitaraman, INFOCOM
//! 2016).

use std::time::Duration;

use super::{Choice, View, carried_now, left_bits, other_bits};
use crate::video::film::Film;
use crate::video::session::Download;

/// gamma p: how much smooth playing is worth beside quality.
pub(super) const GAMMA_P: f64 = 5.0;
/// Near the start and the end half of what has been or will be played counts as buffer, and at least
/// so many chunks.
const NEAR_CHUNKS: f64 = 3.0;

/// What BOLA does when it would rise above what the throughput carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// It rises, and knows neither a start nor an end: the first publication's BASIC.
    Basic,
    /// It rises by one step, for the sake of utility.
    U,
    /// It does not, and waits until the buffer has fallen: for the sake of few oscillations.
    O,
}

/// BOLA with what it remembers.
#[derive(Clone, Debug, PartialEq)]
pub struct Bola {
    utilities: Vec<f64>,
    variant: Variant,
    /// V of the paper times p, in seconds of buffer for each unit of utility.
    vp_s: f64,
    last: usize,
}

impl Bola {
    /// BOLA for a film.
    pub fn new(film: &Film, variant: Variant) -> Bola {
        Bola { utilities: utilities(film, 0.0), variant, vp_s: 0.0, last: 0 }
    }

    pub(super) fn choose(&mut self, view: &View<'_>) -> Choice {
        let chunk_s = view.film.duration(view.chunk).as_secs_f64();
        let mut buffer_s = view.capacity.as_secs_f64();
        if self.variant != Variant::Basic {
            let (since, all) = (view.chunk, view.film.chunks().len());
            let near = (since.min(all.saturating_sub(since)) as f64 / 2.0).max(NEAR_CHUNKS);
            buffer_s = buffer_s.min(near * chunk_s);
        }
        let most = self.utilities.last().copied().unwrap_or(0.0);
        self.vp_s = (buffer_s - chunk_s).max(0.0) / (most + GAMMA_P);
        let level_s = view.level.as_secs_f64();
        let rates = view.film.rates().iter().map(|rate| rate.0 as f64).zip(&self.utilities);
        let mut quality = best(rates.map(|(rate, u)| (self.vp_s * (u + GAMMA_P) - level_s) / rate));
        let mut wait_s = 0.0;
        if quality > self.last {
            let carried = carried_now(view);
            if quality > carried {
                match self.variant {
                    _ if self.last > carried => quality = self.last,
                    Variant::Basic => {}
                    Variant::U => quality = carried + 1,
                    Variant::O => {
                        quality = carried;
                        wait_s = level_s - self.vp_s * (self.utility(quality) + GAMMA_P);
                    }
                }
            }
        }
        self.last = quality;
        Choice { quality, wait: Duration::try_from_secs_f64(wait_s).unwrap_or_default() }
    }

    pub(super) fn abandons(&self, view: &View<'_>, download: &Download) -> Option<usize> {
        if self.variant == Variant::Basic {
            return None;
        }
        let left = left_bits(download)?;
        let level_s = view.level.as_secs_f64();
        let score =
            |quality, bits| (self.vp_s * (self.utility(quality) + GAMMA_P) - level_s) / bits;
        let going_on = score(download.quality, left);
        cheaper(view, download, going_on, left, score)
    }

    pub(super) fn abandoned(&mut self, to: usize) {
        self.last = to;
    }

    fn utility(&self, quality: usize) -> f64 {
        self.utilities.get(quality).copied().unwrap_or(0.0)
    }
}

/// ln(b / b0) + `lowest` of each quality.
pub(super) fn utilities(film: &Film, lowest: f64) -> Vec<f64> {
    let first = film.rate_bps(0);
    film.rates().iter().map(|rate| (rate.0 as f64 / first).ln() + lowest).collect()
}

/// Where the highest score is; the first of equals.
pub(super) fn best(scores: impl Iterator<Item = f64>) -> usize {
    let best = scores.enumerate().reduce(|best, one| if one.1 > best.1 { one } else { best });
    best.map_or(0, |(quality, _)| quality)
}

/// The lower quality that is worth more than going on, and smaller than what is left.
///
/// Without the comparison of sizes a large buffer could make a longer download look cheaper.
pub(super) fn cheaper(
    view: &View<'_>,
    download: &Download,
    going_on: f64,
    left: f64,
    score: impl Fn(usize, f64) -> f64,
) -> Option<usize> {
    if going_on < 0.0 {
        return None;
    }
    let lower = (0..download.quality).map(|quality| (quality, other_bits(view, download, quality)));
    let lower = lower.filter(|(_, bits)| *bits < left);
    let scored = lower.map(|(quality, bits)| (quality, score(quality, bits)));
    let best = scored.reduce(|best, one| if one.1 > best.1 { one } else { best });
    best.filter(|(_, score)| *score > going_on).map(|(quality, _)| quality)
}
