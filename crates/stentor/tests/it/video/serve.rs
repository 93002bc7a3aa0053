//! The real binary: `video serve`, asked by sockets that speak HTTP by hand.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use stentor_core::seed::{Dice, Seed};
use stentor_core::video::film::{Film, Plan};
use stentor_core::video::mp4;

use super::origin::{Client, Origin, Reply};
use crate::program::run;

/// The film of a preset that every origin has without a seed.
fn film(name: &str) -> Film {
    Plan::preset(name).unwrap().generate(&mut Dice::new(Seed(1), "film")).unwrap()
}

fn drawn(film: &Film, chunk: usize, quality: usize) -> Vec<u8> {
    mp4::chunk(film, chunk, quality).unwrap().to_bytes()
}

#[test]
fn every_byte_of_a_film_is_the_film_s() {
    let (origin, film) = (Origin::start(&["--film", "short"]), film("short"));
    let mut client = origin.client();
    let init = client.get("/init.mp4");
    assert_eq!(
        (init.body.as_slice(), init.field("content-type")),
        (&*mp4::initialization(), "video/mp4")
    );
    let mut whole = mp4::initialization();
    for chunk in 0..10 {
        let reply = client.get(&format!("/2/{chunk}.m4s"));
        assert_eq!(reply.body, drawn(&film, chunk, 2), "chunk {chunk}");
        whole.extend(reply.body);
    }
    assert_eq!(client.get("/2/film.mp4").body, whole);
    // Parts that begin and end anywhere: in the initialization, at chunks, in their padding.
    let length = whole.len();
    for (first, last) in [(0, 0), (600, 700), (639, 640), (100_639, 100_641), (5000, 987_654)] {
        let reply = client.ask("GET", "/2/film.mp4", &format!("Range: bytes={first}-{last}\r\n"));
        assert_eq!(reply.status, 206);
        assert_eq!(reply.field("content-range"), format!("bytes {first}-{last}/{length}"));
        assert!(reply.body == whole[first..=last], "{first}-{last}");
    }
    for path in ["/3/0.m4s", "/0/10.m4s", "/00/1.m4s", "/0/01.m4s", "/0/-1.m4s", "/0/", "/0", "/x"]
    {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    assert_eq!(client.get("/2/%30.m4s").body, drawn(&film, 0, 2));
}

#[test]
fn manifests_and_the_film_s_numbers_agree() {
    let (origin, film) = (Origin::start(&["--film", "ladder"]), film("ladder"));
    let master = origin.get("/master.m3u8");
    assert_eq!(master.field("content-type"), "application/vnd.apple.mpegurl");
    let peak = |quality: usize| {
        let rates = film.chunks().iter().map(|chunk| (chunk.bytes[quality] * 8).div_ceil(2));
        rates.max().unwrap()
    };
    for quality in 0..6 {
        let sizes: u64 = film.chunks().iter().map(|chunk| chunk.bytes[quality]).sum();
        let average = (sizes * 8).div_ceil(120);
        let line = format!("BANDWIDTH={},AVERAGE-BANDWIDTH={average},", peak(quality));
        assert!(master.text().contains(&line), "{line} in {}", master.text());
        let playlist = origin.get(&format!("/{quality}/playlist.m3u8")).text();
        assert!(playlist.contains("#EXT-X-MAP:URI=\"../init.mp4\"\n"), "{playlist}");
        assert_eq!(playlist.matches("#EXTINF:2.0,\n").count(), 60);
        assert!(playlist.ends_with("\n59.m4s\n#EXT-X-ENDLIST\n"), "{playlist}");
    }
    let manifest = origin.get("/manifest.mpd");
    assert_eq!(manifest.field("content-type"), "application/dash+xml");
    let line = format!("<Representation id=\"5\" bandwidth=\"{}\"", peak(5));
    assert!(
        manifest.text().contains(&line) && manifest.text().contains("media=\"5/$Number$.m4s\"")
    );
    let json = origin.get("/film.json");
    let json: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!(json["segment_sizes_bits"][59][5].as_f64(), Some(film.bytes(59, 5) as f64 * 8.0));
    let page = origin.get("/");
    assert!(
        page.field("content-type").starts_with("text/html") && page.text().contains("master.m3u8")
    );
}

#[test]
fn requests_are_answered_by_the_book() {
    let origin = Origin::start(&["--film", "short"]);
    let mut client = origin.client();
    let whole = client.get("/0/1.m4s");
    assert_eq!((whole.status, whole.body.len()), (200, 12_500));
    let tag = whole.field("etag").to_owned();
    assert!(tag.starts_with('"'), "{tag}");
    for (name, value) in [
        ("accept-ranges", "bytes"),
        ("content-length", "12500"),
        ("cache-control", "no-store"),
        ("access-control-allow-origin", "*"),
        ("timing-allow-origin", "*"),
    ] {
        assert_eq!(whole.field(name), value, "{name}");
    }
    assert!(whole.field("access-control-expose-headers").contains("Content-Range"));
    assert!(whole.field("date").ends_with(" GMT"), "{whole:?}");
    let head = client.ask("HEAD", "/0/1.m4s", "");
    assert_eq!((head.status, head.field("content-length")), (200, "12500"));
    let mut check = |method: &str, fields: &str, status: u16, body_bytes: usize| -> Reply {
        let reply = client.ask(method, "/0/1.m4s", fields);
        assert_eq!((reply.status, reply.body.len()), (status, body_bytes), "{method} {fields}");
        reply
    };
    // Conditions, RFC 9110, 13.
    assert_eq!(
        check("GET", &format!("If-None-Match: \"x\", W/{tag}\r\n"), 304, 0).field("etag"),
        tag
    );
    check("GET", "If-None-Match: *\r\n", 304, 0);
    check("HEAD", &format!("If-None-Match: {tag}\r\n"), 304, 0);
    check("GET", "If-None-Match: \"x\"\r\n", 200, 12_500);
    check("GET", "If-Match: \"x\"\r\n", 412, 0);
    check("GET", &format!("If-Match: {tag}\r\n"), 200, 12_500);
    // Ranges, RFC 9110, 14.
    let part = check("GET", "Range: bytes=-500\r\n", 206, 500);
    assert_eq!(part.field("content-range"), "bytes 12000-12499/12500");
    check("GET", "Range: bytes=12000-\r\n", 206, 500);
    check("GET", "Range: bytes=0-0,5-5\r\n", 200, 12_500);
    check("HEAD", "Range: bytes=0-0\r\n", 200, 0);
    let beyond = check("GET", "Range: bytes=12500-\r\n", 416, 23);
    assert_eq!(beyond.field("content-range"), "bytes */12500");
    check("GET", &format!("Range: bytes=0-9\r\nIf-Range: {tag}\r\n"), 206, 10);
    check("GET", "Range: bytes=0-9\r\nIf-Range: \"x\"\r\n", 200, 12_500);
    check("GET", "Range: bytes=0-9\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 200, 12_500);
    // Other methods.
    let options =
        check("OPTIONS", "Origin: http://x\r\nAccess-Control-Request-Method: GET\r\n", 204, 0);
    assert_eq!(options.field("access-control-allow-methods"), "GET, HEAD, OPTIONS");
    assert_eq!(options.field("access-control-allow-headers"), "*");
    assert_eq!(check("DELETE", "", 405, 48).field("allow"), "GET, HEAD, OPTIONS");
    // All of that came on one connection.
    let log = client.get("/requests").text();
    assert!(
        log.lines().count() >= 18 && log.lines().all(|line| line.contains("\"connection\":0,"))
    );
}

#[test]
fn requests_in_a_row_are_answered_in_their_order() {
    let (origin, film) = (Origin::start(&["--film", "short"]), film("short"));
    let mut client = origin.client();
    let ask = |chunk: usize| format!("GET /1/{chunk}.m4s HTTP/1.1\r\nHost: test\r\n\r\n");
    client.send(&(0..10).map(ask).collect::<String>());
    for chunk in 0..10 {
        let head = client.head();
        assert_eq!(client.body(head, "GET").body, drawn(&film, chunk, 1), "chunk {chunk}");
    }
    // HTTP/1.0 ends with its answer, also for a client that has closed its half.
    client.send("GET /0/1.m4s HTTP/1.0\r\n\r\n");
    client.stream.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    let (rest, reset) = client.rest();
    assert!(rest.ends_with(&drawn(&film, 1, 0)) && !reset);
}

#[test]
fn what_is_no_request_costs_nothing() {
    let origin = Origin::start(&["--film", "short", "--head", "50ms"]);
    let check = |sent: &str, status: &str| {
        let mut client = origin.client();
        client.send(sent);
        let (rest, _) = client.rest();
        let rest = String::from_utf8_lossy(&rest).into_owned();
        assert!(rest.starts_with(&format!("HTTP/1.1 {status} ")), "{sent:.40}: {rest:.100}");
    };
    check("hello\r\n\r\n", "400");
    check("GET /\r\n\r\n", "400");
    check("GET / HTTP/1.1\r\nno field\r\n\r\n", "400");
    check("\x16\x03\x01\x02 a greeting of TLS\r\n\r\n", "400");
    check(&format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000)), "431");
    check(&format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200)), "431");
    assert_eq!(origin.get("/%2").status, 400);
    // A head that never ends is not waited for.
    let mut slow = origin.client();
    slow.send("GET /0/1.m4s HTTP/1.1\r\nHost:");
    assert_eq!(slow.rest().0.len(), 0);
    origin.logged("no whole request within the time");
    assert_eq!(origin.get("/0/1.m4s").status, 200);
    let (status, summary) = origin.end();
    assert!(status.success() && summary.contains("too slow     1 requests"), "{summary}");
    assert!(summary.contains("no requests  6 connections"), "{summary}");
}

#[test]
fn a_quiet_connection_is_closed() {
    let origin = Origin::start(&["--film", "short", "--idle", "50ms"]);
    let mut client = origin.client();
    assert_eq!(client.get("/0/1.m4s").body.len(), 12_500);
    assert_eq!(client.rest(), (Vec::new(), false));
}

#[test]
fn connections_beyond_the_most_wait() {
    let origin = Origin::start(&["--film", "short", "--max-conns", "1"]);
    let mut first = origin.client();
    assert_eq!(first.get("/0/1.m4s").status, 200);
    let mut second = origin.client();
    second.send("GET /0/2.m4s HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.logged("1 connections are open (--max-conns)");
    assert_eq!(first.get("/0/3.m4s").status, 200);
    drop(first);
    assert_eq!(second.head().status, 200);
}

#[test]
fn faults_happen_as_they_are_asked_for() {
    let faults = "404@/0/1.m4s,503@/0/2.m4s:once,truncate@/0/3.m4s,rst@/0/4.m4s,\
                  stall=20ms@/0/5.m4s,late=20ms@/0/6.m4s,slow=1Mbit@/0/7.m4s,500@*.m3u8:every=2";
    let origin = Origin::start(&["--film", "short", "--fault", faults, "--seed", "1"]);
    let film = film("short");
    assert_eq!(origin.logged("faults"), "stentor: faults by --seed 1");
    let (missing, once) = (origin.get("/0/1.m4s"), origin.get("/0/2.m4s"));
    assert_eq!((missing.status, once.status, origin.get("/0/2.m4s").status), (404, 503, 200));
    for (chunk, reset) in [(3, false), (4, true)] {
        let mut client = origin.client();
        client.send(&format!("GET /0/{chunk}.m4s HTTP/1.1\r\nHost: test\r\n\r\n"));
        let head = client.head();
        assert_eq!((head.status, head.field("content-length")), (200, "12500"));
        let (rest, was_reset) = client.rest();
        assert_eq!(was_reset, reset, "chunk {chunk}");
        let half = &drawn(&film, chunk, 0)[..6250];
        assert!(if reset { half.starts_with(&rest) } else { rest == half }, "chunk {chunk}");
        let line = origin.logged(&format!("/0/{chunk}.m4s"));
        assert!(
            line.contains("200 6250 of 12500 bytes") && line.contains("closed by fault"),
            "{line}"
        );
    }
    for chunk in 5..9 {
        let (began, reply) = (Instant::now(), origin.get(&format!("/0/{chunk}.m4s")));
        assert_eq!(reply.body, drawn(&film, chunk, 0), "chunk {chunk}");
        let least = [20, 20, 100, 0][chunk - 5];
        assert!(began.elapsed() >= Duration::from_millis(least), "chunk {chunk}");
    }
    let codes = [0, 1, 2, 0].map(|quality| origin.get(&format!("/{quality}/playlist.m3u8")).status);
    assert_eq!(codes, [200, 500, 200, 500]);
    // The witness itself is never struck.
    let log = origin.get("/requests").text();
    let stalled = log.lines().find(|line| line.contains("/0/5.m4s")).unwrap();
    assert!(stalled.contains("\"fault\":\"stall=20ms@/0/5.m4s\""), "{stalled}");
}

#[test]
fn a_stall_without_end_lasts_until_the_client_goes() {
    let origin = Origin::start(&["--film", "short", "--fault", "stall=forever"]);
    let mut client = origin.client();
    client.send("GET /2/1.m4s HTTP/1.1\r\nHost: test\r\n\r\n");
    client.head();
    let mut half = vec![0; 50_000];
    client.stream.read_exact(&mut half).unwrap();
    assert_eq!(half, drawn(&film("short"), 1, 2)[..50_000]);
    drop(client);
    let line = origin.logged("/2/1.m4s");
    assert!(line.contains("50000 of 100000 bytes") && line.contains("client closed"), "{line}");
}

#[test]
fn a_rate_is_never_exceeded() {
    let origin = Origin::start(&["--film", "short", "--rate", "8Mbit"]);
    let mut client = origin.client();
    let began = Instant::now();
    // On one connection answers share the rate, also when they are asked for at once.
    let ask = "GET /2/1.m4s HTTP/1.1\r\nHost: test\r\n\r\n";
    client.send(&ask.repeat(3));
    for _ in 0..3 {
        let head = client.head();
        client.body(head, "GET");
    }
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
}

#[test]
fn what_a_client_does_not_read_waits_at_the_server() {
    let origin = Origin::start(&["--film", "lecture"]);
    let mut lazy = origin.client();
    lazy.send("GET /0/film.mp4 HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(lazy.head().field("content-length"), "15000640");
    let (mut other, began) = (origin.client(), Instant::now());
    let waiting = loop {
        let queue: serde_json::Value =
            serde_json::from_str(&other.get("/queues").text()).unwrap_or_default();
        let last = queue["samples"].as_array().and_then(|samples| samples.last().cloned());
        match last {
            Some(last) if last["unsent_bytes"].as_u64() > Some(0) => break last,
            _ => assert!(began.elapsed() < Duration::from_secs(30), "{queue}"),
        }
    };
    let number = |key: &str| waiting[key].as_u64().unwrap();
    assert!(number("unsent_bytes") <= number("queued_bytes"), "{waiting}");
    assert!(number("queued_bytes") <= number("sent_bytes") + 1000, "{waiting}");
    drop(lazy);
    let line = origin.logged("/0/film.mp4");
    assert!(line.contains("client closed"), "{line}");
    assert!(other.get("/queues").text().contains("\"ended\":true"));
}

#[test]
fn the_first_signal_lets_answers_finish_and_the_sums_add_up() {
    let origin = Origin::start(&["--film", "short", "--rate", "2Mbit", "--drain", "60s"]);
    let mut client = origin.client();
    client.send("GET /2/1.m4s HTTP/1.1\r\nHost: test\r\n\r\n");
    let head = client.head();
    let idle = origin.client();
    origin.signal("-INT");
    assert_eq!(client.body(head, "GET").body.len(), 100_000);
    let (status, summary) = origin.wait();
    drop(idle);
    assert_eq!(status.code(), Some(0));
    let last = summary.lines().last().unwrap();
    assert!(last.starts_with("requests     1 = 1 complete; "), "{last}");
    assert!(last.ends_with(", 100000 bytes of bodies sent"), "{last}");
}

#[test]
fn the_summary_and_the_log_are_json_whose_sums_add_up() {
    let faults = "truncate@/0/1.m4s,404@/0/2.m4s";
    let mut child = Origin::command(&["--film", "short", "-J", "--log", "json", "--fault", faults]);
    let mut err = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    // With --json the addresses are notices.
    std::io::BufRead::read_line(&mut err, &mut line).unwrap();
    let address = line.split('/').nth(2).unwrap().parse().unwrap();
    assert_eq!(Client::new(address).get("/0/0.m4s").status, 200);
    let mut cut = Client::new(address);
    cut.send("GET /0/1.m4s HTTP/1.1\r\nHost: test\r\n\r\n");
    cut.rest();
    assert_eq!(Client::new(address).get("/0/2.m4s").status, 404);
    assert_eq!(Client::new(address).ask("GET", "/0/3.m4s", "Range: bytes=5-9\r\n").status, 206);
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let (mut said, mut log) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    err.read_to_string(&mut log).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let object: serde_json::Value = serde_json::from_str(&said).unwrap();
    let result = &object["result"];
    let sum = |key: &str| -> u64 {
        result[key].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
    };
    assert_eq!(object["schema"], "stentor.video-serve/1");
    assert_eq!((&object["config"]["film"], &object["ok"]), (&"short".into(), &true.into()));
    assert_eq!((result["requests"].as_u64(), sum("ended"), sum("statuses")), (Some(4), 4, 4));
    assert_eq!((&result["faults"], &result["ended"]["fault"]), (&2.into(), &1.into()));
    let lines: Vec<serde_json::Value> =
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let sent: u64 = lines.iter().map(|line| line["sent_bytes"].as_u64().unwrap()).sum();
    assert_eq!((lines.len(), Some(sent)), (4, result["sent_bytes"].as_u64()), "{log}");
    assert_eq!(lines[3]["range"], serde_json::json!([5, 9]), "{log}");
}

#[test]
fn answers_that_take_too_long_are_cut_when_it_ends() {
    for signals in 1..=2 {
        let drain = if signals == 1 { "50ms" } else { "1h" };
        let origin = Origin::start(&["--film", "short", "--rate", "1kbit", "--drain", drain]);
        let mut client = origin.client();
        client.send("GET /2/1.m4s HTTP/1.1\r\nHost: test\r\n\r\n");
        client.head();
        for _ in 0..signals {
            origin.signal("-INT");
        }
        client.rest();
        let (status, summary) = origin.wait();
        assert_eq!(status.code(), Some(if signals == 1 { 0 } else { 130 }), "{summary}");
        assert!(summary.contains("1 stopped"), "{summary}");
    }
}

#[test]
fn a_film_whose_chunks_have_no_room_for_their_pictures_is_refused() {
    let path = std::env::temp_dir().join(format!("stentor-tiny-{}.json", std::process::id()));
    let json = r#"{"segment_duration_ms":1000,"bitrates_kbps":[1],"segment_sizes_bits":[[1000]]}"#;
    std::fs::write(&path, json).unwrap();
    let said = run(&["video", "serve", "--film", path.to_str().unwrap()], b"");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(said.code, Some(2));
    assert!(
        said.err.contains("chunk 0 has 125 bytes in quality 0, and its pictures need"),
        "{}",
        said.err
    );
}

#[test]
fn what_cannot_be_served_is_said() {
    let check = |arguments: &[&str], code: i32, said: &str| {
        let all: Vec<&str> =
            ["video", "serve"].into_iter().chain(arguments.iter().copied()).collect();
        let run = run(&all, b"");
        assert_eq!(run.code, Some(code), "{arguments:?}: {}", run.err);
        assert!(run.err.contains(said), "{arguments:?}: {}", run.err);
    };
    check(&["/nowhere/at/all"], 3, "open /nowhere/at/all: no such file or directory (ENOENT)");
    check(&["--film", "none"], 2, "Films with a name are lecture, ladder, short, hour");
    check(&["--film", "short", "."], 2, "cannot be used with");
    check(&["--rate", "0"], 2, "--rate 0 would never send anything");
    check(&["--fault", "half"], 2, "\"half\" is not a fault");
    check(&["-b", "localhost"], 2, "-b localhost: it is no address");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    check(&["-p", &port], 3, "address already in use (EADDRINUSE)");
}

#[test]
fn a_request_of_1_1_has_one_host() {
    let origin = Origin::start(&["--film", "short"]);
    let status = |head: &str| {
        let mut stream = TcpStream::connect(origin.address).unwrap();
        write!(stream, "{head}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status("GET /film.json HTTP/1.1\r\nHost: a\r\n"), "200");
    assert_eq!(status("GET /film.json HTTP/1.0\r\n"), "200");
    assert_eq!(status("GET /film.json HTTP/1.1\r\n"), "400");
    assert_eq!(status("GET /film.json HTTP/1.1\r\nHost: a\r\nHost: b\r\n"), "400");
}

#[test]
fn a_folder_with_two_slashes_is_still_here() {
    let folder = std::env::temp_dir().join(format!("stentor-slashes-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("other")).unwrap();
    let origin = Origin::start(&[folder.to_str().unwrap()]);
    let mut stream = TcpStream::connect(origin.address).unwrap();
    write!(stream, "GET //other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(answer.starts_with("HTTP/1.1 301 "), "{answer}");
    assert!(answer.contains("\r\nlocation: /other/\r\n"), "{answer}");
}
