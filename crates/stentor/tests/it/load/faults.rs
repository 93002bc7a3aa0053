//! A real service with each fault: what was injected is what is reported, and counts add up.

use super::{Told, load};
use crate::program::Server;

/// A run of 400 requests on a service with one fault. The timeout is long enough for a busy
/// machine, and short enough for what never comes.
fn struck(fault: &str, udp: bool, more: &[&str]) -> Told {
    let server = Server::start(&["--fault", fault, "--seed", "1"]);
    let scheme = if udp { "udp" } else { "tcp" };
    let target = format!("{scheme}://{}", server.v4);
    let usual = ["-n", "400", "-r", "4000", "-c", "20", "--seed", "1", "-w", "20s"];
    let mut arguments = more.to_vec();
    for pair in usual.chunks(2) {
        if !more.contains(&pair[0]) {
            arguments.extend(pair);
        }
    }
    load(&target, &arguments)
}

/// Whether `found` of 400 is within the 99.9 % interval of 20 %: 49 to 114.
fn is_a_fifth(found: u64) -> bool {
    (49..=114).contains(&found)
}

#[test]
fn halves_and_drips_of_a_stream_are_whole_replies() {
    struck("split=1ms", false, &[]).is_good(400);
    struck("drip=1ms", false, &[]).is_good(400);
}

#[test]
fn a_stall_is_waited_out() {
    struck("stall=300ms/600ms", false, &[]).is_good(400);
    struck("stall=300ms/600ms", true, &[]).is_good(400);
}

#[test]
fn silence_is_lost_and_never_good() {
    let more = ["-w", "200ms", "-n", "40"];
    for udp in [false, true] {
        let told = struck("silent", udp, &more);
        told.is_bad("no reply was verified");
        assert!(told.requests("sent") > 0 && told.requests("lost") == told.requests("sent"));
        assert_eq!(told.requests("offered"), 40);
    }
    // Some connections are answered, some never; of datagrams some are not.
    let told = struck("silent:20%", true, &["-w", "1s"]);
    told.is_bad("loss");
    assert!(is_a_fifth(told.requests("lost")), "{:#}", told.json);
}

#[test]
fn resets_and_cut_replies_are_errors_with_their_reason() {
    for fault in ["rst:20%", "truncate:20%"] {
        let told = struck(fault, false, &[]);
        told.is_bad("errors");
        assert!(is_a_fifth(told.requests("error")), "{fault}: {:#}", told.json);
        assert_eq!(told.number(&["result", "errors", "cut"]), told.requests("error"));
        assert_eq!(told.number(&["result", "connections", "lost"]), told.requests("error"));
    }
}

#[test]
fn datagrams_cut_short_are_wrong() {
    for fault in ["truncate:20%", "split=1ms:20%"] {
        let told = struck(fault, true, &[]);
        told.is_bad("wrong");
        assert!(is_a_fifth(told.requests("wrong")), "{fault}: {:#}", told.json);
    }
}

#[test]
fn doubled_replies_are_counted_and_bad() {
    let told = struck("dup:20%", true, &[]);
    told.is_bad("duplicates");
    assert_eq!(told.requests("verified"), 400, "{:#}", told.json);
    assert!(is_a_fifth(told.number(&["result", "datagrams", "duplicate"])), "{:#}", told.json);
    // On a stream a doubled reply stands where another was to come, or where none was.
    let told = struck("dup:20%", false, &[]);
    assert_eq!(told.said.code, Some(1), "{:#}", told.json);
    let unasked = told.number(&["result", "datagrams", "unasked"]);
    assert!(unasked + told.requests("wrong") > 0, "{:#}", told.json);
}

#[test]
fn what_comes_after_the_timeout_is_late() {
    // Those that are not late have as long as a machine may be busy: too short a timeout makes
    // them late too, never the other way.
    for udp in [false, true] {
        let told = struck("late=900ms:20%", udp, &["-w", "600ms", "-c", "100", "-r", "200"]);
        told.is_bad("late");
        // Of the last datagrams nobody waits longer than the timeout, so they are lost.
        let (late, lost) = (told.requests("late"), told.requests("lost"));
        assert!(late > 0 && late + lost >= 49, "{:#}", told.json);
        assert_eq!(told.requests("wrong") + told.requests("error"), 0, "{:#}", told.json);
    }
}

#[test]
fn another_service_is_another_answer() {
    let server = Server::start(&["--service", "echo"]);
    let target = format!("tcp://{}", server.v4);
    let told = load(&target, &["-n", "50", "-r", "max"]);
    told.is_bad("wrong");
    assert_eq!(told.requests("wrong"), 50);
    load(&target, &["-n", "50", "-r", "max", "--verify", "echo"]).is_good(50);
    load(&target, &["-n", "50", "-r", "max", "--verify", "off"]).is_good(50);
    load(&target, &["-n", "50", "-r", "max", "--verify", "regex:^[a-z]+$"]).is_good(50);
    load(&target, &["-n", "50", "-r", "max", "--verify", "regex:^[A-Z]+$"]).is_bad("wrong");
    // Takes everything and says nothing.
    let server = Server::start(&["--service", "discard"]);
    let target = format!("tcp://{}", server.v4);
    load(&target, &["-n", "5", "-w", "100ms"]).is_bad("no reply was verified");
}

#[test]
fn what_has_no_end_is_not_called_silence() {
    let server = Server::start(&[]);
    let target = format!("tcp://{}", server.v4);
    let framing = ["--framing", "regex:\r\n", "--template", "hello\n"];
    let said = crate::program::run(
        &[&["load", &target, "-n", "3", "-w", "300ms", "-q"][..], &framing].concat(),
        b"",
    );
    assert_eq!(said.code, Some(1));
    let words = said.out().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("bytes came, but no end of a reply: is --framing"), "{words}");
    // Nothing is known of latencies, so ours is not compared with them.
    assert!(!words.contains("is not small beside"), "{words}");
}

#[test]
fn the_first_wrong_reply_is_shown_beside_the_right_one() {
    let server = Server::start(&["--service", "echo"]);
    let target = format!("tcp://{}", server.v4);
    let text = "a\u{7}question that is longer than what fits into one line of a report: hello";
    let arguments = ["-n", "5", "--template", text];
    let told = load(&target, &arguments);
    let first = &told.json["result"]["first_wrong"];
    assert_eq!((&first["differs_at_byte"], &first["from_byte"]), (&0.into(), &0.into()));
    let expected = "A\\x07QUESTION THAT IS LONGER THAN WHAT FITS INTO ON";
    assert!(first["expected"].as_str().unwrap().starts_with(expected), "{first:#}");
    assert_eq!(first["got"], first["expected"].as_str().unwrap().to_lowercase());
    for length in ["expected_bytes", "got_bytes"] {
        assert_eq!(first[length], text.len(), "{first:#}");
    }
    let said = crate::program::run(&[&["load", &target, "-q"][..], &arguments].concat(), b"");
    let out = said.out().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(out.contains(&format!("expected \"{}", expected)), "{out}");
    assert!(out.contains("...\", got \"a\\x07question that is"), "{out}");
    assert!(out.contains("other from byte 0 on; the reply is not what --verify upper"), "{out}");

    // Of a pattern nothing else is known, and what differs late is shown there.
    let told = load(&target, &["-n", "5", "--verify", "regex:^HELLO$"]);
    let first = &told.json["result"]["first_wrong"];
    assert!(first["expected"].is_null() && first["differs_at_byte"].is_null(), "{first:#}");
    let server = Server::start(&["--service", "sentence"]);
    let long = "A".repeat(3_000);
    let told = load(&format!("udp://{}", server.v4), &["-n", "5", "--template", &long]);
    let first = &told.json["result"]["first_wrong"];
    assert_eq!((&first["differs_at_byte"], &first["from_byte"]), (&2048.into(), &2032.into()));
    assert_eq!(
        (&first["expected"], &first["got"]),
        (&"A".repeat(48).into(), &"A".repeat(16).into())
    );
    let good = load(&target, &["-n", "5", "--verify", "echo"]);
    assert!(good.json["result"]["first_wrong"].is_null());
}
