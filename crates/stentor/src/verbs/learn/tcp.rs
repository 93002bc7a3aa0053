//! The lesson `tcp`: the lecture's own application, call by call.

use std::net::SocketAddr;

use super::calls::{Door, Transport, anywhere, quoted};
use super::evidence::{settled, state_of, waiting};
use super::service::with_service;
use super::stage::{Stage, Stop};

const SENTENCE: &[u8] = b"hello world";

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let server = listen(stage)?;
    let client = connect(stage, &server)?;
    let conversation = accept(stage, &server, &client)?;
    sentence(stage, &client, &conversation)?;
    end(stage, server, client, conversation)?;
    with_service(stage, |_| {}, |stage, service| real(stage, service.tcp))
}

fn real(stage: &mut Stage<'_>, target: SocketAddr) -> Result<(), Stop> {
    stage.step(
        "The lecture's client at the service of stentor serve.",
        "It sends no newline and keeps its end open: a service that waited for either would not \
         answer.",
    )?;
    let client = stage.connected("client", target)?;
    stage.send(&client, SENTENCE)?;
    let answer = stage.recv_all(&client, SENTENCE.len())?;
    stage.claim(
        "The service answers at once, too.",
        answer == SENTENCE.to_ascii_uppercase(),
        quoted(&answer),
    )?;
    stage.close(client)?;
    Ok(())
}

fn listen(stage: &mut Stage<'_>) -> Result<Door, Stop> {
    stage.step(
        "The server makes a socket, gives it an address, and listens.",
        "A server must be there first, at an address that the client knows. Port 0 asks the \
         kernel for any free port.",
    )?;
    let server = stage.socket("server", Transport::Tcp)?;
    stage.bind(&server, anywhere())?;
    stage.listen(&server, 1)?;
    stage.fact("listening at", server.local())?;
    let state = state_of(&server)?;
    stage.claim(
        "A listening socket has an address and no other end.",
        state == "LISTEN" && server.peer().is_none(),
        state,
    )?;
    Ok(server)
}

fn connect(stage: &mut Stage<'_>, server: &Door) -> Result<Door, Stop> {
    stage.step(
        "The client makes a socket, and then connects it.",
        "Whether the connection exists can be seen at both ends: the client's socket has a \
         state, and the server's queue holds the connections that wait for accept.",
    )?;
    let client = stage.socket("client", Transport::Tcp)?;
    let before = (client.peer(), waiting(server)?);
    stage.fact("client's local address", client.local())?;
    stage.fact("connections at the server", before.1)?;
    stage.claim(
        "Making the socket makes no connection.",
        before == (None, 0) && client.local().port() == 0,
        "no address, no other end, and the server's queue is empty",
    )?;
    stage.witness();
    stage.connect(&client, server.local())?;
    let state = state_of(&client)?;
    let after = settled(|| waiting(server), |queue| *queue == 1)?;
    stage.fact("client's local address", client.local())?;
    stage.fact("client's TCP state", state)?;
    stage.fact("connections at the server", after)?;
    stage.claim(
        "connect makes it, and chooses the client's port; accept has not been called yet.",
        state == "ESTABLISHED" && after == 1 && client.local().port() != 0,
        format!("{state}, and {after} connection waits in the server's queue"),
    )?;
    Ok(client)
}

fn accept(stage: &mut Stage<'_>, server: &Door, client: &Door) -> Result<Door, Stop> {
    stage.step(
        "The server accepts.",
        "accept takes a finished connection out of the queue and gives it a socket of its own; \
         the listening socket goes on listening.",
    )?;
    let conversation = stage.accept(server)?;
    stage.fact("listening socket", format!("{} at {}", server.number(), server.local()))?;
    let local = conversation.local();
    stage.fact("socket of the client", format!("{} at {local}", conversation.number()))?;
    stage.claim(
        "accept gives a new socket, with the same local port.",
        conversation.number() != server.number()
            && local.port() == server.local().port()
            && conversation.peer() == Some(client.local()),
        format!(
            "descriptors {} and {}, port {}",
            server.number(),
            conversation.number(),
            local.port()
        ),
    )?;
    let queue = waiting(server)?;
    stage.claim(
        "The listening socket still listens, with an empty queue.",
        state_of(server)? == "LISTEN" && queue == 0,
        format!("LISTEN, {queue} waiting"),
    )?;
    Ok(conversation)
}

fn sentence(stage: &mut Stage<'_>, client: &Door, conversation: &Door) -> Result<(), Stop> {
    stage.step(
        "The client sends a sentence without a newline; the server answers in CAPITALS.",
        "TCP knows no lines. Whoever waits for a newline that never comes waits for ever.",
    )?;
    stage.send(client, SENTENCE)?;
    let heard = stage.recv_all(conversation, SENTENCE.len())?;
    let answer = heard.to_ascii_uppercase();
    stage.send(conversation, &answer)?;
    let answer = stage.recv_all(client, SENTENCE.len())?;
    stage.claim(
        "The sentence arrives without a newline, and its answer is its upper case.",
        heard == SENTENCE && answer == SENTENCE.to_ascii_uppercase(),
        format!("{} bytes there, {} back", heard.len(), answer.len()),
    )
}

fn end(stage: &mut Stage<'_>, server: Door, client: Door, conversation: Door) -> Result<(), Stop> {
    stage.step(
        "The client closes; the server reads the end.",
        "The end of a stream is an event of its own: recv gives 0 bytes, once all others were read.",
    )?;
    let ends = (format!("client {}", client.local()), format!("server {}", conversation.local()));
    stage.close(client)?;
    let rest = stage.recv(&conversation, 1024)?;
    stage.claim("recv gives 0 bytes at the end of the stream.", rest.is_empty(), rest.len())?;
    stage.close(conversation)?;
    stage.picture(
        &ends.0,
        &ends.1,
        &["1 connection: SYN begins it, a FIN each ends it".to_owned()],
    )?;
    stage.close(server)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use stentor_core::service::Service;

    use super::super::stage::rehearse;
    use super::*;
    use crate::complaint::Exit;

    #[test]
    fn a_service_that_does_not_answer_in_capitals_contradicts_the_lesson() {
        let with = |service| {
            rehearse(|stage| {
                with_service(
                    stage,
                    |plan| plan.contract.service = service,
                    |stage, service| real(stage, service.tcp),
                )
            })
        };
        let (shown, record, exit) = with(Service::Echo);
        assert_eq!(exit, Exit::Bad, "{shown}");
        assert!(!record.claims[0].held && record.claims[0].seen.contains("hello world"));
        assert_eq!(with(Service::Upper).2, Exit::Good);
    }
}
