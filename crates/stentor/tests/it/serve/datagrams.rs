//! Datagrams: one in, at most one out, and never a loop.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::MODES;
use crate::program::Server;

fn client(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.connect(to).unwrap();
    socket
}

fn ask(socket: &UdpSocket, text: &[u8]) -> Vec<u8> {
    socket.send(text).unwrap();
    let mut answer = vec![0; 65_536];
    let size = socket.recv(&mut answer).unwrap();
    answer.truncate(size);
    answer
}

#[test]
fn every_size_is_answered_in_every_mode() {
    for mode in MODES {
        let server = Server::start(&["--mode", mode]);
        let socket = client(server.v4);
        for size in [0, 1, 100, 1472, 1473, 8192, 65_506, 65_507] {
            assert!(ask(&socket, &vec![b'u'; size]) == vec![b'U'; size], "{mode}: {size} bytes");
        }
        assert_eq!(ask(&socket, b"\xff\xfeok"), b"\xff\xfeOK");
        let (_, summary) = server.end();
        assert!(summary.contains("datagrams    9 in = 9 replies + 0 dropped"), "{summary}");
    }
}

#[test]
fn ipv6_answers_too() {
    let server = Server::start(&[]);
    match server.v6 {
        Some(v6) => assert_eq!(ask(&client(v6), b"six"), b"SIX"),
        None => eprintln!("skipped: no IPv6 here"),
    }
}

#[test]
fn the_answer_comes_from_the_address_that_was_asked() {
    let server = Server::start(&["-b", "0.0.0.0", "--udp"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    for asked in ["127.0.0.1", "127.0.0.2", "127.3.2.1"] {
        let asked = SocketAddr::new(asked.parse().unwrap(), server.v4.port());
        socket.send_to(b"who", asked).unwrap();
        let mut answer = [0; 10];
        let (size, from) = socket.recv_from(&mut answer).unwrap();
        assert_eq!((&answer[..size], from), (&b"WHO"[..], asked));
    }
}

/// Datagrams of these lengths from each client, all of which the server finds waiting at once, and
/// so answers together.
fn ask_at_once(server: &Server, clients: &[(UdpSocket, SocketAddr)], lengths: &[usize]) {
    server.signal("-STOP");
    let text = |number: usize, length: usize| {
        let mut text = format!("{number:03}").into_bytes();
        text.resize(length.max(3), b'x');
        text.truncate(length);
        text
    };
    for (number, &length) in lengths.iter().enumerate() {
        for (client, server) in clients {
            client.send_to(&text(number, length), server).unwrap();
        }
    }
    server.signal("-CONT");
    let mut answer = vec![0; 65_536];
    for (client, server) in clients {
        for (number, &length) in lengths.iter().enumerate() {
            let (size, from) = client.recv_from(&mut answer).unwrap();
            let expected = text(number, length).to_ascii_uppercase();
            assert!(answer[..size] == expected, "answer {number} of {length} bytes: {size}");
            assert_eq!(from, *server, "answer {number}");
        }
    }
}

fn unconnected(family: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(if family.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

/// Equal ones, shorter ones behind, longer ones behind, empty ones, and ones above any MTU.
const LENGTHS: [usize; 24] = [
    9, 9, 9, 4, 4, 4, 9, 9, 0, 0, 9, 100, 100, 50, 2000, 2000, 1999, 2000, 9000, 9000, 3, 70, 70, 7,
];

#[test]
fn answers_that_leave_together_arrive_in_order_each_for_itself() {
    let server = Server::start(&["--udp", "--threads", "1", "--udp-mute", "off"]);
    for address in [Some(server.v4), server.v6].into_iter().flatten() {
        let clients = [unconnected(address), unconnected(address), unconnected(address)];
        ask_at_once(&server, &clients.map(|client| (client, address)), &LENGTHS);
        // More than the kernel cuts from one buffer.
        ask_at_once(&server, &[(unconnected(address), address)], &[5; 150]);
    }
    let (_, summary) = server.end();
    assert!(summary.contains(" replies + 0 dropped"), "{summary}");
}

#[test]
fn answers_that_leave_together_come_from_the_addresses_that_were_asked() {
    let server = Server::start(&["-b", "0.0.0.0", "--udp", "--threads", "1", "--udp-mute", "off"]);
    let asked = ["127.0.0.1", "127.0.0.2", "127.3.2.1"];
    let clients = asked.map(|asked| {
        let asked = SocketAddr::new(asked.parse().unwrap(), server.v4.port());
        (unconnected(asked), asked)
    });
    ask_at_once(&server, &clients, &LENGTHS);
    // One client that asks two addresses in turn.
    let [(client, one), (_, two), _] = clients;
    let twin = (client.try_clone().unwrap(), two);
    server.signal("-STOP");
    for text in [b"a", b"b", b"c"] {
        client.send_to(text, one).unwrap();
        twin.0.send_to(text, twin.1).unwrap();
    }
    server.signal("-CONT");
    let mut answers = Vec::new();
    for _ in 0..6 {
        let mut answer = [0; 10];
        let (size, from) = client.recv_from(&mut answer).unwrap();
        answers.push((from, answer[..size].to_vec()));
    }
    for from in [one, two] {
        let of_it = answers.iter().filter(|answer| answer.0 == from);
        let of_it: Vec<&[u8]> = of_it.map(|(_, answer)| answer.as_slice()).collect();
        assert_eq!(of_it, [b"A", b"B", b"C"], "{from}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_burst_that_the_kernel_cuts_is_answered_datagram_by_datagram() {
    use std::os::fd::AsFd;
    // SOL_UDP and UDP_SEGMENT, of linux/udp.h.
    let (level, segment) = (17, 103);
    let server = Server::start(&["--udp", "--threads", "1"]);
    let socket = client(server.v4);
    stentor_os::net::option::set_int(socket.as_fd(), level, segment, 1200).unwrap();
    let mut burst: Vec<u8> = (0..50_u8).flat_map(|number| vec![b'a' + number % 26; 1200]).collect();
    burst.extend_from_slice(b"the last one is shorter");
    socket.send(&burst).unwrap();
    for expected in burst.to_ascii_uppercase().chunks(1200) {
        let mut answer = [0; 2000];
        let size = socket.recv(&mut answer).unwrap();
        assert!(answer[..size] == *expected);
    }
    let (_, summary) = server.end();
    assert!(summary.contains("datagrams    51 in = 51 replies + 0 dropped"), "{summary}");
}

#[test]
fn an_answer_that_fits_no_datagram_is_counted_and_not_cut() {
    let server = Server::start(&["--threads", "1"]);
    let socket = client(server.v4);
    // U+0390 becomes three characters: 2 bytes grow to 6.
    socket.send("ΐ".repeat(20_000).as_bytes()).unwrap();
    assert_eq!(ask(&socket, b"next"), b"NEXT");
    let (_, summary) = server.end();
    assert!(summary.contains("2 in = 1 replies + 1 dropped (too_large 1)"), "{summary}");
}

#[test]
fn sentence_takes_the_first_2048_bytes_and_says_so() {
    let server = Server::start(&["--service", "sentence"]);
    assert_eq!(ask(&client(server.v4), &[b'a'; 3000]), [b'A'; 2048]);
    let (_, summary) = server.end();
    assert!(summary.contains("cut          1 datagrams"), "{summary}");
}

#[test]
fn a_datagram_from_our_own_port_is_never_answered() {
    let one = Server::start(&[]);
    let port = one.v4.port();
    // Another address of loopback, the same port: as if a second service of ours had asked.
    let forged = UdpSocket::bind(("127.0.0.9", port)).unwrap();
    forged.send_to(b"hello", one.v4).unwrap();
    // The same socket, so the same queue of the server: when this is answered, the other was seen.
    let honest = client(one.v4);
    assert_eq!(ask(&honest, b"honest"), b"HONEST");
    let (_, summary) = one.end();
    assert!(summary.contains("dropped (own_port 1)"), "{summary}");
}

#[test]
fn two_services_fall_silent_after_one_forged_datagram() {
    // A relay between the two stands in for the forged source address: each service believes it
    // is talked to by the relay's port, as it would believe the other's.
    let (one, two) = (Server::start(&[]), Server::start(&[]));
    let (to_one, to_two) = (client(one.v4), client(two.v4));
    let mut crossed = 0;
    let mut text = b"hello".to_vec();
    let mut answer = vec![0; 100];
    'loops: loop {
        for socket in [&to_one, &to_two] {
            socket.send(&text).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            let Ok(size) = socket.recv(&mut answer) else { break 'loops };
            text = answer[..size].to_vec();
            crossed += 1;
            assert!(crossed <= 20, "a loop of {crossed} datagrams");
        }
    }
    assert!(crossed > 0, "HELLO itself must be answered");
    // Another source is still served.
    let stranger = UdpSocket::bind("127.0.0.77:0").unwrap();
    stranger.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stranger.send_to(b"HELLO", one.v4).unwrap();
    let size = stranger.recv(&mut answer).unwrap();
    assert_eq!(&answer[..size], b"HELLO");
}

#[test]
fn faults_on_datagrams() {
    let check = |fault: &str, expected: &[&[u8]]| {
        let server = Server::start(&["--fault", fault]);
        let socket = client(server.v4);
        socket.send(b"hello").unwrap();
        let mut answer = [0; 100];
        for expected in expected {
            let size = socket.recv(&mut answer).unwrap();
            assert_eq!(&answer[..size], *expected, "{fault}");
        }
    };
    check("dup", &[b"HELLO", b"HELLO"]);
    check("late=20ms", &[b"HELLO"]);
    check("split=20ms", &[b"HE", b"LLO"]);
    check("truncate", &[b"HE"]);
    let silent = Server::start(&["--fault", "silent", "--threads", "1"]);
    client(silent.v4).send(b"hello").unwrap();
    let (_, summary) = silent.end();
    assert!(summary.contains("1 in = 0 replies + 1 dropped (fault 1)"), "{summary}");
}
