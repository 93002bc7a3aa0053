//! The measurement of a path: probes over UDP, then over TCP, then beside a bulk transfer.
//!
//! What is sent when, and what an answer is worth, is decided by [`stentor_core::qualify::probe`];
//! here are the sockets, the clock and the order of things. One thread, one loop.

mod datagrams;
mod outcome;
mod pace;
mod phase;
mod stream;

use std::net::SocketAddr;
use std::time::Duration;

use stentor_core::moment::Moment;
use stentor_core::qualify::probe::Text;
use stentor_core::seed::Seed;
use stentor_os::signal::Interrupts;

use crate::complaint::Complaint;
use crate::drive::race;
use datagrams::Datagram;
pub use outcome::{Kind, Outcome, Tcp, Trouble, Udp};
use pace::Pacer;
use phase::Ended;
use stream::Streams;

/// What is to be measured, and within which limits.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where datagrams go; `None`: not asked for.
    pub udp: Option<SocketAddr>,
    /// Where streams go, the addresses tried as in [`race`]; empty: not asked for.
    pub tcp: Vec<SocketAddr>,
    /// About how long it all takes.
    pub duration: Duration,
    /// The longest wait for a connection or an answer.
    pub timeout: Duration,
    /// The highest rate of either transport, in bit/s of payload.
    pub cap_bps: f64,
    /// From which the letters of the probes follow.
    pub seed: Seed,
}

/// How long each part may take.
#[derive(Clone, Copy, Debug)]
struct Shares {
    climb: Duration,
    alone: Duration,
    transactions: Duration,
    bulk: Duration,
}

impl Plan {
    fn shares(&self) -> Shares {
        let part = |share: f64| self.duration.mul_f64(share);
        match (self.udp.is_some(), self.tcp.is_empty()) {
            (true, true) => Shares {
                climb: part(0.4),
                alone: part(0.6),
                transactions: Duration::ZERO,
                bulk: Duration::ZERO,
            },
            (true, false) => Shares {
                climb: part(0.27),
                alone: part(0.4),
                transactions: part(0.1),
                bulk: part(0.23),
            },
            (false, _) => Shares {
                climb: Duration::ZERO,
                alone: part(0.45),
                transactions: part(0.15),
                bulk: part(0.4),
            },
        }
    }
}

/// Measures; `progress` is told what is going on, and how much of it all is done (0 to 1).
///
/// # Errors
/// What has nothing to do with the path: no descriptors, no timer. A service that is not there or
/// answers wrongly is a finding in the outcome.
pub fn run(
    plan: &Plan,
    interrupts: &Interrupts,
    progress: &mut dyn FnMut(&str, f64),
) -> Result<Outcome, Complaint> {
    let began = now();
    let shares = plan.shares();
    let mut pacer = Pacer::new(interrupts, began, plan.duration, progress)?;
    let mut outcome = Outcome { began, ..Outcome::default() };
    let ended = measure(plan, shares, &mut pacer, &mut outcome)?;
    outcome.interrupted = ended == Ended::Interrupted;
    outcome.lateness = pacer.late;
    outcome.took = now().since(began);
    Ok(outcome)
}

fn measure(
    plan: &Plan,
    shares: Shares,
    pacer: &mut Pacer<'_>,
    outcome: &mut Outcome,
) -> Result<Ended, Complaint> {
    let text = Text::new(plan.seed);
    let mut datagram = None;
    if let Some(peer) = plan.udp {
        let (opened, ended) = Datagram::open(peer, text, plan, pacer, &mut outcome.udp)?;
        datagram = opened;
        if ended == Ended::Interrupted {
            return Ok(ended);
        }
    }
    let mut streams = None;
    if !plan.tcp.is_empty() {
        streams = Streams::open(plan, pacer, &mut outcome.tcp)?;
        if pacer.interrupted() {
            return Ok(Ended::Interrupted);
        }
    }
    if let Some(datagram) = &mut datagram
        && datagram.climb(shares.climb, plan, pacer, &mut outcome.udp)? == Ended::Interrupted
    {
        return Ok(Ended::Interrupted);
    }
    let alone = phase::alone(&mut datagram, &mut streams, shares.alone, plan, pacer, outcome)?;
    if alone == Ended::Interrupted {
        return Ok(alone);
    }
    let Some(streams) = &mut streams else { return Ok(Ended::Over) };
    if streams.transactions(shares.transactions, plan, pacer, outcome)? == Ended::Interrupted {
        return Ok(Ended::Interrupted);
    }
    phase::loaded(&mut datagram, streams, shares.bulk, plan, pacer, outcome)
}

/// The moment now, on the clock of the whole run.
fn now() -> Moment {
    race::now()
}
