//! Edges of UDP datagrams: by addresses, length, first bytes and order; and of ICMP about them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::account::direction;
use super::segment::{arrival, moment};
use super::ties::Tie;
use super::{Doubt, Explained, cause, effect, grade, private};
use crate::moment::Moment;
use crate::timeline::call::{CallName, Errno, Purpose};
use crate::timeline::cause::{CallNo, Edge, Grade, PacketNo, Rule};
use crate::timeline::flows::{Flows, Talk};
use crate::timeline::header::{Headers, Icmp, Transport};
use crate::timeline::ladder::Protocol;
use crate::timeline::record::{Address, Call, Outcome, Place, Record};
use crate::timeline::sockets::{Sockets, covers, plain};
use crate::timeline::{Both, Lane};

/// How many datagrams that fit no packet yet are looked past: those of other threads.
const LOOK_AHEAD: usize = 64;

/// MSG_TRUNC of recv(2), MSG_PEEK.
const MSG_TRUNC: u32 = 0x20;
const MSG_PEEK: u32 = 0x2;

/// Explains every packet of every talk.
pub(super) fn explain(
    record: &Record,
    explained: &mut Explained,
    doubt: &Doubt,
    edges: &mut Vec<Edge>,
) {
    let learnt = learn_ports(record, explained);
    let calls = Calls::read(record, &explained.sockets);
    let mut matcher = Matcher {
        record,
        flows: &explained.flows,
        sockets: &explained.sockets,
        learnt,
        drops: drops(record),
        doubt,
        sent: calls.sent.into_iter().map(|(key, it)| (key, Queue::new(it, true))).collect(),
        got: calls.got.into_iter().map(|(key, it)| (key, Queue::new(it, false))).collect(),
        got_from_anyone: calls
            .anyone
            .into_iter()
            .map(|(key, it)| (key, Queue::new(it, false)))
            .collect(),
        failed: calls.failed,
        by_port: by_port(&explained.sockets),
        dropped: Vec::new(),
    };
    let mut ties = Vec::with_capacity(explained.flows.talks.len());
    for talk in &explained.flows.talks {
        ties.push(matcher.talk(talk, edges));
    }
    let drops = matcher.drops;
    let mut dropped = matcher.dropped;
    dropped.sort();
    explained.dropped = dropped;
    explained.drops = drops;
    explained.talk_ties = ties;
}

/// Datagrams dropped at receive queues: the last count told of each socket.
fn drops(record: &Record) -> u64 {
    let mut last = BTreeMap::new();
    for snapshot in &record.snapshots {
        if let (Some(socket), Some(dropped)) = (snapshot.socket, snapshot.dropped) {
            last.insert(socket, u64::from(dropped));
        }
    }
    let told = record.losses.iter().filter(|loss| matches!(loss.place, Place::ReceiveQueue(_)));
    last.values().sum::<u64>().max(told.map(|loss| loss.count).sum())
}

fn by_port(sockets: &Sockets) -> BTreeMap<u16, Vec<u32>> {
    let mut by_port = BTreeMap::<u16, Vec<u32>>::new();
    for (place, socket) in sockets.all.iter().enumerate() {
        if let (Protocol::Udp | Protocol::Other, Some(local), Ok(place)) =
            (socket.protocol, socket.local, u32::try_from(place))
        {
            by_port.entry(local.port()).or_default().push(place);
        }
    }
    by_port
}

/// Gives sockets that were never asked for their address the one their first datagram left from:
/// the datagram left while their send was in the kernel. Says of which sockets that is proved.
fn learn_ports(record: &Record, explained: &mut Explained) -> BTreeMap<u32, bool> {
    let mut nameless = BTreeMap::<SocketAddr, Vec<(Moment, Option<Moment>, u32)>>::new();
    for (call, place) in record.calls.iter().zip(&explained.sockets.of_call) {
        let Some((place, socket)) =
            place.and_then(|place| Some((place, explained.sockets.at(place)?)))
        else {
            continue;
        };
        let sends = direction(call.name, call) == Some(Purpose::Send);
        if socket.protocol == Protocol::Udp && socket.local.is_none() && sends {
            for to in destinations(call).chain(socket.peer) {
                nameless.entry(to).or_default().push((call.entered, call.left, place));
            }
        }
    }
    let mut learnt = BTreeMap::new();
    if nameless.is_empty() {
        return learnt;
    }
    let known = by_port(&explained.sockets);
    for talk in &explained.flows.talks {
        for (own, other, lane) in both_ways(talk) {
            if known.contains_key(&own.port()) {
                continue;
            }
            let first = talk.packets.iter().find(|(_, from)| *from == lane);
            let (Some((packet, _)), Some(sends)) = (first, nameless.get(&other)) else { continue };
            let at = moment(record, *packet);
            let end = sends.partition_point(|(entered, ..)| *entered <= at);
            let recent = sends.get(end.saturating_sub(LOOK_AHEAD)..end).unwrap_or_default();
            let mut inside = recent.iter().rev().filter(|it| it.1.is_none_or(|left| left >= at));
            let Some((.., place)) = inside.next() else { continue };
            let only = inside.all(|(.., other)| other == place);
            if let Some(socket) = explained.sockets.all.get_mut(*place as usize)
                && socket.local.is_none()
            {
                socket.local = Some(own);
                learnt.insert(*place, only && private(record));
            }
        }
    }
    learnt
}

fn both_ways(talk: &Talk) -> [(SocketAddr, SocketAddr, Lane); 2] {
    let Both { client, server } = talk.ends;
    [(client, server, Lane::Client), (server, client, Lane::Server)]
}

/// The Internet addresses that a send was given.
fn destinations(call: &Call) -> impl Iterator<Item = SocketAddr> {
    let one = call.arguments.address.iter();
    let each = call.messages.iter().filter_map(|message| message.address.as_ref());
    one.chain(each).filter_map(inet)
}

fn inet(address: &Address) -> Option<SocketAddr> {
    match address {
        Address::Inet(address) => Some(plain(*address)),
        Address::Unix(_) | Address::Other(_) => None,
    }
}

/// A datagram as a call gave or got it.
struct Datagram<'r> {
    call: CallNo,
    socket: u32,
    /// When it can have left or must have arrived: the call's entry (send) or return (receive).
    at: Moment,
    length: u64,
    /// The receive had less room than the datagram: `length` is only its beginning.
    cut: bool,
    payload: &'r [u8],
    used: bool,
    /// How often a later one was taken before it.
    passed: usize,
}

/// Datagrams of one direction in their order; those used are passed over once.
struct Queue<'r> {
    datagrams: Vec<Datagram<'r>>,
    next: usize,
    sends: bool,
}

impl<'r> Queue<'r> {
    fn new(mut datagrams: Vec<Datagram<'r>>, sends: bool) -> Queue<'r> {
        datagrams.sort_by_key(|datagram| datagram.at);
        Queue { datagrams, next: 0, sends }
    }

    /// Takes the first that fits a packet of this length and beginning.
    fn take(
        &mut self,
        length: u64,
        payload: &[u8],
        in_time: impl Fn(Moment) -> bool,
    ) -> Option<(CallNo, u32)> {
        // A receive that returned before this packet came returned before all later ones, too.
        let spent = |it: &Datagram<'_>| it.used || !self.sends && !in_time(it.at);
        while self.datagrams.get(self.next).is_some_and(spent) {
            self.next += 1;
        }
        let fits = |datagram: &Datagram<'_>| {
            let long = datagram.length == length || datagram.cut && datagram.length < length;
            !datagram.used
                && long
                && in_time(datagram.at)
                && datagram.payload.iter().zip(payload).all(|(one, other)| one == other)
        };
        let ahead = self.datagrams.get_mut(self.next..)?;
        let place = ahead.iter_mut().take(LOOK_AHEAD).position(|datagram| fits(datagram))?;
        // Order holds but for a few threads: one that was passed over and over was never captured.
        for datagram in ahead.iter_mut().take(place) {
            datagram.passed += 1;
            datagram.used |= datagram.passed >= LOOK_AHEAD;
        }
        let found = ahead.get_mut(place)?;
        found.used = true;
        Some((found.call, found.socket))
    }
}

/// What the calls on UDP sockets say, by own port and other address.
#[derive(Default)]
struct Calls<'r> {
    sent: BTreeMap<(u16, SocketAddr), Vec<Datagram<'r>>>,
    got: BTreeMap<(u16, SocketAddr), Vec<Datagram<'r>>>,
    /// Received without asking from whom.
    anyone: BTreeMap<u16, Vec<Datagram<'r>>>,
    /// Failed with ECONNREFUSED, by own port: when they came back, and which.
    failed: BTreeMap<u16, Vec<(Moment, CallNo)>>,
}

impl<'r> Calls<'r> {
    fn read(record: &'r Record, sockets: &Sockets) -> Calls<'r> {
        let mut calls = Calls::default();
        for (place, socket) in sockets.all.iter().enumerate() {
            let (Protocol::Udp | Protocol::Other, Some(local), Ok(place)) =
                (socket.protocol, socket.local, u32::try_from(place))
            else {
                continue;
            };
            let mut peer = None;
            for number in &socket.calls {
                let Some(call) = record.calls.get(number.index()) else { continue };
                if call.name == CallName::Connect {
                    peer = call.arguments.address.as_ref().and_then(inet);
                }
                // Connected before the record began: the snapshot knew.
                let peer = peer.or(socket.peer);
                calls.take(*number, call, place, local.port(), peer);
            }
        }
        for failed in calls.failed.values_mut() {
            failed.sort();
        }
        calls
    }

    fn take(
        &mut self,
        number: CallNo,
        call: &'r Call,
        socket: u32,
        port: u16,
        peer: Option<SocketAddr>,
    ) {
        let left = call.left.unwrap_or(Moment::from_nanos(u64::MAX));
        if call.outcome == Outcome::Failed(Errno::ECONNREFUSED) {
            self.failed.entry(port).or_default().push((left, number));
        }
        let Some(purpose) = direction(call.name, call) else { return };
        let sends = purpose == Purpose::Send;
        let at = if sends { call.entered } else { left };
        let whole = |length, payload, cut| Datagram {
            call: number,
            socket,
            at,
            length,
            cut,
            payload,
            used: false,
            passed: 0,
        };
        let address = |address: &Option<Address>| address.as_ref().and_then(inet).or(peer);
        let mut add = |address: Option<SocketAddr>, datagram| match (sends, address) {
            (true, Some(to)) => self.sent.entry((port, to)).or_default().push(datagram),
            (false, Some(from)) => self.got.entry((port, from)).or_default().push(datagram),
            (false, None) => self.anyone.entry(port).or_default().push(datagram),
            (true, None) => {}
        };
        if !call.messages.is_empty() {
            for message in &call.messages {
                add(address(&message.address), whole(message.length, &message.payload, false));
            }
            return;
        }
        let peeks = !sends && call.arguments.flags & MSG_PEEK != 0;
        let length = match call.outcome {
            Outcome::Value(value) => u64::try_from(value).ok(),
            Outcome::Unfinished if sends => call.arguments.length,
            Outcome::Failed(_) | Outcome::Unfinished => None,
        };
        if let Some(length) = length.filter(|_| !peeks) {
            let room = call.arguments.length;
            // With MSG_TRUNC recv returns the whole length, whatever room there was.
            let full = room == Some(length) && call.arguments.flags & MSG_TRUNC == 0;
            let cut = !sends && (full || call.arguments.flags_back & MSG_TRUNC != 0);
            add(address(&call.arguments.address), whole(length, &call.payload, cut));
        }
    }
}

struct Matcher<'a> {
    record: &'a Record,
    flows: &'a Flows,
    sockets: &'a Sockets,
    /// Sockets whose address was learnt from a packet, and whether that is proved.
    learnt: BTreeMap<u32, bool>,
    /// How many datagrams the kernel says it dropped at receive queues.
    drops: u64,
    doubt: &'a Doubt,
    sent: BTreeMap<(u16, SocketAddr), Queue<'a>>,
    got: BTreeMap<(u16, SocketAddr), Queue<'a>>,
    got_from_anyone: BTreeMap<u16, Queue<'a>>,
    failed: BTreeMap<u16, Vec<(Moment, CallNo)>>,
    by_port: BTreeMap<u16, Vec<u32>>,
    dropped: Vec<PacketNo>,
}

impl Matcher<'_> {
    fn talk(&mut self, talk: &Talk, edges: &mut Vec<Edge>) -> Both<Option<Tie>> {
        let Both { client, server } = talk.ends;
        let ends = Both { client: self.tie(client, server), server: self.tie(server, client) };
        // The last datagram of each direction, for its later fragments and for ICMP.
        let mut last: Both<Option<CallNo>> = Both::default();
        for (packet, from) in &talk.packets {
            let back = from.opposite();
            let (own, other) = (*talk.ends.of(*from), *talk.ends.of(back));
            match super::headers(self.record, *packet) {
                Some(Headers { transport: Transport::Udp(udp), .. }) => {
                    let length = u64::from(udp.length).saturating_sub(8);
                    *last.of_mut(*from) =
                        self.sent(*packet, own, other, length, *ends.of(*from), edges);
                }
                Some(Headers { transport: Transport::Icmp(icmp), .. }) => {
                    self.icmp(*packet, port_unreachable(&icmp), other, own, *last.of(back), edges);
                }
                Some(Headers { transport: Transport::Tcp(_) | Transport::Other, .. }) | None => {
                    let known = last.of(*from).is_some();
                    let edge = if known {
                        cause(*packet, *last.of(*from), Rule::Fragment, Grade::Exact)
                    } else {
                        cause(*packet, None, Rule::NoRule, Grade::Unknown)
                    };
                    edges.push(edge);
                }
            }
        }
        let unread = self.arrived(talk, ends, edges);
        for packets in [unread.client, unread.server] {
            // Those at the end may lie there unread: only the kernel's own count makes them lost.
            let told = usize::try_from(self.drops).unwrap_or(usize::MAX);
            let lost = told.saturating_sub(self.dropped.len()).min(packets.len());
            self.dropped.extend(packets.into_iter().rev().take(lost));
        }
        ends
    }

    /// Finds who received each datagram, in the order in which they arrived; gives those that nobody
    /// did.
    fn arrived(
        &mut self,
        talk: &Talk,
        ends: Both<Option<Tie>>,
        edges: &mut Vec<Edge>,
    ) -> Both<Vec<PacketNo>> {
        let mut unread: Both<Vec<PacketNo>> = Both::default();
        for (at, packet, from) in arrivals(self.record, talk) {
            let back = from.opposite();
            let headers = super::headers(self.record, packet);
            let Some(Headers { transport: Transport::Udp(udp), .. }) = headers else { continue };
            let struck = self.record.packets.get(packet.index()).is_some_and(|it| it.struck());
            // The kernel drops it: its checksum is wrong (RFC 1122, section 4.1.3.4).
            if struck && udp.checksum != 0 {
                continue;
            }
            let length = u64::from(udp.length).saturating_sub(8);
            let ends_of = (*talk.ends.of(from), *talk.ends.of(back));
            let carried = match struck {
                true => &[],
                false => self.flows.payload(self.record, packet).unwrap_or_default(),
            };
            let datagram = Arrived { packet, at, length, carried };
            if self.received(&datagram, ends_of, *ends.of(back), edges) {
                // The queue is first in, first out: what was before and not read is gone.
                self.dropped.append(unread.of_mut(from));
            } else if ends.of(back).is_some() {
                unread.of_mut(from).push(packet);
            }
        }
        unread
    }

    /// The socket at one end: a connected one before one that is open to all.
    fn tie(&self, own: SocketAddr, other: SocketAddr) -> Option<Tie> {
        let here = self.by_port.get(&own.port())?;
        let fits = |place: &&u32| {
            self.sockets.at(**place).is_some_and(|socket| {
                socket.local.is_some_and(|local| covers(local, own))
                    && socket.peer.is_none_or(|peer| peer == other)
            })
        };
        let connected = |place: &&u32| self.sockets.at(**place).is_some_and(|it| it.peer.is_some());
        let mut fitting: Vec<&u32> = here.iter().filter(fits).take(LOOK_AHEAD).collect();
        if fitting.iter().any(&connected) {
            fitting.retain(connected);
        }
        let first = **fitting.first()?;
        let learnt = self.learnt.get(&first).copied().unwrap_or(true);
        Some(Tie { socket: first, proved: learnt && fitting.len() == 1 })
    }

    fn sure(&self, socket: u32, tie: Option<Tie>) -> bool {
        let learnt = self.learnt.get(&socket).copied().unwrap_or(true);
        let known = tie.is_some_and(|tie| tie.proved || tie.socket != socket);
        learnt && known && !self.doubt.packets && !self.doubt.calls
    }

    fn sent(
        &mut self,
        packet: PacketNo,
        own: SocketAddr,
        other: SocketAddr,
        length: u64,
        tie: Option<Tie>,
        edges: &mut Vec<Edge>,
    ) -> Option<CallNo> {
        let at = moment(self.record, packet);
        let carried = self.flows.payload(self.record, packet).unwrap_or_default();
        let queue = self.sent.get_mut(&(own.port(), other));
        let found = queue.and_then(|queue| queue.take(length, carried, |entered| entered <= at));
        let Some((call, socket)) = found else {
            edges.push(cause(packet, None, Rule::NoRule, Grade::Unknown));
            return None;
        };
        let edge = cause(packet, Some(call), Rule::Datagram, grade(self.sure(socket, tie)));
        edges.push(Edge { bytes: 0..length, ..edge });
        Some(call)
    }

    /// Whether a receive was found of a datagram from `own` to `other`.
    fn received(
        &mut self,
        datagram: &Arrived<'_>,
        (own, other): (SocketAddr, SocketAddr),
        tie: Option<Tie>,
        edges: &mut Vec<Edge>,
    ) -> bool {
        let Arrived { packet, at, length, carried } = *datagram;
        let later = |left: Moment| left >= at;
        let named = self.got.get_mut(&(other.port(), own));
        let named = named.and_then(|queue| queue.take(length, carried, later));
        let found = named.or_else(|| {
            let queue = self.got_from_anyone.get_mut(&other.port())?;
            queue.take(length, carried, later)
        });
        let Some((call, socket)) = found else { return false };
        let sure = self.sure(socket, tie) && named.is_some() && self.drops == 0;
        let edge = effect(packet, call, Rule::Datagram, grade(sure));
        edges.push(Edge { bytes: 0..length, ..edge });
        true
    }

    /// A message about a datagram that `own` sent to `other`.
    fn icmp(
        &mut self,
        packet: PacketNo,
        unreachable: bool,
        own: SocketAddr,
        other: SocketAddr,
        sent: Option<CallNo>,
        edges: &mut Vec<Edge>,
    ) {
        let rule = if unreachable { Rule::PortUnreachable } else { Rule::Icmp };
        edges.push(cause(packet, sent, rule, Grade::Kernel));
        if self.record.packets.get(packet.index()).is_some_and(|it| it.lost() || it.struck()) {
            return;
        }
        let at = arrival(self.record, packet);
        let Some(failed) = self.failed.get(&own.port()) else { return };
        let next = failed.partition_point(|(left, _)| *left < at);
        let tie = self.tie(own, other);
        if let (true, Some((_, call)), Some(tie)) = (unreachable, failed.get(next), tie) {
            edges.push(effect(packet, *call, Rule::PendingError, grade(tie.proved)));
        }
    }
}

/// A datagram at the other end.
#[derive(Clone, Copy)]
struct Arrived<'r> {
    packet: PacketNo,
    at: Moment,
    length: u64,
    carried: &'r [u8],
}

/// When each packet of a talk arrived, and its copies did, in the order of time; which end it left.
fn arrivals(record: &Record, talk: &Talk) -> Vec<(Moment, PacketNo, Lane)> {
    let mut arrivals = Vec::with_capacity(talk.packets.len());
    for (number, from) in &talk.packets {
        let Some(packet) = record.packets.get(number.index()) else { continue };
        match &packet.crossing {
            Some(crossing) => {
                arrivals.extend(crossing.arrivals.iter().map(|at| (*at, *number, *from)));
            }
            None => arrivals.push((packet.at, *number, *from)),
        }
    }
    arrivals.sort_by_key(|(at, ..)| *at);
    arrivals
}

/// Whether it is "port unreachable": RFC 792; RFC 4443, section 3.1.
fn port_unreachable(icmp: &Icmp) -> bool {
    matches!((icmp.kind, icmp.code), (3, 3) | (1, 4))
}
