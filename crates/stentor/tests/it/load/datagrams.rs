//! Datagrams: matched by their numbers, counted when nobody listens, and of every length there is.

use std::net::UdpSocket;
use std::thread;

use super::load;
use crate::program::Server;

/// A UDP service of a test; `answer` is given the number of the datagram and its bytes.
fn answering(mut answer: impl FnMut(usize, &[u8]) -> Vec<Vec<u8>> + Send + 'static) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("udp://{}", socket.local_addr().unwrap());
    thread::spawn(move || {
        let mut bytes = vec![0; 65_536];
        let mut number = 0;
        while let Ok((count, from)) = socket.recv_from(&mut bytes) {
            for reply in answer(number, &bytes[..count]) {
                let _ = socket.send_to(&reply, from);
            }
            number += 1;
        }
    });
    target
}

#[test]
fn every_length_and_pace() {
    let server = Server::start(&[]);
    let target = format!("udp://{}", server.v4);
    load(&target, &["-n", "500", "-r", "5k"]).is_good(500);
    load(&target, &["-n", "500", "-r", "max"]).is_good(500);
    // Bursts: many are due at once on one socket.
    load(&target, &["-n", "200", "-r", "1M", "-c", "1", "--depth", "16"]).is_good(200);
    load(&target, &["-n", "20", "-r", "max", "-l", "65507", "-c", "1"]).is_good(20);
    load(&target, &["-n", "20", "-r", "max", "-l", "20000", "-c", "1"]).is_good(20);
    let template = ["--template", "{seq} of {random:7}", "-c", "2", "-r", "max"];
    load(&target, &[&template[..], &["-n", "100"]].concat()).is_good(100);
}

#[test]
fn nobody_listens() {
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("udp://{}", gone.local_addr().unwrap());
    drop(gone);
    let told = load(&target, &["-n", "50", "-r", "1k", "-w", "1s"]);
    told.is_bad("no reply was verified");
    assert_eq!(told.requests("sent"), 50, "{:#}", told.json);
    // Some kernels limit how many refusals they send (icmp_ratelimit).
    let refused = told.number(&["result", "errors", "refused"]);
    assert!(refused > 0 && refused + told.requests("lost") == 50, "{:#}", told.json);
    assert_eq!(told.json["result"]["troubles"][0]["errno"], "ECONNREFUSED");
}

#[test]
fn a_service_that_disappears_in_the_middle() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("udp://{}", socket.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut bytes = [0; 64];
        for _ in 0..20 {
            let (count, from) = socket.recv_from(&mut bytes).unwrap();
            socket.send_to(&bytes[..count].to_ascii_uppercase(), from).unwrap();
        }
    });
    let told = load(&target, &["-n", "60", "-r", "200", "-w", "1s", "-c", "2"]);
    server.join().unwrap();
    assert_eq!(told.said.code, Some(1));
    assert_eq!((told.requests("sent"), told.requests("verified")), (60, 20), "{:#}", told.json);
}

#[test]
fn replies_in_another_order_are_found_and_counted() {
    let mut held = Vec::new();
    // Always two at once, the later first.
    let target = answering(move |_, request| {
        held.push(request.to_ascii_uppercase());
        if held.len() < 2 { Vec::new() } else { held.drain(..).rev().collect() }
    });
    let told = load(&target, &["-n", "100", "-r", "10k", "-c", "1"]);
    assert_eq!(told.requests("verified"), 100, "{:#}", told.json);
    assert_eq!(told.number(&["result", "datagrams", "reordered"]), 50, "{:#}", told.json);
}

#[test]
fn corruption_loss_and_duplication_are_counted_exactly() {
    // Of ten, one is changed, one is lost and one comes twice.
    let target = answering(|number, request| {
        let mut reply = request.to_ascii_uppercase();
        match number % 10 {
            3 => {
                let last = reply.len() - 1;
                reply[last] ^= 1;
                vec![reply]
            }
            5 => Vec::new(),
            7 => vec![reply.clone(), reply],
            _ => vec![reply],
        }
    });
    let told = load(&target, &["-n", "200", "-r", "1k", "-c", "1", "-w", "2s"]);
    assert_eq!(told.said.code, Some(1));
    assert_eq!(told.requests("verified"), 160, "{:#}", told.json);
    assert_eq!((told.requests("wrong"), told.requests("lost")), (20, 20), "{:#}", told.json);
    assert_eq!(told.number(&["result", "datagrams", "duplicate"]), 20, "{:#}", told.json);
}
