//! The lesson `backlog`: what really happens to the client that finds the queue full.

use std::fs;
use std::time::Duration;

use stentor_os::failure::Failure;

use super::calls::{Door, Interest, PATIENCE, Transport, anywhere, ending, refused_with};
use super::evidence::{settled, state_between, waiting};
use super::stage::{Stage, Stop};

/// The argument of listen: the smallest that shows queue and surplus apart.
const BACKLOG: i32 = 1;
/// How long the surplus client is watched before the server makes room. Shorter than the first
/// repetition of a SYN, one second after it (RFC 6298, section 2).
const WATCHED: Duration = Duration::from_millis(300);

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let server = listen(stage)?;
    let queued = fill(stage, &server)?;
    let surplus = overflow(stage, &server)?;
    let accepted = make_room(stage, &server, &surplus)?;
    for door in queued.into_iter().chain([surplus, accepted]) {
        stage.close(door)?;
    }
    compare(stage, server)
}

fn listen(stage: &mut Stage<'_>) -> Result<Door, Stop> {
    stage.step(
        "The server listens with a backlog of 1, and accepts nobody.",
        "The kernel completes connections by itself and keeps them in the accept queue until the \
         server asks for them.",
    )?;
    let server = stage.listening(BACKLOG)?;
    for (name, path) in [
        ("net.core.somaxconn", "/proc/sys/net/core/somaxconn"),
        ("tcp_abort_on_overflow", "/proc/sys/net/ipv4/tcp_abort_on_overflow"),
    ] {
        if let Ok(value) = fs::read_to_string(path) {
            stage.fact(name, value.trim())?;
        }
    }
    let queue = waiting(&server)?;
    stage.claim("The accept queue is empty.", queue == 0, queue)?;
    Ok(server)
}

fn attempt(stage: &mut Stage<'_>, who: &'static str, server: &Door) -> Result<Attempt, Stop> {
    let client = stage.socket(who, Transport::Tcp)?;
    // Bound first, so that the socket can be found in the table while it connects.
    stage.bind(&client, anywhere())?;
    stage.nonblocking(&client)?;
    let started = stage.connect(&client, server.local());
    Ok((client, started))
}

type Attempt = (Door, Result<(), Failure>);

fn fill(stage: &mut Stage<'_>, server: &Door) -> Result<Vec<Door>, Stop> {
    stage.step(
        "Two clients connect.",
        "Linux lets the queue hold one more than it was told: it refuses only when the queue is \
         longer than the backlog.",
    )?;
    let mut clients = Vec::new();
    for who in ["client 1", "client 2"] {
        let (client, _) = attempt(stage, who, server)?;
        stage.poll(&client, Interest::Write, PATIENCE)?;
        stage.fact("TCP state", state_between(client.local(), server.local())?)?;
        clients.push(client);
    }
    let queue = settled(|| waiting(server), |queue| *queue == 2)?;
    stage.fact("accept queue", format!("{queue} connections, backlog {BACKLOG}"))?;
    stage.claim(
        "Both are connected, although nobody has accepted: the queue holds backlog + 1.",
        queue == 2 && clients.iter().all(|client| client.peer().is_some()),
        format!("{queue} in the queue"),
    )?;
    Ok(clients)
}

fn overflow(stage: &mut Stage<'_>, server: &Door) -> Result<Door, Stop> {
    stage.step(
        "A third client connects to the full queue.",
        "If it were rejected, poll would report an error at once, as it does for a closed port.",
    )?;
    let (client, started) = attempt(stage, "client 3", server)?;
    let ready = stage.poll(&client, Interest::Write, WATCHED)?;
    let state = state_between(client.local(), server.local())?;
    let error = client.options().take_error().ok().flatten();
    let error = error.map_or_else(|| "none".to_owned(), |error| error.to_string());
    stage.fact("TCP state", state)?;
    stage.fact("pending error (SO_ERROR)", &error)?;
    let queue = waiting(server)?;
    stage.fact("accept queue", format!("{queue} connections"))?;
    stage.claim(
        "It is not rejected: it waits, with its SYN unanswered.",
        refused_with(&started, "EINPROGRESS") && !ready && state == "SYN-SENT",
        format!("connect: {}, then {state}, error: {error}", ending(&started)),
    )?;
    stage.claim("It is not in the queue either.", queue == 2, format!("{queue} in the queue"))?;
    Ok(client)
}

fn make_room(stage: &mut Stage<'_>, server: &Door, client: &Door) -> Result<Door, Stop> {
    stage.step(
        "The server accepts one connection; the third client is awaited with poll.",
        "The client's kernel sends the SYN again after a second, then after two, four ... The \
         first one that finds room is answered.",
    )?;
    let accepted = stage.accept(server)?;
    let ready = stage.poll(client, Interest::Write, 2 * PATIENCE)?;
    let state = state_between(client.local(), server.local())?;
    stage.fact("TCP state", state)?;
    stage.claim(
        "The same connect succeeds once there is room: late, not rejected.",
        ready && state == "ESTABLISHED",
        state,
    )?;
    Ok(accepted)
}

fn compare(stage: &mut Stage<'_>, server: Door) -> Result<(), Stop> {
    stage.step(
        "The server closes; a client connects to the closed port.",
        "This is what a rejection looks like: an answer, and at once.",
    )?;
    let address = server.local();
    stage.close(server)?;
    let client = stage.socket("client 4", Transport::Tcp)?;
    let refused = stage.connect(&client, address);
    stage.claim(
        "A closed port refuses with ECONNREFUSED; a full queue did not.",
        refused_with(&refused, "ECONNREFUSED"),
        ending(&refused),
    )?;
    stage.close(client)?;
    Ok(())
}
