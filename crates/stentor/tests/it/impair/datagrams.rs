//! UDP through the proxy: each datagram lost, doubled or struck as the seed has it, and counted.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::Proxy;
use crate::program::{Server, run, stentor};

fn client(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address).unwrap();
    // Only reached when something is broken.
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

/// A receive buffer of 212,992 bytes holds some 270 small datagrams (socket(7), SO_RCVBUF).
const COUNT: usize = 200;

/// Sends one at a time, and a last one that no knob strikes tells that all before it have gone by.
fn lost(seed: &str, link: &str) -> Vec<usize> {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let link = format!("up:{link}");
    let arguments = ["--link", &link, "--seed", seed];
    let proxy = Proxy::start("-u", server.local_addr().unwrap(), &arguments);
    let client = client(proxy.address);
    let (mut missing, mut buffer, mut next) = (Vec::new(), [0; 64], 0);
    // Few enough for the sockets' buffers, whoever is late.
    for number in 0..COUNT {
        client.send(number.to_string().as_bytes()).unwrap();
    }
    // The link keeps the order, so a gap is a loss; an end is sent until one gets through.
    server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    loop {
        client.send(b"end").unwrap();
        let Ok(count) = server.recv(&mut buffer) else { continue };
        match std::str::from_utf8(&buffer[..count]).unwrap().parse::<usize>() {
            Ok(number) => {
                missing.extend(next..number);
                next = number + 1;
            }
            Err(_) => {
                missing.extend(next..COUNT);
                return missing;
            }
        }
    }
}

/// The figures of a row of the report, up and down.
fn row<'a>(report: &'a str, name: &str) -> Vec<&'a str> {
    let found = report.lines().find_map(|line| line.trim().strip_prefix(name));
    found.unwrap_or_else(|| panic!("{name} in {report}")).split_whitespace().collect()
}

#[test]
fn the_same_seed_loses_the_same_datagrams_and_no_other_knob_changes_that() {
    let plain = lost("7", "loss=10%");
    assert!(!plain.is_empty() && plain.len() < COUNT / 2, "{plain:?}");
    assert_eq!(lost("7", "loss=10%"), plain);
    assert_eq!(lost("7", "loss=10%,delay=2ms,jitter=1ms,order=keep"), plain);
    assert_ne!(lost("8", "loss=10%"), plain);
}

#[test]
fn every_third_is_lost_and_the_decisions_say_so() {
    let server = Server::start(&["-u"]);
    let folder = std::env::temp_dir().join(format!("stentor-decisions-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let log = folder.join("decisions");
    let arguments = ["--up", "every=3", "--decisions", log.to_str().unwrap()];
    let proxy = Proxy::start("-u", server.v4, &arguments);
    let client = client(proxy.address);
    let mut buffer = [0; 64];
    for number in 1..=9 {
        let text = format!("number {number}");
        client.send(text.as_bytes()).unwrap();
        if number % 3 != 0 {
            let count = client.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..count], text.to_uppercase().as_bytes());
        }
    }
    let report = proxy.end();
    assert_eq!(row(&report, "lost (every)"), ["3", "0"]);
    let lines = std::fs::read_to_string(&log).unwrap();
    let told: Vec<String> = lines
        .lines()
        .map(|line| line.split(' ').enumerate().filter(|(at, _)| *at != 2))
        .map(|words| words.map(|(_, word)| word).collect::<Vec<_>>().join(" "))
        .collect();
    let expected = ["udp up 3 every dropped", "udp up 6 every dropped", "udp up 9 every dropped"];
    assert_eq!(told, expected);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn each_client_gets_its_own_answers_of_every_size() {
    let server = Server::start(&["-u"]);
    let proxy = Proxy::start("-u", server.v4, &["--link", "delay=1ms"]);
    let clients: Vec<UdpSocket> = (0..20).map(|_| client(proxy.address)).collect();
    for size in [0_usize, 1, 1200, 9000, 65_507] {
        // In turn: more at once than a socket's buffer holds would be lost by the system.
        for (number, client) in clients.iter().enumerate() {
            let letter = b'a' + u8::try_from(number).unwrap();
            client.send(&vec![letter; size]).unwrap();
            let mut buffer = vec![0; 65_536];
            let count = client.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..count], vec![letter.to_ascii_uppercase(); size], "{size}");
        }
    }
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let program = stentor().get_program().to_str().unwrap().to_owned();
    let target = nobody.to_string();
    let send = ["send", "-u", "{}", "-w", "200ms", "anybody?"];
    // The refusal is an ICMP message, and nothing tells a client when it has come.
    let told = (0..50).any(|_| {
        let arguments = ["impair", "-u", &target, "--", &program];
        let said = run(&[&arguments[..], &send].concat(), b"");
        assert_eq!(said.code, Some(1), "{}", said.err);
        said.err.contains("nobody listened upstream")
    });
    assert!(told);
}

#[test]
fn a_flipped_bit_is_one_bit() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let proxy = Proxy::start("-u", server.local_addr().unwrap(), &["--link", "corrupt=100%"]);
    let client = client(proxy.address);
    for _ in 0..50 {
        client.send(&[0; 100]).unwrap();
        let mut buffer = [0; 200];
        let count = server.recv(&mut buffer).unwrap();
        let bits: u32 = buffer[..count].iter().map(|byte| byte.count_ones()).sum();
        assert_eq!((count, bits), (100, 1));
    }
    assert_eq!(row(&proxy.end(), "of them a bit flipped"), ["50", "0"]);
}
