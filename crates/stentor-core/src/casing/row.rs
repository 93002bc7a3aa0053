//! How upper case is stored: by rows of 64 characters that share all bytes but the last, and in
//! each row the bits that change. What is in the rows is generated, in `table.rs`.
//!
//! Nothing here checks that text is valid UTF-8, and nothing needs to: the code is
//! self-synchronizing (RFC 3629, section 1), so the bytes of a character with case stand for that
//! character wherever they occur, and everything else passes unchanged whatever it is.

use super::table::{PAGES, ROWS};

/// In [`Row::before`]: the upper case does not fit the character's place (mostly because it
/// has another length): the characters before it are done, this one is left to the caller.
pub(super) const STOP: u8 = 0x80;
/// In [`Row::before`]: [`Row::first`] applies to this character.
pub(super) const FIRST_TOO: u8 = 0x40;

/// 64 characters, at least one of which changes. All changes are bits to flip (exclusive or).
#[derive(Debug)]
pub(super) struct Row {
    /// How many bytes each character has: 2 to 4.
    pub(super) width: u8,
    /// What all begin with, backwards: the byte before the last comes first. Of the three bytes
    /// `width - 1` count.
    pub(super) prefix: [u8; 3],
    /// Flips in the first byte, in those characters that say [`FIRST_TOO`]: such as ß, whose two
    /// bytes become "SS". Only in rows of width 2 and 3.
    pub(super) first: u8,
    /// Flips in the last byte, by its lower six bits: four quarters of 16.
    pub(super) last: [[u8; 16]; 4],
    /// Flips in the byte before it. They never reach the upper two bits, which mark [`STOP`] and
    /// [`FIRST_TOO`].
    pub(super) before: [[u8; 16]; 4],
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

    /// Whether `character` begins as this row's do and ends with a continuation byte.
    fn holds(&self, character: &[u8]) -> bool {
        let mut backwards = character.iter().rev();
        let ends = backwards.next().is_some_and(|last| last & 0xC0 == 0x80);
        ends && backwards.zip(&self.prefix).all(|(byte, prefix)| byte == prefix)
    }
}

fn bits(byte: u8, mask: u8) -> usize {
    usize::from(byte & mask)
}

/// Upper-cases `text` in place up to the first character whose upper case does not fit there, and
/// returns where that begins: the length of `text` if there is none. Nothing beyond is touched.
pub(super) fn in_place(text: &mut [u8]) -> usize {
    let mut at = 0;
    while let Some(rest) = text.get_mut(at..)
        && let Some(first) = rest.first()
    {
        at += match first {
            ..=0x7F => ascii(rest),
            // The rest of a character that has no case, or of none.
            0x80..=0xBF => 1,
            0xC0.. => match character(rest) {
                Some(len) => len,
                None => return at,
            },
        };
    }
    at
}

/// Upper-cases the ASCII that `text` begins with, and returns its length.
fn ascii(text: &mut [u8]) -> usize {
    // Blocks are what the compiler turns into vectors, of whatever width the machine has.
    const BLOCK: usize = 32;
    let mut done = 0;
    let (blocks, _) = text.as_chunks_mut::<BLOCK>();
    for block in blocks.iter_mut().take_while(|block| block.is_ascii()) {
        block.make_ascii_uppercase();
        done += BLOCK;
    }
    for byte in text.iter_mut().skip(done).take_while(|byte| byte.is_ascii()) {
        byte.make_ascii_uppercase();
        done += 1;
    }
    done
}

/// Upper-cases the character whose lead byte `text` begins with, and returns its length in bytes;
/// 1 if it has no case or is none. `None`: its upper case does not fit.
fn character(text: &mut [u8]) -> Option<usize> {
    let row = Row::of(text);
    let character = row.and_then(|row| text.get_mut(..usize::from(row.width)));
    let (Some(row), Some(character)) = (row, character) else { return Some(1) };
    if !row.holds(character) {
        return Some(1);
    }
    let [.., before, last] = character else { return Some(1) };
    let low = usize::from(*last & 0x3F);
    let flip = |column: &[[u8; 16]; 4]| column.as_flattened().get(low).copied().unwrap_or(0);
    let (flip_last, flip_before) = (flip(&row.last), flip(&row.before));
    if flip_before & STOP != 0 {
        return None;
    }
    *before ^= flip_before & !FIRST_TOO;
    *last ^= flip_last;
    if flip_before & FIRST_TOO != 0
        && let [first, ..] = character
    {
        *first ^= row.first;
    }
    Some(usize::from(row.width))
}
