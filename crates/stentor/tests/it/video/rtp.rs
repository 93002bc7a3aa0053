//! The real binary: film over UDP, from `video serve --udp` to `video play --udp`.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::origin::Origin;
use crate::program::run;

/// An origin of a film of `chunks` chunks of 200 ms, each of so many bytes.
struct Film {
    origin: Origin,
    file: PathBuf,
}

impl Drop for Film {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

fn serve(name: &str, chunks: usize, bytes: usize, more: &[&str]) -> Film {
    let file = std::env::temp_dir().join(format!("stentor-{name}-{}.json", std::process::id()));
    let sizes = vec![format!("[{}]", bytes * 8); chunks].join(",");
    let rate = bytes * 8 / 200;
    let film = format!(
        r#"{{"segment_duration_ms":200,"bitrates_kbps":[{rate}],"segment_sizes_bits":[{sizes}]}}"#
    );
    std::fs::write(&file, film).unwrap();
    let arguments = [&["--udp", "--film", file.to_str().unwrap()], more].concat();
    Film { origin: Origin::start(&arguments), file }
}

/// Plays it and gives the exit code and the JSON.
fn play(address: SocketAddr, more: &[&str]) -> (Option<i32>, Value) {
    let target = format!("udp://{address}");
    let said = run(&[&["video", "play", "-u", &target, "--json"], more].concat(), b"");
    let json = serde_json::from_slice(&said.out).unwrap_or_else(|_| panic!("{}", said.err));
    (said.code, json)
}

fn number(json: &Value, name: &str) -> u64 {
    json["result"][name].as_u64().unwrap_or_else(|| panic!("{name}: {json:#}"))
}

fn adds_up(json: &Value) {
    let parts = number(json, "in_time") + number(json, "late") + number(json, "lost");
    assert_eq!(number(json, "sent"), parts, "{json:#}");
}

#[test]
fn a_film_over_udp_is_played_whole() {
    let film = serve("rtp-whole", 5, 20_000, &[]);
    let (code, json) = play(film.origin.address, &["--playout", "2s"]);
    assert_eq!(code, Some(0), "{json:#}");
    adds_up(&json);
    // 20,000 bytes are 16 packets of 1,200 and one of 800.
    assert_eq!((number(&json, "sent"), number(&json, "lost")), (5 * 17, 0));
    assert_eq!((number(&json, "in_time"), number(&json, "in_time_bytes")), (5 * 17, 100_000));
    let ended = film.origin.log.iter().find(|line| line.contains("all was sent")).unwrap();
    assert!(ended.contains("85 packets, 100000 bytes of film"), "{ended}");
}

#[test]
fn what_a_link_loses_is_lost() {
    let film = serve("rtp-link", 5, 20_000, &[]);
    let link = ["--link", "down:every=10", "--playout", "adaptive"];
    let (code, json) = play(film.origin.address, &link);
    assert_eq!(code, Some(0), "{json:#}");
    adds_up(&json);
    // Every tenth of what the origin sends, be it words or film.
    assert!((7..=9).contains(&number(&json, "lost")), "{json:#}");
    let missing = json["result"]["curve"].as_array().unwrap().last().unwrap()["missing"].clone();
    assert!(missing.as_f64().unwrap() > 0.05, "no delay brings back what was lost");
}

#[test]
fn what_nobody_reads_is_dropped_by_the_kernel() {
    let film = serve("rtp-full", 15, 400_000, &["--rate", "200Mbit"]);
    let (code, json) = play(film.origin.address, &["-B", "300ms", "--playout", "200ms"]);
    assert_eq!(code, Some(0), "{json:#}");
    adds_up(&json);
    assert!(number(&json, "full") > 0);
    let (lost, dropped) = (number(&json, "lost"), number(&json, "kernel_dropped"));
    assert!(lost > 0 && dropped >= lost, "{lost} {dropped}");
}

#[test]
fn nothing_is_sent_to_who_does_not_prove_where_it_is() {
    let film = serve("rtp-token", 1, 20_000, &[]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(film.origin.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let ask = |words: &str| {
        let request = format!("{words:<191}\n");
        socket.send(request.as_bytes()).unwrap();
        let mut answer = [0; 2048];
        let count = socket.recv(&mut answer).unwrap();
        assert!(count <= request.len(), "an answer longer than its question");
        String::from_utf8(answer[..count].to_vec()).unwrap()
    };
    // What is no request is not answered: the next answer is that of the next request.
    socket.send(b"hello").unwrap();
    socket.send(&[0x80, 201, 0, 1, 0, 0, 0, 0]).unwrap();
    let first = ask("stentor-rtp/1 PLAY quality=0");
    assert!(first.starts_with("stentor-rtp/1 TOKEN "), "{first}");
    let forged = ask("stentor-rtp/1 PLAY quality=0 token=0123456789abcdef");
    assert_eq!(first, forged);
    let token = first.trim().rsplit(' ').next().unwrap();
    let refused = ask(&format!("stentor-rtp/1 PLAY quality=7 token={token}"));
    assert!(refused.contains("REFUSED the film has qualities 0 to 0"), "{refused}");
    let begun = ask(&format!("stentor-rtp/1 PLAY quality=0 token={token}"));
    assert!(begun.contains("FILM ") && begun.contains(" packets=17 bytes=20000 "), "{begun}");
}

#[test]
fn what_cannot_be_is_said() {
    let check = |arguments: &[&str], code, words: &str| {
        let said = run(&[&["video", "play", "--udp"], arguments].concat(), b"");
        assert_eq!(said.code, Some(code), "{}", said.err);
        assert!(said.err.contains(words), "{}", said.err);
    };
    check(&["--playout", "soon"], 2, "--playout soon");
    check(&["--playout", "2h"], 2, "longer than anybody waits");
    check(&["http://127.0.0.1:1/"], 2, "With --udp write HOST:PORT");
    check(&["tcp://127.0.0.1:1"], 2, "the film comes over UDP");
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap().to_string();
    check(&[&address, "-w", "300ms"], 1, "no answer within 300ms");
    drop(closed);
    check(&[&address], 3, "ECONNREFUSED");
}
