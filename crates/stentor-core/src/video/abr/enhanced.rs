//! BOLA-E: BOLA that starts fast, because it counts film that it did not fetch (Spiteri, Sitaraman
//! and Sparacio, "From Theory to Practice", MMSys 2018, section 4).

use std::time::Duration;

use super::bola::{best, cheaper, utilities};
use super::{Choice, Safety, View, carried_now, left_bits};
use crate::video::film::Film;
use crate::video::session::Download;

/// Below this level the lowest quality is preferred, in seconds.
const MINIMUM_S: f64 = 10.0;
/// Each quality wants so many more seconds of buffer, at least.
const PER_LEVEL_S: f64 = 2.0;

/// BOLA-E with what it remembers.
#[derive(Clone, Debug, PartialEq)]
pub struct BolaE {
    utilities: Vec<f64>,
    safety: Safety,
    /// What would be buffered if nothing had been waited for, in seconds.
    placeholder_s: f64,
    last: usize,
    started: bool,
    scale: Scale,
}

/// The two constants of BOLA's score, which follow from the buffer's size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Scale {
    vp_s: f64,
    gp: f64,
}

impl BolaE {
    /// BOLA-E for a film.
    pub fn new(film: &Film) -> BolaE {
        BolaE {
            utilities: utilities(film, 1.0),
            safety: Safety(Safety::FIRST),
            placeholder_s: 0.0,
            last: 0,
            started: false,
            scale: Scale::default(),
        }
    }

    fn measure(&mut self, view: &View<'_>) {
        let levels = PER_LEVEL_S * self.utilities.len() as f64;
        let buffer_s = (MINIMUM_S + levels).max(view.capacity.as_secs_f64());
        let most = self.utilities.last().copied().unwrap_or(1.0);
        // With one quality there is nothing to choose, and any scale will do.
        let gp = ((most - 1.0) / (buffer_s / MINIMUM_S - 1.0)).max(f64::MIN_POSITIVE.sqrt());
        self.scale = Scale { vp_s: MINIMUM_S / gp, gp };
    }

    pub(super) fn choose(&mut self, view: &View<'_>) -> Choice {
        if view.estimate.is_none() {
            return Choice::default();
        }
        self.measure(view);
        let level_s = view.level.as_secs_f64();
        let carried = carried_now(view);
        if !self.started {
            self.started = true;
            self.placeholder_s = (self.level_min(view, carried) - level_s).max(0.0);
            return Choice { quality: carried, wait: Duration::ZERO };
        }
        let seen_s = level_s + self.placeholder_s;
        let mut quality = self.preferred(view, seen_s);
        if quality > self.last && quality > carried {
            quality = (self.last.max(carried) + 1).min(self.utilities.len() - 1);
        }
        // More than this quality ever wants: the placeholder gives way first, then the player waits.
        let mut wait_s = (seen_s - self.level_max(quality)).max(0.0);
        let given = wait_s.min(self.placeholder_s);
        self.placeholder_s -= given;
        wait_s -= given;
        if quality + 1 == self.utilities.len() {
            wait_s = 0.0;
        }
        if let Some(lower) = self.safety.falls(view, quality) {
            let most = (self.level_min(view, lower) - level_s).max(0.0);
            self.placeholder_s = self.placeholder_s.min(most);
            (quality, wait_s) = (lower, 0.0);
        }
        Choice { quality, wait: Duration::try_from_secs_f64(wait_s).unwrap_or_default() }
    }

    pub(super) fn waited(&mut self, time: Duration) {
        self.placeholder_s += time.as_secs_f64();
    }

    /// Keeps the placeholder within what the chosen quality says about the level before.
    pub(super) fn received(&mut self, view: &View<'_>, download: &Download) {
        self.last = download.quality;
        if !self.started {
            return;
        }
        let chunk_s = view.film.duration(download.chunk).as_secs_f64();
        let level_s = (view.level.as_secs_f64() - chunk_s).max(0.0);
        let before_s = level_s + download.total.as_secs_f64();
        let most = (self.level_max(download.quality) - before_s).max(0.0);
        self.placeholder_s = self.placeholder_s.min(most);
        // An empty buffer means a freeze, which must not look like film that was not fetched.
        if level_s > 0.0 {
            let least = self.level_min(view, download.quality) - before_s;
            self.placeholder_s = self.placeholder_s.max(least);
        }
    }

    pub(super) fn abandons(&self, view: &View<'_>, download: &Download) -> Option<usize> {
        let left = left_bits(download)?;
        let bps = download.throughput_bps()?;
        let latency_s = download.latency.as_secs_f64();
        // Another request costs another latency, in which this one would go on.
        let level_s = (view.level.as_secs_f64() + self.placeholder_s - latency_s).max(0.0);
        let left = left - latency_s * bps;
        if left <= 0.0 {
            return None;
        }
        let score = |quality, bits| {
            (self.scale.vp_s * (self.utility(quality) + self.scale.gp) - level_s) / bits
        };
        cheaper(view, download, score(download.quality, left), left, score)
    }

    /// Something went wrong: the placeholder falls to a cautious level.
    pub(super) fn abandoned(&mut self, view: &View<'_>, to: usize) {
        self.last = to;
        let wanted_s = if to > 0 { self.level_min(view, to) } else { MINIMUM_S };
        let most = (wanted_s - view.level.as_secs_f64()).max(0.0);
        self.placeholder_s = self.placeholder_s.min(most);
    }

    fn preferred(&self, view: &View<'_>, level_s: f64) -> usize {
        let rates = view.film.rates().iter().map(|rate| rate.0 as f64).zip(&self.utilities);
        let Scale { vp_s, gp } = self.scale;
        best(rates.map(|(rate, utility)| (vp_s * (utility + gp) - level_s) / rate))
    }

    /// From this level on `quality` is preferred to every lower one, in seconds.
    fn level_min(&self, view: &View<'_>, quality: usize) -> f64 {
        let (rate, utility) = (view.film.rate_bps(quality), self.utility(quality));
        let from = (0..quality).map(|lower| {
            let (b, u) = (view.film.rate_bps(lower), self.utility(lower));
            self.scale.vp_s * (self.scale.gp + (rate * u - b * utility) / (rate - b))
        });
        from.fold(0.0, f64::max)
    }

    /// Above this level `quality` is worth nothing more, in seconds.
    fn level_max(&self, quality: usize) -> f64 {
        self.scale.vp_s * (self.utility(quality) + self.scale.gp)
    }

    fn utility(&self, quality: usize) -> f64 {
        self.utilities.get(quality).copied().unwrap_or(1.0)
    }
}
