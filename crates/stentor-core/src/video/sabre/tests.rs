//! Every figure that the reference printed, for twelve configurations on four networks.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn film() -> Movie {
    let film: Value =
        serde_json::from_str(include_str!("../../../tests/data/abr/film.json")).unwrap();
    Movie {
        segment_ms: film["segment_duration_ms"].as_f64().unwrap(),
        bitrates_kbps: numbers(&film["bitrates_kbps"]),
        sizes_bits: film["segment_sizes_bits"].as_array().unwrap().iter().map(numbers).collect(),
    }
}

fn networks() -> BTreeMap<&'static str, Vec<Period>> {
    let read = |text: &str| -> Vec<Period> {
        let periods: Value = serde_json::from_str(text).unwrap();
        let period = |period: &Value| Period {
            duration_ms: period["duration_ms"].as_f64().unwrap(),
            bandwidth_kbps: period["bandwidth_kbps"].as_f64().unwrap(),
            latency_ms: period["latency_ms"].as_f64().unwrap(),
        };
        periods.as_array().unwrap().iter().map(period).collect()
    };
    BTreeMap::from([
        ("steady", read(include_str!("../../../tests/data/abr/steady.json"))),
        ("stairs", read(include_str!("../../../tests/data/abr/stairs.json"))),
        ("mobile", read(include_str!("../../../tests/data/abr/mobile.json"))),
        ("outage", read(include_str!("../../../tests/data/abr/outage.json"))),
    ])
}

fn options(words: &str) -> Options {
    parse(words.split_whitespace()).unwrap()
}

#[test]
fn every_printed_figure_is_the_reference_s() {
    let text = include_str!("../../../tests/data/abr/sabre-expected.json");
    let expected: Value = serde_json::from_str(text).unwrap();
    let (film, networks) = (film(), networks());
    let (mut runs, mut figures) = (0, 0);
    for (network, configurations) in expected.as_object().unwrap() {
        for (name, run) in configurations.as_object().unwrap() {
            let options = options(run["arguments"].as_str().unwrap());
            let report = simulate(&options, &film, &networks[network.as_str()]).unwrap();
            let metrics = run["metrics"].as_object().unwrap();
            assert_eq!(report.lines.len(), metrics.len(), "{network} {name}");
            for Line { name: metric, value, decimals } in &report.lines {
                let printed: f64 = format!("{value:.decimals$}").parse().unwrap();
                let expected = metrics[*metric].as_f64().unwrap();
                let close = (printed - expected).abs() <= 1e-6;
                assert!(close, "{network} {name} {metric}: {printed}, not {expected}");
                figures += 1;
            }
            runs += 1;
        }
    }
    assert_eq!((runs, figures), (48, 48 * 24));
}

#[test]
fn the_report_is_written_as_the_reference_does() {
    let report = simulate(&options("-a bola"), &film(), &networks()["steady"]).unwrap();
    let text = report.to_string();
    assert!(text.starts_with("buffer size: 25000\ntotal played utility: 135.902042\n"), "{text}");
    assert!(text.ends_with("rampup time: 6.244394\ntotal reaction time: 0.000000\n"), "{text}");
    assert_eq!(report.value("over estimate count"), Some(6.0));
    assert_eq!(report.value("joy"), None);
}

#[test]
fn what_the_reference_would_choke_on_is_an_error() {
    let check = |change: fn(&mut Movie, &mut Vec<Period>), words: &str, said: &str| {
        let (mut film, mut network) = (film(), networks()["steady"].clone());
        change(&mut film, &mut network);
        let error = simulate(&options(words), &film, &network).unwrap_err().to_string();
        assert!(error.contains(said), "{words}: {error}");
    };
    check(|film, _| film.segment_ms = 0.0, "", "the film has segments of 0 ms");
    check(|film, _| film.sizes_bits.clear(), "", "the film has no qualities or no segments");
    check(|film, _| film.bitrates_kbps[1] = -1.0, "", "a bit rate of -1 kbit/s");
    check(|film, _| film.sizes_bits[3].truncate(2), "", "2 sizes for segment 3, not 6");
    check(|film, _| film.sizes_bits[3][0] = 0.0, "", "a size of 0 bits in segment 3");
    check(|_, network| network.clear(), "", "the network lets nothing through");
    check(|_, network| network[0].bandwidth_kbps = 0.0, "", "the network lets nothing through");
    check(|_, network| network[0].latency_ms = f64::NAN, "", "the network has in period 0");
    check(|_, _| {}, "-s 20 500", "-s: there is no segment 250 in a film of 60");
    check(|_, _| {}, "-ml 1e12", "-ml 1000000000000: more than 1048576 segments");
}
