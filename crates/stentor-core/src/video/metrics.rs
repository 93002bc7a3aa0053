//! How good a session was, in numbers with units and sources.

use std::time::Duration;

use super::buffer;
use super::film::Film;
use super::session::{Event, What};
use crate::moment::Moment;

/// What a second of rebuffering costs in the linear QoE, in Mbit/s: Pensieve (Mao et al., SIGCOMM
/// 2017), table 1.
pub const REBUFFER_LINEAR: f64 = 4.3;
/// What a second of rebuffering costs in the logarithmic QoE: Pensieve, table 1.
pub const REBUFFER_LOG: f64 = 2.66;
/// What rebuffering for one chunk costs in BOLA's score: gamma p of Spiteri et al. (INFOCOM 2016).
pub const GAMMA_P: f64 = 5.0;

/// The figures of a session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// From the first request to the first picture.
    pub start_up: Duration,
    /// How often playing stopped after the start.
    pub stalls: u64,
    /// How long it stood still altogether, after the start.
    pub stalled: Duration,
    /// How much film was played.
    pub played: Duration,
    /// Bit rate of the played qualities, weighted with the time they play, in bit/s.
    pub mean_bps: f64,
    /// How often a chunk has another quality than the one before it.
    pub switches: u64,
    /// The sum of those changes, in bit/s.
    pub switched_bps: f64,
    /// Downloads given up on their way.
    pub abandoned: u64,
    /// Bytes that were fetched and not played.
    pub wasted_bytes: u64,
    /// The sum over all chunks of R - |change of R|, with R in Mbit/s, less 4.3 for each second of
    /// rebuffering (Pensieve's QoE_lin). Start-up counts for nothing, as in Pensieve's comparisons.
    pub qoe_linear: f64,
    /// The same with R = ln(rate / lowest rate), and 2.66 for each second (Pensieve's QoE_log).
    pub qoe_log: f64,
    /// The sum of ln(rate / lowest rate) over all chunks, less 5 for each chunk's time of
    /// rebuffering, divided by the session's length in chunks (BOLA's objective, as Sabre scores it).
    pub bola_score: f64,
}

impl Metrics {
    /// Judges a session of `film` by its events. One that was cut short is judged up to `end`.
    pub fn of(film: &Film, events: &[Event], end: Moment) -> Metrics {
        let mut metrics = Metrics::default();
        let (mut started, mut stalled) = (None, None);
        let mut qualities = Vec::new();
        for Event { at, what } in events {
            match what {
                What::Buffer(buffer::What::Started) => started = Some(*at),
                What::Buffer(buffer::What::Stalled) => {
                    stalled = Some(*at);
                    metrics.stalls += 1;
                }
                What::Buffer(buffer::What::Resumed | buffer::What::Ended) => {
                    metrics.stalled +=
                        stalled.take().map_or(Duration::ZERO, |since| at.since(since));
                }
                What::Received(download) => qualities.push((download.chunk, download.quality)),
                What::Abandoned { download, .. } => {
                    metrics.abandoned += 1;
                    metrics.wasted_bytes += download.bytes;
                }
                What::Failed { download, .. } => metrics.wasted_bytes += download.bytes,
                What::Requested { .. } | What::Buffer(buffer::What::Full | buffer::What::Room) => {}
            }
        }
        metrics.stalled += stalled.map_or(Duration::ZERO, |since| end.since(since));
        metrics.start_up = started.unwrap_or(end).since(Moment::START);
        let received: Duration = qualities.iter().map(|(chunk, _)| film.duration(*chunk)).sum();
        let since_start = started.map_or(Duration::ZERO, |started| end.since(started));
        metrics.played = received.min(since_start.saturating_sub(metrics.stalled));
        metrics.judge(film, &qualities, end);
        metrics
    }

    /// Sums over the chunks, with the number and quality of each.
    fn judge(&mut self, film: &Film, chunks: &[(usize, usize)], end: Moment) {
        let lowest = film.rate_bps(0);
        let (mut weighted, mut seconds) = (0.0, 0.0);
        let (mut linear, mut log, mut utility) = (0.0, 0.0, 0.0);
        let mut before = None;
        for (chunk, quality) in chunks {
            let (rate, chunk_s) = (film.rate_bps(*quality), film.duration(*chunk).as_secs_f64());
            weighted += rate * chunk_s;
            seconds += chunk_s;
            let change = before.map_or(0.0, |before: f64| (rate - before).abs());
            let log_change = before.map_or(0.0, |before: f64| (rate / before).ln().abs());
            linear += (rate - change) / 1e6;
            log += (rate / lowest).ln() - log_change;
            utility += (rate / lowest).ln();
            self.switches += u64::from(change > 0.0);
            self.switched_bps += change;
            before = Some(rate);
        }
        let stalled_s = self.stalled.as_secs_f64();
        self.qoe_linear = linear - REBUFFER_LINEAR * stalled_s;
        self.qoe_log = log - REBUFFER_LOG * stalled_s;
        if !chunks.is_empty() && seconds > 0.0 {
            self.mean_bps = weighted / seconds;
            let chunk_s = seconds / chunks.len() as f64;
            let session_chunks = end.as_nanos() as f64 / 1e9 / chunk_s;
            let cost = GAMMA_P * stalled_s / chunk_s;
            self.bola_score =
                if session_chunks > 0.0 { (utility - cost) / session_chunks } else { 0.0 };
        }
    }

    /// The part of the time after the start in which playing stood still, 0 to 1.
    pub fn stall_ratio(&self) -> f64 {
        let all_s = (self.stalled + self.played).as_secs_f64();
        if all_s > 0.0 { self.stalled.as_secs_f64() / all_s } else { 0.0 }
    }

    /// How much linear QoE per chunk `best` has more, such as that of the oracle: 0 is as good.
    pub fn distance(&self, best: &Metrics, chunks: usize) -> f64 {
        (best.qoe_linear - self.qoe_linear) / chunks.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::BitRate;
    use crate::video::session::Download;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    fn buffer(ms: u64, what: buffer::What) -> Event {
        Event { at: at(ms), what: What::Buffer(what) }
    }

    fn download(chunk: usize, quality: usize) -> Download {
        let (latency, total) = (Duration::ZERO, Duration::from_secs(1));
        Download { chunk, quality, size_bytes: 1000, bytes: 1000, latency, total }
    }

    fn received(ms: u64, chunk: usize, quality: usize) -> Event {
        Event { at: at(ms), what: What::Received(download(chunk, quality)) }
    }

    /// Three chunks of 2 s at 1, 1 and 4 Mbit/s, one stall of 1.5 s, one abandoned download.
    #[test]
    fn every_figure_is_what_the_hand_computes() {
        let rates = [BitRate(1_000_000), BitRate(4_000_000)];
        let film = Film::even(&rates, Duration::from_secs(2), 3).unwrap();
        let events = [
            received(500, 0, 0),
            buffer(500, buffer::What::Started),
            received(1500, 1, 0),
            Event { at: at(3000), what: What::Abandoned { download: download(2, 1), to: 0 } },
            buffer(4500, buffer::What::Stalled),
            received(6000, 2, 1),
            buffer(6000, buffer::What::Resumed),
            buffer(8000, buffer::What::Ended),
        ];
        let metrics = Metrics::of(&film, &events, at(8000));
        let close = |left: f64, right: f64| assert!((left - right).abs() < 1e-12, "{left} {right}");
        assert_eq!(metrics.start_up, Duration::from_millis(500));
        assert_eq!((metrics.stalls, metrics.stalled), (1, Duration::from_millis(1500)));
        assert_eq!(metrics.played, Duration::from_secs(6));
        close(metrics.stall_ratio(), 1.5 / 7.5);
        close(metrics.mean_bps, 2e6);
        assert_eq!((metrics.switches, metrics.abandoned, metrics.wasted_bytes), (1, 1, 1000));
        close(metrics.switched_bps, 3e6);
        // 1 + 1 + 4 - |4 - 1| - 4.3 * 1.5.
        close(metrics.qoe_linear, 3.0 - 6.45);
        // ln 4 - ln 4 - 2.66 * 1.5.
        close(metrics.qoe_log, -3.99);
        // (ln 4 - 5 * 1.5 / 2) / (8 / 2).
        close(metrics.bola_score, (4.0_f64.ln() - 3.75) / 4.0);
        let best = Metrics { qoe_linear: 3.0, ..Metrics::default() };
        close(metrics.distance(&best, 3), 6.45 / 3.0);
    }

    #[test]
    fn a_session_that_was_cut_short_counts_up_to_then() {
        let film = Film::even(&[BitRate(1000)], Duration::from_secs(2), 3).unwrap();
        let events = [
            received(0, 0, 0),
            buffer(1000, buffer::What::Started),
            buffer(3000, buffer::What::Stalled),
        ];
        let metrics = Metrics::of(&film, &events, at(4000));
        assert_eq!(
            (metrics.stalled, metrics.played),
            (Duration::from_secs(1), Duration::from_secs(2))
        );
        let nothing = Metrics::of(&film, &[], at(700));
        assert_eq!(nothing.start_up, Duration::from_millis(700));
        assert_eq!((nothing.mean_bps, nothing.stall_ratio()), (0.0, 0.0));
    }
}
