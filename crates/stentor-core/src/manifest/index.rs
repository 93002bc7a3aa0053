//! The index of a film that is one file: where its segments are (`sidx`, ISO/IEC 14496-12, 8.16.3).
//!
//! DASH names such files by a SegmentBase. Fetching is left to the roof, which is told where to read.

use std::time::Duration;

use thiserror::Error;

use super::ByteRange;

/// The largest index that is read, in bytes: 65535 references of 12 bytes, and what stands before.
pub const INDEX_MAX_BYTES: u64 = 1 << 20;

/// What the beginning of a file says of its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// The segments, with how long each plays.
    Found(Vec<(ByteRange, Duration)>),
    /// It is further on: to be read from this byte, so many at least.
    Further(ByteRange),
    /// The media begin without one.
    Missing,
}

/// Why an index was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IndexError {
    /// A box that cannot be one.
    #[error("at byte {offset} is no box of an MP4 file")]
    Box {
        /// Where in the file.
        offset: u64,
    },
    /// An index that means nothing that can be played.
    #[error("the index at byte {offset}: {wanted}")]
    Index {
        /// Where in the file.
        offset: u64,
        /// What is wrong.
        wanted: &'static str,
    },
}

/// Looks for the index in `bytes`, which begin with a box at byte `offset` of the file.
///
/// # Errors
/// What stands there is no box, or an index of other indices, or of segments of no length.
pub fn look(mut offset: u64, mut bytes: &[u8]) -> Result<Look, IndexError> {
    loop {
        let Some((size, name)) = header(bytes) else {
            return Ok(Look::Further(ByteRange { offset, length: 16 }));
        };
        let wrong = IndexError::Box { offset };
        let plain = name.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        if size < 8 || !plain {
            return Err(wrong);
        }
        let end = offset.checked_add(size).ok_or(wrong)?;
        match &name {
            b"sidx" if size > INDEX_MAX_BYTES => {
                return Err(IndexError::Index { offset, wanted: "it is larger than any can be" });
            }
            b"sidx" => {
                let whole = usize::try_from(size).ok().and_then(|size| bytes.get(..size));
                return match whole {
                    Some(index) => segments(offset, index),
                    None => Ok(Look::Further(ByteRange { offset, length: size })),
                };
            }
            b"moof" | b"mdat" => return Ok(Look::Missing),
            _ => {}
        }
        offset = end;
        bytes = usize::try_from(size).ok().and_then(|size| bytes.get(size..)).unwrap_or_default();
    }
}

/// Size and name of the box that begins here.
fn header(bytes: &[u8]) -> Option<(u64, [u8; 4])> {
    let size = number(bytes.get(..4)?);
    let name = bytes.get(4..8)?.try_into().ok()?;
    match size {
        // The size follows in 64 bits (4.2).
        1 => Some((number(bytes.get(8..16)?), name)),
        size => Some((size, name)),
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn segments(offset: u64, index: &[u8]) -> Result<Look, IndexError> {
    let wrong = |wanted| IndexError::Index { offset, wanted };
    let cut = wrong("it ends before what it announces");
    let field = |at: usize, length: usize| {
        index.get(at..at + length).map(number).ok_or_else(|| cut.clone())
    };
    let body = if field(0, 4)? == 1 { 16 } else { 8 };
    let timescale = field(body + 8, 4)?;
    if timescale == 0 {
        return Err(wrong("a timescale of 0 measures nothing"));
    }
    let (first, after) = match field(body, 1)? {
        0 => (field(body + 16, 4)?, body + 20),
        _ => (field(body + 20, 8)?, body + 28),
    };
    let count = field(after + 2, 2)?;
    let end = offset.checked_add(index.len() as u64).and_then(|end| end.checked_add(first));
    let mut begin = end.ok_or_else(|| wrong("its segments begin nowhere"))?;
    let mut found = Vec::new();
    for place in 0..usize::try_from(count).unwrap_or(0) {
        let at = after + 4 + 12 * place;
        let (kind, ticks) = (field(at, 4)?, field(at + 4, 4)?);
        if kind >> 31 == 1 {
            return Err(wrong("an index of indices is not read"));
        }
        let length = kind & 0x7fff_ffff;
        if length == 0 || ticks == 0 {
            return Err(wrong("a segment without bytes or without time"));
        }
        let ns = u128::from(ticks) * 1_000_000_000 / u128::from(timescale);
        let duration = Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX));
        found.push((ByteRange { offset: begin, length }, duration));
        begin = begin.checked_add(length).ok_or_else(|| wrong("its segments end nowhere"))?;
    }
    if found.is_empty() { Err(wrong("it has no segments")) } else { Ok(Look::Found(found)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Dice, Seed};

    fn boxed(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
        bytes.extend(name);
        bytes.extend(body);
        bytes
    }

    /// An index with these sizes and ticks of 1/1000 s, and the media 100 bytes behind it.
    fn sidx(version: u8, segments: &[(u32, u32)]) -> Vec<u8> {
        let mut body = vec![version, 0, 0, 0, 0, 0, 0, 1, 0, 0, 3, 232];
        match version {
            0 => body.extend([0, 0, 0, 0, 0, 0, 0, 100]),
            _ => body.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100]),
        }
        body.extend([0, 0]);
        body.extend(u16::try_from(segments.len()).unwrap().to_be_bytes());
        for (size, ticks) in segments {
            body.extend(size.to_be_bytes());
            body.extend(ticks.to_be_bytes());
            body.extend([0x90, 0, 0, 0]);
        }
        boxed(b"sidx", &body)
    }

    #[test]
    fn segments_lie_one_after_the_other_behind_the_index() {
        for version in [0, 1] {
            let mut file = boxed(b"ftyp", b"isom");
            file.extend(boxed(b"moov", &[0; 40]));
            let before = file.len() as u64;
            file.extend(sidx(version, &[(500, 2000), (700, 1500)]));
            let begin = file.len() as u64 + 100;
            let expected = vec![
                (ByteRange { offset: begin, length: 500 }, Duration::from_secs(2)),
                (ByteRange { offset: begin + 500, length: 700 }, Duration::from_millis(1500)),
            ];
            assert_eq!(look(0, &file), Ok(Look::Found(expected.clone())));
            // As much as has been read says where to go on.
            let length = file.len() as u64 - before;
            let further = |offset, length| Ok(Look::Further(ByteRange { offset, length }));
            assert_eq!(look(0, &file[..30]), further(before, 16));
            assert_eq!(look(0, &file[..file.len() - 1]), further(before, length));
            let rest = &file[usize::try_from(before).unwrap()..];
            assert_eq!(look(before, rest), Ok(Look::Found(expected)));
        }
    }

    #[test]
    fn what_is_no_index_is_refused() {
        let check = |bytes: &[u8], words: &str| {
            let error = look(0, bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        assert_eq!(look(0, &boxed(b"mdat", &[0; 9])), Ok(Look::Missing));
        check(&[0, 0, 0, 7, b'f', b't', b'y', b'p'], "at byte 0 is no box");
        check(&[0, 0, 0, 9, 0, 1, 2, 3], "at byte 0 is no box");
        check(&sidx(0, &[]), "no segments");
        check(&sidx(0, &[(0, 1)]), "without bytes");
        check(&sidx(0, &[(1, 0)]), "without time");
        check(&sidx(0, &[(0x8000_0001, 1)]), "an index of indices");
        check(&boxed(b"sidx", &[0; 10]), "ends before");
        check(&boxed(b"sidx", &[0; 40]), "a timescale of 0");
    }

    #[test]
    fn no_bytes_are_too_odd() {
        let whole = sidx(1, &[(500, 2000), (700, 1500)]);
        for seed in 0..5000 {
            let mut dice = Dice::new(Seed(seed), "index");
            let mut bytes = whole.clone();
            for _ in 0..=dice.below(4) {
                let place = usize::try_from(dice.below(bytes.len() as u64)).unwrap();
                bytes[place] = u8::try_from(dice.below(256)).unwrap();
            }
            let _ = look(dice.below(u64::MAX), &bytes);
        }
    }
}
