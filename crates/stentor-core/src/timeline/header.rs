//! The header fields of a packet that we show, as plain data.
//!
//! Reading them out of bytes is left to `dissect`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// What was read of a packet. What the snaplen cut off is none or zero, never invented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// The network layer.
    pub ip: Ip,
    /// The layer above it.
    pub transport: Transport,
    /// Where the captured part of the payload lies in the packet's bytes.
    pub payload: Range<u32>,
    /// Length of the payload on the wire, in bytes, by the lengths in the headers.
    pub payload_length: u32,
}

/// Fields of IPv4 (RFC 791) or IPv6 (RFC 8200).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    /// From.
    pub source: IpAddr,
    /// To.
    pub destination: IpAddr,
    /// Time to live, hop limit.
    pub ttl: u8,
    /// Length of the whole IP packet, in bytes.
    pub length: u32,
    /// Identification (IPv4 only).
    pub identification: Option<u16>,
    /// Don't fragment (IPv4 only).
    pub dont_fragment: bool,
    /// A fragment that is not the first and only one: what follows the header is no transport header
    /// unless its offset is 0.
    pub fragment: bool,
    /// Explicit congestion notification and differentiated services: the whole octet.
    pub traffic_class: u8,
    /// The number of the protocol above: 6, 17, 1, 58 ...
    pub protocol: u8,
}

/// The layer above IP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp(Tcp),
    /// UDP: all four of its fields, and the addresses.
    Udp(Udp),
    /// ICMP for IPv4 and IPv6.
    Icmp(Icmp),
    /// Another protocol, a later fragment, or a header that was cut off.
    Other,
}

/// Fields of TCP (RFC 9293, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Sequence number, as on the wire.
    pub sequence: u32,
    /// Acknowledgment number, as on the wire; means something if ACK is set.
    pub acknowledgment: u32,
    /// Control bits.
    pub flags: Flags,
    /// Window, as on the wire, not scaled.
    pub window: u16,
    /// Checksum as captured; on `lo` the kernel leaves it partial.
    pub checksum: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options we show.
    pub options: Options,
}

/// Options of TCP that we show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Maximum segment size, in bytes (RFC 9293, section 3.7.1).
    pub mss: Option<u16>,
    /// Window scale, a power of two (RFC 7323).
    pub window_scale: Option<u8>,
    /// Selective acknowledgements permitted (RFC 2018).
    pub sack_permitted: bool,
    /// First block of a selective acknowledgement (RFC 2018).
    pub sack: Option<(u32, u32)>,
    /// Timestamp and its echo (RFC 7323).
    pub timestamps: Option<(u32, u32)>,
}

/// Control bits of TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Flags = Flags(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Flags = Flags(0x02);
    /// Reset the connection.
    pub const RST: Flags = Flags(0x04);
    /// Push.
    pub const PSH: Flags = Flags(0x08);
    /// The acknowledgment field means something.
    pub const ACK: Flags = Flags(0x10);
    /// The urgent pointer means something.
    pub const URG: Flags = Flags(0x20);
    /// ECN echo.
    pub const ECE: Flags = Flags(0x40);
    /// Congestion window reduced.
    pub const CWR: Flags = Flags(0x80);

    const NAMES: [(Flags, &'static str); 8] = [
        (Flags::SYN, "SYN"),
        (Flags::FIN, "FIN"),
        (Flags::RST, "RST"),
        (Flags::PSH, "PSH"),
        (Flags::ACK, "ACK"),
        (Flags::URG, "URG"),
        (Flags::ECE, "ECE"),
        (Flags::CWR, "CWR"),
    ];

    /// Whether any of `other` is set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// These and `other`.
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// `SYN,ACK`; a dot for none.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (flag, name) in Flags::NAMES {
            if self.has(flag) {
                write!(f, "{}{name}", if first { "" } else { "," })?;
                first = false;
            }
        }
        if first { f.write_str(".") } else { Ok(()) }
    }
}

/// Fields of UDP (RFC 768).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Length of header and data, in bytes.
    pub length: u16,
    /// Checksum as captured; 0 is none. On `lo` the kernel leaves it partial.
    pub checksum: u16,
}

/// A message of ICMP (RFC 792) or ICMPv6 (RFC 4443).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// What it is about, if it quotes a packet: of an error, the packet that could not be delivered.
    pub about: Option<Box<Quoted>>,
}

/// The packet an ICMP error quotes, as far as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// 6 or 17: its protocol.
    pub protocol: u8,
    /// Who sent it.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
}

impl Headers {
    /// Where it came from, with the port if it has one.
    pub fn source(&self) -> SocketAddr {
        SocketAddr::new(self.ip.source, self.ports().map_or(0, |ports| ports.0))
    }

    /// Where it went, with the port if it has one.
    pub fn destination(&self) -> SocketAddr {
        SocketAddr::new(self.ip.destination, self.ports().map_or(0, |ports| ports.1))
    }

    /// Source and destination port.
    pub fn ports(&self) -> Option<(u16, u16)> {
        match &self.transport {
            Transport::Tcp(tcp) => Some((tcp.source, tcp.destination)),
            Transport::Udp(udp) => Some((udp.source, udp.destination)),
            Transport::Icmp(_) | Transport::Other => None,
        }
    }

    /// The TCP header, if it is one.
    pub fn tcp(&self) -> Option<&Tcp> {
        match &self.transport {
            Transport::Tcp(tcp) => Some(tcp),
            Transport::Udp(_) | Transport::Icmp(_) | Transport::Other => None,
        }
    }
}
