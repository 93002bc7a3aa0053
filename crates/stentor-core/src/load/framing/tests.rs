//! Replies are found wherever the stream was cut, and bounds hold.

use proptest::prelude::*;

use super::*;

/// All replies of `stream`, cut into pieces of these lengths in turn.
fn split(
    framing: &Framing,
    max_bytes: usize,
    stream: &[u8],
    lengths: &[usize],
) -> (Vec<Vec<u8>>, Result<bool, FramingError>) {
    let mut splitter = Splitter::new(framing.clone(), max_bytes);
    let (mut replies, mut rest) = (Vec::new(), stream);
    let mut lengths = lengths.iter().cycle();
    while !rest.is_empty() {
        let len = lengths.next().map_or(rest.len(), |len| (*len).clamp(1, rest.len()));
        let (mut piece, after) = rest.split_at(len);
        rest = after;
        while !piece.is_empty() {
            match splitter.feed(piece) {
                Ok((taken, reply)) => {
                    assert!(taken > 0 || reply.is_some());
                    assert!(reply.is_some() || taken == piece.len());
                    replies.extend(reply.map(<[u8]>::to_vec));
                    piece = &piece[taken..];
                }
                Err(error) => return (replies, Err(error)),
            }
        }
    }
    (replies, Ok(splitter.is_within()))
}

fn end_of_reply(pattern: &str) -> Framing {
    Framing::EndOfReply(EndOfReply::parse(pattern).unwrap())
}

#[test]
fn replies_without_their_frames() {
    let check = |framing: Framing, stream: &[u8], expected: &[&[u8]], within: bool| {
        for len in 1..=stream.len() {
            let (replies, end) = split(&framing, 100, stream, &[len]);
            assert_eq!(
                (replies.as_slice(), end),
                (
                    expected.iter().map(|reply| reply.to_vec()).collect::<Vec<_>>().as_slice(),
                    Ok(within),
                ),
                "{framing:?} in pieces of {len}"
            );
        }
    };
    check(Framing::Line, b"A\n\nBC\r\nD", &[b"A", b"", b"BC\r"], true);
    check(Framing::Length16, b"\0\x02AB\0\0\0\x01C", &[b"AB", b"", b"C"], false);
    check(Framing::Length16, b"\0\x02AB\0", &[b"AB"], true);
    check(Framing::Length32, b"\0\0\0\x02AB\0\0\0\x05C", &[b"AB"], true);
    check(end_of_reply("(OK|ERR .*)\n"), b"x\nOK\nERR y\nz", &[b"x\nOK\n", b"ERR y\n"], true);
    // The shortest match ends it: greed would make the replies depend on the pieces.
    check(end_of_reply("\n+"), b"A\n\nB\n", &[b"A\n", b"\n", b"B\n"], false);
    check(end_of_reply("a|abc"), b"abcabc", &[b"a", b"bca"], true);
    check(end_of_reply("bb|b"), b"abbc", &[b"ab", b"b"], true);
    check(end_of_reply("(?m)^END\r\n"), b"1\r\nEND\r\n", &[b"1\r\nEND\r\n"], false);
}

#[test]
fn bounds_hold_wherever_the_stream_was_cut() {
    for len in 1..8 {
        let of = |framing: &Framing, stream: &[u8]| split(framing, 4, stream, &[len]).1;
        let endless = Err(FramingError::Endless { max_bytes: 4 });
        assert_eq!(of(&Framing::Line, b"abcd\n"), Ok(false));
        assert_eq!(of(&Framing::Line, b"abcde\n"), endless);
        assert_eq!(of(&Framing::Line, b"abcde"), endless);
        assert_eq!(of(&end_of_reply(";"), b"abc;abc;"), Ok(false));
        assert_eq!(of(&end_of_reply(";"), b"abcd;"), endless);
        let too_long = Err(FramingError::TooLong { said: 5, max_bytes: 4 });
        assert_eq!(of(&Framing::Length16, b"\0\x05abc"), too_long);
        assert_eq!(of(&Framing::Length32, b"\0\0\0\x05"), too_long);
    }
}

#[test]
fn patterns_that_depend_on_what_follows_are_refused() {
    let check = |pattern: &str, part: &str| {
        let refusal = EndOfReply::parse(pattern).unwrap_err().to_string();
        assert!(refusal.contains(part) && refusal.contains("the pattern"), "{refusal}");
    };
    check("OK$", "look at what follows");
    check("OK\\b", "look at what follows");
    check("(?m)OK$", "look at what follows");
    check("x*", "matches the empty string");
    check("", "matches the empty string");
    check("(a", "unclosed group");
    check("\\p{Greek}", "Unicode");
}

#[test]
fn requests_in_their_frames_are_read_back() {
    for framing in [Framing::Line, Framing::Length16, Framing::Length32] {
        let mut out = b"before".to_vec();
        framing.write(&mut out, |out| out.extend_from_slice(b"one"));
        framing.write(&mut out, |out| out.extend_from_slice(b""));
        let (replies, end) = split(&framing, 100, &out[6..], &[2]);
        assert_eq!((replies, end), (vec![b"one".to_vec(), Vec::new()], Ok(false)), "{framing:?}");
    }
}

proptest! {
    #[test]
    fn the_pieces_do_not_matter(
        stream in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(0), Just(b'a'), 0_u8..5], 0..200),
        lengths in proptest::collection::vec(1_usize..20, 1..8),
        max_bytes in 1_usize..40,
    ) {
        for framing in [
            Framing::Line,
            Framing::Length16,
            Framing::Length32,
            end_of_reply("a+\n|\x01.?\x02"),
        ] {
            let whole = split(&framing, max_bytes, &stream, &[stream.len().max(1)]);
            prop_assert_eq!(split(&framing, max_bytes, &stream, &lengths), whole, "{:?}", framing);
        }
    }
}
