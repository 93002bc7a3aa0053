//! Opens the connections of a run before it begins: all of them, or a complaint that says why not.
//!
//! What a lane opens again in the course of a run is the worker's matter.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

use socket2::Socket;
use stentor_core::moment::Moment;
use stentor_os::failure::{Failure, errno_name};
use stentor_os::net::datagrams::Datagrams;
use stentor_os::net::dial;
use stentor_os::net::poll::{self, Watch};
use stentor_os::signal::Interrupts;

use crate::complaint::{Complaint, Exit};
use crate::drive::race::{interrupted, now};

/// Connections begun and not decided at once: below the backlog of most servers, whose kernel drops
/// the SYN of any more, for a second at least.
const WINDOW: usize = 100;

/// Who is asked, at one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP service.
    Tcp(std::net::SocketAddr),
    /// A UDP service.
    Udp(std::net::SocketAddr),
    /// A unix(7) stream socket.
    Unix(PathBuf),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => write!(f, "tcp {address}"),
            Peer::Udp(address) => write!(f, "udp {address}"),
            Peer::Unix(path) => write!(f, "unix {}", path.display()),
        }
    }
}

/// An open way to the peer.
#[derive(Debug)]
pub(super) enum Way {
    /// A stream that does not block; it may not be connected yet.
    Stream(Socket),
    /// A connected UDP socket.
    Packets(Datagrams),
}

impl AsRawFd for Way {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Way::Stream(socket) => socket.as_raw_fd(),
            Way::Packets(datagrams) => datagrams.as_raw_fd(),
        }
    }
}

/// Begins to open a way to `peer`.
pub(super) fn begin(peer: &Peer) -> Result<Way, Failure> {
    match peer {
        Peer::Tcp(address) => dial::tcp(*address).map(Way::Stream),
        Peer::Unix(path) => dial::unix(path).map(Way::Stream),
        Peer::Udp(address) => Datagrams::connect(*address).map(Way::Packets),
    }
}

/// A way that is open, and how long that took.
pub(super) type Opened = (Way, Duration);

/// Opens `count` ways to `peer`, all within `timeout`.
///
/// # Errors
/// The first that could not be opened (exit 3; 4 when descriptors run out); a signal (130).
pub(super) fn all(
    peer: &Peer,
    count: usize,
    timeout: Duration,
    interrupts: &Interrupts,
) -> Result<Vec<Opened>, Complaint> {
    let deadline = now() + timeout;
    let mut opened = Vec::with_capacity(count);
    let mut trying: Vec<(Socket, Moment)> = Vec::with_capacity(WINDOW);
    while opened.len() < count {
        let mut full = false;
        while !full && trying.len() < WINDOW && opened.len() + trying.len() < count {
            let began = now();
            match begin(peer) {
                Ok(Way::Stream(socket)) => trying.push((socket, began)),
                Ok(packets @ Way::Packets(_)) => opened.push((packets, now().since(began))),
                // The backlog of a unix socket: it empties as the server accepts.
                Err(failure) if failure.error.raw_os_error() == Some(EAGAIN) => full = true,
                Err(failure) => return Err(refused(failure, opened.len(), count)),
            }
        }
        if interrupted(Some(interrupts)) {
            let what = format!("interrupted after {} of {count} connections", opened.len());
            return Err(Complaint::new(Exit::Interrupted, what, ""));
        }
        let left = deadline.since(now());
        if left.is_zero() && opened.len() < count {
            let what = format!("connect {peer}: no answer within {timeout:?}");
            return Err(late(&what, opened.len(), count));
        }
        if !trying.is_empty() || full {
            // A full backlog has no event that says when it is not.
            let pause = if full { left.min(Duration::from_millis(1)) } else { left };
            wait(&trying, interrupts, pause)?;
            decide(peer, &mut trying, &mut opened, count)?;
        }
    }
    Ok(opened)
}

/// `EAGAIN`, which connect(2) on a unix socket gives for a full backlog.
const EAGAIN: i32 = 11;

fn wait(
    trying: &[(Socket, Moment)],
    interrupts: &Interrupts,
    left: Duration,
) -> Result<(), Complaint> {
    let sockets = trying.iter().map(|(socket, _)| Watch::new(socket.as_fd(), false, true));
    let signals = std::iter::once(Watch::new(interrupts.as_fd(), true, false));
    let mut watches: Vec<Watch<'_>> = sockets.chain(signals).collect();
    let waited = poll::wait(&mut watches, Some(left));
    waited.map_err(|error| Failure::new("poll", "the connections", error).into())
}

/// Moves what is connected from `trying` to `opened`.
fn decide(
    peer: &Peer,
    trying: &mut Vec<(Socket, Moment)>,
    opened: &mut Vec<Opened>,
    count: usize,
) -> Result<(), Complaint> {
    let mut index = 0;
    while let Some((socket, began)) = trying.get(index) {
        match dial::outcome(socket) {
            Ok(true) => {
                let took = now().since(*began);
                let (socket, _) = trying.swap_remove(index);
                opened.push((Way::Stream(socket), took));
            }
            Ok(false) => index += 1,
            Err(error) => {
                return Err(refused(Failure::new("connect", peer, error), opened.len(), count));
            }
        }
    }
    Ok(())
}

fn refused(failure: Failure, opened: usize, count: usize) -> Complaint {
    let errno = errno_name(&failure.error);
    let mut complaint = Complaint::from(failure);
    match errno.as_deref() {
        Some("EMFILE" | "ENFILE") => complaint.exit = Exit::Impossible,
        Some("EADDRNOTAVAIL") => {
            complaint.next = "Every local port is taken by another connection to this address: \
                              fewer connections, or more addresses."
                .to_owned();
        }
        Some(_) | None => {}
    }
    if opened > 0 {
        complaint.what = format!("connection {} of {count}: {}", opened + 1, complaint.what);
    }
    complaint
}

fn late(what: &str, opened: usize, count: usize) -> Complaint {
    Complaint::new(
        Exit::Environment,
        format!("{what}; {opened} of {count} connections were made"),
        "The server's backlog may be full, or a firewall drops it; -w waits longer.",
    )
}

/// Complains about more connections than this process may have descriptors.
///
/// # Errors
/// Exit 4, with the remedy.
pub(super) fn allow(connections: usize) -> Result<(), Complaint> {
    /// Standard streams, loops, timers, files of the report.
    const OURS: usize = 64;
    let named = |error: io::Error| Failure::new("getrlimit", "RLIMIT_NOFILE", error);
    let hard = stentor_os::limits::raise_descriptors().map_err(named)?;
    let needed = connections.saturating_add(OURS);
    if u64::try_from(needed).unwrap_or(u64::MAX) <= hard {
        return Ok(());
    }
    Err(Complaint::new(
        Exit::Impossible,
        format!("-c {connections}: this process may have {hard} descriptors, and needs {needed}"),
        format!(
            "Raise the limit first: ulimit -Hn {needed} as root, or several runs, added up \
             afterwards with --merge."
        ),
    ))
}
