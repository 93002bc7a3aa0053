//! Receiving with the question std does not answer: was that all of it? (recvmsg(2))

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{MsgFlags, recv};
use socket2::{MaybeUninitSlice, SockRef};

/// A datagram as far as it fitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// How many bytes were stored.
    pub stored: usize,
    /// How many bytes it had (MSG_TRUNC as a flag of the call; Linux only, elsewhere = stored).
    pub length: usize,
    /// Whether the kernel marked it as cut off (MSG_TRUNC in the answer).
    pub truncated: bool,
    /// Who sent it.
    pub source: Option<SocketAddr>,
}

/// Receives one datagram into `buffer`. What does not fit is lost, and said to be.
pub fn datagram(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Datagram> {
    let room = buffer.len();
    let start = buffer.as_mut_ptr().cast::<MaybeUninit<u8>>();
    // SAFETY: `u8` and `MaybeUninit<u8>` have the same layout, the slice covers exactly `buffer`,
    // which stays borrowed, and recvmsg writes initialised bytes only.
    let unfilled = unsafe { std::slice::from_raw_parts_mut(start, room) };
    let flags = if cfg!(target_os = "linux") { libc::MSG_TRUNC } else { 0 };
    let socket = socket.as_fd();
    let mut parts = [MaybeUninitSlice::new(unfilled)];
    let (length, said, source) =
        SockRef::from(&socket).recv_from_vectored_with_flags(&mut parts, flags)?;
    Ok(Datagram {
        stored: length.min(room),
        length,
        truncated: said.is_truncated(),
        source: source.as_socket(),
    })
}

/// Waits until `count` bytes of a stream have arrived, takes none, and returns how many there are
/// up to `count` (MSG_PEEK with MSG_WAITALL). Fewer if the stream ended, or with the socket's
/// receive timeout if nothing more came.
pub fn arrived(socket: impl AsFd, count: usize) -> io::Result<usize> {
    let mut seen = vec![0; count];
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_WAITALL;
    Ok(recv(socket.as_fd().as_raw_fd(), &mut seen, flags)?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn a_datagram_that_does_not_fit_is_said_to_be_cut() {
        let (near, far) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        far.send_to(b"hello world", near.local_addr().unwrap()).unwrap();
        far.send_to(b"four", near.local_addr().unwrap()).unwrap();
        let mut room = [0; 4];
        let cut = datagram(&near, &mut room).unwrap();
        assert_eq!((cut.stored, cut.truncated, &room), (4, true, b"hell"));
        assert_eq!(cut.source, Some(far.local_addr().unwrap()));
        let whole = datagram(&near, &mut room).unwrap();
        assert_eq!((whole.stored, whole.length, whole.truncated, &room), (4, 4, false, b"four"));
    }

    #[test]
    fn arrived_waits_for_all_and_takes_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        far.write_all(b"hello").unwrap();
        far.write_all(b"world").unwrap();
        assert_eq!(arrived(&near, 10).unwrap(), 10);
        assert_eq!(arrived(&near, 10).unwrap(), 10);
        drop(far);
        assert_eq!(arrived(&near, 11).unwrap(), 10);
    }
}
