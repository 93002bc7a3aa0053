//! Connections that are begun, not waited for: a socket that does not block, and how it went.
//!
//! When to try again, and how long to wait, is left to the drivers.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::failure::Failure;

/// Begins to connect to `peer` over TCP, with TCP_NODELAY. The socket is writable when it is
/// decided; [`outcome`] says how.
pub fn tcp(peer: SocketAddr) -> Result<Socket, Failure> {
    let named = |operation| move |error| Failure::new(operation, format!("tcp {peer}"), error);
    let socket = plain(Domain::for_address(peer)).map_err(named("socket"))?;
    socket.set_tcp_nodelay(true).map_err(named("setsockopt TCP_NODELAY"))?;
    begin(&socket, &peer.into()).map_err(named("connect"))?;
    Ok(socket)
}

/// Begins to connect to a unix(7) stream socket. A full backlog is an error, EAGAIN.
pub fn unix(path: &Path) -> Result<Socket, Failure> {
    let named =
        |operation| move |error| Failure::new(operation, format!("unix {}", path.display()), error);
    let socket = plain(Domain::UNIX).map_err(named("socket"))?;
    let address = SockAddr::unix(path).map_err(named("connect"))?;
    begin(&socket, &address).map_err(named("connect"))?;
    Ok(socket)
}

/// How an attempt ended, once the socket is writable or has an error (SO_ERROR, socket(7)).
/// `false`: it is not decided yet.
pub fn outcome(socket: &Socket) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => Ok(false),
        Err(error) => Err(error),
    }
}

fn plain(domain: Domain) -> io::Result<Socket> {
    #[cfg(target_os = "linux")]
    return Socket::new(domain, Type::STREAM.nonblocking(), None);
    #[cfg(not(target_os = "linux"))]
    {
        let socket = Socket::new(domain, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

fn begin(socket: &Socket, address: &SockAddr) -> io::Result<()> {
    match socket.connect(address) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use super::*;
    use crate::net::poll::{Watch, wait};

    #[test]
    fn a_connection_is_made_or_refused_with_its_errno() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = tcp(address).unwrap();
        wait(&mut [Watch::new(socket.as_fd(), false, true)], None).unwrap();
        assert!(outcome(&socket).unwrap());
        drop((socket, listener));
        let refused = match tcp(address) {
            Ok(socket) => {
                wait(&mut [Watch::new(socket.as_fd(), false, true)], None).unwrap();
                outcome(&socket).unwrap_err()
            }
            Err(failure) => failure.error,
        };
        assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
        let failure = unix(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(failure.error.raw_os_error(), Some(libc::ENOENT));
    }
}
