//! The state of another process's socket, asked of a duplicate of its descriptor
//! (pidfd_getfd(2)); no privilege beyond that of its tracer.
//!
//! The duplicate lives for one question only. Held longer it would keep the socket open when the
//! program closes it, and no FIN would be sent.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::event::{Address, Buffers, Identity, Snapshot};
use super::memory::parse_address;
use crate::clock;
use crate::net::{queues, tcp_info};

/// A handle of a process (pidfd_open(2), Linux 5.3).
pub(super) fn open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// A duplicate of a descriptor of that process (Linux 5.6).
pub(super) fn duplicate(process: &OwnedFd, descriptor: i32) -> io::Result<OwnedFd> {
    let process = process.as_raw_fd();
    // SAFETY: takes numbers only; the handle is borrowed for the call.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process, descriptor, 0) })
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    match i32::try_from(result) {
        // SAFETY: the kernel just gave us this descriptor, and nothing else owns it.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The inode of a socket; `None` for anything else.
pub(super) fn inode(socket: BorrowedFd<'_>) -> Option<u64> {
    // SAFETY: a plain C struct, for which all zeros is a valid value.
    let mut facts: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one stat through a pointer that lives for the call.
    let result = unsafe { libc::fstat(socket.as_raw_fd(), &raw mut facts) };
    (result == 0 && facts.st_mode & libc::S_IFMT == libc::S_IFSOCK).then_some(facts.st_ino)
}

/// Which socket this is.
pub(super) fn identity(socket: BorrowedFd<'_>, inode: u64) -> Identity {
    let number = |name| {
        let mut bytes = [0; 4];
        option(socket, name, &mut bytes).map(|_| i32::from_ne_bytes(bytes))
    };
    let kind = match (number(libc::SO_DOMAIN), number(libc::SO_TYPE), number(libc::SO_PROTOCOL)) {
        (Some(domain), Some(kind), Some(protocol)) => Some([domain, kind, protocol]),
        _ => None,
    };
    let mut bytes = [0; 8];
    let cookie = option(socket, libc::SO_COOKIE, &mut bytes).map(|_| u64::from_ne_bytes(bytes));
    Identity { inode, cookie, kind }
}

/// Asks everything there is to know of a socket now.
pub(super) fn take(socket: BorrowedFd<'_>, identity: Identity) -> Snapshot {
    let stream = matches!(identity.kind, Some([_, libc::SOCK_STREAM, libc::IPPROTO_TCP]));
    Snapshot {
        at: clock::stamp(),
        identity,
        local: name(socket, libc::getsockname),
        peer: name(socket, libc::getpeername),
        tcp: if stream { tcp_info::tcp_info(socket).ok() } else { None },
        unread: queues::unread(socket).ok(),
        unacknowledged: queues::unacknowledged(socket).ok(),
        memory: memory(socket),
    }
}

type Name =
    unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

fn name(socket: BorrowedFd<'_>, ask: Name) -> Option<Address> {
    let mut bytes = [0_u8; 128];
    let mut length = libc::socklen_t::try_from(bytes.len()).ok()?;
    // SAFETY: the kernel writes at most `length` bytes into `bytes`, and sets `length`.
    let result = unsafe { ask(socket.as_raw_fd(), bytes.as_mut_ptr().cast(), &raw mut length) };
    let length = usize::try_from(length).ok()?;
    if result == 0 { parse_address(bytes.get(..length)?) } else { None }
}

/// An option of level SOL_SOCKET; how many bytes the kernel wrote.
fn option(socket: BorrowedFd<'_>, name: libc::c_int, value: &mut [u8]) -> Option<usize> {
    let mut length = libc::socklen_t::try_from(value.len()).ok()?;
    let (descriptor, at) = (socket.as_raw_fd(), value.as_mut_ptr().cast());
    // SAFETY: the kernel writes at most `length` bytes into `value`, and sets `length`.
    let result =
        unsafe { libc::getsockopt(descriptor, libc::SOL_SOCKET, name, at, &raw mut length) };
    if result == 0 { usize::try_from(length).ok() } else { None }
}

fn memory(socket: BorrowedFd<'_>) -> Option<Buffers> {
    let mut bytes = [0_u8; 9 * 4];
    let written = option(socket, libc::SO_MEMINFO, &mut bytes)?;
    let mut numbers = bytes.get(..written)?.chunks_exact(4);
    let mut next = || {
        let four = numbers.next().and_then(|four| four.try_into().ok());
        four.map_or(0, u32::from_ne_bytes)
    };
    let (receive_used, receive_max, send_used, send_max) = (next(), next(), next(), next());
    let (_forward, send_queued, _options, _backlog) = (next(), next(), next(), next());
    Some(Buffers { receive_used, receive_max, send_used, send_max, send_queued, drops: next() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;

    fn of(socket: impl AsFd) -> Snapshot {
        let own = open(i32::try_from(std::process::id()).unwrap()).unwrap();
        let copy = duplicate(&own, socket.as_fd().as_raw_fd()).unwrap();
        let inode = inode(copy.as_fd()).unwrap();
        take(copy.as_fd(), identity(copy.as_fd(), inode))
    }

    #[test]
    fn a_connection_is_described_by_a_duplicate() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let (near, far) = (of(&client), of(&server));
        assert_eq!(near.local, Some(Address::Ip(client.local_addr().unwrap())));
        assert_eq!(near.peer, far.local);
        assert_ne!(near.identity, far.identity);
        assert!(near.identity.cookie.is_some() && near.identity.internet());
        assert_eq!(near.tcp.unwrap().state.name(), "ESTABLISHED");
        assert_eq!(of(&listener).peer, None);
    }

    #[test]
    fn a_datagram_too_many_is_counted() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (address, mut sent) = (socket.local_addr().unwrap(), 0);
        while of(&socket).memory.unwrap().drops == 0 {
            socket.send_to(&[0; 8000], address).unwrap();
            sent += 1;
            assert!(sent < 10_000);
        }
        assert_eq!(of(&socket).unread, Some(8000));
    }

    #[test]
    fn what_is_not_a_socket_has_no_identity() {
        assert_eq!(inode(io::stdin().as_fd()), None);
    }
}
