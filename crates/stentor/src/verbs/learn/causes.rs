//! The lesson `calls`: which call made which packet leave, and which packets no call made.

use stentor_core::endpoint::Transport;
use stentor_core::timeline::Lane;
use stentor_core::timeline::call::{CallName, Purpose};
use stentor_core::timeline::cause::{Edge, Grade, Relation, Rule};
use stentor_core::timeline::flows::{Connection, Segment};
use stentor_core::timeline::header::{Flags, Tcp, Transport as Carried};
use stentor_core::timeline::ladder::{CallMark, Ladder, Mark};
use stentor_core::timeline::record::Call;

use super::evidence::count;
use super::stage::{Stage, Stop};
use super::witnessed::{Seen, Shown, witness};
use crate::report::ladder::words;

const SENTENCE: &str = "hello world";

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "The lecture's exchange runs as two programs under stentor trace.",
        "The kernel stops each program at its socket calls (ptrace(2)) and copies each packet \
         (packet(7)); in a private network this needs no privilege, and every packet is theirs.",
    )?;
    let seen = witness(stage, Transport::Tcp, SENTENCE)?;
    let ladder = seen.ladder();
    stage.ladder(&ladder)?;
    order(stage, &ladder)?;
    bytes(stage, &ladder)?;
    let flows = &seen.explained.flows.connections;
    let connection = flows.iter().find(|it| it.ends.server.port() == seen.port);
    match (connection, &seen.missing) {
        (Some(connection), _) => {
            let all = Captured::of(&seen, connection);
            handshake(stage, &seen, &all)?;
            data(stage, &seen, &all)?;
            end(stage, &seen, &all)
        }
        // Why, and what to do, was said with the trace.
        (None, Some(_)) => Ok(stage.fact("packets and their causes", "not to be had here")?),
        (None, None) => Err(Stop::Contradicted {
            what: "the capture shows no connection to the server".to_owned(),
            next: String::new(),
        }),
    }
}

/// What a call does, whatever the system calls it.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Call(CallName),
    Accept,
    Send,
    Receive,
}

impl Deed {
    fn is(self, call: &CallMark) -> bool {
        // A connect that does not wait says so by this error, and goes on.
        let done = !call.failed || call.outcome == "EINPROGRESS";
        done && match self {
            Deed::Call(name) => call.name == name,
            Deed::Accept => matches!(call.name, CallName::Accept | CallName::Accept4),
            Deed::Send => call.name.purpose() == Purpose::Send,
            Deed::Receive => call.name.purpose() == Purpose::Receive,
        }
    }
}

const SERVER: [Deed; 7] = [
    Deed::Call(CallName::Socket),
    Deed::Call(CallName::Bind),
    Deed::Call(CallName::Listen),
    Deed::Accept,
    Deed::Receive,
    Deed::Send,
    Deed::Call(CallName::Close),
];

const CLIENT: [Deed; 5] = [
    Deed::Call(CallName::Socket),
    Deed::Call(CallName::Connect),
    Deed::Send,
    Deed::Receive,
    Deed::Call(CallName::Close),
];

/// The calls of one end of the conversation, in the order they were made.
fn calls(ladder: &Ladder, lane: Lane) -> Vec<&CallMark> {
    let rows = ladder.groups.iter().flat_map(|group| &group.rows);
    let made = rows.filter_map(|row| match row.mark {
        Mark::Call(at, call) | Mark::CallBegins(at, call) if at == lane => Some(call),
        Mark::Call(..) | Mark::CallBegins(..) | Mark::CallEnds(..) => None,
        Mark::Packet(_) | Mark::Departs(_) | Mark::Arrives(..) | Mark::State(..) => None,
    });
    let place = |call| usize::try_from(call).unwrap_or(usize::MAX);
    made.filter_map(|call| ladder.calls.get(place(call)))
        .map(|call| -> &CallMark { call })
        .collect()
}

/// For each of `wanted` the first call after the one before it; shorter if one is missing.
fn found<'a>(calls: &[&'a CallMark], wanted: &[Deed]) -> Vec<&'a CallMark> {
    let mut rest = calls.iter();
    wanted.iter().map_while(|deed| rest.find(|call| deed.is(call)).copied()).collect()
}

fn order(stage: &mut Stage<'_>, ladder: &Ladder) -> Result<(), Stop> {
    stage.step(
        "The calls of the lecture are picked out of all that were made.",
        "Programs make further calls, to set options and to wait; these are the ones that every \
         such program makes. The kernel's name of recv is recvfrom, that of send is sendto; connect \
         says EINPROGRESS because this client waits for it later, by poll.",
    )?;
    let ends = [("server", Lane::Server, &SERVER[..]), ("client", Lane::Client, &CLIENT[..])];
    let mut claims = Vec::new();
    for (who, lane, wanted) in ends {
        let made = found(&calls(ladder, lane), wanted);
        for call in &made {
            let outcome = shown(call);
            let arguments = call.arguments.clone();
            stage.call(who, call.name.name(), arguments, "", Ok(()), |()| outcome)?;
        }
        let names: Vec<_> = made.iter().map(|call| call.name.name()).collect();
        claims.push((made.len() == wanted.len(), names.join(", ")));
    }
    let texts = [
        "The server: socket, bind, listen, accept, recv, send, close, in this order.",
        "The client: socket, connect, send, recv, close, in this order.",
    ];
    for (text, (held, seen)) in texts.into_iter().zip(claims) {
        stage.claim(text, held, seen)?;
    }
    Ok(())
}

/// How a call ended, with the bytes it moved.
fn shown(call: &CallMark) -> String {
    let failed = if call.failed { "-1 " } else { "" };
    let bytes = match call.excerpt.as_str() {
        "" => String::new(),
        excerpt => format!(" \"{excerpt}\""),
    };
    format!("{failed}{}{bytes}", call.outcome)
}

/// The text of all calls of one end that do `deed`, one after the other.
fn said(calls: &[&CallMark], deed: Deed) -> String {
    calls.iter().filter(|call| deed.is(call)).map(|call| call.excerpt.as_str()).collect()
}

fn bytes(stage: &mut Stage<'_>, ladder: &Ladder) -> Result<(), Stop> {
    let (client, server) = (calls(ladder, Lane::Client), calls(ladder, Lane::Server));
    let there = (said(&client, Deed::Send), said(&server, Deed::Receive));
    stage.claim(
        "What the client's send gave, the server's recv returned.",
        there.0 == SENTENCE && there.1 == SENTENCE,
        format!("\"{}\", \"{}\"", there.0, there.1),
    )?;
    let back = (said(&server, Deed::Send), said(&client, Deed::Receive));
    let capitals = SENTENCE.to_uppercase();
    stage.claim(
        "What the server's send gave, the client's recv returned.",
        back.0 == capitals && back.1 == capitals,
        format!("\"{}\", \"{}\"", back.0, back.1),
    )
}

/// A packet of the connection.
struct Captured<'a> {
    segment: &'a Segment,
    shown: Shown<'a>,
    tcp: Tcp,
}

impl<'a> Captured<'a> {
    fn of(seen: &'a Seen, connection: &'a Connection) -> Vec<Captured<'a>> {
        let segments = connection.segments.iter();
        let captured = segments.filter_map(|segment| {
            let shown = seen.packet(segment.packet)?;
            match shown.headers.transport {
                Carried::Tcp(tcp) => Some(Captured { segment, shown, tcp }),
                Carried::Udp(_) | Carried::Icmp(_) | Carried::Other => None,
            }
        });
        captured.collect()
    }

    fn syn(&self) -> bool {
        self.tcp.flags.has(Flags::SYN)
    }

    fn fin(&self) -> bool {
        self.tcp.flags.has(Flags::FIN)
    }

    fn data(&self) -> bool {
        self.shown.headers.payload_length > 0
    }

    /// An acknowledgement and nothing else.
    fn plain(&self) -> bool {
        !(self.syn() || self.fin() || self.data() || self.tcp.flags.has(Flags::RST))
    }

    /// `packet 4: sendto #41 (exact)`.
    fn cause(&self, seen: &Seen) -> String {
        let number = words::capture_number(self.shown.number);
        let ties = seen.ties(self.shown.number, Relation::Cause);
        let ties: Vec<_> = ties.iter().map(|(edge, call)| tie(edge, *call)).collect();
        format!("packet {number}: {}", ties.join(", "))
    }
}

fn tie(edge: &Edge, call: Option<&Call>) -> String {
    match (edge.call, call) {
        (Some(number), Some(call)) => {
            format!("{} {} ({})", call.name, words::number(number), edge.grade)
        }
        _ => edge.grade.name().to_owned(),
    }
}

/// Whether each of `packets` has a cause, and all causes are as wanted.
fn all(
    seen: &Seen,
    packets: &[&Captured<'_>],
    wanted: impl Fn(&Captured<'_>, &Edge, Option<&Call>) -> bool,
) -> bool {
    !packets.is_empty()
        && packets.iter().all(|packet| {
            let ties = seen.ties(packet.shown.number, Relation::Cause);
            !ties.is_empty() && ties.iter().all(|(edge, call)| wanted(packet, edge, *call))
        })
}

fn causes(seen: &Seen, packets: &[&Captured<'_>]) -> String {
    let causes: Vec<_> = packets.iter().map(|packet| packet.cause(seen)).collect();
    causes.join("; ")
}

fn kernels(edge: &Edge, call: Option<&Call>) -> bool {
    edge.grade == Grade::Kernel && call.is_none()
}

fn handshake(stage: &mut Stage<'_>, seen: &Seen, packets: &[Captured<'_>]) -> Result<(), Stop> {
    stage.step(
        "The three packets of the handshake, and what made each leave.",
        "A cause is proved by numbers and addresses in the packet and in the call, not by their \
         being near in time.",
    )?;
    let pick = |server: bool| -> Vec<_> {
        let from = if server { Lane::Server } else { Lane::Client };
        packets.iter().filter(|it| it.syn() && it.segment.from == from).collect()
    };
    let (syn, answer) = (pick(false), pick(true));
    stage.claim(
        "connect made the SYN leave.",
        all(seen, &syn, |_, edge, call| {
            edge.rule == Rule::SynInConnect
                && edge.grade == Grade::Exact
                && call.is_some_and(|call| call.name == CallName::Connect)
        }),
        causes(seen, &syn),
    )?;
    stage.claim(
        "No call made the SYN,ACK leave: the kernel answers for the listening socket.",
        all(seen, &answer, |_, edge, call| edge.rule == Rule::SynAck && kernels(edge, call)),
        causes(seen, &answer),
    )?;
    let is_last = |it: &&Captured<'_>| {
        let ties = seen.ties(it.shown.number, Relation::Cause);
        ties.iter().any(|(edge, _)| edge.rule == Rule::HandshakeAck)
    };
    let last: Vec<_> = packets.iter().filter(is_last).collect();
    stage.claim(
        "No call made the last ACK leave either: the handshake needs no accept.",
        all(seen, &last, |_, edge, call| kernels(edge, call)),
        causes(seen, &last),
    )?;
    let handed: Vec<_> = last
        .iter()
        .flat_map(|it| seen.ties(it.shown.number, Relation::Effect))
        .filter(|(edge, _)| edge.rule == Rule::Accepted)
        .collect();
    let accepts = |call: &Call| Deed::Accept.names(call.name);
    stage.claim(
        "accept handed over the connection that this ACK had finished.",
        !handed.is_empty()
            && handed
                .iter()
                .all(|(edge, call)| edge.grade == Grade::Exact && call.is_some_and(accepts)),
        handed.iter().map(|(edge, call)| tie(edge, *call)).collect::<Vec<_>>().join(", "),
    )
}

impl Deed {
    fn names(self, name: CallName) -> bool {
        matches!((self, name), (Deed::Accept, CallName::Accept | CallName::Accept4))
    }
}

fn data(stage: &mut Stage<'_>, seen: &Seen, packets: &[Captured<'_>]) -> Result<(), Stop> {
    stage.step(
        "The packets that carry bytes, and the acknowledgements.",
        "The sequence number says which bytes of the stream a segment carries; adding up what the \
         calls returned says which call gave or got them.",
    )?;
    let data: Vec<_> = packets.iter().filter(|it| it.data()).collect();
    let both = [Lane::Client, Lane::Server]
        .iter()
        .all(|lane| data.iter().any(|it| it.segment.from == *lane));
    stage.claim(
        "Each left by the send whose bytes it carries.",
        both && all(seen, &data, |packet, edge, call| {
            let sent = call.is_some_and(|call| call.name.purpose() == Purpose::Send);
            sent && edge.grade == Grade::Exact && same_bytes(seen, packet, edge)
        }),
        causes(seen, &data),
    )?;
    let mut brought = Vec::new();
    let mut right = both;
    for packet in &data {
        let ties = seen.ties(packet.shown.number, Relation::Effect);
        let reads: Vec<_> =
            ties.iter().filter(|(edge, _)| edge.rule == Rule::StreamOffset).collect();
        right &= !reads.is_empty()
            && reads.iter().all(|(edge, call)| {
                let got = call.is_some_and(|call| call.name.purpose() == Purpose::Receive);
                got && edge.grade == Grade::Exact && same_bytes(seen, packet, edge)
            });
        brought.extend(reads.iter().map(|(edge, call)| tie(edge, *call)));
    }
    stage.claim("Each recv returned what such a packet had brought.", right, brought.join(", "))?;
    let plain: Vec<_> = packets.iter().filter(|it| it.plain()).collect();
    stage.claim(
        "No call made the plain acknowledgements leave.",
        all(seen, &plain, |_, edge, call| kernels(edge, call)),
        causes(seen, &plain),
    )
}

/// Whether the bytes that tie a packet to a call are the same in both.
fn same_bytes(seen: &Seen, packet: &Captured<'_>, edge: &Edge) -> bool {
    let compare = || {
        let number = edge.call?;
        let call = seen.record.calls.get(number.index())?;
        let whole = seen.explained.stream.get(number.index())?.as_ref()?;
        let carried = packet.segment.placed?.bytes();
        let part = |bytes: &[u8], from: u64| -> Option<Vec<u8>> {
            let start = usize::try_from(edge.bytes.start.checked_sub(from)?).ok()?;
            let end = usize::try_from(edge.bytes.end.checked_sub(from)?).ok()?;
            bytes.get(start..end).map(<[u8]>::to_vec)
        };
        let there = part(packet.shown.payload(), carried.start)?;
        let here = part(&call.payload, whole.start)?;
        Some(!there.is_empty() && there == here)
    };
    compare().unwrap_or(false)
}

fn end(stage: &mut Stage<'_>, seen: &Seen, packets: &[Captured<'_>]) -> Result<(), Stop> {
    stage.step(
        "The packets that end the connection.",
        "Each direction ends by itself: shutdown ends one, close ends what is still open.",
    )?;
    let fins: Vec<_> = packets.iter().filter(|it| it.fin()).collect();
    let both = [Lane::Client, Lane::Server]
        .iter()
        .all(|lane| fins.iter().any(|it| it.segment.from == *lane));
    stage.claim(
        "Each FIN left by close or shutdown.",
        both && all(seen, &fins, |_, edge, call| {
            let ends = matches!(edge.rule, Rule::FinInClose | Rule::FinInShutdown);
            ends && edge.grade == Grade::Exact && call.is_some()
        }),
        causes(seen, &fins),
    )?;
    let by_kernel = packets.iter().filter(|it| {
        seen.ties(it.shown.number, Relation::Cause).iter().all(|(edge, call)| kernels(edge, *call))
    });
    let (whole, kernel) = (packets.len(), by_kernel.count());
    let calls = whole.saturating_sub(kernel);
    stage.fact(
        "packets of the connection",
        format!("{}: {calls} by calls, {kernel} by the kernel alone", count(whole, "packet")),
    )
}
