//! What a server does to a sound film: each fault of delivery, and none of our own origin.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::check;
use super::folder::Files;
use super::server::{Change, serve};
use crate::program::stentor;

#[test]
fn every_fault_of_delivery_is_found_and_no_other() {
    let check = |manifest: &str, rule: &str, code: i32, change: Change| {
        let address = serve(&Files::sound(), change);
        let told = check(&format!("http://{address}/{manifest}"), &[]);
        let expected = if rule.is_empty() { BTreeSet::new() } else { BTreeSet::from([rule]) };
        assert_eq!(told.rules(), expected, "{:#}", told.json["result"]);
        assert_eq!(told.said.code, Some(code), "{rule}: {}", told.said.err);
    };
    check("master.m3u8", "", 0, |_, _| {});
    check("manifest.mpd", "", 0, |_, _| {});
    check("master.m3u8", "playlist-media-type", 0, |path, answer| {
        if path.ends_with(".m3u8") {
            answer.set("Content-Type", "text/plain");
        }
    });
    check("manifest.mpd", "manifest-media-type", 0, |path, answer| {
        if path.ends_with(".mpd") {
            answer.set("Content-Type", "text/xml");
        }
    });
    check("manifest.mpd", "segment-media-type", 0, |path, answer| {
        if path.ends_with(".m4s") {
            answer.set("Content-Type", "application/octet-stream");
        }
    });
    check("master.m3u8", "no-cors", 0, |_, answer| {
        answer.headers.remove("Access-Control-Allow-Origin");
    });
    check("master.m3u8", "missing", 1, |path, answer| {
        if path == "/1/2.m4s" {
            answer.status = 503;
        }
    });
    check("master.m3u8", "missing", 1, |path, answer| {
        if path == "/1/playlist.m3u8" {
            answer.status = 404;
        }
    });
    check("manifest.mpd", "body-cut", 1, |path, answer| {
        if path == "/0/1.m4s" {
            answer.cut = Some(answer.body.len() / 2);
        }
    });
    check("manifest.mpd", "redirected", 0, |path, answer| {
        if path == "/0/1.m4s" {
            answer.status = 302;
            answer.set("Location", "/0/1.m4s?again");
        }
    });
}

#[test]
fn a_playlist_is_known_by_its_path_or_its_type() {
    let mut files = Files::sound();
    let list = files.0["master.m3u8"].clone();
    files.0.insert("watch".to_owned(), list);
    // The small server calls whatever has no extension video/mp4.
    let told = check(&format!("http://{}/watch", serve(&files, |_, _| {})), &[]);
    assert_eq!(told.rules(), BTreeSet::from(["playlist-not-identified"]), "{:#}", told.json);
    let address = serve(&files, |path, answer| {
        if path == "/watch" {
            answer.set("Content-Type", "audio/mpegurl");
        }
    });
    let told = check(&format!("http://{address}/watch"), &[]);
    assert_eq!(told.rules(), BTreeSet::new());
}

#[test]
fn ranges_are_asked_for_and_a_server_that_ignores_them_is_told() {
    let mut files = Files::sound();
    let (mut whole, mut list) = (Vec::new(), String::new());
    for number in 0..4 {
        let chunk = &files.0[&format!("0/{number}.m4s")];
        let range = format!("#EXT-X-BYTERANGE:{}@{}", chunk.len(), whole.len());
        list.push_str(&format!("#EXTINF:2.0,\n{range}\nfilm.m4s\n"));
        whole.extend_from_slice(chunk);
    }
    let head = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n\
                #EXT-X-MAP:URI=\"init.mp4\"\n";
    files.0.insert("film.m4s".to_owned(), whole);
    let text = format!("{head}{list}#EXT-X-ENDLIST\n");
    files.0.insert("ranges.m3u8".to_owned(), text.into_bytes());
    let sound = serve(&files, |_, _| {});
    let told = check(&format!("http://{sound}/ranges.m3u8"), &[]);
    assert_eq!((told.rules(), told.said.code), (BTreeSet::new(), Some(0)), "{:#}", told.json);
    let folder = files.write();
    assert_eq!(check(&folder.path("ranges.m3u8"), &[]).rules(), BTreeSet::new());
    let deaf = serve(&files, |path, answer| {
        if path == "/film.m4s" {
            let mut files = Files::sound().0;
            let chunks = (0..4).map(|number| files.remove(&format!("0/{number}.m4s")).unwrap());
            (answer.status, answer.body) = (200, chunks.collect::<Vec<_>>().concat());
        }
    });
    let told = check(&format!("http://{deaf}/ranges.m3u8"), &[]);
    assert_eq!(told.rules(), BTreeSet::from(["range-ignored"]), "{:#}", told.json["result"]);
    let mut beyond = files.clone();
    beyond.replace("ranges.m3u8", "@0\n", "@99999999\n");
    let told = check(&format!("http://{}/ranges.m3u8", serve(&beyond, |_, _| {})), &[]);
    assert_eq!(told.rules(), BTreeSet::from(["range-beyond-resource"]), "{:#}", told.json);
}

#[test]
fn one_connection_carries_all_requests() {
    let address = serve(&Files::sound(), |_, _| {});
    let told = check(&format!("http://{address}/master.m3u8"), &[]);
    // Three playlists, one initialization, eight segments.
    assert_eq!(told.json["result"]["requests"], 12);
    assert_eq!(told.json["result"]["connections"], 1);
}

/// An origin of ours, killed when dropped.
struct Origin {
    child: Child,
    /// The address of its page, which all others begin with.
    page: String,
}

impl Origin {
    fn start(command: &mut Command) -> Origin {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let page = ready.split_whitespace().find(|word| word.starts_with("http://"));
        let page = page.unwrap_or_else(|| panic!("no address in {ready:?}")).to_owned();
        Origin { child, page }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn our_own_origin_breaks_no_rule() {
    for film in ["short", "ladder"] {
        let mut command = stentor();
        command.args(["video", "serve", "-p", "0", "--film", film, "--seed", "1"]);
        let server = Origin::start(&mut command);
        for manifest in ["master.m3u8", "manifest.mpd", "0/playlist.m3u8"] {
            let told = check(&format!("{}{manifest}", server.page), &["--strict", "-n", "6"]);
            assert_eq!((told.said.code, told.rules()), (Some(0), BTreeSet::new()), "{film}");
            assert!(!told.tracks().is_empty());
        }
    }
}
