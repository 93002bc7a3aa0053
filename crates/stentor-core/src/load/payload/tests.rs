//! Requests as they are sent, and replies as they are judged.

use proptest::prelude::*;

use super::*;
use crate::load::verify::Pattern;

const UPPER: Verify = Verify::Upper(Case::Unicode);

fn stamp(number: u64) -> Stamp {
    Stamp { lane: 3, number, sent: Moment::from_nanos(1234) }
}

fn payload(source: &Source, framing: &Framing, verify: &Verify) -> Payload {
    Payload::new(source, framing, verify, 64, Seed(5)).unwrap()
}

fn request(payload: &Payload, number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    payload.write(stamp(number), &mut out);
    out
}

fn template(text: &str) -> Source {
    Source::Template(text.to_owned())
}

#[test]
fn templates_are_filled_in() {
    let check = |text: &str, expected: &str| {
        let payload = payload(&template(text), &Framing::Line, &UPPER);
        assert_eq!(String::from_utf8(request(&payload, 42)).unwrap(), expected, "{text}");
    };
    check("get {seq}", "get 42");
    check("{seq:6}{seq:1}", "00004242");
    check("{{{time}}} stra\u{df}e", "{1234} stra\u{df}e");
    check("", "");
    let letters = payload(&template("a {random:8}{random:8}"), &Framing::Line, &UPPER);
    let (one, other) = (request(&letters, 1), request(&letters, 2));
    assert_ne!(one, other);
    assert_ne!(one[2..10], one[10..], "each placeholder has its own letters");
    assert!(one[2..].iter().all(u8::is_ascii_lowercase) && one.len() == 18);
}

#[test]
fn a_refusal_of_a_template_names_the_place() {
    let check = |text: &str, place: usize, part: &str| match Payload::new(
        &template(text),
        &Framing::Line,
        &UPPER,
        1,
        Seed(1),
    ) {
        Err(PayloadError::Template { at, why }) => {
            assert_eq!(at, place, "{text}: {why}");
            assert!(why.contains(part), "{why}");
        }
        other => panic!("{text}: {other:?}"),
    };
    check("a {sequence}", 2, "there are {seq}");
    check("a {seq", 2, "never closed");
    check("ab}", 2, "write }}");
    check("{random}", 0, "needs a length");
    check("{random:0}", 0, "from 1 to 65536");
    check("{seq:21}", 0, "from 1 to 20");
}

#[test]
fn what_the_framing_cannot_carry_is_refused() {
    let refused = |source: Source, framing: Framing| {
        Payload::new(&source, &framing, &UPPER, 1, Seed(1)).unwrap_err()
    };
    let two_lines = Source::Fixed(b"ab\nc".to_vec());
    assert_eq!(refused(two_lines, Framing::Line), PayloadError::LineFeed { at: 2 });
    let too_long = |bytes, max_bytes| PayloadError::TooLong { bytes, max_bytes };
    assert_eq!(refused(Source::Letters(65_536), Framing::Length16), too_long(65_536, 65_535));
    assert_eq!(refused(Source::Letters(65_508), Framing::Datagram), too_long(65_508, 65_507));
}

#[test]
fn replies_are_judged_as_asked() {
    let text = Source::Fixed("stra\u{df}e".into());
    let check = |verify: &Verify, reply: &str, right: bool| {
        let payload = payload(&text, &Framing::Line, verify);
        assert_eq!(payload.is_right(stamp(0), reply.as_bytes()), right, "{verify:?} {reply}");
    };
    check(&UPPER, "STRASSE", true);
    check(&UPPER, "STRASSE ", false);
    check(&UPPER, "STRASS", false);
    check(&Verify::Upper(Case::Ascii), "STRA\u{df}E", true);
    check(&Verify::Echo, "stra\u{df}e", true);
    check(&Verify::Echo, "STRASSE", false);
    check(&Verify::Off, "anything", true);
    let pattern = Verify::Pattern(Pattern::parse("^ST").unwrap());
    check(&pattern, "STX", true);
    check(&pattern, "sTX", false);
}

#[test]
fn datagrams_are_numbered_where_the_length_allows() {
    let check = |source: Source, matching: Matching| {
        let payload = payload(&source, &Framing::Datagram, &UPPER);
        assert_eq!(payload.matching(), matching, "{source:?}");
        for number in [0, 7, 99, 12_345, 1_000_003] {
            let reply = request(&payload, number).to_ascii_uppercase();
            assert!(payload.is_right(stamp(number), &reply));
            let expected = (matching == Matching::ByNumber).then_some(number);
            assert_eq!(payload.number_in(&reply, number + 50), expected, "{source:?} {number}");
        }
    };
    check(Source::Letters(32), Matching::ByNumber);
    check(Source::Letters(12), Matching::ByNumber);
    check(Source::Letters(3), Matching::ByNumber);
    // Two digits cannot tell 128 apart, twice the 64 that may be under way.
    check(Source::Letters(2), Matching::ByGuess);
    check(Source::Fixed(b"hello".to_vec()), Matching::ByGuess);
    check(template("q {random:4} {seq}; {time}"), Matching::ByNumber);
    check(template("{seq}7"), Matching::ByGuess);
    check(template("{time}{seq}"), Matching::ByGuess);
    assert_eq!(payload(&Source::Letters(9), &Framing::Line, &UPPER).matching(), Matching::InOrder);
}

#[test]
fn damage_is_nearest_to_its_own_request() {
    let payload = payload(&Source::Letters(32), &Framing::Datagram, &UPPER);
    for number in 0..200 {
        let mut reply = request(&payload, number).to_ascii_uppercase();
        assert_eq!(payload.differences(stamp(number), &reply), 0);
        reply[11] ^= 1;
        assert_eq!(payload.differences(stamp(number), &reply), 1);
        assert!(payload.differences(stamp(number + 1), &reply) > 5, "{number}");
        assert_eq!(payload.differences(stamp(number), &reply[..30]), 3);
    }
}

proptest! {
    #[test]
    fn the_upper_case_of_any_request_is_right(
        text in "\\PC{0,40}",
        digits in 1_usize..20,
        number in any::<u64>(),
    ) {
        let text = text.replace(['{', '}'], "");
        let source = template(&format!("{text}{{seq:{digits}}}{text}{{random:9}}{{time}}"));
        let payload = payload(&source, &Framing::Datagram, &UPPER);
        let reply = casing::upper(Case::Unicode, &request(&payload, number));
        prop_assert!(payload.is_right(stamp(number), &reply));
        prop_assert_eq!(payload.differences(stamp(number), &reply), 0);
        if payload.matching() == Matching::ByNumber {
            prop_assert_eq!(payload.number_in(&reply, number), Some(number));
        }
    }

    #[test]
    fn whatever_comes_is_judged(reply in proptest::collection::vec(any::<u8>(), 0..60)) {
        let payload = payload(&Source::Letters(32), &Framing::Datagram, &UPPER);
        payload.is_right(stamp(1), &reply);
        payload.differences(stamp(1), &reply);
        payload.number_in(&reply, 1);
    }
}
