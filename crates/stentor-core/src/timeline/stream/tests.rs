//! Sequence numbers over the edge of 2^32 and back.

use proptest::prelude::*;

use super::*;
use crate::timeline::header::Options;

fn tcp(sequence: u32, flags: Flags, window: u16) -> Tcp {
    Tcp {
        source: 1,
        destination: 2,
        sequence,
        acknowledgment: 0,
        flags,
        window,
        checksum: 0,
        urgent: 0,
        options: Options { window_scale: Some(2), ..Options::default() },
    }
}

fn ms(number: u64) -> Moment {
    Moment::from_nanos(number * 1_000_000)
}

/// A stream of this initial sequence number, after both SYNs.
fn begun(isn: u32) -> (Stream, Stream) {
    let (mut stream, mut other) = (Stream::default(), Stream::default());
    stream.feed(ms(0), &tcp(isn, Flags::SYN, 100), 0, &mut other);
    let mut answer = tcp(5, Flags::SYN.with(Flags::ACK), 100);
    answer.acknowledgment = isn.wrapping_add(1);
    other.feed(ms(0), &answer, 0, &mut stream);
    (stream, other)
}

#[test]
fn five_gigabytes_are_counted_over_the_edge() {
    let isn = u32::MAX - 10;
    let (mut stream, mut other) = begun(isn);
    const STEP: u32 = 1 << 20;
    let mut expected = 0_u64;
    for step in 0..5 * 1024_u32 {
        let sequence = isn.wrapping_add(1).wrapping_add(step.wrapping_mul(STEP));
        let placed = stream.feed(ms(1), &tcp(sequence, Flags::ACK, 100), STEP, &mut other).unwrap();
        assert_eq!((placed.kind, placed.bytes().start), (Kind::Data, expected));
        expected += u64::from(STEP);
    }
    assert_eq!(stream.length(), 5 << 30);
    // One from the very end again.
    let last = isn.wrapping_add(1).wrapping_add((5 * 1024_u32 - 1).wrapping_mul(STEP));
    let placed = stream.feed(ms(2), &tcp(last, Flags::ACK, 100), STEP, &mut other).unwrap();
    assert_eq!(placed.kind, Kind::Retransmission);
}

#[test]
fn a_gap_filled_late_is_new_and_what_was_there_is_not() {
    let (mut stream, mut other) = begun(0);
    let mut feed = |sequence, length| {
        stream.feed(ms(1), &tcp(sequence, Flags::ACK, 100), length, &mut other).unwrap().kind
    };
    assert_eq!(feed(1, 10), Kind::Data);
    assert_eq!(feed(21, 10), Kind::Data);
    assert_eq!(feed(11, 10), Kind::Data);
    assert_eq!(feed(5, 20), Kind::Retransmission);
    assert_eq!(feed(25, 10), Kind::Data);
    assert_eq!(feed(34, 0), Kind::KeepAlive);
    assert!(stream.sent_again(&(4..5)) && !stream.sent_again(&(0..4)));
}

#[test]
fn a_closed_window_is_a_period_and_probes_are_told_from_keep_alives() {
    let (mut stream, mut other) = begun(0);
    stream.feed(ms(1), &tcp(1, Flags::ACK, 100), 10, &mut other).unwrap();
    let mut ack = tcp(6, Flags::ACK, 0);
    ack.acknowledgment = 11;
    other.feed(ms(10), &ack, 0, &mut stream).unwrap();
    let probe = stream.feed(ms(20), &tcp(10, Flags::ACK, 100), 0, &mut other).unwrap();
    assert_eq!(probe.kind, Kind::WindowProbe);
    other.feed(ms(30), &ack, 0, &mut stream).unwrap();
    ack.window = 50;
    let update = other.feed(ms(90), &ack, 0, &mut stream).unwrap();
    assert_eq!((update.kind, update.window), (Kind::WindowUpdate, Some(200)));
    assert_eq!(other.closed_windows(), [(ms(10), Some(ms(90)))]);
    let alive = stream.feed(ms(99), &tcp(10, Flags::ACK, 100), 0, &mut other).unwrap();
    assert_eq!(alive.kind, Kind::KeepAlive);
}

#[test]
fn the_beginning_is_learnt_from_the_answer_or_only_taken() {
    let (mut client, mut server) = (Stream::default(), Stream::default());
    let mut answer = tcp(5, Flags::SYN.with(Flags::ACK), 100);
    answer.acknowledgment = 1001;
    server.feed(ms(0), &answer, 0, &mut client).unwrap();
    assert_eq!(client.isn(), Some(1000));
    let placed = client.feed(ms(1), &tcp(1001, Flags::ACK, 1), 3, &mut server).unwrap();
    assert_eq!(placed.bytes(), 0..3);
    let mut late = Stream::default();
    late.feed(ms(0), &tcp(77, Flags::ACK, 1), 3, &mut server).unwrap();
    assert!(!late.is_proved() && late.began());
}

proptest! {
    #[test]
    fn places_do_not_depend_on_where_the_numbers_begin(
        isn: u32, cuts in prop::collection::vec((0_u32..5000, 0_u32..1500), 1..60)
    ) {
        let run = |isn: u32| {
            let (mut stream, mut other) = begun(isn);
            let feed = |(at, length): &(u32, u32)| {
                let sequence = isn.wrapping_add(1).wrapping_add(*at);
                stream.feed(ms(1), &tcp(sequence, Flags::ACK, 9), *length, &mut other)
            };
            cuts.iter().map(feed).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(isn), run(0));
    }

    #[test]
    fn any_segments_are_survived(
        segments in prop::collection::vec((any::<u32>(), any::<u32>(), any::<u8>(), 0_u32..70000), 0..50)
    ) {
        let mut streams = (Stream::default(), Stream::default());
        for (number, (sequence, acknowledgment, flags, length)) in segments.into_iter().enumerate() {
            let segment = Tcp { acknowledgment, ..tcp(sequence, Flags(flags), flags.into()) };
            let (one, other) = &mut streams;
            if let Some(placed) = one.feed(ms(1), &segment, length, other) {
                prop_assert!(placed.bytes().start <= placed.bytes().end);
            }
            if number % 3 == 0 {
                std::mem::swap(one, other);
            }
        }
    }
}
