//! Findings from packets: handshakes, segments, windows, resets, datagrams that never arrived.

use super::{Case, Kind, several};
use crate::moment::Moment;
use crate::timeline::Lane;
use crate::timeline::cause::{CallNo, PacketNo, Relation, Rule};
use crate::timeline::words::{count, span};

/// All kinds, in no order.
pub(super) fn findings(case: &Case<'_>) -> Vec<Kind> {
    let mut seen = Seen::default();
    for (packet, from) in &case.draft.packets {
        seen.packet(case, *packet, *from);
    }
    seen.flush();
    let (segments, again) = (seen.segments(case), seen.again.kind());
    let seen = [seen.handshake, seen.coalesced, seen.resets, seen.icmp];
    seen.into_iter().chain([segments, again, windows(case), dropped(case)]).collect()
}

/// What goes by while the packets are looked at once.
#[derive(Default)]
struct Seen {
    handshake: Kind,
    coalesced: Kind,
    resets: Kind,
    icmp: Kind,
    again: Again,
    /// The call whose segments are being counted, its end, and how many so far.
    current: Option<(CallNo, Lane, u32)>,
    /// Calls whose bytes left in several segments.
    split: Vec<(CallNo, Lane, u32)>,
}

#[allow(clippy::wildcard_enum_match_arm, reason = "few of the rules are news to a reader")]
impl Seen {
    fn packet(&mut self, case: &Case<'_>, packet: PacketNo, from: Lane) {
        let edges = case.explained.edges_of(packet);
        let Some(at) = case.packet(packet).map(|packet| packet.at) else { return };
        let mut sends = 0_u64;
        let mut again = false;
        for edge in edges.iter() {
            match (edge.rule, edge.relation) {
                (Rule::StreamOffset, Relation::Cause) => {
                    sends += 1;
                    if let Some(call) = edge.call {
                        self.count(call, from);
                    }
                }
                (Rule::Retransmission, Relation::Cause) => again = true,
                (Rule::Accepted, _) => {
                    if let Some(accept) = edge.call {
                        self.accepted(case, at, packet, accept);
                    }
                }
                (Rule::PortUnreachable, _) => self.unreachable(case, at, packet, from),
                (rule, Relation::Cause) => self.reset(case, at, packet, from, rule, edge.call),
                (_, Relation::Effect) => {}
            }
        }
        if again {
            self.again.add(at, from, packet);
        }
        if sends > 1 {
            let told = self
                .coalesced
                .add(at, Some(from), || format!("{} left in one segment", several(sends, "send")));
            edges
                .iter()
                .filter(|edge| edge.relation == Relation::Cause)
                .filter_map(|edge| edge.call)
                .fold(told.packet(packet), super::Told::call);
        }
    }

    /// One more segment of a call; calls come one after another.
    fn count(&mut self, call: CallNo, from: Lane) {
        match &mut self.current {
            Some((current, _, segments)) if *current == call => *segments += 1,
            _ => {
                self.flush();
                self.current = Some((call, from, 1));
            }
        }
    }

    fn flush(&mut self) {
        self.split.extend(self.current.take().filter(|(_, _, segments)| *segments > 1));
    }

    fn segments(&self, case: &Case<'_>) -> Kind {
        let mut kind = Kind::default();
        for (call, lane, segments) in &self.split {
            let at = case.call(*call).map_or(Moment::START, |call| call.entered);
            kind.add(at, Some(*lane), || format!("1 send = {segments} segments")).call(*call);
        }
        kind
    }

    fn accepted(&mut self, case: &Case<'_>, at: Moment, packet: PacketNo, accept: CallNo) {
        let Some(call) = case.call(accept) else { return };
        let at = case.packet(packet).map_or(at, |packet| packet.arrived());
        if call.entered > at {
            let early = span(call.entered.since(at));
            let words = || format!("handshake finished {early} before accept()");
            self.handshake.add(at, Some(Lane::Server), words).call(accept).packet(packet);
        }
    }

    fn reset(
        &mut self,
        case: &Case<'_>,
        at: Moment,
        packet: PacketNo,
        from: Lane,
        rule: Rule,
        call: Option<CallNo>,
    ) {
        let words = match rule {
            Rule::RstRefused => {
                let server = case.draft.addresses.server;
                let port = server.map(|server| server.to_string()).unwrap_or_default();
                format!("connection refused: nobody listens on {port}")
            }
            Rule::RstUnread => "close() with unread bytes: RST instead of FIN".to_owned(),
            Rule::RstLinger => "close() with SO_LINGER 0: RST instead of FIN".to_owned(),
            Rule::RstListener => {
                "the listening socket was closed before accept(): the connection is reset"
                    .to_owned()
            }
            Rule::RstGone => "RST: the socket these bytes were for is gone".to_owned(),
            _ => return,
        };
        let told = self.resets.add(at, Some(from), || words).packet(packet);
        call.into_iter().fold(told, super::Told::call);
    }

    fn unreachable(&mut self, case: &Case<'_>, at: Moment, packet: PacketNo, from: Lane) {
        let edges = case.explained.edges_of(packet);
        let told = edges.iter().find(|edge| edge.rule == Rule::PendingError);
        if edges.iter().any(|edge| edge.rule == Rule::PortUnreachable) {
            let address = *case.draft.addresses.of(from);
            let port = address.map(|address| address.port()).unwrap_or_default();
            let words = || match told {
                Some(_) => format!("nobody has port {port}: the next call is told ECONNREFUSED"),
                None => format!("nobody has port {port}, and no call was told so"),
            };
            let finding = self.icmp.add(at, Some(from), words).packet(packet);
            told.and_then(|edge| edge.call).into_iter().fold(finding, super::Told::call);
        }
    }
}

/// Segments sent again, counted for each end.
#[derive(Default)]
struct Again {
    client: Option<(Moment, PacketNo, u64)>,
    server: Option<(Moment, PacketNo, u64)>,
}

impl Again {
    fn add(&mut self, at: Moment, from: Lane, packet: PacketNo) {
        let slot = match from {
            Lane::Client => &mut self.client,
            Lane::Server => &mut self.server,
        };
        slot.get_or_insert((at, packet, 0)).2 += 1;
    }

    fn kind(&self) -> Kind {
        let mut kind = Kind::default();
        for (lane, again) in [(Lane::Client, self.client), (Lane::Server, self.server)] {
            if let Some((at, packet, number)) = again {
                let words = || format!("{} sent again", count(number, "segment"));
                kind.add(at, Some(lane), words).packet(packet);
            }
        }
        kind
    }
}

/// Periods in which one end had no room, told at the end that had to wait.
fn windows(case: &Case<'_>) -> Kind {
    let mut kind = Kind::default();
    let place = case.draft.connection;
    let Some(connection) = place.and_then(|it| case.explained.flows.connections.get(it)) else {
        return kind;
    };
    for lane in [Lane::Client, Lane::Server] {
        for (from, to) in connection.streams.of(lane).closed_windows() {
            let words = || match to {
                Some(to) => format!("peer's window 0 for {}", span(to.since(*from))),
                None => "peer's window 0 to the end".to_owned(),
            };
            kind.add(*from, Some(lane.opposite()), words);
        }
    }
    kind
}

/// Datagrams that arrived and never reached the program.
fn dropped(case: &Case<'_>) -> Kind {
    let mut kind = Kind::default();
    if case.draft.talk.is_none() || case.explained.dropped.is_empty() {
        return kind;
    }
    for (packet, from) in &case.draft.packets {
        if case.explained.dropped.binary_search(packet).is_ok() {
            let at = case.packet(*packet).map_or(Moment::START, |packet| packet.at);
            let words = || match case.explained.drops {
                0 => "datagram never reached the program, though later ones did".to_owned(),
                _ => "datagram dropped: receive buffer full".to_owned(),
            };
            kind.add(at, Some(from.opposite()), words).packet(*packet);
        }
    }
    kind
}
