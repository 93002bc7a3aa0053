//! Listening sockets, and the sockets that accept(2) makes from them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::failure::Failure;

/// What a listening socket is made with.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    /// How many finished connections may wait (listen(2)); the kernel caps it at
    /// net.core.somaxconn, and Linux lets one more wait than this.
    pub backlog: u32,
    /// Whether several sockets of this user may share the port (SO_REUSEPORT, socket(7)).
    pub shared: bool,
}

/// Makes a non-blocking TCP socket that listens on `address`, with SO_REUSEADDR, so that a restart
/// is not refused for connections in TIME_WAIT, and TCP_NODELAY, which accepted sockets inherit.
pub fn tcp(address: SocketAddr, listen: Listen) -> Result<Socket, Failure> {
    let named = |operation| move |error| Failure::new(operation, format!("tcp {address}"), error);
    let socket = bound(address, Type::STREAM, listen.shared).map_err(|(op, e)| named(op)(e))?;
    socket.set_tcp_nodelay(true).map_err(named("setsockopt TCP_NODELAY"))?;
    socket.listen(backlog(listen)).map_err(named("listen"))?;
    Ok(socket)
}

/// Makes a non-blocking unix(7) stream socket that listens on `path`. A path that exists is
/// refused with EADDRINUSE, whoever made it.
pub fn unix(path: &Path, listen: Listen) -> Result<Socket, Failure> {
    let named =
        |operation| move |error| Failure::new(operation, format!("unix {}", path.display()), error);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(named("socket"))?;
    socket.set_nonblocking(true).map_err(named("fcntl O_NONBLOCK"))?;
    let address = SockAddr::unix(path).map_err(named("bind"))?;
    socket.bind(&address).map_err(named("bind"))?;
    socket.listen(backlog(listen)).map_err(named("listen"))?;
    Ok(socket)
}

/// Binds a TCP socket that never listens, and says which address it got: whether the address is
/// free for us alone, which SO_REUSEPORT would not tell. It is free again on return.
pub fn probe_tcp(address: SocketAddr) -> Result<SocketAddr, Failure> {
    let named = |operation| move |error| Failure::new(operation, format!("tcp {address}"), error);
    let socket = bound(address, Type::STREAM, false).map_err(|(op, e)| named(op)(e))?;
    local(&socket).map_err(named("getsockname"))
}

/// A socket bound to `address`, non-blocking; IPv6 ones do not take IPv4 traffic as well.
pub(super) fn bound(
    address: SocketAddr,
    kind: Type,
    shared: bool,
) -> Result<Socket, (&'static str, io::Error)> {
    let at = |operation| move |error| (operation, error);
    let socket = Socket::new(Domain::for_address(address), kind, None).map_err(at("socket"))?;
    socket.set_nonblocking(true).map_err(at("fcntl O_NONBLOCK"))?;
    if address.is_ipv6() {
        socket.set_only_v6(true).map_err(at("setsockopt IPV6_V6ONLY"))?;
    }
    if kind == Type::STREAM {
        socket.set_reuse_address(true).map_err(at("setsockopt SO_REUSEADDR"))?;
    }
    if shared {
        socket.set_reuse_port(true).map_err(at("setsockopt SO_REUSEPORT"))?;
    }
    socket.bind(&address.into()).map_err(at("bind"))?;
    Ok(socket)
}

/// The address a socket is bound to (getsockname(2)).
pub fn local(socket: &Socket) -> io::Result<SocketAddr> {
    let address = socket.local_addr()?;
    address.as_socket().ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
}

/// Accepts one connection as a non-blocking socket, in one call (accept4(2)).
#[cfg(target_os = "linux")]
pub fn accept(listener: &Socket) -> io::Result<Socket> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the descriptor is open for the length of the call, and accept4(2) takes null
    // pointers for an address nobody asks for.
    let accepted = unsafe {
        libc::accept4(listener.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), flags)
    };
    if accepted < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: accept4 has just made this descriptor, and nothing else knows of it.
    Ok(unsafe { Socket::from_raw_fd(accepted) })
}

/// Accepts one connection as a non-blocking socket (accept(2)).
#[cfg(not(target_os = "linux"))]
pub fn accept(listener: &Socket) -> io::Result<Socket> {
    let (accepted, _) = listener.accept()?;
    accepted.set_nonblocking(true)?;
    Ok(accepted)
}

/// Whether accept(2) was refused for want of descriptors or memory: the client still waits, and the
/// next attempt may succeed.
pub fn is_exhausted(error: &io::Error) -> bool {
    let exhausted = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|errno| exhausted.contains(&errno))
}

fn backlog(listen: Listen) -> i32 {
    i32::try_from(listen.backlog).unwrap_or(i32::MAX)
}
