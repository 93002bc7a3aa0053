//! The sentences as packets on a lab link.

use std::collections::BTreeMap;
use std::time::Duration;

use stentor_core::link::Direction;
use stentor_core::moment::Moment;
use stentor_core::timeline::dissect::dissect;
use stentor_core::timeline::header::{Headers, Transport as Carried};
use stentor_core::timeline::record::Link;

use super::{
    DELAY, Journey, Journeys, LENGTH, LINK, SENTENCES, SHOWN, datagram_claims, list, number,
    sentence,
};
use crate::drive::lab::{self, CLIENT, Passage, Running, SERVER};
use crate::verbs::learn::apart::go;
use crate::verbs::learn::calls::{Interest, Transport};
use crate::verbs::learn::checksum::retransmitted;
use crate::verbs::learn::evidence::count;
use crate::verbs::learn::stage::{Stage, Stop};

pub(super) fn datagrams(stage: &mut Stage<'_>, link: Running) -> Result<Journeys, Stop> {
    stage.step(
        "Twelve sentences leave as datagrams, over a link that delays every packet by 30 ms, loses \
         some, doubles some, and lets some overtake.",
        "Two private networks are joined by a link that carries real packets (stentor impair \
         --lab). What it does follows from a seed, and it writes a log.",
    )?;
    stage.fact("link", format!("{SHOWN} --seed {}", LINK.seed.0))?;
    go(&link.server().clone())?;
    let server = stage.socket("server", Transport::Udp)?;
    stage.bind(&server, (SERVER.0, 0).into())?;
    go(&link.client().clone())?;
    let client = stage.socket("client", Transport::Udp)?;
    stage.bind(&client, (CLIENT.0, 0).into())?;
    for number in 1..=SENTENCES {
        stage.send_to(&client, sentence(number).as_bytes(), server.local())?;
    }
    // It ends when everything inside has arrived; then the server's socket holds all there will be.
    let carried = link.stop().map_err(Stop::Refused)?;
    let mut journeys = Journeys::new();
    let mut arrivals = Vec::new();
    for (passage, headers) in carried.passages.iter().filter_map(upwards) {
        let Some(number) = datagram(passage, &headers) else { continue };
        let journey = journeys.entry(number).or_default();
        journey.left += 1;
        journey.arrived += passage.arrivals.len();
        journey.overtook |= passage.overtook;
        journey.lost |= passage.arrivals.is_empty();
        journey.took_ns =
            passage.arrivals.first().map(|first| nanoseconds(first.since(passage.at)));
        arrivals.extend(passage.arrivals.iter().map(|at| (*at, number)));
    }
    let mut order = Vec::new();
    for _ in 0..arrivals.len() {
        let (heard, _) = stage.recv_from(&server, 2048)?;
        order.extend(number(&heard));
    }
    let more = stage.poll(&server, Interest::Read, Duration::ZERO)?;
    datagram_claims(stage, &journeys, &order)?;
    arrivals.sort_by_key(|(at, _)| *at);
    let delivered: Vec<usize> = arrivals.iter().map(|(_, number)| *number).collect();
    stage.claim(
        "The program got them in the order in which the link delivered them, and nothing else.",
        order == delivered && !more,
        format!("delivered {}", list(&delivered)),
    )?;
    let late = Duration::from_nanos(carried.lateness.worst_ns);
    let longest = journeys.values().filter_map(|journey| journey.took_ns).max().unwrap_or(0);
    let longest = Duration::from_nanos(longest);
    stage.claim(
        "What arrives at all is on its way for the link's delay and no longer; the rest is how late \
         the link's own thread was.",
        longest <= DELAY + late,
        format!("at most {longest:.1?}: {DELAY:?}, and {late:.1?} late at worst"),
    )?;
    stage.close(client)?;
    stage.close(server)?;
    Ok(journeys)
}

pub(super) fn stream(stage: &mut Stage<'_>, link: Running) -> Result<Journeys, Stop> {
    stage.step(
        "The same twelve over TCP, and over a link with the same words and the same seed.",
        "The kernels number every byte, acknowledge what arrived, and send again what was not \
         acknowledged. TCP_NODELAY lets each sentence leave at once, in a segment of its own.",
    )?;
    go(&link.server().clone())?;
    let server = stage.socket("server", Transport::Tcp)?;
    stage.bind(&server, (SERVER.0, 0).into())?;
    stage.listen(&server, 1)?;
    go(&link.client().clone())?;
    let client = stage.connected("client", server.local())?;
    let accepted = stage.accept(&server)?;
    let set = client.options().set_tcp_nodelay(true);
    let given = format!("{}, TCP_NODELAY, 1", client.number());
    stage.call("client", "setsockopt", given, client.local(), set, |()| "0".to_owned())?;
    let mut sent = Vec::new();
    for number in 1..=SENTENCES {
        stage.send(&client, sentence(number).as_bytes())?;
        sent.extend(sentence(number).into_bytes());
    }
    let got = stage.recv_all(&accepted, sent.len())?;
    let again = retransmitted(&client)?;
    let carried = link.stop().map_err(Stop::Refused)?;
    let (journeys, lost) = segments(&carried.passages);
    stage.fact("lost, says the link", format!("{} with data", count(lost, "segment")))?;
    stage.fact("sent again (TCP_INFO)", count(again, "segment"))?;
    stage.claim(
        "Every sentence arrives, once, and in order, whatever the link did to its packets.",
        got == sent,
        format!("{} of {} bytes, the same", got.len(), sent.len()),
    )?;
    stage.claim(
        "What was lost the client's kernel sent again, and no program made a call for it.",
        lost > 0 && again > 0,
        format!("{lost} lost, {again} sent again; 12 calls of send"),
    )?;
    let first_lost: Vec<(usize, u64)> = journeys
        .iter()
        .filter(|(_, journey)| journey.lost)
        .filter_map(|(number, journey)| Some((*number, journey.took_ns?)))
        .collect();
    let seen = first_lost.iter().map(|(number, took)| {
        format!("sentence {number} after {:.1?}", Duration::from_nanos(*took))
    });
    stage.claim(
        "The price is time: what was lost at first comes later than the link's delay, because \
         somebody has to notice first that it is missing.",
        !first_lost.is_empty() && first_lost.iter().all(|(_, took)| *took > nanoseconds(DELAY)),
        seen.collect::<Vec<_>>().join(", "),
    )?;
    stage.close(client)?;
    stage.close(accepted)?;
    stage.close(server)?;
    Ok(journeys)
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A packet from the client, and its headers.
fn upwards(passage: &Passage) -> Option<(&lab::Passage, Headers)> {
    let up = passage.direction == Direction::Up;
    let headers = up.then(|| dissect(Link::Ip, &passage.bytes)).flatten()?;
    Some((passage, headers))
}

/// The sentence that a datagram carries.
fn datagram(passage: &Passage, headers: &Headers) -> Option<usize> {
    let place = |at: u32| usize::try_from(at).ok();
    let payload = place(headers.payload.start)?..place(headers.payload.end)?;
    matches!(headers.transport, Carried::Udp(_)).then_some(())?;
    number(passage.bytes.get(payload)?)
}

/// What became of each sentence of the stream, by the sequence numbers of the segments that carried
/// it; and how many segments with data were lost.
fn segments(passages: &[Passage]) -> (Journeys, usize) {
    let mut carried: Vec<(&Passage, Headers)> = passages.iter().filter_map(upwards).collect();
    carried.sort_by_key(|(passage, _)| passage.seq);
    let sequence = |headers: &Headers| headers.tcp().map(|tcp| tcp.sequence);
    // The first packet of all is the SYN, which takes a number, too (RFC 9293, section 3.4).
    let first = carried.iter().find_map(|(_, headers)| sequence(headers));
    let first = first.unwrap_or(0).wrapping_add(1);
    let mut journeys = Journeys::new();
    let mut left: BTreeMap<usize, Moment> = BTreeMap::new();
    let mut arrived: BTreeMap<usize, Moment> = BTreeMap::new();
    let mut lost = 0;
    for (passage, headers) in &carried {
        let Some(sequence) = sequence(headers).filter(|_| headers.payload_length > 0) else {
            continue;
        };
        lost += usize::from(passage.arrivals.is_empty());
        let offset = |bytes: u32| usize::try_from(sequence.wrapping_sub(first).wrapping_add(bytes));
        let (Ok(start), Ok(end)) = (offset(0), offset(headers.payload_length)) else { continue };
        let whole = |number: &usize| start <= LENGTH * (number - 1) && LENGTH * number <= end;
        for number in (1..=SENTENCES).filter(whole) {
            let journey: &mut Journey = journeys.entry(number).or_default();
            journey.lost |= journey.left == 0 && passage.arrivals.is_empty();
            journey.overtook |= journey.left == 0 && passage.overtook;
            journey.left += 1;
            journey.arrived += passage.arrivals.len();
            left.entry(number).or_insert(passage.at);
            for at in &passage.arrivals {
                let earliest = arrived.entry(number).or_insert(*at);
                *earliest = (*at).min(*earliest);
            }
        }
    }
    // A byte can be read when all before it can.
    let mut readable = Moment::START;
    for (number, journey) in &mut journeys {
        let (Some(left), Some(arrived)) = (left.get(number), arrived.get(number)) else { continue };
        readable = readable.max(*arrived);
        journey.took_ns = Some(nanoseconds(readable.since(*left)));
    }
    (journeys, lost)
}
