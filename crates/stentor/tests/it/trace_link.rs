//! `stentor trace --link` on real programs: what the link did is in every form of the picture, and what
//! the kernels made of it agrees with what the link says.

use std::process::Command;

use stentor::report::record;
use stentor_core::timeline::cause::{Grade, PacketNo, Relation};
use stentor_core::timeline::header::Transport;
use stentor_core::timeline::matcher::{Explained, headers};
use stentor_core::timeline::record::{Packet, Record};

use crate::program::{Said, run, stentor};
use crate::trace::{Folder, in_order};

const EXE: &str = env!("CARGO_BIN_EXE_stentor");

/// Whether this system lets us join two networks.
fn link() -> bool {
    let said = run(&["trace", "-q", "--link", "delay=0ms", "--", "true"], b"");
    if said.code != Some(0) {
        eprintln!("SKIPPED: no lab link here: {}", said.err);
    }
    said.code == Some(0)
}

/// Whether it does, and has Python, whose programs make the calls they are written with.
fn python() -> bool {
    let found = Command::new("python3").arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: no python3 here");
    }
    found && link()
}

/// Traces a service and one sentence to it over a link.
fn exchange(link: &str, more: &[&str], transport: &str) -> Said {
    let client = format!("{EXE} send {transport}://127.0.0.1:12000 hello");
    let only = format!("--{transport}");
    let service = ["--", EXE, "serve", "-q", "-1", &only, "-b", "127.0.0.1", "-p", "12000"];
    let with = ["--with", &client];
    let trace = ["trace", "--only", "12000", "--link", link, "--seed", "7"];
    run(&[&trace[..], more, &service[..], &with[..]].concat(), b"")
}

/// Traces two programs in Python, and reads the record.
fn programs(folder: &Folder, link: &str, seed: &str, server: &str, client: &str) -> (Said, Record) {
    let [server_file, client_file, kept] =
        ["server.py", "client.py", "r.jsonl"].map(|it| folder.file(it));
    std::fs::write(&server_file, server).unwrap();
    std::fs::write(&client_file, client).unwrap();
    let find = ["-c", "import sys; print(sys.executable, end='')"];
    let found = Command::new("python3").args(find).output().unwrap();
    let python = String::from_utf8(found.stdout).unwrap();
    let with = format!("{python} -I -S {client_file}");
    let trace = ["trace", "-q", "--link", link, "--seed", seed, "-o", &kept];
    let said = run(
        &[&trace[..], &["--", &python, "-I", "-S", &server_file, "--with", &with]].concat(),
        b"",
    );
    assert_eq!(said.code, Some(0), "{}\n{}", said.out(), said.err);
    (said, read(&kept))
}

fn read(file: &str) -> Record {
    let file = std::io::BufReader::new(std::fs::File::open(file).unwrap());
    let (mut read, warnings) = record::read(file).unwrap();
    assert!(warnings.sentences().is_empty(), "{:?}", warnings.sentences());
    read.sort();
    read
}

#[test]
fn a_lost_segment_ends_in_a_cross_and_comes_again_in_every_form() {
    if !link() {
        return;
    }
    let folder = Folder::new("lost");
    let names = ["r.jsonl", "p.svg", "p.html", "d.mmd", "w.pcapng"];
    let files: Vec<String> = names.map(|name| folder.file(name)).into();
    let outputs: Vec<&str> = files.iter().flat_map(|file| ["-o", file]).collect();
    // The client's third packet is its sentence, after SYN and ACK.
    let said = exchange("delay=2ms,up:every=3", &outputs, "tcp");
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("packet tier"), "{}", said.err);
    assert!(said.err.contains("seed 7"), "{}", said.err);
    let ladder = said.out();
    in_order(&ladder, &["HELLO", "seed 7", "SYN seq 0", "✗", "lost on the link: every", "┄┄"]);
    let found = "lost on the link (every), sent again ";
    assert!(ladder.contains(found), "{ladder}");
    // What came back because of the sentence came back because of its second journey.
    let again = ladder.lines().skip_while(|line| !line.contains('✗'));
    let again = again.skip(1).find(|line| line.contains("PSH,ACK seq 1") && line.contains('►'));
    assert!(again.is_some_and(|line| line.contains("recv")), "{ladder}");
    let text: Vec<String> = files
        .iter()
        .map(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned())
        .collect();
    let says = [
        r#""arrived_ns":[],"dropped":"every""#,
        "class=\"cross\"",
        "class=\"cross\"",
        "-xs0: PSH,ACK",
        "link: lost (every)",
    ];
    for ((text, words), name) in text.iter().zip(says).zip(names) {
        assert!(text.contains(words), "{name} has no {words}");
    }
    let shown = run(&["trace", "show", "--only", "12000", &files[0]], b"");
    assert_eq!(shown.out().trim(), ladder.trim().strip_prefix("HELLO").unwrap().trim());
}

/// Sends 200 kB, says their sum, and waits until the server has said its own.
const SENDER: &str = "\
import socket, zlib
s = socket.create_connection(('127.0.0.1', 12000))
data = bytes(i * 31 % 251 for i in range(200000))
s.sendall(data)
s.shutdown(socket.SHUT_WR)
print('client', zlib.crc32(data))
print('server', int(s.recv(100)))
";
const RECEIVER: &str = "\
import socket, zlib
l = socket.create_server(('127.0.0.1', 12000))
s, _ = l.accept()
data = b''
while True:
    part = s.recv(65536)
    if not part: break
    data += part
s.sendall(b'%d' % zlib.crc32(data))
s.close()
";

#[test]
fn every_byte_is_explained_by_the_packet_that_brought_it() {
    if !python() {
        return;
    }
    let words = "delay=3ms,jitter=1ms,loss=4%,duplicate=2%,corrupt=2%";
    for seed in ["1", "2"] {
        let folder = Folder::new("bytes");
        let (said, record) = programs(&folder, words, seed, RECEIVER, SENDER);
        let out = said.out();
        let sums: Vec<&str> = out.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!((sums.len(), sums[0]), (2, sums[1]), "{out}");
        assert!(record.losses.is_empty(), "{:?}", record.losses);
        let lost = record.packets.iter().filter(|packet| packet.lost()).count();
        let struck = record.packets.iter().filter(|packet| packet.struck()).count();
        assert!(lost > 0 && struck > 0, "{lost} lost, {struck} struck");
        let explained = Explained::of(&record);
        let mut brought = 0;
        for edge in explained.edges.iter().filter(|edge| edge.relation == Relation::Effect) {
            let packet = &record.packets[edge.packet.index()];
            assert!(!packet.lost() && !packet.struck(), "{edge:?} {:?}", packet.crossing);
            let to_server =
                headers(&record, edge.packet).unwrap().tcp().unwrap().destination == 12000;
            if to_server && !edge.bytes.is_empty() {
                assert_eq!(edge.grade, Grade::Exact, "{edge:?}");
                brought += edge.bytes.end - edge.bytes.start;
            }
        }
        assert_eq!(brought, 200_000, "--seed {seed}");
    }
}

const ASKER: &str = "\
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(200): u.sendto(b'%d' % i, ('127.0.0.1', 12000))
s = socket.create_connection(('127.0.0.1', 12001))
s.sendall(b'.')
print('received', int(s.recv(100)))
";
/// The link keeps the order: when the connection's byte has come, every datagram has that ever will.
const COUNTER: &str = "\
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
l = socket.create_server(('127.0.0.1', 12001))
u.bind(('127.0.0.1', 12000))
s, _ = l.accept()
s.recv(1)
u.setblocking(False)
count = 0
while True:
    try: u.recv(100)
    except BlockingIOError: break
    count += 1
s.sendall(b'%d' % count)
s.recv(1)
s.close()
";

#[test]
fn datagrams_arrive_as_often_as_the_link_says() {
    if !python() {
        return;
    }
    let folder = Folder::new("datagrams");
    let (said, record) = programs(&folder, "delay=1ms,loss=10%,duplicate=5%", "3", COUNTER, ASKER);
    let out = said.out();
    let received: usize = out.trim().strip_prefix("received ").unwrap().parse().unwrap();
    let explained = Explained::of(&record);
    let (mut sent, mut arrived, mut tied) = (0, 0, 0);
    for (number, packet) in record.packets.iter().enumerate() {
        let number = PacketNo(number.try_into().unwrap());
        if headers(&record, number).is_some_and(|it| it.tcp().is_none()) {
            sent += 1;
            arrived += packet.crossing.as_ref().unwrap().arrivals.len();
            let edges = explained.edges_of(number);
            tied += edges.iter().filter(|edge| edge.relation == Relation::Effect).count();
        }
    }
    assert_eq!(sent, 200);
    assert!(arrived < 200 + 20 && arrived != 200, "{arrived}");
    assert_eq!((received, tied), (arrived, arrived));
}

#[test]
fn the_other_family_crosses_too() {
    if !python() {
        return;
    }
    let server = RECEIVER.replace(
        "create_server(('127.0.0.1', 12000)",
        "create_server(('fd00::1', 12000), family=socket.AF_INET6",
    );
    let client = SENDER.replace("127.0.0.1", "fd00::1");
    let folder = Folder::new("six");
    let (_, record) = programs(&folder, "delay=1ms", "1", &server, &client);
    let six = |number: usize| {
        headers(&record, PacketNo(number.try_into().unwrap())).unwrap().source().is_ipv6()
    };
    assert!((0..record.packets.len()).all(six));
}

#[test]
fn the_same_seed_loses_the_same_packets() {
    if !python() {
        return;
    }
    // One direction without answers: what the programs send does not depend on time.
    let client = "\
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(300): u.sendto(b'%d' % i, ('127.0.0.1', 12000))
";
    let server = "\
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(('127.0.0.1', 12000))
u.recv(100)
";
    let lost = |seed: &str| {
        let folder = Folder::new(&format!("seed-{seed}"));
        let (_, record) = programs(&folder, "delay=1ms,up:loss=20%", seed, server, client);
        // A server that has gone answers by ICMP, on the other direction.
        let datagram = |(number, packet): (usize, &Packet)| {
            let headers = headers(&record, PacketNo(number.try_into().unwrap())).unwrap();
            matches!(headers.transport, Transport::Udp(_)).then(|| packet.lost())
        };
        let lost: Vec<bool> = record.packets.iter().enumerate().filter_map(datagram).collect();
        assert_eq!(lost.len(), 300);
        lost
    };
    assert_eq!(lost("5"), lost("5"));
    assert_ne!(lost("5"), lost("6"));
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_runs() {
    let refused = |arguments: &[&str]| {
        let said = run(&[&["trace"], arguments, &["--", "true"]].concat(), b"");
        assert_eq!(said.code, Some(2), "{}", said.err);
        said.err
    };
    assert!(refused(&["--link", "speed=1"]).contains("\"speed"), "names the word");
    assert!(refused(&["--link", "rate=0bit"]).contains("rate=0bit"));
    assert!(refused(&["--link", "stall=1s/4s"]).contains("stall"));
    assert!(refused(&["--link", "loss=1%", "--mode", "calls"]).contains("real network"));
    assert!(refused(&["--seed", "1"]).contains("--link"));
}

#[test]
fn a_system_that_refuses_a_link_is_told_from_one_that_refuses_a_private_network() {
    // setns(2) on x86-64; elsewhere the number is another, and the test has nothing to deny.
    const SETNS: i64 = 308;
    const EPERM: i32 = 1;
    if !cfg!(target_arch = "x86_64") {
        return eprintln!("SKIPPED: numbers of calls are those of x86-64");
    }
    if !link() {
        return;
    }
    let denied = |arguments: &[&str]| {
        let mut command = stentor();
        command.args(arguments);
        stentor_os::privilege::deny(&mut command, &[(SETNS, EPERM)]).unwrap();
        command.output().unwrap()
    };
    let output = denied(&["trace", "--link", "loss=1%", "--", "true"]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{err}");
    assert!(err.contains("a link between private networks: setns(net)"), "{err}");
    assert!(err.contains("stentor impair"), "the remedy names what works: {err}");
    // Without a link the same system has a lab.
    let output = denied(&["trace", "-q", "--mode", "lab", "--", "true"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
