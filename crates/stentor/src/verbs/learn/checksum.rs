//! The lesson `checksum`: who notices a flipped bit, what happens then, and what nobody notices.

use std::os::fd::AsFd;

use stentor_core::endpoint::Transport as Kind;
use stentor_core::seed::Seed;
use stentor_os::failure::Failure;
use stentor_os::net::option::set_int;
use stentor_os::net::snmp;
use stentor_os::net::tcp_info::tcp_info;

use super::apart::{OnLink, go};
use super::calls::{Door, Transport, anywhere, quoted};
use super::evidence::count;
use super::header::{Ends, Fields, HEADER, hex};
use super::stage::{Stage, Stop};
use crate::complaint::Complaint;
use crate::drive::impair::beside;
use crate::drive::lab::{CLIENT, Lab, Passage, Running, SERVER, Strikes};

/// Words of 16 bits: `pa y_ 10 _t o_ 20`. The third and the sixth can change places.
const SENTENCE: &[u8] = b"pay 10 to 20";
const SWAPPED: &[u8] = b"pay 20 to 10";
const UNCHECKED: &[u8] = b"unchecked";

/// As in include/uapi/asm-generic/socket.h.
const SOL_SOCKET: i32 = 1;
const SO_NO_CHECK: i32 = 11;

/// Every datagram has a bit flipped.
const ALWAYS: OnLink =
    OnLink { words: "up:corrupt=100%", seed: Seed(12), strikes: Strikes::Payload };
/// Among others the third packet, which carries the first sentence, and never two in a row.
const SOMETIMES: OnLink =
    OnLink { words: "up:corrupt=40%", seed: Seed(12), strikes: Strikes::Payload };

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    match Lab::possible() {
        Ok(()) => {
            stage.on_a_link(ALWAYS, datagrams)?;
            stage.on_a_link(SOMETIMES, stream)?;
        }
        Err(complaint) => without_packets(stage, &complaint)?,
    }
    blind(stage)?;
    between(stage)
}

/// A counter of the kernel at the end of the link where this thread is.
fn counted(protocol: &str) -> Result<u64, Stop> {
    let read = snmp::counter_here(protocol, "InCsumErrors");
    Ok(read.map_err(|error| Failure::new("read", "/proc/net/snmp", error))?)
}

/// How many bits of two pieces of data differ; none if their lengths do.
fn differing(one: &[u8], other: &[u8]) -> Option<u32> {
    let bits = one.iter().zip(other).map(|(one, other)| (one ^ other).count_ones()).sum();
    (one.len() == other.len()).then_some(bits)
}

fn datagrams(stage: &mut Stage<'_>, link: Running) -> Result<(), Stop> {
    stage.step(
        "Over a link that flips one bit of every datagram's data: one with a checksum, and one \
         without.",
        "Two private networks are joined by a link that carries real packets (stentor impair \
         --lab). It changes nothing but the bit. SO_NO_CHECK sends a checksum of 0: there is none \
         (RFC 768, IPv4 alone).",
    )?;
    let (near, far) = (link.client().clone(), link.server().clone());
    go(&far)?;
    let before = counted("Udp")?;
    let server = stage.socket("server", Transport::Udp)?;
    stage.bind(&server, (SERVER.0, 0).into())?;
    go(&near)?;
    let client = stage.socket("client", Transport::Udp)?;
    stage.bind(&client, (CLIENT.0, 0).into())?;
    stage.send_to(&client, SENTENCE, server.local())?;
    let set = set_int(client.as_fd(), SOL_SOCKET, SO_NO_CHECK, 1);
    let given = format!("{}, SO_NO_CHECK, 1", client.number());
    stage.call("client", "setsockopt", given, client.local(), set, |()| "0".to_owned())?;
    stage.send_to(&client, UNCHECKED, server.local())?;
    let (heard, _) = stage.recv_from(&server, 2048)?;
    go(&far)?;
    let refused = counted("Udp")?.saturating_sub(before);
    let carried = link.stop().map_err(Stop::Refused)?;
    let flips: Vec<String> = carried.passages.iter().filter_map(flip).collect();
    stage.fact("flipped by the link", flips.join("; "))?;
    stage.fact("UdpInCsumErrors", format!("{refused} more than before (/proc/net/snmp)"))?;
    stage.claim(
        "Both were delivered, each with a bit flipped.",
        flips.len() == 2,
        format!("{} with a flipped bit", count(flips.len(), "datagram")),
    )?;
    stage.claim(
        "The server's kernel noticed the one with a checksum, counted it and dropped it: no program \
         is told, and nobody sends it again.",
        refused == 1 && heard != SENTENCE,
        format!("counted {refused}; the first that recvfrom gave is {}", quoted(&heard)),
    )?;
    stage.claim(
        "The one without a checksum reached the program, wrong.",
        differing(&heard, UNCHECKED) == Some(1),
        format!("sent {}, received {}", hex(UNCHECKED), hex(&heard)),
    )?;
    stage.close(client)?;
    stage.close(server)?;
    Ok(())
}

/// `packet 3: bit 17`, if the link flipped one that arrived. The kernels' own IPv6 packets, where they
/// send any, are not the lesson's.
fn flip(passage: &Passage) -> Option<String> {
    let arrived = !passage.arrivals.is_empty();
    let four = passage.bytes.first().is_some_and(|byte| byte >> 4 == 4);
    let bit = passage.flipped.filter(|_| arrived && four)?;
    Some(format!("packet {}: bit {bit}", passage.seq))
}

fn stream(stage: &mut Stage<'_>, link: Running) -> Result<(), Stop> {
    stage.step(
        "Over TCP, and a link that flips a bit of some segments: four sentences and their answers.",
        "TCP's checksum is the same sum over header and data (RFC 9293, section 3.1), and cannot be \
         switched off. What is dropped is not acknowledged, and so sent again.",
    )?;
    let (near, far) = (link.client().clone(), link.server().clone());
    go(&far)?;
    let before = counted("Tcp")?;
    let server = stage.socket("server", Transport::Tcp)?;
    stage.bind(&server, (SERVER.0, 0).into())?;
    stage.listen(&server, 1)?;
    go(&near)?;
    let client = stage.connected("client", server.local())?;
    let accepted = stage.accept(&server)?;
    let (mut sent, mut got) = (Vec::new(), Vec::new());
    for sentence in [SENTENCE, b"over and over", b"and over again", b"good bye"] {
        stage.send(&client, sentence)?;
        let heard = stage.recv_all(&accepted, sentence.len())?;
        stage.send(&accepted, &heard.to_ascii_uppercase())?;
        // With the answer comes the acknowledgement: after it nothing is sent again.
        stage.recv_all(&client, heard.len())?;
        sent.push(sentence);
        got.push(heard);
    }
    let carried = link.stop().map_err(Stop::Refused)?;
    let again = retransmitted(&client)?;
    go(&far)?;
    let refused = counted("Tcp")?.saturating_sub(before);
    let flips: Vec<String> = carried.passages.iter().filter_map(flip).collect();
    stage.fact("flipped by the link", flips.join("; "))?;
    stage.fact("TcpInCsumErrors", format!("{refused} more than before (/proc/net/snmp)"))?;
    stage.fact("sent again (TCP_INFO)", count(again, "segment"))?;
    stage.claim(
        "The server's kernel dropped every segment with a flipped bit, and no other.",
        !flips.is_empty() && refused == flips.len() as u64,
        format!("{} flipped, {refused} counted as wrong", flips.len()),
    )?;
    stage.claim(
        "The client's kernel sent each of them again.",
        again >= flips.len() && again > 0,
        format!("{} dropped, {again} sent again", flips.len()),
    )?;
    stage.claim(
        "The program got every byte as it was sent, and made no call for it.",
        got == sent,
        format!("{} of {} sentences right", same(&sent, &got), sent.len()),
    )?;
    stage.close(client)?;
    stage.close(accepted)?;
    stage.close(server)?;
    Ok(())
}

fn same(sent: &[&[u8]], got: &[Vec<u8>]) -> usize {
    sent.iter().zip(got).filter(|(sent, got)| *sent == got).count()
}

/// Segments that this end has sent again.
pub(super) fn retransmitted(door: &Door) -> Result<usize, Stop> {
    let info = tcp_info(door).map_err(|error| Failure::new("getsockopt", "TCP_INFO", error))?;
    Ok(info.retransmitted as usize)
}

fn without_packets(stage: &mut Stage<'_>, complaint: &Complaint) -> Result<(), Stop> {
    stage.step(
        "Packets with a flipped bit are to be sent, and this system allows no link for them.",
        "A bit has to be flipped behind the kernel that computes the checksum, and before the one \
         that tests it: with private networks that is possible without touching a real one.",
    )?;
    stage.fact("not to be had here", complaint)
}

/// What the checksum cannot tell apart, computed.
fn blind(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "What 16 bits can see: the checksum of a datagram is computed for every change of one bit, \
         of two bits, and for two words that change places.",
        "It is a sum of 16-bit words (RFC 1071). A sum does not know the order of what was added, \
         and two changes may cancel each other.",
    )?;
    let server = stage.socket("server", Transport::Udp)?;
    stage.bind(&server, anywhere())?;
    let client = stage.socket("client", Transport::Udp)?;
    stage.send_to(&client, SENTENCE, server.local())?;
    let (data, datagram) = stage.recv_from(&server, 2048)?;
    let source = datagram.source.unwrap_or(client.local());
    let ends = Ends { source: source.ip(), destination: server.local().ip() };
    let fields = |data: &[u8]| Fields {
        source: source.port(),
        destination: server.local().port(),
        length: u16::try_from(HEADER + data.len()).unwrap_or(u16::MAX),
        checksum: 0,
        data: data.to_vec(),
    };
    let of = |data: &[u8]| fields(data).computed(ends);
    let (right, swapped) = (of(&data), of(SWAPPED));
    let word = |number: u16| hex(&number.to_be_bytes());
    for (name, data, checksum) in
        [("sent", &data[..], right), ("two words swapped", SWAPPED, swapped)]
    {
        let value = format!("{} {} -> {}", quoted(data), hex(data), word(checksum));
        stage.fact(name, value)?;
    }
    let bits = 8 * data.len();
    let flipped = |flips: &[usize]| {
        let mut data = data.clone();
        for flip in flips {
            if let Some(byte) = data.get_mut(flip / 8) {
                *byte ^= 0x80 >> (flip % 8);
            }
        }
        of(&data)
    };
    let one = (0..bits).filter(|bit| flipped(&[*bit]) != right).count();
    stage.claim(
        "Every change of one bit changes the checksum.",
        one == bits && bits == 8 * SENTENCE.len(),
        format!("{one} of {bits}"),
    )?;
    let pairs = (0..bits).flat_map(|one| (one + 1..bits).map(move |other| [one, other]));
    let missed = pairs.clone().filter(|pair| flipped(pair) == right).count();
    stage.claim(
        "Of the changes of two bits some do not: a one that becomes a zero, and a zero that becomes \
         a one, sixteen places further or a multiple of that.",
        missed > 0,
        format!("{missed} of {}", pairs.count()),
    )?;
    stage.claim(
        "Two words that change places are never seen: the sums are the same, the sums of money are \
         not.",
        swapped == right && SWAPPED != data,
        format!("{} for {} and for {}", word(right), quoted(&data), quoted(SWAPPED)),
    )?;
    stage.close(client)?;
    stage.close(server)?;
    Ok(())
}

/// What happens between two checksums is not seen by either.
fn between(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "A proxy flips the bit, between one socket and the next.",
        "Its kernel tests the checksum of what comes in and computes a new one for what goes out. \
         Whatever happens to the bytes meanwhile, in a router's memory or a program, is \
         covered by neither: only a check from end to end finds it (Saltzer, Reed and Clark, 1984).",
    )?;
    let server = stage.socket("server", Transport::Udp)?;
    stage.bind(&server, anywhere())?;
    let proxy = beside((&ALWAYS.spec()?, false), ALWAYS.seed, Kind::Udp, &[server.local()]);
    let proxy = proxy.map_err(Stop::Refused)?;
    let client = stage.socket("client", Transport::Udp)?;
    stage.send_to(&client, SENTENCE, proxy.address)?;
    let (heard, _) = stage.recv_from(&server, 2048)?;
    stage
        .fact("the proxy", format!("{}, with the link's words {}", proxy.address, ALWAYS.words))?;
    stage.claim(
        "It arrives wrong, with a checksum that is right.",
        differing(&heard, SENTENCE) == Some(1),
        format!("sent {}, received {}", quoted(SENTENCE), quoted(&heard)),
    )?;
    stage.close(client)?;
    stage.close(server)?;
    Ok(())
}
