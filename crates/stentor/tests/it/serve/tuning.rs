//! What is asked for in the name of speed: it is had, or refused with what to choose from; and no
//! promise is broken for it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use super::ask;
use crate::program::{Server, run};

#[test]
fn a_service_that_never_sleeps_answers_and_ends_in_order() {
    let server = Server::start(&["--spin", "--threads", "1"]);
    assert_eq!(ask(server.v4, "stra\u{df}e".as_bytes()), b"STRASSE");
    let mut client = TcpStream::connect(server.v4).unwrap();
    client.write_all(b"before").unwrap();
    server.signal("-TERM");
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "BEFORE");
    let (status, summary) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(summary.contains("2 accepted = 2 closed"), "{summary}");
}

#[test]
fn only_the_reactor_never_sleeps() {
    let said = run(&["serve", "-p", "0", "--spin", "--mode", "threads"], b"");
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("--spin is the reactor's"), "{}", said.err);
}

#[cfg(target_os = "linux")]
#[test]
fn connections_have_the_congestion_control_that_was_asked_for() {
    // The kernel has reno always; what others there are is its builder's choice.
    let server = Server::start(&["--tcp", "--congestion", "reno"]);
    let mut client = TcpStream::connect(server.v4).unwrap();
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    let port = server.v4.port();
    let filter = format!("sport = :{port}");
    let Ok(listed) = Command::new("ss").args(["-tniH", &filter]).output() else {
        eprintln!("SKIPPED: no ss here to look at the server's sockets");
        return;
    };
    let listed = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.contains(" reno "), "{listed}");
}

#[cfg(target_os = "linux")]
#[test]
fn an_unknown_congestion_control_is_refused_with_those_there_are() {
    let said = run(&["serve", "-p", "0", "--congestion", "no_such"], b"");
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("--congestion no_such: setsockopt TCP_CONGESTION"), "{}", said.err);
    assert!(said.err.contains("(ENOENT). This kernel has: "), "{}", said.err);
    assert!(said.err.contains("reno"), "{}", said.err);
}
