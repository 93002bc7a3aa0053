//! What ffmpeg makes, checked: its HLS and its DASH are sound, but for bandwidths that are too low.
//! Skipped, loudly, where it is missing.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use super::check;
use super::folder::{Files, Folder};

/// Twelve seconds of a test picture and a tone, packed by ffmpeg; `None` where there is none.
fn packed(arguments: &str, file: &str) -> Option<Folder> {
    let folder =
        Files(std::collections::BTreeMap::from([("empty".to_owned(), Vec::new())])).write();
    let source = "-nostdin -v error -f lavfi -i testsrc2=size=320x180:rate=25 \
                  -f lavfi -i sine=frequency=440 -t 12";
    let coding = "-c:v libx264 -preset ultrafast -b:v 300k -maxrate 300k -bufsize 300k -g 50 \
                  -keyint_min 50 -sc_threshold 0 -c:a aac -b:a 64k";
    let words = format!("{source} {coding} {arguments}");
    let mut command = Command::new("ffmpeg");
    command.args(words.split_whitespace()).arg(folder.path(file)).stdin(Stdio::null());
    let Ok(output) = command.output() else {
        eprintln!("SKIPPED: ffmpeg is not installed; nobody packs a film");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(folder)
}

#[test]
fn transport_streams_of_ffmpeg_are_measured_and_sound() {
    let Some(folder) = packed("-f hls -hls_time 2 -hls_playlist_type vod", "film.m3u8") else {
        return;
    };
    let told = check(&folder.path("film.m3u8"), &["--strict"]);
    assert_eq!((told.said.code, told.rules()), (Some(0), BTreeSet::new()), "{:#}", told.json);
    let track = told.tracks()[0].clone();
    assert_eq!(
        (track["segments_fetched"].as_u64(), &track["unmeasured"]),
        (Some(6), &serde_json::Value::Null)
    );
    let longest = track["longest_ns"].as_u64().unwrap();
    assert!(longest.abs_diff(2_000_000_000) < 1_000_000, "{longest}");
}

#[test]
fn key_frames_that_ffmpeg_leaves_out_are_missed() {
    // A key frame every 5 s, and a cut every 2 s all the same.
    let cut = "-force_key_frames 0,5,10 -g 999 -keyint_min 999 -f hls -hls_time 2 \
               -hls_flags split_by_time -hls_playlist_type vod";
    let Some(folder) = packed(cut, "film.m3u8") else { return };
    let told = check(&folder.path("film.m3u8"), &[]);
    assert!(told.rules().contains("no-key-frame"), "{:#}", told.json);
}

#[test]
fn fragments_of_ffmpeg_are_measured_and_sound() {
    let arguments = "-f hls -hls_time 2 -hls_playlist_type vod -hls_segment_type fmp4";
    let Some(folder) = packed(arguments, "film.m3u8") else { return };
    let told = check(&folder.path("film.m3u8"), &["--strict"]);
    assert_eq!((told.said.code, told.rules()), (Some(0), BTreeSet::new()), "{:#}", told.json);
}

#[test]
fn bandwidths_that_ffmpeg_declares_too_low_are_told_with_the_share() {
    let arguments = "-f dash -seg_duration 2 -use_timeline 1 -use_template 1 -hls_playlist 1";
    let Some(folder) = packed(arguments, "manifest.mpd") else { return };
    let told = check(&folder.path("manifest.mpd"), &[]);
    assert_eq!(told.rules(), BTreeSet::from(["segment-above-bandwidth"]), "{:#}", told.json);
    assert_eq!(told.said.code, Some(0));
    // In HLS the definition of the peak is binding, and the sound beside the picture is a part of it.
    let told = check(&folder.path("master.m3u8"), &[]);
    assert_eq!(told.rules(), BTreeSet::from(["peak-above-declared"]), "{:#}", told.json);
    assert_eq!(told.said.code, Some(1));
    let found = told.findings()[0].1["found"].as_str().unwrap();
    let percent = found.split('(').nth(1).unwrap().split(' ').next().unwrap();
    let percent: f64 = percent.parse().unwrap();
    assert!((1.0..30.0).contains(&percent), "{found}");
}
