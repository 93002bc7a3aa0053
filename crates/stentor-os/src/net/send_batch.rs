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
pub struct SendBatch<'a> {
    /// The contents of those that were copied.
    copies: Vec<u8>,
    lots: Vec<Lot<'a>>,
    trains: Vec<Train>,
    bytes: usize,
    datagrams: usize,
}

/// One addition: a datagram, or several of one size.
#[derive(Clone, Debug)]
struct Lot<'a> {
    contents: Contents<'a>,
    /// The size of each but the last, which may be shorter; 0 of an empty one.
    segment: usize,
    /// The number of the next lot of its train.
    next: Option<usize>,
    /// What the kernel has refused of it.
    refused: Sum,
}

/// Where the bytes of a lot are, one datagram after the other.
#[derive(Clone, Debug)]
enum Contents<'a> {
    Copied(Range<usize>),
    Lent(&'a [u8]),
}

/// So many datagrams, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub datagrams: usize,
    /// All their payloads together.
    pub bytes: usize,
}

/// What became of one addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the kernel took.
    pub sent: Sum,
    /// What it refused.
    pub refused: Sum,
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

impl<'a> SendBatch<'a> {
    /// An empty batch that copies into `room`, whose contents are forgotten.
    pub fn with_room(mut room: Vec<u8>) -> SendBatch<'a> {
        room.clear();
        SendBatch { copies: room, ..SendBatch::default() }
    }

    /// The room, for the next batch.
    pub fn into_room(self) -> Vec<u8> {
        self.copies
    }

    /// Adds a copy of a datagram to `to`; `from` as in [`super::datagrams::Datagrams::send`].
    pub fn push(&mut self, from: Option<IpAddr>, to: SocketAddr, contents: &[u8]) {
        let start = self.copies.len();
        self.copies.extend_from_slice(contents);
        let copied = Contents::Copied(start..self.copies.len());
        self.add(from, to, copied, contents.len(), contents.len());
    }

    /// Adds datagrams of `segment` bytes each, the last with what is left; they are not copied.
    /// Those that are too many for one buffer count as several additions; returns how many.
    pub fn push_train(
        &mut self,
        from: Option<IpAddr>,
        to: SocketAddr,
        contents: &'a [u8],
        segment: usize,
    ) -> usize {
        let before = self.lots.len();
        let most = (TRAIN_MAX / segment.max(1)).clamp(1, SEGMENTS_MAX);
        for part in contents.chunks((most * segment).max(1)) {
            self.add(from, to, Contents::Lent(part), part.len(), segment);
        }
        self.lots.len() - before
    }

    fn add(
        &mut self,
        from: Option<IpAddr>,
        to: SocketAddr,
        contents: Contents<'a>,
        bytes: usize,
        segment: usize,
    ) {
        let number = self.lots.len();
        self.lots.push(Lot { contents, segment, next: None, refused: Sum::default() });
        let count = count(bytes, segment);
        self.bytes += bytes;
        self.datagrams += count;
        // Only its peer's last train: what comes after it would overtake.
        let of_peer = |train: &&mut Train| train.to == to && train.from == from;
        let train = self.trains.iter_mut().rev().find(of_peer);
        if let Some(train) = train.filter(|train| train.takes(count, bytes, segment)) {
            if let Some(last) = self.lots.get_mut(train.last) {
                last.next = Some(number);
            }
            train.last = number;
            train.count += count;
            train.bytes += bytes;
            train.open = bytes == count * train.segment;
        } else {
            // Of empty datagrams no number of bytes tells how many there are.
            let open = segment > 0 && bytes == count * segment;
            let (first, last) = (number, number);
            self.trains.push(Train { from, to, first, last, count, bytes, segment, open });
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.lots.is_empty()
    }

    /// Whether it had better be sent before more is added.
    pub fn is_full(&self) -> bool {
        self.bytes >= BYTES_ENOUGH || self.datagrams >= DATAGRAMS_ENOUGH
    }

    /// What became of each addition, in order; for after the sending.
    pub fn outcomes(&self) -> impl Iterator<Item = Outcome> + '_ {
        self.lots.iter().map(|lot| {
            let bytes = self.contents(lot).len();
            let (refused, datagrams) = (lot.refused, count(bytes, lot.segment));
            let sent =
                Sum { datagrams: datagrams - refused.datagrams, bytes: bytes - refused.bytes };
            Outcome { sent, refused }
        })
    }

    /// Forgets what it holds.
    pub fn clear(&mut self) {
        self.copies.clear();
        self.lots.clear();
        self.trains.clear();
        self.bytes = 0;
        self.datagrams = 0;
    }

    fn contents<'b>(&'b self, lot: &Lot<'b>) -> &'b [u8] {
        match &lot.contents {
            Contents::Copied(range) => self.copies.get(range.clone()).unwrap_or_default(),
            Contents::Lent(bytes) => bytes,
        }
    }

    /// The lots of a train by number, and their contents.
    fn of<'b>(&'b self, train: &Train) -> impl Iterator<Item = (usize, &'b [u8])> + use<'a, 'b> {
        let mut next = Some(train.first);
        std::iter::from_fn(move || {
            let number = next?;
            let lot = self.lots.get(number)?;
            next = lot.next;
            Some((number, self.contents(lot)))
        })
    }

    /// Notes that nothing of a train was taken.
    #[cfg(target_os = "linux")]
    fn refuse(&mut self, train: &Train) {
        self.send_train_singly(train, &mut |_, _, _| Err(std::io::ErrorKind::Other.into()));
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
        let mut next = Some(train.first);
        while let Some(number) = next {
            let Some(lot) = self.lots.get(number) else { return };
            let (bytes, mut refused) = (self.contents(lot), Sum::default());
            for datagram in datagrams(bytes, lot.segment) {
                if send(train.from, train.to, datagram).is_err() {
                    refused.datagrams += 1;
                    refused.bytes += datagram.len();
                }
            }
            next = lot.next;
            if let Some(lot) = self.lots.get_mut(number) {
                lot.refused = refused;
            }
        }
    }
}

impl Train {
    /// Whether so many datagrams can be coupled to its end, all but the last of size `segment`.
    fn takes(&self, count: usize, bytes: usize, segment: usize) -> bool {
        let fits = if count > 1 { segment == self.segment } else { segment <= self.segment };
        let all = self.count + count <= SEGMENTS_MAX && self.bytes + bytes <= TRAIN_MAX;
        self.open && segment > 0 && fits && all
    }
}

/// How many datagrams these bytes are; none at all is an empty one.
fn count(bytes: usize, segment: usize) -> usize {
    bytes.div_ceil(segment.max(1)).max(1)
}

/// Each of them.
fn datagrams(bytes: &[u8], segment: usize) -> impl Iterator<Item = &[u8]> {
    let empty = bytes.is_empty().then_some(bytes);
    empty.into_iter().chain(bytes.chunks(segment.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// The outcome of one datagram that was taken.
    fn sent(bytes: usize) -> Outcome {
        Outcome { sent: Sum { datagrams: 1, bytes }, refused: Sum::default() }
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
        assert!(batch.outcomes().eq(lengths.into_iter().map(sent)));
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
    fn what_came_as_a_train_leaves_as_one() {
        let mut batch = SendBatch::default();
        let check = |batch: &SendBatch<'_>, expected: &[(usize, usize, bool)]| {
            let trains = batch.trains.iter().map(|train| (train.count, train.bytes, train.open));
            assert_eq!(trains.collect::<Vec<_>>(), expected);
        };
        batch.push_train(None, peer(1), &[b'x'; 30], 10);
        batch.push_train(None, peer(1), &[b'x'; 20], 10);
        batch.push(None, peer(1), b"short");
        check(&batch, &[(6, 55, false)]);
        // One that ends short is not coupled to, and another size begins a train of its own.
        batch.push_train(None, peer(1), &[b'x'; 25], 10);
        batch.push_train(None, peer(1), &[b'x'; 24], 8);
        check(&batch, &[(6, 55, false), (3, 25, false), (3, 24, true)]);
        let sums: Vec<Sum> = batch.outcomes().map(|outcome| outcome.sent).collect();
        let expected = [(3, 30), (2, 20), (1, 5), (3, 25), (3, 24)];
        let sum = |(datagrams, bytes)| Sum { datagrams, bytes };
        assert_eq!(sums, expected.map(sum));
        // What no kernel takes at once is cut.
        batch.clear();
        batch.push_train(None, peer(1), &[b'x'; 130], 1);
        batch.push_train(None, peer(2), &[b'x'; 65_508], 32_754);
        let of = |train: &Train| (train.to.port(), train.count, train.bytes);
        let trains: Vec<_> = batch.trains.iter().map(of).collect();
        assert_eq!(trains, [(1, 64, 64), (1, 64, 64), (1, 2, 2), (2, 1, 32_754), (2, 1, 32_754)]);
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
            batch.push(None, receiver.local_addr().unwrap(), b"one");
            batch.push_train(None, receiver.local_addr().unwrap(), b"twosix", 3);
            socket.send_batch(&mut batch);
            assert_eq!(socket.trains_refused(), refused);
            let pair = Sum { datagrams: 2, bytes: 6 };
            assert!(batch.outcomes().eq([sent(3), Outcome { sent: pair, ..sent(0) }]));
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
        let taken: Vec<usize> = batch.outcomes().map(|outcome| outcome.sent.datagrams).collect();
        assert_eq!(taken, [1, 1, 0, 0, 1, 1]);
        assert_eq!(socket.trains_refused(), 0);
    }
}
