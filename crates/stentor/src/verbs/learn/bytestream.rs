//! The lesson `bytestream`: TCP keeps the order of bytes and nothing of the calls.

use std::net::SocketAddr;

use stentor_os::failure::Failure;
use stentor_os::net::{queues, whole};

use super::calls::Door;
use super::service::with_service;
use super::stage::{Stage, Stop};

/// Its last letter has two bytes; ß becomes two letters.
const WORD: &str = "straße ж";

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.step(
        "A server listens, a client connects.",
        "Both steps after this one use the same connection.",
    )?;
    let server = stage.listening(1)?;
    let client = stage.connected("client", server.local())?;
    // Each send leaves at once: what is merged below is merged by the receiver's buffer alone.
    let set = client.options().set_tcp_nodelay(true);
    let given = format!("{}, TCP_NODELAY, 1", client.number());
    stage.call("client", "setsockopt", given, "tcp", set, |()| "0".into())?;
    let far = stage.accept(&server)?;
    let ends = (client.local(), far.local());
    merged(stage, &client, &far, ends)?;
    divided(stage, &client, &far, ends)?;
    for door in [client, far, server] {
        stage.close(door)?;
    }
    with_service(stage, |_| {}, |stage, service| character(stage, service.tcp))
}

fn merged(
    stage: &mut Stage<'_>,
    client: &Door,
    far: &Door,
    ends: (SocketAddr, SocketAddr),
) -> Result<(), Stop> {
    stage.step(
        "The client sends twice; the server reads once.",
        "The receive buffer holds bytes. Where one send ended and the next began is not kept.",
    )?;
    stage.witness();
    stage.send(client, b"hello ")?;
    stage.send(client, b"world")?;
    wait_for(far, 11)?;
    stage.fact("bytes waiting (SIOCINQ)", waiting(far)?)?;
    let read = stage.recv(far, 1024)?;
    draw(stage, ends, "2 sends = 1 recv")?;
    stage.claim("Two sends, one receive.", read == b"hello world", super::calls::quoted(&read))
}

fn divided(
    stage: &mut Stage<'_>,
    client: &Door,
    far: &Door,
    ends: (SocketAddr, SocketAddr),
) -> Result<(), Stop> {
    stage.step(
        "The client sends once; the server reads at most 10 bytes at a time.",
        "recv(n) gives at most n bytes, and may give fewer: what is there.",
    )?;
    stage.witness();
    let alphabet: Vec<u8> = (b'a'..=b'z').collect();
    stage.send(client, &alphabet)?;
    wait_for(far, alphabet.len())?;
    let mut parts = Vec::new();
    for _ in 0..3 {
        parts.push(stage.recv(far, 10)?);
    }
    draw(stage, ends, "1 send = 3 recv")?;
    let lengths: Vec<_> = parts.iter().map(Vec::len).collect();
    stage.claim(
        "One send, three receives; no byte is lost or out of order.",
        lengths == [10, 10, 6] && parts.concat() == alphabet,
        format!("{lengths:?} bytes"),
    )
}

fn character(stage: &mut Stage<'_>, target: SocketAddr) -> Result<(), Stop> {
    stage.step(
        "At the service of stentor serve, a letter of two bytes is cut: one byte in each send.",
        "A stream may be cut anywhere, also inside a character. A service that answers each read \
         by itself must hold an incomplete character back until its rest comes.",
    )?;
    let client = stage.connected("client", target)?;
    // d0 b6 is the last letter; the cut lies between its two bytes.
    let (first, rest) = WORD.as_bytes().split_at(WORD.len() - 1);
    let ends = (client.local(), target);
    stage.witness();
    stage.send(&client, first)?;
    let answered = "STRASSE ".len();
    // The rest is not sent before this much is answered: the service has seen the cut.
    let before = stage.recv_all(&client, answered)?;
    stage.send(&client, rest)?;
    let after = stage.recv_all(&client, "Ж".len())?;
    draw(stage, ends, "9 bytes sent, 8 answered: the 9th was held back until the 10th came")?;
    stage.fact("sent", format!("{} | {}", hex(first), hex(rest)))?;
    stage.fact("answered", format!("{} | {}", hex(&before), hex(&after)))?;
    let answer = [before.as_slice(), &after].concat();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    stage.claim(
        "The cut character survives: the answer is the upper case of the whole.",
        answer == WORD.to_uppercase() && before.len() == answered,
        &answer,
    )?;
    let alone = |part: &[u8]| String::from_utf8_lossy(part).to_uppercase();
    let naive = alone(first) + &alone(rest);
    stage.claim(
        "A server that took each read for a text would break it.",
        naive.contains(char::REPLACEMENT_CHARACTER) && naive != answer,
        &naive,
    )?;
    stage.close(client)?;
    Ok(())
}

fn draw(stage: &mut Stage<'_>, ends: (SocketAddr, SocketAddr), verdict: &str) -> Result<(), Stop> {
    let (client, server) = (format!("client {}", ends.0), format!("server {}", ends.1));
    stage.picture(&client, &server, &[verdict.to_owned()])
}

fn wait_for(door: &Door, count: usize) -> Result<(), Failure> {
    whole::arrived(door, count).map_err(|error| Failure::new("recv", "tcp", error))?;
    Ok(())
}

fn waiting(door: &Door) -> Result<usize, Failure> {
    queues::unread(door).map_err(|error| Failure::new("ioctl", "SIOCINQ", error))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
