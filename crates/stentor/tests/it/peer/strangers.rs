//! Who is no peer, or comes at the wrong time: refused by name, and nobody else is disturbed.

use std::net::{TcpListener, TcpStream};

use super::*;
use crate::program::run;

/// What a stranger gets to read until the end; a reset is an end, too.
fn rest(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(ASTRAY)).unwrap();
    let mut all = Vec::new();
    let mut room = [0; 1024];
    loop {
        match stream.read(&mut room) {
            Ok(0) => break,
            Ok(count) => all.extend_from_slice(&room[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&all)),
        }
    }
    String::from_utf8(all).unwrap()
}

/// A peer that comes in and is heard.
fn greets(mut ann: Running, address: SocketAddr) {
    let mut bob = Running::start(&["-w", "60s", "-n", "bob", &address.to_string()]);
    bob.say("hello\n");
    bob.end();
    ann.end();
    let bob = bob.wait();
    assert_eq!(bob.code, Some(0), "{}", bob.err);
    assert_eq!(ann.wait().out, "hello\n");
}

#[test]
fn a_third_is_told_busy_and_the_two_talk_on() {
    let (mut ann, mut bob, address) = pair(&[]);
    let cid = run(&["peer", "-n", "cid", &address.to_string()], b"let me in\n");
    assert_eq!(cid.code, Some(1), "{}", cid.err);
    assert!(cid.err.contains(&format!("tcp {address}: busy with another peer. Try again later.")));
    ann.until("was told that we are busy");
    ann.say("still here\n");
    ann.end();
    bob.end();
    assert_eq!(bob.wait().out, "still here\n");
    assert_eq!(ann.wait().code, Some(0));
}

#[test]
fn garbage_is_refused_by_name_and_a_peer_comes_in_after_it() {
    let (mut ann, address) = Running::waiting("ann", &[]);
    for (garbage, shown) in [
        (&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], "it began with \"GET / HTTP/1.1\\r\""),
        (&b"\x16\x03\x01\x02\x00\x01\x00"[..], "it began with \"\\u{16}\\u{3}\\u{1}"),
        (&[b'x'; 100_000][..], "it began with \"xxx"),
        (b"PEER 2 0000000000000001 eve\n", "it speaks version 2 of the protocol"),
        (b"PEER 1 0000000000000001 e\x1b[31mve\n", "is none of the protocol's words"),
        (b"PEER 1 0000000000000001 eve\nSAY x\n", "SAY came where it means nothing"),
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        let local = stream.local_addr().unwrap();
        // It may close before it has taken all.
        let _ = stream.write_all(garbage);
        let line = ann.until(&format!("tcp {local}: "));
        assert!(line.contains(shown) && line.ends_with("the connection is closed"), "{line}");
        assert!(!rest(&mut stream).contains("SAY"));
    }
    greets(ann, address);
}

#[test]
fn whoever_says_nothing_is_closed_and_whoever_is_slow_is_heard() {
    let (mut ann, address) = Running::waiting("ann", &[]);
    let mut silent = TcpStream::connect(address).unwrap();
    let mut slow = TcpStream::connect(address).unwrap();
    slow.set_nodelay(true).unwrap();
    for byte in b"PEER 1 0000000000000001 eve\n" {
        slow.write_all(&[*byte]).unwrap();
    }
    let mut greeting = BufReader::new(slow.try_clone().unwrap()).lines();
    assert!(greeting.next().unwrap().unwrap().starts_with("PEER 1 "));
    assert_eq!(greeting.next().unwrap().unwrap(), "TALK");
    for byte in b"TALK\nSAY slowly\n" {
        slow.write_all(&[*byte]).unwrap();
    }
    ann.until("connected with eve");
    assert_eq!(rest(&mut silent), "");
    ann.until("said nothing for 5 s");
    slow.write_all(b"BYE\n").unwrap();
    slow.shutdown(std::net::Shutdown::Write).unwrap();
    let came = ann.wait();
    assert_eq!((came.code, came.out.as_str()), (Some(0), "slowly\n"), "{}", came.err);
}

#[test]
fn a_huge_line_ends_the_conversation() {
    let (ann, address) = Running::waiting("ann", &[]);
    let mut eve = TcpStream::connect(address).unwrap();
    eve.write_all(b"PEER 1 0000000000000001 eve\nTALK\nSAY ").unwrap();
    let _ = eve.write_all(&[b'x'; 10_000_000]);
    let came = ann.wait();
    assert_eq!(came.code, Some(1), "{}", came.err);
    assert!(came.err.contains("broke off: a line of more than 8192 bytes came"), "{}", came.err);
}

#[test]
fn an_address_with_another_program_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").unwrap();
        rest(&mut stream)
    });
    let said = run(&["peer", &address.to_string()], b"hello\n");
    assert_eq!(said.code, Some(1), "{}", said.err);
    let words = format!("tcp {address}: it is no peer of stentor: it began with \"SSH-2");
    assert!(said.err.contains(&words), "{}", said.err);
    assert!(server.join().unwrap().starts_with("PEER 1 "));
}

#[test]
fn its_own_address_and_nobody_and_wrong_words_are_refused() {
    let own = format!("127.78.{}.1", std::process::id() % 250);
    let target = format!("{own}:14703");
    let said = run(&["peer", "-l", &own, "-p", "14703", &target], b"");
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("that is this peer itself"), "{}", said.err);
    let nobody = run(&["peer", "-w", "300ms", "127.0.0.1:9"], b"");
    assert_eq!(nobody.code, Some(3), "{}", nobody.err);
    assert!(nobody.err.contains("connection refused (ECONNREFUSED), for 300ms"), "{}", nobody.err);
    for words in [
        &["127.0.0.1"][..],
        &["udp://127.0.0.1:1"],
        &["unix:/tmp/x"],
        &["127.0.0.1:0"],
        &["-w", "0s"],
        &["-n", "two words"],
        &["-l", "localhost"],
        &["--public", "-l", "127.0.0.1"],
    ] {
        let said = run(&[&["peer"], words].concat(), b"");
        assert_eq!(said.code, Some(2), "{words:?}: {}", said.err);
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = run(&["peer", "--no-mdns", "-p", &port], b"");
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.err.contains("EADDRINUSE"), "{}", said.err);
}

#[test]
fn a_flood_of_strangers_leaves_room_for_a_peer() {
    let (mut ann, address) = Running::waiting("ann", &[]);
    let strangers: Vec<_> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    ann.until("one connection too many at once");
    drop(strangers);
    greets(ann, address);
}
