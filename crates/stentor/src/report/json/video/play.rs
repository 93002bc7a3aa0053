//! The mirror of a session of `video play`: schema `stentor.video-play/1`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use stentor_core::moment::Moment;
use stentor_core::video::columns::Column;
use stentor_core::video::metrics::Metrics;

use crate::drive::video::outcome::{self as drive, Fetch};
use crate::report::json::ns;
use crate::report::video::play::crowd::{Crowd, Spread};
use crate::report::video::play::{self as video, Report};

/// Name and version of the form.
pub const SCHEMA: &str = "stentor.video-play/1";

/// What was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Config {
    pub source: String,
    pub fetch: &'static str,
    pub chooser: String,
    pub buffer_ns: u64,
    pub start_ns: u64,
    pub resume_ns: u64,
    pub film: Option<String>,
    pub link: Option<String>,
    pub seed: Option<u64>,
    pub timeout_ns: u64,
}

/// What was measured: of one session, or of many.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Outcome {
    pub session: Option<Session>,
    pub clients: Option<Clients>,
}

/// A session.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Session {
    pub simulated: bool,
    pub took_ns: u64,
    pub interrupted: bool,
    pub trouble: Option<Trouble>,
    pub film: Film,
    pub requests: Requests,
    /// How far into the trace of a link the session began: --sim repeats it with --from.
    pub began_ns: u64,
    pub connections: u64,
    pub wrong_sizes: u64,
    pub received_bytes: u64,
    pub wasted_bytes: u64,
    pub start_up_ns: u64,
    pub stalls: Vec<Stall>,
    pub stalled_ns: u64,
    pub stall_ratio: f64,
    pub full_ns: Option<u64>,
    pub played_ns: u64,
    pub mean_bps: f64,
    pub switches: u64,
    pub switched_bps: f64,
    pub qoe_linear: f64,
    pub qoe_log: f64,
    pub bola_score: f64,
    pub stream: Option<Stream>,
    pub oracle: Option<Oracle>,
    pub predicted: Option<Predicted>,
}

/// What was played.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Film {
    pub found: String,
    pub length_ns: u64,
    pub chunks: u64,
    pub rates_bps: Vec<u64>,
    pub exact_sizes: bool,
}

/// What became of the requests: requested = received + abandoned + failed + unfinished.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Requests {
    pub requested: u64,
    pub received: u64,
    pub abandoned: u64,
    pub failed: u64,
    pub unfinished: u64,
}

/// Playing stood still.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Stall {
    pub at_ns: u64,
    pub length_ns: u64,
    pub played_ns: u64,
}

/// One request for the whole film, and what TCP did with a full buffer.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Stream {
    pub film_bytes: u64,
    pub received_bytes: u64,
    pub arrival_bps: u64,
    pub playout_bps: u64,
    pub receive_buffer_bytes: u64,
    pub zero_windows: u64,
    pub zero_window_ns: u64,
}

/// Why a session did not come to its end.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Trouble {
    pub what: String,
    pub next: String,
}

/// The best session over the same network.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Oracle {
    pub qoe_linear: f64,
    pub mean_bps: f64,
    pub stalled_ns: u64,
    pub distance: f64,
}

/// What formulae say of one quality over a link that is always as fast.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Predicted {
    pub arrival_bps: f64,
    pub arrival_bytes_per_s: f64,
    pub playout_bps: f64,
    pub playout_bytes_per_s: f64,
    pub start_bits: f64,
    pub start_bytes: f64,
    pub buffer_bits: f64,
    pub buffer_bytes: f64,
    pub fluid: Prediction,
    pub chunked: Prediction,
    pub measured: Prediction,
}

/// A column: medians of the times of playing and of freezing.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Prediction {
    pub start_up_s: Option<f64>,
    pub plays_s: Option<f64>,
    pub freeze_s: Option<f64>,
    pub freezes: u64,
    pub frozen_s: f64,
    pub full_s: Option<f64>,
    pub end_s: Option<f64>,
}

/// Many players: clients = ended + troubled + interrupted.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Clients {
    pub clients: u64,
    pub ended: u64,
    pub troubled: u64,
    pub interrupted: u64,
    pub smooth: u64,
    pub took_ns: u64,
    pub received_bytes: u64,
    pub wasted_bytes: u64,
    pub fairness: Option<f64>,
    pub start_up_s: Quantiles,
    pub stalls: Quantiles,
    pub stalled_s: Quantiles,
    pub stall_ratio: Quantiles,
    pub mean_bps: Quantiles,
    pub switches: Quantiles,
    pub qoe_linear: Quantiles,
    pub troubles: Vec<Repeated>,
}

/// How a quantity is spread among players; `null` where nobody has it.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Quantiles {
    pub min: Option<f64>,
    pub mean: Option<f64>,
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
}

/// What failed, and for how many players.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/video.md describes each key")]
pub struct Repeated {
    pub what: String,
    pub times: u64,
}

impl From<&drive::Config> for Config {
    fn from(config: &drive::Config) -> Config {
        Config {
            source: config.source.clone(),
            fetch: match config.fetch {
                Fetch::Chunked => "chunked",
                Fetch::Progressive => "progressive",
            },
            chooser: config.chooser.clone(),
            buffer_ns: ns(config.policy.capacity()),
            start_ns: ns(config.policy.start()),
            resume_ns: ns(config.policy.resume()),
            film: config.film.clone(),
            link: config.link.clone(),
            seed: config.seed,
            timeout_ns: ns(config.silence_max),
        }
    }
}

impl From<&Report<'_>> for Session {
    fn from(report: &Report<'_>) -> Session {
        let (outcome, metrics) = (report.outcome, &report.outcome.metrics);
        let oracle = report.known.oracle.as_ref().zip(report.distance());
        Session {
            simulated: report.known.simulated,
            took_ns: outcome.end.as_nanos(),
            interrupted: outcome.interrupted,
            trouble: outcome
                .trouble
                .as_ref()
                .map(|trouble| Trouble { what: trouble.what.clone(), next: trouble.next.clone() }),
            film: Film::from(outcome),
            requests: Requests::from(report.counts),
            began_ns: outcome.account.began.as_nanos(),
            connections: outcome.account.connections,
            wrong_sizes: outcome.account.wrong_sizes,
            received_bytes: report.counts.bytes,
            wasted_bytes: metrics.wasted_bytes,
            start_up_ns: ns(metrics.start_up),
            stalls: report.course.stalls.iter().map(Stall::from).collect(),
            stalled_ns: ns(metrics.stalled),
            stall_ratio: metrics.stall_ratio(),
            full_ns: report.course.full.map(Moment::as_nanos),
            played_ns: ns(metrics.played),
            mean_bps: metrics.mean_bps,
            switches: metrics.switches,
            switched_bps: metrics.switched_bps,
            qoe_linear: metrics.qoe_linear,
            qoe_log: metrics.qoe_log,
            bola_score: metrics.bola_score,
            stream: outcome.account.progressive.as_ref().map(Stream::from),
            oracle: oracle.map(|(best, distance)| Oracle::of(best, distance)),
            predicted: report.predicted.as_ref().map(Predicted::from),
        }
    }
}

impl From<&drive::Outcome> for Film {
    fn from(outcome: &drive::Outcome) -> Film {
        let film = &outcome.film;
        Film {
            found: outcome.account.found.clone(),
            length_ns: ns(film.length()),
            chunks: film.chunks().len() as u64,
            rates_bps: film.rates().iter().map(|rate| rate.0).collect(),
            exact_sizes: outcome.account.exact,
        }
    }
}

impl From<video::Counts> for Requests {
    fn from(counts: video::Counts) -> Requests {
        Requests {
            requested: counts.requested,
            received: counts.received,
            abandoned: counts.abandoned,
            failed: counts.failed,
            unfinished: counts.unfinished,
        }
    }
}

impl From<&drive::Progressive> for Stream {
    fn from(stream: &drive::Progressive) -> Stream {
        Stream {
            film_bytes: stream.film_bytes,
            received_bytes: stream.received_bytes,
            arrival_bps: stream.arrival_bps,
            playout_bps: stream.playout_bps,
            receive_buffer_bytes: stream.receive_buffer_bytes,
            zero_windows: stream.zero_windows,
            zero_window_ns: ns(stream.zero_window),
        }
    }
}

impl From<&video::Stall> for Stall {
    fn from(stall: &video::Stall) -> Stall {
        Stall {
            at_ns: stall.at.as_nanos(),
            length_ns: ns(stall.length),
            played_ns: ns(stall.played),
        }
    }
}

impl Oracle {
    fn of(best: &Metrics, distance: f64) -> Oracle {
        Oracle {
            qoe_linear: best.qoe_linear,
            mean_bps: best.mean_bps,
            stalled_ns: ns(best.stalled),
            distance,
        }
    }
}

impl From<&video::Predicted> for Predicted {
    fn from(predicted: &video::Predicted) -> Predicted {
        Predicted {
            arrival_bps: predicted.arrival_bps,
            arrival_bytes_per_s: predicted.arrival_bps / 8.0,
            playout_bps: predicted.playout_bps,
            playout_bytes_per_s: predicted.playout_bps / 8.0,
            start_bits: predicted.start_bytes * 8.0,
            start_bytes: predicted.start_bytes,
            buffer_bits: predicted.buffer_bytes * 8.0,
            buffer_bytes: predicted.buffer_bytes,
            fluid: Prediction::from(&predicted.fluid),
            chunked: Prediction::from(&predicted.chunked),
            measured: Prediction::from(&predicted.measured),
        }
    }
}

impl From<&Column> for Prediction {
    fn from(column: &Column) -> Prediction {
        Prediction {
            start_up_s: column.start_up_s,
            plays_s: video::plays_for_s(column),
            freeze_s: video::typical_s(&column.freezes),
            freezes: column.freezes.len() as u64,
            // The sum of no numbers is -0.
            frozen_s: column.frozen_s().abs(),
            full_s: column.full_s,
            end_s: column.end_s,
        }
    }
}

impl Clients {
    /// Those of a run that took so long.
    pub fn of(crowd: &Crowd, took: Duration) -> Clients {
        let repeated =
            |(what, times): &(String, u64)| Repeated { what: what.clone(), times: *times };
        Clients {
            clients: crowd.clients,
            ended: crowd.ended,
            troubled: crowd.troubled,
            interrupted: crowd.interrupted,
            smooth: crowd.smooth,
            took_ns: ns(took),
            received_bytes: crowd.bytes,
            wasted_bytes: crowd.wasted_bytes,
            fairness: crowd.fairness,
            start_up_s: crowd.start_up_s.into(),
            stalls: crowd.stalls.into(),
            stalled_s: crowd.stalled_s.into(),
            stall_ratio: crowd.stall_ratio.into(),
            mean_bps: crowd.mean_bps.into(),
            switches: crowd.switches.into(),
            qoe_linear: crowd.qoe_linear.into(),
            troubles: crowd.troubles.iter().map(repeated).collect(),
        }
    }
}

impl From<Spread> for Quantiles {
    fn from(spread: Spread) -> Quantiles {
        let Spread { min, p50, p90, p99, max, mean } = spread;
        Quantiles { min, mean, p50, p90, p99, max }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::report::video::play::samples::{broken, ladder, lecture, stream};

    #[test]
    fn counts_add_up_and_units_are_the_lecture_s_two() {
        for (config, outcome, known) in [lecture(800, 4), ladder(), stream(), broken()] {
            let report = Report::of(&config, &outcome, &known, SystemTime::UNIX_EPOCH);
            let session = Session::from(&report);
            let Requests { requested, received, abandoned, failed, unfinished } = session.requests;
            assert_eq!(requested, received + abandoned + failed + unfinished, "{config:?}");
            let stalled: u64 = session.stalls.iter().map(|stall| stall.length_ns).sum();
            assert_eq!(stalled, session.stalled_ns);
            if let Some(predicted) = session.predicted {
                assert_eq!(predicted.arrival_bps, predicted.arrival_bytes_per_s * 8.0);
                assert_eq!(predicted.start_bits, predicted.start_bytes * 8.0);
                assert_eq!(predicted.measured.freezes, session.stalls.len() as u64);
            }
        }
    }

    #[test]
    fn the_oracle_is_at_least_as_good() {
        let (config, outcome, known) = ladder();
        let report = Report::of(&config, &outcome, &known, SystemTime::UNIX_EPOCH);
        let session = Session::from(&report);
        let oracle = session.oracle.unwrap();
        let chunks = session.film.chunks as f64;
        assert!(oracle.qoe_linear >= session.qoe_linear && oracle.distance >= 0.0);
        let more = (oracle.qoe_linear - session.qoe_linear) / chunks;
        assert!((oracle.distance - more).abs() < 1e-9);
    }

    #[test]
    fn players_add_up() {
        let outcomes = [lecture(800, 4).1, lecture(2000, 4).1, broken().1];
        let clients = Clients::of(&Crowd::of(&outcomes), Duration::from_secs(3));
        let Clients { clients: all, ended, troubled, interrupted, .. } = clients;
        assert_eq!((all, ended + troubled + interrupted), (3, 3));
        // The one that failed never began.
        assert_eq!((clients.start_up_s.p50, clients.start_up_s.max), (Some(2.0), Some(5.0)));
    }
}
