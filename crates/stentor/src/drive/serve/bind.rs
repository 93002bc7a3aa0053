//! From a plan's addresses to bound sockets: one set of them for each thread.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use socket2::Socket;
use stentor_os::failure::{Failure, errno_name};
use stentor_os::net::datagrams::Datagrams;
use stentor_os::net::listener::{self, Listen};

/// Where the service is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP address; port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// A UDP address; port 0 takes the port that TCP got, if there is one.
    Udp(SocketAddr),
    /// A unix(7) stream socket.
    Unix(PathBuf),
}

/// An address, and whether the service goes on without it.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where.
    pub address: Address,
    /// Whether a system without it (no IPv6, say) is a notice and not an end.
    pub optional: bool,
}

/// The sockets of one thread.
#[derive(Debug, Default)]
pub(in crate::drive) struct Sockets {
    /// TCP and unix listeners.
    pub listeners: Vec<Socket>,
    /// UDP sockets.
    pub datagrams: Vec<Datagrams>,
}

/// How sockets are made, whatever their address.
#[derive(Clone, Copy, Debug)]
pub(in crate::drive) struct Tuning<'a> {
    /// Finished connections that may wait, all threads together.
    pub backlog: u32,
    /// The congestion control of TCP; `None`: the system's.
    pub congestion: Option<&'a str>,
    /// Whether the kernel is to poll network cards instead of waiting for them.
    pub busy_poll: bool,
}

/// For how long it is to poll, in microseconds: what Documentation/admin-guide/sysctl/net.rst
/// recommends for a few sockets.
const BUSY_POLL_US: u16 = 50;

/// Everything that was bound.
#[derive(Debug, Default)]
pub(in crate::drive) struct Bound {
    /// For each thread its own sockets; the first set holds those that cannot be shared.
    pub sets: Vec<Sockets>,
    /// The addresses in the order of the plan, with the ports that were got.
    pub addresses: Vec<Address>,
    /// What was left out, and why: for a notice.
    pub missing: Vec<Failure>,
    /// The files of unix sockets, which go with this value.
    pub files: Vec<SocketFile>,
}

/// The file of a unix socket of ours, removed when dropped: left behind it would be in the way of
/// the next start.
#[derive(Debug)]
pub(in crate::drive) struct SocketFile {
    path: PathBuf,
    /// Device and inode: a successor's file at the same path is not ours to remove.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    fn new(path: &Path) -> SocketFile {
        SocketFile { path: path.to_owned(), identity: identity(path) }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Best effort: there is nobody left to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Whether a path is a socket that nobody listens on: its server was killed (unix(7)).
fn is_left_behind(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).is_err_and(refused)
}

/// How often another port is tried when the kernel's choice for TCP is taken on UDP.
const PORT_ATTEMPTS: usize = 16;

/// Binds all of `wanted`, `threads` times each where the kernel can share a port.
///
/// # Errors
/// The first address that cannot be had, unless it is optional; and the first of those, if
/// nothing is left.
pub(in crate::drive) fn bind(
    wanted: &[Wanted],
    threads: usize,
    tuning: &Tuning<'_>,
) -> Result<Bound, Failure> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match bind_once(wanted, threads, tuning) {
            Err(failure) if attempt < PORT_ATTEMPTS && unlucky(wanted, &failure) => {}
            Ok(Bound { addresses, missing, .. }) if addresses.is_empty() => {
                let nothing = || Failure::new("bind", "no address", io::ErrorKind::NotFound.into());
                return Err(missing.into_iter().next().unwrap_or_else(nothing));
            }
            other => return other,
        }
    }
}

/// Whether a port that the kernel chose was taken elsewhere in the meantime.
fn unlucky(wanted: &[Wanted], failure: &Failure) -> bool {
    let chosen = |wanted: &Wanted| match wanted.address {
        Address::Tcp(address) | Address::Udp(address) => address.port() == 0,
        Address::Unix(_) => false,
    };
    failure.error.kind() == io::ErrorKind::AddrInUse && wanted.iter().any(chosen)
}

fn bind_once(wanted: &[Wanted], threads: usize, tuning: &Tuning<'_>) -> Result<Bound, Failure> {
    let mut bound = Bound::default();
    bound.sets.resize_with(threads.max(1), Sockets::default);
    let mut port = 0;
    for Wanted { address, optional } in wanted {
        let got = match address {
            Address::Tcp(address) => {
                bind_tcp(&mut bound.sets, with_port(*address, port), tuning).map(Address::Tcp)
            }
            Address::Udp(address) => {
                bind_udp(&mut bound.sets, with_port(*address, port)).map(Address::Udp)
            }
            Address::Unix(path) => {
                let bind = bind_unix(&mut bound.sets, path, tuning.backlog);
                bind.map(|file| {
                    bound.files.push(file);
                    Address::Unix(path.clone())
                })
            }
        };
        match got {
            Ok(address) => {
                if let Address::Tcp(got) | Address::Udp(got) = &address {
                    port = if port == 0 { got.port() } else { port };
                }
                bound.addresses.push(address);
            }
            Err(failure) if *optional && absent(&failure.error) => bound.missing.push(failure),
            Err(failure) => return Err(failure),
        }
    }
    if tuning.busy_poll {
        poll_busily(&bound.sets);
    }
    Ok(bound)
}

/// Asks the kernel to wait at the network card for datagrams and the bytes of connections, too.
fn poll_busily(sets: &[Sockets]) {
    for set in sets {
        let doors = set.listeners.iter().map(AsFd::as_fd);
        for socket in doors.chain(set.datagrams.iter().map(AsFd::as_fd)) {
            // It needs CAP_NET_ADMIN, and most cards cannot: spinning does without.
            if let Err(error) = listener::busy_poll(socket, BUSY_POLL_US) {
                tracing::debug!(
                    "setsockopt SO_BUSY_POLL: {}",
                    stentor_os::failure::describe(&error)
                );
            }
        }
    }
}

/// Port 0 becomes the port that was already got, so that every address of a service agrees.
fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    if address.port() == 0 {
        address.set_port(port);
    }
    address
}

/// Whether the system has no such address or family at all, as with IPv6 switched off.
fn absent(error: &io::Error) -> bool {
    matches!(errno_name(error).as_deref(), Some("EADDRNOTAVAIL" | "EAFNOSUPPORT"))
}

fn bind_tcp(
    sets: &mut [Sockets],
    address: SocketAddr,
    tuning: &Tuning<'_>,
) -> Result<SocketAddr, Failure> {
    let shared = sets.len() > 1;
    // SO_REUSEPORT would share the port with a stranger's socket as gladly as with ours.
    let address = if shared { listener::probe_tcp(address)? } else { address };
    // The limit is per listening socket: divided, so that all of them together keep the promise.
    let each = tuning.backlog.div_ceil(u32::try_from(sets.len()).unwrap_or(u32::MAX));
    let listen = Listen { backlog: each, shared, congestion: tuning.congestion };
    let mut got = address;
    for set in sets {
        let socket = listener::tcp(address, listen)?;
        let named = |error| Failure::new("getsockname", format!("tcp {address}"), error);
        got = listener::local(&socket).map_err(named)?;
        set.listeners.push(socket);
    }
    Ok(got)
}

fn bind_udp(sets: &mut [Sockets], address: SocketAddr) -> Result<SocketAddr, Failure> {
    let shared = sets.len() > 1;
    let named = |error| Failure::new("getsockname", format!("udp {address}"), error);
    let address = match shared {
        true => Datagrams::bind(address, false)?.local().map_err(named)?,
        false => address,
    };
    let mut got = address;
    for set in sets {
        let socket = Datagrams::bind(address, shared)?;
        make_room(&socket, address);
        got = socket.local().map_err(named)?;
        set.datagrams.push(socket);
    }
    Ok(got)
}

/// Bytes of datagrams that may wait for a turn: several bursts of 64 KiB at once, which the kernel
/// counts with its bookkeeping, are more than its default of 208 KiB has room for.
const ROOM: usize = 4 << 20;

/// Asks for [`ROOM`]; without it the service serves as well, and loses more of a burst.
fn make_room(socket: &Datagrams, address: SocketAddr) {
    if socket.room().is_ok_and(|room| room >= ROOM) {
        return;
    }
    match socket.ask_room(ROOM) {
        Ok(room) => tracing::info!(
            "udp {address}: {} KiB asked for what waits to be read, {} KiB got \
             (net.core.rmem_max)",
            ROOM >> 10,
            room >> 10
        ),
        Err(error) => {
            tracing::info!("setsockopt SO_RCVBUF: {}", stentor_os::failure::describe(&error));
        }
    }
}

/// Only the first thread listens on a path: two sockets cannot share one.
fn bind_unix(sets: &mut [Sockets], path: &Path, backlog: u32) -> Result<SocketFile, Failure> {
    let listen = || listener::unix(path, Listen { backlog, shared: false, congestion: None });
    let socket = match listen() {
        Err(failure)
            if failure.error.kind() == io::ErrorKind::AddrInUse && is_left_behind(path) =>
        {
            let named = |error| Failure::new("unlink", path.display(), error);
            fs::remove_file(path).map_err(named)?;
            listen()?
        }
        other => other?,
    };
    if let Some(first) = sets.first_mut() {
        first.listeners.push(socket);
    }
    Ok(SocketFile::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn udp_sockets_have_as_much_room_as_the_kernel_gives() {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let wanted = [Wanted { address: Address::Udp(address), optional: false }];
        let tuning = Tuning { backlog: 1, congestion: None, busy_poll: false };
        let bound = bind(&wanted, 2, &tuning).unwrap();
        // The most that this system gives anybody.
        let most = Datagrams::bind(address, false).unwrap().ask_room(ROOM).unwrap();
        let sockets: Vec<&Datagrams> = bound.sets.iter().flat_map(|set| &set.datagrams).collect();
        assert_eq!(sockets.len(), 2);
        for socket in sockets {
            assert!(socket.room().unwrap() >= most);
        }
    }
}
