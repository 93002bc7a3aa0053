//! The real service, run for a part of a lesson on ports of its own.

use std::net::SocketAddr;

use super::stage::{Stage, Stop};
use crate::complaint::Complaint;
use crate::drive::serve::{self, Plan};

/// Where the service answers, on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    /// Over TCP.
    pub(super) tcp: SocketAddr,
    /// Over UDP.
    pub(super) udp: SocketAddr,
}

/// Runs `part` against the service of `stentor serve`, changed by `shape`, and ends the service
/// whatever happens.
pub(super) fn with_service<T>(
    stage: &mut Stage<'_>,
    shape: impl FnOnce(&mut Plan),
    part: impl FnOnce(&mut Stage<'_>, Addresses) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let mut plan = Plan::loopback(0).map_err(Stop::Refused)?;
    // One loop is enough for a handful of clients.
    plan.threads = 1;
    shape(&mut plan);
    let running = serve::start(plan).map_err(|refusal| Stop::Refused(refusal.into()))?;
    let tcp = running.tcp().find(SocketAddr::is_ipv4);
    let udp = running.udp().find(SocketAddr::is_ipv4);
    let outcome = match (tcp, udp) {
        (Some(tcp), Some(udp)) => part(stage, Addresses { tcp, udp }),
        (Some(_) | None, Some(_) | None) => Err(Stop::Impossible {
            what: "the service has no address of IPv4 here".to_owned(),
            next: "Bring the loopback interface up: ip link set lo up.".to_owned(),
        }),
    };
    running.abort();
    let ended: Result<_, Complaint> = running.finish();
    let outcome = outcome?;
    ended.map_err(Stop::Refused)?;
    Ok(outcome)
}
