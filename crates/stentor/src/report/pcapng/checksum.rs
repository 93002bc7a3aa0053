//! Checksums that the kernel left to an interface which never computed them.
//!
//! On `lo`, and for what a real interface was still to finish, the checksum field of TCP and UDP
//! holds only the sum of the pseudo-header, not complemented
//! (CHECKSUM_PARTIAL of `include/linux/skbuff.h`). Such a field is known by its value, and completed;
//! any other is left as it was captured, right or wrong.

use stentor_core::timeline::record::Link;

/// What became of a packet's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checksum {
    /// It is as it was captured.
    Kept,
    /// It was partial, and is complete now.
    Completed,
    /// It is partial, and the packet was captured in part: it stays so.
    Partial,
}

/// Where the transport header stands, and what its checksum covers.
struct Covered {
    /// Where it begins.
    start: usize,
    /// Length of header and data, in bytes.
    length: usize,
    /// Where the checksum stands, from the start of the packet.
    field: usize,
    /// True for UDP, where 0 means none.
    udp: bool,
    /// The sum of the pseudo-header.
    pseudo: u16,
}

/// Completes the checksum of `packet` where that is called for.
pub(super) fn complete(packet: &mut [u8], link: Link) -> Checksum {
    let Some(covered) = covered(packet, link) else { return Checksum::Kept };
    if number(packet, covered.field) != Some(covered.pseudo) {
        return Checksum::Kept;
    }
    let Some(segment) = packet.get(covered.start..covered.start + covered.length) else {
        return Checksum::Partial;
    };
    // The field holds the sum of the pseudo-header: the sum of all of it is what is wanted.
    let sum = match !fold(add(0, segment)) {
        0 if covered.udp => 0xffff,
        sum => sum,
    };
    if let Some(field) = packet.get_mut(covered.field..covered.field + 2) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    Checksum::Completed
}

fn number(packet: &[u8], at: usize) -> Option<u16> {
    packet.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

/// Adds 16-bit words (RFC 1071, section 1); an odd byte at the end counts as if zero followed.
fn add(sum: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let odd = rest.first().map_or(0, |byte| u64::from(*byte) << 8);
    words.iter().fold(sum + odd, |sum, word| sum + u64::from(u16::from_be_bytes(*word)))
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

/// Reads as much of the headers as it takes; none for what is not TCP or UDP, for fragments, and
/// for IPv6 with extension headers.
fn covered(packet: &[u8], link: Link) -> Option<Covered> {
    let ip = match link {
        Link::Ip => 0,
        Link::Ethernet => match number(packet, 12)? {
            0x0800 | 0x86dd => 14,
            // One VLAN tag (IEEE 802.1Q).
            0x8100 if matches!(number(packet, 16)?, 0x0800 | 0x86dd) => 18,
            _ => return None,
        },
    };
    let (start, length, protocol, addresses) = match packet.get(ip)? >> 4 {
        4 => {
            let header = usize::from(packet.get(ip)? & 15) * 4;
            // More fragments, or not the first (RFC 791, section 3.1).
            if number(packet, ip + 6)? & 0x3fff != 0 {
                return None;
            }
            let length = usize::from(number(packet, ip + 2)?).checked_sub(header)?;
            (ip + header, length, *packet.get(ip + 9)?, packet.get(ip + 12..ip + 20)?)
        }
        6 => {
            let length = usize::from(number(packet, ip + 4)?);
            (ip + 40, length, *packet.get(ip + 6)?, packet.get(ip + 8..ip + 40)?)
        }
        _ => return None,
    };
    let (field, least) = match protocol {
        6 => (start + 16, 20),
        17 => (start + 6, 8),
        _ => return None,
    };
    let pseudo = fold(add(u64::from(protocol) + length as u64, addresses));
    (length >= least).then_some(Covered { start, length, field, udp: protocol == 17, pseudo })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A datagram `hi` from 127.0.0.1:5000 to 127.0.0.1:12000, with this checksum.
    fn datagram(checksum: u16) -> Vec<u8> {
        let mut packet =
            vec![0x45, 0, 0, 30, 0, 1, 0x40, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1];
        packet.extend([0x13, 0x88, 0x2e, 0xe0, 0, 10]);
        packet.extend(checksum.to_be_bytes());
        packet.extend(b"hi");
        packet
    }

    // 7f00 + 0001 + 7f00 + 0001 + 0011 + 000a.
    const PARTIAL: u16 = 0xfe1d;
    // The complement of that + 1388 + 2ee0 + 000a + 6869.
    const WHOLE: u16 = 0x5706;

    #[test]
    fn a_partial_checksum_is_completed() {
        let mut packet = datagram(PARTIAL);
        assert_eq!(complete(&mut packet, Link::Ip), Checksum::Completed);
        assert_eq!(packet, datagram(WHOLE));
        // All words with the checksum in its place make ffff (RFC 1071).
        assert_eq!(fold(add(u64::from(PARTIAL), &packet[20..])), 0xffff);
        assert_eq!(complete(&mut packet, Link::Ip), Checksum::Kept);
    }

    #[test]
    fn a_wrong_or_absent_one_is_evidence_and_stays() {
        for checksum in [0, WHOLE, WHOLE + 1, PARTIAL - 1] {
            let mut packet = datagram(checksum);
            assert_eq!(complete(&mut packet, Link::Ip), Checksum::Kept);
            assert_eq!(packet, datagram(checksum));
        }
    }

    #[test]
    fn of_a_packet_cut_off_it_stays_partial() {
        let mut packet = datagram(PARTIAL);
        packet.pop();
        assert_eq!(complete(&mut packet, Link::Ip), Checksum::Partial);
        // Without its field nothing is known.
        for length in 0..28 {
            let mut packet = datagram(PARTIAL);
            packet.truncate(length);
            assert_eq!(complete(&mut packet, Link::Ip), Checksum::Kept);
            assert_eq!(complete(&mut packet, Link::Ethernet), Checksum::Kept);
        }
    }

    #[test]
    fn a_fragment_has_no_checksum_of_its_own() {
        let mut packet = datagram(PARTIAL);
        packet[6] = 0x20;
        assert_eq!(complete(&mut packet, Link::Ip), Checksum::Kept);
    }

    #[test]
    fn over_ipv6_and_ethernet_too() {
        let mut packet = vec![0; 12];
        packet.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
        packet.extend([[0; 15].as_slice(), &[1], &[0; 15], &[1]].concat());
        let mut tcp = vec![0x13, 0x88, 0x2e, 0xe0, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff];
        // 0001 + 0001 + 0006 + 0014.
        tcp.extend([0, 0x1c, 0, 0]);
        packet.extend(&tcp);
        assert_eq!(complete(&mut packet, Link::Ethernet), Checksum::Completed);
        assert_eq!(fold(add(0x1c, &packet[54..])), 0xffff);
    }
}
