//! The cause of every packet, and what it led to, by rules that do not rest on time alone.
//!
//! A pure function of the record. Reading packets is in [`super::dissect`], sorting them in
//! [`super::flows`]; words are in [`super::verdict`]. What the rules cannot prove is graded
//! `inferred` or `unknown`, never guessed.

mod account;
mod datagram;
mod segment;
mod ties;

use std::ops::Range;

use super::Both;
use super::cause::{CallNo, Edge, Grade, PacketNo, Relation, Rule};
use super::dissect::dissect;
use super::flows::Flows;
use super::header::{Headers, Transport};
use super::record::{Mode, Place, Record, Remark};
use super::sockets::Sockets;
use crate::moment::Moment;

pub(super) use account::direction;
pub use ties::Tie;

/// Everything that follows from a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explained {
    /// The sockets, and which each call was about.
    pub sockets: Sockets,
    /// Connections and talks.
    pub flows: Flows,
    /// The sockets at the ends of each connection (client, server).
    pub ties: Vec<Both<Option<Tie>>>,
    /// The sockets at the ends of each talk.
    pub talk_ties: Vec<Both<Option<Tie>>>,
    /// For each call of the record: which bytes of the stream it sent or got.
    pub stream: Vec<Option<Range<u64>>>,
    /// Sorted by packet; each packet has at least one of [`Relation::Cause`].
    pub edges: Vec<Edge>,
    /// For each packet the place of its first edge; one more at the end.
    first_edges: Vec<u32>,
    /// Datagrams that arrived at a socket and never reached the program though later ones did.
    pub dropped: Vec<PacketNo>,
    /// How many datagrams the kernel says it dropped at receive queues.
    pub drops: u64,
}

impl Explained {
    /// Explains a record, whose lists must be in the order of time: [`Record::sort`].
    pub fn of(record: &Record) -> Explained {
        let mut explained = Explained {
            stream: vec![None; record.calls.len()],
            sockets: Sockets::follow(record),
            flows: Flows::sort(record),
            ..Explained::default()
        };
        let doubt = Doubt::of(record);
        let mut edges = Vec::with_capacity(record.packets.len().saturating_mul(2));
        segment::explain(record, &mut explained, &doubt, &mut edges);
        datagram::explain(record, &mut explained, &doubt, &mut edges);
        others(record, &explained, &mut edges);
        edges.sort_by_key(|edge| (edge.packet, edge.relation));
        explained.first_edges = first_edges(&edges, record.packets.len());
        explained.edges = edges;
        explained
    }

    /// The edges of a packet.
    pub fn edges_of(&self, packet: PacketNo) -> &[Edge] {
        let at = |place: usize| self.first_edges.get(place).map(|first| *first as usize);
        let (Some(from), Some(to)) = (at(packet.index()), at(packet.index().saturating_add(1)))
        else {
            return &[];
        };
        self.edges.get(from..to).unwrap_or_default()
    }
}

/// The headers of a packet of the record.
pub fn headers(record: &Record, packet: PacketNo) -> Option<Headers> {
    let packet = record.packets.get(packet.index())?;
    dissect(packet.link, &packet.bytes)
}

/// For each packet where its edges begin, and where the last one's end.
fn first_edges(edges: &[Edge], packets: usize) -> Vec<u32> {
    let mut first = Vec::with_capacity(packets + 1);
    for (place, edge) in edges.iter().enumerate() {
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        while first.len() <= edge.packet.index() {
            first.push(place);
        }
    }
    first.resize(packets + 1, u32::try_from(edges.len()).unwrap_or(u32::MAX));
    first
}

/// What the record itself says that it misses.
struct Doubt {
    /// The capture dropped packets: order and absence prove nothing.
    packets: bool,
    /// Bytes may have passed that no call shows.
    calls: bool,
}

impl Doubt {
    fn of(record: &Record) -> Doubt {
        let lost = |place| record.losses.iter().any(|it| it.place == place && it.count > 0);
        let unseen = record.notes.iter().any(|note| match note.remark {
            Remark::IoUringAllowed | Remark::LeftBehind | Remark::NotTraced(_) => true,
            Remark::IoUringRefused | Remark::Text(_) => false,
        });
        Doubt {
            packets: lost(Place::Capture) || lost(Place::Record),
            calls: unseen || lost(Place::Record),
        }
    }
}

/// Edges of packets that belong to no connection and no talk.
fn others(record: &Record, explained: &Explained, edges: &mut Vec<Edge>) {
    for packet in &explained.flows.others {
        let headers = headers(record, *packet);
        let icmp = headers.is_some_and(|it| matches!(it.transport, Transport::Icmp(_)));
        let (rule, grade) =
            if icmp { (Rule::Icmp, Grade::Kernel) } else { (Rule::NoRule, Grade::Unknown) };
        edges.push(cause(*packet, None, rule, grade));
    }
}

fn cause(packet: PacketNo, call: Option<CallNo>, rule: Rule, grade: Grade) -> Edge {
    Edge { packet, call, process: None, relation: Relation::Cause, rule, grade, bytes: 0..0 }
}

fn effect(packet: PacketNo, call: CallNo, rule: Rule, grade: Grade) -> Edge {
    Edge { relation: Relation::Effect, ..cause(packet, Some(call), rule, grade) }
}

/// When a call came back; the end of time if it never did.
fn left(record: &Record, call: CallNo) -> Moment {
    let never = Moment::from_nanos(u64::MAX);
    record.calls.get(call.index()).map_or(never, |call| call.left.unwrap_or(never))
}

/// When a call went in.
fn entered(record: &Record, call: CallNo) -> Moment {
    record.calls.get(call.index()).map_or(Moment::START, |call| call.entered)
}

/// `Exact` if proved.
fn grade(proved: bool) -> Grade {
    if proved { Grade::Exact } else { Grade::Inferred }
}

/// Whether every packet of the network comes from a traced program or its kernel.
fn private(record: &Record) -> bool {
    record.header.mode == Mode::Lab
}

#[cfg(test)]
mod link_tests;
#[cfg(test)]
mod tests;
