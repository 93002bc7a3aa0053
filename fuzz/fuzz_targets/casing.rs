//! Any cut of any bytes is upper-cased as the standard library does the whole.
//!
//! The first byte says how many of the next ones are lengths of segments, which are used in turn,
//! again and again; the rest is the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stentor_core::casing::{self, Case, Upper};

fuzz_target!(|data: &[u8]| {
    let Some((&cuts, data)) = data.split_first() else { return };
    let (cuts, text) = data.split_at(data.len().min(usize::from(cuts % 16)));
    let expected = model(text);
    assert_eq!(streamed(text, cuts), expected);
    assert_eq!(casing::upper(Case::Unicode, text), expected);
    assert_eq!(casing::upper(Case::Ascii, text), text.to_ascii_uppercase());
});

fn model(text: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    for chunk in text.utf8_chunks() {
        answer.extend_from_slice(chunk.valid().to_uppercase().as_bytes());
        answer.extend_from_slice(chunk.invalid());
    }
    answer
}

fn streamed(text: &[u8], lengths: &[u8]) -> Vec<u8> {
    let (mut upper, mut spill, mut answer) = (Upper::new(Case::Unicode), Vec::new(), Vec::new());
    let (mut rest, mut lengths) = (text, lengths.iter().cycle());
    while !rest.is_empty() {
        let len = lengths.next().map_or(rest.len(), |len| usize::from(*len).clamp(1, rest.len()));
        let (segment, later) = rest.split_at(len);
        rest = later;
        let mut bytes = segment.to_vec();
        let mut at = 0;
        while at < bytes.len() {
            let (taken, part) = upper.feed(&mut bytes[at..], &mut spill);
            assert!(taken > 0);
            // At most three bytes are held from before.
            assert!(part.len() <= 3 * (taken + 3));
            answer.extend_from_slice(part);
            at += taken;
            assert_eq!(bytes[at..], segment[at..]);
        }
    }
    answer.extend_from_slice(upper.finish());
    answer
}
