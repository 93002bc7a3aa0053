//! The real binary: `video play` against an origin that does what origins do, and what they should not.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::faulty::{CHUNKS, Origin, SIZES, Then, begun, master, reply};
use crate::program::{Said, run};

/// Plays with small buffers and short silences.
fn play(url: &str, more: &[&str]) -> Said {
    let brief = ["video", "play", url, "-Q", "100ms", "-w", "400ms"];
    run(&[&brief, more].concat(), b"")
}

/// The object of a run, whose code is `code`.
fn object(url: &str, more: &[&str], code: i32) -> Value {
    let said = play(url, &[more, &["--json"]].concat());
    assert_eq!(said.code, Some(code), "{}{}", said.out(), said.err);
    serde_json::from_slice(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.out()))
}

/// A run that comes to no session: its code, and what it says.
fn refused(url: &str, code: i32, words: &[&str]) {
    let said = play(url, &["-q"]);
    assert_eq!((said.code, said.out().as_str()), (Some(code), ""), "{}", said.err);
    for word in words {
        assert!(said.err.contains(word), "{word:?} is not in {}", said.err);
    }
}

/// A run that ends early, with its report so far: what it says on standard error.
fn stopped(url: &str, more: &[&str], words: &[&str]) -> Said {
    let said = play(url, more);
    assert_eq!(said.code, Some(1), "{}{}", said.out(), said.err);
    for word in words {
        assert!(said.err.contains(word), "{word:?} is not in {}", said.err);
    }
    assert!(said.out().contains("requests"), "no report: {}", said.out());
    said
}

fn chunks(quality: usize) -> impl Iterator<Item = String> {
    (0..CHUNKS).map(move |chunk| format!("/{quality}/{chunk}.m4s"))
}

#[test]
fn every_chunk_is_asked_for_once_over_one_connection() {
    let origin = Origin::usual();
    for (quality, written) in ["0", "1"].into_iter().enumerate() {
        let before = origin.connections();
        let object = object(&origin.url("/master.m3u8"), &["--quality", written], 0);
        assert_eq!(object["ok"], true);
        assert_eq!(origin.connections(), before + 1);
        let asked = origin.asked();
        assert!(chunks(quality).all(|path| asked[&path] == 1), "{asked:?}");
    }
    let object = object(&origin.url("/1/list.m3u8"), &["--rule", "bba0"], 0);
    assert_eq!(object["config"]["chooser"], "bba0");
}

#[test]
fn a_plain_origin_and_a_link_are_no_hindrance() {
    let origin = Origin::usual();
    let said = play(&origin.url("/master.m3u8"), &["--link", "delay=30ms,rate=400kbit"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out().contains("link") || said.err.contains("link"), "{}", said.out());
    let many = play(&origin.url("/master.m3u8"), &["--clients", "20", "--stagger", "200ms"]);
    assert_eq!(many.code, Some(0), "{}", many.err);
    assert!(many.out().contains("20 to the end"), "{}", many.out());
    let asked = origin.asked();
    assert!(asked["/master.m3u8"] == 2, "the film is shared: {asked:?}");
}

#[test]
fn a_recorded_link_is_drawn_as_it_was() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (trace, picture) = (folder.join("play-trace.txt"), folder.join("play-trace.svg"));
    std::fs::write(&trace, "1 40\n2 8\n").unwrap();
    let link = format!("down:trace={}", trace.display());
    let origin = Origin::usual();
    let drawn = picture.to_str().unwrap();
    let said = play(&origin.url("/master.m3u8"), &["--link", &link, "-o", drawn]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let drawn = std::fs::read_to_string(picture).unwrap();
    assert!(drawn.contains("link (x)"), "no rate of the link in {drawn}");
}

#[test]
fn what_is_no_stored_film_is_refused_with_the_reason() {
    let html = Origin::with("/master.m3u8", reply("200 OK", b"<!DOCTYPE html><html>hello</html>"));
    refused(&html.url("/master.m3u8"), 1, &["this is an HTML page, not a manifest", "#EXTM3U"]);
    let other = Origin::with("/master.m3u8", reply("200 OK", b"hello"));
    refused(&other.url("/master.m3u8"), 1, &["neither a manifest nor an MP4 file", "\"hello\""]);
    let empty = Origin::with("/master.m3u8", reply("200 OK", b""));
    refused(&empty.url("/master.m3u8"), 1, &["the answer is empty"]);
    let origin = Origin::usual();
    refused(&origin.url("/none.m3u8"), 1, &["/none.m3u8: the server answered 404 Not Found"]);
    let live = Origin::with("/0/list.m3u8", reply("200 OK", begun().as_bytes()));
    refused(&live.url("/master.m3u8"), 1, &["/0/list.m3u8", "live stream", "stored video"]);
    refused(&live.url("/0/list.m3u8"), 1, &["live stream"]);
    let dash = "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
                type=\"dynamic\"><Period/></MPD>";
    let dash = Origin::with("/m.mpd", reply("200 OK", dash.as_bytes()));
    refused(&dash.url("/m.mpd"), 1, &["live stream"]);
    let broken = Origin::with("/m.m3u8", reply("200 OK", b"#EXTM3U\n#EXTINF:x,\na.ts\n"));
    refused(&broken.url("/m.m3u8"), 1, &["line 2", "EXTINF is a number of seconds"]);
    let nobody = play("127.0.0.1:1", &["-q"]);
    assert_eq!(nobody.code, Some(3), "{}", nobody.err);
    assert!(nobody.err.contains("ECONNREFUSED") && nobody.err.contains("stentor video serve"));
}

#[test]
fn numbers_that_nobody_can_have_and_manifests_without_end_are_bounded() {
    let absurd = master().replace("BANDWIDTH=80000", "BANDWIDTH=18446744073709551615");
    let absurd = Origin::with("/master.m3u8", reply("200 OK", absurd.as_bytes()));
    refused(&absurd.url("/master.m3u8"), 1, &["chunk 0 has 4294967296 bytes in quality 1"]);
    let long = begun().replace("EXTINF:0.1", "EXTINF:99999");
    let long =
        Origin::with("/m.m3u8", reply("200 OK", format!("{long}#EXT-X-ENDLIST\n").as_bytes()));
    refused(&long.url("/m.m3u8"), 1, &["chunk 0 plays"]);
    let endless = Origin::at("/m.m3u8", |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n#EXTM3U\n");
        let line = [b'#'; 65_536];
        while stream.write_all(&line).is_ok() {}
        Then::Close
    });
    refused(&endless.url("/m.m3u8"), 1, &["the manifest has more than 16777216 bytes"]);
    let huge = Origin::at("/1/2.m4s", |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nxx");
        Then::Close
    });
    let args = ["--quality", "1", "--retries", "0"];
    let object = object(&huge.url("/master.m3u8"), &args, 0);
    let said = object.to_string();
    assert!(said.contains("a chunk of 99999999999 bytes"), "{said}");
}

#[test]
fn redirects_are_followed_as_far_as_they_lead_somewhere() {
    let moved = |to: &str| {
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 4\r\n\r\nover")
            .into_bytes()
    };
    let origin = Origin::new(move |asked, stream| {
        let to = match asked.path {
            "/go/film" => "../master.m3u8",
            "/loop/a" => "b",
            "/loop/b" => "/loop/a",
            "/far" => "ftp://elsewhere/",
            path if path.starts_with("/deep/") => &format!("{path}x"),
            "/0/3.m4s" => "/1/3.m4s",
            _ => return Then::Usual,
        };
        stream.write_all(&moved(to)).unwrap();
        Then::Keep
    });
    let before = origin.connections();
    let object = object(&origin.url("/go/film"), &["--quality", "0"], 0);
    assert_eq!(object["ok"], true);
    assert_eq!(origin.connections(), before + 1, "its connection is kept");
    assert_eq!(origin.asked()["/1/3.m4s"], 1);
    refused(&origin.url("/loop/a"), 1, &["/loop/b", "where we have been: a loop"]);
    refused(&origin.url("/deep/"), 1, &["after ten others"]);
    refused(&origin.url("/far"), 1, &["ftp://elsewhere/, which is neither http nor https"]);
}

/// A chunk that fails in one way: it is asked for again, then in another quality, and the film is played.
fn recovers(fault: impl Fn(&mut std::net::TcpStream) -> Then + Send + Sync + 'static, words: &str) {
    let origin = Origin::at("/1/2.m4s", move |_, stream| fault(stream));
    let args = ["--quality", "1", "--retries", "1"];
    let object = object(&origin.url("/master.m3u8"), &args, 0);
    let asked = origin.asked();
    assert_eq!((asked["/1/2.m4s"], asked["/0/2.m4s"], asked["/1/3.m4s"]), (2, 1, 1), "{asked:?}");
    let said = object.to_string();
    assert!(said.contains(words), "{words:?} is not in {said}");
}

#[test]
fn a_chunk_that_is_not_there_is_tried_again_and_then_in_another_quality() {
    recovers(
        |stream| {
            stream.write_all(&reply("404 Not Found", b"gone")).unwrap();
            Then::Keep
        },
        "/1/2.m4s: the server answered 404 Not Found",
    );
}

#[test]
fn a_chunk_that_is_shorter_than_announced_is_no_chunk() {
    recovers(
        |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\nshort");
            Then::Close
        },
        "the server closed the connection after 5 of 2000 bytes",
    );
}

#[test]
fn a_chunk_whose_last_piece_never_comes_is_no_chunk() {
    recovers(
        |stream| {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n");
            Then::Close
        },
        "the server closed the connection after 5 bytes",
    );
}

#[test]
fn a_chunk_that_stands_still_is_given_up_after_the_silence() {
    recovers(
        |stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\nsome").unwrap();
            // Until the player closes.
            let _ = std::io::Read::read(stream, &mut [0; 16]);
            Then::Close
        },
        "nothing came for 400ms, after 4 of 2000 bytes",
    );
    recovers(
        |stream| {
            let _ = std::io::Read::read(stream, &mut [0; 16]);
            Then::Close
        },
        "no answer for 400ms",
    );
}

#[test]
fn an_answer_that_is_no_http_is_a_failure_like_others() {
    recovers(
        |stream| {
            let _ = stream.write_all(b"SSH-2.0-hello\r\n\r\n");
            Then::Close
        },
        "the answer is no HTTP/1",
    );
}

#[test]
fn a_film_that_cannot_go_on_ends_with_the_report_so_far() {
    let origin = Origin::new(|asked, stream| match asked.path.ends_with("/3.m4s") {
        true => {
            stream.write_all(&reply("404 Not Found", b"gone")).unwrap();
            Then::Keep
        }
        false => Then::Usual,
    });
    let args = ["--quality", "1", "--retries", "0"];
    stopped(
        &origin.url("/master.m3u8"),
        &args,
        &["chunk 3 could not be had in any quality", "/0/3.m4s", "404 Not Found"],
    );
    let asked = origin.asked();
    assert_eq!((asked["/1/3.m4s"], asked["/0/3.m4s"], asked.get("/0/4.m4s")), (1, 1, None));
}

#[test]
fn a_variant_that_disappears_is_not_asked_for_any_more() {
    let origin = Origin::new(|asked, stream| {
        match asked.path.starts_with("/1/")
            && asked.path.ends_with("m4s")
            && asked.path != "/1/0.m4s"
        {
            true => {
                stream.write_all(&reply("410 Gone", b"")).unwrap();
                Then::Keep
            }
            false => Then::Usual,
        }
    });
    let object = object(&origin.url("/master.m3u8"), &["--quality", "1", "--retries", "0"], 0);
    assert_eq!(object["ok"], true);
    let asked = origin.asked();
    let seen =
        ["/1/1.m4s", "/1/2.m4s", "/1/3.m4s", "/1/4.m4s"].map(|path| asked.get(path).copied());
    assert_eq!(seen, [Some(1), Some(1), None, None], "{asked:?}");
    // One whose playlist is not there is left out from the beginning.
    let origin = Origin::with("/1/list.m3u8", reply("404 Not Found", b""));
    let said = play(&origin.url("/master.m3u8"), &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("left out") && said.err.contains("/1/list.m3u8"), "{}", said.err);
    assert!(chunks(1).all(|path| !origin.asked().contains_key(&path)));
}

#[test]
fn lengths_that_are_not_announced_end_with_the_connection() {
    let origin = Origin::new(|asked, stream| {
        let Some(size) = asked.path.strip_suffix(".m4s").and_then(|path| match path.get(..3) {
            Some("/0/") => Some(SIZES[0]),
            _ => None,
        }) else {
            return Then::Usual;
        };
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
        let _ = stream.write_all(&vec![b'x'; size]);
        Then::Close
    });
    let object = object(&origin.url("/master.m3u8"), &["--quality", "0"], 0);
    assert_eq!(object["ok"], true);
    assert_eq!(origin.connections(), CHUNKS, "each chunk but the first has one of its own");
}

#[test]
fn a_connection_that_was_closed_while_it_was_idle_is_no_failure() {
    let origin = Origin::new(|asked, stream| {
        if asked.path == "/0/1.m4s" {
            let _ = stream.write_all(&reply("200 OK", &[b'x'; SIZES[0]]));
            return Then::Close;
        }
        Then::Usual
    });
    // The buffer has room for one more chunk only after one was played.
    let args = ["--quality", "0", "-B", "200ms"];
    let object = object(&origin.url("/master.m3u8"), &args, 0);
    assert_eq!(object["ok"], true);
    assert_eq!(origin.asked().values().filter(|count| **count > 1).count(), 0, "nothing twice");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn ranges_are_asked_for_and_must_be_served() {
    let list = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXT-X-MAP:URI=\"f\",\
                BYTERANGE=\"10@0\"\n#EXTINF:0.1,\n#EXT-X-BYTERANGE:1000@10\nf\n#EXTINF:0.1,\n\
                #EXT-X-BYTERANGE:500\nf\n#EXT-X-ENDLIST\n";
    let serve = |knows: bool| {
        Origin::new(move |asked, stream| match asked.path {
            "/list.m3u8" => {
                stream.write_all(&reply("200 OK", list.as_bytes())).unwrap();
                Then::Keep
            }
            "/f" => {
                let range = asked.head.lines().find_map(|line| {
                    line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned)
                });
                let (first, last) = range.as_deref().unwrap().split_once('-').unwrap();
                let length = last.parse::<usize>().unwrap() + 1 - first.parse::<usize>().unwrap();
                let (status, length) =
                    if knows { ("206 Partial Content", length) } else { ("200 OK", 1510) };
                let _ = stream.write_all(&reply(status, &vec![b'x'; length]));
                Then::Keep
            }
            _ => Then::Usual,
        })
    };
    let origin = serve(true);
    let object = object(&origin.url("/list.m3u8"), &[], 0);
    assert_eq!(object["ok"], true);
    assert_eq!(origin.asked()["/f"], 3);
    let plain = serve(false);
    refused(&plain.url("/list.m3u8"), 1, &["/f: the server ignores ranges", "Range"]);
}

#[test]
fn a_program_chooses_by_lines_of_json() {
    let origin = Origin::usual();
    let url = origin.url("/master.m3u8");
    let script = "import sys, json\nfor line in sys.stdin:\n    asked = json.loads(line)\n    \
                  print(json.dumps({'quality': asked['chunk'] % 2}), flush=True)\n";
    let path = std::env::temp_dir().join(format!("stentor-abr-{}.py", std::process::id()));
    std::fs::write(&path, script).unwrap();
    let python = std::process::Command::new("python3").arg("--version").output();
    if python.is_ok_and(|ran| ran.status.success()) {
        let command = format!("python3 {}", path.display());
        let said =
            run(&["video", "play", &url, "-Q", "100ms", "--abr", &command, "-w", "20s"], b"");
        assert_eq!(said.code, Some(0), "{}", said.err);
        let asked = origin.asked();
        let expected = ["/0/0.m4s", "/1/1.m4s", "/0/2.m4s", "/1/3.m4s", "/0/4.m4s"];
        assert!(expected.iter().all(|path| asked[*path] == 1), "{asked:?}");
        let said = run(
            &[
                "video", "play", "--sim", "1Mbit", "--film", "short", "--abr", &command, "-J",
                "-w", "20s",
            ],
            b"",
        );
        let object: Value = serde_json::from_slice(&said.out).unwrap();
        assert_eq!((said.code, &object["ok"]), (Some(0), &Value::from(true)), "{}", said.err);
    } else {
        eprintln!("SKIPPED: no python3");
    }
    std::fs::remove_file(&path).unwrap();
    let check = |command: &str, words: &str| {
        let said = play(&url, &["--abr", command]);
        assert_eq!(said.code, Some(1), "{command}: {}", said.err);
        assert!(said.err.contains(words), "{command}: {}", said.err);
    };
    check("false", "the program has ended (exit status: 1)");
    check("cat", "is no answer: missing field `quality`");
    // Whether it has spoken by the time it is asked is a matter of luck.
    check("yes", "\"y\" ");
    check("sleep 60", "it said nothing for 400ms");
    check("sed -u 's/.*/{\"quality\":7}/'", "quality 7 was chosen for chunk 0");
    check("sed -u 's/.*/{\"quality\":0,\"wait_s\":-1}/'", "wait_s is -1");
    let begun = Instant::now();
    let said = play(&url, &["--abr", "/nowhere/program"]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.err.contains("ENOENT") && begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn lines_choose_by_hand() {
    let origin = Origin::usual();
    let url = origin.url("/master.m3u8");
    let by_hand =
        |lines: &str| run(&["video", "play", &url, "-Q", "100ms", "--manual"], lines.as_bytes());
    let said = by_hand("1\n0\n1\n\n1\n");
    assert_eq!(said.code, Some(0), "{}", said.err);
    let asked = origin.asked();
    let expected = ["/1/0.m4s", "/0/1.m4s", "/1/2.m4s", "/1/4.m4s"];
    assert!(expected.iter().all(|path| asked[*path] == 1), "{asked:?}");
    let said = by_hand("1\n");
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("standard input ended before chunk 2 of 5 was chosen"),
        "{}",
        said.err
    );
    let said = by_hand("0\nhigh\n");
    assert!(said.err.contains("line 2 of standard input: \"high\" is no quality"), "{}", said.err);
    let said = by_hand("2\n");
    assert!(said.err.contains("2 is no quality: the film has qualities 0 to 1"), "{}", said.err);
}

#[test]
fn conditions_make_a_run_bad_and_mistakes_are_usage() {
    let origin = Origin::usual();
    let url = origin.url("/master.m3u8");
    for [flag, value, mode] in [
        ["--latency", "3ms", "--sim"],
        ["--from", "3s", "--sim"],
        ["-x", "1Mbit", "--predict"],
        ["-R", "1Mbit", "--predict"],
        ["--saw-tooth", "1Mbit,3s", "--predict"],
    ] {
        let said = play(&url, &[flag, value]);
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(
            said.err.contains(&format!("{flag} means something with {mode} only")),
            "{}",
            said.err
        );
    }
    let said = run(&["video", "play", &url, "-w", "0s"], b"");
    assert_eq!(said.code, Some(2), "{}", said.err);
    let said = play(&url, &["--receive-buffer", "64Ki"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("--fetch progressive leaves film in the kernel"), "{}", said.err);
    let said = play(&url, &["--fail-if", "stalls>=0", "--fail-if", "startup>1h"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("stalls 0") && !said.err.contains("startup"), "{}", said.err);
    // Nobody listens there, and that is not what is wrong.
    let said = run(&["video", "play", "http://127.0.0.1:1/", "--rule", "festive"], b"");
    assert_eq!(said.code, Some(2), "{}", said.err);
    for (wrong, words) in [
        (["--fail-if", "stalls"], "it compares nothing"),
        (["--fail-if", "stals>1"], "\"stals\" is no figure"),
        (["--rule", "festive"], "is no rule"),
        (["--rule", "oracle"], "in simulation only"),
        (["--quality", "2"], "qualities 0 to 1"),
        (["--film", "short"], "--film has 3 qualities of 10 chunks, and the manifest 2 of 5"),
        (["-B", "50ms"], "wants 100ms of film"),
        (["--clients", "0"], "1 to 20000 are possible"),
    ] {
        let said = play(&url, &wrong);
        assert_eq!(said.code, Some(2), "{wrong:?}: {}", said.err);
        assert!(said.err.contains(words), "{wrong:?}: {}", said.err);
    }
}
