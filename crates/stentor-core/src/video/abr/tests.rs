//! Each rule on inputs whose answer a hand can compute, and all of them on the recorded networks.

use serde_json::Value;

use super::*;
use crate::moment::Moment;
use crate::seed::{Dice, Seed};
use crate::units::BitRate;
use crate::video::buffer::Policy;
use crate::video::film::Chunk;
use crate::video::metrics::{Metrics, REBUFFER_LINEAR};
use crate::video::network::{Network, Period};
use crate::video::session::What;
use crate::video::simulator::play;

const SECOND: Duration = Duration::from_secs(1);

fn ladder() -> Film {
    let rates = [200_000, 400_000, 800_000, 1_600_000].map(BitRate);
    Film::even(&rates, SECOND * 2, 40).unwrap()
}

fn view(film: &Film, chunk: usize, level_s: f64, kbps: Option<f64>) -> View<'_> {
    let estimate = kbps.map(|kbps| Estimate { bps: kbps * 1e3, latency_s: 0.1 });
    let level = Duration::from_secs_f64(level_s);
    View { film, chunk, level, capacity: SECOND * 20, last: Some(0), estimate }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn film() -> Film {
    let film: Value =
        serde_json::from_str(include_str!("../../../tests/data/abr/film.json")).unwrap();
    let sizes: Vec<_> =
        film["segment_sizes_bits"].as_array().unwrap().iter().map(numbers).collect();
    let ms = film["segment_duration_ms"].as_f64().unwrap();
    Film::from_json_numbers(ms, &numbers(&film["bitrates_kbps"]), &sizes).unwrap()
}

fn networks() -> [(&'static str, Network); 4] {
    let read = |text: &str| {
        let periods: Value = serde_json::from_str(text).unwrap();
        let period = |(index, period): (usize, &Value)| {
            let number = |key: &str| period[key].as_f64().unwrap();
            let (ms, kbps) = (number("duration_ms"), number("bandwidth_kbps"));
            Period::from_json_numbers(index, ms, kbps, number("latency_ms")).unwrap()
        };
        let periods: Vec<_> = periods.as_array().unwrap().iter().enumerate().map(period).collect();
        Network::of_periods(&periods).unwrap()
    };
    [
        ("steady", read(include_str!("../../../tests/data/abr/steady.json"))),
        ("stairs", read(include_str!("../../../tests/data/abr/stairs.json"))),
        ("mobile", read(include_str!("../../../tests/data/abr/mobile.json"))),
        ("outage", read(include_str!("../../../tests/data/abr/outage.json"))),
    ]
}

fn policy() -> Policy {
    Policy::new(SECOND * 25, Duration::ZERO, Duration::ZERO).unwrap()
}

#[test]
fn rules_have_names() {
    let film = ladder();
    for (name, _) in NAMES {
        let name = name.replace(":N", ":3");
        let rule = Rule::named(&name, &film);
        assert_eq!(rule.is_err(), name == "oracle", "{name}");
    }
    let check = |name: &str, said: &str| {
        let error = Rule::named(name, &film).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    };
    check("fixed:4", "\"fixed:4\": the film has qualities 0 to 3");
    check("fixed:", "the film has qualities 0 to 3");
    check("best", "\"best\" is no rule; there are fixed:N, throughput, bba0");
    check("oracle", "has to know the network in advance");
}

#[test]
fn throughput_takes_what_nine_tenths_carry_in_time() {
    let film = ladder();
    let check = |level_s, kbps, expected| {
        let mut rule = Rule::named("throughput", &film).unwrap();
        let chosen = rule.choose(&view(&film, 5, level_s, kbps)).quality;
        assert_eq!(chosen, expected, "{level_s} {kbps:?}");
    };
    check(15.0, None, 0);
    // 0.1 + 2 * rate / (0.9 * throughput) <= 2: the rate may be 0.855 of the throughput.
    check(15.0, Some(400.0 / 0.855 + 1.0), 1);
    check(15.0, Some(400.0 / 0.855 - 1.0), 0);
    check(15.0, Some(1e5), 3);
    // 0.9 * (1.1 - 0.1) s * 1000 kbit/s are 900 kbit: a chunk of 400 kbit/s fits, not one of 800.
    check(1.1, Some(1000.0), 1);
}

#[test]
fn bba0_climbs_a_line_and_keeps_its_step() {
    let film = ladder();
    let check = |level_s, last, expected| {
        let mut rule = Rule::named("bba0", &film).unwrap();
        let view = View { last: Some(last), ..view(&film, 5, level_s, None) };
        assert_eq!(rule.choose(&view).quality, expected, "{level_s} {last}");
    };
    // The reservoir ends at 7.5 s of 20, the cushion at 18.
    check(7.5, 3, 0);
    check(18.0, 0, 3);
    // At 12.75 s the line is at 900 kbit/s.
    check(12.75, 0, 2);
    check(12.75, 2, 2);
    check(12.75, 3, 3);
    // At 11.25 s it is at 700: between 400 and 800, either stays.
    check(11.25, 1, 1);
    check(11.25, 2, 2);
    check(11.25, 3, 2);
}

#[test]
fn bola_chooses_by_its_score_and_its_variants_differ_above_the_throughput() {
    let film = ladder();
    let check = |name: &str, level_s, kbps, expected: (usize, f64)| {
        let mut rule = Rule::named(name, &film).unwrap();
        let choice = rule.choose(&view(&film, 20, level_s, Some(kbps)));
        let wait_s = choice.wait.as_secs_f64();
        assert_eq!(choice.quality, expected.0, "{name} {level_s} {kbps}");
        assert!((wait_s - expected.1).abs() < 1e-6, "{name} {level_s} {kbps}: waits {wait_s}");
    };
    // Vp = 18 / (ln 8 + 5); quality q is preferred to q - 1 from Vp (5 + (q - 2) ln 2) on, since
    // the rates double.
    let vp = 18.0 / (8.0_f64.ln() + 5.0);
    let from = |quality: f64| vp * (5.0 + (quality - 2.0) * 2.0_f64.ln());
    for (quality, step) in [(1, 1.0), (2, 2.0), (3, 3.0)] {
        check("bola-basic", from(step) - 0.01, 1e5, (quality - 1, 0.0));
        check("bola-basic", from(step) + 0.01, 1e5, (quality, 0.0));
    }
    let level_s = from(3.0) + 0.01;
    check("bola-basic", level_s, 450.0, (3, 0.0));
    check("bola", level_s, 450.0, (2, 0.0));
    let most = vp * (2.0_f64.ln() + 5.0);
    check("bola-o", level_s, 450.0, (1, level_s - most));
}

#[test]
fn bola_e_starts_at_the_throughput_without_a_buffer() {
    let film = ladder();
    let mut rule = Rule::named("bola-e", &film).unwrap();
    assert_eq!(rule.choose(&view(&film, 0, 0.0, None)).quality, 0);
    assert_eq!(rule.choose(&view(&film, 1, 2.0, Some(5000.0))).quality, 3);
    // BOLA itself still wants the lowest.
    let mut bola = Rule::named("bola", &film).unwrap();
    assert_eq!(bola.choose(&view(&film, 1, 2.0, Some(5000.0))).quality, 0);
}

#[test]
fn dynamic_changes_its_rule_at_ten_seconds() {
    let film = ladder();
    let mut rule = Rule::named("dynamic", &film).unwrap();
    // Throughput below 10 s, whatever BOLA says.
    assert_eq!(rule.choose(&view(&film, 20, 8.0, Some(1000.0))).quality, 2);
    // BOLA above: it does not know of the throughput's tenth.
    assert_eq!(rule.choose(&view(&film, 20, 19.0, Some(1700.0))).quality, 3);
    assert!(matches!(rule, Rule::Dynamic { full: true, .. }));
    assert_eq!(rule.choose(&view(&film, 20, 5.0, Some(1000.0))).quality, 2);
    assert!(matches!(rule, Rule::Dynamic { full: false, .. }));
}

#[test]
fn a_download_that_would_take_too_long_is_given_up() {
    let film = ladder();
    let rule = Rule::named("throughput", &film).unwrap();
    let check = |total_ms, bytes, expected| {
        let (latency, total) = (Duration::from_millis(100), Duration::from_millis(total_ms));
        let size_bytes = film.bytes(7, 3);
        let download = Download { chunk: 7, quality: 3, size_bytes, bytes, latency, total };
        let advice = rule.abandons(&view(&film, 7, 4.0, Some(3000.0)), &download);
        assert_eq!(advice, expected, "{total_ms} {bytes}");
    };
    // 400 kB in all. 20 kB in 0.4 s: 400 kbit/s, 7.6 s to go. 0.9 of it carry 200 kbit/s.
    check(500, 20_000, Some(0));
    check(499, 20_000, None);
    check(500, 0, None);
    // 1 Mbit/s: 2.7 s to go are within 1.8 chunks.
    check(600, 62_500, None);
    // Nearly done: the lowest quality would be more than what is left.
    check(9000, 399_000, None);
}

/// The value of a row of choices by the definition of the linear QoE.
fn value_of(view: &View<'_>, choices: &[usize], bps: f64) -> f64 {
    let (mut level_s, mut last, mut value) = (view.level.as_secs_f64(), view.last.unwrap(), 0.0);
    for (ahead, quality) in choices.iter().enumerate() {
        let chunk = view.chunk + ahead;
        let takes_s = view.film.bytes(chunk, *quality) as f64 * 8.0 / bps;
        let change = (view.film.rate_bps(*quality) - view.film.rate_bps(last)).abs();
        value += (view.film.rate_bps(*quality) - change) / 1e6;
        value -= REBUFFER_LINEAR * (takes_s - level_s).max(0.0);
        level_s = (level_s - takes_s).max(0.0) + view.film.duration(chunk).as_secs_f64();
        level_s = level_s.min(view.capacity.as_secs_f64());
        last = *quality;
    }
    value
}

/// Every row of `length` qualities.
fn rows(qualities: usize, length: usize) -> impl Iterator<Item = Vec<usize>> {
    let all = qualities.pow(u32::try_from(length).unwrap());
    (0..all).map(move |mut number| {
        let mut digit = || {
            let quality = number % qualities;
            number /= qualities;
            quality
        };
        (0..length).map(|_| digit()).collect()
    })
}

fn uneven(dice: &mut Dice, rates: &[u64], chunks: usize) -> Film {
    let chunk = |dice: &mut Dice| {
        let percent = 50 + dice.below(100);
        let bytes = rates.iter().map(|bps| bps / 4 * percent / 100).collect();
        Chunk { duration: SECOND * 2, bytes }
    };
    let chunks = (0..chunks).map(|_| chunk(dice)).collect();
    Film::new(rates.iter().map(|bps| BitRate(*bps)).collect(), chunks).unwrap()
}

#[test]
fn looking_ahead_finds_what_trying_everything_finds() {
    for seed in 0..60 {
        let mut dice = Dice::new(Seed(seed), "mpc");
        let film = uneven(&mut dice, &[300_000, 800_000, 2_000_000, 4_000_000], 8);
        let level = Duration::from_millis(dice.below(9000));
        let last = Some(usize::try_from(dice.below(4)).unwrap());
        let capacity = SECOND * 8;
        let view = View { film: &film, chunk: 2, level, capacity, last, estimate: None };
        let bps = 2e5 + dice.unit() * 5e6;
        let values: Vec<_> = rows(4, 5).map(|row| (value_of(&view, &row, bps), row[0])).collect();
        let best = values.iter().map(|(value, _)| *value).fold(f64::MIN, f64::max);
        let found = lookahead::best_first(&view, bps);
        let with_it = values.iter().filter(|(_, first)| *first == found).map(|(value, _)| *value);
        let reached = with_it.fold(f64::MIN, f64::max);
        assert!((best - reached).abs() < 1e-9, "seed {seed}: {reached}, not {best}");
    }
}

#[test]
fn the_robust_prediction_is_lowered_by_its_errors() {
    let film = ladder();
    let download = |ms| Download {
        chunk: 0,
        quality: 0,
        size_bytes: 125_000,
        bytes: 125_000,
        latency: Duration::ZERO,
        total: Duration::from_millis(ms),
    };
    let chosen = |robust: bool, times: &[u64]| {
        let mut rule = Rule::Mpc(Mpc::new(robust));
        let view = view(&film, 5, 2.0, None);
        times.iter().for_each(|ms| rule.received(&view, &download(*ms)));
        rule.choose(&view).quality
    };
    assert_eq!((chosen(false, &[]), chosen(true, &[])), (0, 0));
    assert_eq!(chosen(false, &[300; 5]), chosen(true, &[300; 5]), "no error, no caution");
    assert!(chosen(false, &[100, 100, 100, 2000, 100]) > chosen(true, &[100, 100, 100, 2000, 100]));
}

fn planned(film: &Film, network: &Network, policy: Policy) -> Metrics {
    let plan = plan(film, network, policy);
    assert_eq!(plan.len(), film.chunks().len());
    play(film, network, policy, Rule::Planned(plan)).metrics
}

#[test]
fn the_oracle_finds_what_trying_everything_finds() {
    for seed in 0..20 {
        let mut dice = Dice::new(Seed(seed), "oracle");
        let film = uneven(&mut dice, &[300_000, 900_000, 2_500_000], 6);
        let period = |dice: &mut Dice| Period {
            duration: Duration::from_millis(500 + dice.below(3000)),
            rate: BitRate(100_000 + dice.below(3_000_000)),
            latency: Duration::from_millis(dice.below(100)),
        };
        let periods: Vec<_> = (0..4).map(|_| period(&mut dice)).collect();
        let network = Network::of_periods(&periods).unwrap();
        let start = SECOND * u32::try_from(dice.below(3)).unwrap() * 2;
        let policy = Policy::new(SECOND * 6, start, start).unwrap();
        let values = rows(3, 6)
            .map(|row| play(&film, &network, policy, Rule::Planned(row)).metrics.qoe_linear);
        let best = values.fold(f64::MIN, f64::max);
        let found = planned(&film, &network, policy).qoe_linear;
        assert!(found > best - 1e-6, "seed {seed}: {found}, not {best}");
    }
}

#[test]
fn no_rule_is_better_than_the_oracle_on_any_network() {
    let film = film();
    for (network_name, network) in networks() {
        let best = planned(&film, &network, policy());
        for (name, _) in NAMES {
            let Ok(rule) = Rule::named(&name.replace(":N", ":2"), &film) else { continue };
            let metrics = play(&film, &network, policy(), rule).metrics;
            let distance = metrics.distance(&best, film.chunks().len());
            assert!(distance >= 0.0, "{network_name} {name}: {distance}");
        }
    }
}

#[test]
fn every_session_s_books_balance() {
    let film = film();
    for (network_name, network) in networks() {
        for (name, _) in NAMES {
            let Ok(rule) = Rule::named(&name.replace(":N", ":4"), &film) else { continue };
            let played = play(&film, &network, policy(), rule.clone());
            let metrics = &played.metrics;
            assert_eq!(played, play(&film, &network, policy(), rule), "the same again");
            assert_eq!(metrics.played, film.length(), "{network_name} {name}");
            let all = metrics.start_up + metrics.stalled + metrics.played;
            assert_eq!(played.end, Moment::START + all, "{network_name} {name}");
            assert!(played.events.is_sorted_by_key(|event| event.at));
            let received = played.events.iter().filter_map(|event| match event.what {
                What::Received(download) => Some(download.chunk),
                What::Requested { .. }
                | What::Abandoned { .. }
                | What::Failed { .. }
                | What::Buffer(_) => None,
            });
            assert!(received.eq(0..film.chunks().len()), "{network_name} {name}");
        }
    }
}

#[test]
fn a_suggested_quality_is_the_next_request_s() {
    let film = film();
    let mut seen = 0;
    for (_, network) in networks() {
        for name in ["throughput", "dynamic", "bola", "bola-e"] {
            let rule = Rule::named(name, &film).unwrap();
            let events = play(&film, &network, policy(), rule).events;
            for (index, event) in events.iter().enumerate() {
                let What::Abandoned { download, to } = event.what else { continue };
                let next = events[index + 1..].iter().find_map(|event| match event.what {
                    What::Requested { chunk, quality, .. } => Some((chunk, quality)),
                    What::Received(_)
                    | What::Abandoned { .. }
                    | What::Failed { .. }
                    | What::Buffer(_) => None,
                });
                assert_eq!(next, Some((download.chunk, to)));
                assert!(to < download.quality && download.bytes < download.size_bytes);
                seen += 1;
            }
        }
    }
    assert!(seen >= 3, "{seen} downloads given up");
}

#[test]
fn the_simulation_of_a_constant_rate_is_the_chunk_aware_prediction() {
    use crate::video::predict::chunked;
    let film = Film::even(&[BitRate(1_000_000)], SECOND, 120).unwrap();
    for (bps, resume) in [(800_000, 4), (800_000, 1), (1_000_000, 4), (2_500_000, 0)] {
        let policy = Policy::new(SECOND * 10, SECOND * 4, SECOND * resume).unwrap();
        let network = Network::steady(BitRate(bps), Duration::ZERO).unwrap();
        let played = play(&film, &network, policy, Rule::Fixed(0));
        let predicted = chunked(&film, 0, BitRate(bps), policy);
        assert_eq!(played.metrics.stalls, predicted.freezes.len() as u64, "{bps} {resume}");
        let difference = played.metrics.stalled.as_secs_f64() - predicted.frozen_s();
        assert!(difference.abs() < 1e-6, "{bps} {resume}: {difference}");
        assert!((played.end.as_nanos() as f64 / 1e9 - predicted.end_s).abs() < 1e-6);
    }
}

#[test]
fn a_name_is_judged_before_there_is_a_film_as_it_is_with_one() {
    let film = Film::even(&[BitRate(1000)], Duration::from_secs(1), 1).unwrap();
    let names = NAMES.map(|(name, _)| name.replace(":N", ":0"));
    for name in names.iter().map(String::as_str).chain(["festive", "", "fixed"]) {
        let with = Rule::named(name, &film).map(|_| ());
        assert_eq!(check_name(name), with, "{name}");
    }
    assert_eq!(check_name("fixed:9"), Ok(()), "perhaps the film has it");
}
