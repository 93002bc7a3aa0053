//! The lesson `half`: a server that answers half of one read, and a client that must notice.

use std::net::SocketAddr;

use stentor_core::service::Service;

use super::calls::{Door, Transport, quoted};
use super::evidence::count;
use super::service::with_service;
use super::stage::{Stage, Stop};

/// The lecture's limit of one read.
const READ_BYTES_MAX: usize = 1024;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "The server listens with a backlog of 5.",
        "As in the lecture; its port is 2347 there, and any free one here.",
    )?;
    let server = stage.listening(5)?;
    picture(stage, &server)?;
    lengths(stage, &server)?;
    long(stage, &server)?;
    stage.close(server)?;
    with_service(
        stage,
        |plan| plan.contract.service = Service::Half,
        |stage, service| real(stage, service.tcp),
    )
}

fn real(stage: &mut Stage<'_>, target: SocketAddr) -> Result<(), Stop> {
    stage.step(
        "The same sentence to the service of stentor serve --service half.",
        "The server of the steps before was the lesson's own, so that its calls could be shown.",
    )?;
    let client = stage.connected("client", target)?;
    stage.send(&client, b"hello world")?;
    let (answer, orderly) = read_to_end(stage, &client);
    stage.claim(
        "It answers in the same way.",
        answer == b"hello" && orderly,
        format!("{}, then the end", quoted(&answer)),
    )?;
    stage.close(client)?;
    Ok(())
}

/// The server's part: one read, half of it back, close. Returns how many bytes it read.
fn serve(stage: &mut Stage<'_>, far: Door) -> Result<usize, Stop> {
    let read = stage.recv(&far, READ_BYTES_MAX)?;
    let half = read.get(..read.len() / 2).unwrap_or_default();
    stage.send(&far, half)?;
    stage.close(far)?;
    Ok(read.len())
}

/// Reads until the stream ends or breaks: what came, and whether the end was orderly.
fn read_to_end(stage: &mut Stage<'_>, client: &Door) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    loop {
        match stage.recv(client, 2000) {
            Ok(part) if part.is_empty() => return (all, true),
            Ok(part) => all.extend(part),
            Err(_) => return (all, false),
        }
    }
}

fn picture(stage: &mut Stage<'_>, server: &Door) -> Result<(), Stop> {
    stage.step(
        "A client sends a sentence of 11 bytes and reads until the end.",
        "A client that reads once takes what it gets for the whole. Only the end of the stream, \
         or a length known beforehand, tells whether something is missing.",
    )?;
    let client = stage.socket("client", Transport::Tcp)?;
    stage.witness();
    stage.connect(&client, server.local())?;
    let far = stage.accept(server)?;
    let (near, there) = (client.local(), far.local());
    let question = b"hello world";
    stage.send(&client, question)?;
    serve(stage, far)?;
    let (answer, orderly) = read_to_end(stage, &client);
    stage.picture(
        &format!("client {near}"),
        &format!("server {there}"),
        &["11 bytes there, 5 back: the answer is incomplete".to_owned()],
    )?;
    stage.claim(
        "The answer is the first half, unchanged: 5 of 11 bytes.",
        answer == b"hello",
        quoted(&answer),
    )?;
    stage.claim(
        "The stream ended in order, so nothing but the count shows that bytes are missing.",
        orderly && answer.len() < question.len(),
        format!("end of stream after {} of {} bytes", answer.len(), question.len()),
    )?;
    stage.close(client)?;
    Ok(())
}

fn lengths(stage: &mut Stage<'_>, server: &Door) -> Result<(), Stop> {
    stage.step(
        "Sentences of 1, 2, 5 and 1024 bytes.",
        "Half of an odd number is no number of bytes. A program has to say which way it rounds.",
    )?;
    for length in [1, 2, 5, READ_BYTES_MAX] {
        let client = stage.connected("client", server.local())?;
        let far = stage.accept(server)?;
        stage.send(&client, &vec![b'a'; length])?;
        // All of it, so that the one read is of the whole sentence.
        let there = stentor_os::net::whole::arrived(&far, length).unwrap_or_default();
        serve(stage, far)?;
        let (answer, _) = read_to_end(stage, &client);
        stage.claim(
            &format!("Of {}, floor({length}/2) = {}.", count(length, "byte"), length / 2),
            there == length && answer.len() == length / 2,
            format!("{} came back", count(answer.len(), "byte")),
        )?;
        stage.close(client)?;
    }
    Ok(())
}

fn long(stage: &mut Stage<'_>, server: &Door) -> Result<(), Stop> {
    stage.step(
        "A sentence of 3000 bytes.",
        "One read gives at most 1024 bytes. The rest is still in the server's buffer when it \
         closes, and the kernel tells the client with a RST that those bytes were lost.",
    )?;
    let client = stage.connected("client", server.local())?;
    let far = stage.accept(server)?;
    stage.send(&client, &[b'a'; 3000])?;
    stentor_os::net::whole::arrived(&far, 3000)
        .map_err(|error| stentor_os::failure::Failure::new("recv", "tcp", error))?;
    let read = serve(stage, far)?;
    let (answer, orderly) = read_to_end(stage, &client);
    stage.fact("bytes the server read", read)?;
    stage.fact("bytes the client got", answer.len())?;
    stage.claim(
        "The server reads 1024, and the connection ends with a reset instead of an end.",
        read == READ_BYTES_MAX && !orderly,
        format!("{read} read, then {}", if orderly { "an orderly end" } else { "a reset" }),
    )?;
    stage.claim(
        "The half answer of 512 bytes may itself be lost by the reset; more never comes.",
        answer.len() <= READ_BYTES_MAX / 2,
        format!("{} bytes", answer.len()),
    )?;
    stage.close(client)?;
    Ok(())
}
