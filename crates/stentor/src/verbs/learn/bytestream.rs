//! The lesson `bytestream`: TCP keeps the order of bytes and nothing of the calls.

use std::net::SocketAddr;

use stentor_core::casing::{Case, Upper};
use stentor_os::failure::Failure;
use stentor_os::net::{queues, whole};

use super::calls::Door;
use super::stage::{Stage, Stop};

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
    character(stage, &client, &far)?;
    for door in [client, far, server] {
        stage.close(door)?;
    }
    Ok(())
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

fn character(stage: &mut Stage<'_>, client: &Door, far: &Door) -> Result<(), Stop> {
    stage.step(
        "A letter of two bytes is cut: one byte in each send.",
        "A stream may be cut anywhere, also inside a character. A service that answers each read \
         by itself must hold an incomplete character back until its rest comes.",
    )?;
    let word = "straße ж".as_bytes();
    // The last letter is d0 b6; the cut lies between the two.
    let (first, rest) = word.split_at(word.len() - 1);
    let mut upper = Upper::new(Case::Unicode);
    let (mut answer, mut naive) = (Vec::new(), String::new());
    for part in [first, rest] {
        stage.send(client, part)?;
        let mut read = stage.recv_all(far, part.len())?;
        naive.push_str(&String::from_utf8_lossy(&read).to_uppercase());
        let before = answer.len();
        fold(&mut upper, &mut read, &mut answer);
        let bytes = answer.get(before..).unwrap_or_default();
        stage.fact("read", hex(part))?;
        stage.fact("answered", hex(bytes))?;
    }
    answer.extend_from_slice(upper.finish());
    stage.send(far, &answer)?;
    let came = stage.recv_all(client, answer.len())?;
    stage.fact("each read answered by itself", &naive)?;
    let came = String::from_utf8_lossy(&came).into_owned();
    stage.fact("held back until complete", &came)?;
    stage.claim(
        "The cut character survives: the answer is the upper case of the whole.",
        came == "STRASSE Ж",
        &came,
    )?;
    stage.claim(
        "A server that takes each read for a text breaks it.",
        naive.contains('\u{fffd}'),
        &naive,
    )
}

/// Feeds all of `read` to the service's own machine.
fn fold(upper: &mut Upper, read: &mut [u8], answer: &mut Vec<u8>) {
    let (mut fed, mut spill) = (0, Vec::new());
    while let Some(rest) = read.get_mut(fed..).filter(|rest| !rest.is_empty()) {
        let (taken, part) = upper.feed(rest, &mut spill);
        answer.extend_from_slice(part);
        fed += taken;
    }
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
