//! The lesson `udp-header`: the eight bytes before the data, what their checksum covers, and how
//! errors come back.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use stentor_core::endpoint::Transport as Kind;
use stentor_os::failure::errno_name;
use stentor_os::net::option::set_int;

use super::byte_order;
use super::calls::{Door, Interest, PATIENCE, Transport, anywhere, ending, refused_with};
use super::header::{Ends, Fields, HEADER, hex};
use super::stage::{Stage, Stop};
use super::witnessed::{Seen, witness};
use crate::complaint::Exit;

const SENTENCE: &str = "hello world";

/// Numbers of options, as in include/uapi/asm-generic/socket.h and include/uapi/linux/udp.h.
const SOL_SOCKET: i32 = 1;
const SO_NO_CHECK: i32 = 11;
const IPPROTO_UDP: i32 = 17;
const UDP_NO_CHECK6_TX: i32 = 101;
const UDP_NO_CHECK6_RX: i32 = 102;
/// The flag of send(2): more data of the same datagram follow.
const MSG_MORE: i32 = 0x8000;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    match captured(stage)? {
        Some((fields, ends)) => {
            draw(stage, &fields, "The captured datagram, field by field.")?;
            checksum(stage, &fields, ends)?;
        }
        None => built(stage)?,
    }
    kernels_own(stage)?;
    zero_over_ipv4(stage)?;
    zero_over_ipv6(stage)?;
    connected(stage)?;
    unconnected(stage)
}

/// A real datagram; none where packets cannot be had, which is said.
fn captured(stage: &mut Stage<'_>) -> Result<Option<(Fields, Ends)>, Stop> {
    stage.step(
        "A client sends one datagram to a server, and its packet is captured.",
        "stentor trace runs both in a private network and copies each packet that crosses it.",
    )?;
    let seen = match witness(stage, Kind::Udp, SENTENCE) {
        Ok(seen) => seen,
        Err(Stop::Refused(complaint)) if complaint.exit == Exit::Impossible => {
            stage.fact("nothing can be traced here", complaint)?;
            return Ok(None);
        }
        Err(stop) => return Err(stop),
    };
    let found = datagram(&seen);
    if found.is_none() && seen.missing.is_none() {
        return Err(Stop::Contradicted {
            what: "the capture shows no datagram to the server".to_owned(),
            next: String::new(),
        });
    }
    Ok(found)
}

/// The fields of the captured datagram, and its addresses.
pub(super) fn datagram(seen: &Seen) -> Option<(Fields, Ends)> {
    let shown = seen.datagram()?;
    let place = |at: u32| usize::try_from(at).ok();
    let start = place(shown.headers.payload.start)?.checked_sub(HEADER)?;
    let bytes = shown.packet.bytes.get(start..place(shown.headers.payload.end)?)?;
    let ip = shown.headers.ip;
    Some((Fields::parse(bytes)?, Ends { source: ip.source, destination: ip.destination }))
}

fn draw(stage: &mut Stage<'_>, fields: &Fields, title: &str) -> Result<(), Stop> {
    stage.step(
        title,
        "RFC 768 has four fields of 16 bits, each in network order: the larger part first.",
    )?;
    stage.figure(&fields.figure())?;
    let number = |field: u16| format!("{} = {field}", hex(&field.to_be_bytes()));
    stage.fact("source port", format!("{}: where an answer goes", number(fields.source)))?;
    let to = format!("{}: which socket gets it", number(fields.destination));
    stage.fact("destination port", to)?;
    let length = format!("{}: 8 of header, {} of data", number(fields.length), fields.data.len());
    stage.fact("length", length)?;
    stage.fact("checksum", hex(&fields.checksum.to_be_bytes()))?;
    stage.fact("data", format!("{} = \"{SENTENCE}\"", hex(&fields.data)))?;
    stage.claim(
        "Eight bytes stand before the data: no sequence number, no acknowledgement, no window.",
        usize::from(fields.length) == HEADER + SENTENCE.len()
            && fields.data == SENTENCE.as_bytes()
            && fields.bytes().len() == HEADER + SENTENCE.len(),
        format!("{} = 8 + {}", fields.length, fields.data.len()),
    )
}

fn checksum(stage: &mut Stage<'_>, fields: &Fields, ends: Ends) -> Result<(), Stop> {
    stage.step(
        "The checksum is computed again, and compared.",
        "All 16-bit words of a pseudo header (addresses, protocol 17, length), the header and the \
         data are added, each carry is added at the end, and the result is complemented (RFC 768, \
         RFC 1071). So a datagram for another address is noticed, too.",
    )?;
    let word = |number: u16| hex(&number.to_be_bytes());
    let (whole, partial) = (fields.computed(ends), fields.partial(ends));
    stage.fact("pseudo header", hex(&ends.pseudo_header(fields.length)))?;
    stage.fact("sum of the pseudo header", word(partial))?;
    stage.fact("sum of all, checksum as 0", word(!whole))?;
    stage.fact("its complement", word(whole))?;
    stage.fact("in the packet", word(fields.checksum))?;
    let seen = format!("{} in the packet, {} computed", word(fields.checksum), word(whole));
    if fields.checksum == partial && partial != whole {
        stage.claim(
            "The packet carries the sum of the pseudo header alone: the kernel leaves the rest to \
             the network card, and the loopback interface has none; nothing can flip a bit there.",
            fields.checksum == partial,
            seen,
        )?;
    } else {
        stage.claim(
            "The packet carries the checksum that RFC 768 wants.",
            fields.checksum == whole,
            seen,
        )?;
    }
    let complete = Fields { checksum: whole, ..fields.clone() };
    stage.claim(
        "With the whole checksum in its place, the receiver's sum is all ones.",
        complete.whole(ends) == 0xffff,
        word(complete.whole(ends)),
    )?;
    let mut flipped = complete;
    if let Some(byte) = flipped.data.first_mut() {
        *byte ^= 0x20;
    }
    stage.claim(
        "With one bit of the data turned, it is not.",
        flipped.whole(ends) != 0xffff,
        word(flipped.whole(ends)),
    )
}

/// The header from what the sockets say, where no packet can be seen.
fn built(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let server = bound(stage)?;
    let client = stage.socket("client", Transport::Udp)?;
    stage.send_to(&client, SENTENCE.as_bytes(), server.local())?;
    let (data, datagram) = stage.recv_from(&server, 2048)?;
    let source = datagram.source.unwrap_or(client.local());
    let length = u16::try_from(HEADER + data.len()).unwrap_or(u16::MAX);
    let destination = server.local();
    let ends = Ends { source: source.ip(), destination: destination.ip() };
    let (from, to) = (source.port(), destination.port());
    let blank = Fields { source: from, destination: to, length, checksum: 0, data };
    let fields = Fields { checksum: blank.computed(ends), ..blank };
    stage.close(client)?;
    stage.close(server)?;
    draw(stage, &fields, "The header, not captured but put together from what the sockets say.")?;
    checksum(stage, &fields, ends)
}

fn bound(stage: &mut Stage<'_>) -> Result<Door, Stop> {
    let server = stage.socket("server", Transport::Udp)?;
    stage.bind(&server, anywhere())?;
    Ok(server)
}

/// Sets an option that has no call of its own here.
fn set(
    stage: &mut Stage<'_>,
    door: &Door,
    option: (&str, i32, i32),
    value: i32,
) -> Result<(), Stop> {
    let (name, level, number) = option;
    let set = set_int(door.as_fd(), level, number, value);
    let given = format!("{}, {name}, {value}", door.number());
    stage.call(door.who(), "setsockopt", given, door.local(), set, |()| "0".to_owned())?;
    Ok(())
}

/// A raw socket, which gets a copy of each datagram that arrives (raw(7)): to be made before it
/// leaves, and a privilege that most have not.
fn raw() -> io::Result<Socket> {
    Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP))
}

/// The header of the datagram between two sockets; none where it cannot be seen, which is said.
fn on_the_wire(
    stage: &mut Stage<'_>,
    raw: io::Result<Socket>,
    client: &Door,
    server: &Door,
) -> Result<Option<[u8; HEADER]>, Stop> {
    match raw {
        Ok(raw) => {
            let header = byte_order::find(&raw, client.local().port(), server.local().port())?;
            header.map(Some).ok_or_else(|| Stop::Contradicted {
                what: "the raw socket got no copy of the datagram".to_owned(),
                next: String::new(),
            })
        }
        Err(error) => {
            let errno = errno_name(&error).unwrap_or_default();
            stage.fact("the packet itself", format!("not visible here: {errno}"))?;
            stage.fact("to see it", "run as root, or: setcap cap_net_raw+ep on this program")?;
            Ok(None)
        }
    }
}

fn kernels_own(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "A datagram is put together from two sends, so that the kernel must add up by itself.",
        "MSG_MORE keeps a datagram open for more data (send(2)). Linux leaves no such datagram to \
         the network card: its checksum is whole even on the loopback interface.",
    )?;
    let server = bound(stage)?;
    let client = stage.socket("client", Transport::Udp)?;
    stage.connect(&client, server.local())?;
    let raw = raw();
    let part = client.options().send_with_flags(b"hello ", MSG_MORE);
    let given = format!("{}, \"hello \", MSG_MORE", client.number());
    stage.call("client", "send", given, server.local(), part, usize::to_string)?;
    stage.send(&client, b"world")?;
    let header = on_the_wire(stage, raw, &client, &server)?;
    let (data, _) = stage.recv_from(&server, 2048)?;
    stage.claim(
        "Two sends, one datagram, one header.",
        data == SENTENCE.as_bytes(),
        super::calls::quoted(&data),
    )?;
    if let Some(header) = header {
        let bytes = [&header[..], &data].concat();
        let ends = Ends { source: client.local().ip(), destination: server.local().ip() };
        let word = |number: u16| hex(&number.to_be_bytes());
        let fields = Fields::parse(&bytes);
        let both = fields.map(|fields| (fields.checksum, fields.computed(ends)));
        stage.claim(
            "The kernel comes to the same checksum as RFC 768's rule.",
            both.is_some_and(|(kernel, ours)| kernel == ours),
            both.map_or_else(
                || "no datagram".to_owned(),
                |(kernel, ours)| format!("kernel {}, computed {}", word(kernel), word(ours)),
            ),
        )?;
    }
    stage.close(client)?;
    stage.close(server)?;
    Ok(())
}

fn zero_over_ipv4(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "A client switches the checksum off, over IPv4.",
        "A checksum of 0 means that there is none: over IPv4 it is not mandatory (RFC 768). A \
         computed 0 is sent as ff ff.",
    )?;
    let server = bound(stage)?;
    let client = stage.socket("client", Transport::Udp)?;
    stage.bind(&client, anywhere())?;
    set(stage, &client, ("SO_NO_CHECK", SOL_SOCKET, SO_NO_CHECK), 1)?;
    let raw = raw();
    stage.send_to(&client, b"unchecked", server.local())?;
    if let Some(header) = on_the_wire(stage, raw, &client, &server)? {
        stage.claim(
            "The packet carries 0 where the checksum stands.",
            header.get(6..8) == Some(&[0, 0]),
            hex(header.get(6..8).unwrap_or_default()),
        )?;
    }
    let (heard, _) = stage.recv_from(&server, 2048)?;
    stage.claim(
        "It arrives: over IPv4 the receiver takes a datagram without a checksum.",
        heard == b"unchecked",
        super::calls::quoted(&heard),
    )?;
    stage.close(client)?;
    stage.close(server)?;
    Ok(())
}

fn zero_over_ipv6(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "The same over IPv6.",
        "IPv6 has no checksum of its own header, so UDP's must be there: a receiver throws a \
         datagram without one away (RFC 8200, section 8.1), unless it was told to expect them \
         (RFC 6935, for tunnels).",
    )?;
    let Some((server, client)) = over_ipv6(stage)? else { return Ok(()) };
    let sending = ("UDP_NO_CHECK6_TX", IPPROTO_UDP, UDP_NO_CHECK6_TX);
    set(stage, &client, sending, 1)?;
    let sent = stage.send_to(&client, b"unchecked", server.local())?;
    set(stage, &client, sending, 0)?;
    stage.send_to(&client, b"checked", server.local())?;
    let (first, _) = stage.recv_from(&server, 2048)?;
    let more = stage.poll(&server, Interest::Read, Duration::ZERO)?;
    stage.claim(
        "It does not arrive, and nobody is told: what was sent after it is all there is.",
        sent == 9 && first == b"checked" && !more,
        format!(
            "first {}, then {}",
            super::calls::quoted(&first),
            if more { "more" } else { "nothing" }
        ),
    )?;
    set(stage, &server, ("UDP_NO_CHECK6_RX", IPPROTO_UDP, UDP_NO_CHECK6_RX), 1)?;
    set(stage, &client, sending, 1)?;
    stage.send_to(&client, b"expected", server.local())?;
    let (heard, _) = stage.recv_from(&server, 2048)?;
    stage.claim(
        "A receiver that expects such datagrams gets them.",
        heard == b"expected",
        super::calls::quoted(&heard),
    )?;
    stage.close(client)?;
    stage.close(server)?;
    Ok(())
}

/// A server on ::1 and a client; none where there is no IPv6, which is said.
fn over_ipv6(stage: &mut Stage<'_>) -> Result<Option<(Door, Door)>, Stop> {
    let own = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let made = stage.socket_over(Domain::IPV6, "server", Transport::Udp);
    let bound = made.and_then(|server| stage.bind(&server, own).map(|()| server));
    match bound {
        Ok(server) => {
            let client = stage.socket_over(Domain::IPV6, "client", Transport::Udp)?;
            Ok(Some((server, client)))
        }
        Err(failure) => {
            let errno = errno_name(&failure.error).unwrap_or_default();
            stage.fact("IPv6", format!("not here ({errno}): this step is passed over"))?;
            stage.fact("to have it", "sysctl net.ipv6.conf.lo.disable_ipv6=0")?;
            Ok(None)
        }
    }
}

/// A port that is nobody's for strangers, and stays so while the socket lives: it is connected to
/// itself, and takes datagrams from no other.
fn nobodys(stage: &mut Stage<'_>) -> Result<Door, Stop> {
    let guard = bound(stage)?;
    stage.connect(&guard, guard.local())?;
    Ok(guard)
}

fn connected(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "A connected socket sends to a port where nobody is for it.",
        "UDP itself reports nothing. The other kernel answers by ICMP, port unreachable (RFC 792, \
         RFC 1122 section 4.1.3.1), which quotes the header; by its ports the sender's kernel \
         finds the socket. The server's socket is connected to itself: for all others nobody has \
         its port, and nobody else can take it.",
    )?;
    let guard = nobodys(stage)?;
    let client = stage.socket("client", Transport::Udp)?;
    stage.connect(&client, guard.local())?;
    let sent = stage.send(&client, b"hello")?;
    let told = stage.poll(&client, Interest::Read, PATIENCE)?;
    let answer = stage.recv(&client, 2048);
    stage.claim(
        "send succeeds; the next call on the socket says ECONNREFUSED.",
        sent == 5 && told && refused_with(&answer, "ECONNREFUSED"),
        format!("send: {sent}, recv: {}", ending(&answer)),
    )?;
    stage.close(client)?;
    stage.close(guard)?;
    Ok(())
}

fn unconnected(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "An unconnected socket sends to such a port, then to a server that answers.",
        "A socket that talks to many could not say whom the error is about, so Linux does not \
         report it (udp(7)) unless IP_RECVERR is set. That the answer, which was caused later, \
         arrives while there is no error shows that none was to come.",
    )?;
    let guard = nobodys(stage)?;
    let server = bound(stage)?;
    let client = stage.socket("client", Transport::Udp)?;
    let lost = stage.send_to(&client, b"hello", guard.local())?;
    let sent = stage.send_to(&client, b"hello", server.local())?;
    let (heard, question) = stage.recv_from(&server, 2048)?;
    let back = question.source.unwrap_or(client.local());
    stage.send_to(&server, &heard.to_ascii_uppercase(), back)?;
    let (answer, datagram) = stage.recv_from(&client, 2048)?;
    let pending = client.options().take_error().ok().flatten();
    let pending = pending.and_then(|error| errno_name(&error));
    stage.fact("pending error (SO_ERROR)", pending.as_deref().unwrap_or("none"))?;
    stage.claim(
        "It is never told: the answer of the server comes, and no error before or after it.",
        lost == 5
            && sent == 5
            && answer == b"HELLO"
            && datagram.source == Some(server.local())
            && pending.is_none(),
        format!("recvfrom: {}", super::calls::quoted(&answer)),
    )?;
    stage.close(client)?;
    stage.close(server)?;
    stage.close(guard)?;
    Ok(())
}
