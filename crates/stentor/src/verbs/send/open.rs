//! Sockets for a plan: addresses resolved and raced, ports bound, the beginning witnessed.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, SockAddr, Socket, Type};
use stentor_core::endpoint::{Place, Transport};
use stentor_core::timeline::{Lane, What};
use stentor_os::failure::{Failure, describe};
use stentor_os::signal::Interrupts;

use super::plan::Plan;
use super::told::Told;
use crate::complaint::{Complaint, Exit};
use crate::drive::race::{self, Attempt, Options, Outcome};
use crate::drive::reach;

/// Opens the stream of a plan: the race of its addresses, or a unix socket.
pub(super) fn stream(
    plan: &Plan,
    interrupts: &Interrupts,
    told: &mut Told,
) -> Result<Socket, Complaint> {
    let socket = match &plan.place {
        Place::Path(path) => unix(path, plan, interrupts, told)?,
        Place::Inet(..) => {
            let addresses = addresses(plan, interrupts, told)?;
            let options = Options {
                timeout: plan.timeout,
                source_port: plan.source_port,
                interrupts: Some(interrupts),
            };
            let raced = race::connect(&addresses, options)?;
            told.peer = format!("tcp {}", raced.peer);
            told.attempts = raced.attempts;
            raced.socket
        }
    };
    told.connected = Some(race::now());
    told.local = socket.local_addr().map(|address| shown(&address)).unwrap_or_default();
    name_ends(plan, told);
    for Attempt { address, began, ended, outcome } in &told.attempts {
        let words = attempt_words(outcome);
        let peer = address.to_string();
        told.witness.call(*began, "connect", &peer, &words);
        if matches!(outcome, Outcome::Connected) {
            told.witness.signal(*began, Lane::Client, "SYN");
            told.witness.signal(*ended, Lane::Server, "SYN, ACK");
            let state = format!("ESTABLISHED, {} -> {peer}", told.local);
            told.witness.say(*ended, What::State(state));
        }
    }
    Ok(socket)
}

/// What a call gave back: `0`, or the errno in words.
pub(super) fn attempt_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Connected => "0".to_owned(),
        Outcome::Failed(failure) => describe(&failure.error),
        Outcome::Abandoned => "given up".to_owned(),
    }
}

/// Resolves the host of a plan.
pub(super) fn addresses(
    plan: &Plan,
    interrupts: &Interrupts,
    told: &mut Told,
) -> Result<Vec<SocketAddr>, Complaint> {
    let Place::Inet(host, port) = &plan.place else { return Ok(Vec::new()) };
    let found = reach::resolve(host, *port, plan.family, plan.timeout, Some(interrupts))?;
    told.resolved = Some(race::now());
    let Some(link) = &plan.link else { return Ok(found) };
    let beside = told.link.insert(link.before(plan.transport, &found)?);
    Ok(vec![beside.address])
}

/// Makes a UDP socket that talks to one address only: connect(2) on it sends nothing, but lets
/// the kernel report that nothing listens there.
pub(super) fn datagram(
    address: SocketAddr,
    plan: &Plan,
    told: &mut Told,
) -> Result<Socket, Complaint> {
    let peer = format!("udp {address}");
    let began = race::now();
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)
        .map_err(|error| Failure::new("socket", &peer, error))?;
    if let Some(port) = plan.source_port {
        let local = match address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        };
        socket
            .bind(&local.into())
            .map_err(|error| Failure::new("bind", format!("udp {local}"), error))?;
    }
    socket
        .connect(&address.into())
        .and_then(|()| socket.set_nonblocking(true))
        .map_err(|error| Failure::new("connect", &peer, error))?;
    told.connected = Some(race::now());
    told.local = socket.local_addr().map(|address| shown(&address)).unwrap_or_default();
    told.peer = peer;
    name_ends(plan, told);
    told.witness.call(began, "connect", &address.to_string(), "0");
    let remark = "no handshake: connect only notes the address".to_owned();
    told.witness.say(began, What::Note(remark));
    Ok(socket)
}

fn name_ends(plan: &Plan, told: &mut Told) {
    let peer = told.peer.split_once(' ').map_or("", |(_, address)| address);
    let server = format!("server {peer}");
    told.witness.name(plan.verbose, format!("client {}", told.local), server);
}

/// Connects to a unix socket. It answers at once, or waits while the server's backlog is full;
/// the time limit and a signal end that.
fn unix(
    path: &str,
    plan: &Plan,
    interrupts: &Interrupts,
    told: &mut Told,
) -> Result<Socket, Complaint> {
    let peer = format!("unix {path}");
    let fail = |operation, error| Failure::new(operation, &peer, error);
    let address = SockAddr::unix(path).map_err(|error| fail("connect", error))?;
    let socket =
        Socket::new(Domain::UNIX, Type::STREAM, None).map_err(|error| fail("socket", error))?;
    socket.set_write_timeout(Some(plan.timeout)).map_err(|error| fail("setsockopt", error))?;
    told.resolved = Some(told.began);
    match socket.connect(&address) {
        Ok(()) => {}
        Err(_) if race::interrupted(Some(interrupts)) => {
            let what = format!("interrupted while connecting to {peer}");
            return Err(Complaint::new(Exit::Interrupted, what, ""));
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            let what = format!("connect {peer}: no answer within {:?}", plan.timeout);
            let next = "Its backlog is full: the server does not accept; -w waits longer.";
            return Err(Complaint::new(Exit::Environment, what, next));
        }
        Err(error) => {
            let kind = error.kind();
            let next = if kind == ErrorKind::NotFound {
                "No such socket: start the server first."
            } else if kind == ErrorKind::ConnectionRefused {
                "The file is there, but no server has it open: start the server again."
            } else {
                ""
            };
            let what = fail("connect", error).to_string();
            return Err(Complaint::new(Exit::Environment, what, next));
        }
    }
    told.peer = peer;
    Ok(socket)
}

/// An address as people write it; a unix socket without a name is `-`.
fn shown(address: &SockAddr) -> String {
    match (address.as_socket(), address.as_pathname()) {
        (Some(address), _) => address.to_string(),
        (None, Some(path)) => path.display().to_string(),
        (None, None) => "-".to_owned(),
    }
}

/// Whether the plan's socket is one of TCP, of which the kernel keeps facts.
pub(super) fn is_tcp(plan: &Plan) -> bool {
    plan.transport == Transport::Tcp
}
