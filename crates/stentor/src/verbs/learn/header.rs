//! A datagram as RFC 768 draws it, and its checksum as RFC 768 and RFC 1071 compute it. Pure.

use std::net::IpAddr;

/// Bytes of the header.
pub(super) const HEADER: usize = 8;
/// The protocol's number (RFC 768, section "Protocol Number").
const UDP: u8 = 17;
/// Rows of data in a figure, of four bytes each.
const ROWS: usize = 6;

/// The addresses that the checksum covers, though they stand in the IP header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// From.
    pub(super) source: IpAddr,
    /// To.
    pub(super) destination: IpAddr,
}

impl Ends {
    /// The pseudo header: addresses, zero, protocol, length (RFC 768; for IPv6 RFC 8200, section
    /// 8.1).
    pub(super) fn pseudo_header(self, length: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        for address in [self.source, self.destination] {
            match address {
                IpAddr::V4(address) => bytes.extend(address.octets()),
                IpAddr::V6(address) => bytes.extend(address.octets()),
            }
        }
        if self.source.is_ipv4() {
            bytes.extend([0, UDP]);
            bytes.extend(length.to_be_bytes());
        } else {
            bytes.extend(u32::from(length).to_be_bytes());
            bytes.extend([0, 0, 0, UDP]);
        }
        bytes
    }
}

/// The one's complement sum of 16-bit words (RFC 1071, section 1); an odd byte at the end counts as
/// if zero followed.
pub(super) fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for part in parts {
        let (words, rest) = part.as_chunks::<2>();
        let odd = rest.first().map_or(0, |byte| u64::from(*byte) << 8);
        sum += words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum::<u64>() + odd;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

/// The fields of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) source: u16,
    pub(super) destination: u16,
    /// Of header and data, in bytes.
    pub(super) length: u16,
    pub(super) checksum: u16,
    pub(super) data: Vec<u8>,
}

impl Fields {
    /// Reads them; none if there are not as many bytes as the length says.
    pub(super) fn parse(bytes: &[u8]) -> Option<Fields> {
        let [a, b, c, d, e, f, g, h] = *bytes.first_chunk::<HEADER>()?;
        let length = u16::from_be_bytes([e, f]);
        Some(Fields {
            source: u16::from_be_bytes([a, b]),
            destination: u16::from_be_bytes([c, d]),
            length,
            checksum: u16::from_be_bytes([g, h]),
            data: bytes.get(HEADER..usize::from(length))?.to_vec(),
        })
    }

    /// The bytes as they travel.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let header = [self.source, self.destination, self.length, self.checksum];
        let mut bytes: Vec<u8> = header.iter().flat_map(|field| field.to_be_bytes()).collect();
        bytes.extend(&self.data);
        bytes
    }

    /// The sum of the pseudo header alone: what a kernel leaves in the field for an interface that
    /// is to finish it (CHECKSUM_PARTIAL, include/linux/skbuff.h).
    pub(super) fn partial(&self, ends: Ends) -> u16 {
        sum(&[&ends.pseudo_header(self.length)])
    }

    /// The sum of pseudo header, header and data, as they are: ffff if the checksum is right.
    pub(super) fn whole(&self, ends: Ends) -> u16 {
        sum(&[&ends.pseudo_header(self.length), &self.bytes()])
    }

    /// The checksum: the complement of the sum with 0 in the field; 0 itself is sent as ffff,
    /// because 0 means that there is none.
    pub(super) fn computed(&self, ends: Ends) -> u16 {
        let blank = Fields { checksum: 0, ..self.clone() };
        match !blank.whole(ends) {
            0 => 0xffff,
            checksum => checksum,
        }
    }

    /// The figure of RFC 768 with the bytes in it.
    pub(super) fn figure(&self) -> Vec<String> {
        let rule = "+--------+--------+--------+--------+";
        let number = |field: u16| format!("{} = {field}", hex(&field.to_be_bytes()));
        let checksum = hex(&self.checksum.to_be_bytes());
        let two = |left: &str, right: &str| format!("|{left:^17}|{right:^17}|");
        let mut lines = vec![
            " 0      7 8     15 16    23 24    31".to_owned(),
            rule.to_owned(),
            two("Source", "Destination"),
            two("Port", "Port"),
            two(&number(self.source), &number(self.destination)),
            rule.to_owned(),
            two("Length", "Checksum"),
            two(&number(self.length), &checksum),
            rule.to_owned(),
        ];
        for row in self.data.chunks(4).take(ROWS) {
            let cells: String = row.iter().map(|byte| format!("   {byte:02x}   |")).collect();
            let text: String = row.iter().map(|byte| printable(*byte)).collect();
            lines.push(format!("{:<39}{text}", format!("|{cells}")));
        }
        match (self.data.len(), self.data.len().saturating_sub(4 * ROWS)) {
            (0, _) => {}
            // The last row may be short, and so is the rule below it.
            (length, 0) => lines.push(format!("+{}", "--------+".repeat((length - 1) % 4 + 1))),
            (_, more) => lines.push(format!("|  ... {more} bytes more")),
        }
        lines
    }
}

fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '.' }
}

/// `2e e0`.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(source: &str, destination: &str) -> Ends {
        Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    #[test]
    fn words_are_added_as_in_rfc_1071() {
        // Its section 3: 00 01, f2 03, f4 f5, f6 f7 give dd f2.
        assert_eq!(sum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), 0xddf2);
        assert_eq!(sum(&[&[0xff, 0xff, 0x00]]), 0xffff);
        assert_eq!((sum(&[]), sum(&[&[0x12]])), (0, 0x1200));
    }

    #[test]
    fn a_datagram_with_its_checksum_adds_up_to_ones() {
        for pair in [ends("127.0.0.1", "127.0.0.1"), ends("::1", "2001:db8::2")] {
            for data in [&b""[..], b"a", b"hello world", &[0xff; 301]] {
                let length = u16::try_from(HEADER + data.len()).unwrap();
                let mut fields = Fields {
                    source: 38_427,
                    destination: 12_000,
                    length,
                    checksum: 0,
                    data: data.to_vec(),
                };
                fields.checksum = fields.computed(pair);
                assert_eq!(fields.whole(pair), 0xffff, "{fields:?}");
                assert_eq!(Fields::parse(&fields.bytes()), Some(fields.clone()));
                assert_eq!(Fields::parse(&fields.bytes()[..usize::from(length) - 1]), None);
                fields.checksum ^= 0x0100;
                assert_ne!(fields.whole(pair), 0xffff);
            }
        }
        // 127.0.0.1 twice, 17, 19: fe00 + 2 + 11 + 13 in hexadecimal.
        let bytes = [0x96, 0x1b, 0x2e, 0xe0, 0, 19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let fields = Fields::parse(&bytes).unwrap();
        assert_eq!(fields.partial(ends("127.0.0.1", "127.0.0.1")), 0xfe26);
    }

    #[test]
    fn the_figure_is_that_of_the_rfc() {
        let bytes = [0x96, 0x1b, 0x2e, 0xe0, 0, 13, 0xfe, 0x20, b'h', b'e', b'l', b'l', 0x07];
        let figure = Fields::parse(&bytes).unwrap().figure().join("\n");
        let expected = "\x20
 0      7 8     15 16    23 24    31
+--------+--------+--------+--------+
|     Source      |   Destination   |
|      Port       |      Port       |
|  96 1b = 38427  |  2e e0 = 12000  |
+--------+--------+--------+--------+
|     Length      |    Checksum     |
|   00 0d = 13    |      fe 20      |
+--------+--------+--------+--------+
|   68   |   65   |   6c   |   6c   |  hell
|   07   |                             .
+--------+";
        assert_eq!(format!(" \n{figure}"), expected);
        let long = Fields { data: vec![b'x'; 100], ..Fields::parse(&bytes).unwrap() };
        assert!(long.figure().last().unwrap().ends_with("... 76 bytes more"));
    }
}
