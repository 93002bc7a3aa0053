//! Ladders made by hand, for the tests of what draws them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

use stentor_core::moment::Moment;
use stentor_core::timeline::Lane;
use stentor_core::timeline::call::CallName;
use stentor_core::timeline::cause::{CallNo, Grade, PacketNo, Relation, Rule};
use stentor_core::timeline::header::{
    Flags, Headers, Icmp, Ip, Options, Quoted, Tcp, Transport, Udp,
};
use stentor_core::timeline::ladder::{
    Arrow, CallMark, Group, Ladder, Link, Mark, Program, Protocol, Relative, Remarked, Row, Side,
    StateMark,
};
use stentor_core::timeline::record::{Direction, Header, Mode, Pid, SocketId, TcpState, Tid};
use stentor_core::timeline::stream::Kind;
use stentor_core::timeline::verdict::Finding;

pub(super) const CLIENT: Lane = Lane::Client;
pub(super) const SERVER: Lane = Lane::Server;

pub(super) fn us(microseconds: u64) -> Moment {
    Moment::from_nanos(microseconds * 1000)
}

fn localhost(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Makes a ladder, a conversation at a time.
pub(super) struct Sample {
    pub(super) ladder: Ladder,
    talk: Group,
    /// Rows that are no calls, and calls by lane.
    calls: Vec<(Lane, u32)>,
    /// Initial sequence numbers, on the wire.
    isn: [u32; 2],
}

fn empty(protocol: Protocol, client: u16, server: u16) -> Group {
    let side = |port, pid, command: &str| Side {
        address: Some(localhost(port)),
        socket: Some(SocketId(u64::from(port))),
        pid: Some(Pid(pid)),
        command: command.into(),
    };
    Group {
        protocol,
        client: side(client, 4242, "python3 client.py"),
        server: side(server, 4241, "python3 server.py"),
        began: Moment::START,
        rows: Vec::new(),
        findings: Vec::new(),
    }
}

impl Sample {
    pub(super) fn new(protocol: Protocol, client: u16, server: u16) -> Sample {
        let program = |pid, name: &str, ended| Program {
            pid: Pid(pid),
            parent: None,
            command: vec!["python3".into(), name.into()],
            began: us(0),
            ended: Some(us(ended)),
            ending: "exit 0".into(),
        };
        let header = Header {
            stentor: "0.1.0".into(),
            kernel: "6.18.5".into(),
            machine: "x86_64".into(),
            snaplen: 262_144,
            ..Header::default()
        };
        let programs = vec![program(4241, "server.py", 20_000), program(4242, "client.py", 18_200)];
        let ladder = Ladder { header, programs, ..Ladder::default() };
        let talk = empty(protocol, client, server);
        Sample { ladder, talk, calls: Vec::new(), isn: [3_000_000_000, 4_294_967_290] }
    }

    /// Ends this conversation and begins another.
    pub(super) fn next(&mut self, protocol: Protocol, client: u16, server: u16) {
        let mut talk = std::mem::replace(&mut self.talk, empty(protocol, client, server));
        self.lay(&mut talk);
        self.ladder.groups.push(talk);
    }

    /// Calls that something happened during have two rows, the others one.
    fn lay(&mut self, talk: &mut Group) {
        for (lane, place) in self.calls.drain(..) {
            let call = &self.ladder.calls[place as usize];
            let within = |at: Moment| at > call.entered && call.left.is_none_or(|left| at < left);
            if talk.rows.iter().any(|row| within(row.at)) || call.left.is_none() {
                talk.rows.push(Row { at: call.entered, mark: Mark::CallBegins(lane, place) });
                let ends = |at| Row { at, mark: Mark::CallEnds(lane, place) };
                talk.rows.extend(call.left.map(ends));
            } else {
                talk.rows.push(Row { at: call.entered, mark: Mark::Call(lane, place) });
            }
        }
        talk.rows.sort_by_key(|row| row.at);
        talk.began = talk.rows.first().map_or(Moment::START, |row| row.at);
    }

    pub(super) fn finish(mut self) -> Ladder {
        self.next(Protocol::Other, 0, 0);
        // Links stand by packet.
        let mut order: Vec<usize> = (0..self.ladder.links.len()).collect();
        order.sort_by_key(|place| self.ladder.links[*place].packet);
        let links: Vec<Link> = order.iter().map(|old| self.ladder.links[*old].clone()).collect();
        for (place, arrow) in self.ladder.packets.iter_mut().enumerate() {
            let from = links.partition_point(|link| (link.packet as usize) < place);
            let to = links.partition_point(|link| (link.packet as usize) <= place);
            arrow.links = u32::try_from(from).unwrap()..u32::try_from(to).unwrap();
        }
        for (place, link) in links.iter().enumerate() {
            if let Some(call) = link.call {
                self.ladder.calls[call as usize].links.push(u32::try_from(place).unwrap());
            }
        }
        self.ladder.links = links;
        self.ladder
    }

    /// A call from `at.start` to `at.end` microseconds; `said` is name(arguments) = outcome.
    pub(super) fn call(&mut self, lane: Lane, at: Range<u64>, said: &str, excerpt: &str) -> u32 {
        let (name, rest) = said.split_once('(').unwrap();
        let (arguments, outcome) = rest.rsplit_once(") = ").unwrap();
        let place = u32::try_from(self.ladder.calls.len()).unwrap();
        let pid = if lane == CLIENT { 4242 } else { 4241 };
        self.ladder.calls.push(CallMark {
            number: CallNo(place),
            pid: Pid(pid),
            tid: Tid(pid),
            name: CallName::parse(name).unwrap(),
            arguments: arguments.into(),
            outcome: outcome.into(),
            failed: outcome.starts_with('E'),
            excerpt: excerpt.into(),
            entered: us(at.start),
            left: (outcome != "...").then(|| us(at.end)),
            stream: None,
            links: Vec::new(),
            remarks: Vec::new(),
        });
        self.calls.push((lane, place));
        place
    }

    pub(super) fn remark(&mut self, call: u32, words: &str) {
        self.ladder.calls[call as usize].remarks.push(words.into());
    }

    pub(super) fn state(&mut self, lane: Lane, at: u64, state: TcpState, queues: [u32; 2]) {
        let [unread, unsent] = queues.map(Some);
        let mark = StateMark { state: Some(state), unread, unsent, inferred: false };
        self.talk.rows.push(Row { at: us(at), mark: Mark::State(lane, mark) });
    }

    pub(super) fn guess(&mut self, lane: Lane, at: u64, state: TcpState) {
        let mark = StateMark { state: Some(state), unread: None, unsent: None, inferred: true };
        self.talk.rows.push(Row { at: us(at), mark: Mark::State(lane, mark) });
    }

    /// A segment: its flags, relative sequence and acknowledgment, bytes, window.
    pub(super) fn segment(
        &mut self,
        from: Lane,
        at: u64,
        flags: Flags,
        numbers: [u64; 4],
        excerpt: &str,
    ) -> u32 {
        let [sequence, acknowledgment, length, window] = numbers;
        let [own, other] = if from == CLIENT { self.isn } else { [self.isn[1], self.isn[0]] };
        let wire = |isn: u32, relative: u64| isn.wrapping_add(u32::try_from(relative).unwrap());
        let syn = flags.has(Flags::SYN);
        let ack = flags.has(Flags::ACK);
        let (source, destination) = self.ports(from);
        let options = Options {
            mss: syn.then_some(1460),
            window_scale: syn.then_some(7),
            sack_permitted: syn,
            sack: None,
            timestamps: Some((u32::try_from(at).unwrap(), 1)),
        };
        let scaled = if syn { window } else { window / 128 };
        let tcp = Tcp {
            source,
            destination,
            sequence: wire(own, sequence),
            acknowledgment: if ack { wire(other, acknowledgment) } else { 0 },
            flags,
            window: u16::try_from(scaled).unwrap(),
            checksum: 0xfe28,
            urgent: 0,
            options,
        };
        let kind = match () {
            () if flags.has(Flags::RST) => Kind::Rst,
            () if syn => Kind::Syn,
            () if flags.has(Flags::FIN) => Kind::Fin,
            () if length > 0 => Kind::Data,
            () => Kind::Ack,
        };
        let relative = Relative {
            sequence,
            acknowledgment: ack.then_some(acknowledgment),
            window: Some(u32::try_from(window).unwrap()),
            kind,
        };
        let length = u32::try_from(length).unwrap();
        self.arrow(from, at, Transport::Tcp(tcp), length, 52, Some(relative), excerpt)
    }

    pub(super) fn kind(&mut self, packet: u32, kind: Kind) {
        self.ladder.packets[packet as usize].tcp.as_mut().unwrap().kind = kind;
    }

    pub(super) fn datagram(&mut self, from: Lane, at: u64, length: u16, excerpt: &str) -> u32 {
        let (source, destination) = self.ports(from);
        let udp = Udp { source, destination, length: length + 8, checksum: 0xfe21 };
        self.arrow(from, at, Transport::Udp(udp), u32::from(length), 28, None, excerpt)
    }

    pub(super) fn unreachable(&mut self, from: Lane, at: u64) -> u32 {
        let (server, client) = self.ports(from);
        let (source, destination) = (localhost(client), localhost(server));
        let about = Some(Quoted { protocol: 17, source, destination });
        self.arrow(
            from,
            at,
            Transport::Icmp(Icmp { kind: 3, code: 3, about: about.map(Box::new) }),
            34,
            28,
            None,
            "",
        )
    }

    fn ports(&self, from: Lane) -> (u16, u16) {
        let (client, server) = (self.talk.client.address, self.talk.server.address);
        let (client, server) = (client.unwrap().port(), server.unwrap().port());
        if from == CLIENT { (client, server) } else { (server, client) }
    }

    #[expect(clippy::too_many_arguments, reason = "a packet has that many fields")]
    fn arrow(
        &mut self,
        from: Lane,
        at: u64,
        transport: Transport,
        payload: u32,
        header: u32,
        tcp: Option<Relative>,
        excerpt: &str,
    ) -> u32 {
        let place = u32::try_from(self.ladder.packets.len()).unwrap();
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let protocol = match transport {
            Transport::Tcp(_) => 6,
            Transport::Udp(_) => 17,
            Transport::Icmp(_) | Transport::Other => 1,
        };
        let ip = Ip {
            source: ip,
            destination: ip,
            ttl: 64,
            length: header + payload,
            identification: Some(u16::try_from(place % 65536).unwrap()),
            dont_fragment: true,
            fragment: false,
            traffic_class: 0,
            protocol,
        };
        let begins = 14 + header;
        let payload_range = begins..begins + payload;
        let headers = Headers { ip, transport, payload: payload_range, payload_length: payload };
        self.ladder.packets.push(Arrow {
            number: PacketNo(place),
            at: us(at),
            from,
            direction: Direction::Unknown,
            headers,
            excerpt: excerpt.into(),
            tcp,
            captured: begins + payload,
            length: begins + payload,
            links: 0..0,
            crossing: None,
        });
        self.talk.rows.push(Row { at: us(at), mark: Mark::Packet(place) });
        place
    }

    pub(super) fn link(
        &mut self,
        packet: u32,
        call: Option<u32>,
        relation: Relation,
        rule: Rule,
        grade: Grade,
    ) {
        let link = Link { packet, call, process: None, relation, rule, grade, bytes: 0..0 };
        self.ladder.links.push(link);
    }

    pub(super) fn cause(&mut self, packet: u32, call: u32, rule: Rule) {
        self.link(packet, Some(call), Relation::Cause, rule, Grade::Exact);
    }

    pub(super) fn effect(&mut self, packet: u32, call: u32, rule: Rule) {
        self.link(packet, Some(call), Relation::Effect, rule, Grade::Exact);
    }

    pub(super) fn kernel(&mut self, packet: u32, rule: Rule) {
        self.link(packet, None, Relation::Cause, rule, Grade::Kernel);
    }

    pub(super) fn finding(&mut self, at: u64, words: &str, calls: &[u32], packets: &[u32]) {
        self.talk.findings.push(Finding {
            at: us(at),
            lane: None,
            words: words.into(),
            calls: calls.iter().map(|call| CallNo(*call)).collect(),
            packets: packets.iter().map(|packet| PacketNo(*packet)).collect(),
        });
    }
}

const SYN: Flags = Flags::SYN;
const ACK: Flags = Flags::ACK;
const PUSH: Flags = Flags::PSH.with(Flags::ACK);
const FIN: Flags = Flags::FIN.with(Flags::ACK);

/// connect() and the three segments of its handshake, from `at` microseconds on; gives connect()
/// and the last of the three.
fn handshake(s: &mut Sample, at: u64) -> (u32, u32) {
    let port = s.talk.server.address.unwrap().port();
    let connect = s.call(CLIENT, at..at + 90, &format!("connect(3, 127.0.0.1:{port}) = 0"), "");
    let syn = s.segment(CLIENT, at + 20, SYN, [0, 0, 0, 65_495], "");
    s.cause(syn, connect, Rule::SynInConnect);
    let answer = s.segment(SERVER, at + 35, SYN.with(ACK), [0, 1, 0, 65_483], "");
    s.kernel(answer, Rule::SynAck);
    s.effect(answer, connect, Rule::Connected);
    let last = s.segment(CLIENT, at + 50, ACK, [1, 1, 0, 65_536], "");
    s.kernel(last, Rule::HandshakeAck);
    s.state(CLIENT, at + 91, TcpState::Established, [0, 0]);
    (connect, last)
}

fn acknowledged(s: &mut Sample, from: Lane, at: u64, numbers: [u64; 2]) -> u32 {
    let packet = s.segment(from, at, ACK, [numbers[0], numbers[1], 0, 65_536], "");
    s.kernel(packet, Rule::Ack);
    packet
}

/// The lecture's exchange: the handshake is over before accept(), a sentence each way, and each end
/// closes in its turn.
pub(super) fn lecture() -> Ladder {
    let mut s = Sample::new(Protocol::Tcp, 51_234, 12_000);
    lecture_in(&mut s);
    s.finish()
}

fn lecture_in(s: &mut Sample) {
    s.call(SERVER, 100..112, "listen(3, 1) = 0", "");
    s.state(SERVER, 113, TcpState::Listen, [0, 0]);
    let (connect, last) = handshake(s, 1_000);
    let accept = s.call(SERVER, 1_300..1_330, "accept4(3) = 5, from 127.0.0.1:51234", "");
    s.effect(last, accept, Rule::Accepted);
    s.state(SERVER, 1_331, TcpState::Established, [0, 0]);
    let receive = s.call(SERVER, 1_400..2_080, "recvfrom(5, 1024) = 6", "hello\\n");
    let send = s.call(CLIENT, 2_000..2_060, "sendto(3, 6) = 6", "hello\\n");
    let data = s.segment(CLIENT, 2_020, PUSH, [1, 1, 6, 65_536], "hello\\n");
    s.cause(data, send, Rule::StreamOffset);
    s.effect(data, receive, Rule::StreamOffset);
    acknowledged(s, SERVER, 2_033, [1, 7]);
    let answer = s.call(SERVER, 2_200..2_260, "sendto(5, 6) = 6", "HELLO\\n");
    let wait = s.call(CLIENT, 2_110..2_290, "recvfrom(3, 1024) = 6", "HELLO\\n");
    let back = s.segment(SERVER, 2_220, PUSH, [1, 7, 6, 65_536], "HELLO\\n");
    s.cause(back, answer, Rule::StreamOffset);
    s.effect(back, wait, Rule::StreamOffset);
    acknowledged(s, CLIENT, 2_230, [7, 7]);
    let half = s.call(CLIENT, 2_400..2_440, "shutdown(3, SHUT_WR) = 0", "");
    let again = s.call(SERVER, 2_300..2_460, "recvfrom(5, 1024) = 0", "");
    let fin = s.segment(CLIENT, 2_415, FIN, [7, 7, 0, 65_536], "");
    s.cause(fin, half, Rule::FinInShutdown);
    s.effect(fin, again, Rule::EndOfStream);
    s.state(CLIENT, 2_441, TcpState::FinWait2, [0, 0]);
    acknowledged(s, SERVER, 2_430, [7, 8]);
    s.state(SERVER, 2_461, TcpState::CloseWait, [0, 0]);
    let close = s.call(SERVER, 2_600..2_650, "close(5) = 0", "");
    let end = s.call(CLIENT, 2_500..2_660, "recvfrom(3, 1024) = 0", "");
    let last_fin = s.segment(SERVER, 2_620, FIN, [7, 8, 0, 65_536], "");
    s.cause(last_fin, close, Rule::FinInClose);
    s.effect(last_fin, end, Rule::EndOfStream);
    acknowledged(s, CLIENT, 2_630, [8, 8]);
    s.state(CLIENT, 2_631, TcpState::TimeWait, [0, 0]);
    s.call(CLIENT, 2_700..2_710, "close(3) = 0", "");
    s.finding(1_300, "handshake finished 0.2 ms before accept()", &[connect, accept], &[last]);
    s.finding(2_000, "1 send = 1 segment = 1 recv", &[send, receive], &[data]);
    s.finding(2_661, "the client is in TIME_WAIT: it sent its FIN first", &[half], &[fin]);
}

/// One send of 10,000 bytes in seven segments, to a reader that takes them piece by piece.
pub(super) fn seven() -> Ladder {
    let mut s = Sample::new(Protocol::Tcp, 51_236, 12_000);
    handshake(&mut s, 100);
    let send = s.call(CLIENT, 300..420, "sendto(3, 10000) = 10000", "aaaaaaaaaaaaaaaaaaaaaaaa…");
    let first = s.call(SERVER, 250..380, "recvfrom(5, 4096) = 4096", "aaaaaaaaaaaaaaaaaaaaaaaa…");
    let rest = s.call(SERVER, 500..520, "recvfrom(5, 65536) = 5904", "aaaaaaaaaaaaaaaaaaaaaaaa…");
    let mut packets = Vec::new();
    for number in 0..7_u64 {
        let length = if number == 6 { 10_000 - 6 * 1448 } else { 1448 };
        let flags = if number == 6 { PUSH } else { ACK };
        let numbers = [1 + number * 1448, 1, length, 65_536];
        let packet =
            s.segment(CLIENT, 310 + number * 5, flags, numbers, "aaaaaaaaaaaaaaaaaaaaaaaa…");
        s.cause(packet, send, Rule::StreamOffset);
        s.effect(packet, if number < 3 { first } else { rest }, Rule::StreamOffset);
        packets.push(packet);
    }
    s.state(SERVER, 390, TcpState::Established, [5904, 0]);
    acknowledged(&mut s, SERVER, 400, [1, 10_001]);
    s.remark(first, "recv returned 4096 of 10000 bytes");
    s.finding(300, "1 send = 7 segments", &[send], &packets);
    s.finding(300, "1 send = 2 recv", &[send, first, rest], &[]);
    s.finish()
}

/// A writer that does not wait against a reader that sleeps: a full buffer, a closed window, a
/// probe, a segment sent again.
pub(super) fn full() -> Ladder {
    let mut s = Sample::new(Protocol::Tcp, 51_240, 12_000);
    handshake(&mut s, 100);
    let send = s.call(
        CLIENT,
        300..330,
        "sendto(3, 65536, MSG_DONTWAIT) = 65483",
        "bbbbbbbbbbbbbbbbbbbbbbbb…",
    );
    let data = s.segment(CLIENT, 310, PUSH, [1, 1, 65_483, 65_536], "bbbbbbbbbbbbbbbbbbbbbbbb…");
    s.cause(data, send, Rule::StreamOffset);
    let closed = s.segment(SERVER, 320, ACK, [1, 65_484, 0, 0], "");
    s.kernel(closed, Rule::Ack);
    let refused = s.call(CLIENT, 400..410, "sendto(3, 65536, MSG_DONTWAIT) = EAGAIN", "");
    s.remark(refused, "EAGAIN: send buffer full");
    s.state(CLIENT, 411, TcpState::Established, [0, 53]);
    let probe = s.segment(CLIENT, 200_600, ACK, [65_483, 1, 0, 65_536], "");
    s.kind(probe, Kind::WindowProbe);
    s.link(probe, None, Relation::Cause, Rule::WindowProbe, Grade::Timer);
    let receive =
        s.call(SERVER, 250_000..250_050, "recvfrom(5, 65536) = 65483", "bbbbbbbbbbbbbbbbbbbbbbbb…");
    s.effect(data, receive, Rule::StreamOffset);
    let open = s.segment(SERVER, 250_060, ACK, [1, 65_484, 0, 65_536], "");
    s.kind(open, Kind::WindowUpdate);
    s.kernel(open, Rule::WindowUpdate);
    let later =
        s.segment(CLIENT, 250_080, PUSH, [65_484, 1, 53, 65_536], "bbbbbbbbbbbbbbbbbbbbbbbb…");
    s.cause(later, send, Rule::StreamOffset);
    let again =
        s.segment(CLIENT, 450_080, PUSH, [65_484, 1, 53, 65_536], "bbbbbbbbbbbbbbbbbbbbbbbb…");
    s.kind(again, Kind::Retransmission);
    s.link(again, None, Relation::Cause, Rule::Retransmission, Grade::Timer);
    let odd = s.segment(SERVER, 450_100, Flags::RST, [1, 0, 0, 0], "");
    s.link(odd, None, Relation::Cause, Rule::ProcessEnded, Grade::Exit);
    s.ladder.links.last_mut().unwrap().process = Some(Pid(4241));
    let strange = s.segment(SERVER, 450_200, ACK, [2, 65_484, 0, 65_536], "");
    s.link(strange, Some(receive), Relation::Cause, Rule::Ack, Grade::Inferred);
    s.segment(SERVER, 450_300, ACK, [2, 65_484, 0, 65_536], "");
    s.call(CLIENT, 460_000..460_000, "recvfrom(3, 1024) = ...", "");
    s.finding(320, "peer's window 0 for 249.7 ms", &[], &[closed, open]);
    s.ladder.remarks.push(Remarked {
        at: us(470_000),
        words: "the capture lost 3 packets: what sequence numbers do not prove is not claimed"
            .into(),
        warning: true,
    });
    s.ladder.omitted.rows = 12;
    s.ladder.omitted.groups = 1;
    s.finish()
}

/// Over UDP: an exchange, and a datagram to a port that nobody has.
pub(super) fn datagrams() -> Ladder {
    let mut s = Sample::new(Protocol::Udp, 40_000, 12_000);
    datagrams_in(&mut s);
    s.finish()
}

fn datagrams_in(s: &mut Sample) {
    let wait =
        s.call(SERVER, 100..1_060, "recvfrom(3, 2048) = 6, from 127.0.0.1:40000", "hello\\n");
    let send = s.call(CLIENT, 1_000..1_050, "sendto(3, 6, 127.0.0.1:12000) = 6", "hello\\n");
    let data = s.datagram(CLIENT, 1_020, 6, "hello\\n");
    s.cause(data, send, Rule::Datagram);
    s.effect(data, wait, Rule::Datagram);
    let receive =
        s.call(CLIENT, 1_055..1_220, "recvfrom(3, 2048) = 6, from 127.0.0.1:12000", "HELLO\\n");
    let answer = s.call(SERVER, 1_150..1_200, "sendto(3, 6, 127.0.0.1:40000) = 6", "HELLO\\n");
    let back = s.datagram(SERVER, 1_170, 6, "HELLO\\n");
    s.cause(back, answer, Rule::Datagram);
    s.effect(back, receive, Rule::Datagram);
    s.finding(1_000, "1 send = 1 datagram = 1 recv", &[send, wait], &[data]);
    s.next(Protocol::Udp, 40_001, 12_999);
    s.talk.server.pid = None;
    s.talk.server.command = String::new();
    let send = s.call(CLIENT, 2_000..2_030, "sendto(4, 2, 127.0.0.1:12999) = 2", "hi");
    let lost = s.datagram(CLIENT, 2_010, 2, "hi");
    s.cause(lost, send, Rule::Datagram);
    let icmp = s.unreachable(SERVER, 2_015);
    s.kernel(icmp, Rule::PortUnreachable);
    let told = s.call(CLIENT, 2_050..2_060, "recvfrom(4, 2048) = ECONNREFUSED", "");
    s.effect(icmp, told, Rule::PendingError);
    s.finding(2_050, "nobody has port 12999: recvfrom was told by ICMP", &[told], &[icmp]);
}

/// connect() to a port where nobody listens.
pub(super) fn refused() -> Ladder {
    let mut s = Sample::new(Protocol::Tcp, 51_300, 12_999);
    s.talk.server.pid = None;
    s.talk.server.command = String::new();
    let connect = s.call(CLIENT, 100..160, "connect(3, 127.0.0.1:12999) = ECONNREFUSED", "");
    let syn = s.segment(CLIENT, 120, SYN, [0, 0, 0, 65_495], "");
    s.cause(syn, connect, Rule::SynInConnect);
    let reset = s.segment(SERVER, 130, Flags::RST.with(ACK), [0, 1, 0, 0], "");
    s.kernel(reset, Rule::RstRefused);
    s.effect(reset, connect, Rule::Reset);
    s.state(CLIENT, 161, TcpState::Close, [0, 0]);
    s.finding(160, "nobody listens on port 12999", &[connect], &[reset]);
    s.finish()
}

/// Calls alone, of two threads that wait at once: states are concluded, packets there are none.
pub(super) fn calls() -> Ladder {
    let mut s = Sample::new(Protocol::Tcp, 51_400, 12_000);
    s.ladder.header.mode = Mode::Calls;
    s.call(CLIENT, 100..190, "connect(3, 127.0.0.1:12000) = 0", "");
    s.guess(CLIENT, 150, TcpState::SynSent);
    s.guess(CLIENT, 191, TcpState::Established);
    s.call(SERVER, 50..300, "accept4(3) = 5, from 127.0.0.1:51400", "");
    s.guess(SERVER, 301, TcpState::Established);
    s.call(SERVER, 60..900, "accept4(3) = ...", "");
    s.call(SERVER, 400..700, "recvfrom(5, 1024) = 6", "hello\\n");
    s.call(CLIENT, 600..640, "sendto(3, 6) = 6", "hello\\n");
    s.finish()
}

/// Two clients of one server, over TCP and UDP: three conversations.
pub(super) fn several() -> Ladder {
    let mut s = Sample::new(Protocol::Tcp, 51_234, 12_000);
    lecture_in(&mut s);
    s.next(Protocol::Udp, 40_000, 12_000);
    datagrams_in(&mut s);
    s.finish()
}

/// Conversations whose every text is `hostile`.
pub(super) fn hostile(text: &str) -> Ladder {
    let mut ladder = several();
    for call in &mut ladder.calls {
        call.arguments = text.into();
        call.outcome = text.into();
        call.excerpt = text.into();
        call.remarks = vec![text.into()];
    }
    for packet in &mut ladder.packets {
        packet.excerpt = text.into();
    }
    for program in &mut ladder.programs {
        program.command = vec![text.into()];
        program.ending = text.into();
    }
    for group in &mut ladder.groups {
        group.client.command = text.into();
        for finding in &mut group.findings {
            finding.words = text.into();
        }
    }
    ladder.header.kernel = text.into();
    ladder.remarks = vec![Remarked { at: us(1), words: text.into(), warning: false }];
    ladder
}

/// A sender of `packets` segments.
pub(super) fn long(packets: u64) -> Ladder {
    let mut s = Sample::new(Protocol::Tcp, 51_500, 12_000);
    for number in 0..packets {
        let call = s.call(CLIENT, 10 * number..10 * number + 1, "sendto(3, 4) = 4", "abcd");
        let packet =
            s.segment(CLIENT, 10 * number + 2, PUSH, [1 + 4 * number, 1, 4, 65_536], "abcd");
        s.cause(packet, call, Rule::StreamOffset);
    }
    s.talk.rows.reserve(s.calls.len());
    let rows = s
        .calls
        .drain(..)
        .map(|(lane, place)| Row { at: us(10 * u64::from(place)), mark: Mark::Call(lane, place) });
    s.talk.rows.extend(rows);
    s.finish()
}
