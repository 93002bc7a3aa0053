//! How many bytes wait in a socket's two buffers (SIOCINQ, SIOCOUTQ and SIOCOUTQNSD, tcp(7), udp(7)).

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Bytes that have arrived and were not read. For UDP: the size of the next datagram.
pub fn unread(socket: impl AsFd) -> io::Result<usize> {
    ask(&socket, libc::FIONREAD)
}

/// Bytes that were written and are not yet acknowledged by the peer (TCP), or not yet on their
/// way (UDP, counted with the kernel's own overhead).
pub fn unacknowledged(socket: impl AsFd) -> io::Result<usize> {
    ask(&socket, libc::TIOCOUTQ)
}

/// Bytes that were written and not even sent, for want of window: a part of [`unacknowledged`]
/// (SIOCOUTQNSD of linux/sockios.h).
#[cfg(target_os = "linux")]
pub fn unsent(socket: impl AsFd) -> io::Result<usize> {
    const SIOCOUTQNSD: libc::Ioctl = 0x894b;
    ask(&socket, SIOCOUTQNSD)
}

/// Not known to this system.
#[cfg(not(target_os = "linux"))]
pub fn unsent(_socket: impl AsFd) -> io::Result<usize> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Packets that a socket dropped because its receive buffer was full, since it was made
/// (SO_MEMINFO, SK_MEMINFO_DROPS of linux/sock_diag.h).
#[cfg(target_os = "linux")]
pub fn dropped(socket: impl AsFd) -> io::Result<u64> {
    const DROPS: usize = 8;
    let mut numbers = [0_u32; DROPS + 1];
    let mut length = libc::socklen_t::try_from(size_of_val(&numbers)).unwrap_or(0);
    let (level, name, at) = (libc::SOL_SOCKET, libc::SO_MEMINFO, numbers.as_mut_ptr().cast());
    // SAFETY: the kernel writes at most `length` bytes into `numbers`, which outlives the call.
    let result =
        unsafe { libc::getsockopt(socket.as_fd().as_raw_fd(), level, name, at, &raw mut length) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(numbers.last().copied().map_or(0, u64::from))
}

fn ask(socket: &impl AsFd, request: libc::Ioctl) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: both requests write one int, through a pointer that lives for the call; the
    // descriptor is borrowed for as long.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), request, &mut bytes) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn bytes_that_nobody_read_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert_eq!(unread(&server).unwrap(), 0);
        io::Write::write_all(&mut &client, b"hello").unwrap();
        let mut byte = [0];
        assert_eq!(server.peek(&mut byte).unwrap(), 1);
        assert_eq!(unread(&server).unwrap(), 5);
        // A listening socket has no stream to count (EINVAL).
        assert!(unacknowledged(&listener).is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_the_peer_has_no_room_for_is_not_even_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        while io::Write::write(&mut &server, &[0; 1 << 16]).is_ok() {}
        let (unacknowledged, unsent) = (unacknowledged(&server).unwrap(), unsent(&server).unwrap());
        assert!(0 < unsent && unsent <= unacknowledged, "{unsent} of {unacknowledged}");
        drop(client);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn datagrams_that_nobody_read_in_time_are_counted() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(dropped(&socket).unwrap(), 0);
        let address = socket.local_addr().unwrap();
        while dropped(&socket).unwrap() < 3 {
            socket.send_to(&[0; 9000], address).unwrap();
        }
    }

    #[test]
    fn the_next_datagram_has_its_size() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        for size in [3, 4] {
            socket.send_to(&[0; 9][..size], address).unwrap();
        }
        socket.peek(&mut [0]).unwrap();
        assert_eq!(unread(&socket).unwrap(), 3);
    }
}
