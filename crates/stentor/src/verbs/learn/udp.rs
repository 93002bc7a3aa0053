//! The lesson `udp`: datagrams with their boundaries, their sources, and their cut ends.

use std::net::SocketAddr;
use std::time::Duration;

use super::calls::{Door, Interest, Transport, anywhere};
use super::service::with_service;
use super::stage::{Stage, Stop};

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    nobody(stage)?;
    let server = bind(stage)?;
    let client = exchange(stage, &server)?;
    boundaries(stage, &server, &client)?;
    cut(stage, &server, &client)?;
    stage.close(client)?;
    stage.close(server)?;
    with_service(stage, |_| {}, |stage, service| real(stage, service.udp))
}

fn real(stage: &mut Stage<'_>, target: SocketAddr) -> Result<(), Stop> {
    stage.step(
        "The lecture's client at the service of stentor serve.",
        "The service answers from the address that was called, to the address that called.",
    )?;
    let client = stage.socket("client", Transport::Udp)?;
    stage.send_to(&client, b"hello world", target)?;
    let (answer, datagram) = stage.recv_from(&client, 2048)?;
    stage.claim(
        "One datagram there, one back, in CAPITALS.",
        answer == b"HELLO WORLD" && datagram.source == Some(target),
        shown(datagram.source),
    )?;
    stage.close(client)?;
    Ok(())
}

fn nobody(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "A client sends to a port where nobody is.",
        "There is no handshake: nothing is asked before the datagram leaves, so nothing can be \
         refused.",
    )?;
    // A bound socket, closed again: a free port that was ours a moment ago.
    let gone = stage.socket("server", Transport::Udp)?;
    stage.bind(&gone, anywhere())?;
    let nowhere = gone.local();
    stage.close(gone)?;
    let client = stage.socket("client", Transport::Udp)?;
    let sent = stage.send_to(&client, b"hello", nowhere)?;
    let ready = stage.poll(&client, Interest::Read, Duration::ZERO)?;
    stage.claim(
        "sendto succeeds, and no error comes back to this socket.",
        sent == 5 && !ready,
        format!("{sent} bytes taken, nothing to read"),
    )?;
    stage.close(client)?;
    Ok(())
}

fn bind(stage: &mut Stage<'_>) -> Result<Door, Stop> {
    stage.step(
        "The server makes a socket and binds it; it neither listens nor accepts.",
        "One socket serves every client: there are no connections to keep apart.",
    )?;
    let server = stage.socket("server", Transport::Udp)?;
    stage.bind(&server, anywhere())?;
    stage.fact("bound to", server.local())?;
    let listening = server.options().listen(1);
    let refused = listening.as_ref().err().and_then(stentor_os::failure::errno_name);
    stage.claim(
        "A UDP socket cannot listen.",
        refused.is_some(),
        refused.as_deref().unwrap_or("listen succeeded"),
    )?;
    Ok(server)
}

fn exchange(stage: &mut Stage<'_>, server: &Door) -> Result<Door, Stop> {
    stage.step(
        "A client sends a sentence; the server answers to the address it came from.",
        "Each datagram carries its destination and its source: the server learns from the \
         datagram itself where the answer goes.",
    )?;
    let client = stage.socket("client", Transport::Udp)?;
    let before = client.local().port();
    stage.witness();
    stage.send_to(&client, b"hello world", server.local())?;
    let (heard, question) = stage.recv_from(server, 2048)?;
    let source = question.source.unwrap_or(client.local());
    stage.send_to(server, &heard.to_ascii_uppercase(), source)?;
    let (answer, datagram) = stage.recv_from(&client, 2048)?;
    stage.picture(
        &format!("client {}", client.local()),
        &format!("server {}", server.local()),
        &["2 datagrams: no handshake before them, no end after them".to_owned()],
    )?;
    stage.fact(
        "client's port",
        format!("{before} before sendto, {} after", client.local().port()),
    )?;
    stage.fact("source the server saw", source)?;
    stage.claim(
        "The answer is the upper case of the sentence, from the server's own address.",
        answer == b"HELLO WORLD" && datagram.source == Some(server.local()),
        shown(datagram.source),
    )?;
    stage.claim(
        "The source of the question is the client's port, which sendto chose.",
        before == 0 && source.port() == client.local().port(),
        format!("port {}", source.port()),
    )?;
    Ok(client)
}

fn boundaries(stage: &mut Stage<'_>, server: &Door, client: &Door) -> Result<(), Stop> {
    stage.step(
        "The client sends three datagrams, one of them empty, before the server reads.",
        "What was sent in one call is received in one call; an empty datagram is a message too, \
         and no end.",
    )?;
    let messages: [&[u8]; 3] = [b"one", b"", b"three"];
    for message in messages {
        stage.send_to(client, message, server.local())?;
    }
    let mut heard = Vec::new();
    for _ in messages {
        heard.push(stage.recv_from(server, 2048)?.0);
    }
    let lengths: Vec<_> = heard.iter().map(Vec::len).collect();
    stage.claim(
        "Three datagrams, three receives: the boundaries are kept.",
        heard == messages,
        format!("lengths {lengths:?}"),
    )
}

fn cut(stage: &mut Stage<'_>, server: &Door, client: &Door) -> Result<(), Stop> {
    stage.step(
        "The server takes at most 4 bytes of a datagram of 11.",
        "The number given to recvfrom is a maximum. What does not fit is thrown away; only the \
         flag MSG_TRUNC tells.",
    )?;
    stage.send_to(client, b"hello world", server.local())?;
    stage.send_to(client, b"next", server.local())?;
    let (kept, datagram) = stage.recv_from(server, 4)?;
    stage.fact("bytes kept", kept.len())?;
    stage.fact("bytes the datagram had", datagram.length)?;
    stage.fact("MSG_TRUNC", if datagram.truncated { "set" } else { "not set" })?;
    let (next, whole) = stage.recv_from(server, 2048)?;
    stage.claim(
        "The kernel says that the datagram was cut.",
        kept == b"hell" && datagram.truncated && !whole.truncated,
        "MSG_TRUNC on the first, not on the next",
    )?;
    stage.claim(
        "The rest is lost: the next receive gives the next datagram.",
        next == b"next",
        super::calls::quoted(&next),
    )
}

fn shown(source: Option<SocketAddr>) -> String {
    source.map_or_else(|| "no source".to_owned(), |source| format!("from {source}"))
}
