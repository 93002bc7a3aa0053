//! Records of every shape, for properties; their lists are in order, as a reader gives them.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use stentor_core::moment::Moment;
use stentor_core::timeline::call::{CallName, Errno};
use stentor_core::timeline::record::*;

pub(crate) fn record() -> impl Strategy<Value = Record> {
    (header(), vec(entry(), 0..40)).prop_map(|(header, entries)| {
        let mut record = Record::new(header);
        entries.into_iter().for_each(|entry| record.push(entry));
        record.sort();
        record
    })
}

fn header() -> impl Strategy<Value = Header> {
    let words = (any::<String>(), any::<String>(), any::<String>());
    let kinds =
        (select(&[Mode::Lab, Mode::Host, Mode::Calls]), select(&[Wire::Ethernet, Wire::Raw]));
    (words, kinds, any::<u32>(), any::<u64>(), of(any::<String>())).prop_map(
        |((stentor, kernel, machine), (mode, wire), snaplen, began_unix_ns, link)| Header {
            version: VERSION,
            stentor,
            kernel,
            machine,
            mode,
            wire,
            snaplen,
            began_unix_ns,
            link,
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        process().prop_map(Entry::Process),
        call().prop_map(Entry::Call),
        snapshot().prop_map(Entry::Snapshot),
        packet().prop_map(Entry::Packet),
        (at(), place(), any::<u64>()).prop_map(|(at, place, count)| Entry::Loss(Loss {
            at,
            place,
            count
        })),
        (at(), of(any::<u32>()), remark()).prop_map(|(at, pid, remark)| Entry::Note(Note {
            at,
            pid: pid.map(Pid),
            remark
        })),
    ]
}

fn at() -> impl Strategy<Value = Moment> {
    prop_oneof![4 => 0..5u64, 1 => any::<u64>()].prop_map(Moment::from_nanos)
}

fn threads() -> impl Strategy<Value = (Pid, Tid)> {
    (any::<u32>(), any::<u32>(), any::<bool>())
        .prop_map(|(pid, tid, first)| (Pid(pid), Tid(if first { pid } else { tid })))
}

fn process() -> impl Strategy<Value = Process> {
    let command = || vec(any::<String>(), 0..3);
    let life = prop_oneof![
        command().prop_map(|command| Life::Started { command }),
        (any::<u32>(), any::<bool>())
            .prop_map(|(parent, shares_files)| Life::Forked { parent: Pid(parent), shares_files }),
        Just(Life::Thread),
        command().prop_map(|command| Life::Execed { command }),
        Just(Life::ThreadExited),
        any::<i32>().prop_map(|status| Life::Exited { status }),
        any::<i32>().prop_map(|signal| Life::Killed { signal }),
    ];
    (at(), threads(), life).prop_map(|(at, (pid, tid), life)| Process { at, pid, tid, life })
}

fn inet() -> impl Strategy<Value = SocketAddr> {
    let v6 = (any::<[u8; 16]>(), any::<u16>(), any::<bool>(), any::<u32>(), any::<bool>());
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        v6.prop_map(|(ip, port, flow, number, scope)| {
            let number_if = |yes| if yes { number } else { 0 };
            let ip = Ipv6Addr::from(ip);
            SocketAddr::V6(SocketAddrV6::new(ip, port, number_if(flow), number_if(scope)))
        }),
    ]
}

fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        inet().prop_map(Address::Inet),
        any::<String>().prop_map(Address::Unix),
        any::<u16>().prop_map(Address::Other),
    ]
}

fn bytes(most: usize) -> impl Strategy<Value = Box<[u8]>> {
    vec(any::<u8>(), 0..most).prop_map(Vec::into_boxed_slice)
}

fn arguments() -> impl Strategy<Value = Arguments> {
    let made = (any::<i32>(), any::<i32>(), any::<i32>())
        .prop_map(|(domain, kind, protocol)| Made { domain, kind, protocol });
    let option = (any::<i32>(), any::<i32>(), bytes(16))
        .prop_map(|(level, name, value)| Box::new(SocketOption { level, name, value }));
    let numbers =
        (of(any::<u64>()), any::<u32>(), any::<u32>(), of(any::<i64>()), of(any::<u32>()));
    let descriptors = vec(any::<i32>().prop_map(Fd), 0..4).prop_map(Vec::into_boxed_slice);
    (of(address()), numbers, of(made), of(option), descriptors).prop_map(
        |(address, (length, flags, flags_back, number, command), made, option, descriptors)| {
            Arguments {
                address,
                length,
                flags,
                flags_back,
                made,
                number,
                command,
                option,
                descriptors,
            }
        },
    )
}

fn call() -> impl Strategy<Value = Call> {
    let outcome = prop_oneof![
        any::<i64>().prop_map(Outcome::Value),
        any::<i32>().prop_map(|number| Outcome::Failed(Errno(number))),
        (1..520i32).prop_map(|number| Outcome::Failed(Errno(number))),
        Just(Outcome::Unfinished),
    ];
    let message = (of(address()), any::<u64>(), bytes(8))
        .prop_map(|(address, length, payload)| Message { address, length, payload });
    let messages = vec(message, 0..3).prop_map(Vec::into_boxed_slice);
    let times = (at(), of(any::<u64>().prop_map(Moment::from_nanos)));
    let which = (any::<u64>(), threads(), select(CallName::ALL));
    let about = (of(any::<i32>().prop_map(Fd)), of(any::<u64>().prop_map(SocketId)));
    (which, times, about, arguments(), outcome, bytes(70), messages).prop_map(
        |(
            (id, (pid, tid), name),
            (entered, left),
            (fd, socket),
            arguments,
            outcome,
            payload,
            messages,
        )| {
            Call {
                id: CallId(id),
                pid,
                tid,
                entered,
                left,
                name,
                fd,
                socket,
                arguments,
                outcome,
                payload,
                messages,
            }
        },
    )
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let state = (1..=11u8).prop_map(|number| TcpState::from_kernel(number).unwrap());
    let whose = (at(), of(any::<u64>()), of(any::<u64>()), of(inet()), of(inet()), of(state));
    (whose, vec(of(any::<u32>()), 9)).prop_map(|((at, socket, call, local, peer, state), n)| {
        Snapshot {
            at,
            socket: socket.map(SocketId),
            call: call.map(CallId),
            local,
            peer,
            state,
            unread: n[0],
            unsent: n[1],
            rtt_us: n[2],
            congestion_window: n[3],
            send_window: n[4],
            receive_buffer: n[5],
            send_buffer: n[6],
            dropped: n[7],
            retransmitted: n[8],
        }
    })
}

fn packet() -> impl Strategy<Value = Packet> {
    let kinds = (
        select(&[Direction::Unknown, Direction::In, Direction::Out]),
        select(&[Link::Ethernet, Link::Ip]),
    );
    let crossing = of(crossing().prop_map(Box::new));
    (at(), kinds, bytes(140), any::<u32>(), crossing).prop_map(
        |(at, (direction, link), bytes, length, crossing)| Packet {
            at,
            direction,
            link,
            bytes,
            length,
            crossing,
        },
    )
}

fn crossing() -> impl Strategy<Value = Crossing> {
    let arrivals = proptest::collection::vec(at(), 0..3);
    let dropped = of(any::<String>().prop_map(String::into_boxed_str));
    (arrivals, dropped, of(any::<u64>())).prop_map(|(arrivals, dropped, flipped)| Crossing {
        arrivals: arrivals.into(),
        dropped,
        flipped,
    })
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        Just(Place::Capture),
        of(any::<u64>().prop_map(SocketId)).prop_map(Place::ReceiveQueue),
        Just(Place::Record),
    ]
}

fn remark() -> impl Strategy<Value = Remark> {
    prop_oneof![
        Just(Remark::IoUringRefused),
        Just(Remark::IoUringAllowed),
        Just(Remark::LeftBehind),
        any::<String>().prop_map(Remark::NotTraced),
        any::<String>().prop_map(Remark::Text),
    ]
}
