//! `stentor` alone: the service and a client on it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::program::{run, stentor, traceable};

#[test]
fn in_a_pipe_it_is_a_filter() {
    let said = run(&[], "hello straße\n".as_bytes());
    assert_eq!((said.code, said.out().as_str()), (Some(0), "HELLO STRASSE\n"), "{}", said.err);
    let said = run(&[], b"");
    assert_eq!((said.code, said.out().as_str()), (Some(0), ""), "{}", said.err);
}

#[test]
fn bytes_that_are_no_text_pass_through() {
    let said = run(&[], b"a\xff\xfe\x00b\xc3");
    assert_eq!((said.code, &said.out[..]), (Some(0), &b"A\xff\xfe\x00B\xc3"[..]), "{}", said.err);
}

#[test]
fn a_taken_port_is_said_and_another_used() {
    // Whoever has it, this test or a neighbour: it is taken.
    let _taken = TcpListener::bind("127.0.0.1:12000");
    let said = run(&[], b"hello");
    assert_eq!((said.code, said.out().as_str()), (Some(0), "HELLO"), "{}", said.err);
    assert!(said.err.starts_with("stentor: port 12000 is taken (ss -ltnup"), "{}", said.err);
}

#[test]
fn a_reader_who_leaves_ends_it_quietly() {
    let mut child = stentor()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    // Until the program has noticed: writing to it fails then.
    while stdin.write_all(&[b'x'; 4096]).is_ok() {}
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    let quiet = err.lines().all(|line| line.contains("port 12000 is taken"));
    assert!(quiet, "{err}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_ladder_follows_each_answer() {
    if !traceable() {
        return;
    }
    let packets = run(&["trace", "-q", "--mode", "lab", "--", "true"], b"").code == Some(0);
    let said = run(&["--ladder"], "it's -x\nstraße".as_bytes());
    let shown = said.out();
    assert_eq!(said.code, Some(0), "{shown}\n{}", said.err);
    let at = |wanted: &str| shown.find(wanted).unwrap_or_else(|| panic!("no {wanted}: {shown}"));
    assert!(at("IT'S -X\n") < at("━━ TCP 127.0.0.1:") && at("━━ TCP") < at("STRASSE\n"), "{shown}");
    assert_eq!(shown.matches("━━ TCP 127.0.0.1:").count(), 2, "{shown}");
    for call in ["bind(", "listen(", "accept4(", "connect(", "sendto(", "shutdown(", "close("] {
        assert!(shown.contains(call), "no {call}: {shown}");
    }
    if packets {
        assert_eq!((said.err.as_str(), shown.matches("━ SYN seq 0 ").count()), ("", 2), "{shown}");
    } else {
        eprintln!("SKIPPED: packets on the ladder: {}", said.err);
        assert!(said.err.starts_with("stentor: calls without packets: "), "{}", said.err);
    }
}

#[test]
fn a_sentence_that_cannot_be_traced_is_said_and_the_next_one_is() {
    if !traceable() {
        return;
    }
    let said = run(&["--ladder"], b"a\0b\n\xff\nlast\n");
    let shown = said.out();
    assert_eq!(said.code, Some(2), "{shown}");
    assert!(said.err.contains("cannot be had: it has a byte 0"), "{}", said.err);
    assert!(said.err.contains("cannot be had: it is not UTF-8"), "{}", said.err);
    assert!(shown.starts_with("LAST\n"), "{shown}");
}

#[test]
fn an_interrupt_ends_the_ladder_while_it_waits_for_a_line() {
    if !traceable() {
        return;
    }
    let mut child = stentor()
        .arg("--ladder")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hello\n").unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut answer = String::new();
    out.read_line(&mut answer).unwrap();
    // By now it has taken the signal over; the ladder is still being drawn, or it waits.
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!((child.wait().unwrap().code(), answer.as_str()), (Some(130), "HELLO\n"), "{rest}");
    drop(stdin);
}
