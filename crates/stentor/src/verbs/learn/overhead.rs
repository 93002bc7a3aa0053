//! The lesson `overhead`: packets, bytes and waits of one sentence over UDP and over TCP.

use stentor_os::failure::Failure;

use super::calls::{Door, Transport, anywhere};
use super::segments::{Segments, segments};
use super::stage::{Stage, Stop};

const SENTENCE: &[u8] = b"hello world";
/// IPv4 (RFC 791) and UDP (RFC 768) headers.
const UDP_HEADER_BYTES: usize = 20 + 8;
/// IPv4 and TCP (RFC 9293) headers without options, which most segments have besides.
const TCP_HEADER_BYTES: usize = 20 + 20;

/// What one sentence and its answer cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    packets: usize,
    header_bytes: usize,
    /// Whether the headers may have options besides, which are not counted.
    least: bool,
    /// How often the client had to wait for something from the server: round trips.
    waits: usize,
}

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let udp = over_udp(stage)?;
    let (new, existing) = over_tcp(stage)?;
    compare(stage, udp, new, existing)
}

fn over_udp(stage: &mut Stage<'_>) -> Result<Cost, Stop> {
    stage.step(
        "One sentence of 11 bytes and its answer over UDP.",
        "The shortest exchange there is: a packet there, a packet back.",
    )?;
    let server = stage.socket("server", Transport::Udp)?;
    stage.bind(&server, anywhere())?;
    let client = stage.socket("client", Transport::Udp)?;
    stage.send_to(&client, SENTENCE, server.local())?;
    let (heard, question) = stage.recv_from(&server, 2048)?;
    let source = question.source.unwrap_or(client.local());
    stage.send_to(&server, &heard.to_ascii_uppercase(), source)?;
    let (answer, _) = stage.recv_from(&client, 2048)?;
    // A datagram of 11 bytes is one packet: it is far below every link's limit.
    let cost = Cost { packets: 2, header_bytes: 2 * UDP_HEADER_BYTES, least: false, waits: 1 };
    show(stage, "headers + data", cost)?;
    stage.claim(
        "Two packets, one wait.",
        answer == SENTENCE.to_ascii_uppercase() && answer.len() == heard.len(),
        "2 calls of sendto, each one datagram; recvfrom waited once",
    )?;
    stage.close(client)?;
    stage.close(server)?;
    Ok(cost)
}

fn over_tcp(stage: &mut Stage<'_>) -> Result<(Cost, Cost), Stop> {
    stage.step(
        "The same over TCP: a new connection, the sentence, the end.",
        "The kernel counts the segments of each connection (TCP_INFO). Those without data begin \
         it, acknowledge, and end it.",
    )?;
    let server = stage.listening(1)?;
    let client = stage.connected("client", server.local())?;
    let handshake = segments(&client)?;
    stage.fact("segments after connect", handshake)?;
    stage.claim(
        "connect itself waits for the server: one round trip before the first byte.",
        handshake.incoming == 1 && handshake.outgoing == 2 && handshake.data == 0,
        "SYN out, SYN+ACK in, ACK out; no data yet",
    )?;
    let far = stage.accept(&server)?;
    exchange(stage, &client, &far)?;
    let first = segments(&client)?;
    stage.fact("segments after the answer", first)?;

    stage.step(
        "A second sentence over the connection that is there.",
        "The handshake is paid once for a connection; each further sentence costs what it needs.",
    )?;
    exchange(stage, &client, &far)?;
    let second = segments(&client)?;
    let spent = second.since(first);
    stage.fact("segments of this sentence", spent)?;
    let existing = cost(spent, 1);
    stage.claim(
        "Two segments carry the data; at most as many again acknowledge.",
        spent.data == 2 && (2..=4).contains(&existing.packets),
        spent,
    )?;

    stage.step("Both ends close.", "Each direction is ended and acknowledged by itself.")?;
    stage.shut_down(&client)?;
    stage.recv(&far, 1024)?;
    stage.close(far)?;
    stage.recv(&client, 1024)?;
    let last = segments(&client)?;
    let ending = last.since(second);
    stage.fact("segments of the end", ending)?;
    stage.close(client)?;
    stage.close(server)?;
    // What a connection for one sentence costs: everything but the second sentence.
    let new = cost(first.and(ending), 2);
    stage.claim(
        "The end costs three segments or more, and carries no data.",
        ending.data == 0 && ending.packets() >= 3,
        ending,
    )?;
    Ok((new, existing))
}

fn exchange(stage: &mut Stage<'_>, client: &Door, far: &Door) -> Result<(), Failure> {
    stage.send(client, SENTENCE)?;
    let heard = stage.recv_all(far, SENTENCE.len())?;
    stage.send(far, &heard.to_ascii_uppercase())?;
    stage.recv_all(client, SENTENCE.len())?;
    Ok(())
}

fn compare(stage: &mut Stage<'_>, udp: Cost, new: Cost, existing: Cost) -> Result<(), Stop> {
    stage.step(
        "The three are put beside each other, in bytes of headers + data.",
        "A round trip on loopback takes microseconds; between continents it takes 100 ms and more, \
         so that waits weigh more than bytes.",
    )?;
    show(stage, "UDP", udp)?;
    show(stage, "TCP, new connection", new)?;
    show(stage, "TCP, existing connection", existing)?;
    stage.claim(
        "A connection for one sentence costs at least four times the packets of UDP.",
        new.packets >= 4 * udp.packets,
        format!("{} and {}", new.packets, udp.packets),
    )?;
    stage.claim(
        "It costs one round trip more; over an existing connection the delay is that of UDP.",
        new.waits == udp.waits + 1 && existing.waits == udp.waits,
        format!("{}, {}, {} round trips", udp.waits, new.waits, existing.waits),
    )
}

fn cost(segments: Segments, waits: usize) -> Cost {
    let packets = segments.packets();
    Cost { packets, header_bytes: packets * TCP_HEADER_BYTES, least: true, waits }
}

fn show(stage: &mut Stage<'_>, name: &str, cost: Cost) -> Result<(), Stop> {
    let Cost { packets, header_bytes, waits, least } = cost;
    let data = 2 * SENTENCE.len();
    let trips = if waits == 1 { "round trip" } else { "round trips" };
    let least = if least { ">= " } else { "" };
    let value = format!("{packets} packets, {least}{header_bytes} + {data} bytes, {waits} {trips}");
    stage.fact(name, value)
}
