//! Where UTF-8 sequences begin and end, broken ones included (Unicode 17, section 3.9, table 3-7).

/// The most bytes of an incomplete sequence.
pub(super) const INCOMPLETE_MAX: usize = 3;

/// Says how many bytes at the end of `text` begin a sequence that more bytes could complete:
/// 0 to 3.
#[inline]
pub(super) fn incomplete_len(text: &[u8]) -> usize {
    // Most text ends with a space or the end of a line.
    if text.last().is_none_or(u8::is_ascii) {
        return 0;
    }
    let tail = text.len().saturating_sub(INCOMPLETE_MAX);
    let tail = text.get(tail..).unwrap_or_default();
    // A lead byte is never part of another sequence: only the last one can be incomplete.
    let lead = tail.iter().rposition(|&byte| byte >= 0xC0);
    lead.and_then(|lead| tail.get(lead..)).filter(|tail| is_incomplete(tail)).map_or(0, <[u8]>::len)
}

/// Whether `text` is the beginning of a well-formed sequence, but not all of it.
pub(super) fn is_incomplete(text: &[u8]) -> bool {
    match *text {
        [0xC2..=0xF4] => true,
        [0xE0, b] => matches!(b, 0xA0..=0xBF),
        [0xED, b] => matches!(b, 0x80..=0x9F),
        [0xE1..=0xEF, b] => is_continuation(b),
        [0xF0, b] => matches!(b, 0x90..=0xBF),
        [0xF4, b] => matches!(b, 0x80..=0x8F),
        [0xF1..=0xF3, b] => is_continuation(b),
        [0xF0..=0xF4, _, c] => text.get(..2).is_some_and(is_incomplete) && is_continuation(c),
        _ => false,
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// Reads the character that `text` begins with, if that is one; and its length in bytes.
pub(super) fn character(text: &[u8]) -> Option<(char, usize)> {
    let width = match *text.first()? {
        ..=0x7F => 1,
        0x80..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0.. => 4,
    };
    let c = str::from_utf8(text.get(..width)?).ok()?.chars().next()?;
    Some((c, width))
}
