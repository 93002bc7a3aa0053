//! How upper case is stored: by rows of 64 characters that share all bytes but the last, and in
//! each row the bits that change. What is in the rows is generated, in `table.rs`.
//!
//! Nothing here checks that text is valid UTF-8, and nothing needs to: the code is
//! self-synchronizing (RFC 3629, section 1), so the bytes of a character with case stand for that
//! character wherever they occur, and everything else passes unchanged whatever it is.

use super::table::{MISFITS, PAGES, ROWS};

/// In [`Row::before`]: the upper case does not fit the character's place (mostly because it
/// has another length). [`Row::last`] is not what flips, but its number among the misfits.
pub(super) const MISFIT: u8 = 0x80;
/// In [`Row::before`]: [`Row::first`] applies to this character. Beside [`MISFIT`] in a row of width
/// 2: the first byte so flipped is all of the upper case, such as of ı, whose capital is "I".
pub(super) const FIRST_TOO: u8 = 0x40;

/// Bytes of ASCII tested as one: some vectors, of whatever width the machine has.
pub(super) const GROUP: usize = 128;
/// Bytes in a block: as many as a word has bits.
const BLOCK: usize = 64;

/// 64 characters, at least one of which changes. All changes are bits to flip (exclusive or).
// The columns come first and begin with a cache line each: the widest vectors load one at once.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Row {
    /// Flips in the last byte, by its lower six bits: four quarters of 16.
    pub(super) last: [[u8; 16]; 4],
    /// Flips in the byte before it. They never reach the upper two bits, which mark [`MISFIT`] and
    /// [`FIRST_TOO`].
    pub(super) before: [[u8; 16]; 4],
    /// How many bytes each character has: 2 to 4.
    pub(super) width: u8,
    /// What all begin with, backwards: the byte before the last comes first. Of the three bytes
    /// `width - 1` count.
    pub(super) prefix: [u8; 3],
    /// Flips in the first byte, in those characters that say [`FIRST_TOO`]: such as ß, whose two
    /// bytes become "SS". Only in rows of width 2 and 3.
    pub(super) first: u8,
}

/// An upper case that does not fit its character's place.
#[derive(Debug)]
pub(super) struct Misfit {
    /// Its bytes, filled up with zeros.
    pub(super) upper: [u8; 8],
    /// How many of them count.
    pub(super) len: u8,
}

impl Row {
    /// Finds the row of the character that `text` begins with, if it has one. Malformed text may
    /// yield any row: what is there must still be compared with [`Row::prefix`].
    pub(super) fn of(text: &[u8]) -> Option<&'static Row> {
        let page = match *text {
            [a @ 0xC0..=0xDF, ..] => bits(a, 0x1F),
            [a @ 0xE0..=0xEF, b, ..] => bits(a, 0x0F) << 6 | bits(b, 0x3F),
            [a @ 0xF0..=0xF7, b, c, ..] => bits(a, 0x07) << 12 | bits(b, 0x3F) << 6 | bits(c, 0x3F),
            _ => return None,
        };
        ROWS.get(usize::from(*PAGES.get(page)?).checked_sub(1)?)
    }
}

fn bits(byte: u8, mask: u8) -> usize {
    usize::from(byte & mask)
}

/// Upper-cases the ASCII that `text` begins with, in place, and returns its length.
// Inlined always, and what it calls: only so do its vectors become as wide as its caller's.
#[inline(always)]
pub(super) fn ascii_in_place(text: &mut [u8]) -> usize {
    let mut done = ascii_blocks_in_place::<GROUP>(text);
    done += ascii_blocks_in_place::<16>(text.get_mut(done..).unwrap_or_default());
    done + ascii_blocks_in_place::<1>(text.get_mut(done..).unwrap_or_default())
}

#[inline(always)]
fn ascii_blocks_in_place<const N: usize>(text: &mut [u8]) -> usize {
    let (blocks, _) = text.as_chunks_mut::<N>();
    let mut done = 0;
    for block in blocks {
        if !is_ascii(block) {
            break;
        }
        block.make_ascii_uppercase();
        done += N;
    }
    done
}

/// Whether all of `bytes` is ASCII. Unlike the standard library's, it looks at all bytes before it
/// answers, which as vectors is faster.
#[inline(always)]
pub(super) fn is_ascii<const N: usize>(bytes: &[u8; N]) -> bool {
    bytes.iter().fold(true, |all, byte| all & byte.is_ascii())
}

/// Appends the upper case of `text` to `answer`. What is left in `text` is of no meaning.
pub(super) fn append(text: &mut [u8], answer: &mut Vec<u8>) {
    // All before `pending` is in the answer. What fits is written over its letter until then.
    let mut pending = 0;
    for start in (0..text.len()).step_by(BLOCK) {
        let block = text.get_mut(start..).unwrap_or_default();
        let mut leads = match block.first_chunk_mut() {
            Some(block) => ascii_and_leads(block),
            None => {
                let mut padded = [0; BLOCK];
                padded.iter_mut().zip(block.iter()).for_each(|(to, from)| *to = *from);
                block.make_ascii_uppercase();
                ascii_and_leads(&mut padded)
            }
        };
        while leads != 0 {
            let at = start + leads.trailing_zeros() as usize;
            leads &= leads - 1;
            if let Some((misfit, width)) = text.get_mut(at..).and_then(character) {
                answer.extend_from_slice(text.get(pending..at).unwrap_or_default());
                answer.extend(misfit.upper.iter().take(usize::from(misfit.len)));
                pending = at + width;
            }
        }
    }
    answer.extend_from_slice(text.get(pending..).unwrap_or_default());
}

/// Upper-cases the ASCII anywhere in `block`, and returns where longer characters begin, as bits.
fn ascii_and_leads(block: &mut [u8; BLOCK]) -> u64 {
    let ascii = is_ascii(block);
    block.make_ascii_uppercase();
    if ascii {
        return 0;
    }
    let (words, _) = block.as_chunks::<8>();
    words.iter().rev().fold(0, |leads, word| {
        let word = u64::from_le_bytes(*word);
        // The upper two bits of a lead byte are set: one of each is left, and the factor brings
        // the eight together, none meeting another.
        let bits = (word & word << 1) >> 7 & 0x0101_0101_0101_0101;
        leads << 8 | bits.wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}

/// Upper-cases the character whose lead byte `text` begins with, if that fits in its place;
/// otherwise returns its upper case and the character's width.
#[inline]
fn character(text: &mut [u8]) -> Option<(&'static Misfit, usize)> {
    if let [first @ 0xC0..=0xDF, last @ 0x80..=0xBF, ..] = text {
        let [flip_first, flip_last] = *PAIRS.get(bits(*first, 0x1F) << 6 | bits(*last, 0x3F))?;
        if flip_first == PAIR_MISFIT {
            return Some((MISFITS.get(usize::from(flip_last))?, 2));
        }
        *first ^= flip_first;
        *last ^= flip_last;
        return None;
    }
    let row = Row::of(text)?;
    // The width also tells a row from that of an overlong form.
    let (before, last) = match (row.width, &mut *text) {
        (3, [0xE0..=0xEF, before @ 0x80..=0xBF, last @ 0x80..=0xBF, ..])
        | (4, [0xF0..=0xF7, 0x80..=0xBF, before @ 0x80..=0xBF, last @ 0x80..=0xBF, ..]) => {
            (before, last)
        }
        _ => return None,
    };
    let low = bits(*last, 0x3F);
    let flip = |column: &[[u8; 16]; 4]| column.as_flattened().get(low).copied().unwrap_or(0);
    let (flip_last, flip_before) = (flip(&row.last), flip(&row.before));
    if flip_before & MISFIT != 0 {
        return Some((MISFITS.get(usize::from(flip_last))?, usize::from(row.width)));
    }
    *before ^= flip_before & !FIRST_TOO;
    *last ^= flip_last;
    if flip_before & FIRST_TOO != 0
        && let [first, ..] = text
    {
        *first ^= row.first;
    }
    None
}

/// The flip of the first byte in [`PAIRS`] that means what [`MISFIT`] does in rows: no upper case
/// flips all bits of a lead byte.
const PAIR_MISFIT: u8 = 0xFF;
/// What flips in both bytes of each character that has two, by scalar: the rows at a glance.
static PAIRS: [[u8; 2]; 0x800] = pairs();

#[allow(clippy::indexing_slicing, reason = "at compile time, where a panic fails the build")]
const fn pairs() -> [[u8; 2]; 0x800] {
    let mut pairs = [[0; 2]; 0x800];
    let mut rows: &[Row] = &ROWS;
    while let [row, rest @ ..] = rows {
        let mut low = 0;
        while row.width == 2 && low < 64 {
            let (before, last) = (row.before[low / 16][low % 16], row.last[low / 16][low % 16]);
            let first = if before & FIRST_TOO != 0 { row.first } else { 0 };
            let scalar = (row.prefix[0] as usize & 0x1F) << 6 | low;
            let flip = if before & MISFIT != 0 { PAIR_MISFIT } else { before & !FIRST_TOO ^ first };
            pairs[scalar] = [flip, last];
            low += 1;
        }
        rows = rest;
    }
    pairs
}
