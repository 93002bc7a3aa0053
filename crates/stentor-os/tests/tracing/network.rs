//! A private network, the packets in it, and programs traced in it: as root and as nobody.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;

use stentor_os::capture::{Capture, Direction, Options, Packet, Totals};
use stentor_os::namespace::{self, Kind, Wire};
use stentor_os::tracee::{Ending, Tracer};
use stentor_os::{clock, privilege};

use crate::apart::{Who, apart};
use crate::watch::{OPTIONS, calls, ending, role, watch};

/// Enters a private network; false if the system refuses one.
fn enter(wire: Wire) -> bool {
    if privilege::probe().private_network.is_err() {
        return false;
    }
    let kind = if privilege::may_unshare() { Kind::Network } else { Kind::UserAndNetwork };
    namespace::enter(kind, wire).unwrap();
    true
}

fn everyone(work: impl Fn() -> bool) {
    apart(Who::Ourselves, &work);
    apart(Who::Nobody, &work);
}

/// Captures what `work` causes.
fn captured(bytes_max: u32, ring_bytes: usize, work: impl FnOnce()) -> (Vec<Packet>, Totals) {
    let (send, packets) = mpsc::channel();
    let options = Options { interface: "lo".to_owned(), bytes_max, ring_bytes };
    let capture = Capture::start(&options, move |packet| send.send(packet).unwrap()).unwrap();
    work();
    let totals = capture.stop().unwrap();
    let packets: Vec<_> = packets.iter().collect();
    assert_eq!(u64::try_from(packets.len()).unwrap(), totals.packets);
    (packets, totals)
}

/// Sends bytes over a connection of its own.
fn exchange(count: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&vec![b'x'; count]).unwrap();
    server.read_exact(&mut vec![0; count]).unwrap();
}

/// Bytes of TCP's data in a packet of Ethernet and IPv4.
fn data_bytes(packet: &Packet) -> usize {
    let total = usize::from(u16::from_be_bytes([packet.bytes[16], packet.bytes[17]]));
    total - 20 - usize::from(packet.bytes[46] >> 4) * 4
}

#[test]
fn every_packet_is_seen_once_and_cut_as_ethernet_cuts() {
    everyone(|| {
        if !enter(Wire::Ethernet) {
            return false;
        }
        let before = clock::stamp();
        let (packets, totals) = captured(96, 1 << 20, || exchange(10_000));
        let after = clock::stamp();
        assert!(totals.complete && totals.dropped == 0, "{totals:?}");
        let data: Vec<_> = packets.iter().map(data_bytes).filter(|bytes| *bytes > 0).collect();
        assert_eq!((data.iter().sum::<usize>(), data.len()), (10_000, 7), "{data:?}");
        for packet in &packets {
            assert!(packet.length <= 1514 && packet.bytes.len() <= 96, "{packet:?}");
            assert_eq!(packet.direction, Direction::In);
            assert!((before.realtime_ns..=after.realtime_ns).contains(&packet.realtime_ns));
        }
        true
    });
}

#[test]
fn a_raw_wire_keeps_what_was_sent_whole() {
    everyone(|| {
        if !enter(Wire::Raw) {
            return false;
        }
        let (packets, totals) = captured(96, 1 << 20, || exchange(10_000));
        assert!(totals.complete, "{totals:?}");
        let data: Vec<_> = packets.iter().map(data_bytes).filter(|bytes| *bytes > 0).collect();
        assert_eq!(data, [10_000]);
        true
    });
}

#[test]
fn datagrams_sent_as_one_are_cut_apart_on_ethernet() {
    everyone(|| {
        if !enter(Wire::Ethernet) {
            return false;
        }
        let (packets, _) = captured(96, 1 << 20, || {
            let (near, far) =
                (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
            nix::sys::socket::setsockopt(&near, nix::sys::socket::sockopt::UdpGsoSegment, &1000)
                .unwrap();
            near.send_to(&[7; 4500], far.local_addr().unwrap()).unwrap();
        });
        let lengths: Vec<_> = packets.iter().map(|packet| packet.length).collect();
        assert_eq!(lengths, [1042, 1042, 1042, 1042, 542]);
        true
    });
}

#[test]
fn a_ring_too_small_says_what_it_lost() {
    everyone(|| {
        if !enter(Wire::Ethernet) {
            return false;
        }
        let (send, receive) = mpsc::channel::<()>();
        let options = Options { interface: "lo".to_owned(), bytes_max: 2000, ring_bytes: 1 << 19 };
        let mut taken = 0;
        // The first packet is held until all have been sent.
        let sink = move |_| {
            if taken == 0 {
                receive.recv().unwrap();
            }
            taken += 1;
        };
        let capture = Capture::start(&options, sink).unwrap();
        let (near, far) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        for _ in 0..2000 {
            near.send_to(&[7; 1400], far.local_addr().unwrap()).unwrap();
        }
        send.send(()).unwrap();
        let totals = capture.stop().unwrap();
        assert!(totals.dropped > 0, "{totals:?}");
        // Two for each marker that came, and none counted twice.
        assert!(totals.packets + totals.dropped >= 2000, "{totals:?}");
        true
    });
}

#[test]
fn a_program_traced_in_a_private_network_is_seen_with_its_packets() {
    everyone(|| {
        if !enter(Wire::Ethernet) {
            return false;
        }
        let mut seen = None;
        let (packets, totals) = captured(128, 1 << 22, || {
            let mut tracer = Tracer::new(OPTIONS).unwrap();
            seen = Some(watch(&mut tracer, role("ping-slowly"), |_, _| {}));
        });
        let seen = seen.unwrap();
        assert_eq!(ending(&seen), Ending::Exited(0));
        let sent: Vec<_> = calls(&seen.events).filter(|call| call.name == "sendto").collect();
        assert!(totals.complete);
        assert_eq!((sent.len(), packets.len()), (200, 200));
        // One clock: each packet was received while its call was under way.
        for (call, packet) in sent.iter().zip(&packets) {
            let span = call.entered.realtime_ns..=call.left.unwrap().realtime_ns;
            assert!(span.contains(&packet.realtime_ns), "{span:?} {}", packet.realtime_ns);
        }
        true
    });
}

#[test]
fn another_process_of_the_same_user_may_join() {
    everyone(|| {
        // Before the first namespace, so that this child stays outside.
        let (mut near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        let joiner = stentor_os::process::fork_into(&[], || {
            let mut pid = [0; 4];
            (&far).read_exact(&mut pid).unwrap();
            let joined = namespace::join(u32::from_ne_bytes(pid));
            let port = u16::from_ne_bytes({
                let mut port = [0; 2];
                (&far).read_exact(&mut port).unwrap();
                port
            });
            let answer = match joined {
                Ok(()) => match TcpStream::connect(("127.0.0.1", port)) {
                    Ok(_) => "joined".to_owned(),
                    Err(error) => error.to_string(),
                },
                Err(refusal) => refusal.to_string(),
            };
            i32::from((&far).write_all(answer.as_bytes()).is_err())
        })
        .unwrap();
        drop(far);
        if !enter(Wire::Ethernet) {
            joiner.kill().unwrap();
            return false;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        near.write_all(&std::process::id().to_ne_bytes()).unwrap();
        near.write_all(&listener.local_addr().unwrap().port().to_ne_bytes()).unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).unwrap();
        joiner.wait().unwrap();
        assert_eq!(answer, "joined");
        true
    });
}
