//! What we draw ourselves is read back exactly; what is broken is refused; nothing panics.

use proptest::prelude::*;

use super::*;
use crate::units::BitRate;
use crate::video::film::Film;
use crate::video::mp4;

fn film() -> Film {
    let rates = [BitRate(100_000), BitRate(800_000)];
    Film::even(&rates, Duration::from_secs(2), 4).unwrap()
}

fn chunk(number: usize, quality: usize) -> Vec<u8> {
    mp4::chunk(&film(), number, quality).unwrap().to_bytes()
}

/// The place of a box's four characters.
fn find(bytes: &[u8], kind: &[u8; 4]) -> usize {
    bytes.windows(4).position(|window| window == kind).unwrap()
}

#[test]
fn our_own_film_is_read_as_it_was_drawn() {
    let before = initialization(&mp4::initialization()).unwrap();
    assert!(before.typed && before.fragmented);
    let [stream] = before.streams[..] else { panic!("{before:?}") };
    assert_eq!((stream.track, stream.medium, stream.timescale), (1, Medium::Video, 90_000));
    for (number, quality) in [(0, 0), (3, 1)] {
        let facts = read(&chunk(number, quality), Some(&before)).unwrap();
        let expected = Facts {
            format: Format::Mp4,
            medium: Medium::Video,
            begin: Some(Duration::from_secs(2 * number as u64)),
            duration: Some(Duration::from_secs(2)),
            key_frame: Some(true),
            samples: 10,
            undated: false,
        };
        assert_eq!(facts, expected);
    }
    // A whole quality as one file holds its own initialization.
    let file = [mp4::initialization(), chunk(0, 0), chunk(1, 0)].concat();
    let facts = read(&file, None).unwrap();
    assert_eq!((facts.duration, facts.samples), (Some(Duration::from_secs(4)), 20));
}

#[test]
fn a_first_picture_that_needs_others_is_told_by_flags_and_by_its_units() {
    let before = initialization(&mp4::initialization()).unwrap();
    let whole = chunk(1, 1);
    let mut flagged = whole.clone();
    // version and flags, count, offset: then the flags of the first sample.
    let flags = find(&flagged, b"trun") + 4 + 12;
    flagged[flags + 1] |= 1;
    assert_eq!(read(&flagged, Some(&before)).unwrap().key_frame, Some(false));
    let mut coded = whole.clone();
    // A unit behind its length of 4 bytes: from an IDR picture to another one.
    let unit = find(&coded, b"mdat") + 4 + 4;
    assert_eq!(coded[unit] & 0x1f, 5);
    coded[unit] = coded[unit] & 0xe0 | 1;
    assert_eq!(read(&coded, Some(&before)).unwrap().key_frame, Some(false));
}

#[test]
fn what_is_broken_is_refused_in_words() {
    let before = initialization(&mp4::initialization()).unwrap();
    let whole = chunk(0, 0);
    let check = |bytes: &[u8], said: &str| {
        let error = read(bytes, Some(&before)).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    };
    check(&whole[..whole.len() - 1], "the box \"free\" at byte ");
    check(&whole[..100], "the box \"moof\" at byte 0 has 100 of its");
    check(&chunk(0, 0)[find(&whole, b"mdat") - 4..], "there is no moof box");
    check(&whole[..find(&whole, b"mdat") - 4], "there is no mdat box to the moof");
    let mut other = whole.clone();
    other[find(&whole, b"tfhd") + 11] = 9;
    check(&other, "of track 9, of which no initialization");
    let mut more = whole.clone();
    more[find(&whole, b"trun") + 9] = 1;
    check(&more, "it has fewer samples than it says");
    let mut undated = whole.clone();
    let at = find(&whole, b"tfdt");
    undated[at..at + 4].copy_from_slice(b"free");
    let facts = read(&undated, Some(&before)).unwrap();
    assert!(facts.undated && facts.begin.is_none());
    assert_eq!(initialization(&whole).unwrap_err().to_string(), "there is no moov box");
    assert_eq!(initialization(b"").unwrap_err().to_string(), "there is no moov box");
    assert_eq!(read(b"WEBVTT\n", None).unwrap().format, Format::Other);
}

/// A packet of a stream: `flags` are the adaptation field's, if any.
fn packet(stream: u16, begins: bool, flags: Option<u8>, payload: &[u8]) -> Vec<u8> {
    let [high, low] = stream.to_be_bytes();
    let mut bytes = vec![0x47, high | if begins { 0x40 } else { 0 }, low, 0x30];
    // The adaptation field fills what the payload leaves.
    let room = 188 - 4 - payload.len();
    bytes.push(u8::try_from(room - 1).unwrap());
    bytes.push(flags.unwrap_or(0));
    bytes.extend(std::iter::repeat_n(0xff, room - 2));
    bytes.extend_from_slice(payload);
    assert_eq!(bytes.len(), 188);
    bytes
}

/// A table with a head and room for its checksum.
fn table(id: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(5 + body.len() + 4).unwrap();
    [&[0, id, 0xb0, length, 0, 1, 0xc1, 0, 0], body, &[0; 4]].concat()
}

fn picture(time: u64, units: &[u8]) -> Vec<u8> {
    let part = |shift: u32, mask: u64| u8::try_from(time >> shift & mask).unwrap();
    let time = [
        0x21 | part(30, 7) << 1,
        part(22, 0xff),
        1 | part(15, 0x7f) << 1,
        part(7, 0xff),
        1 | part(0, 0x7f) << 1,
    ];
    [&[0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5], &time[..], units].concat()
}

/// A stream of pictures of a 25th of a second, from a time on, the first with these units.
fn transport(begin: u64, count: u64, units: &[u8], random_access: bool) -> Vec<u8> {
    let mut bytes = packet(0, true, None, &table(0, &[0, 1, 0xf0, 0x10]));
    let map = [0xe1, 0x00, 0xf0, 0, 0x0f, 0xe1, 0x01, 0xf0, 0, 0x1b, 0xe1, 0x00, 0xf0, 0];
    bytes.extend(packet(0x1010, true, None, &table(2, &map)));
    for index in 0..count {
        let time = (begin + index * 3600) % (1 << 33);
        let (units, flags) = match index {
            0 => (units, random_access.then_some(0x40)),
            _ => (&[0, 0, 1, 0x41][..], None),
        };
        bytes.extend(packet(0x100, true, flags, &picture(time, units)));
        bytes.extend(packet(0x101, true, None, &[1, 2, 3]));
    }
    bytes
}

#[test]
fn transport_streams_are_timed_and_their_key_frames_found() {
    let idr = [0, 0, 0, 1, 0x67, 0, 0, 1, 0x65];
    let other = [0, 0, 1, 0x41, 9];
    let check = |bytes: &[u8], seconds: f64, key_frame: Option<bool>| {
        let facts = read(bytes, None).unwrap();
        assert_eq!((facts.format, facts.medium), (Format::TransportStream, Medium::Video));
        assert_eq!(facts.duration.unwrap().as_secs_f64(), seconds);
        assert_eq!(facts.key_frame, key_frame);
    };
    check(&transport(0, 50, &idr, false), 2.0, Some(true));
    check(&transport(900_000, 50, &other, false), 2.0, Some(false));
    check(&transport(900_000, 50, &other, true), 2.0, Some(true));
    check(&transport(900_000, 50, &[9], false), 2.0, None);
    // The clock starts again in the middle.
    check(&transport((1 << 33) - 90_000, 50, &idr, false), 2.0, Some(true));
    let one = read(&transport(0, 1, &idr, false), None).unwrap();
    assert_eq!((one.duration, one.samples), (None, 1));
    let none = read(&transport(0, 0, &idr, false), None).unwrap();
    assert_eq!((none.duration, none.samples), (Some(Duration::ZERO), 0));
    let late = read(&transport(900_000, 2, &idr, false), None).unwrap();
    assert_eq!(late.begin, Some(Duration::from_secs(10)));
}

#[test]
fn transport_streams_that_are_none_are_refused() {
    let whole = transport(0, 3, &[9], false);
    let check = |bytes: &[u8], said: &str| {
        let error = read(bytes, None).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    };
    check(&whole[..whole.len() - 1], "packet 7 of the transport stream: it is cut short");
    check(&whole[2 * 188..], "it has no tables");
    let mut odd = whole.clone();
    odd[4 * 188] = 0;
    check(&odd, "packet 4 of the transport stream: it does not begin with 47");
}

proptest! {
    #[test]
    fn nothing_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        _ = initialization(&bytes);
        _ = read(&bytes, None);
    }

    #[test]
    fn nothing_panics_on_changed_bytes(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<proptest::sample::Index>(),
    ) {
        let before = initialization(&mp4::initialization()).unwrap();
        let head = mp4::chunk(&film(), 0, 0).unwrap().head;
        let stream = transport(7, 9, &[0, 0, 1, 0x65], true);
        for mut bytes in [[mp4::initialization(), head].concat(), stream] {
            for (at, value) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            let cut = cut.index(bytes.len());
            for bytes in [&bytes[..], &bytes[..cut]] {
                _ = initialization(bytes);
                _ = read(bytes, None);
                _ = read(bytes, Some(&before));
            }
        }
    }
}
