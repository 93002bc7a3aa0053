//! How many bytes wait in a socket's two buffers (SIOCINQ and SIOCOUTQ, tcp(7), udp(7)).

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
