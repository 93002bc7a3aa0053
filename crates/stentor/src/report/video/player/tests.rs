//! The page's own arithmetic and readers, run by Node, against those of the program.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use stentor_core::manifest::{ByteRange, Resource, Segment, Track, hls};
use stentor_core::seed::{Dice, Seed};
use stentor_core::units::BitRate;
use stentor_core::video::abr::{Rule, View};
use stentor_core::video::buffer::Policy;
use stentor_core::video::estimate::Estimator;
use stentor_core::video::film::{Film, Plan};
use stentor_core::video::predict::{self, Course, Fluid};
use stentor_core::video::session::Download;

use super::{FILES, file, page};
use crate::report::judges::installed;

#[test]
fn the_page_names_the_film_and_its_files_are_there() {
    let page = page("/master.m3u8", Some("/film.json"), &[]);
    assert!(page.contains("data-playlist=\"/master.m3u8\" data-sizes=\"/film.json\""), "{page}");
    for reference in page.split('"').filter(|text| text.starts_with("/player/")) {
        assert!(file(reference).is_some(), "{reference} is asked for, and not there");
    }
    assert!(!page.contains('{') && !page.contains('}'), "something was not filled in");
    assert!(file("/player/none.js").is_none());
}

#[test]
fn references_cannot_become_markup() {
    let place = ("/<b>".to_owned(), "{sizes} <script>".to_owned());
    let page = page("a\"><img src=x onerror=x>&.m3u8", None, &[place]);
    assert!(page.contains("<a href=\"/&lt;b&gt;\">/&lt;b&gt;</a> {sizes} &lt;script&gt;</li>"));
    assert!(page.contains("data-playlist=\"a&quot;&gt;&lt;img src=x onerror=x&gt;&amp;.m3u8\""));
    assert!(page.contains("data-sizes=\"\""));
}

/// Modules import each other by files that are served, and ask for nothing from elsewhere.
#[test]
fn every_import_is_a_file_of_the_page() {
    let mut imports = 0;
    for one in FILES {
        for line in one.text.lines().filter(|line| line.starts_with("import ")) {
            let name = line.split('"').nth(1).unwrap().strip_prefix("./").unwrap();
            assert!(file(&format!("/player/{name}")).is_some(), "{}: {line}", one.path);
            imports += 1;
        }
        // The name of SVG is no address.
        let text = one.text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http:") && !text.contains("https:"), "{}", one.path);
        assert!(text.lines().count() < 700, "{}", one.path);
    }
    assert!(imports > 10, "only {imports} imports found");
}

fn seconds(duration: Duration) -> f64 {
    // One rounding, as of a number that is read.
    duration.as_nanos() as f64 / 1e9
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// One of so many places.
fn place(dice: &mut Dice, count: u64) -> usize {
    usize::try_from(dice.below(count)).unwrap()
}

fn some_film(dice: &mut Dice) -> Film {
    let mut kbps = 0;
    let mut rate = || {
        kbps += 100 + dice.below(900);
        BitRate(kbps * 1000)
    };
    let rates = vec![rate(), rate(), rate(), rate()];
    let (chunk, count) = (ms(500 + 500 * dice.below(8)), 20 + place(dice, 40));
    Plan { rates, chunk, count, variation: 0.5 }.generate(dice).unwrap()
}

/// A film at a constant rate, as core says it plays in whole chunks.
fn prediction(dice: &mut Dice) -> Value {
    let film = some_film(dice);
    let quality = place(dice, 4);
    let arrival = BitRate(film.rates()[quality].0 * (50 + dice.below(120)) / 100);
    let (capacity, start) = (ms(8000 + dice.below(20_000)), ms(dice.below(8000)));
    let resume = ms(dice.below(8000));
    let policy = Policy::new(capacity, start, resume).unwrap();
    let course = predict::chunked(&film, quality, arrival, policy);
    let chunk = |(index, chunk): (usize, &stentor_core::video::film::Chunk)| json!({ "bytes": film.bytes(index, quality), "seconds": seconds(chunk.duration) });
    let freezes: Vec<_> =
        course.freezes.iter().map(|freeze| json!([freeze.at_s, freeze.length_s])).collect();
    json!({
        "chunks": film.chunks().iter().enumerate().map(chunk).collect::<Vec<_>>(),
        "x": arrival.0,
        "policy": {
            "start_s": seconds(start), "resume_s": seconds(resume), "buffer_s": seconds(capacity),
        },
        "complete": true,
        "expected": {
            "start_s": course.start_up_s, "full_s": course.full_s, "freezes": freezes,
        },
    })
}

/// The book's formulae, with Q again after each freeze.
fn formula(dice: &mut Dice) -> Value {
    let mut number = || 1e5 * (1 + dice.below(90)) as f64;
    let (x, r, q) = (number(), number(), number());
    let b = q + number();
    let fluid = Fluid { arrival_bps: x, playout_bps: r, start_bits: q, buffer_bits: b };
    let fluid = fluid.check().unwrap();
    let mut expected = json!({ "start_s": fluid.start_up_s() });
    match fluid.course() {
        Course::Freezes { plays_s, freezes_s } => {
            expected["plays_s"] = json!(plays_s);
            expected["freezes_s"] = json!(freezes_s);
        }
        Course::Fills { full_s } => expected["full_s"] = json!(full_s),
        Course::Even => {}
    }
    json!({ "given": { "x": x, "R": r, "Q": q, "B": b, "resume": q }, "expected": expected })
}

/// What two rules of core choose, with downloads and levels by chance.
fn session(dice: &mut Dice) -> Value {
    let film = some_film(dice);
    let capacity_ms = 10_000 + dice.below(20_000);
    let capacity = ms(capacity_ms);
    let rules = ["throughput", "bba0"].map(|name| (name, Rule::named(name, &film).unwrap()));
    let mut rules = rules.map(|(name, rule)| (name, rule, None));
    let mut estimator = Estimator::default();
    let mut steps = Vec::new();
    for chunk in 0..film.chunks().len() {
        let level = ms(dice.below(capacity_ms));
        let mut expected = json!({});
        for (name, rule, last) in &mut rules {
            let estimate = estimator.estimate();
            let view = View { film: &film, chunk, level, capacity, last: *last, estimate };
            let quality = rule.choose(&view).quality;
            expected[*name] = json!(quality);
            *last = Some(quality);
        }
        let (latency, body) = (ms(5 + dice.below(200)), ms(100 + dice.below(3000)));
        let bytes = film.bytes(chunk, place(dice, 4));
        let total = latency + body;
        let download = Download { chunk, quality: 0, size_bytes: bytes, bytes, latency, total };
        estimator.feed(&download, seconds(film.duration(chunk)));
        steps.push(json!({
            "level_s": seconds(level), "bytes": bytes, "latency_s": seconds(latency),
            "body_s": seconds(body), "expected": expected,
        }));
    }
    json!({
        "rates_bps": film.rates().iter().map(|rate| rate.0).collect::<Vec<_>>(),
        "chunk_s": seconds(film.duration(0)),
        "capacity_s": seconds(capacity),
        "steps": steps,
    })
}

/// A playlist as core writes it, and what is in it.
fn playlist(dice: &mut Dice) -> Value {
    let (whole, mut offset) = (dice.below(2) == 0, 700);
    let segment = |number: u64| {
        let length = 1 + dice.below(100_000);
        let range = (!whole).then_some(ByteRange { offset, length });
        offset += length;
        let uri = if whole { format!("../{number}.m4s?a=b,c") } else { "film.mp4".to_owned() };
        let duration = ms(1 + dice.below(5000));
        Segment { resource: Resource { uri, range }, duration }
    };
    let segments: Vec<Segment> = (0..12).map(segment).collect();
    let head = (!whole).then_some(ByteRange { offset: 0, length: 700 });
    let initialization = Resource { uri: "init.mp4".to_owned(), range: head };
    let expected = |resource: &Resource| {
        let range = resource
            .range
            .map(|range| json!({ "first": range.offset, "last": range.offset + range.length - 1 }));
        // As the page resolves them against http://origin/a/b.m3u8.
        let url = match resource.uri.strip_prefix("../") {
            Some(rest) => format!("http://origin/{rest}"),
            None => format!("http://origin/a/{}", resource.uri),
        };
        json!({ "url": url, "range": range })
    };
    let chunks = segments.iter().map(|segment| {
        let mut chunk = expected(&segment.resource);
        chunk["seconds"] = json!(seconds(segment.duration));
        chunk["bytes"] = Value::Null;
        chunk
    });
    let chunks: Vec<_> = chunks.collect();
    let expected = json!({ "initialization": expected(&initialization), "chunks": chunks });
    let track = Track { initialization: Some(initialization), segments, ..Track::default() };
    json!({ "text": hls::media(&track, false), "base": "http://origin/a/b.m3u8", "expected": expected })
}

#[test]
fn formulae_rules_and_playlists_are_those_of_the_program() {
    let Some(node) = installed(&["node", "nodejs"]) else {
        // Not by eprintln!, which a passing test keeps to itself.
        return crate::report::console::notice(
            "SKIPPED: the page's formulae beside the program's need node (apt install nodejs)",
        );
    };
    let cases = |make: fn(&mut Dice) -> Value| {
        let case = |seed| make(&mut Dice::new(Seed(seed), "page"));
        (0..60).map(case).collect::<Vec<_>>()
    };
    let cases = json!({
        "predictions": cases(prediction), "formulae": cases(formula), "sessions": cases(session),
        "playlists": cases(playlist),
    });
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut judge = Command::new(node)
        .arg(root.join("tests/browser/agreement.mjs"))
        .arg(root.join("src/report/video/player"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    judge.stdin.take().unwrap().write_all(cases.to_string().as_bytes()).unwrap();
    let judged = judge.wait_with_output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&judged.stdout), String::from_utf8_lossy(&judged.stderr));
    assert!(judged.status.success(), "{out}\n{err}");
}
