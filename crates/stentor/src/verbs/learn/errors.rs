//! The lesson `errors`: each failure of a socket program made to happen, with its errno and the
//! next step.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use stentor_os::failure::Failure;
use stentor_os::resolve;

use super::calls::{Interest, PATIENCE, Transport, anywhere, ending, refused_with};
use super::evidence::count;
use super::stage::{Stage, Stop};
use crate::complaint::Complaint;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    name(stage)?;
    socket(stage)?;
    bind(stage)?;
    connect(stage)?;
    send(stage)?;
    receive(stage)?;
    late(stage)
}

/// Shows what the program says of a failure and claims that it was this errno.
fn expect<T>(
    stage: &mut Stage<'_>,
    result: Result<T, Failure>,
    errno: &str,
    claim: &str,
    next: &str,
) -> Result<(), Stop> {
    let (held, seen) = (refused_with(&result, errno), ending(&result));
    if let Err(failure) = result {
        let complaint = Complaint::from(failure);
        stage.fact("what happened", &complaint.what)?;
        let known = complaint.next;
        stage.fact("next step", if known.is_empty() { next } else { &known })?;
    }
    stage.claim(claim, held, seen)
}

fn name(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "A name is resolved that nobody can have.",
        "One part of a name has at most 63 letters (RFC 1035, section 2.3.4). This one has 64, so \
         that no server need be asked.",
    )?;
    let name = format!("{}.invalid", "x".repeat(64));
    let short = "xxxx...x.invalid";
    let found = resolve::addresses(&name, 12_000);
    let shown = |found: &Vec<SocketAddr>| count(found.len(), "address");
    let found = stage.call("client", "getaddrinfo", short, short, found, shown);
    if let Err(failure) = &found {
        stage.fact("what happened", failure)?;
        stage.fact("next step", "Check the spelling; getent hosts NAME asks the same resolver.")?;
    }
    let no_errno = found.as_ref().err().is_some_and(|f| f.error.raw_os_error().is_none());
    stage.claim(
        "Resolution fails before there is a socket: with a code of its own, not an errno.",
        no_errno,
        ending(&found),
    )
}

fn socket(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "A stream socket is asked for with the protocol UDP.",
        "The transport is chosen twice, by type and by protocol, and the two must fit.",
    )?;
    let made = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::UDP));
    let given = "AF_INET, SOCK_STREAM, UDP";
    let made = stage.call("client", "socket", given, "stream over udp", made, |_| "made".into());
    expect(
        stage,
        made,
        "EPROTONOSUPPORT",
        "socket refuses what does not fit together.",
        "Use SOCK_STREAM for TCP, SOCK_DGRAM for UDP, and leave the protocol to the kernel.",
    )
}

fn bind(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "A server binds an address in use, and then one of another machine.",
        "bind fails for reasons on this machine only; nothing is sent.",
    )?;
    let first = stage.listening(1)?;
    let second = stage.socket("server", Transport::Tcp)?;
    let taken = stage.bind(&second, first.local());
    expect(stage, taken, "EADDRINUSE", "One address, one listening socket.", "")?;
    // TEST-NET-3 (RFC 5737): no machine has it.
    let foreign = SocketAddr::from((Ipv4Addr::new(203, 0, 113, 1), 0));
    let foreign = stage.bind(&second, foreign);
    if foreign.is_ok() {
        stage.fact("foreign addresses", "allowed here (net.ipv4.ip_nonlocal_bind)")?;
    } else {
        let claim = "A host can only bind addresses of its own.";
        expect(stage, foreign, "EADDRNOTAVAIL", claim, "")?;
    }
    stage.close(second)?;
    stage.close(first)?;
    Ok(())
}

fn connect(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "A client connects to a port that is bound and does not listen.",
        "Nobody else can take the port meanwhile, so the answer is certain: a RST, at once.",
    )?;
    let mute = stage.socket("server", Transport::Tcp)?;
    stage.bind(&mute, anywhere())?;
    let client = stage.socket("client", Transport::Tcp)?;
    let refused = stage.connect(&client, mute.local());
    let claim = "connect reports that nobody listens.";
    expect(stage, refused, "ECONNREFUSED", claim, "")?;
    stage.close(client)?;
    stage.close(mute)?;
    Ok(())
}

fn send(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "A client sends a datagram of 100,000 bytes.",
        "The length field of UDP has 16 bits, and the IP header counts too: 65,507 bytes at most.",
    )?;
    let client = stage.socket("client", Transport::Udp)?;
    let server = stage.socket("server", Transport::Udp)?;
    stage.bind(&server, anywhere())?;
    let sent = stage.send_to(&client, &vec![b'a'; 100_000], server.local());
    expect(
        stage,
        sent,
        "EMSGSIZE",
        "Too long a datagram is refused, not cut.",
        "Send at most 65,507 bytes in a datagram, or use TCP.",
    )?;
    stage.close(server)?;
    stage.close(client)?;
    Ok(())
}

fn receive(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "A server closes with an unread byte; then a client reads, and writes.",
        "Closing with unread bytes tells the other end that they were lost: the kernel sends a RST \
         instead of a FIN (RFC 1122, section 4.2.2.13).",
    )?;
    let server = stage.listening(1)?;
    let client = stage.connected("client", server.local())?;
    let far = stage.accept(&server)?;
    stage.send(&client, b"x")?;
    stage.poll(&far, Interest::Read, PATIENCE)?;
    stage.close(far)?;
    let read = stage.recv(&client, 1024);
    expect(
        stage,
        read,
        "ECONNRESET",
        "recv reports the reset, once.",
        "The other end gave up: look into its log; connect again if the work may be repeated.",
    )?;
    let written = stage.send(&client, b"y");
    expect(
        stage,
        written,
        "EPIPE",
        "Every later send fails: the connection is gone.",
        "Close the socket; a new connection needs a new one.",
    )?;
    stage.close(client)?;
    stage.close(server)?;
    Ok(())
}

fn late(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "A connected UDP socket sends to a port where nobody is, and then reads.",
        "The refusal comes back as an ICMP message after sendto has succeeded; only a connected \
         socket hears of it, and at its next call.",
    )?;
    let gone = stage.socket("server", Transport::Udp)?;
    stage.bind(&gone, anywhere())?;
    let nowhere = gone.local();
    stage.close(gone)?;
    let client = stage.socket("client", Transport::Udp)?;
    stage.connect(&client, nowhere)?;
    let sent = stage.send(&client, b"hello")?;
    let read = stage.recv(&client, 2048);
    let held = sent == 5;
    stage.claim("send succeeds: the error is not known yet.", held, format!("{sent} bytes"))?;
    if matches!(&read, Err(failure) if failure.error.kind() == io::ErrorKind::WouldBlock) {
        return Err(Stop::Impossible {
            what: format!("recv udp {nowhere}: no ICMP message came back"),
            next: "A firewall rule on the loopback drops it: allow ICMP type 3 there.".into(),
        });
    }
    expect(
        stage,
        read,
        "ECONNREFUSED",
        "The next call reports the failure of an earlier one.",
        "Nothing listens on that UDP port: start the server first, or check the port.",
    )?;
    stage.close(client)?;
    Ok(())
}
