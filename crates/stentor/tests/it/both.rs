//! `stentor` alone: the service and a client on it.

use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;

use crate::program::{run, stentor};

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
