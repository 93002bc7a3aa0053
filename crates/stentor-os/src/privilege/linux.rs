//! The trials on Linux, and refusals to order for tests.

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;

use super::{Possible, Refusal, Step};
use crate::namespace::{self, Kind, Network, Prefix, Tables, Wire};
use crate::tun::Tun;
use crate::{capture, process, tracee};

/// Whether this process may make a network namespace without a user namespace: it holds
/// CAP_SYS_ADMIN (capabilities(7), bit 21) here.
pub fn may_unshare() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok());
    capabilities.is_some_and(|capabilities| capabilities >> 21 & 1 == 1)
}

/// Tries everything, each in a child of its own.
pub fn probe() -> Possible {
    let kind = if may_unshare() { Kind::Network } else { Kind::UserAndNetwork };
    Possible {
        private_network: in_child(|| {
            namespace::enter(kind, Wire::Ethernet)
                .map_err(|refusal| (number_of(refusal.step), refusal.error))?;
            capture::permitted().map_err(|refusal| (PACKET_SOCKET, refusal.error))
        }),
        lab_link: in_child(|| {
            try_lab_link(kind).map_err(|refusal| (number_of(refusal.step), refusal.error))
        }),
        host_packets: in_child(|| {
            capture::permitted().map_err(|refusal| (PACKET_SOCKET, refusal.error))
        }),
        tracing: in_child(|| tracee::try_seize().map(drop).map_err(|error| (SEIZE, error))),
        filter: in_child(|| tracee::try_filter().map_err(|error| (FILTER, error))),
        snapshots: in_child(|| {
            let traced = tracee::try_seize().map_err(|error| (SEIZE, error))?;
            traced.duplicate().map_err(|error| (DUPLICATE, error))
        }),
    }
}

/// A TUN device at work in each of two network namespaces, with a way from one to the other.
fn try_lab_link(kind: Kind) -> Result<(), namespace::Refusal> {
    namespace::enter(kind, Wire::Ethernet)?;
    let first = Network::current()?;
    try_tun()?;
    namespace::enter(Kind::Network, Wire::Ethernet)?;
    try_tun()?;
    first.enter()
}

fn try_tun() -> Result<(), namespace::Refusal> {
    let tun = Tun::make("trial")?;
    let tables = Tables::open().map_err(namespace::at(namespace::Step::OpenTables))?;
    let up = tables
        .route_loopback_addresses(tun.index())
        .and_then(|()| tables.set_up(tun.index(), 1500, 1));
    up.map_err(namespace::at(namespace::Step::TunUp))?;
    // Of the blocks for documentation (RFC 5737).
    let prefix = Prefix { address: Ipv4Addr::new(192, 0, 2, 1).into(), bits: 24 };
    let given = tables.add_address(tun.index(), prefix);
    given.map_err(namespace::at(namespace::Step::TunAddress))
}

/// The numbers by which a child names a step; those of the namespace's steps follow.
const PACKET_SOCKET: u8 = 1;
const SEIZE: u8 = 2;
const FILTER: u8 = 3;
const DUPLICATE: u8 = 4;
const NAMESPACE: u8 = 16;

const NAMESPACE_STEPS: [namespace::Step; 16] = [
    namespace::Step::UnshareUser,
    namespace::Step::DenySetgroups,
    namespace::Step::WriteUidMap,
    namespace::Step::WriteGidMap,
    namespace::Step::UnshareNetwork,
    namespace::Step::ControlSocket,
    namespace::Step::LoopbackMtu,
    namespace::Step::LoopbackOffloads,
    namespace::Step::LoopbackUp,
    namespace::Step::OpenNamespace,
    namespace::Step::JoinNetwork,
    namespace::Step::OpenTun,
    namespace::Step::MakeTun,
    namespace::Step::OpenTables,
    namespace::Step::TunUp,
    namespace::Step::TunAddress,
];

fn number_of(step: namespace::Step) -> u8 {
    let steps = (NAMESPACE..).zip(NAMESPACE_STEPS);
    steps.into_iter().find(|(_, known)| *known == step).map_or(0, |(number, _)| number)
}

fn step_of(number: u8) -> Step {
    let mut steps = (NAMESPACE..).zip(NAMESPACE_STEPS);
    match number {
        PACKET_SOCKET => Step::PacketSocket,
        SEIZE => Step::Seize,
        FILTER => Step::Filter,
        DUPLICATE => Step::Duplicate,
        _ => match steps.find(|(known, _)| *known == number) {
            Some((_, step)) => Step::Namespace(step.name()),
            None => Step::Answer,
        },
    }
}

/// Runs a trial in a child and brings its answer back: no byte if it went well.
fn in_child(trial: impl FnOnce() -> Result<(), (u8, io::Error)>) -> Result<(), Refusal> {
    let refuse = |step, error| Refusal { step, error };
    let (mut ours, theirs) = UnixStream::pair().map_err(|error| refuse(Step::Fork, error))?;
    let work = || match trial() {
        Ok(()) => i32::from((&theirs).write_all(&[0]).is_err()),
        Err((step, error)) => {
            let [a, b, c, d] = error.raw_os_error().unwrap_or(libc::EIO).to_ne_bytes();
            i32::from((&theirs).write_all(&[step, a, b, c, d]).is_err())
        }
    };
    let child = process::fork_into(&[], work).map_err(|error| refuse(Step::Fork, error))?;
    drop(theirs);
    let mut answer = Vec::new();
    let read = ours.read_to_end(&mut answer);
    child.wait().and(read).map_err(|error| refuse(Step::Answer, error))?;
    match *answer.as_slice() {
        [0] => Ok(()),
        [step, a, b, c, d] => {
            let errno = i32::from_ne_bytes([a, b, c, d]);
            Err(refuse(step_of(step), io::Error::from_raw_os_error(errno)))
        }
        // Killed by a filter, perhaps.
        _ => Err(refuse(Step::Answer, io::Error::from(io::ErrorKind::UnexpectedEof))),
    }
}

/// Makes a command run where the system refuses these calls (system call number, errno): a stand-in
/// for systems and containers that do, for tests.
pub fn deny(command: &mut std::process::Command, calls: &[(i64, i32)]) -> io::Result<()> {
    let refuse = calls.iter().map(|(number, errno)| {
        let number = u32::try_from(*number).map_err(io::Error::other)?;
        Ok((number, u16::try_from(*errno).map_err(io::Error::other)?))
    });
    let refuse: io::Result<Vec<_>> = refuse.collect();
    let program = tracee::refusing(refuse?)?;
    let install = move || tracee::install_here(&program);
    // SAFETY: the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(install) };
    Ok(())
}
