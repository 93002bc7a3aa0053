//! The lesson `nonblocking`: what a socket says instead of waiting, and how to wait well.

use std::time::Duration;

use super::calls::{Door, Interest, PATIENCE, ending, ready, refused_with};
use super::stage::{Stage, Stop};

/// More than any kernel buffers between two sockets by default, so that a sender that never met
/// EWOULDBLOCK is an error, not an endless loop.
const MOST_BYTES: usize = 64 << 20;

/// How long nothing must change before a buffer counts as full.
const SETTLED: Duration = Duration::from_millis(20);

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let (server, client, far) = empty(stage)?;
    let sent = full(stage, &client)?;
    await_room(stage, &client, &far, sent)?;
    for door in [client, far, server] {
        stage.close(door)?;
    }
    Ok(())
}

fn empty(stage: &mut Stage<'_>) -> Result<(Door, Door, Door), Stop> {
    stage.step(
        "Nothing has arrived: accept and recv are asked anyway.",
        "A blocking socket would wait here. A non-blocking one answers at once, with an error that \
         means: not now.",
    )?;
    let server = stage.listening(1)?;
    stage.nonblocking(&server)?;
    let nobody = stage.accept(&server);
    let client = stage.connected("client", server.local())?;
    stage.poll(&server, Interest::Read, PATIENCE)?;
    let far = stage.accept(&server)?;
    stage.nonblocking(&client)?;
    stage.nonblocking(&far)?;
    let nothing = stage.recv(&client, 1024);
    stage.claim(
        "An empty queue and an empty buffer both say EWOULDBLOCK (EAGAIN is the same number).",
        refused_with(&nobody, "EAGAIN") && refused_with(&nothing, "EAGAIN"),
        format!("accept: {}, recv: {}", ending(&nobody), ending(&nothing)),
    )?;
    Ok((server, client, far))
}

fn full(stage: &mut Stage<'_>, client: &Door) -> Result<usize, Stop> {
    stage.step(
        "The client sends and sends; nobody reads.",
        "The bytes go into the client's send buffer, and from there into the other end's receive \
         buffer. Both are finite.",
    )?;
    let block = vec![b'a'; 64 << 10];
    let (mut sent, mut calls, mut last) = (0, 0, 0);
    let full = loop {
        // Hundreds of calls that succeed are counted and not shown; the refusal is both.
        while let Ok(taken) = client.options().send(&block) {
            (sent, calls, last) = (sent + taken, calls + 1, taken);
            if sent > MOST_BYTES {
                break;
            }
        }
        // Acknowledgements still on their way may make room once more.
        if sent <= MOST_BYTES && ready(client, Interest::Write, SETTLED).unwrap_or(false) {
            continue;
        }
        match stage.send(client, &block) {
            Ok(taken) => (sent, calls, last) = (sent + taken, calls + 1, taken),
            refused => break refused,
        }
        if sent > MOST_BYTES {
            break Ok(last);
        }
    };
    stage.fact("calls of send that succeeded", calls)?;
    stage.fact("bytes the kernel took", sent)?;
    stage.fact("the last of them took", format!("{last} of {} bytes", block.len()))?;
    stage.claim(
        "A full buffer says EWOULDBLOCK as well: the error is not only for reading.",
        refused_with(&full, "EAGAIN") && sent > 0,
        format!("send: {}", ending(&full)),
    )?;
    Ok(sent)
}

fn await_room(stage: &mut Stage<'_>, client: &Door, far: &Door, sent: usize) -> Result<(), Stop> {
    stage.step(
        "The other end reads; the client waits with poll until it may send again.",
        "Asking again and again would burn the processor. poll sleeps until the kernel has news.",
    )?;
    let before = stage.poll(far, Interest::Read, PATIENCE)?;
    let mut room = vec![0; 256 << 10];
    let mut read = 0;
    while read < sent {
        match std::io::Read::read(&mut far.options(), &mut room) {
            Ok(0) => break,
            Ok(count) => read += count,
            // The rest is still on its way from the client's buffer.
            Err(_) if ready(far, Interest::Read, PATIENCE).is_ok_and(|ready| ready) => {}
            Err(_) => break,
        }
    }
    stage.fact("bytes the other end read", read)?;
    stage.claim("No byte was lost by the errors.", read == sent, format!("{read} of {sent}"))?;
    let after = stage.poll(client, Interest::Write, PATIENCE)?;
    let again = stage.send(client, b"more");
    stage.claim(
        "poll says when it is worth trying: then send succeeds.",
        before && after && again.is_ok(),
        format!("poll: writable, send: {}", ending(&again)),
    )
}
