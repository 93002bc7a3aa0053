//! What the reference prints at the end of a session, name by name.

use std::fmt;

use super::options::Options;
use super::playback::Playback;

/// The metrics of a session in the reference's order; `Display` writes them as it does.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// One line each.
    pub lines: Vec<Line>,
}

/// A metric by the reference's name; what its number means is the reference's matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Such as `time average score`.
    pub name: &'static str,
    /// Not rounded.
    pub value: f64,
    /// How many decimals the reference prints: 6 or 0.
    pub decimals: usize,
}

/// How good the estimates were, as running means.
#[derive(Default)]
pub(super) struct Accuracy {
    over_count: f64,
    over: f64,
    under_count: f64,
    under: f64,
    all: f64,
}

impl Accuracy {
    /// Books an estimate and what came, both in kbit/s.
    pub(super) fn compare(&mut self, estimate: f64, came: f64) {
        if estimate > came {
            self.over_count += 1.0;
            self.over += (estimate - came - self.over) / self.over_count;
        } else {
            self.under_count += 1.0;
            self.under += (came - estimate - self.under) / self.under_count;
        }
        self.all += (estimate - came - self.all) / (self.over_count + self.under_count);
    }
}

impl Report {
    /// The value of a metric, if there is one of this name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.lines.iter().find(|line| line.name == name).map(|line| line.value)
    }

    pub(super) fn new(options: &Options, playback: &Playback<'_>, accuracy: &Accuracy) -> Report {
        let segment = playback.movie.segment_ms;
        let average = 1.0 / (playback.total_play_ms / segment);
        let penalty = options.gamma_p * playback.rebuffer_ms / segment;
        let film_ms = playback.movie.sizes_bits.len() as f64 * segment;
        // A mean of nothing is printed without decimals.
        let mean = |count: f64| if count == 0.0 { 0 } else { 6 };
        let line = |(name, value, decimals)| Line { name, value, decimals };
        let Playback { played_utility, played_bitrate, total_play_ms, .. } = *playback;
        let Playback { rebuffer_ms, rebuffer_events, bitrate_change, log_change, .. } = *playback;
        let lines = [
            ("buffer size", (options.buffer_s * 1000.0).trunc(), 0),
            ("total played utility", played_utility, 6),
            ("time average played utility", played_utility * average, 6),
            ("total played bitrate", played_bitrate, 6),
            ("time average played bitrate", played_bitrate * average, 6),
            ("total play time", total_play_ms / 1000.0, 6),
            ("total play time chunks", total_play_ms / segment, 6),
            ("total rebuffer", rebuffer_ms / 1000.0, 6),
            ("rebuffer ratio", rebuffer_ms / total_play_ms, 6),
            ("time average rebuffer", rebuffer_ms / 1000.0 * average, 6),
            ("total rebuffer events", rebuffer_events, 6),
            ("time average rebuffer events", rebuffer_events * average, 6),
            ("total bitrate change", bitrate_change, 6),
            ("time average bitrate change", bitrate_change * average, 6),
            ("total log bitrate change", log_change, 6),
            ("time average log bitrate change", log_change * average, 6),
            ("time average score", average * (played_utility - penalty), 6),
            ("over estimate count", accuracy.over_count, 0),
            ("over estimate", accuracy.over, mean(accuracy.over_count)),
            ("leq estimate count", accuracy.under_count, 0),
            ("leq estimate", accuracy.under, mean(accuracy.under_count)),
            ("estimate", accuracy.all, 6),
            ("rampup time", playback.ramp_up_ms.unwrap_or(film_ms) / 1000.0, 6),
            ("total reaction time", playback.reactions.total_ms / 1000.0, 6),
        ];
        Report { lines: lines.map(line).to_vec() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { name, value, decimals } in &self.lines {
            writeln!(f, "{name}: {value:.decimals$}")?;
        }
        Ok(())
    }
}
