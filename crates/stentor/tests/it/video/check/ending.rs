//! How runs end, and what they leave.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Barrier;

use stentor_core::manifest::check::RULES;

use super::check;
use super::folder::Files;
use super::server::serve;
use crate::program::{run, stentor};

#[test]
fn advice_alone_is_no_failure_unless_it_is_asked_for() {
    let mut files = Files::sound();
    files.replace("master.m3u8", ",CODECS=\"avc1.42C01E\"", "");
    let folder = files.write();
    let target = folder.path("master.m3u8");
    assert_eq!(check(&target, &[]).said.code, Some(0));
    let told = check(&target, &["--strict"]);
    assert_eq!(told.said.code, Some(1));
    assert!(told.said.err.contains("1 of advice is not kept"), "{}", told.said.err);
}

#[test]
fn a_finding_is_a_line_with_its_place_rule_and_clause() {
    let mut files = Files::sound();
    files.replace("0/playlist.m3u8", "TYPE:VOD", "TYPE:LIVE");
    let folder = files.write();
    let said = run(&["video", "check", &folder.path("master.m3u8")], b"");
    let expected = format!(
        "{}:5:1 playlist-type must RFC 8216, 4.3.3.5: the type is EVENT or VOD; found LIVE",
        folder.path("0/playlist.m3u8")
    );
    assert!(said.out().lines().any(|line| line.trim() == expected), "{}", said.out());
    assert!(said.out().contains("declared peak  "), "{}", said.out());
    assert!(said.out().contains("1 rule broken; 0 of advice"), "{}", said.out());
    assert_eq!((said.code, said.err.as_str()), (Some(1), "stentor: 1 rule is broken\n"));
}

#[test]
fn the_same_rule_is_told_five_times_and_then_counted() {
    let mut files = Files::sound();
    for quality in 0..2 {
        for number in 0..4 {
            files.0.remove(&format!("{quality}/{number}.m4s"));
        }
    }
    files.replace(
        "0/playlist.m3u8",
        "#EXT-X-ENDLIST",
        "#EXTINF:2.0,\n4\n#EXTINF:2.0,\n5\n#EXT-X-ENDLIST",
    );
    let folder = files.write();
    let said = run(&["video", "check", &folder.path("0/playlist.m3u8")], b"");
    let told = said.out().lines().filter(|line| line.contains(" missing must ")).count();
    assert_eq!(told, 5, "{}", said.out());
    assert!(said.out().contains("missing: 1 more like these"), "{}", said.out());
    assert_eq!(check(&folder.path("0/playlist.m3u8"), &[]).findings().len(), 6);
}

#[test]
fn what_is_asked_for_is_fetched_and_no_more() {
    let folder = Files::sound().write();
    let target = folder.path("master.m3u8");
    let fetched = |arguments: &[&str]| {
        let told = check(&target, arguments);
        assert_eq!(told.said.code, Some(0), "{:#}", told.json);
        let tracks = told.tracks();
        tracks.iter().map(|track| track["segments_fetched"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(fetched(&["-n", "3"]), [3, 3]);
    assert_eq!(fetched(&["--manifest-only"]), [0, 0]);
    assert_eq!(fetched(&[]), [4, 4]);
}

#[test]
fn reports_are_written_in_every_form() {
    let folder = Files::sound().write();
    let (text, json) = (folder.path("report.txt"), folder.path("report.json"));
    let target = folder.path("master.m3u8");
    let said = run(&["video", "check", &target, "-o", &text, "-o", &json], b"");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(std::fs::read_to_string(&text).unwrap(), said.out());
    let object: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(object["schema"], "stentor.video-check/1");
}

#[test]
fn what_cannot_be_had_and_what_is_no_manifest_end_with_3() {
    let folder = Files::sound().write();
    let ends = |target: &str, said: &str| {
        let told = check(target, &[]);
        assert_eq!(told.said.code, Some(3), "{}", told.said.err);
        assert!(told.said.err.contains(said), "{}", told.said.err);
    };
    ends(&folder.path("nothing.m3u8"), "ENOENT");
    ends(&folder.path("0/1.m4s"), "is neither an HLS playlist nor a DASH manifest");
    let empty = folder.path("empty");
    std::fs::create_dir(&empty).unwrap();
    ends(&empty, "there is no manifest in it");
    let address = serve(&Files::sound(), |_, _| {});
    ends(&format!("http://{address}/other.m3u8"), "the server answered 404");
    // Nobody listens on a port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    ends(&format!("http://{free}/master.m3u8"), "ECONNREFUSED");
}

#[test]
fn what_is_not_understood_ends_with_2() {
    for arguments in [
        &["video", "check"][..],
        &["video", "check", "ftp://host/master.m3u8"],
        &["video", "check", "http://"],
        &["video", "check", "x.m3u8", "-n", "1", "--manifest-only"],
        &["video", "check", "x.m3u8", "--rules"],
        &["video", "check", "x.m3u8", "-o", "report.xml"],
        &["video", "check", "http://127.0.0.1:1/x.m3u8", "-w", "0s"],
        &["video", "check", "-"],
        &["video", "check", ""],
    ] {
        let said = run(arguments, b"");
        assert_eq!((said.code, said.out().as_str()), (Some(2), ""), "{arguments:?} {}", said.err);
    }
}

#[test]
fn every_rule_is_listed_with_its_clause() {
    let said = run(&["video", "check", "--rules"], b"");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(said.out().lines().count(), RULES.len());
    for (line, rule) in said.out().lines().zip(RULES) {
        assert!(line.starts_with(rule.name) && line.contains(rule.clause), "{line}");
    }
}

#[test]
fn a_signal_ends_it_with_what_was_found_so_far() {
    let mut files = Files::sound();
    files.replace("0/playlist.m3u8", "TYPE:VOD", "TYPE:LIVE");
    static STALLED: Barrier = Barrier::new(2);
    let address = serve(&files, |path, answer| {
        answer.stalls = path == "/1/2.m4s";
        if answer.stalls {
            STALLED.wait();
        }
    });
    let target = format!("http://{address}/master.m3u8");
    let mut child = stentor()
        .args(["video", "check", &target, "-J", "-q"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    STALLED.wait();
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["result"]["interrupted"], true);
    assert_eq!(json["result"]["musts_broken"], 1, "{json:#}");
    assert_eq!(json["result"]["manifests"][0]["tracks"][1]["segments_fetched"], 2, "{json:#}");
}

#[test]
fn a_server_does_not_make_us_read_the_disk() {
    let disk = Files::sound().write();
    let there = format!("file://{}", disk.path("0/playlist.m3u8"));
    let finds = |name: &str, from: &str, to: &str| {
        let mut files = Files::sound();
        files.replace(name, from, to);
        let target = format!("http://{}/{name}", serve(&files, |_, _| {}));
        let told = check(&target, &[]);
        assert_eq!(told.said.code, Some(1), "{:#}", told.json);
        let words = "a file is not a server's to name";
        let found = told.findings();
        let found = found.iter().find(|(_, one)| one["rule"] == "missing").unwrap();
        assert!(found.1["found"].as_str().unwrap().ends_with(words), "{found:?}");
    };
    finds("master.m3u8", "\n0/playlist.m3u8", &format!("\n{there}"));
    finds("0/playlist.m3u8", "\n0.m4s", &format!("\n{there}"));
    let base = format!("<BaseURL>file://{}/</BaseURL><Period", disk.0.display());
    finds("manifest.mpd", "<Period", &base);
}

#[test]
fn what_cannot_be_fetched_is_a_finding_and_the_rest_is_checked() {
    let mut files = Files::sound();
    files.replace("0/playlist.m3u8", "\n0.m4s", "\nftp://127.0.0.1/0.m4s");
    let folder = files.write();
    let told = check(&folder.path("0/playlist.m3u8"), &[]);
    assert_eq!(told.said.code, Some(1), "{:#}", told.json);
    assert!(told.rules().contains("missing"), "{:#}", told.json);
    assert_eq!(told.tracks()[0]["segments_fetched"], 3, "{:#}", told.json);
}

#[test]
fn a_pipe_among_the_segments_is_not_waited_for() {
    let mut files = Files::sound();
    files.0.remove("0/1.m4s");
    let folder = files.write();
    let made = Command::new("mkfifo").arg(folder.path("0/1.m4s")).status().unwrap();
    assert!(made.success());
    let told = check(&folder.path("0/playlist.m3u8"), &[]);
    assert_eq!(told.rules().into_iter().collect::<Vec<_>>(), ["missing"], "{:#}", told.json);
}

#[test]
fn a_playlist_of_variants_is_no_media_playlist() {
    let mut files = Files::sound();
    files.replace("master.m3u8", "\n0/playlist.m3u8", "\nmaster.m3u8");
    let folder = files.write();
    let told = check(&folder.path("master.m3u8"), &[]);
    assert_eq!(told.said.code, Some(1), "{:#}", told.json);
    assert!(told.rules().contains("no-target-duration"), "{:#}", told.json);
}

#[test]
fn a_file_is_called_what_it_is_called_on_disk() {
    let mut files = Files::sound();
    let list = files.0.remove("0/playlist.m3u8").unwrap();
    files.0.insert("0/gr\u{fc}n 1.m3u8".to_owned(), list.clone());
    files.0.insert("0/\u{1b}[31m.m3u8".to_owned(), list);
    for number in 0..4 {
        files.0.remove(&format!("0/{number}.m4s"));
    }
    let folder = files.write();
    let said = run(&["video", "check", &folder.path("0")], b"");
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(
        said.out().contains(&format!("{}:", folder.path("0/gr\u{fc}n 1.m3u8"))),
        "{}",
        said.out()
    );
    assert!(!said.out().contains('\u{1b}'), "{}", said.out());
    assert!(said.out().contains("0/%1B[31m.m3u8:"), "{}", said.out());
}
