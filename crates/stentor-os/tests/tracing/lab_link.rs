//! Two private networks joined by TUN devices, with this test as the wire between them: as root and
//! as nobody.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;

use stentor_os::namespace::{self, Kind, Network, Prefix, Route, Tables, Wire};
use stentor_os::net::poll::{Watch, wait};
use stentor_os::privilege;
use stentor_os::tracee::{Command, Ending, Tracer};
use stentor_os::tun::Tun;

use crate::apart::{Who, apart};
use crate::watch::{OPTIONS, ending, role, watch};

/// One end of the wire.
struct End {
    network: Arc<Network>,
    tables: Tables,
    tun: Tun,
}

const V4: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
const LOOP: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];

fn v6(place: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, place + 1)
}

/// Makes an end in a new network namespace, in which this thread then is.
fn end(kind: Kind, place: usize) -> End {
    namespace::enter(kind, Wire::Ethernet).unwrap();
    let (tun, tables) = (Tun::make("lab").unwrap(), Tables::open().unwrap());
    let (interface, lo) = (tun.index(), nix::net::if_::if_nametoindex("lo").unwrap());
    tables.no_address_of_its_own(interface).unwrap();
    tables.route_loopback_addresses(interface).unwrap();
    tables.set_up(interface, 1500, 100).unwrap();
    let prefix = |address: IpAddr, bits| Prefix { address, bits };
    tables.add_address(interface, prefix(V4[place].into(), 24)).unwrap();
    tables.add_address(interface, prefix(v6(place.try_into().unwrap()).into(), 64)).unwrap();
    // 127.0.0.1 of the second end is the first end's.
    if place == 1 {
        tables.remove_address(lo, prefix(LOOP[0].into(), 8)).unwrap();
        tables.add_address(lo, prefix(LOOP[1].into(), 8)).unwrap();
    }
    let to = prefix(LOOP[1 - place].into(), 32);
    let source = Some(LOOP[place].into());
    tables.add_route(Route { to, interface, source, local: true }).unwrap();
    End { network: Arc::new(Network::current().unwrap()), tables, tun }
}

/// Two ends, and whoever carries packets between them until the stream closes.
fn joined(work: impl FnOnce(&Arc<Network>, &Arc<Network>)) -> bool {
    if privilege::probe().lab_link.is_err() {
        return false;
    }
    let kind = if privilege::may_unshare() { Kind::Network } else { Kind::UserAndNetwork };
    let (first, second) = (end(kind, 0), end(Kind::Network, 1));
    let (near, far) = (first.network.clone(), second.network.clone());
    let (stop, stopped) = std::os::unix::net::UnixStream::pair().unwrap();
    std::thread::scope(|scope| {
        let carrier = scope.spawn(move || carry(&first, &second, &stopped));
        work(&near, &far);
        drop(stop);
        let carried = carrier.join().unwrap();
        assert!(carried.iter().all(|count| *count > 0), "{carried:?}");
    });
    true
}

fn carry(first: &End, second: &End, stopped: &std::os::unix::net::UnixStream) -> [u64; 2] {
    let (mut packet, mut carried) = ([0; 2000], [0; 2]);
    loop {
        let mut watches = [
            Watch::new(first.tun.as_fd(), true, false),
            Watch::new(second.tun.as_fd(), true, false),
            Watch::new(stopped.as_fd(), true, false),
        ];
        wait(&mut watches, None).unwrap();
        for (number, (from, to)) in [(first, second), (second, first)].into_iter().enumerate() {
            while let Ok(length) = from.tun.read(&mut packet) {
                assert!(length <= 1500, "{length}");
                assert_eq!(to.tun.write(&packet[..length]).unwrap(), length);
                carried[number] += 1;
            }
        }
        if watches[2].readable {
            for (end, carried) in [first, second].into_iter().zip(carried) {
                let counters = end.tables.counters(end.tun.index()).unwrap();
                assert_eq!((counters.sent, counters.send_dropped), (carried, 0));
            }
            return carried;
        }
    }
}

fn everyone(work: impl Fn() -> bool) {
    apart(Who::Ourselves, &work);
    apart(Who::Nobody, &work);
}

#[test]
fn both_protocols_and_families_cross_and_so_does_the_loopback_address() {
    everyone(|| {
        joined(|near, far| {
            let servers: [(IpAddr, IpAddr); 3] = [
                (V4[0].into(), V4[1].into()),
                (v6(0).into(), v6(1).into()),
                (LOOP[0].into(), LOOP[1].into()),
            ];
            for (server, client) in servers {
                // Each thread goes where it likes: the namespace is a thread's, not the process's.
                near.enter().unwrap();
                let listener = TcpListener::bind((server, 0)).unwrap();
                let datagrams = UdpSocket::bind((server, 0)).unwrap();
                far.enter().unwrap();
                let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let (mut accepted, from) = listener.accept().unwrap();
                assert_eq!(from.ip(), client);
                let sent: Vec<u8> = (0..100_000_u32).map(|byte| byte.to_ne_bytes()[0]).collect();
                std::thread::scope(|scope| {
                    scope.spawn(|| stream.write_all(&sent).unwrap());
                    let mut got = vec![0; sent.len()];
                    accepted.read_exact(&mut got).unwrap();
                    assert_eq!(got, sent);
                });
                let asker = UdpSocket::bind((client, 0)).unwrap();
                asker.connect(datagrams.local_addr().unwrap()).unwrap();
                asker.send(b"question").unwrap();
                let mut got = [0; 100];
                let (length, from) = datagrams.recv_from(&mut got).unwrap();
                assert_eq!((length, from.ip()), (8, client));
                datagrams.send_to(b"answer", from).unwrap();
                assert_eq!(asker.recv(&mut got).unwrap(), 6);
            }
        })
    });
}

#[test]
fn a_server_bound_to_every_address_answers_from_the_one_that_was_asked() {
    everyone(|| {
        joined(|near, far| {
            near.enter().unwrap();
            let server = UdpSocket::bind("0.0.0.0:0").unwrap();
            let port = server.local_addr().unwrap().port();
            far.enter().unwrap();
            for address in [IpAddr::from(V4[0]), LOOP[0].into()] {
                let client = UdpSocket::bind("0.0.0.0:0").unwrap();
                client.connect(SocketAddr::from((address, port))).unwrap();
                client.send(b"?").unwrap();
                let mut got = [0; 10];
                let (_, from) = server.recv_from(&mut got).unwrap();
                server.send_to(b"!", from).unwrap();
                assert_eq!(client.recv(&mut got).unwrap(), 1);
            }
        })
    });
}

#[test]
fn a_traced_program_runs_in_the_network_it_is_given() {
    everyone(|| {
        joined(|near, far| {
            near.enter().unwrap();
            let server = UdpSocket::bind((V4[0], 0)).unwrap();
            far.enter().unwrap();
            let client = UdpSocket::bind((V4[1], 0)).unwrap();
            client.send_to(b"?", server.local_addr().unwrap()).unwrap();
            let (_, from) = server.recv_from(&mut [0; 10]).unwrap();
            server.send_to(b"!", from).unwrap();
            client.recv(&mut [0; 10]).unwrap();
            let mut tracer = Tracer::new(OPTIONS).unwrap();
            let (command, output) = role("network");
            let command = Command { network: Some(near.clone()), ..command };
            let seen = watch(&mut tracer, (command, output), |_, _| {});
            assert_eq!(ending(&seen), Ending::Exited(0));
        })
    });
}

/// The role `network`: the first end's address is ours here.
pub(crate) fn network() -> i32 {
    i32::from(UdpSocket::bind((V4[0], 0)).is_err())
}
