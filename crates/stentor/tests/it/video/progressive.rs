//! The real binary: `video play --fetch progressive`, from an origin of its own.

use std::fs;

use serde_json::Value;

use super::origin::Origin;
use crate::program::run;

/// A film of ten chunks of 100 ms, at 8 Mbit/s: a second, and a megabyte.
fn film() -> std::path::PathBuf {
    let sizes = ["[800000]"; 10].join(",");
    let json = format!(
        "{{\"segment_duration_ms\": 100, \"bitrates_kbps\": [8000], \
         \"segment_sizes_bits\": [{sizes}]}}"
    );
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("progressive-film.json");
    fs::write(&path, json).unwrap();
    path
}

/// Plays it as told; what it said is a session.
fn play(origin: &Origin, flags: &[&str]) -> (Option<i32>, Value) {
    let address = origin.address.to_string();
    let mut words = vec!["video", "play", &address, "--fetch", "progressive", "-J", "-q"];
    words.extend(flags);
    let said = run(&words, b"");
    let mut report: Value = serde_json::from_slice(&said.out).unwrap_or_else(|error| {
        panic!("{error}: {}\n{}", said.out(), said.err);
    });
    assert!(report["result"]["session"].is_object(), "{report:#}");
    (said.code, report["result"]["session"].take())
}

#[test]
fn a_fast_origin_fills_the_buffer_and_a_slow_link_freezes() {
    let film = film();
    let origin = Origin::start(&["--film", film.to_str().unwrap()]);
    // x > R: the buffer is full before it is played, and TCP holds the origin back.
    let lines = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("progressive.jsonl");
    let file = lines.to_str().unwrap();
    let flags = ["-B", "200ms", "-Q", "100ms", "--receive-buffer", "64Ki", "-o", file];
    let (code, session) = play(&origin, &flags);
    assert_eq!(code, Some(0), "{session:#}");
    let stream = &session["stream"];
    assert_eq!(stream["film_bytes"], stream["received_bytes"], "{session:#}");
    assert!(stream["film_bytes"].as_u64() > Some(1_000_000), "init and boxes are film, too");
    assert!(session["full_ns"].as_u64().is_some(), "{session:#}");
    assert_eq!(session["played_ns"], 1_000_000_000, "{session:#}");
    assert_eq!(session["requests"]["received"], 1, "{session:#}");
    // The origin tells what waited in its send queue meanwhile.
    let lines = fs::read_to_string(lines).unwrap();
    let waited = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["server_bytes"].as_u64().is_some_and(|bytes| bytes > 0)
    };
    assert!(lines.lines().any(waited), "{lines}");
    // x < R: half of the film has come when Q of it is played, and so it freezes.
    let flags = ["-B", "5s", "-Q", "100ms", "--link", "down:rate=4Mbit", "--seed", "1"];
    let (code, session) = play(&origin, &flags);
    assert_eq!(code, Some(0), "{session:#}");
    assert!(!session["stalls"].as_array().unwrap().is_empty(), "{session:#}");
    assert_eq!(session["played_ns"], 1_000_000_000, "{session:#}");
}

#[test]
fn what_is_played_is_the_file_of_a_quality_however_the_origin_is_named() {
    let sizes = ["[80000, 160000]"; 5].join(",");
    let json = format!(
        "{{\"segment_duration_ms\": 100, \"bitrates_kbps\": [800, 1600], \
         \"segment_sizes_bits\": [{sizes}]}}"
    );
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("progressive-two.json");
    fs::write(&path, json).unwrap();
    let origin = Origin::start(&["--film", path.to_str().unwrap()]);
    let address = origin.address.to_string();
    let check = |target: &str, flags: &[&str], quality: u64| {
        let target = target.replace("ORIGIN", &address);
        let words = [&["video", "play", &target, "-J", "-q", "-Q", "100ms"], flags].concat();
        let said = run(&words, b"");
        assert_eq!(said.code, Some(0), "{target}: {}", said.err);
        let report: Value = serde_json::from_slice(&said.out).unwrap();
        let config = &report["config"];
        let file = format!("http://{address}/{quality}/film.mp4");
        assert_eq!(config["source"], file.as_str(), "{target} {flags:?}");
        assert_eq!(config["fetch"], "progressive", "{target}");
        assert_eq!(config["chooser"], format!("fixed:{quality}").as_str(), "{target}");
        let session = &report["result"]["session"];
        let bytes = session["stream"]["film_bytes"].as_u64().unwrap();
        let least = 50_000 * (quality + 1);
        assert!((least..least + 5_000).contains(&bytes), "{target}: {bytes} bytes");
    };
    let progressive = ["--fetch", "progressive"];
    check("ORIGIN", &progressive, 0);
    check("http://ORIGIN/", &[&progressive[..], &["--quality", "1"]].concat(), 1);
    check("http://ORIGIN/master.m3u8", &progressive, 0);
    check("http://ORIGIN/manifest.mpd", &[&progressive[..], &["--quality", "1"]].concat(), 1);
    check("http://ORIGIN/1/playlist.m3u8", &progressive, 1);
    check("http://ORIGIN/1/film.mp4", &[], 1);
}

#[test]
fn what_cannot_be_played_so_says_why() {
    let film = film();
    let origin = Origin::start(&["--film", film.to_str().unwrap()]);
    let address = origin.address.to_string();
    let check = |flags: &[&str], code: i32, expected: &str| {
        let said =
            run(&[&["video", "play"], flags, &["--fetch", "progressive", "-q"]].concat(), b"");
        assert_eq!(said.code, Some(code), "{}", said.err);
        assert!(said.err.contains(expected), "{}", said.err);
    };
    check(&[&address, "--quality", "1"], 2, "the film has 1 qualities");
    check(&["https://127.0.0.1:1/film.mp4"], 2, "ask for http");
    let path = format!("http://{address}/nothing.mp4");
    check(&[&path, "--film", "short"], 1, "404");
    let file = format!("http://{address}/0/film.mp4");
    check(&[&file, "--quality", "1"], 2, "is quality 0, and --quality 1 asks for another");
    check(&[&format!("http://{address}/film.json")], 1, "neither a manifest nor an MP4 file");
    for chooses in [["--rule", "bola"], ["--abr", "cat"], ["--clients", "2"]] {
        check(&[&[address.as_str()], &chooses[..]].concat(), 2, "one file, of one quality");
    }
    check(&[&address, "--manual"], 2, "one file, of one quality");
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("progressive-folder");
    fs::create_dir_all(&folder).unwrap();
    let list = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n";
    fs::write(folder.join("list.m3u8"), list).unwrap();
    let foreign = Origin::start(&[folder.to_str().unwrap()]);
    let list = format!("http://{}/list.m3u8", foreign.address);
    check(&[&list], 2, "is an HLS playlist, and progressive play fetches one file");
    check(&[&list, "--film", "short"], 2, "name an MP4 file");
}
