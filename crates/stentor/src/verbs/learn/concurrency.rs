//! The lesson `concurrency`: whom a slow client keeps waiting, by an iterative server and by a
//! concurrent one. The servers are the service's own modes; the proof is the order of answers.

use std::net::SocketAddr;
use std::time::Duration;

use super::calls::{Door, Interest, PATIENCE};
use super::evidence::{settled, waiting_at};
use super::service::with_service;
use super::stage::{Stage, Stop};
use crate::drive::serve::Mode;

/// The order in which the clients' answers were complete.
type Order = Vec<&'static str>;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let iterative = with_server(stage, Mode::Iterative, iterative)?;
    let threads = with_server(stage, Mode::Threads, |stage, target| {
        concurrent(stage, target, "a thread for each client")
    })?;
    let reactor = with_server(stage, Mode::Reactor, |stage, target| {
        concurrent(stage, target, "one readiness loop for all clients")
    })?;
    stage.step("The three are compared.", "The same clients, in the same order, each time.")?;
    for (name, order) in [("iterative", &iterative), ("threads", &threads), ("reactor", &reactor)] {
        stage.fact(&format!("{name}: order of answers"), order.join(", "))?;
    }
    stage.claim(
        "A slow client is answered first by the iterative server, last by the others.",
        iterative.first() == Some(&"slow")
            && threads.last() == Some(&"slow")
            && reactor.last() == Some(&"slow"),
        "the orders above",
    )
}

fn with_server(
    stage: &mut Stage<'_>,
    mode: Mode,
    part: impl FnOnce(&mut Stage<'_>, SocketAddr) -> Result<Order, Stop>,
) -> Result<Order, Stop> {
    with_service(stage, |plan| plan.mode = mode, |stage, service| part(stage, service.tcp))
}

fn iterative(stage: &mut Stage<'_>, target: SocketAddr) -> Result<Order, Stop> {
    stage.step(
        "Three clients at an iterative server; the first connects and says nothing.",
        "An iterative server serves one client to its end before it looks at the next.",
    )?;
    let slow = stage.connected("slow", target)?;
    // The server has taken it: from now on it is waiting for this client's words.
    settled(|| waiting_at(target), |queue| *queue == 0)?;
    let quick = [stage.connected("quick 1", target)?, stage.connected("quick 2", target)?];
    for client in &quick {
        stage.send(client, b"hello")?;
        stage.shut_down(client)?;
    }
    let queue = settled(|| waiting_at(target), |queue| *queue == 2)?;
    stage.fact("waiting for accept", format!("{queue} clients, their sentences sent"))?;
    let mut early = 0;
    for client in &quick {
        early += usize::from(stage.poll(client, Interest::Read, Duration::ZERO)?);
    }
    stage.claim(
        "The two that spoke wait for the one that does not.",
        queue == 2 && early == 0,
        format!("{queue} in the queue, {early} answered"),
    )?;
    let mut order = Order::new();
    stage.send(&slow, b"at last")?;
    stage.shut_down(&slow)?;
    let before = stage.poll(&slow, Interest::Read, PATIENCE)?;
    if before && stage.recv_all(&slow, usize::MAX)? == b"AT LAST" {
        order.push("slow");
    }
    stage.close(slow)?;
    for (client, name) in quick.into_iter().zip(["quick 1", "quick 2"]) {
        if stage.recv_all(&client, usize::MAX)? == b"HELLO" {
            order.push(name);
        }
        stage.close(client)?;
    }
    stage.claim(
        "Then all are answered, in the order in which they connected.",
        order == ["slow", "quick 1", "quick 2"],
        order.join(", "),
    )?;
    Ok(order)
}

fn concurrent(stage: &mut Stage<'_>, target: SocketAddr, how: &str) -> Result<Order, Stop> {
    stage.step(
        &format!("The same clients at a server with {how}."),
        "The answers of the quick clients are awaited before the slow one speaks: had they to wait \
         for it, this step would not end.",
    )?;
    let slow = stage.connected("slow", target)?;
    settled(|| waiting_at(target), |queue| *queue == 0)?;
    let quick = [stage.connected("quick 1", target)?, stage.connected("quick 2", target)?];
    let mut order = Order::new();
    for (client, name) in quick.into_iter().zip(["quick 1", "quick 2"]) {
        answered(stage, &client, b"hello", b"HELLO", name, &mut order)?;
        stage.close(client)?;
    }
    let silent = !stage.poll(&slow, Interest::Read, Duration::ZERO)?;
    stage.claim(
        "Both quick clients are answered while the slow one is still silent.",
        silent && order == ["quick 1", "quick 2"],
        order.join(", "),
    )?;
    answered(stage, &slow, b"at last", b"AT LAST", "slow", &mut order)?;
    stage.close(slow)?;
    Ok(order)
}

/// Asks, ends the question, and reads the answer to its end.
fn answered(
    stage: &mut Stage<'_>,
    client: &Door,
    question: &[u8],
    answer: &[u8],
    name: &'static str,
    order: &mut Order,
) -> Result<(), Stop> {
    stage.send(client, question)?;
    stage.shut_down(client)?;
    if stage.recv_all(client, usize::MAX)? == answer {
        order.push(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::stage::rehearse;
    use super::*;
    use crate::complaint::Exit;

    #[test]
    fn a_concurrent_server_contradicts_what_is_said_of_an_iterative_one() {
        let (shown, record, exit) =
            rehearse(|stage| with_server(stage, Mode::Threads, iterative).map(drop));
        assert_eq!(exit, Exit::Bad, "{shown}");
        assert!(record.claims.iter().any(|claim| !claim.held));
    }
}
