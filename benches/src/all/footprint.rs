//! What a server's own memory grows by with 10,000 connections that have asked once and stay.
//! The kernel's (4 to 5 kB for each end) is in no figure.

use super::cores;
use super::duel::Bench;
use super::peer::{EPOLL, GO, MIO, OURS, PROTOCOL, Peer, TOKIO};
use crate::client;
use crate::figures::median;
use crate::notice;

const CONNECTIONS: usize = 10_000;
const CONNECTIONS_QUICK: usize = 3_000;
const ROUNDS: usize = 3;
/// Descriptors that are not connections, at either end.
const KEPT: usize = 100;
const COMPARED: &[&Peer] = &[&OURS, &EPOLL, &MIO, &TOKIO, &GO, &PROTOCOL];

/// What one server's came to.
#[derive(Debug)]
pub(crate) struct Footprint {
    pub(crate) name: &'static str,
    pub(crate) connections: usize,
    /// Bytes of each connection.
    pub(crate) each: f64,
}

/// Measures every server that is there.
///
/// # Errors
/// A server answers wrong, or a connection fails.
pub(crate) fn run(bench: &Bench, quick: bool) -> Result<Vec<Footprint>, String> {
    let wanted = if quick { CONNECTIONS_QUICK } else { CONNECTIONS };
    let connections = wanted.min(client::descriptors()?.saturating_sub(KEPT));
    if connections < wanted {
        notice(&format!("the hard limit of descriptors allows {connections} clients: ulimit -Hn"));
    }
    let rounds = if quick { 1 } else { ROUNDS };
    let mut footprints = Vec::new();
    for &peer in COMPARED {
        let mut each = Vec::new();
        for _ in 0..rounds {
            each.extend(growth(bench, peer, connections)?);
        }
        if !each.is_empty() {
            footprints.push(Footprint { name: peer.name, connections, each: median(each) });
        }
    }
    Ok(footprints)
}

fn growth(bench: &Bench, peer: &Peer, connections: usize) -> Result<Option<f64>, String> {
    let Some(server) = peer.start(&bench.workshop, bench.cores.server, &[])? else {
        return Ok(None);
    };
    let named = |error: String| format!("{connections} connections, {}: {error}", peer.name);
    cores::on(bench.cores.client, || {
        // What is made once is made: code paged in, buffers touched. These stay as well.
        let first = client::many(server.address, 64)?;
        let before = server.resident()?;
        let clients = client::many(server.address, connections - 64)?;
        let grown = server.resident()?.saturating_sub(before);
        drop(first);
        Ok(Some(grown as f64 / clients.len() as f64))
    })
    .map_err(named)
}
