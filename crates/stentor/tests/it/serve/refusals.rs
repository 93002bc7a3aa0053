//! What cannot be served: the message names what, where and the next step.

use std::net::{TcpListener, UdpSocket};

use crate::program::{Server, run};

fn check(arguments: &[&str], code: i32, expected: &str) {
    let said = run(arguments, b"");
    assert_eq!(said.err, expected, "{arguments:?}");
    assert_eq!(said.code, Some(code), "{arguments:?}");
    assert_eq!(said.out(), "", "{arguments:?}");
}

#[test]
fn a_port_in_use_is_named_with_the_way_to_find_its_user() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    check(
        &["serve", "-b", "127.0.0.1", "-p", &port],
        3,
        &format!(
            "stentor: bind tcp 127.0.0.1:{port}: address already in use (EADDRINUSE). Another \
             program listens there: ss -ltnup 'sport = :{port}'; or choose -p PORT.\n"
        ),
    );
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    check(
        &["serve", "--udp", "-b", "127.0.0.1", "-p", &port],
        3,
        &format!(
            "stentor: bind udp 127.0.0.1:{port}: address already in use (EADDRINUSE). Another \
             program listens there: ss -ltnup 'sport = :{port}'; or choose -p PORT.\n"
        ),
    );
}

#[test]
fn two_of_ours_never_share_a_port() {
    let first = Server::start(&[]);
    let port = first.v4.port().to_string();
    let said = run(&["serve", "-p", &port], b"");
    assert_eq!(said.code, Some(3));
    assert!(said.err.contains("EADDRINUSE"), "{}", said.err);
}

#[test]
fn an_address_of_another_machine() {
    check(
        &["serve", "-b", "192.0.2.1", "-p", "0"],
        3,
        "stentor: bind tcp 192.0.2.1:0: cannot assign requested address (EADDRNOTAVAIL). No \
         interface of this machine has that address: ip address lists them.\n",
    );
}

#[test]
fn words_that_are_no_address() {
    check(
        &["serve", "-b", "127.0.0.1:http"],
        2,
        "stentor: -b 127.0.0.1:http: \"http\" is not a port: a number from 0 to 65535 (16 bits, \
         RFC 9293 section 3.1). Write -b 127.0.0.1, -b '[::1]:8080', -b udp://0.0.0.0:53 or -b \
         unix:PATH.\n",
    );
}

#[test]
fn unknown_flags_units_and_faults_are_usage() {
    for (arguments, expected) in [
        (&["serve", "--prot", "80"][..], "unexpected argument '--prot'"),
        (&["serve", "--idle", "5"], "\"5\" is not a time with its unit, such as 250us, 20ms"),
        (&["serve", "--fault", "explode"], "\"explode\" is not a fault: split=200ms"),
        (&["serve", "--fault", "dup,dup"], "fault dup is given twice"),
        (&["serve", "-p", "65536"], "65536 is not in 0..=65535"),
        (&["serve", "--service", "shout"], "\"shout\" is not a service: upper, sentence"),
    ] {
        let said = run(arguments, b"");
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(expected), "{arguments:?}: {}", said.err);
        assert_eq!(said.out(), "");
    }
}

#[test]
fn more_connections_than_descriptors_is_explained() {
    let said = run(&["serve", "--max-conns", "99999999"], b"");
    assert_eq!(said.code, Some(4));
    assert!(said.err.contains("ulimit -n 100000063"), "{}", said.err);
}

/// Whether this machine keeps ports below 1024 from people without a privilege, and lets this test
/// become such a person: only root can.
fn unprivileged() -> Option<std::process::Command> {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let kept = first.is_ok_and(|first| first.trim().parse::<u16>().is_ok_and(|port| port > 81));
    let id = std::process::Command::new("id").arg("-u").output().ok()?;
    if !kept {
        eprintln!("SKIPPED: every port is free for everybody here");
        return None;
    }
    if id.stdout.trim_ascii() != b"0" {
        return Some(crate::program::stentor());
    }
    let mut setpriv = std::process::Command::new("setpriv");
    setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]);
    setpriv.arg(env!("CARGO_BIN_EXE_stentor"));
    let works = setpriv.arg("--version").output().is_ok_and(|said| said.status.success());
    if !works {
        eprintln!("SKIPPED: setpriv cannot run the program without privileges");
        return None;
    }
    let mut again = std::process::Command::new("setpriv");
    again.args(setpriv.get_args().take(5));
    Some(again)
}

#[test]
fn a_port_below_1024_without_the_right_says_how_to_get_it() {
    let Some(mut program) = unprivileged() else { return };
    let output = program.args(["serve", "-b", "127.0.0.1", "-p", "81"]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "stentor: bind tcp 127.0.0.1:81: permission denied (EACCES). Ports below 1024 need a \
         privilege: choose -p 12000, or allow it with sysctl \
         net.ipv4.ip_unprivileged_port_start=81.\n"
    );
    assert_eq!(output.status.code(), Some(4));
}
