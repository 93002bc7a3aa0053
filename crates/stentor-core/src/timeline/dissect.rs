//! Bytes of a captured packet to the header fields we show.
//!
//! The packet may be cut off anywhere, or be no packet at all: then there are fewer fields, or none.
//! What the fields mean for a connection is left to [`super::stream`].

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    IpNumber, LaxNetSlice, LaxSlicedPacket, TcpOptionElement, TcpSlice, TransportSlice,
    UdpHeaderSlice,
};

use super::header::{Flags, Headers, Icmp, Ip, Options, Quoted, Tcp, Transport, Udp};
use super::record::Link;

/// The longest TCP header, in bytes: a data offset of 15 words (RFC 9293, section 3.1).
const TCP_HEADER_MAX: usize = 60;

/// Reads the headers of a packet; none if it is not IP, or cut off within the IP header.
pub fn dissect(link: Link, bytes: &[u8]) -> Option<Headers> {
    let sliced = match link {
        Link::Ethernet => LaxSlicedPacket::from_ethernet(bytes).ok()?,
        Link::Ip => LaxSlicedPacket::from_ip(bytes).ok()?,
    };
    let (ip, above) = network(sliced.net.as_ref()?, bytes)?;
    let mut headers = Headers {
        ip,
        transport: Transport::Other,
        payload: place(above.captured, bytes)?,
        payload_length: above.length,
    };
    if !ip.fragment || above.first_fragment {
        transport(&mut headers, sliced.transport.as_ref(), &above, bytes);
    }
    Some(headers)
}

/// What stands above the IP header.
struct Above<'a> {
    captured: &'a [u8],
    /// Its length by the lengths in the headers, in bytes.
    length: u32,
    first_fragment: bool,
}

fn network<'a>(net: &LaxNetSlice<'a>, bytes: &[u8]) -> Option<(Ip, Above<'a>)> {
    let payload = net.ip_payload_ref()?;
    let IpNumber(protocol) = payload.ip_number;
    let (mut ip, header_at, first_fragment) = match net {
        LaxNetSlice::Ipv4(v4) => {
            let header = v4.header();
            let ip = Ip {
                source: IpAddr::V4(header.source_addr()),
                destination: IpAddr::V4(header.destination_addr()),
                ttl: header.ttl(),
                length: u32::from(header.total_len()),
                identification: Some(header.identification()),
                dont_fragment: header.dont_fragment(),
                fragment: payload.fragmented,
                traffic_class: (header.dcp().value() << 2) | header.ecn().value(),
                protocol,
            };
            let start = place(header.slice(), bytes)?.start;
            (ip, start, header.fragments_offset().value() == 0)
        }
        LaxNetSlice::Ipv6(v6) => {
            let header = v6.header();
            let ip = Ip {
                source: IpAddr::V6(header.source_addr()),
                destination: IpAddr::V6(header.destination_addr()),
                ttl: header.hop_limit(),
                length: u32::from(header.payload_length()).saturating_add(40),
                identification: None,
                dont_fragment: true,
                fragment: payload.fragmented,
                traffic_class: header.traffic_class(),
                protocol,
            };
            (ip, place(header.slice(), bytes)?.start, false)
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let captured = payload.payload;
    let headers = place(captured, bytes)?.start.checked_sub(header_at)?;
    let present = u32::try_from(captured.len()).ok()?;
    // A length of 0 is one not filled in yet: what was captured is all that is known.
    let length = ip.length.checked_sub(headers).unwrap_or(present).max(present);
    ip.length = length.saturating_add(headers);
    Some((ip, Above { captured, length, first_fragment }))
}

/// Fills in the transport header and where its payload lies.
fn transport(
    headers: &mut Headers,
    sliced: Option<&TransportSlice<'_>>,
    above: &Above<'_>,
    bytes: &[u8],
) {
    let end = headers.payload.end;
    let header_length = match sliced {
        Some(TransportSlice::Tcp(slice)) => {
            headers.transport = Transport::Tcp(tcp(slice));
            u32::from(slice.data_offset()) * 4
        }
        Some(TransportSlice::Udp(slice)) => {
            let udp = Udp {
                source: slice.source_port(),
                destination: slice.destination_port(),
                length: slice.length(),
                checksum: slice.checksum(),
            };
            headers.transport = Transport::Udp(udp);
            // The length of the whole datagram, of which this may be the first fragment only.
            if !headers.ip.fragment && udp.length >= 8 {
                headers.payload_length = headers.payload_length.min(u32::from(udp.length));
            }
            8
        }
        Some(TransportSlice::Icmpv4(slice)) => {
            headers.transport =
                Transport::Icmp(icmp(slice.type_u8(), slice.code_u8(), slice.payload()));
            8
        }
        Some(TransportSlice::Icmpv6(slice)) => {
            headers.transport =
                Transport::Icmp(icmp(slice.type_u8(), slice.code_u8(), slice.payload()));
            8
        }
        Some(TransportSlice::Igmp(_)) => 0,
        None => {
            let Some((read, length)) = unsliced(headers.ip.protocol, above.captured) else {
                return;
            };
            headers.transport = read;
            length
        }
    };
    let start = headers.payload.start.saturating_add(header_length).min(end);
    headers.payload_length = headers.payload_length.saturating_sub(header_length);
    let end = start.saturating_add(headers.payload_length).min(end);
    headers.payload = start..end;
    debug_assert!(usize::try_from(end).is_ok_and(|end| end <= bytes.len()));
}

fn tcp(slice: &TcpSlice<'_>) -> Tcp {
    let bits = [
        (slice.fin(), Flags::FIN),
        (slice.syn(), Flags::SYN),
        (slice.rst(), Flags::RST),
        (slice.psh(), Flags::PSH),
        (slice.ack(), Flags::ACK),
        (slice.urg(), Flags::URG),
        (slice.ece(), Flags::ECE),
        (slice.cwr(), Flags::CWR),
    ];
    let set = bits.into_iter().filter(|(set, _)| *set);
    Tcp {
        source: slice.source_port(),
        destination: slice.destination_port(),
        sequence: slice.sequence_number(),
        acknowledgment: slice.acknowledgment_number(),
        flags: set.fold(Flags::default(), |flags, (_, flag)| flags.with(flag)),
        window: slice.window_size(),
        checksum: slice.checksum(),
        urgent: slice.urgent_pointer(),
        options: options(slice),
    }
}

fn options(slice: &TcpSlice<'_>) -> Options {
    let mut options = Options::default();
    // What follows an option that cannot be read is not read either: its place is not known.
    for option in slice.options_iterator().map_while(Result::ok) {
        match option {
            TcpOptionElement::Noop => {}
            TcpOptionElement::MaximumSegmentSize(mss) => options.mss = Some(mss),
            TcpOptionElement::WindowScale(scale) => options.window_scale = Some(scale),
            TcpOptionElement::SelectiveAcknowledgementPermitted => options.sack_permitted = true,
            TcpOptionElement::SelectiveAcknowledgement(first, _) => options.sack = Some(first),
            TcpOptionElement::Timestamp(value, echo) => options.timestamps = Some((value, echo)),
        }
    }
    options
}

/// The transport header of a first fragment, which is not sliced, and a TCP header cut off within its
/// options: the fixed part is read. With its whole length in bytes.
fn unsliced(protocol: u8, captured: &[u8]) -> Option<(Transport, u32)> {
    if IpNumber(protocol) == IpNumber::UDP {
        let udp = UdpHeaderSlice::from_slice(captured).ok()?.to_header();
        let (source, destination) = (udp.source_port, udp.destination_port);
        let udp = Udp { source, destination, length: udp.length, checksum: udp.checksum };
        return Some((Transport::Udp(udp), 8));
    }
    if IpNumber(protocol) != IpNumber::TCP || captured.len() < 20 {
        return None;
    }
    // Zeros are the end of the option list.
    let mut padded = [0; TCP_HEADER_MAX];
    padded.iter_mut().zip(captured).for_each(|(to, from)| *to = *from);
    let slice = TcpSlice::from_slice(&padded).ok()?;
    Some((Transport::Tcp(tcp(&slice)), u32::from(slice.data_offset()) * 4))
}

fn icmp(kind: u8, code: u8, payload: &[u8]) -> Icmp {
    Icmp { kind, code, about: quoted(payload).map(Box::new) }
}

/// The packet that an ICMP error quotes: its IP header, and at least eight bytes more (RFC 792).
fn quoted(payload: &[u8]) -> Option<Quoted> {
    let sliced = LaxSlicedPacket::from_ip(payload).ok()?;
    let (ip, above) = network(sliced.net.as_ref()?, payload)?;
    let [a, b, c, d] = *above.captured.first_chunk()?;
    let known = [IpNumber::TCP, IpNumber::UDP].contains(&IpNumber(ip.protocol));
    known.then(|| Quoted {
        protocol: ip.protocol,
        source: SocketAddr::new(ip.source, u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(ip.destination, u16::from_be_bytes([c, d])),
    })
}

/// Where `part` lies in `whole`; none if it does not.
fn place(part: &[u8], whole: &[u8]) -> Option<std::ops::Range<u32>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len()).filter(|end| *end <= whole.len())?;
    Some(u32::try_from(start).ok()?..u32::try_from(end).ok()?)
}

#[cfg(test)]
mod tests;
