//! Any cut of any stream has the replies of a simple reference, which sees the whole.
//!
//! The first byte says which framing, the second the bound, the third how many of the next are
//! lengths of pieces, used in turn, again and again; the rest is the stream.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stentor_core::load::framing::{EndOfReply, Framing, Splitter};

fuzz_target!(|data: &[u8]| {
    let [framing, bound, cuts, data @ ..] = data else { return };
    let (cuts, stream) = data.split_at(data.len().min(usize::from(cuts % 16)));
    let bound = usize::from(*bound);
    let (framing, reference): (Framing, Reference) = match framing % 4 {
        0 => (Framing::Line, line),
        1 => (Framing::Length16, length16),
        2 => (Framing::Length32, length32),
        _ => (Framing::EndOfReply(EndOfReply::parse("a+b|\\n").unwrap()), end_of_reply),
    };
    let mut expected = Vec::new();
    let mut rest = stream;
    let ending = loop {
        match reference(rest) {
            // What is announced or has come beyond the bound is refused before it is complete.
            Found::Reply(body, _) | Found::Part(body) if body > bound => break None,
            Found::Part(_) => break Some(!rest.is_empty()),
            Found::Reply(body, end) => {
                let frame = if framing == Framing::Line { end - 1 } else { end };
                expected.push(rest[frame - body..frame].to_vec());
                rest = &rest[end..];
            }
        }
    };
    assert_eq!(pieces(Splitter::new(framing, bound), stream, cuts), (expected, ending));
});

/// How long the first reply is, without and with its frame; or how long it is at least.
enum Found {
    Reply(usize, usize),
    Part(usize),
}

type Reference = fn(&[u8]) -> Found;

fn line(bytes: &[u8]) -> Found {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => Found::Reply(at, at + 1),
        None => Found::Part(bytes.len()),
    }
}

fn length(bytes: &[u8], header: usize) -> Found {
    if bytes.len() < header {
        return Found::Part(0);
    }
    let said = bytes[..header].iter().fold(0, |sum, byte| sum * 256 + usize::from(*byte));
    if bytes.len() < header + said { Found::Part(said) } else { Found::Reply(said, header + said) }
}

fn length16(bytes: &[u8]) -> Found {
    length(bytes, 2)
}

fn length32(bytes: &[u8]) -> Found {
    length(bytes, 4)
}

/// Every `a+b` ends with `ab`.
fn end_of_reply(bytes: &[u8]) -> Found {
    let ends = |end: &usize| bytes[..*end].ends_with(b"ab") || bytes[..*end].ends_with(b"\n");
    match (1..=bytes.len()).find(ends) {
        Some(end) => Found::Reply(end, end),
        None => Found::Part(bytes.len()),
    }
}

/// The replies, and whether the stream ended within one; `None` if it was refused.
fn pieces(mut splitter: Splitter, stream: &[u8], lengths: &[u8]) -> (Vec<Vec<u8>>, Option<bool>) {
    let (mut replies, mut rest, mut lengths) = (Vec::new(), stream, lengths.iter().cycle());
    while !rest.is_empty() {
        let len = lengths.next().map_or(rest.len(), |len| usize::from(*len).clamp(1, rest.len()));
        let (mut piece, after) = rest.split_at(len);
        rest = after;
        while !piece.is_empty() {
            let Ok((taken, reply)) = splitter.feed(piece) else { return (replies, None) };
            assert!(taken > 0);
            replies.extend(reply.map(<[u8]>::to_vec));
            piece = &piece[taken..];
        }
    }
    (replies, Some(splitter.is_within()))
}
