//! Real packets on a real link: what it says it did is what the kernels at both ends saw.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, channel};

use stentor_core::link::{Direction, Knob, Spec};
use stentor_core::seed::Seed;
use stentor_os::capture::{self, Capture};
use stentor_os::clock;
use stentor_os::net::option::set_int;
use stentor_os::process::fork_into;

use stentor::drive::lab::*;

/// Runs `work` on a link, in a process of its own.
fn on_a_link(words: &str, seed: u64, work: impl Fn(&Running) -> Check) {
    on_a_link_that_strikes(words, seed, Strikes::Transport, work);
}

/// What is still to be asked once the link has stopped.
type Check = Box<dyn FnOnce(&Carried)>;

fn on_a_link_that_strikes(
    words: &str,
    seed: u64,
    strikes: Strikes,
    work: impl Fn(&Running) -> Check,
) {
    apart(&format!("--link {words} --seed {seed}"), || {
        let lab = Lab::enter().unwrap();
        let settings = Settings { strikes, ..settings(words, seed) };
        let link = lab.begin(settings, clock::stamp(), Some(2000)).unwrap();
        let check = work(&link);
        let carried = link.stop().unwrap();
        adds_up(&carried);
        check(&carried);
    });
}

fn settings(words: &str, seed: u64) -> Settings {
    let spec: Spec = words.parse().unwrap();
    Settings::of(&spec, Seed(seed)).unwrap()
}

/// Runs `work` in a process of its own, with one thread; says so and passes where the system allows no
/// link.
fn apart(name: &str, work: impl FnOnce()) {
    if let Err(complaint) = Lab::possible() {
        eprintln!("SKIPPED: {complaint}");
        return;
    }
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let child = fork_into(&[], || {
        let done = catch_unwind(AssertUnwindSafe(work));
        let words = match done {
            Ok(()) => "done".to_owned(),
            Err(panic) => match panic.downcast::<String>() {
                Ok(words) => *words,
                Err(panic) => format!("{:?}", panic.downcast_ref::<&str>()),
            },
        };
        i32::from((&theirs).write_all(words.as_bytes()).is_err())
    })
    .unwrap();
    drop(theirs);
    let mut answer = String::new();
    ours.read_to_string(&mut answer).unwrap();
    child.wait().unwrap();
    assert_eq!(answer, "done", "{name}");
}

fn nothing_more() -> Check {
    Box::new(|_| {})
}

/// Packets are neither made nor forgotten.
fn adds_up(carried: &Carried) {
    for direction in [Direction::Up, Direction::Down] {
        let Totals { link, inside, missed, .. } = *carried.totals(direction);
        assert_eq!(link.taken + link.duplicated, link.delivered + link.dropped() + inside);
        assert_eq!(missed, 0);
        let of = carried.passages.iter().filter(|passage| passage.direction == direction);
        let arrived: usize = of.clone().map(|passage| passage.arrivals.len()).sum();
        assert_eq!(arrived as u64, link.delivered);
        assert_eq!(of.count() as u64, link.taken);
    }
    assert_eq!(
        carried.lateness.deliveries,
        carried.up.link.delivered + carried.down.link.delivered
    );
    assert_eq!((carried.passages_not_kept, carried.log_not_kept), (0, 0));
}

/// A connection from the client's network to the server's: its two ends.
fn connected(link: &Running, server: &str) -> (TcpStream, TcpStream) {
    link.server().enter().unwrap();
    let listener = TcpListener::bind(server).unwrap();
    link.client().enter().unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| (place * 31 % 251).try_into().unwrap()).collect()
}

/// Sends the pattern, and asks that it arrives as it was.
fn transfer(mut from: TcpStream, mut to: TcpStream, bytes: usize) {
    let sent = pattern(bytes);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            from.write_all(&sent).unwrap();
            from.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        to.read_to_end(&mut got).unwrap();
        assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    });
}

#[test]
fn every_address_of_the_server_is_reached_over_the_link() {
    on_a_link("delay=1ms", 1, |link| {
        for server in ["10.0.0.1:0", "127.0.0.1:0", "[fd00::1]:0"] {
            let (client, server) = connected(link, server);
            transfer(client, server, 10_000);
        }
        Box::new(|carried| {
            let both = [carried.up, carried.down];
            assert!(both.iter().all(|totals| totals.link.taken > 10 && totals.refused == 0));
        })
    });
}

/// Captures every packet of the end that this thread is in.
fn captured() -> (Receiver<capture::Packet>, Capture) {
    let options =
        capture::Options { interface: "lab".to_owned(), bytes_max: 2000, ring_bytes: 1 << 23 };
    let (send, packets) = channel();
    let capture = Capture::start(&options, move |packet| drop(send.send(packet))).unwrap();
    (packets, capture)
}

/// The packets that went this way, sorted.
fn went(packets: &[capture::Packet], direction: capture::Direction) -> Vec<Vec<u8>> {
    let of = packets.iter().filter(|packet| packet.direction == direction);
    let mut bytes: Vec<Vec<u8>> = of.map(|packet| packet.bytes.clone()).collect();
    bytes.sort();
    bytes
}

#[test]
fn what_the_log_says_was_dropped_was_sent_and_never_seen_at_the_other_end() {
    for seed in [1, 2] {
        on_a_link("delay=2ms,loss=5%", seed, |link| {
            link.server().enter().unwrap();
            let server = captured();
            link.client().enter().unwrap();
            let client = captured();
            let (near, far) = connected(link, "10.0.0.1:0");
            transfer(near, far, 600_000);
            while !link.settled() || link.activity().inside() > 0 {
                std::thread::yield_now();
            }
            let [server, client] = [server, client].map(|(packets, capture)| {
                let totals = capture.stop().unwrap();
                assert_eq!(totals.dropped, 0);
                packets.into_iter().collect::<Vec<_>>()
            });
            Box::new(move |carried| {
                use capture::Direction::{In, Out};
                for (direction, sender, receiver) in
                    [(Direction::Up, &client, &server), (Direction::Down, &server, &client)]
                {
                    let of = carried.passages.iter().filter(|it| it.direction == direction);
                    let mut sent: Vec<_> = of.clone().map(|it| it.bytes.to_vec()).collect();
                    sent.sort();
                    assert!(sent == went(sender, Out), "{direction:?}: not what was sent");
                    let arrived = of.clone().filter(|it| it.dropped.is_none());
                    let mut arrived: Vec<_> = arrived.map(|it| it.bytes.to_vec()).collect();
                    arrived.sort();
                    assert!(arrived == went(receiver, In), "{direction:?}: not what arrived");
                }
                let dropped = |it: &&Passage| it.dropped == Some(Knob::Loss);
                let lost = carried.passages.iter().filter(dropped).count();
                assert_eq!(lost as u64, carried.up.link.lost + carried.down.link.lost);
                assert!(lost > 0, "nothing was lost: the link is none");
            })
        });
    }
}

#[test]
fn a_stream_survives_all_that_a_link_can_do() {
    let words = "delay=3ms,jitter=2ms,loss=2%,duplicate=2%,reorder=2%,corrupt=2%";
    for seed in [1, 2, 3] {
        on_a_link(words, seed, |link| {
            let (client, server) = connected(link, "127.0.0.1:0");
            transfer(client, server, 300_000);
            Box::new(|carried| {
                let up = carried.up.link;
                assert!(up.lost > 0 && up.duplicated > 0 && up.corrupted > 0 && up.reordered > 0);
            })
        });
    }
}

/// socket(7).
const SOL_SOCKET: i32 = 1;
const SO_NO_CHECK: i32 = 11;

#[test]
fn a_struck_datagram_arrives_only_without_a_checksum() {
    on_a_link_that_strikes("up:corrupt=100%", 1, Strikes::Payload, |link| {
        link.server().enter().unwrap();
        let server = UdpSocket::bind("10.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        link.client().enter().unwrap();
        let client = UdpSocket::bind("10.0.0.2:0").unwrap();
        client.send_to(b"checked", server.local_addr().unwrap()).unwrap();
        set_int(client.as_fd(), SOL_SOCKET, SO_NO_CHECK, 1).unwrap();
        client.send_to(b"trusted", server.local_addr().unwrap()).unwrap();
        let mut got = [0; 100];
        let (length, _) = loop {
            match server.recv_from(&mut got) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    std::thread::yield_now();
                }
                received => break received.unwrap(),
            }
        };
        let differ: u32 =
            got.iter().zip(b"trusted").map(|(one, other)| (one ^ other).count_ones()).sum();
        assert_eq!((length, differ), (7, 1), "{:?}", &got[..length]);
        Box::new(|carried| assert_eq!(carried.up.link.corrupted, 2))
    });
}

#[test]
fn a_link_that_is_told_to_stop_delivers_what_is_inside() {
    on_a_link("delay=50ms", 1, |link| {
        link.client().enter().unwrap();
        let client = UdpSocket::bind("10.0.0.2:0").unwrap();
        for _ in 0..10 {
            client.send_to(b"last", "10.0.0.1:9").unwrap();
        }
        Box::new(|carried| {
            assert_eq!((carried.up.link.delivered, carried.up.inside), (10, 0));
        })
    });
    on_a_link("loss=100%", 1, |link| {
        link.client().enter().unwrap();
        let client = UdpSocket::bind("10.0.0.2:0").unwrap();
        client.send_to(b"lost", "10.0.0.1:9").unwrap();
        nothing_more()
    });
}

/// Runs a shell's words at both ends of a link.
fn shells(link: &str, server: &str, clients: &[&str]) -> Outcome {
    let shell = |words: &&str| vec!["sh".into(), "-c".into(), (*words).into()];
    let programs =
        Programs { server: shell(&server), clients: clients.iter().map(shell).collect() };
    run(settings(link, 1), &programs, Some(64)).unwrap()
}

#[test]
fn programs_run_at_the_ends_and_their_codes_are_passed_on() {
    apart("a server that ends by itself", || {
        let Outcome { code, clients_started, .. } = shells("delay=1ms", "exit 7", &["exit 1"]);
        assert_eq!((code, clients_started), (7, false));
    });
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        return eprintln!("SKIPPED: no python3 here");
    }
    let server = "exec python3 -I -S -c '
import socket
l = socket.create_server((\"127.0.0.1\", 12000))
while True:
    s, _ = l.accept()
    s.sendall(s.recv(100).upper())
    s.close()
'";
    let client = "exec python3 -I -S -c '
import socket
s = socket.create_connection((\"127.0.0.1\", 12000))
s.sendall(b\"hello\")
raise SystemExit(s.recv(100) != b\"HELLO\")
'";
    apart("a server for ever", || {
        let outcome = shells("delay=5ms,loss=10%", server, &[client, client]);
        assert_eq!((outcome.code, outcome.clients_started), (0, true));
        let Carried { up, down, .. } = outcome.carried;
        assert!(up.link.taken >= 8 && down.link.taken >= 6, "{up:?} {down:?}");
    });
    apart("a client that fails", || {
        let outcome = shells("delay=1ms", server, &[client, "exit 3"]);
        assert_eq!((outcome.code, outcome.interrupted), (3, false));
    });
}
