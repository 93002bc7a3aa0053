//! Packets written byte by byte, whole, cut and spoilt.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::timeline::record::Mode;
use crate::timeline::script::{Script, Talker};
use crate::timeline::{Both, Lane};

fn frames(snaplen: u32) -> Vec<Vec<u8>> {
    let mut script = Script::new(Mode::Lab, snaplen);
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    for (one, two) in [("127.0.0.1:50000", "127.0.0.2:12000"), ("[::1]:50000", "[::2]:12000")] {
        let isn = Both { client: 7, server: 9 };
        let mut talker = Talker::new(address(one), address(two), isn);
        talker.syn(&mut script);
        talker.syn_ack(&mut script);
        talker.data(&mut script, Lane::Client, b"hello");
        script.datagram(address(one), address(two), b"hello");
    }
    script.unreachable(address("127.0.0.1:50000"), address("127.0.0.2:12000"), b"hello");
    script.record.packets.iter().map(|packet| packet.bytes.to_vec()).collect()
}

fn read(bytes: &[u8]) -> Headers {
    dissect(Link::Ethernet, bytes).unwrap()
}

#[test]
fn every_field_is_read() {
    let frames = frames(1000);
    for (syn, data, udp, version) in [(0, 2, 3, 4), (4, 6, 7, 6)] {
        let read_syn = read(&frames[syn]);
        let tcp = read_syn.tcp().unwrap();
        assert_eq!((tcp.source, tcp.destination, tcp.sequence), (50000, 12000, 7));
        assert_eq!((tcp.flags, tcp.window), (Flags::SYN, 512));
        assert_eq!((tcp.options.mss, tcp.options.window_scale), (Some(1460), Some(7)));
        assert_eq!(read_syn.ip.source.is_ipv4(), version == 4);
        assert_eq!(read_syn.ip.ttl, 64);
        let read_data = read(&frames[data]);
        let Range { start, end } = read_data.payload.clone();
        assert_eq!(&frames[data][start as usize..end as usize], b"hello");
        assert_eq!(read_data.payload_length, 5);
        let read_udp = read(&frames[udp]);
        let fields = Udp { source: 50000, destination: 12000, length: 13, checksum: 0 };
        assert_eq!(read_udp.transport, Transport::Udp(fields));
    }
    let icmp = read(&frames[8]);
    let Transport::Icmp(Icmp { kind: 3, code: 3, about: Some(quoted) }) = icmp.transport else {
        panic!("{icmp:?}");
    };
    assert_eq!(quoted.destination, "127.0.0.2:12000".parse().unwrap());
}

#[test]
fn a_packet_cut_anywhere_keeps_what_was_captured_and_its_length() {
    for frame in frames(1000) {
        let whole = read(&frame);
        for cut in 0..frame.len() {
            let Some(part) = dissect(Link::Ethernet, &frame[..cut]) else {
                assert!(cut < 14 + 40, "nothing read of {cut} bytes");
                continue;
            };
            assert_eq!((part.ip.source, part.ip.length), (whole.ip.source, whole.ip.length));
            assert!(part.payload.end as usize <= cut);
            if part.transport == Transport::Other {
                continue;
            }
            assert_eq!(part.payload_length, whole.payload_length, "cut at {cut}");
            assert_eq!((part.source(), part.destination()), (whole.source(), whole.destination()));
        }
    }
}

#[test]
fn a_header_cut_within_its_options_is_read_as_far_as_it_goes() {
    let syn = &frames(1000)[0];
    let cut = read(&syn[..14 + 20 + 24]);
    assert_eq!(cut.tcp().unwrap().options.mss, Some(1460));
    assert_eq!(cut.tcp().unwrap().options.window_scale, None);
    assert_eq!(cut.payload_length, 0);
}

#[test]
fn a_later_fragment_has_no_ports() {
    let mut udp = frames(1000)[3].clone();
    // Flags and offset of IPv4: offset 185 words, no don't-fragment.
    (udp[20], udp[21]) = (0, 185);
    let fragment = read(&udp);
    assert!(fragment.ip.fragment && fragment.transport == Transport::Other);
    // The first fragment has them.
    (udp[20], udp[21]) = (0x20, 0);
    let first = read(&udp);
    assert!(first.ip.fragment && first.ports() == Some((50000, 12000)));
}

use std::ops::Range;

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), ip: bool) {
        let link = if ip { Link::Ip } else { Link::Ethernet };
        if let Some(headers) = dissect(link, &bytes) {
            prop_assert!(headers.payload.start <= headers.payload.end);
            prop_assert!(headers.payload.end as usize <= bytes.len());
        }
    }

    #[test]
    fn spoilt_packets_are_survived(
        which in 0_usize..9, place in 0_usize..60, value: u8, cut in 0_usize..120
    ) {
        let mut frame = frames(1000)[which].clone();
        if let Some(byte) = frame.get_mut(place) {
            *byte = value;
        }
        let frame = &frame[..cut.min(frame.len())];
        if let Some(headers) = dissect(Link::Ethernet, frame) {
            prop_assert!(headers.payload.end as usize <= frame.len());
        }
    }
}
