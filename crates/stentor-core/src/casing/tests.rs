//! Any cut of any bytes gives the answer that the standard library gives to the whole.

use super::*;
use crate::seed::{Dice, Seed};
use proptest::prelude::*;

#[path = "../../examples/casing-table/generate.rs"]
mod generate;

/// What the answer is by definition.
fn model(text: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    for chunk in text.utf8_chunks() {
        answer.extend_from_slice(chunk.valid().to_uppercase().as_bytes());
        answer.extend_from_slice(chunk.invalid());
    }
    answer
}

/// One stream, and what it promises about each answer.
struct Stream {
    upper: Upper,
    spill: Vec<u8>,
    answer: Vec<u8>,
}

impl Stream {
    fn new(case: Case) -> Stream {
        Stream { upper: Upper::new(case), spill: Vec::new(), answer: Vec::new() }
    }

    fn segment(&mut self, segment: &[u8]) {
        let mut bytes = segment.to_vec();
        let mut at = 0;
        while at < bytes.len() {
            let held = usize::from(self.upper.held_len);
            let (taken, answer) = self.upper.feed(&mut bytes[at..], &mut self.spill);
            assert!(taken > 0);
            assert!(answer.len() <= 3 * (taken + held));
            self.answer.extend_from_slice(answer);
            at += taken;
            assert_eq!(bytes[at..], segment[at..], "bytes beyond those taken are untouched");
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.answer.extend_from_slice(self.upper.finish());
        assert!(self.upper.finish().is_empty());
        self.answer
    }
}

fn streamed(text: &[u8], cuts: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let mut stream = Stream::new(Case::Unicode);
    let mut from = 0;
    for cut in cuts.into_iter().chain([text.len()]) {
        stream.segment(&text[from..cut]);
        from = cut;
    }
    stream.end()
}

/// Characters of every width, cased or not, growing or shrinking, and bytes that are none.
const NASTY: [&[u8]; 26] = [
    b"a",
    b"Z",
    "é".as_bytes(),
    "ÿ".as_bytes(),
    "ß".as_bytes(),
    "ŉ".as_bytes(),
    "ı".as_bytes(),
    "ΐ".as_bytes(),
    "ж".as_bytes(),
    "ა".as_bytes(),
    "ﬃ".as_bytes(),
    "ɐ".as_bytes(),
    "ꭰ".as_bytes(),
    "中".as_bytes(),
    "𐐨".as_bytes(),
    "😀".as_bytes(),
    b"\x80",
    b"\xFF",
    b"\xC3",
    b"\xC0\xAF",
    b"\xE1\x83",
    b"\xE0\x80\x80",
    b"\xED\xA0\x80",
    b"\xF0\x90\x90",
    b"\xF0\x80",
    b"\xF4\x90\x80\x80",
];

/// Calls `check` with every concatenation of pieces of the alphabet, of at most `len_max` bytes.
fn every_text(
    alphabet: &[&[u8]],
    text: &mut Vec<u8>,
    len_max: usize,
    check: &mut impl FnMut(&[u8]),
) {
    check(text);
    for piece in alphabet {
        if text.len() + piece.len() <= len_max {
            let len = text.len();
            text.extend_from_slice(piece);
            every_text(alphabet, text, len_max, check);
            text.truncate(len);
        }
    }
}

#[test]
fn every_way_to_cut_up_to_6_bytes() {
    every_text(&NASTY, &mut Vec::new(), 6, &mut |text| {
        let expected = model(text);
        for cuts in 0..1_u32 << text.len().saturating_sub(1) {
            let cuts = (1..text.len()).filter(|cut| cuts & (1 << (cut - 1)) != 0);
            assert_eq!(
                streamed(text, cuts.clone()),
                expected,
                "{text:X?} {:?}",
                cuts.collect::<Vec<_>>()
            );
        }
    });
}

/// Stands for the alphabet where all of it would be too much.
const FEW: [&[u8]; 7] =
    [b"a", b"\x90", "ж".as_bytes(), "ΐ".as_bytes(), b"\xE1\x83", "ა".as_bytes(), "𐐨".as_bytes()];

#[test]
fn every_single_cut_up_to_12_bytes() {
    every_text(&FEW, &mut Vec::new(), 12, &mut |text| {
        let expected = model(text);
        for cut in 0..=text.len() {
            assert_eq!(streamed(text, [cut]), expected, "{text:X?} cut at {cut}");
        }
    });
}

/// Text of `len_max` bytes at most: a few characters in many orders, as in one script, with
/// others strewn in.
fn random_text(dice: &mut Dice, len_max: u64) -> Vec<u8> {
    let len = usize::try_from(dice.below(len_max + 1)).unwrap();
    let strangers = [0.0, 0.001, 0.05, 1.0][roll(dice, 4)];
    let script = u32::try_from(roll(dice, 0x1_0000)).unwrap();
    let mut text = Vec::new();
    while text.len() < len {
        let near = script + u32::try_from(roll(dice, 100)).unwrap();
        let any = u32::try_from(roll(dice, 0x11_0000)).unwrap();
        let c = |scalar| char::from_u32(scalar).unwrap_or(' ').to_string().into_bytes();
        match roll(dice, 4) {
            _ if dice.chance(strangers) => text.extend_from_slice(NASTY[roll(dice, NASTY.len())]),
            0 => text.push(b"the quick brown fox, "[roll(dice, 21)]),
            1 if dice.chance(strangers) => text.extend(c(any)),
            _ => text.extend(c(near)),
        }
    }
    text.truncate(len);
    text
}

fn roll(dice: &mut Dice, bound: usize) -> usize {
    usize::try_from(dice.below(bound.try_into().unwrap())).unwrap()
}

/// One case: text and cuts both follow from `seed`.
fn random_case(seed: Seed, len_max: u64) {
    let text = random_text(&mut Dice::new(seed, "text"), len_max);
    let mut dice = Dice::new(seed, "cuts");
    let pieces = 1 + roll(&mut dice, 8);
    let mut cuts: Vec<usize> = (1..pieces).map(|_| roll(&mut dice, text.len() + 1)).collect();
    cuts.sort_unstable();
    let expected = model(&text);
    assert!(streamed(&text, cuts) == expected, "replay with random_case({seed:?}, {len_max})");
    let whole = upper(Case::Unicode, &text);
    assert!(whole == expected, "replay with random_case({seed:?}, {len_max})");
}

/// Every way to append that there is, and its name; each says whether this machine has it.
type Append = fn(&mut [u8], &mut Vec<u8>) -> bool;
const APPENDS: [(&str, Append); 3] = [
    ("portable", |text, answer| {
        row::append(text, answer);
        true
    }),
    ("AVX2", vector::append_by_avx2),
    ("AVX-512", vector::append_by_avx512),
];

#[test]
fn every_way_to_append_agrees_with_the_standard_library() {
    for (name, append) in APPENDS {
        if !append(&mut [], &mut Vec::new()) {
            eprintln!("skipped: this machine has no {name}");
            continue;
        }
        for seed in (0..20_000).map(Seed) {
            let text = random_text(&mut Dice::new(seed, "text"), 300);
            let mut answer = b"before".to_vec();
            append(&mut text.clone(), &mut answer);
            let expected = [b"before".to_vec(), model(&text)].concat();
            assert!(answer == expected, "{name}, {seed:?}");
        }
    }
}

/// Two pieces beside each other and beside ASCII, at all places of a block and across its end.
#[test]
fn every_way_to_append_agrees_wherever_in_a_block() {
    for (name, append) in APPENDS {
        for (shift, piece) in (0..70).flat_map(|shift| NASTY.map(|piece| (shift, piece))) {
            for next in NASTY {
                let text = [&vec![b'a'; shift], piece, next, piece, b"b"].concat();
                let mut answer = Vec::new();
                if append(&mut text.clone(), &mut answer) {
                    assert!(answer == model(&text), "{name}, {text:X?}");
                }
            }
        }
    }
}

/// What each way makes of ASCII that ends with a byte that is none, and where it stops.
#[test]
fn every_way_of_writing_ascii_in_place_stops_where_ascii_ends() {
    type Way = fn(&mut [u8]) -> Option<usize>;
    let ways: [Way; 3] =
        [|text| Some(row::ascii_in_place(text)), vector::ascii_by_avx2, vector::ascii_by_avx512];
    let ascii: Vec<u8> = (0..600_u16).map(|byte| (byte % 0x80) as u8).collect();
    for (len, way) in (0..ascii.len()).flat_map(|len| ways.map(|way| (len, way))) {
        for stranger in [0x80, 0xFF] {
            let mut text = ascii.clone();
            text[len] = stranger;
            let mut expected = text.clone();
            expected[..len].make_ascii_uppercase();
            if let Some(done) = way(&mut text) {
                assert_eq!(done, len);
                assert!(text == expected, "{len}");
            }
        }
    }
    for way in ways {
        let mut text = ascii.clone();
        assert!(matches!(way(&mut text), None | Some(600)));
    }
}

#[test]
fn random_cuts_of_100_000_random_texts() {
    (0..99_000).for_each(|seed| random_case(Seed(seed), 300));
    // Beyond what is answered at once, in place or in the second buffer.
    (99_000..100_000).for_each(|seed| random_case(Seed(seed), 100_000));
}

proptest! {
    #[test]
    fn any_bytes_in_any_segments(segments: Vec<Vec<u8>>) {
        let mut stream = Stream::new(Case::Unicode);
        segments.iter().for_each(|segment| stream.segment(segment));
        prop_assert_eq!(stream.end(), model(&segments.concat()));
    }

    #[test]
    fn ascii_case_touches_nothing_else(segments: Vec<Vec<u8>>) {
        let mut stream = Stream::new(Case::Ascii);
        segments.iter().for_each(|segment| stream.segment(segment));
        prop_assert_eq!(stream.end(), segments.concat().to_ascii_uppercase());
    }
}

#[test]
fn only_an_incomplete_sequence_waits() {
    let check = |input: &[u8], answered: &[u8], held: &[u8]| {
        let mut upper = Upper::new(Case::Unicode);
        let (mut input, mut spill) = (input.to_vec(), Vec::new());
        let (taken, answer) = upper.feed(&mut input, &mut spill);
        assert_eq!((taken, answer), (answered.len() + held.len(), answered));
        assert_eq!(upper.finish(), held);
    };
    check(b"", b"", b"");
    check(b"abc", b"ABC", b"");
    check(b"abc\xC3", b"ABC", b"\xC3");
    check(b"\xF0\x9F\x98", b"", b"\xF0\x9F\x98");
    check(b"\xF0\x8F\x98", b"\xF0\x8F\x98", b"");
    check(b"\xE4\xB8\xE4\xB8", b"\xE4\xB8", b"\xE4\xB8");
    check(b"\xED\xA0", b"\xED\xA0", b"");
    check(b"\xED\x9F", b"", b"\xED\x9F");
    check(b"\xF5", b"\xF5", b"");
    check(b"\xC1", b"\xC1", b"");
}

#[test]
fn only_ascii_is_answered_in_place() {
    let place = |text: &str| {
        let mut input = text.as_bytes().to_vec();
        let mut spill = Vec::new();
        let (taken, _) = Upper::new(Case::Unicode).feed(&mut input, &mut spill);
        (taken, spill.len())
    };
    assert_eq!(place(&"a".repeat(100_000)), (100_000, 0));
    assert_eq!(place(&("a".repeat(20_000) + "ı")), (20_000, 0));
    assert_eq!(place(&("a".repeat(10_000) + "ΐ")), (10_002, 10_006));
    assert_eq!(place(&"ß".repeat(10_000)), (20_000, 20_000));
    assert_eq!(place(&"ı".repeat(50_000)), (64 * 1024, 32 * 1024));
    assert!(size_of::<Upper>() <= 8);
}

#[test]
fn the_table_is_current() {
    assert!(
        include_str!("table.rs") == generate::table(),
        "casing/table.rs is not what this compiler's char::to_uppercase gives: generate it anew"
    );
}

#[test]
fn every_scalar_agrees_with_the_standard_library() {
    for c in (0..=0x10_FFFF).filter_map(char::from_u32) {
        assert_eq!(
            upper(Case::Unicode, c.to_string().as_bytes()),
            c.to_uppercase().to_string().as_bytes(),
            "{c:?}"
        );
    }
    let all: String = (0..=0x10_FFFF).filter_map(char::from_u32).collect();
    for (name, append) in APPENDS {
        let mut answer = Vec::new();
        if append(&mut all.clone().into_bytes(), &mut answer) {
            assert!(answer == all.to_uppercase().into_bytes(), "{name}");
        }
    }
}
