//! Any bytes are read as a packet, or not; what was read lies within them, and a whole trace of such
//! packets is explained and laid out.
//!
//! The first byte says what the packets begin with; each packet's length is the byte before it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stentor_core::moment::Moment;
use stentor_core::timeline::dissect::dissect;
use stentor_core::timeline::ladder::{Filter, Ladder};
use stentor_core::timeline::matcher::Explained;
use stentor_core::timeline::record::{Direction, Header, Link, Packet, Record};

fuzz_target!(|data: &[u8]| {
    let Some((&kind, mut rest)) = data.split_first() else { return };
    let link = if kind % 2 == 0 { Link::Ethernet } else { Link::Ip };
    let mut record = Record::new(Header::default());
    while let Some((&length, after)) = rest.split_first() {
        let (bytes, later) = after.split_at(after.len().min(usize::from(length)));
        rest = later;
        if let Some(headers) = dissect(link, bytes) {
            assert!(headers.payload.start <= headers.payload.end);
            assert!(headers.payload.end as usize <= bytes.len());
        }
        record.packets.push(Packet {
            at: Moment::from_nanos(record.packets.len() as u64),
            direction: Direction::Unknown,
            link,
            bytes: bytes.into(),
            length: bytes.len() as u32,
            crossing: None,
        });
    }
    let explained = Explained::of(&record);
    let ladder = Ladder::of(&record, &explained, &Filter::default());
    assert!(ladder.packets.len() <= record.packets.len());
});
