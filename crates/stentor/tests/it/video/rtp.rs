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
    check(&["--playout", "2s", "-B", "1s"], 2, "the buffer holds less");
    check(&["http://127.0.0.1:1/"], 2, "With --udp write HOST:PORT");
    check(&["tcp://127.0.0.1:1"], 2, "the film comes over UDP");
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap().to_string();
    check(&[&address, "-w", "300ms"], 1, "no answer within 300ms");
    drop(closed);
    check(&[&address], 3, "ECONNREFUSED");
}

#[test]
fn a_question_that_is_too_short_has_no_answer() {
    let film = serve("rtp-short", 1, 20_000, &[]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(film.origin.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The answers would be told apart by their number.
    socket.send(b"stentor-rtp/1 PLAY quality=0").unwrap();
    let long = format!("{:<191}\n", "stentor-rtp/1 PLAY quality=0");
    socket.send(long.as_bytes()).unwrap();
    let mut answer = [0; 2048];
    socket.recv(&mut answer).unwrap();
    socket.set_nonblocking(true).unwrap();
    // One thread answers in order: the answer to the second came, and there was none before it.
    assert!(socket.recv(&mut answer).is_err(), "both were answered");
}

/// Asks for a film as a player does; gives the socket and the stream's name.
fn begin(address: SocketAddr) -> (UdpSocket, u32) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = [0; 2048];
    let mut ask = |words: String| {
        socket.send(format!("{words:<191}\n").as_bytes()).unwrap();
        let count = socket.recv(&mut answer).unwrap();
        String::from_utf8(answer[..count].to_vec()).unwrap()
    };
    let token = ask("stentor-rtp/1 PLAY quality=0".to_owned());
    let token = token.trim().rsplit(' ').next().unwrap();
    let told = ask(format!("stentor-rtp/1 PLAY quality=0 token={token}"));
    let source = told.split("source=").nth(1).unwrap().split(' ').next().unwrap();
    (socket, source.parse().unwrap())
}

fn goodbye(source: u32) -> Vec<u8> {
    [&[0x81, 203, 0, 1][..], &source.to_be_bytes()].concat()
}

/// A receiver's report with one block, of zeros.
fn report(source: u32) -> Vec<u8> {
    let names = [(!source).to_be_bytes(), source.to_be_bytes()].concat();
    [&[0x81, 201, 0, 7][..], &names, &[0; 20]].concat()
}

#[test]
fn only_its_player_ends_a_stream() {
    let film = serve("rtp-goodbye", 300, 20_000, &[]);
    let (socket, source) = begin(film.origin.address);
    // Who writes a player's address into a datagram does not know the stream's name.
    socket.send(&goodbye(1)).unwrap();
    socket.send(&goodbye(source)).unwrap();
    socket.send(&report(source)).unwrap();
    let line = film.origin.log.iter().find(|line| !line.contains("plays quality")).unwrap();
    assert!(line.contains("reports 0 lost"), "{line}");
    socket.send(&goodbye(!source)).unwrap();
    let line = film.origin.log.iter().next().unwrap();
    assert!(line.contains("the player left"), "{line}");
}

#[test]
fn who_reports_after_the_end_hears_of_it_again() {
    let film = serve("rtp-late", 1, 2400, &[]);
    let (socket, source) = begin(film.origin.address);
    let mut datagram = [0; 2048];
    let mut next = || {
        let count = socket.recv(&mut datagram).unwrap();
        datagram[..count].to_vec()
    };
    assert_eq!([next().len(), next().len()], [1212; 2], "the film");
    assert_eq!(next(), goodbye(source));
    socket.send(&report(source)).unwrap();
    assert_eq!(next(), goodbye(source));
    // Of a stream of an earlier origin nobody knows here.
    socket.send(&report(source ^ 1)).unwrap();
    assert_eq!(
        next(),
        [&[0x81, 203, 0, 3][..], &(source ^ 1).to_be_bytes(), b"\x07stopped"].concat()
    );
}

/// Plays from a peer that answers as `answer` does, and gives what was said.
fn play_from(
    more: &[&str],
    mut answer: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> crate::program::Said {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = peer.local_addr().unwrap().to_string();
    // It ends by a datagram of its own.
    let (end, ends) = (UdpSocket::bind("127.0.0.1:0").unwrap(), peer.local_addr().unwrap());
    let speaks = std::thread::spawn(move || {
        let mut asked = [0; 2048];
        while let Ok((count, player)) = peer.recv_from(&mut asked) {
            if &asked[..count] == b"end" {
                break;
            }
            for datagram in answer(&asked[..count]) {
                let _ = peer.send_to(&datagram, player);
            }
        }
    });
    let said = run(&[&["video", "play", "--udp", &address, "-q"], more].concat(), b"");
    end.send_to(b"end", ends).unwrap();
    speaks.join().unwrap();
    said
}

#[test]
fn an_origin_that_only_hands_out_tokens_is_not_waited_for() {
    let mut token = 0_u64;
    let said = play_from(&["-w", "600ms"], move |_| {
        token += 1;
        vec![format!("stentor-rtp/1 TOKEN {token:016x}\n").into_bytes()]
    });
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("no answer within 600ms"), "{}", said.err);
}

#[test]
fn an_origin_that_began_anew_is_asked_with_its_own_token() {
    let mut asked = 0;
    let said = play_from(&["-w", "10s"], move |request| {
        asked += 1;
        let request = String::from_utf8_lossy(request).into_owned();
        let line = match request.contains("token=0000000000000002") {
            true => "REFUSED nothing here".to_owned(),
            false => format!("TOKEN {:016x}", asked.min(2)),
        };
        vec![format!("stentor-rtp/1 {line}\n").into_bytes()]
    });
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("refuses: nothing here"), "{}", said.err);
}

const TOLD: &str = "stentor-rtp/1 FILM source=7 sequence=0 timestamp=0 packets=9 bytes=90 \
                    length_ns=1000000000\n";

/// A packet of the film of `TOLD`.
fn packet(number: u16, timestamp: u32) -> Vec<u8> {
    let [s0, s1] = number.to_be_bytes();
    let [t0, t1, t2, t3] = timestamp.to_be_bytes();
    vec![0x80, 96, s0, s1, t0, t1, t2, t3, 0, 0, 0, 7, 1, 2]
}

#[test]
fn an_origin_that_stops_is_no_end_of_the_film() {
    let said = play_from(&["--playout", "10ms"], |_| {
        let stopped = [&[0x81, 203, 0, 3, 0, 0, 0, 7][..], b"\x07stopped"].concat();
        vec![TOLD.as_bytes().to_vec(), packet(0, 0), packet(1, 9000), stopped]
    });
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("the origin stopped before the film's end"), "{}", said.err);
}

#[test]
fn what_plays_after_the_films_end_is_not_waited_for() {
    let said = play_from(&["--playout", "10ms", "-w", "600ms", "-J"], |_| {
        vec![TOLD.as_bytes().to_vec(), packet(0, 0), packet(1, 0x7fff_ffff)]
    });
    let json: Value = serde_json::from_slice(&said.out).unwrap();
    assert_eq!(said.code, Some(1), "{json:#}");
    assert!(number(&json, "strangers") > 0, "{json:#}");
    assert_eq!(number(&json, "full"), 0, "nothing of it fills the buffer: {json:#}");
}

#[test]
fn every_interface_is_served_over_udp() {
    let film = serve("rtp-public", 1, 20_000, &["--public"]);
    let near = SocketAddr::from(([127, 0, 0, 1], film.origin.address.port()));
    let (code, json) = play(near, &["--playout", "1s"]);
    assert_eq!(code, Some(0), "{json:#}");
}

#[test]
fn what_comes_after_the_end_of_play_is_late_and_not_lost() {
    let film = serve("rtp-end", 3, 20_000, &[]);
    // The goodbye overtakes packets, and whoever comes after it has missed its turn.
    let link = ["--link", "down:jitter=200ms", "--seed", "7", "--playout", "1ms"];
    let (_, json) = play(film.origin.address, &link);
    adds_up(&json);
    assert!(number(&json, "late") > 0, "{json:#}");
    assert_eq!((number(&json, "sent"), number(&json, "lost")), (3 * 17, 0), "{json:#}");
}

#[test]
fn a_buffer_of_nothing_still_reads() {
    let film = serve("rtp-nothing", 2, 20_000, &[]);
    let (_, json) = play(film.origin.address, &["-B", "0s", "--playout", "0ms"]);
    adds_up(&json);
    assert_eq!((number(&json, "sent"), number(&json, "lost")), (2 * 17, 0), "{json:#}");
}
