//! Ranges of bytes (RFC 9110, section 14): one is sent, several are answered as the whole.

/// What a Range field asks for, of something with a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: there is no such field, or it is not understood, or asks for several.
    Whole,
    /// These bytes, first and last, which exist.
    Part(u64, u64),
    /// Bytes that do not exist (416).
    Beyond,
}

/// Reads a Range field for something of `length` bytes.
pub(super) fn wanted(field: &str, length: u64) -> Wanted {
    let Some((unit, ranges)) = field.split_once('=') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || ranges.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = ranges.trim().split_once('-') else { return Wanted::Whole };
    let end = length.saturating_sub(1);
    match (number(first), number(last)) {
        // The last bytes, as many as there are.
        (None, Some(0)) if first.is_empty() => Wanted::Beyond,
        (None, Some(_)) if first.is_empty() && length == 0 => Wanted::Beyond,
        (None, Some(count)) if first.is_empty() => Wanted::Part(length.saturating_sub(count), end),
        (Some(first), Some(last)) if first > last => Wanted::Whole,
        (Some(first), Some(_)) if first >= length => Wanted::Beyond,
        (Some(first), Some(last)) => Wanted::Part(first, last.min(end)),
        (Some(first), None) if last.is_empty() && first >= length => Wanted::Beyond,
        (Some(first), None) if last.is_empty() => Wanted::Part(first, end),
        _ => Wanted::Whole,
    }
}

/// Digits alone; more than fit are as good as the largest number.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_rfc() {
        let check = |field: &str, length, expected| {
            assert_eq!(wanted(field, length), expected, "{field} of {length}");
        };
        check("bytes=0-499", 10_000, Wanted::Part(0, 499));
        check("bytes=9500-9999", 10_000, Wanted::Part(9500, 9999));
        check("bytes=9500-", 10_000, Wanted::Part(9500, 9999));
        check("bytes=-500", 10_000, Wanted::Part(9500, 9999));
        check("bytes=0-0", 10_000, Wanted::Part(0, 0));
        check("bytes=-1", 10_000, Wanted::Part(9999, 9999));
        check("Bytes = 0-1", 10_000, Wanted::Part(0, 1));
        // More than there is.
        check("bytes=0-99999", 10_000, Wanted::Part(0, 9999));
        check("bytes=-99999", 10_000, Wanted::Part(0, 9999));
        check("bytes=0-99999999999999999999999", 10_000, Wanted::Part(0, 9999));
        // Nothing of it.
        check("bytes=10000-", 10_000, Wanted::Beyond);
        check("bytes=10000-10001", 10_000, Wanted::Beyond);
        check("bytes=99999999999999999999999-", 10_000, Wanted::Beyond);
        check("bytes=-0", 10_000, Wanted::Beyond);
        check("bytes=0-", 0, Wanted::Beyond);
        check("bytes=-1", 0, Wanted::Beyond);
        // Several, another unit, or no range at all.
        check("bytes=0-0,-1", 10_000, Wanted::Whole);
        check("items=0-5", 10_000, Wanted::Whole);
        check("bytes=5-4", 10_000, Wanted::Whole);
        for field in ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=+1-2", "bytes=1-2-3"] {
            check(field, 10_000, Wanted::Whole);
        }
    }
}
