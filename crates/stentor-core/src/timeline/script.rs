//! Records written by hand: the stage on which matcher, verdicts and renderers are tried.
//!
//! Packets are written byte by byte after the RFCs, and not with the library that reads them, so
//! that the two judge each other. Checksums are left 0, as `lo` leaves them unfinished.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::call::{CallName, Errno};
use super::header::Flags;
use super::record::{
    Address, Arguments, Call, CallId, Direction, Fd, Header, Life, Link, Made, Mode, Outcome,
    Packet, Pid, Process, Record, SocketId, Tid, Wire,
};
use super::{Both, Lane};
use crate::moment::Moment;

/// A record in the making, with a clock that the writer moves.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// What was written so far.
    pub record: Record,
    now: Moment,
}

impl Script {
    /// Begins a record of this mode; packets are kept to `snaplen` bytes.
    pub fn new(mode: Mode, snaplen: u32) -> Script {
        let header = Header {
            stentor: "0.1.0".to_owned(),
            kernel: "6.18.0".to_owned(),
            machine: "x86_64".to_owned(),
            mode,
            wire: Wire::Ethernet,
            snaplen,
            began_unix_ns: 1_700_000_000_000_000_000,
            ..Header::default()
        };
        Script { record: Record::new(header), now: Moment::START }
    }

    /// What the clock shows.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Lets time pass, in microseconds.
    pub fn wait(&mut self, us: u64) -> &mut Script {
        self.now = self.now + Duration::from_micros(us);
        self
    }

    /// A process is started with a command, its words separated by spaces.
    pub fn start(&mut self, pid: u32, command: &str) -> &mut Script {
        let command = command.split(' ').map(str::to_owned).collect();
        self.life(pid, Life::Started { command })
    }

    /// Something in the life of a process.
    pub fn life(&mut self, pid: u32, life: Life) -> &mut Script {
        let (pid, tid) = (Pid(pid), Tid(pid));
        self.record.processes.push(Process { at: self.now, pid, tid, life });
        self
    }

    /// A call goes in, and is left unfinished until [`Script::end`].
    pub fn begin(&mut self, pid: u32, name: CallName, fd: i32) -> usize {
        let id = self.record.calls.len();
        self.record.calls.push(Call {
            id: CallId(u64::try_from(id).unwrap_or(u64::MAX)),
            pid: Pid(pid),
            tid: Tid(pid),
            entered: self.now,
            left: None,
            name,
            fd: (fd >= 0).then_some(Fd(fd)),
            socket: None,
            arguments: Arguments::default(),
            outcome: Outcome::Unfinished,
            payload: Box::default(),
            messages: Box::default(),
        });
        self.wait(1);
        id
    }

    /// A call comes back with a value, or with the negative number of an error.
    pub fn end(&mut self, call: usize, value: i64) -> &mut Script {
        self.wait(1);
        let now = self.now;
        if let Some(call) = self.record.calls.get_mut(call) {
            call.left = Some(now);
            call.outcome = match i32::try_from(value) {
                Ok(errno) if errno < 0 => Outcome::Failed(Errno(-errno)),
                _ => Outcome::Value(value),
            };
        }
        self.wait(1)
    }

    /// A call goes in and comes back at once.
    pub fn call(&mut self, pid: u32, name: CallName, fd: i32, value: i64) -> usize {
        let call = self.begin(pid, name, fd);
        self.end(call, value);
        call
    }

    /// Sets what a call was given.
    pub fn given(&mut self, call: usize, change: impl FnOnce(&mut Arguments)) -> &mut Script {
        if let Some(call) = self.record.calls.get_mut(call) {
            change(&mut call.arguments);
        }
        self
    }

    /// Sets the address that a call was given or filled in.
    pub fn address(&mut self, call: usize, address: SocketAddr) -> &mut Script {
        self.given(call, |given| given.address = Some(Address::Inet(address)))
    }

    /// Sets the socket a call was about (or made), and the bytes it moved.
    pub fn payload(&mut self, call: usize, bytes: &[u8]) -> &mut Script {
        if let Some(call) = self.record.calls.get_mut(call) {
            call.payload = bytes.get(..64).unwrap_or(bytes).into();
        }
        self
    }

    /// socket(): the descriptor is `fd`.
    pub fn socket(&mut self, pid: u32, kind: i32, fd: i32, id: u64) -> usize {
        let call = self.call(pid, CallName::Socket, -1, i64::from(fd));
        self.given(call, |given| given.made = Some(Made { domain: 2, kind, protocol: 0 }));
        self.about(call, id);
        call
    }

    /// Says which socket a call was about, or made.
    pub fn about(&mut self, call: usize, socket: u64) -> &mut Script {
        if let Some(call) = self.record.calls.get_mut(call) {
            call.socket = Some(SocketId(socket));
        }
        self
    }

    /// A call that sends all of `bytes`.
    pub fn send(&mut self, pid: u32, fd: i32, bytes: &[u8]) -> usize {
        let call = self.begin(pid, CallName::Sendto, fd);
        self.sent(call, bytes);
        call
    }

    /// A send that was begun comes back, having taken all of `bytes`.
    pub fn sent(&mut self, call: usize, bytes: &[u8]) -> &mut Script {
        self.moved(call, bytes, bytes.len())
    }

    /// A receive that was begun comes back with `bytes`, having had `room`.
    pub fn moved(&mut self, call: usize, bytes: &[u8], room: usize) -> &mut Script {
        self.end(call, i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        self.given(call, |given| given.length = u64::try_from(room).ok());
        self.payload(call, bytes)
    }

    /// A receive with `room` that gets `bytes` at once.
    pub fn receive(&mut self, pid: u32, fd: i32, bytes: &[u8], room: usize) -> usize {
        let call = self.begin(pid, CallName::Recvfrom, fd);
        self.moved(call, bytes, room);
        call
    }

    /// An Ethernet frame is captured, cut to the snaplen.
    pub fn frame(&mut self, bytes: &[u8]) -> usize {
        let snaplen = usize::try_from(self.record.header.snaplen).unwrap_or(usize::MAX);
        self.record.packets.push(Packet {
            at: self.now,
            direction: Direction::Unknown,
            link: Link::Ethernet,
            bytes: bytes.get(..snaplen).unwrap_or(bytes).into(),
            length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            crossing: None,
        });
        self.wait(1);
        self.record.packets.len() - 1
    }

    /// A UDP datagram is captured.
    pub fn datagram(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> usize {
        self.frame(&udp(from, to, bytes))
    }

    /// "Port unreachable" is captured: the answer to a datagram of these addresses.
    pub fn unreachable(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> usize {
        let quoted = udp(from, to, bytes);
        // RFC 792: type 3, code 3, four bytes unused, then the IP packet.
        let mut message = vec![3, 3, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(quoted.get(14..).unwrap_or_default());
        self.frame(&ip(to.ip(), from.ip(), 1, &message))
    }
}

/// A TCP connection that writes its own packets: sequence numbers are kept for both ends.
#[derive(Clone, Debug)]
pub struct Talker {
    /// The two ends.
    pub ends: Both<SocketAddr>,
    /// The initial sequence numbers.
    pub isn: Both<u32>,
    /// Bytes sent so far by each end, SYN and FIN counted.
    sent: Both<u64>,
    /// The window each end offers, as in the header; the scale in the SYN is 7.
    pub window: Both<u16>,
}

impl Talker {
    /// A connection between two addresses, with these initial sequence numbers.
    pub fn new(client: SocketAddr, server: SocketAddr, isn: Both<u32>) -> Talker {
        let window = Both { client: 512, server: 512 };
        Talker { ends: Both { client, server }, isn, sent: Both::default(), window }
    }

    /// SYN.
    pub fn syn(&mut self, script: &mut Script) -> usize {
        let packet = self.segment(script, Lane::Client, 0, Flags::SYN, &[]);
        self.sent.client = 1;
        packet
    }

    /// SYN-ACK.
    pub fn syn_ack(&mut self, script: &mut Script) -> usize {
        let packet = self.segment(script, Lane::Server, 0, Flags::SYN.with(Flags::ACK), &[]);
        self.sent.server = 1;
        packet
    }

    /// SYN, SYN-ACK, ACK.
    pub fn handshake(&mut self, script: &mut Script) -> [usize; 3] {
        [self.syn(script), self.syn_ack(script), self.ack(script, Lane::Client)]
    }

    /// A plain ACK of everything.
    pub fn ack(&mut self, script: &mut Script, from: Lane) -> usize {
        self.segment(script, from, *self.sent.of(from), Flags::ACK, &[])
    }

    /// New bytes.
    pub fn data(&mut self, script: &mut Script, from: Lane, bytes: &[u8]) -> usize {
        let at = *self.sent.of(from);
        let packet = self.segment(script, from, at, Flags::PSH.with(Flags::ACK), bytes);
        *self.sent.of_mut(from) += u64::try_from(bytes.len()).unwrap_or(0);
        packet
    }

    /// New bytes that the capture misses.
    pub fn missed(&mut self, from: Lane, bytes: usize) {
        *self.sent.of_mut(from) += u64::try_from(bytes).unwrap_or(0);
    }

    /// FIN.
    pub fn fin(&mut self, script: &mut Script, from: Lane) -> usize {
        let at = *self.sent.of(from);
        let packet = self.segment(script, from, at, Flags::FIN.with(Flags::ACK), &[]);
        *self.sent.of_mut(from) += 1;
        packet
    }

    /// RST.
    pub fn reset(&mut self, script: &mut Script, from: Lane) -> usize {
        self.segment(script, from, *self.sent.of(from), Flags::RST.with(Flags::ACK), &[])
    }

    /// Any segment, at a place counted from the initial sequence number (the SYN is 0).
    pub fn segment(
        &self,
        script: &mut Script,
        from: Lane,
        place: u64,
        flags: Flags,
        bytes: &[u8],
    ) -> usize {
        let to = from.opposite();
        let ack = if flags.has(Flags::ACK) {
            self.isn.of(to).wrapping_add(wrapped(*self.sent.of(to)))
        } else {
            0
        };
        let sequence = self.isn.of(from).wrapping_add(wrapped(place));
        let (source, destination) = (self.ends.of(from), self.ends.of(to));
        let syn = flags.has(Flags::SYN);
        // RFC 9293, section 3.1; MSS 1460 and window scale 7 in the SYN.
        let options: &[u8] = if syn { &[2, 4, 0x05, 0xb4, 1, 3, 3, 7] } else { &[] };
        let mut segment = Vec::with_capacity(28 + bytes.len());
        segment.extend_from_slice(&source.port().to_be_bytes());
        segment.extend_from_slice(&destination.port().to_be_bytes());
        segment.extend_from_slice(&sequence.to_be_bytes());
        segment.extend_from_slice(&ack.to_be_bytes());
        segment.push(if syn { 7 << 4 } else { 5 << 4 });
        segment.push(flags.0);
        segment.extend_from_slice(&self.window.of(from).to_be_bytes());
        segment.extend_from_slice(&[0; 4]);
        segment.extend_from_slice(options);
        segment.extend_from_slice(bytes);
        script.frame(&ip(source.ip(), destination.ip(), 6, &segment))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "sequence numbers are modulo 2^32")]
fn wrapped(place: u64) -> u32 {
    place as u32
}

/// An Ethernet frame as `lo` makes it, addresses zero, with an IP packet: RFC 791, RFC 8200.
fn ip(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = |header: usize| u16::try_from(header + payload.len()).unwrap_or(u16::MAX);
    let mut frame = vec![0; 12];
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            frame.extend_from_slice(&[0x08, 0x00, 0x45, 0]);
            frame.extend_from_slice(&length(20).to_be_bytes());
            // Identification 1, don't fragment, TTL 64.
            frame.extend_from_slice(&[0, 1, 0x40, 0, 64, protocol, 0, 0]);
            frame.extend_from_slice(&from.octets());
            frame.extend_from_slice(&to.octets());
        }
        (from, to) => {
            let six = |address: IpAddr| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend_from_slice(&length(0).to_be_bytes());
            frame.extend_from_slice(&[protocol, 64]);
            frame.extend_from_slice(&six(from).octets());
            frame.extend_from_slice(&six(to).octets());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// RFC 768.
fn udp(from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + bytes.len()).unwrap_or(u16::MAX);
    let mut datagram = Vec::with_capacity(8 + bytes.len());
    datagram.extend_from_slice(&from.port().to_be_bytes());
    datagram.extend_from_slice(&to.port().to_be_bytes());
    datagram.extend_from_slice(&length.to_be_bytes());
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend_from_slice(bytes);
    ip(from.ip(), to.ip(), 17, &datagram)
}
