//! Services that refuse, are silent, answer wrongly or in part, or disappear.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;

use super::qualify;
use crate::program::{Server, run};

/// A TCP service of a test on a thread for each connection; its threads end with the process.
fn stream(serve: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// A UDP service of a test that answers by a rule.
fn datagrams(answer: fn(u64, &[u8]) -> Option<Vec<u8>>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 2048];
        for number in 0.. {
            let (length, peer) = socket.recv_from(&mut bytes).unwrap();
            if let Some(answer) = answer(number, &bytes[..length]) {
                let _ = socket.send_to(&answer, peer);
            }
        }
    });
    address
}

fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        let _ = stream.write_all(&bytes[..count]);
    }
}

#[test]
fn nobody_is_there_at_all() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let told = qualify(&gone, &[]);
    assert_eq!(told.said.code, Some(3), "{:#}", told.json);
    assert!(told.error().contains("UDP does not answer"), "{}", told.error());
    assert!(told.error().contains("TCP does not answer: connect tcp"), "{}", told.error());
    assert_eq!(told.at("result.udp.trouble.kind"), "refused");
    assert_eq!(told.verdict("web")["passed"], false);
    let said = run(&["qualify", "nobody.invalid:1", "-q"], b"");
    assert_eq!((said.code, said.out().as_str()), (Some(3), ""));
}

#[test]
fn a_transport_that_is_missing_is_a_finding() {
    let tcp = stream(echo);
    let told = qualify(&tcp.to_string(), &["--cap", "5Mbit", "-w", "1s"]);
    assert_eq!(told.said.code, Some(0), "{:#}", told.json);
    assert_eq!(told.at("result.udp.trouble.kind"), "refused");
    let notes = told.at("warnings").to_string();
    assert!(notes.contains("UDP does not answer: "), "{notes}");
    let silent = datagrams(|_, _| None);
    let told = qualify(&silent.to_string(), &["-u", "-w", "200ms"]);
    assert_eq!(told.said.code, Some(1), "silence is not refusal: {:#}", told.json);
    assert_eq!(told.at("result.udp.trouble.kind"), "silent");
    let udp = datagrams(|_, bytes| Some(bytes.to_vec()));
    let told = qualify(&udp.to_string(), &["--cap", "1Mbit"]);
    assert_eq!(told.said.code, Some(0), "{:#}", told.json);
    assert_eq!(told.at("result.tcp.trouble.kind"), "refused");
}

#[test]
fn wrong_answers_are_told_from_losses() {
    let wrong = datagrams(|_, bytes| Some(bytes.iter().map(|byte| byte ^ 0x40).collect()));
    let told = qualify(&wrong.to_string(), &["-u", "-w", "300ms"]);
    assert_eq!(told.said.code, Some(1), "{:#}", told.json);
    assert_eq!(told.at("result.udp.trouble.kind"), "wrong");
    // Every other answer has one flipped bit: those are corrupted, and not answered.
    let flipping = datagrams(|number, bytes| {
        let mut bytes = bytes.to_vec();
        if number % 2 == 1 {
            bytes[40] ^= 1;
        }
        Some(bytes)
    });
    let told = qualify(&flipping.to_string(), &["-u", "-w", "300ms", "--cap", "1Mbit"]);
    let train = |part: &str| told.number(&format!("result.udp.train.{part}"));
    assert!(train("corrupted") > 0 && train("lost") >= train("corrupted"), "{:#}", told.json);
    let swapped = stream(|mut stream| {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            bytes[..count].reverse();
            let _ = stream.write_all(&bytes[..count]);
        }
    });
    let told = qualify(&swapped.to_string(), &["-t", "-w", "1s"]);
    assert_eq!(told.said.code, Some(1), "{:#}", told.json);
    assert!(told.error().contains("TCP answers wrongly: byte "), "{}", told.error());
}

#[test]
fn half_an_answer_is_told() {
    let server = Server::start(&["--service", "half"]);
    let told = qualify(&server.v4.to_string(), &["-w", "500ms"]);
    assert_eq!(told.said.code, Some(1), "{:#}", told.json);
    assert!(told.error().contains("UDP answers wrongly: a part"), "{}", told.error());
    assert!(told.error().contains("TCP answers in part"), "{}", told.error());
    assert!(told.number("result.tcp.missing_bytes") > 0);
}

#[test]
fn a_service_that_disappears_leaves_the_figures_so_far() {
    let vanishing = stream(|mut stream| {
        let mut bytes = [0; 64];
        for _ in 0..3 {
            if stream.read_exact(&mut bytes).is_ok() {
                let _ = stream.write_all(&bytes);
            }
        }
    });
    let told = qualify(&vanishing.to_string(), &["-t", "-w", "1s"]);
    assert_eq!(told.said.code, Some(1), "{:#}", told.json);
    assert_eq!(told.at("result.tcp.trouble.kind"), "broken");
    assert_eq!(told.number("result.tcp.verified_bytes"), 192);
    // The end may come before the next question or after it.
    assert!([0, 64].contains(&told.number("result.tcp.missing_bytes")));
    let mute = datagrams(|number, bytes| (number < 1).then(|| bytes.to_vec()));
    let told = qualify(&mute.to_string(), &["-u", "-w", "300ms"]);
    assert_eq!(told.said.code, Some(1), "{:#}", told.json);
    assert_eq!(told.at("result.udp.trouble.kind"), "broken");
}

#[test]
fn a_stream_that_falls_silent_is_told() {
    let silent = stream(|mut stream| {
        let mut bytes = [0; 4096];
        while let Ok(1..) = stream.read(&mut bytes) {}
    });
    let told = qualify(&silent.to_string(), &["-t", "-w", "300ms"]);
    assert_eq!(told.said.code, Some(1), "{:#}", told.json);
    assert!(told.error().contains("TCP fell silent: 64 of 64 bytes"), "{}", told.error());
}
