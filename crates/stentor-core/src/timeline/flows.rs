//! Packets sorted into connections and talks, by their addresses.
//!
//! Which sockets they belong to is left to [`super::matcher`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;

use super::cause::PacketNo;
use super::dissect::dissect;
use super::header::{Flags, Headers, Tcp, Transport};
use super::record::Record;
use super::sockets::plain;
use super::stream::{Placed, Stream};
use super::{Both, Lane};
use crate::moment::Moment;

/// A TCP connection, as the wire saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The end that sent the SYN, or the first packet seen; and the other.
    pub ends: Both<SocketAddr>,
    /// What the client sent, and what the server did.
    pub streams: Both<Stream>,
    /// Its packets in the order of the capture.
    pub segments: Vec<Segment>,
}

/// A packet of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Which.
    pub packet: PacketNo,
    /// Which end it left.
    pub from: Lane,
    /// Its place in the stream; none if its numbers make no sense there.
    pub placed: Option<Placed>,
}

/// The datagrams between two addresses, and what ICMP said of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Talk {
    /// The end that spoke first, and the other.
    pub ends: Both<SocketAddr>,
    /// Its packets in the order of the capture, and which end each left.
    pub packets: Vec<(PacketNo, Lane)>,
}

/// All packets of a record, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flows {
    /// In the order of their first packets.
    pub connections: Vec<Connection>,
    /// In the order of their first packets.
    pub talks: Vec<Talk>,
    /// Packets of neither: ARP, IPv6 router solicitations, garbage.
    pub others: Vec<PacketNo>,
    /// Where the captured payload lies in each packet's bytes. The headers are not kept: reading
    /// them again is cheaper than a million of them in memory.
    payloads: Vec<Range<u32>>,
}

/// Two addresses, the smaller first: a name for both directions.
type Pair = (SocketAddr, SocketAddr);

fn pair(one: SocketAddr, two: SocketAddr) -> Pair {
    if one <= two { (one, two) } else { (two, one) }
}

impl Flows {
    /// Reads and sorts the packets of a record.
    pub fn sort(record: &Record) -> Flows {
        let mut sorter = Sorter::default();
        for (number, packet) in record.packets.iter().enumerate() {
            let headers = dissect(packet.link, &packet.bytes);
            let payload = headers.as_ref().map_or(0..0, |headers| headers.payload.clone());
            sorter.flows.payloads.push(payload);
            let number = PacketNo(u32::try_from(number).unwrap_or(u32::MAX));
            match &headers {
                Some(headers) => sorter.take(number, packet.at, headers),
                None => sorter.flows.others.push(number),
            }
        }
        sorter.flows
    }

    /// The captured part of a packet's payload.
    pub fn payload<'r>(&self, record: &'r Record, packet: PacketNo) -> Option<&'r [u8]> {
        let range = self.payloads.get(packet.index())?;
        let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
        record.packets.get(packet.index())?.bytes.get(start.ok()?..end.ok()?)
    }
}

#[derive(Default)]
struct Sorter {
    flows: Flows,
    connections: BTreeMap<Pair, usize>,
    talks: BTreeMap<Pair, usize>,
    /// The last datagram begun by a first fragment, by addresses and identification.
    fragments: BTreeMap<(std::net::IpAddr, std::net::IpAddr, u16), (usize, Lane)>,
}

impl Sorter {
    fn take(&mut self, number: PacketNo, at: Moment, headers: &Headers) {
        let (from, to) = (plain(headers.source()), plain(headers.destination()));
        match &headers.transport {
            Transport::Tcp(tcp) => self.segment(number, at, tcp, headers.payload_length, from, to),
            Transport::Udp(_) => {
                let (talk, lane) = self.talk(number, from, to);
                if headers.ip.fragment
                    && let Some(id) = headers.ip.identification
                {
                    self.fragments.insert((from.ip(), to.ip(), id), (talk, lane));
                }
            }
            Transport::Icmp(icmp) => match icmp.about.as_deref() {
                // About a datagram: it goes with the talk it is about, back to who sent it.
                Some(quoted) if quoted.protocol == 17 => {
                    self.talk(number, plain(quoted.destination), plain(quoted.source));
                }
                _ => self.flows.others.push(number),
            },
            Transport::Other => {
                let id = headers.ip.identification.filter(|_| headers.ip.fragment);
                let key = id.map(|id| (from.ip(), to.ip(), id));
                let first = key.and_then(|key| self.fragments.get(&key)).copied();
                let talk = first.and_then(|(talk, _)| self.flows.talks.get_mut(talk));
                match (talk, first) {
                    (Some(talk), Some((_, lane))) => talk.packets.push((number, lane)),
                    _ => self.flows.others.push(number),
                }
            }
        }
    }

    fn segment(
        &mut self,
        number: PacketNo,
        at: Moment,
        tcp: &Tcp,
        length: u32,
        from: SocketAddr,
        to: SocketAddr,
    ) {
        let key = pair(from, to);
        let known = self.connections.get(&key).copied().filter(|place| {
            self.flows.connections.get(*place).is_some_and(|it| !begins_anew(it, tcp, from))
        });
        let place = known.unwrap_or_else(|| {
            let answer = tcp.flags.has(Flags::SYN) && tcp.flags.has(Flags::ACK);
            let (client, server) = if answer { (to, from) } else { (from, to) };
            let (ends, streams) = (Both { client, server }, Both::default());
            self.flows.connections.push(Connection { ends, streams, segments: Vec::new() });
            self.connections.insert(key, self.flows.connections.len() - 1);
            self.flows.connections.len() - 1
        });
        let Some(connection) = self.flows.connections.get_mut(place) else { return };
        let lane = if connection.ends.client == from { Lane::Client } else { Lane::Server };
        let Both { client, server } = &mut connection.streams;
        let placed = match lane {
            Lane::Client => client.feed(at, tcp, length, server),
            Lane::Server => server.feed(at, tcp, length, client),
        };
        connection.segments.push(Segment { packet: number, from: lane, placed });
    }

    fn talk(&mut self, number: PacketNo, from: SocketAddr, to: SocketAddr) -> (usize, Lane) {
        let place = *self.talks.entry(pair(from, to)).or_insert_with(|| {
            self.flows
                .talks
                .push(Talk { ends: Both { client: from, server: to }, packets: Vec::new() });
            self.flows.talks.len() - 1
        });
        let Some(talk) = self.flows.talks.get_mut(place) else { return (place, Lane::Client) };
        let lane = if talk.ends.client == from { Lane::Client } else { Lane::Server };
        talk.packets.push((number, lane));
        (place, lane)
    }
}

/// Whether a segment begins another connection between the same addresses: a SYN that is not the one
/// that began this.
fn begins_anew(connection: &Connection, tcp: &Tcp, from: SocketAddr) -> bool {
    if !tcp.flags.has(Flags::SYN) || tcp.flags.has(Flags::ACK) {
        return false;
    }
    let lane = if connection.ends.client == from { Lane::Client } else { Lane::Server };
    let stream = connection.streams.of(lane);
    // A SYN from the other end without one from here before is a simultaneous open, of the same.
    stream.began() && stream.isn() != Some(tcp.sequence)
}
