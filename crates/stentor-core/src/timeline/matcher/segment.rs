//! Edges of TCP segments: bytes by their place in the stream, the rest by state and sequence.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::account::{Account, Ledger, Part};
use super::ties::{Tie, Ties};
use super::{Doubt, Explained, cause, effect, entered, grade, left};
use crate::moment::Moment;
use crate::timeline::call::{CallName, Errno};
use crate::timeline::cause::{CallNo, Edge, Grade, PacketNo, Relation, Rule};
use crate::timeline::flows::{Connection, Flows, Segment};
use crate::timeline::record::Record;
use crate::timeline::sockets::{Ending, Role, Socket, Sockets, covers};
use crate::timeline::stream::{Covered, Kind, Placed};
use crate::timeline::{Both, Lane};

/// Explains every segment of every connection; fills in the ties and the streams of calls.
pub(super) fn explain(
    record: &Record,
    explained: &mut Explained,
    doubt: &Doubt,
    edges: &mut Vec<Edge>,
) {
    let mut ties = Ties::new(record, &explained.sockets);
    let mut found = Vec::with_capacity(explained.flows.connections.len());
    let mut stream = std::mem::take(&mut explained.stream);
    let listeners = Listeners::new(&explained.sockets);
    let mut seen = BTreeSet::new();
    for connection in &explained.flows.connections {
        let at = connection.segments.first().map_or(Moment::START, |it| moment(record, it.packet));
        let tied = ties.find(connection, at);
        let mut end = |tie: Option<Tie>| {
            let socket = tie.and_then(|tie| explained.sockets.at(tie.socket));
            // A socket that connects again begins to count again.
            let since = match tie {
                Some(tie) if !seen.insert(tie.socket) => Some(at),
                _ => None,
            };
            let ledger = socket.map(|socket| Ledger::read(record, socket, since));
            End { tie, socket, ledger: ledger.unwrap_or_default() }
        };
        let ends = Both { client: end(tied.client), server: end(tied.server) };
        for end in [&ends.client, &ends.server] {
            for part in end.ledger.sent.parts.iter().chain(&end.ledger.received.parts) {
                if let Some(slot) = stream.get_mut(part.call.index()) {
                    *slot = Some(part.bytes.clone());
                }
            }
        }
        let delivered = Delivered::of(record, connection);
        let judge = Judge { record, flows: &explained.flows, connection, ends, doubt, delivered };
        judge.run(&listeners, edges);
        found.push(tied);
    }
    explained.stream = stream;
    explained.ties = found;
}

/// Listening sockets by port.
struct Listeners<'a>(BTreeMap<u16, Vec<&'a Socket>>);

impl<'a> Listeners<'a> {
    fn new(sockets: &'a Sockets) -> Listeners<'a> {
        let mut by_port = BTreeMap::<u16, Vec<&Socket>>::new();
        for socket in sockets.all.iter().filter(|socket| socket.role == Role::Listening) {
            if let Some(local) = socket.local {
                by_port.entry(local.port()).or_default().push(socket);
            }
        }
        Listeners(by_port)
    }

    /// A listening socket of this address that ended at or before `at`, if it did; the last such.
    fn ended(&self, address: std::net::SocketAddr) -> impl Iterator<Item = Ending> {
        let here = self.0.get(&address.port()).map(Vec::as_slice).unwrap_or_default();
        let here = here.iter().filter(move |it| it.local.is_some_and(|it| covers(it, address)));
        here.filter_map(|socket| socket.ending)
    }
}

/// One end of a connection.
struct End<'a> {
    tie: Option<Tie>,
    socket: Option<&'a Socket>,
    ledger: Ledger,
}

impl End<'_> {
    fn proved(&self) -> bool {
        self.tie.is_some_and(|tie| tie.proved)
    }
}

struct Judge<'a> {
    record: &'a Record,
    flows: &'a Flows,
    connection: &'a Connection,
    ends: Both<End<'a>>,
    doubt: &'a Doubt,
    delivered: Option<Delivered>,
}

/// What happened on the connection so far.
#[derive(Default)]
struct Progress {
    /// SYN-ACK seen.
    answered: bool,
    /// The handshake's last ACK seen.
    opened: bool,
    /// One past the highest byte seen of each direction.
    arrived: Both<u64>,
    /// FIN of each direction seen.
    ended: Both<bool>,
    /// A SYN-ACK reached the client.
    connected: bool,
    /// A FIN of each direction reached the other end.
    finished: Both<bool>,
}

impl<'a> Judge<'a> {
    fn run(&self, listeners: &Listeners<'_>, edges: &mut Vec<Edge>) {
        let mut progress = Progress::default();
        for segment in &self.connection.segments {
            let before = edges.len();
            if let Some(placed) = &segment.placed {
                self.segment(segment, placed, &mut progress, listeners, edges);
            }
            let explained = edges.get(before..).unwrap_or_default();
            if !explained.iter().any(|edge| edge.relation == Relation::Cause) {
                edges.push(cause(segment.packet, None, Rule::NoRule, Grade::Unknown));
            }
        }
    }

    fn end(&self, lane: Lane) -> &End<'a> {
        self.ends.of(lane)
    }

    fn segment(
        &self,
        segment: &Segment,
        placed: &Placed,
        progress: &mut Progress,
        listeners: &Listeners<'_>,
        edges: &mut Vec<Edge>,
    ) {
        let (packet, from) = (segment.packet, segment.from);
        match placed.kind {
            Kind::Syn => self.syn(packet, from, placed, progress, edges),
            Kind::Data => self.data(packet, from, &placed.bytes(), edges),
            Kind::Retransmission => self.again(packet, from, placed, progress, edges),
            Kind::Fin => {}
            Kind::Rst => self.reset(packet, from, progress, listeners, edges),
            Kind::Ack | Kind::WindowUpdate | Kind::DuplicateAck => {
                let handshake = from == Lane::Client && progress.answered && !progress.opened;
                let update = placed.kind == Kind::WindowUpdate;
                let rule = match (handshake, update) {
                    (true, _) => Rule::HandshakeAck,
                    (false, true) => Rule::WindowUpdate,
                    (false, false) => Rule::Ack,
                };
                edges.push(cause(packet, None, rule, Grade::Kernel));
            }
            Kind::KeepAlive => {
                edges.push(cause(packet, None, Rule::KeepAlive, Grade::Timer));
            }
            Kind::WindowProbe => {
                edges.push(cause(packet, None, Rule::WindowProbe, Grade::Kernel));
            }
        }
        if placed.fin && placed.kind != Kind::Retransmission {
            self.fin(packet, from, placed, edges);
        }
        // What a link lost happened at one end only.
        if !self.reached(packet) {
            *progress.ended.of_mut(from) |= placed.fin;
            return;
        }
        let finished = progress.finished.of_mut(from);
        if placed.fin && !std::mem::replace(finished, true) {
            self.end_of_stream(packet, from, placed.bytes().end, edges);
        }
        if from == Lane::Client && progress.answered && !progress.opened && placed.kind != Kind::Rst
        {
            progress.opened = placed.acknowledgment.is_some();
            let server = self.end(Lane::Server);
            if let (true, Some(accept)) = (progress.opened, server.ledger.accept) {
                edges.push(effect(packet, accept, Rule::Accepted, grade(server.proved())));
            }
        }
        let arrived = progress.arrived.of_mut(from);
        if placed.kind != Kind::Rst {
            *arrived = (*arrived).max(placed.bytes().end);
        }
        *progress.ended.of_mut(from) |= placed.fin;
    }

    fn syn(
        &self,
        packet: PacketNo,
        from: Lane,
        placed: &Placed,
        progress: &mut Progress,
        edges: &mut Vec<Edge>,
    ) {
        let at = moment(self.record, packet);
        let end = self.end(from);
        let opener = last_before(self.record, &end.ledger.connects, at);
        if from == Lane::Server {
            progress.answered = true;
            edges.push(cause(packet, None, Rule::SynAck, Grade::Kernel));
            self.connected(packet, progress, edges);
        } else if let Some(opener) = opener {
            // A link takes a SYN a moment after it was sent, when connect() may be back already.
            let inside = left(self.record, opener) >= at || self.delivered.is_some();
            let connects = self.call_name(opener).is_some_and(|name| name == CallName::Connect);
            let rule = if connects { Rule::SynInConnect } else { Rule::SynInSend };
            edges.push(cause(packet, Some(opener), rule, grade(inside && end.proved())));
        }
        if placed.length > 0 {
            self.data(packet, from, &placed.bytes(), edges);
        }
    }

    /// connect() came back because of this SYN-ACK, if it is the first that arrived.
    fn connected(&self, packet: PacketNo, progress: &mut Progress, edges: &mut Vec<Edge>) {
        let client = self.end(Lane::Client);
        let at = arrival(self.record, packet);
        if self.reached(packet)
            && !std::mem::replace(&mut progress.connected, true)
            && let Some(connect) = last_before(self.record, &client.ledger.connects, at)
            && left(self.record, connect) >= at
        {
            edges.push(effect(packet, connect, Rule::Connected, grade(client.proved())));
        }
    }

    /// Whether a packet arrived, and as it was sent; true where no link was in the way.
    fn reached(&self, packet: PacketNo) -> bool {
        let packet = self.record.packets.get(packet.index());
        packet.is_none_or(|packet| !packet.lost() && !packet.struck())
    }

    fn call_name(&self, call: CallNo) -> Option<CallName> {
        self.record.calls.get(call.index()).map(|call| call.name)
    }

    /// Bytes of the stream: to the sends they came from, and the receives they went to.
    fn data(&self, packet: PacketNo, from: Lane, bytes: &Range<u64>, edges: &mut Vec<Edge>) {
        let stream = self.connection.streams.of(from);
        let at = moment(self.record, packet);
        let sender = self.end(from);
        if stream.is_proved() && !sender.ledger.opaque {
            let sure = sender.proved() && !self.doubt.calls;
            self.share(packet, bytes, &sender.ledger.sent, Relation::Cause, edges, |part| {
                // What left before its call began was not that call's.
                sure && part.sure && entered(self.record, part.call) <= at
            });
        }
        self.received(packet, from, bytes, edges);
    }

    /// The receives that these bytes went to: all of them, or those that a link delivered by this
    /// packet first.
    fn received(&self, packet: PacketNo, from: Lane, bytes: &Range<u64>, edges: &mut Vec<Edge>) {
        let stream = self.connection.streams.of(from);
        let receiver = self.end(from.opposite());
        if !stream.is_proved() || receiver.ledger.opaque {
            return;
        }
        let (once, bytes) = match &self.delivered {
            Some(delivered) => match delivered.first.get(&packet) {
                Some(bytes) => (true, bytes),
                None => return,
            },
            None => (!stream.sent_again(bytes), bytes),
        };
        let at = arrival(self.record, packet);
        let sure = receiver.proved() && !self.doubt.calls && once;
        self.share(packet, bytes, &receiver.ledger.received, Relation::Effect, edges, |part| {
            sure && part.sure && left(self.record, part.call) >= at
        });
    }

    /// One edge for each call that has a share in these bytes; `sure` says whether it is proved.
    fn share(
        &self,
        packet: PacketNo,
        bytes: &Range<u64>,
        account: &Account,
        relation: Relation,
        edges: &mut Vec<Edge>,
        sure: impl Fn(&Part) -> bool,
    ) {
        let mut explained = bytes.start;
        for part in account.within(bytes) {
            let meant = part.bytes.start.max(bytes.start)..part.bytes.end.min(bytes.end);
            explained = meant.end;
            let proved = sure(part) && !self.differs(packet, bytes, part);
            edges.push(Edge {
                packet,
                call: Some(part.call),
                process: None,
                relation,
                rule: Rule::StreamOffset,
                grade: grade(proved),
                bytes: meant,
            });
        }
        if explained < bytes.end && relation == Relation::Cause {
            let mut unexplained = cause(packet, None, Rule::NoRule, Grade::Unknown);
            unexplained.bytes = explained..bytes.end;
            edges.push(unexplained);
        }
    }

    /// Whether the call's first bytes are others than the packet has at their place.
    fn differs(&self, packet: PacketNo, bytes: &Range<u64>, part: &Part) -> bool {
        let (Some(call), Some(carried)) =
            (self.record.calls.get(part.call.index()), self.flows.payload(self.record, packet))
        else {
            return false;
        };
        let ahead = part.bytes.start.checked_sub(bytes.start);
        let behind = bytes.start.saturating_sub(part.bytes.start);
        let skip = |amount: u64| usize::try_from(amount).unwrap_or(usize::MAX);
        let carried = carried.get(skip(ahead.unwrap_or(0))..).unwrap_or_default();
        let given = call.payload.get(skip(behind)..).unwrap_or_default();
        carried.iter().zip(given).any(|(one, other)| one != other)
    }

    /// What was sent before, again: the kernel's timer, and the calls whose bytes they are.
    fn again(
        &self,
        packet: PacketNo,
        from: Lane,
        placed: &Placed,
        progress: &mut Progress,
        edges: &mut Vec<Edge>,
    ) {
        let end = self.end(from);
        let before = edges.len();
        let bytes = placed.bytes();
        if !bytes.is_empty() && self.connection.streams.of(from).is_proved() {
            for part in end.ledger.sent.within(&bytes).filter(|_| !end.ledger.opaque) {
                let meant = part.bytes.start.max(bytes.start)..part.bytes.end.min(bytes.end);
                let edge = cause(packet, Some(part.call), Rule::Retransmission, Grade::Timer);
                edges.push(Edge { bytes: meant, ..edge });
            }
        }
        if edges.len() == before {
            let at = moment(self.record, packet);
            let opener = (placed.sequence == 0 && from == Lane::Client)
                .then(|| last_before(self.record, &end.ledger.connects, at));
            edges.push(cause(packet, opener.flatten(), Rule::Retransmission, Grade::Timer));
        }
        if self.delivered.is_some() {
            // What was lost before may be what arrived now.
            self.received(packet, from, &bytes, edges);
            if from == Lane::Server && placed.sequence == 0 {
                self.connected(packet, progress, edges);
            }
        }
    }

    fn fin(&self, packet: PacketNo, from: Lane, placed: &Placed, edges: &mut Vec<Edge>) {
        let at = moment(self.record, packet);
        let end = self.end(from);
        let place = placed.bytes().end;
        let shutdown = end.ledger.shutdowns.first().copied();
        let shutdown = shutdown.filter(|call| entered(self.record, *call) <= at);
        let at_its_place = end.ledger.opaque || end.ledger.sent.total == place;
        let proved = end.proved() && at_its_place && self.connection.streams.of(from).is_proved();
        let closed = match end.socket.and_then(|socket| socket.ending) {
            Some(Ending::Call(call)) if entered(self.record, call) <= at => Some(call),
            Some(Ending::Call(_) | Ending::Process(..)) | None => None,
        };
        if let Some(call) =
            shutdown.into_iter().chain(closed).min_by_key(|it| entered(self.record, *it))
        {
            let rule = if shutdown == Some(call) { Rule::FinInShutdown } else { Rule::FinInClose };
            edges.push(cause(packet, Some(call), rule, grade(proved)));
        } else if let Some(Ending::Process(pid, _)) = end.socket.and_then(|socket| socket.ending) {
            let edge = cause(packet, None, Rule::ProcessEnded, Grade::Exit);
            edges.push(Edge { process: Some(pid), ..edge });
        } else if let Some(call) = last_before(self.record, &end.ledger.closes, at) {
            // Another descriptor seemed to be open still; one of them was not seen to go.
            edges.push(cause(packet, Some(call), Rule::FinInClose, Grade::Inferred));
        }
    }

    /// The receive that returned 0 because of a FIN.
    fn end_of_stream(&self, packet: PacketNo, from: Lane, place: u64, edges: &mut Vec<Edge>) {
        let at = arrival(self.record, packet);
        let receiver = self.end(from.opposite());
        let mut ends = receiver.ledger.ends.iter();
        if let Some(call) = ends.find(|call| left(self.record, **call) >= at) {
            let proved = receiver.proved()
                && (receiver.ledger.opaque || receiver.ledger.received.total == place);
            edges.push(effect(packet, *call, Rule::EndOfStream, grade(proved)));
        }
    }

    fn reset(
        &self,
        packet: PacketNo,
        from: Lane,
        progress: &Progress,
        listeners: &Listeners<'_>,
        edges: &mut Vec<Edge>,
    ) {
        let at = moment(self.record, packet);
        let refused = from == Lane::Server && !progress.answered;
        if refused && self.connection.streams.client.began() {
            edges.push(cause(packet, None, Rule::RstRefused, Grade::Kernel));
        } else if let Some(edge) = self.reset_by_socket(packet, from, progress, at) {
            edges.push(edge);
        } else if self.end(from).socket.is_none() && from == Lane::Server && progress.answered {
            edges.extend(self.reset_by_listener(packet, at, listeners));
        } else if progress.ended.client || progress.ended.server {
            edges.push(cause(packet, None, Rule::RstGone, Grade::Kernel));
        }
        if self.reached(packet) {
            self.failure(packet, from.opposite(), arrival(self.record, packet), refused, edges);
        }
    }

    /// RST by what the socket's program did.
    fn reset_by_socket(
        &self,
        packet: PacketNo,
        from: Lane,
        progress: &Progress,
        at: Moment,
    ) -> Option<Edge> {
        let end = self.end(from);
        match end.socket?.ending? {
            Ending::Call(call) if entered(self.record, call) <= at => {
                let inside = left(self.record, call) >= at;
                let unread = *progress.arrived.of(from.opposite()) > end.ledger.received.total;
                let (rule, grade) = match (end.ledger.lingers_not, inside, unread) {
                    (true, ..) => (Rule::RstLinger, grade(end.proved() && inside)),
                    (false, true, true) => (Rule::RstUnread, grade(end.proved())),
                    // Nothing unread was seen; with packets missing it may have been all the same.
                    (false, true, false) => (Rule::RstUnread, Grade::Inferred),
                    (false, false, _) => (Rule::RstGone, Grade::Kernel),
                };
                Some(cause(packet, Some(call), rule, grade))
            }
            Ending::Call(_) => None,
            Ending::Process(pid, ended) => {
                let (rule, grade) = if at <= ended {
                    (Rule::ProcessEnded, Grade::Exit)
                } else {
                    (Rule::RstGone, Grade::Kernel)
                };
                Some(Edge { process: Some(pid), ..cause(packet, None, rule, grade) })
            }
        }
    }

    /// RST because the listening socket went, with the connection still in its queue.
    fn reset_by_listener(
        &self,
        packet: PacketNo,
        at: Moment,
        listeners: &Listeners<'_>,
    ) -> Option<Edge> {
        listeners.ended(self.connection.ends.server).find_map(|ending| match ending {
            Ending::Call(call) if entered(self.record, call) <= at => {
                let inside = left(self.record, call) >= at;
                Some(cause(packet, Some(call), Rule::RstListener, grade(inside)))
            }
            Ending::Process(pid, ended) => {
                let (rule, grade) = if at <= ended {
                    (Rule::ProcessEnded, Grade::Exit)
                } else {
                    (Rule::RstGone, Grade::Kernel)
                };
                Some(Edge { process: Some(pid), ..cause(packet, None, rule, grade) })
            }
            Ending::Call(_) => None,
        })
    }

    /// The call that was told of a reset.
    fn failure(
        &self,
        packet: PacketNo,
        lane: Lane,
        at: Moment,
        refused: bool,
        edges: &mut Vec<Edge>,
    ) {
        let end = self.end(lane);
        let told = |errno: Errno| match refused {
            true => errno == Errno::ECONNREFUSED,
            false => [Errno::ECONNRESET, Errno::EPIPE].contains(&errno),
        };
        let mut failures = end.ledger.failures.iter();
        if let Some((call, _)) =
            failures.find(|(call, errno)| left(self.record, *call) >= at && told(*errno))
        {
            edges.push(effect(packet, *call, Rule::Reset, grade(end.proved())));
        }
    }
}

/// The last of these calls that was entered at or before `at`.
fn last_before(record: &Record, calls: &[CallNo], at: Moment) -> Option<CallNo> {
    let end = calls.partition_point(|call| entered(record, *call) <= at);
    calls.get(end.checked_sub(1)?).copied()
}

/// When a packet reached the other end: where nobody delayed it, when it was captured.
pub(super) fn arrival(record: &Record, packet: PacketNo) -> Moment {
    record.packets.get(packet.index()).map_or(Moment::START, |packet| packet.arrived())
}

/// Which bytes each packet brought that nothing before it had brought, where a lab link tells.
struct Delivered {
    first: BTreeMap<PacketNo, Range<u64>>,
}

impl Delivered {
    /// None if the connection went over no such link.
    fn of(record: &Record, connection: &Connection) -> Option<Delivered> {
        let packet = |it: &Segment| record.packets.get(it.packet.index());
        let crossed = |it: &Segment| packet(it).is_some_and(|packet| packet.crossing.is_some());
        if !connection.segments.iter().any(crossed) {
            return None;
        }
        let reached = |it: &&Segment| packet(it).is_some_and(|it| !it.lost() && !it.struck());
        let mut arrived: Vec<&Segment> = connection.segments.iter().filter(reached).collect();
        arrived.sort_by_key(|it| arrival(record, it.packet));
        let mut covered: Both<Covered> = Both::default();
        let mut first = BTreeMap::new();
        for segment in arrived {
            let bytes = segment.placed.map_or(0..0, |placed| placed.bytes());
            let new = match bytes.is_empty() {
                true => None,
                false => covered.of_mut(segment.from).add_new(&bytes),
            };
            first.extend(new.map(|new| (segment.packet, new)));
        }
        Some(Delivered { first })
    }
}

pub(super) fn moment(record: &Record, packet: PacketNo) -> Moment {
    record.packets.get(packet.index()).map_or(Moment::START, |packet| packet.at)
}
