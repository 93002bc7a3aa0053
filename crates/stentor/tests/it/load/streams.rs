//! Streams: paces, frames, payloads and connections, on the real service and on those of tests.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::thread;

use super::load;
use crate::program::Server;

/// A service of a test on a thread for each connection; its threads end with the process.
fn serving(serve: fn(TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    target
}

#[test]
fn every_pace_sends_what_is_due() {
    let server = Server::start(&[]);
    let target = format!("tcp://{}", server.v4);
    load(&target, &["-n", "500", "-r", "5k"]).is_good(500);
    load(&target, &["-n", "500", "-r", "max"]).is_good(500);
    load(&target, &["-n", "500", "-r", "5k", "--poisson"]).is_good(500);
    load(&target, &["-n", "500", "-r", "5k", "--ramp", "50ms"]).is_good(500);
    load(&target, &["-n", "500", "-r", "50k", "--depth", "16", "-c", "3"]).is_good(500);
    load(&target, &["-n", "500", "-r", "max", "--depth", "50", "--threads", "3"]).is_good(500);
    // By time: every request that was due is there, however late.
    load(&target, &["-d", "250ms", "-r", "400", "--threads", "1"]).is_good(100);
    let closed = load(&target, &["-d", "50ms", "-r", "max"]);
    assert_eq!((closed.said.code, closed.requests("unsent")), (Some(0), 0));
}

#[test]
fn a_seed_repeats_what_is_sent_and_is_told() {
    let server = Server::start(&[]);
    let target = format!("tcp://{}", server.v4);
    let told = load(&target, &["-n", "1", "--seed", "42"]);
    assert_eq!(told.number(&["config", "seed"]), 42);
    assert!(load(&target, &["-n", "1"]).number(&["config", "seed"]) > 0);
}

#[test]
fn a_warm_up_is_in_no_figure() {
    let server = Server::start(&[]);
    let target = format!("tcp://{}", server.v4);
    let told = load(&target, &["-d", "400ms", "-r", "500", "--warmup", "200ms"]);
    told.is_good(100);
    assert_eq!(told.number(&["result", "requests", "warmup", "verified"]), 100);
    assert_eq!(told.number(&["result", "latency", "count"]), 100);
}

#[test]
fn connections_are_renewed_when_asked_to() {
    let server = Server::start(&[]);
    let target = format!("tcp://{}", server.v4);
    let told = load(&target, &["-n", "60", "-r", "max", "-c", "2", "--reconnect", "10"]);
    told.is_good(60);
    assert_eq!(told.number(&["result", "connections", "opened"]), 6);
    assert_eq!(told.number(&["result", "connections", "lost"]), 0);
}

#[test]
fn a_service_that_closes_after_each_answer_is_asked_again() {
    let target = serving(|mut stream| {
        let mut line = [0; 64];
        if let Ok(count) = stream.read(&mut line) {
            let _ = stream.write_all(&line[..count].to_ascii_uppercase());
        }
    });
    let told = load(&target, &["-n", "20", "-r", "max", "-c", "2"]);
    assert!(told.number(&["result", "connections", "opened"]) >= 20, "{:#}", told.json);
    assert_eq!(told.requests("sent"), 20);
}

#[test]
fn frames_of_every_kind() {
    let server = Server::start(&["--service", "echo"]);
    let target = format!("tcp://{}", server.v4);
    for framing in ["line", "length16", "length32"] {
        let arguments = ["--framing", framing, "--verify", "echo", "-n", "100", "-r", "max"];
        load(&target, &arguments).is_good(100);
    }
    // The reply ends at its second full stop, however the stream was cut.
    let template = ["--template", "one {seq:4}. two {random:5}. "];
    let regex = ["--framing", r"regex:\. two [a-z]*\. ", "--verify", "echo"];
    load(&target, &[&template[..], &regex, &["-n", "100", "-r", "max", "--depth", "9"]].concat())
        .is_good(100);
    // A reply that announces more than there may be.
    let huge = serving(|mut stream| {
        let mut request = [0; 64];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(&u32::MAX.to_be_bytes());
        let _ = stream.read(&mut request);
    });
    let told = load(&huge, &["--framing", "length32", "-n", "3", "-w", "2s"]);
    told.is_bad("no reply was verified");
    assert_eq!(told.requests("verified"), 0);
}

#[test]
fn payloads_come_from_files_templates_and_luck() {
    let server = Server::start(&[]);
    let target = format!("tcp://{}", server.v4);
    let path = std::env::temp_dir().join(format!("stentor-payload-{}", std::process::id()));
    std::fs::write(&path, "grüße an alle\n").unwrap();
    let file = path.to_str().unwrap();
    let told = load(&target, &["--payload", file, "-n", "10", "-r", "max"]);
    told.is_good(10);
    // "GRÜSSE AN ALLE": one byte more than "grüße an alle" has not, for ß is two and SS is two.
    assert_eq!(told.number(&["result", "sent_bytes"]), 160);
    load(&target, &["--template", "n {seq} {time}", "-n", "10", "-r", "max"]).is_good(10);
    load(&target, &["-l", "100k", "-n", "10", "-r", "max", "-c", "2"]).is_good(10);
    // More than socket buffers hold, both ways at once.
    load(&target, &["-l", "4M", "-n", "4", "-r", "max", "-c", "2", "--depth", "2", "-w", "60s"])
        .is_good(4);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn unix_sockets_and_names_are_targets_too() {
    let folder = std::env::temp_dir().join(format!("stentor-load-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    let _ = stream.write_all(&bytes[..count].to_ascii_uppercase());
                }
            });
        }
    });
    let target = format!("unix:{}", path.display());
    load(&target, &["-n", "200", "-r", "max", "-c", "4"]).is_good(200);
    std::fs::remove_dir_all(&folder).unwrap();
    let server = Server::start(&[]);
    load(&format!("localhost:{}", server.v4.port()), &["-n", "20"]).is_good(20);
}

#[test]
fn what_a_service_says_unasked_is_not_taken_for_an_answer() {
    let target = serving(|mut stream| {
        let _ = stream.write_all(b"WELCOME\n");
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            let _ = stream.write_all(&bytes[..count].to_ascii_uppercase());
        }
    });
    let told = load(&target, &["-n", "20", "-r", "max", "-c", "1"]);
    assert_eq!(told.said.code, Some(1), "{:#}", told.json);
    let unasked = told.number(&["result", "datagrams", "unasked"]);
    assert!(unasked + told.requests("wrong") > 0, "{:#}", told.json);
}

#[test]
fn a_service_that_disappears_is_told_from_one_that_is_slow() {
    let target = serving(|mut stream| {
        let mut bytes = [0; 64];
        let _ = stream.read(&mut bytes);
        // One of the kernel's buffers is full of what was not read: close(2) resets.
        let _ = stream.write_all(b"HALF");
    });
    let told = load(&target, &["-n", "4", "-r", "max", "-c", "1", "-l", "1000", "-w", "2s"]);
    told.is_bad("no reply was verified");
    assert_eq!(told.requests("error"), told.requests("sent"), "{:#}", told.json);
}
