//! The orderly end, the quick end, and the end after one.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};

use super::MODES;
use crate::program::{Server, stentor};

#[test]
fn what_arrived_before_the_signal_is_answered() {
    for mode in ["reactor", "threads", "processes"] {
        let server = Server::start(&["--mode", mode]);
        let mut clients: Vec<TcpStream> =
            (0..20).map(|_| TcpStream::connect(server.v4).unwrap()).collect();
        let mut answer = [0; 6];
        for client in &mut clients {
            client.write_all(b"before").unwrap();
        }
        let address = server.v4;
        server.signal("-TERM");
        for client in &mut clients {
            client.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"BEFORE", "{mode}");
            // Then the server closes, in order: a FIN and not a reset.
            assert_eq!(client.read(&mut answer).unwrap(), 0, "{mode}");
        }
        let (status, summary) = server.wait();
        assert_eq!(status.code(), Some(0), "{mode}");
        assert!(summary.contains("20 accepted = 20 closed"), "{mode}: {summary}");
        assert!(summary.contains("+ 0 open; 120 bytes in, 120 out"), "{mode}: {summary}");
        assert!(TcpStream::connect(address).is_err(), "{mode}");
    }
}

#[test]
fn both_signals_end_it_in_order_in_every_mode() {
    for mode in MODES {
        for signal in ["-INT", "-TERM"] {
            let server = Server::start(&["--mode", mode]);
            server.signal(signal);
            let (status, summary) = server.wait();
            assert_eq!(status.code(), Some(0), "{mode} {signal}");
            assert!(summary.contains("0 accepted = 0 closed + 0 open"), "{mode}: {summary}");
        }
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    // A fault keeps the connection silent, so that the drain has something to wait for.
    let server = Server::start(&["--fault", "late=1h", "--drain", "1h"]);
    let mut client = TcpStream::connect(server.v4).unwrap();
    client.write_all(b"wait for it").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    server.signal("-TERM");
    // The doors are shut once the first signal has been taken.
    while TcpStream::connect(server.v4).is_ok() {}
    server.signal("-TERM");
    assert_eq!(server.wait().0.code(), Some(130));
}

#[test]
fn once_ends_after_one_connection_or_one_answered_datagram() {
    for mode in MODES {
        let server = Server::start(&["-1", "--mode", mode]);
        let mut client = TcpStream::connect(server.v4).unwrap();
        client.write_all(b"only me").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "ONLY ME", "{mode}");
        let (status, summary) = server.wait();
        assert_eq!(status.code(), Some(0), "{mode}");
        assert!(summary.contains("1 accepted = 1 closed (by_client 1)"), "{mode}: {summary}");
    }
    let server = Server::start(&["-1"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"only me", server.v4).unwrap();
    assert_eq!(socket.recv(&mut [0; 10]).unwrap(), 7);
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn the_summary_as_json_adds_up() {
    let output = {
        let mut child = stentor()
            .args(["serve", "-p", "0", "-1", "--json"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // The ready line goes to standard error: standard output is the object alone.
        let mut ready = String::new();
        let mut err = std::io::BufReader::new(child.stderr.take().unwrap());
        std::io::BufRead::read_line(&mut err, &mut ready).unwrap();
        let port = ready.split(':').nth(1).unwrap().split(' ').next().unwrap();
        let mut client = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        client.write_all(b"json").unwrap();
        drop(client);
        child.wait_with_output().unwrap()
    };
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["schema"], "stentor.serve/1");
    assert_eq!(object["ok"], true);
    assert_eq!(object["exit_code"], 0);
    let connections = &object["result"]["connections"];
    let closed: u64 =
        connections["closed"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(connections["accepted"], closed + connections["open"].as_u64().unwrap());
    assert_eq!(connections["accepted"], 1);
}
