//! What is written to one socket and could not go at once: bytes of a stream, whole datagrams.
//!
//! What is to be sent is decided by the lane; when to try again, by the worker.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use stentor_os::net::datagrams::Datagrams;

use super::open::Way;

/// The most bytes of one burst of datagrams: an IP packet before the kernel cuts it.
const BURST_MAX: usize = 64_000;

/// A socket and what waits for it.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) way: Way,
    /// Whether a stream is connected; a UDP socket always is.
    pub(super) open: bool,
    /// Bytes that the kernel did not take, of which `gone` are gone meanwhile.
    kept: Vec<u8>,
    gone: usize,
    /// Of datagrams: the length of each of those kept.
    lengths: Vec<usize>,
    /// Whether bursts were refused on this path, so that each datagram is a call.
    singly: bool,
}

/// What became of a write.
#[derive(Debug)]
pub(super) enum Written {
    /// Everything is with the kernel.
    All,
    /// The rest is kept; an event tells when there is room.
    Blocked,
    /// The kernel refused: of a stream, it is over; of a datagram, that one is dropped or, if it
    /// was an earlier one that was refused, kept.
    Refused(io::Error),
}

impl Channel {
    /// A channel on which nothing waits. `kept` is empty memory of the one before it.
    pub(super) fn new(way: Way, open: bool) -> Channel {
        Channel { way, open, kept: Vec::new(), gone: 0, lengths: Vec::new(), singly: false }
    }

    /// Whether something waits for the kernel to have room.
    pub(super) fn is_blocked(&self) -> bool {
        !self.kept.is_empty() || !self.lengths.is_empty()
    }

    /// Writes bytes of a stream behind what is kept.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Written {
        if self.is_blocked() {
            self.kept.extend_from_slice(bytes);
            return self.go_on();
        }
        let (sent, written) = stream(&self.way, bytes);
        self.kept.extend_from_slice(bytes.get(sent..).unwrap_or_default());
        written
    }

    /// Writes datagrams of these `lengths`, one after the other in `bytes`, behind what is kept.
    pub(super) fn send(&mut self, peer: SocketAddr, bytes: &[u8], lengths: &[usize]) -> Written {
        if self.is_blocked() {
            self.kept.extend_from_slice(bytes);
            self.lengths.extend_from_slice(lengths);
            return self.go_on_sending(peer);
        }
        let Way::Packets(datagrams) = &self.way else { return Written::All };
        let (count, sent, written) = packets(datagrams, &mut self.singly, peer, bytes, lengths);
        self.kept.extend_from_slice(bytes.get(sent..).unwrap_or_default());
        self.lengths.extend_from_slice(lengths.get(count..).unwrap_or_default());
        written
    }

    /// Tries again what is kept of a stream.
    pub(super) fn go_on(&mut self) -> Written {
        let rest = self.kept.get(self.gone..).unwrap_or_default();
        let (sent, written) = stream(&self.way, rest);
        self.gone += sent;
        if self.gone >= self.kept.len() {
            self.kept.clear();
            self.gone = 0;
        }
        written
    }

    /// Tries again what is kept of datagrams.
    pub(super) fn go_on_sending(&mut self, peer: SocketAddr) -> Written {
        let Way::Packets(datagrams) = &self.way else { return Written::All };
        let (count, sent, written) =
            packets(datagrams, &mut self.singly, peer, &self.kept, &self.lengths);
        // At most what one connection may have under way is moved.
        self.kept.drain(..sent);
        self.lengths.drain(..count);
        written
    }

    /// Reads bytes of a stream into `room`; 0 at its end.
    pub(super) fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        match &self.way {
            Way::Stream(socket) => {
                let mut socket = socket;
                socket.read(room)
            }
            Way::Packets(_) => Err(io::Error::from(io::ErrorKind::WouldBlock)),
        }
    }
}

/// Writes until the kernel takes no more; says how much went.
fn stream(way: &Way, bytes: &[u8]) -> (usize, Written) {
    let Way::Stream(socket) = way else { return (bytes.len(), Written::All) };
    let mut socket = socket;
    let mut sent = 0;
    while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
        match socket.write(rest) {
            // Less than asked for: the buffer is full, and the next write would say so.
            Ok(count) if count < rest.len() => return (sent + count, Written::Blocked),
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return (sent, Written::Blocked);
            }
            Err(error) => return (sent, Written::Refused(error)),
        }
    }
    (sent, Written::All)
}

/// Sends datagrams, equal neighbours in one call where that is possible; says how many went, and
/// how many bytes they are.
fn packets(
    datagrams: &Datagrams,
    singly: &mut bool,
    peer: SocketAddr,
    bytes: &[u8],
    lengths: &[usize],
) -> (usize, usize, Written) {
    let (mut count, mut sent) = (0, 0);
    while let Some(rest) = lengths.get(count..).filter(|rest| !rest.is_empty()) {
        let most = if *singly { 1 } else { datagrams.many_max() };
        let (number, length) = burst(rest, most);
        let end = sent + rest.iter().take(number).sum::<usize>();
        let contents = bytes.get(sent..end).unwrap_or_default();
        let result = match number {
            1 => datagrams.send(None, peer, contents),
            _ => datagrams.send_many(peer, contents, length),
        };
        match result {
            Ok(()) => (count, sent) = (count + number, end),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return (count, sent, Written::Blocked);
            }
            // An earlier datagram was refused, and nothing of this call was sent.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return (count, sent, Written::Refused(error));
            }
            Err(_) if number > 1 => *singly = true,
            Err(error) => return (count + 1, end, Written::Refused(error)),
        }
    }
    (count, sent, Written::All)
}

/// How many of the first `lengths` go into one burst, and the length of each; the last may be
/// shorter (UDP_SEGMENT, udp(7)).
fn burst(lengths: &[usize], most: usize) -> (usize, usize) {
    let Some(&first) = lengths.first().filter(|first| **first > 0) else { return (1, 0) };
    let (mut number, mut total) = (0, 0);
    for &length in lengths.iter().take(most.max(1)) {
        if length > first || length == 0 || (number > 0 && total + length > BURST_MAX) {
            break;
        }
        (number, total) = (number + 1, total + length);
        if length < first {
            break;
        }
    }
    (number, first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_neighbours_share_a_call() {
        let check = |lengths: &[usize], most, expected| {
            assert_eq!(burst(lengths, most), expected, "{lengths:?}");
        };
        check(&[32, 32, 32], 64, (3, 32));
        check(&[32, 32, 32], 2, (2, 32));
        check(&[32, 32, 8, 32], 64, (3, 32));
        check(&[32, 33], 64, (1, 32));
        check(&[0, 0], 64, (1, 0));
        check(&[8, 0], 64, (1, 8));
        check(&[65_507, 65_507], 64, (1, 65_507));
        check(&[1472; 50], 64, (43, 1472));
        check(&[32], 0, (1, 32));
    }
}
