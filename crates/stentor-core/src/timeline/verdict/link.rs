//! Findings about a lab link: what it kept from the other end, and what that cost.

use super::{Case, Kind};
use crate::moment::Moment;
use crate::timeline::Lane;
use crate::timeline::cause::PacketNo;
use crate::timeline::record::Packet;
use crate::timeline::words::{count, span};

/// All kinds, in no order; none where packets crossed no such link.
pub(super) fn findings(case: &Case<'_>) -> Vec<Kind> {
    let crossed = |(packet, _): &(PacketNo, Lane)| {
        case.packet(*packet).is_some_and(|packet| packet.crossing.is_some())
    };
    match case.draft.packets.iter().any(crossed) {
        true => vec![losses(case), struck(case), changed_ways(case)],
        false => Vec::new(),
    }
}

/// The packets of the conversation that a link carried, with their ends.
fn crossings<'a>(case: &'a Case<'_>) -> impl Iterator<Item = (usize, PacketNo, Lane, &'a Packet)> {
    case.draft
        .packets
        .iter()
        .enumerate()
        .filter_map(|(place, (number, from))| Some((place, *number, *from, case.packet(*number)?)))
}

/// Each packet that was lost, and how long it took until its bytes were sent again.
fn losses(case: &Case<'_>) -> Kind {
    let mut kind = Kind::default();
    for (place, number, from, packet) in crossings(case).filter(|(.., packet)| packet.lost()) {
        let why = packet.crossing.as_ref().and_then(|crossing| crossing.dropped.as_deref());
        let words = || {
            let lost = match why {
                Some(why) => format!("lost on the link ({why})"),
                None => "still on its way at the end".to_owned(),
            };
            match again(case, place, from) {
                Some((second, at)) => {
                    let later = span(at.since(packet.at));
                    format!("{lost}, sent again {later} later as packet {}", second.0 + 1)
                }
                None => lost,
            }
        };
        kind.add(packet.at, Some(from), words).packet(number);
    }
    kind
}

/// The segment that brought again what one lost, and when it was sent.
fn again(case: &Case<'_>, place: usize, from: Lane) -> Option<(PacketNo, Moment)> {
    let connection = case.explained.flows.connections.get(case.draft.connection?)?;
    let lost = connection.segments.get(place)?.placed?;
    // An acknowledgement is not sent again: the next one says as much.
    if lost.length == 0 && lost.sequence > 0 && !lost.fin {
        return None;
    }
    let ends = lost.sequence + u64::from(lost.length);
    let later = connection.segments.iter().skip(place + 1).filter(|it| it.from == from);
    let mut same = later.filter(|it| {
        it.placed.is_some_and(|placed| {
            placed.sequence <= lost.sequence
                && placed.sequence + u64::from(placed.length) >= ends
                && (placed.length > 0 || placed.fin == lost.fin)
                && (placed.sequence == 0) == (lost.sequence == 0)
        })
    });
    let number = same.next()?.packet;
    Some((number, case.packet(number)?.at))
}

/// Packets in which a bit was flipped.
fn struck(case: &Case<'_>) -> Kind {
    let mut kind = Kind::default();
    for (_, number, from, packet) in crossings(case) {
        if packet.struck() && !packet.lost() {
            let edges = case.explained.edges_of(number);
            let reached =
                edges.iter().any(|edge| edge.relation == crate::timeline::cause::Relation::Effect);
            let words = || {
                let fate = match reached {
                    true => "without a checksum nobody noticed",
                    false => "its checksum is wrong, and the kernel drops it",
                };
                format!("a bit was flipped on the link: {fate}")
            };
            kind.add(packet.arrived(), Some(from.opposite()), words).packet(number);
        }
    }
    kind
}

/// Packets that arrived twice, or before one that was sent earlier, counted for each direction.
fn changed_ways(case: &Case<'_>) -> Kind {
    let mut kind = Kind::default();
    for lane in [Lane::Client, Lane::Server] {
        let (mut twice, mut overtook, mut latest) = (0, 0, Moment::START);
        let mut seen = None;
        for (_, number, from, packet) in crossings(case).filter(|(.., packet)| !packet.lost()) {
            if from != lane {
                continue;
            }
            let copies = packet.crossing.as_ref().map_or(0, |crossing| crossing.arrivals.len());
            twice += u64::from(copies > 1);
            overtook += u64::from(packet.arrived() < latest);
            if copies > 1 || packet.arrived() < latest {
                seen.get_or_insert((packet.arrived(), number));
            }
            latest = latest.max(packet.arrived());
        }
        let mut said = Vec::new();
        if twice > 0 {
            said.push(format!("{} arrived twice", count(twice, "packet")));
        }
        if overtook > 0 {
            said.push(format!("{} overtook earlier ones", count(overtook, "packet")));
        }
        if let (Some((at, number)), false) = (seen, said.is_empty()) {
            kind.add(at, Some(lane.opposite()), || said.join(", ")).packet(number);
        }
    }
    kind
}
