//! Datagrams gathered to leave together: those of one size for one peer as a single buffer that
//! the kernel cuts up (UDP_SEGMENT, udp(7)), and many buffers in one call (sendmmsg(2)).
//!
//! What has no such calls, or a kernel that refuses them, gets the same datagrams one by one. When
//! to gather, and what becomes of a datagram that could not be sent, is left to the drivers.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub(super) use linux::send;

/// The most datagrams of one buffer: UDP_MAX_SEGMENTS of kernels before 6.9, in
/// include/linux/udp.h; later ones take 128.
const SEGMENTS_MAX: usize = 64;
/// The most bytes of one buffer: one UDP length over IPv4 (RFC 768, RFC 791), cut up or not.
const TRAIN_MAX: usize = 65_507;
/// How much is gathered, in bytes and in datagrams, before it had better be sent.
const BYTES_ENOUGH: usize = 256 << 10;
const DATAGRAMS_ENOUGH: usize = 1024;

/// Datagrams in the order in which they were added; each peer receives its own in that order.
#[derive(Debug, Default)]
pub struct SendBatch {
    bytes: Vec<u8>,
    datagrams: Vec<Datagram>,
    trains: Vec<Train>,
}

/// One datagram.
#[derive(Clone, Debug)]
struct Datagram {
    bytes: Range<usize>,
    /// The number of the next one of its train.
    next: Option<usize>,
    /// Whether the kernel has refused it.
    refused: bool,
}

/// Datagrams of one size for one peer, of which the last may be shorter, as UDP_SEGMENT wants it.
#[derive(Clone, Debug)]
struct Train {
    from: Option<IpAddr>,
    to: SocketAddr,
    first: usize,
    last: usize,
    count: usize,
    bytes: usize,
    /// The size of each but the last.
    segment: usize,
    /// Whether another one may be coupled to it.
    open: bool,
}

impl SendBatch {
    /// Adds a datagram to `to`; `from` as in [`super::datagrams::Datagrams::send`].
    pub fn push(&mut self, from: Option<IpAddr>, to: SocketAddr, contents: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(contents);
        let number = self.datagrams.len();
        let bytes = start..self.bytes.len();
        self.datagrams.push(Datagram { bytes, next: None, refused: false });
        // Only its peer's last train: what comes after it would overtake.
        let of_peer = |train: &&mut Train| train.to == to && train.from == from;
        let train = self.trains.iter_mut().rev().find(of_peer);
        if let Some(train) = train.filter(|train| train.takes(contents.len())) {
            if let Some(last) = self.datagrams.get_mut(train.last) {
                last.next = Some(number);
            }
            train.last = number;
            train.count += 1;
            train.bytes += contents.len();
            train.open = contents.len() == train.segment;
        } else {
            let (segment, bytes) = (contents.len(), contents.len());
            // Of empty datagrams no number of bytes tells how many there are.
            let open = segment > 0;
            let (first, last, count) = (number, number, 1);
            self.trains.push(Train { from, to, first, last, count, bytes, segment, open });
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Whether it had better be sent before more is added.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= BYTES_ENOUGH || self.datagrams.len() >= DATAGRAMS_ENOUGH
    }

    /// For each datagram, in order, its length and whether the kernel took it; for after the
    /// sending.
    pub fn outcomes(&self) -> impl Iterator<Item = (usize, bool)> + '_ {
        self.datagrams.iter().map(|datagram| (datagram.bytes.len(), !datagram.refused))
    }

    /// Forgets what it holds.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
        self.trains.clear();
    }

    /// The numbers and contents of the datagrams of a train.
    fn of<'a>(&'a self, train: &Train) -> impl Iterator<Item = (usize, &'a [u8])> + use<'a> {
        let mut next = Some(train.first);
        std::iter::from_fn(move || {
            let number = next?;
            let datagram = self.datagrams.get(number)?;
            next = datagram.next;
            Some((number, self.bytes.get(datagram.bytes.clone()).unwrap_or_default()))
        })
    }

    fn refuse(&mut self, number: usize) {
        if let Some(datagram) = self.datagrams.get_mut(number) {
            datagram.refused = true;
        }
    }

    /// Sends each datagram by itself through `send`.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn send_singly(
        &mut self,
        mut send: impl FnMut(Option<IpAddr>, SocketAddr, &[u8]) -> std::io::Result<()>,
    ) {
        for train in std::mem::take(&mut self.trains) {
            self.send_train_singly(&train, &mut send);
        }
    }

    fn send_train_singly(
        &mut self,
        train: &Train,
        send: &mut impl FnMut(Option<IpAddr>, SocketAddr, &[u8]) -> std::io::Result<()>,
    ) {
        let failed: Vec<usize> = self
            .of(train)
            .filter(|(_, contents)| send(train.from, train.to, contents).is_err())
            .map(|(number, _)| number)
            .collect();
        failed.into_iter().for_each(|number| self.refuse(number));
    }
}

impl Train {
    /// Whether a datagram of `len` bytes can be coupled to its end.
    fn takes(&self, len: usize) -> bool {
        self.open
            && (1..=self.segment).contains(&len)
            && self.count < SEGMENTS_MAX
            && self.bytes + len <= TRAIN_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// The trains that datagrams of (port, length) make, as (port, lengths).
    fn check(datagrams: &[(u16, usize)], expected: &[(u16, &[usize])]) {
        let mut batch = SendBatch::default();
        for &(port, len) in datagrams {
            batch.push(None, peer(port), &vec![b'x'; len]);
        }
        let trains: Vec<(u16, Vec<usize>)> = batch
            .trains
            .iter()
            .map(|train| {
                let lengths: Vec<usize> = batch.of(train).map(|(_, bytes)| bytes.len()).collect();
                assert_eq!(train.bytes, lengths.iter().sum());
                assert_eq!(train.count, lengths.len());
                (train.to.port(), lengths)
            })
            .collect();
        let expected: Vec<(u16, Vec<usize>)> =
            expected.iter().map(|(port, lengths)| (*port, lengths.to_vec())).collect();
        assert_eq!(trains, expected);
        let lengths: Vec<usize> = datagrams.iter().map(|(_, len)| *len).collect();
        assert!(batch.outcomes().eq(lengths.into_iter().map(|len| (len, true))));
    }

    #[test]
    fn equal_sizes_are_coupled_and_a_shorter_one_ends_a_train() {
        check(&[(1, 9), (1, 9), (1, 9)], &[(1, &[9, 9, 9])]);
        check(&[(1, 9), (1, 9), (1, 4), (1, 4)], &[(1, &[9, 9, 4]), (1, &[4])]);
        check(&[(1, 4), (1, 9)], &[(1, &[4]), (1, &[9])]);
    }

    #[test]
    fn peers_have_trains_of_their_own_and_nothing_overtakes() {
        check(&[(1, 9), (2, 9), (1, 9), (2, 5)], &[(1, &[9, 9]), (2, &[9, 5])]);
        check(&[(1, 9), (1, 20), (2, 9), (1, 9)], &[(1, &[9]), (1, &[20, 9]), (2, &[9])]);
    }

    #[test]
    fn empty_datagrams_travel_alone() {
        check(&[(1, 0), (1, 0)], &[(1, &[0]), (1, &[0])]);
        check(&[(1, 3), (1, 0), (1, 3)], &[(1, &[3]), (1, &[0]), (1, &[3])]);
    }

    #[test]
    fn a_train_is_as_long_as_the_kernel_takes() {
        check(&[(1, 1); 65], &[(1, &[1; 64]), (1, &[1])]);
        check(&[(1, 32_754), (1, 32_754)], &[(1, &[32_754]), (1, &[32_754])]);
        check(&[(1, 32_753), (1, 32_753), (1, 1)], &[(1, &[32_753, 32_753, 1])]);
        check(&[(1, 65_507), (1, 1)], &[(1, &[65_507]), (1, &[1])]);
    }

    #[test]
    fn from_two_addresses_of_ours_nothing_is_coupled() {
        let mut batch = SendBatch::default();
        for from in [1, 2, 1] {
            batch.push(Some(IpAddr::from([127, 0, 0, from])), peer(1), b"x");
        }
        assert_eq!(batch.trains.len(), 2);
        assert!(!batch.is_empty() && !batch.is_full());
        batch.clear();
        assert!(batch.is_empty());
    }

    #[test]
    fn it_is_full_before_it_is_large() {
        let mut batch = SendBatch::default();
        (0..DATAGRAMS_ENOUGH).for_each(|_| batch.push(None, peer(1), b""));
        assert!(batch.is_full());
        batch.clear();
        (0..5).for_each(|_| batch.push(None, peer(1), &[0; 65_507]));
        assert!(batch.is_full());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_the_kernel_refuses_to_cut_leaves_one_by_one() {
        use crate::net::datagrams::Datagrams;
        use std::os::fd::AsFd;
        let mut socket = Datagrams::bind(peer(0), false).unwrap();
        let receiver = std::net::UdpSocket::bind(peer(0)).unwrap();
        receiver.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        // Without checksums nothing is cut: EINVAL (net/ipv4/udp.c).
        let level = libc::SOL_SOCKET;
        crate::net::option::set_int(socket.as_fd(), level, libc::SO_NO_CHECK, 1).unwrap();
        let mut batch = SendBatch::default();
        // A size that was refused once is not tried again.
        for refused in [1, 1] {
            for contents in [b"one", b"two", b"six"] {
                batch.push(None, receiver.local_addr().unwrap(), contents);
            }
            socket.send_batch(&mut batch);
            assert_eq!(socket.trains_refused(), refused);
            assert!(batch.outcomes().eq([(3, true); 3]));
            batch.clear();
            for expected in [b"one", b"two", b"six"] {
                let mut received = [0; 100];
                let size = receiver.recv(&mut received).unwrap();
                assert_eq!(&received[..size], expected);
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_cannot_be_sent_at_all_is_told_apart_from_the_rest() {
        use crate::net::datagrams::Datagrams;
        let mut socket = Datagrams::bind(peer(0), false).unwrap();
        let receiver = std::net::UdpSocket::bind(peer(0)).unwrap();
        let mut batch = SendBatch::default();
        for to in [receiver.local_addr().unwrap(), peer(0), receiver.local_addr().unwrap()] {
            batch.push(None, to, b"xx");
            batch.push(None, to, b"yyyy");
        }
        socket.send_batch(&mut batch);
        // Nobody has port 0.
        let taken: Vec<bool> = batch.outcomes().map(|(_, taken)| taken).collect();
        assert_eq!(taken, [true, true, false, false, true, true]);
        assert_eq!(socket.trains_refused(), 0);
    }
}
