//! Hand-made records of the lecture's exchanges, right in every detail, as `lo` gives them.
//!
//! They are kept in `data/` for whatever reads records. Here they are built: sequence numbers follow
//! from lengths, lengths and checksums from bytes. The checksums of TCP and UDP are partial, as
//! the kernel leaves them on `lo`; that of IP is complete. `STENTOR_BLESS=1 cargo test -p stentor
//! samples` writes the files anew.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use stentor::report::record;
use stentor_core::moment::Moment;
use stentor_core::timeline::call::{CallName, Errno};
use stentor_core::timeline::cause::{CallNo, Edge, Grade, PacketNo, Relation, Rule};
use stentor_core::timeline::record::*;

/// The server's process.
pub(crate) const SERVER: Pid = Pid(4711);
/// The client's.
pub(crate) const CLIENT: Pid = Pid(4712);

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// The file of a sample.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data").join(name)
}

/// The names of the files and what they hold.
pub(crate) fn all() -> [(&'static str, Record); 3] {
    [
        ("lecture-tcp.jsonl", lecture_tcp()),
        ("lecture-udp.jsonl", lecture_udp()),
        ("refused.jsonl", refused()),
    ]
}

fn at(us: u64) -> Moment {
    Moment::from_nanos(us * 1_000)
}

fn header() -> Header {
    Header {
        version: VERSION,
        stentor: "0.1.0".to_owned(),
        kernel: "6.18.5".to_owned(),
        machine: "x86_64".to_owned(),
        mode: Mode::Lab,
        wire: Wire::Ethernet,
        snaplen: 262_144,
        // 2026-01-31T12:00:00Z.
        began_unix_ns: 1_769_860_800_000_000_000,
        link: None,
    }
}

fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum()
}

fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap()
}

/// An Ethernet frame on `lo`: IPv4 from 127.0.0.1 to 127.0.0.1 around `segment`, whose checksum
/// field at `field` becomes partial where there is one.
fn frame(protocol: u8, id: u16, mut segment: Vec<u8>, field: Option<usize>) -> Vec<u8> {
    let addresses = [127, 0, 0, 1, 127, 0, 0, 1];
    let length = u16::try_from(segment.len()).unwrap();
    if let Some(field) = field {
        let partial = fold(sum(&addresses) + u32::from(protocol) + u32::from(length));
        segment[field..field + 2].copy_from_slice(&partial.to_be_bytes());
    }
    let mut ip = vec![0x45, if protocol == 1 { 0xc0 } else { 0 }];
    ip.extend((length + 20).to_be_bytes());
    ip.extend(id.to_be_bytes());
    ip.extend([if protocol == 1 { 0 } else { 0x40 }, 0, 64, protocol, 0, 0]);
    ip.extend(addresses);
    let checksum = !fold(sum(&ip));
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    [&[0; 12][..], &[8, 0], &ip, &segment].concat()
}

fn packet(when: Moment, bytes: Vec<u8>) -> Packet {
    Packet {
        at: when,
        direction: Direction::Unknown,
        link: Link::Ethernet,
        length: u32::try_from(bytes.len()).unwrap(),
        bytes: bytes.into_boxed_slice(),
        crossing: None,
    }
}

/// One end of a TCP connection: what it sends next.
struct End {
    port: u16,
    next: u32,
    window: u16,
    id: u16,
    clock: u32,
}

impl End {
    fn new(port: u16, isn: u32, id: u16, clock: u32) -> End {
        End { port, next: isn, window: 0, id, clock }
    }
}

/// A segment from one end to the other at `us`; both count on.
fn segment(us: u64, from: &mut End, to: &End, flags: u8, data: &[u8]) -> Packet {
    let millis = |end: &End| end.clock + u32::try_from(us / 1_000).unwrap();
    let mut options = Vec::new();
    if flags & SYN != 0 {
        // MSS 1460, SACK permitted, timestamps, window scale 7: what Linux says at MTU 1500.
        options.extend([2, 4, 5, 0xb4, 4, 2, 8, 10]);
    } else if flags & RST == 0 {
        options.extend([1, 1, 8, 10]);
    }
    if flags & RST == 0 {
        options.extend(millis(from).to_be_bytes());
        options.extend(if flags & ACK == 0 { 0 } else { millis(to) }.to_be_bytes());
    }
    if flags & SYN != 0 {
        options.extend([1, 3, 3, 7]);
    }
    let mut bytes = [from.port.to_be_bytes(), to.port.to_be_bytes()].concat();
    bytes.extend(if flags & RST == 0 { from.next } else { 0 }.to_be_bytes());
    bytes.extend(if flags & ACK == 0 { 0 } else { to.next }.to_be_bytes());
    bytes.extend([u8::try_from((20 + options.len()) / 4).unwrap() << 4, flags]);
    bytes.extend(from.window.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(options);
    bytes.extend(data);
    from.next = from.next.wrapping_add(u32::try_from(data.len()).unwrap());
    from.next = from.next.wrapping_add(u32::from(flags & (SYN | FIN) != 0));
    // The kernel answers SYNs and sends resets with identification 0.
    let id = if flags & RST != 0 || flags & (SYN | ACK) == SYN | ACK { 0 } else { from.id };
    from.id = from.id.wrapping_add(u16::from(id != 0));
    packet(at(us), frame(6, id, bytes, Some(16)))
}

fn call(id: u64, pid: Pid, us: (u64, u64), name: CallName, fd: i32, socket: u64) -> Call {
    Call {
        id: CallId(id),
        pid,
        tid: Tid(pid.0),
        entered: at(us.0),
        left: Some(at(us.1)),
        name,
        fd: Some(Fd(fd)),
        socket: Some(SocketId(socket)),
        arguments: Arguments::default(),
        outcome: Outcome::Value(0),
        payload: Box::default(),
        messages: Box::default(),
    }
}

/// socket(): no descriptor yet, the new one comes back.
fn made(mut call: Call, kind: i32) -> Call {
    call.outcome = Outcome::Value(i64::from(call.fd.take().unwrap().0));
    call.arguments.made = Some(Made { domain: 2, kind, protocol: 0 });
    call
}

fn about(mut call: Call, address: &str) -> Call {
    call.arguments.address = Some(Address::Inet(address.parse().unwrap()));
    call
}

fn number(mut call: Call, number: i64) -> Call {
    call.arguments.number = Some(number);
    call
}

fn returning(mut call: Call, value: i64) -> Call {
    call.outcome = Outcome::Value(value);
    call
}

fn failing(mut call: Call, errno: Errno) -> Call {
    call.outcome = Outcome::Failed(errno);
    call
}

/// Of a call that moved these bytes, with room for `length`.
fn moving(mut call: Call, data: &[u8], length: u64) -> Call {
    call.arguments.length = Some(length);
    call.outcome = Outcome::Value(i64::try_from(data.len()).unwrap());
    call.payload = data.into();
    call
}

fn state(
    us: u64,
    socket: u64,
    after: u64,
    ends: (&str, Option<&str>),
    state: TcpState,
) -> Snapshot {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    Snapshot {
        at: at(us),
        socket: Some(SocketId(socket)),
        call: Some(CallId(after)),
        local: Some(address(ends.0)),
        peer: ends.1.map(address),
        state: Some(state),
        unread: Some(0),
        unsent: (state != TcpState::Close).then_some(0),
        ..Snapshot::default()
    }
}

fn life(us: u64, pid: Pid, life: Life) -> Process {
    Process { at: at(us), pid, tid: Tid(pid.0), life }
}

fn started(program: &str) -> Life {
    Life::Started { command: vec!["python3".to_owned(), program.to_owned()] }
}

/// The lecture's TCP programs and the sentence `hello`; the server is ended afterwards.
pub(crate) fn lecture_tcp() -> Record {
    use CallName::*;
    const S: &str = "127.0.0.1:12000";
    const C: &str = "127.0.0.1:51234";
    let mut record = Record::new(header());
    record.processes = vec![
        life(0, SERVER, started("tcp_server.py")),
        life(300_000, CLIENT, started("tcp_client.py")),
        life(341_500, CLIENT, Life::Exited { status: 0 }),
        life(900_000, SERVER, Life::Killed { signal: 15 }),
    ];
    let mut reuse = call(2, SERVER, (30_020, 30_022), Setsockopt, 3, 9001);
    let value = vec![1, 0, 0, 0].into_boxed_slice();
    reuse.arguments.option = Some(Box::new(SocketOption { level: 1, name: 2, value }));
    let mut again = call(12, SERVER, (341_060, 900_000), Accept4, 3, 9001);
    (again.outcome, again.left, again.socket) = (Outcome::Unfinished, None, None);
    again.arguments.flags = 0o2_000_000;
    let mut accepted = about(call(6, SERVER, (30_200, 340_190), Accept4, 3, 9002), C);
    accepted.arguments.flags = 0o2_000_000;
    record.calls = vec![
        made(call(1, SERVER, (30_000, 30_010), Socket, 3, 9001), 0o2_000_001),
        reuse,
        about(call(3, SERVER, (30_030, 30_034), Bind, 3, 9001), "0.0.0.0:12000"),
        number(call(4, SERVER, (30_040, 30_048), Listen, 3, 9001), 1),
        about(call(5, SERVER, (30_060, 30_062), Getsockname, 3, 9001), "0.0.0.0:12000"),
        returning(accepted, 4),
        made(call(7, CLIENT, (340_000, 340_012), Socket, 3, 9003), 0o2_000_001),
        about(call(8, CLIENT, (340_050, 340_160), Connect, 3, 9003), S),
        moving(call(9, SERVER, (340_230, 340_640), Recvfrom, 4, 9002), b"hello", 1024),
        moving(call(10, CLIENT, (340_500, 340_580), Sendto, 3, 9003), b"hello", 5),
        moving(call(11, CLIENT, (340_610, 340_860), Recvfrom, 3, 9003), b"HELLO", 1024),
        moving(call(13, SERVER, (340_700, 340_780), Sendto, 4, 9002), b"HELLO", 5),
        call(14, SERVER, (340_800, 340_850), Close, 4, 9002),
        call(15, CLIENT, (341_000, 341_050), Close, 3, 9003),
        again,
    ];
    let (mut c, mut s) = (
        End::new(51_234, 0xfff0_0ffe, 0x1a2b, 7_000),
        End::new(12_000, 2_718_281_828, 0x5c6d, 90_000),
    );
    (c.window, s.window) = (64_240, 65_160);
    record.packets.push(segment(340_070, &mut c, &s, SYN, b""));
    record.packets.push(segment(340_095, &mut s, &c, SYN | ACK, b""));
    (c.window, s.window) = (502, 509);
    record.packets.push(segment(340_120, &mut c, &s, ACK, b""));
    record.packets.push(segment(340_520, &mut c, &s, PSH | ACK, b"hello"));
    record.packets.push(segment(340_540, &mut s, &c, ACK, b""));
    record.packets.push(segment(340_720, &mut s, &c, PSH | ACK, b"HELLO"));
    record.packets.push(segment(340_740, &mut c, &s, ACK, b""));
    record.packets.push(segment(340_820, &mut s, &c, FIN | ACK, b""));
    record.packets.push(segment(340_862, &mut c, &s, ACK, b""));
    record.packets.push(segment(341_020, &mut c, &s, FIN | ACK, b""));
    record.packets.push(segment(341_035, &mut s, &c, ACK, b""));
    record.snapshots = vec![
        state(30_050, 9001, 4, ("0.0.0.0:12000", None), TcpState::Listen),
        state(340_165, 9003, 8, (C, Some(S)), TcpState::Established),
        state(340_200, 9002, 6, (S, Some(C)), TcpState::Established),
        state(340_870, 9003, 11, (C, Some(S)), TcpState::CloseWait),
    ];
    let gone = Snapshot {
        socket: None,
        unsent: None,
        ..state(341_055, 0, 15, (S, Some(C)), TcpState::TimeWait)
    };
    record.snapshots.push(gone);
    record.sort();
    record
}

/// What a matcher finds in [`lecture_tcp`].
pub(crate) fn lecture_tcp_edges(record: &Record) -> Vec<Edge> {
    let call = |id: u64| {
        let place = record.calls.iter().position(|call| call.id == CallId(id)).unwrap();
        Some(CallNo(u32::try_from(place).unwrap()))
    };
    let edge = |packet, call, relation, rule, grade, bytes| Edge {
        packet: PacketNo(packet),
        call,
        process: None,
        relation,
        rule,
        grade,
        bytes,
    };
    use Grade::{Exact, Kernel};
    use Relation::{Cause, Effect};
    vec![
        edge(0, call(8), Cause, Rule::SynInConnect, Exact, 0..0),
        edge(1, None, Cause, Rule::SynAck, Kernel, 0..0),
        edge(1, call(8), Effect, Rule::Connected, Exact, 0..0),
        edge(2, None, Cause, Rule::HandshakeAck, Kernel, 0..0),
        edge(2, call(6), Effect, Rule::Accepted, Exact, 0..0),
        edge(3, call(10), Cause, Rule::StreamOffset, Exact, 0..5),
        edge(3, call(9), Effect, Rule::StreamOffset, Exact, 0..5),
        edge(4, None, Cause, Rule::Ack, Kernel, 0..0),
        edge(5, call(13), Cause, Rule::StreamOffset, Exact, 0..5),
        edge(5, call(11), Effect, Rule::StreamOffset, Exact, 0..5),
        edge(6, None, Cause, Rule::Ack, Kernel, 0..0),
        edge(7, call(14), Cause, Rule::FinInClose, Exact, 0..0),
        edge(8, None, Cause, Rule::Ack, Kernel, 0..0),
        edge(9, call(15), Cause, Rule::FinInClose, Exact, 0..0),
        edge(10, None, Cause, Rule::Ack, Kernel, 0..0),
    ]
}

fn datagram(us: u64, from: u16, to: u16, id: u16, data: &[u8]) -> Packet {
    let length = u16::try_from(8 + data.len()).unwrap();
    let mut bytes = [from.to_be_bytes(), to.to_be_bytes(), length.to_be_bytes(), [0, 0]].concat();
    bytes.extend(data);
    packet(at(us), frame(17, id, bytes, Some(6)))
}

/// The lecture's UDP programs and the sentence `hello`; then a datagram to a port nobody has.
pub(crate) fn lecture_udp() -> Record {
    use CallName::*;
    const S: &str = "127.0.0.1:12000";
    const C: &str = "127.0.0.1:40404";
    let mut record = Record::new(header());
    record.processes = vec![
        life(0, SERVER, started("udp_server.py")),
        life(300_000, CLIENT, started("udp_client.py")),
        life(341_000, CLIENT, Life::Exited { status: 0 }),
        life(900_000, SERVER, Life::Killed { signal: 15 }),
    ];
    let mut again = call(10, SERVER, (340_360, 0), Recvfrom, 3, 9101);
    (again.outcome, again.left) = (Outcome::Unfinished, None);
    again.arguments.length = Some(2048);
    record.calls = vec![
        made(call(1, SERVER, (30_000, 30_010), Socket, 3, 9101), 0o2_000_002),
        about(call(2, SERVER, (30_030, 30_034), Bind, 3, 9101), "0.0.0.0:12000"),
        about(moving(call(3, SERVER, (30_060, 340_200), Recvfrom, 3, 9101), b"hello", 2048), C),
        made(call(4, CLIENT, (340_000, 340_012), Socket, 3, 9102), 0o2_000_002),
        about(moving(call(5, CLIENT, (340_050, 340_150), Sendto, 3, 9102), b"hello", 5), S),
        about(moving(call(6, CLIENT, (340_180, 340_330), Recvfrom, 3, 9102), b"HELLO", 2048), S),
        about(moving(call(7, SERVER, (340_260, 340_340), Sendto, 3, 9101), b"HELLO", 5), C),
        call(8, CLIENT, (340_400, 340_420), Close, 3, 9102),
        again,
    ];
    record.packets = vec![
        datagram(340_090, 40_404, 12_000, 0x3131, b"hello"),
        datagram(340_290, 12_000, 40_404, 0x3132, b"HELLO"),
    ];
    record.sort();
    record
}

/// A TCP client where nobody listens, and a connected UDP socket that learns it by ICMP.
pub(crate) fn refused() -> Record {
    use CallName::*;
    const S: &str = "127.0.0.1:12000";
    let mut record = Record::new(header());
    record.processes = vec![
        life(0, CLIENT, started("knock.py")),
        life(60_000, CLIENT, Life::Exited { status: 1 }),
    ];
    let refused = Errno::ECONNREFUSED;
    let mut told = failing(call(6, CLIENT, (50_250, 50_260), Recvfrom, 4, 9202), refused);
    told.arguments.length = Some(2048);
    record.calls = vec![
        made(call(1, CLIENT, (40_000, 40_012), Socket, 3, 9201), 0o2_000_001),
        failing(about(call(2, CLIENT, (40_050, 40_130), Connect, 3, 9201), S), refused),
        call(3, CLIENT, (40_200, 40_210), Close, 3, 9201),
        made(call(4, CLIENT, (50_000, 50_010), Socket, 4, 9202), 0o2_000_002),
        about(call(7, CLIENT, (50_030, 50_040), Connect, 4, 9202), S),
        moving(call(5, CLIENT, (50_100, 50_200), Sendto, 4, 9202), b"hello", 5),
        told,
        call(8, CLIENT, (50_300, 50_310), Close, 4, 9202),
    ];
    let (mut c, mut s) = (End::new(51_234, 123_456_789, 0x1a2b, 7_000), End::new(12_000, 0, 0, 0));
    c.window = 64_240;
    record.packets.push(segment(40_070, &mut c, &s, SYN, b""));
    record.packets.push(segment(40_090, &mut s, &c, RST | ACK, b""));
    let lost = datagram(50_120, 40_404, 12_000, 0x3131, b"hello");
    // Port unreachable, with the packet it is about (RFC 792); its checksum is complete.
    let mut icmp = vec![3, 3, 0, 0, 0, 0, 0, 0];
    icmp.extend(&lost.bytes[14..]);
    let checksum = !fold(sum(&icmp));
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    record.packets.push(lost);
    record.packets.push(packet(at(50_140), frame(1, 0x0707, icmp, None)));
    record.sort();
    record
}

#[test]
fn the_files_are_the_samples() {
    for (name, built) in all() {
        let text = record::write(&built, Vec::new(), name).unwrap();
        if std::env::var_os("STENTOR_BLESS").is_some() {
            std::fs::write(path(name), &text).unwrap();
        }
        let held = std::fs::read(path(name)).unwrap_or_default();
        assert!(held == text, "{name} is not what is built: STENTOR_BLESS=1 writes it anew");
        let (read, warnings) = record::read(&*held).unwrap();
        assert_eq!((read, warnings), (built, record::Warnings::default()));
    }
}

#[test]
fn calls_of_the_samples_have_their_own_numbers() {
    for (name, record) in all() {
        let mut ids: Vec<_> = record.calls.iter().map(|call| call.id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), record.calls.len(), "{name}");
    }
}
