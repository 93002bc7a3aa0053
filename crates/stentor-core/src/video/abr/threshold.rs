//! The two simplest rules: throughput alone, and the buffer's level alone.

use super::{Safety, View, carried, left_bits, other_bits};
use crate::video::session::Download;

/// How much of the estimated throughput is used.
const USED: f64 = 0.9;
/// No download is given up before so many seconds.
const GRACE_S: f64 = 0.5;
/// A download is given up that would take longer than so many chunks play.
const PATIENCE_CHUNKS: f64 = 1.8;

/// The highest quality that nine tenths of the throughput carry, unless the buffer is too low for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Throughput {
    safety: Safety,
}

impl Default for Throughput {
    fn default() -> Throughput {
        Throughput { safety: Safety(Safety::FIRST) }
    }
}

impl Throughput {
    pub(super) fn choose(&mut self, view: &View<'_>) -> usize {
        let Some(known) = view.estimate else { return 0 };
        let quality = carried(view, known.bps * USED, known.latency_s);
        self.safety.falls(view, quality).unwrap_or(quality)
    }

    /// The quality that the download's own throughput carries, if the download takes too long.
    pub(super) fn abandons(view: &View<'_>, download: &Download) -> Option<usize> {
        let left = left_bits(download)?;
        let bps = download.throughput_bps()?;
        let total_s = download.total.as_secs_f64();
        let chunk_s = view.film.duration(download.chunk).as_secs_f64();
        if total_s < GRACE_S || total_s + left / bps <= PATIENCE_CHUNKS * chunk_s {
            return None;
        }
        let latency_s = view.estimate.map_or(0.0, |known| known.latency_s);
        let quality = carried(view, bps * USED, latency_s);
        let pays = quality < download.quality && other_bits(view, download, quality) < left;
        pays.then_some(quality)
    }
}

/// BBA-0: below the reservoir the lowest quality, above the cushion the highest, and a straight line
/// between (Huang et al., "A Buffer-Based Approach to Rate Adaptation", SIGCOMM 2014, section 4).
#[derive(Clone, Debug, PartialEq)]
pub struct Bba0 {
    /// Where the line begins, as a part of the buffer: the paper's 90 s of 240.
    pub reservoir: f64,
    /// Where it ends: the paper's 216 s of 240.
    pub upper: f64,
}

impl Default for Bba0 {
    fn default() -> Bba0 {
        Bba0 { reservoir: 0.375, upper: 0.9 }
    }
}

impl Bba0 {
    pub(super) fn choose(&mut self, view: &View<'_>) -> usize {
        let rates = view.film.rates();
        let highest = rates.len() - 1;
        let part = view.level.as_secs_f64() / view.capacity.as_secs_f64();
        if part <= self.reservoir {
            return 0;
        }
        if part >= self.upper {
            return highest;
        }
        let (low, high) = (view.film.rate_bps(0), view.film.rate_bps(highest));
        let line = low + (high - low) * (part - self.reservoir) / (self.upper - self.reservoir);
        // The quality stays until the line crosses the next one above or below.
        let last = view.last.unwrap_or(0);
        let above = view.film.rate_bps((last + 1).min(highest));
        let below = view.film.rate_bps(last.saturating_sub(1));
        if line >= above {
            rates.iter().rposition(|rate| (rate.0 as f64) < line).unwrap_or(0).max(last)
        } else if line <= below {
            rates.iter().position(|rate| rate.0 as f64 > line).unwrap_or(highest).min(last)
        } else {
            last
        }
    }
}
