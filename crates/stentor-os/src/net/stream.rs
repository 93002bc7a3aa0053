//! Bytes of a connected stream socket, one call each (recv(2), send(2)).

use std::io;
use std::os::fd::AsFd;

use rustix::net::{RecvFlags, SendFlags};

/// Takes what has come into `buffer` and returns how many bytes that were; 0: the peer's FIN, or
/// an empty `buffer`. WouldBlock where a socket that does not block has nothing.
#[inline]
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _) = rustix::net::recv(socket, buffer, RecvFlags::empty())?;
    Ok(count)
}

/// Gives `bytes` to the kernel and returns how many it took. A peer that has gone is EPIPE and
/// never a signal (MSG_NOSIGNAL).
#[inline]
pub fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, NO_SIGNAL)?)
}

#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
/// A process of Rust ignores SIGPIPE by default; this system has no such flag.
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: SendFlags = SendFlags::empty();
