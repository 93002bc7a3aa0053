//! The memory of a traced program (process_vm_readv(2)), and the C structures read from it.
//!
//! What is read was written by the program: every length is bounded, and what cannot be read is
//! left out. Programs of 64 bits only.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::event::{Address, Message};

/// At most this many buffers of one message, and messages of one call, are looked at (IOV_MAX).
const PARTS_MAX: u64 = 1024;
/// Whatever length a program passes, no more is copied at once.
const READ_BYTES_MAX: u64 = 1 << 24;
/// struct sockaddr_storage.
const ADDRESS_BYTES_MAX: u64 = 128;
/// struct msghdr and struct mmsghdr of 64 bits.
const MSGHDR_BYTES: usize = 56;
const MMSGHDR_BYTES: u64 = 64;

/// The memory of one process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory(pub(super) i32);

/// The C int in the low half of a register.
pub(super) fn int(word: u64) -> i32 {
    let [a, b, c, d, ..] = word.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

fn word_at(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok());
    eight.map_or(0, u64::from_ne_bytes)
}

fn int_at(bytes: &[u8], at: usize) -> i32 {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map_or(0, i32::from_ne_bytes)
}

impl Memory {
    /// Reads up to `length` bytes from `address`; fewer, or none, where the program has none.
    pub(super) fn bytes(self, address: u64, length: u64) -> Vec<u8> {
        let length = usize::try_from(length.min(READ_BYTES_MAX));
        let (Ok(address), Ok(length)) = (usize::try_from(address), length) else {
            return Vec::new();
        };
        let mut bytes = vec![0_u8; length];
        let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: length };
        let remote =
            libc::iovec { iov_base: std::ptr::without_provenance_mut(address), iov_len: length };
        // SAFETY: the kernel writes at most `length` bytes into `bytes`; the remote address is
        // never used in this process.
        let read = unsafe { libc::process_vm_readv(self.0, &raw const local, 1, &remote, 1, 0) };
        bytes.truncate(usize::try_from(read).unwrap_or(0));
        bytes
    }

    /// Exactly `length` bytes, or nothing.
    fn whole(self, address: u64, length: usize) -> Option<Vec<u8>> {
        if address == 0 {
            return None;
        }
        let bytes = self.bytes(address, u64::try_from(length).ok()?);
        (bytes.len() == length).then_some(bytes)
    }

    pub(super) fn int(self, address: u64) -> Option<i32> {
        self.whole(address, 4).map(|bytes| int_at(&bytes, 0))
    }

    pub(super) fn ints(self, address: u64) -> Option<[i32; 2]> {
        self.whole(address, 8).map(|bytes| [int_at(&bytes, 0), int_at(&bytes, 4)])
    }

    /// A socket address of a known length.
    pub(super) fn address(self, address: u64, length: u64) -> Option<Address> {
        if address == 0 || length == 0 {
            return None;
        }
        parse_address(&self.bytes(address, length.min(ADDRESS_BYTES_MAX)))
    }

    /// A socket address whose length stands behind a pointer.
    pub(super) fn address_by(self, address: u64, length_at: u64) -> Option<Address> {
        let length = u64::try_from(self.int(length_at)?).ok()?;
        self.address(address, length)
    }

    /// The first `bytes_max` bytes of several buffers, of which `limit` count, and their length.
    pub(super) fn vector(self, at: u64, count: u64, limit: u64, bytes_max: u64) -> (Vec<u8>, u64) {
        let count = count.min(PARTS_MAX);
        let table = self.bytes(at, count.saturating_mul(16));
        let (mut bytes, mut length) = (Vec::new(), 0_u64);
        for part in table.chunks_exact(16) {
            let whole = word_at(part, 8).min(limit.saturating_sub(length));
            let kept = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let wanted = whole.min(bytes_max.saturating_sub(kept));
            if wanted > 0 {
                bytes.extend(self.bytes(word_at(part, 0), wanted));
            }
            length = length.saturating_add(whole);
        }
        (bytes, length)
    }

    /// A message of a msghdr. `limit`: how many bytes of it count; all for a message to be sent.
    pub(super) fn message(self, at: u64, limit: u64, bytes_max: u64) -> Option<Message> {
        let header = self.whole(at, MSGHDR_BYTES)?;
        let name_bytes = u64::try_from(int_at(&header, 8)).unwrap_or(0);
        let address = self.address(word_at(&header, 0), name_bytes);
        let (parts, count) = (word_at(&header, 16), word_at(&header, 24));
        let (bytes, length) = self.vector(parts, count, limit, bytes_max);
        Some(Message { bytes, length, address, flags: int_at(&header, 48) })
    }

    /// `count` messages of a vector of mmsghdr, each as long as the call left it if `received`.
    pub(super) fn messages(self, at: u64, count: u64, received: bool, max: u64) -> Vec<Message> {
        let mut messages = Vec::new();
        for place in 0..count.min(PARTS_MAX) {
            let at = at.saturating_add(place.saturating_mul(MMSGHDR_BYTES));
            let limit = if received {
                let length_at = at.saturating_add(56);
                self.int(length_at).and_then(|length| u64::try_from(length).ok()).unwrap_or(0)
            } else {
                u64::MAX
            };
            match self.message(at, limit, max) {
                Some(message) => messages.push(message),
                None => break,
            }
        }
        messages
    }

    /// The `struct pollfd` of a poll(2): descriptor, events, returned events.
    pub(super) fn polled(self, at: u64, count: u64) -> Vec<(i32, i16, i16)> {
        let short = |bytes: &[u8], at: usize| {
            let two = bytes.get(at..at + 2).and_then(|two| two.try_into().ok());
            two.map_or(0, i16::from_ne_bytes)
        };
        let table = self.bytes(at, count.min(PARTS_MAX).saturating_mul(8));
        table.chunks_exact(8).map(|e| (int_at(e, 0), short(e, 4), short(e, 6))).collect()
    }

    /// Some `struct epoll_event`, which is packed on x86-64 only: event bits and data.
    pub(super) fn epoll_events(self, at: u64, count: u64) -> Vec<(u32, u64)> {
        let (size, data_at) = if cfg!(target_arch = "x86_64") { (12, 4) } else { (16, 8) };
        if at == 0 {
            return Vec::new();
        }
        let bytes = u64::try_from(size).unwrap_or(16).saturating_mul(count.min(PARTS_MAX));
        let table = self.bytes(at, bytes);
        let events = |entry: &[u8]| (int_at(entry, 0).cast_unsigned(), word_at(entry, data_at));
        table.chunks_exact(size).map(events).collect()
    }

    /// The members of an `fd_set` below `limit`.
    pub(super) fn set(self, at: u64, limit: u64) -> Vec<i32> {
        if at == 0 {
            return Vec::new();
        }
        let bytes = self.bytes(at, limit.min(PARTS_MAX).div_ceil(8));
        let bits = bytes.iter().enumerate().flat_map(|(place, byte)| {
            (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| place * 8 + bit)
        });
        bits.filter_map(|bit| i32::try_from(bit).ok()).collect()
    }
}

/// Reads a `struct sockaddr` of any family (socket(7), ip(7), ipv6(7), unix(7)).
pub(super) fn parse_address(bytes: &[u8]) -> Option<Address> {
    let [f0, f1, rest @ ..] = bytes else { return None };
    let family = u16::from_ne_bytes([*f0, *f1]);
    let other = || Address::Other { family, bytes: rest.to_vec() };
    Some(match i32::from(family) {
        libc::AF_INET => {
            let [p0, p1, a, b, c, d, ..] = rest else { return Some(other()) };
            let port = u16::from_be_bytes([*p0, *p1]);
            Address::Ip(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(*a, *b, *c, *d), port)))
        }
        libc::AF_INET6 => {
            let ([p0, p1, ..], Some(ip)) = (rest, rest.get(6..22)) else { return Some(other()) };
            let ip: [u8; 16] = ip.try_into().unwrap_or_default();
            let flow = u32::from_be(u32::from_ne_bytes(int_at(rest, 2).to_ne_bytes()));
            let scope = u32::from_ne_bytes(int_at(rest, 22).to_ne_bytes());
            let port = u16::from_be_bytes([*p0, *p1]);
            Address::Ip(SocketAddrV6::new(Ipv6Addr::from(ip), port, flow, scope).into())
        }
        libc::AF_UNIX => {
            // An abstract name begins with a zero byte and ends with the length.
            let end = match rest {
                [0, ..] | [] => rest.len(),
                _ => rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len()),
            };
            Address::Unix(rest.get(..end).unwrap_or_default().to_vec())
        }
        _ => other(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_length_are_read_or_left_as_bytes() {
        let mut four = libc::AF_INET.to_ne_bytes()[..2].to_vec();
        four.extend([0x2e, 0xe0, 127, 0, 0, 1, 0, 0]);
        let Some(Address::Ip(address)) = parse_address(&four) else { panic!() };
        assert_eq!(address.to_string(), "127.0.0.1:12000");
        let mut six = libc::AF_INET6.to_ne_bytes()[..2].to_vec();
        six.extend([0x2e, 0xe0, 0, 0, 0, 0]);
        six.extend([0; 15]);
        six.extend([1, 3, 0, 0, 0]);
        let Some(Address::Ip(address)) = parse_address(&six) else { panic!() };
        assert_eq!(address.to_string(), "[::1%3]:12000");
        for whole in [four, six] {
            for length in 0..whole.len() {
                parse_address(&whole[..length]);
            }
        }
        let name = [libc::AF_UNIX.to_ne_bytes()[0], 0, b'/', b'x', 0, b'?'];
        assert_eq!(parse_address(&name), Some(Address::Unix(b"/x".to_vec())));
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let own = Memory(i32::try_from(std::process::id()).unwrap());
        let text = *b"hello";
        let at = u64::try_from(text.as_ptr().addr()).unwrap();
        assert_eq!(own.bytes(at, 5), b"hello");
        assert_eq!(own.bytes(8, 5), b"");
        assert_eq!(own.message(8, u64::MAX, 64), None);
        assert_eq!(own.vector(8, u64::MAX, u64::MAX, 64), (vec![], 0));
        assert_eq!(own.messages(8, u64::MAX, true, 64), vec![]);
    }
}
