//! The real binary: what `video play` simulates, predicts and repeats.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Said, run};

/// The file of a film, a network or the reference's figures.
fn data(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stentor-core/tests/data/abr");
    folder.join(name).display().to_string()
}

/// A file that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Scratch {
        let path = std::env::temp_dir().join(format!("stentor-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Scratch(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn play(arguments: &[&str], input: &[u8]) -> Said {
    run(&[&["video", "play"], arguments].concat(), input)
}

fn sabre(network: &str, film: &str, arguments: &str, more: &[&str]) -> Said {
    let mut words = vec!["--compat", "sabre", "--sim", network, "--film", film];
    words.extend(more);
    words.push("--");
    words.extend(arguments.split_whitespace());
    play(&words, b"")
}

fn json(said: &Said) -> Value {
    serde_json::from_slice(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.out()))
}

#[test]
fn every_figure_of_the_reference_is_printed_by_its_name() {
    let raw = std::fs::read_to_string(data("sabre-expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&raw).unwrap();
    let film = data("film.json");
    let (mut runs, mut figures) = (0, 0);
    for (network, configurations) in expected.as_object().unwrap() {
        let network = data(&format!("{network}.json"));
        for (name, one) in configurations.as_object().unwrap() {
            let said = sabre(&network, &film, one["arguments"].as_str().unwrap(), &[]);
            assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{network} {name}");
            let metrics = one["metrics"].as_object().unwrap();
            // In the order of the reference, which that of its file is.
            let mut place = 0;
            for line in said.out().lines() {
                let (metric, printed) = line.split_once(": ").unwrap();
                let expected = metrics[metric].as_f64().unwrap();
                let printed: f64 = printed.parse().unwrap();
                let close = (printed - expected).abs() <= 1e-6;
                assert!(close, "{network} {name} {metric}: {printed}, not {expected}");
                let next = raw.find(&format!("\"{metric}\"")).unwrap();
                assert!(next > place, "{metric} comes too late");
                (place, figures) = (next, figures + 1);
            }
            assert_eq!(said.out().lines().count(), metrics.len(), "{network} {name}");
            runs += 1;
        }
    }
    assert_eq!((runs, figures), (48, 48 * 24));
}

#[test]
fn the_object_has_the_same_figures_unrounded() {
    let (network, film) = (data("mobile.json"), data("film.json"));
    let arguments = "-a bola -b 12";
    let object = json(&sabre(&network, &film, arguments, &["--json"]));
    assert_eq!(object["schema"], "stentor.video-sabre/1");
    assert_eq!(object["config"]["arguments"], serde_json::json!(["-a", "bola", "-b", "12"]));
    assert_eq!(object["config"]["buffer_ns"], 12_000_000_000_u64);
    let metrics = object["result"]["metrics"].as_object().unwrap();
    let printed = sabre(&network, &film, arguments, &[]).out();
    assert_eq!(metrics.len(), printed.lines().count());
    let mut finer = 0;
    for line in printed.lines() {
        let (metric, printed) = line.split_once(": ").unwrap();
        let (value, printed) = (metrics[metric].as_f64().unwrap(), printed.parse::<f64>().unwrap());
        assert!((value - printed).abs() <= 0.5e-6 + 0.5 * f64::from(!line.contains('.')), "{line}");
        finer += usize::from(value != printed);
    }
    assert!(finer > 5, "{finer} of the figures have more digits than are printed");
}

#[test]
fn the_reference_s_own_options_name_its_files_too() {
    let (network, film) = (data("steady.json"), data("film.json"));
    let expected = sabre(&network, &film, "-a bola", &[]).out();
    let words = ["--compat", "sabre", "--", "-n", &network, "-m", &film, "-a", "bola"];
    assert_eq!(play(&words, b"").out(), expected);
    let periods = std::fs::read(&network).unwrap();
    let words = ["--compat", "sabre", "--sim", "-", "--film", &film, "--", "-a", "bola"];
    assert_eq!(play(&words, &periods).out(), expected);
}

#[test]
fn what_the_reference_would_not_take_is_refused_by_name() {
    let (steady, film) = (data("steady.json"), data("film.json"));
    let check = |network: &str, film: &str, arguments: &str, said: &str| {
        let refused = sabre(network, film, arguments, &["-J"]);
        assert_eq!(refused.code, Some(2), "{arguments}: {}", refused.err);
        assert!(refused.err.contains(said), "{arguments}: {}", refused.err);
        let object = json(&refused);
        assert_eq!((&object["ok"], &object["result"]), (&false.into(), &Value::Null));
        assert!(object["error"].as_str().unwrap().contains(said));
    };
    check(&steady, &film, "-a festive", "-a festive: \"festive\" is not bola");
    check(&steady, &film, "-a bba", "bba0 of our own engine does");
    check(&steady, &film, "--bufer 5", "\"--bufer\" is no option of the reference; it has -n");
    check(&steady, &film, "-n net.json", "--sim and the reference's -n name the same thing");
    check(&steady, &film, "-s 20 500", "-s: there is no segment 250 in a film of 60");
    check("-", "-", "", "standard input cannot be both");
    check("2Mbit", &film, "", "--sim 2Mbit: this is a rate, not the name of a file");
    let table = Scratch::new("table.txt", "0 1\n10 1\n");
    check(
        table.path(),
        &film,
        "",
        "this is a trace in another form. The reference reads JSON alone",
    );
    let even = Scratch::new("film.json", br#"{"segment_duration_ms": 1, "bitrates_kbps": [1]}"#);
    check(&steady, even.path(), "", "line 1, column 48: segment_sizes_bits is missing");
    let other = play(&["--compat", "ns3", "--sim", &steady], b"");
    assert!(other.err.contains("--compat ns3: no such simulator"), "{}", other.err);
}

#[test]
fn the_lecture_s_example_is_predicted_in_both_units() {
    let said = play(&["--predict", "-x", "800kbit"], b"");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let text = said.out();
    for line in [
        "      4 Mbit / 800 kbit/s = 5 s",
        "      500 kB / 100 kB/s   = 5 s",
        "      4 Mbit / (1 Mbit/s - 800 kbit/s) = 20 s",
        "      500 kB / (125 kB/s - 100 kB/s)   = 20 s",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is missing:\n{text}");
    }
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("  chunks, "))
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    // The figures that the chunked client is known to see: 7 freezes of 4 s, or 104 of a quarter.
    assert_eq!(rows[0][..5], ["chunks, on at Q", "5 s", "7", "4 s", "28 s"]);
    assert_eq!(rows[1][..5], ["chunks, on with the first", "5 s", "104", "250 ms", "26 s"]);
    assert_eq!(rows.len(), 2);
}

#[test]
fn a_prediction_is_an_object_too() {
    let object = json(&play(&["--predict", "-x", "800kbit", "--resume", "2s", "-J"], b""));
    assert_eq!(object["schema"], "stentor.video-predict/1");
    let (config, result) = (&object["config"], &object["result"]);
    assert_eq!((&config["arrival_bps"], &config["start_bits"]), (&8e5.into(), &4e6.into()));
    let fluid = &result["fluid"];
    assert_eq!(fluid["start_up_ns"], 5_000_000_000_u64);
    assert_eq!((&fluid["plays_ns"], &fluid["full_ns"]), (&20_000_000_000_u64.into(), &Value::Null));
    let chunked = result["chunked"].as_array().unwrap();
    let resumes: Vec<u64> = chunked.iter().map(|one| one["resume_ns"].as_u64().unwrap()).collect();
    assert_eq!(resumes, [4_000_000_000, 2_000_000_000, 0]);
    for one in chunked {
        let freezes = one["freezes"].as_array().unwrap();
        let sum: u64 = freezes.iter().map(|freeze| freeze["length_ns"].as_u64().unwrap()).sum();
        assert!(sum.abs_diff(one["frozen_ns"].as_u64().unwrap()) < 1000, "{one}");
    }
    let filling = json(&play(&["--predict", "-x", "2Mbit", "-B", "10s", "-J"], b""));
    assert_eq!(filling["result"]["fluid"]["full_ns"], 8_000_000_000_u64);
    assert_eq!(filling["result"]["chunked"][0]["full_ns"], 7_500_000_000_u64);
}

#[test]
fn a_saw_tooth_starts_as_its_formula_says() {
    // sqrt(2 * 4 Mbit * 10 s / 2 Mbit/s) is sqrt(40) s.
    let object = json(&play(&["--predict", "--saw-tooth", "2Mbit,10s", "-J"], b""));
    let near = |value: &Value, seconds: f64| {
        let off = value.as_u64().unwrap() as f64 / 1e9 / seconds - 1.0;
        assert!(off.abs() < 1e-3, "{value} is not {seconds} s");
    };
    near(&object["result"]["fluid"]["start_up_ns"], 40_f64.sqrt());
    // What the simulator does with the same tooth, cut into a thousand steps.
    near(&object["result"]["chunked"][0]["start_up_ns"], 40_f64.sqrt());
    assert_eq!(object["config"]["arrival_bps"], 1e6);
}

#[test]
fn a_prediction_without_its_numbers_is_refused() {
    let check = |words: &[&str], said: &str| {
        let refused = play(&[&["--predict"], words].concat(), b"");
        assert_eq!(refused.code, Some(2), "{words:?}");
        assert!(refused.err.contains(said), "{words:?}: {}", refused.err);
    };
    check(&[], "--predict needs an x");
    check(&["-x", "0bit"], "x is 0: a number above 0 is needed");
    check(&["-x", "1Mbit", "-Q", "30s"], "the start wants 30s of film, and the buffer holds 25s");
    check(&["-x", "1Mbit", "-R", "0bit"], "-R 0bit");
    check(&["-x", "1Mbit", "--quality", "1"], "--quality 1. lecture has 0 to 0.");
    check(&["-x", "1Mbit", "--saw-tooth", "1Mbit,1s"], "cannot be used with");
    check(&["--saw-tooth", "1Mbit"], "a saw-tooth is its peak H and its period T");
    check(&["-x", "1Mbit", "--film", "long"], "Films with a name are lecture, ladder, short, hour");
}

#[test]
fn a_film_is_generated_as_json_and_reads_back() {
    let film = run(&["generate", "film", "ladder", "--seed", "7"], b"");
    assert_eq!((film.code, film.err.as_str()), (Some(0), ""));
    let numbers: Value = serde_json::from_slice(&film.out).unwrap();
    assert_eq!(
        (&numbers["segment_duration_ms"], &numbers["bitrates_kbps"][5]),
        (&2000.into(), &6000.into())
    );
    assert_eq!(numbers["segment_sizes_bits"].as_array().unwrap().len(), 60);
    // What reads it finds the same film as by its name and seed.
    let words = ["--predict", "-x", "1Mbit", "-J", "--film"];
    let by_name = json(&play(&[&words[..], &["ladder", "--seed", "7"]].concat(), b""));
    let by_file = json(&play(&[&words[..], &["-"]].concat(), &film.out));
    assert_eq!(by_name["result"], by_file["result"]);
    let by_luck = json(&play(&[&words[..], &["ladder", "--seed", "8"]].concat(), b""));
    assert_ne!(by_name["result"], by_luck["result"]);
}
