//! Sessions for the tests of the reports, most of them simulated, the rest made by hand.

use std::time::Duration;

use stentor_core::moment::Moment;
use stentor_core::units::BitRate;
use stentor_core::video::abr::Rule;
use stentor_core::video::buffer::{self, Policy};
use stentor_core::video::film::{Chunk, Film};
use stentor_core::video::metrics::Metrics;
use stentor_core::video::network::{Network, Period};
use stentor_core::video::session::{Download, Event, What};
use stentor_core::video::simulator;

use super::Known;
use crate::drive::video::outcome::{
    Account, Config, Failure, Fetch, Outcome, Progressive, Sample, Trouble,
};

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn ms(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

pub(crate) fn policy(capacity: u64, start: u64, resume: u64) -> Policy {
    Policy::new(seconds(capacity), seconds(start), seconds(resume)).unwrap()
}

pub(crate) fn config(source: &str, chooser: &str, policy: Policy) -> Config {
    Config {
        source: source.to_owned(),
        fetch: Fetch::Chunked,
        chooser: chooser.to_owned(),
        policy,
        film: None,
        link: None,
        seed: None,
        silence_max: seconds(5),
    }
}

fn simulated(film: Film, network: &Network, policy: Policy, rule: Rule) -> Outcome {
    let played = simulator::play(&film, network, policy, rule);
    Outcome {
        film: film.into(),
        policy,
        events: played.events,
        samples: Vec::new(),
        end: played.end,
        metrics: played.metrics,
        interrupted: false,
        trouble: None,
        account: Account { exact: true, ..Account::default() },
    }
}

/// The lecture's film of 120 s at 1 Mbit/s over `x_kbps`, Q = 4 s.
pub(crate) fn lecture(x_kbps: u64, resume: u64) -> (Config, Outcome, Known) {
    let film = Film::even(&[BitRate(1_000_000)], seconds(1), 120).unwrap();
    let network = Network::steady(BitRate(x_kbps * 1000), Duration::ZERO).unwrap();
    let policy = policy(10, 4, resume);
    let outcome = simulated(film, &network, policy, Rule::Fixed(0));
    let known = Known { simulated: true, ..Known::recorded(&network, outcome.end) };
    (config("lecture", "fixed:0", policy), outcome, known)
}

/// Four qualities whose sizes vary over a link that falls and rises, with a download given up.
pub(crate) fn ladder() -> (Config, Outcome, Known) {
    let rates: Vec<BitRate> = [300, 700, 1500, 3000].map(|kbps| BitRate(kbps * 1000)).into();
    let chunk = |number: u64| {
        let factor = 80 + number * 37 % 41;
        let bytes = rates.iter().map(|rate| rate.0 * 2 / 8 * factor / 100).collect();
        Chunk { duration: seconds(2), bytes }
    };
    let film = Film::new(rates.clone(), (0..30).map(chunk).collect()).unwrap();
    let period = |s: u64, kbps: u64| Period {
        duration: seconds(s),
        rate: BitRate(kbps * 1000),
        latency: Duration::from_millis(80),
    };
    let network =
        Network::of_periods(&[period(14, 4000), period(8, 350), period(18, 2200), period(7, 900)]);
    let network = network.unwrap();
    let policy = policy(16, 4, 2);
    let rule = Rule::named("bola", &film).unwrap();
    let outcome = simulated(film, &network, policy, rule);
    let film = &outcome.film;
    let best = stentor_core::video::abr::plan(film, &network, policy);
    let best = simulator::play(film, &network, policy, Rule::Planned(best)).metrics;
    let known =
        Known { simulated: true, oracle: Some(best), ..Known::recorded(&network, outcome.end) };
    let config = Config { seed: Some(7), ..config("train.json", "bola", policy) };
    (config, outcome, known)
}

/// A stream of 20 s that is read in bytes: x = 2 R, so that both buffers fill and the window shuts.
pub(crate) fn stream() -> (Config, Outcome, Known) {
    let film = Film::even(&[BitRate(1_000_000)], seconds(1), 20).unwrap();
    let policy = policy(5, 2, 2);
    let mut samples = Vec::new();
    // Full after 4 s: from then on the application reads at R, and the kernel's 400 kB fill.
    for step in 0..=100u64 {
        let at = step * 210;
        let played = at.saturating_sub(1000).min(20_000) * 125;
        let came = (at * 250).min(625_000 + played).min(2_500_000);
        let held = came - played;
        let waits = (at * 250).min(2_500_000) - came;
        let socket = waits.min(400_000);
        samples.push(Sample {
            at: ms(at),
            level: Duration::from_millis(held / 125),
            buffered_bytes: held,
            received_bytes: came,
            socket_bytes: Some(socket),
            window_bytes: Some(400_000 - socket),
            server_bytes: None,
        });
    }
    let event = |at, what| Event { at: ms(at), what };
    let events = vec![
        event(0, What::Requested { chunk: 0, quality: 0, level: Duration::ZERO }),
        event(1000, What::Buffer(buffer::What::Started)),
        event(4000, What::Buffer(buffer::What::Full)),
        event(21_000, What::Buffer(buffer::What::Ended)),
    ];
    let metrics = Metrics::of(&film, &events, ms(21_000));
    let progressive = Some(Progressive {
        film_bytes: 2_500_000,
        received_bytes: 2_500_000,
        playout_bps: 1_000_000,
        arrival_bps: 1_996_000,
        capacity_bytes: 625_000,
        start_bytes: 250_000,
        resume_bytes: 250_000,
        receive_buffer_bytes: 800_000,
        zero_windows: 1,
        zero_window: Duration::from_millis(11_130),
    });
    let outcome = Outcome {
        film: film.into(),
        policy,
        events,
        samples,
        end: ms(21_000),
        metrics,
        interrupted: false,
        trouble: None,
        account: Account { connections: 1, progressive, ..Account::default() },
    };
    let source = "http://127.0.0.1:12080/0/film.mp4";
    let config = Config {
        fetch: Fetch::Progressive,
        link: Some("rate=2Mbit".to_owned()),
        seed: Some(7),
        ..config(source, "fixed:0", policy)
    };
    (config, outcome, Known::steady(BitRate(2_000_000)))
}

/// A session that fails in its third chunk, and is ended by a person.
pub(crate) fn broken() -> (Config, Outcome, Known) {
    let (config, mut outcome, _) = lecture(800, 4);
    let cut = |event: &Event| event.at < ms(3000);
    outcome.events.retain(cut);
    outcome.end = ms(3000);
    outcome.metrics = Metrics::of(&outcome.film, &outcome.events, outcome.end);
    let what = "GET /0/2.m4s from <b>127.0.0.1</b>: 404 Not Found".to_owned();
    let lost = Download {
        chunk: 2,
        quality: 0,
        size_bytes: 125_000,
        bytes: 0,
        latency: Duration::from_millis(400),
        total: Duration::from_millis(400),
    };
    outcome.events.push(Event { at: ms(2900), what: What::Failed { download: lost, to: None } });
    outcome.account.failures =
        vec![Failure { at: ms(2900), chunk: 2, quality: 0, what: what.clone() }];
    let next = "Look at its log.".to_owned();
    outcome.trouble = Some(Trouble { what, next });
    (config, outcome, Known::default())
}
