//! The lines of a playlist and their attributes, with their places (RFC 8216, 4.1 and 4.2).

use crate::manifest::Place;

/// A line that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manifest) struct Line<'a> {
    pub(in crate::manifest) number: usize,
    pub(in crate::manifest) what: What<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manifest) enum What<'a> {
    /// `#EXT...`: the name without `#`, and what follows the colon.
    Tag { name: &'a str, value: &'a str },
    /// Any other line beginning with `#`.
    Comment,
    /// A reference.
    Uri(&'a str),
}

impl Line<'_> {
    /// The place of a character of the tag's value, by its offset in bytes.
    pub(in crate::manifest) fn place(&self, offset: usize) -> Place {
        let column = match self.what {
            // `#`, the name and the colon come before; the rest counts in characters.
            What::Tag { name, value } => {
                let before = value.get(..offset).unwrap_or(value);
                name.len() + 3 + before.chars().count()
            }
            What::Comment | What::Uri(_) => 1,
        };
        Place::new(self.number, column)
    }

    /// The place of its beginning.
    pub(in crate::manifest) fn begin(&self) -> Place {
        Place::new(self.number, 1)
    }
}

/// The lines of a playlist; empty ones are passed over.
pub(in crate::manifest) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim_end()));
    numbered.filter(|(_, line)| !line.is_empty()).map(|(number, line)| {
        let what = match line.strip_prefix('#') {
            None => What::Uri(line),
            Some(tag) if tag.starts_with("EXT") => {
                let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
                What::Tag { name, value }
            }
            Some(_) => What::Comment,
        };
        Line { number, what }
    })
}

/// An attribute of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manifest) struct Attribute<'a> {
    pub(in crate::manifest) name: &'a str,
    /// Without its quotes.
    pub(in crate::manifest) value: &'a str,
    pub(in crate::manifest) quoted: bool,
    /// Where its name begins in the tag's value, in bytes.
    pub(in crate::manifest) offset: usize,
}

/// Why an attribute list is none, and where in the tag's value, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::manifest) struct Malformed {
    pub(in crate::manifest) offset: usize,
    pub(in crate::manifest) wanted: &'static str,
}

/// The attributes of a tag's value: `NAME=value,NAME="value"`.
pub(in crate::manifest) fn attributes(value: &str) -> Result<Vec<Attribute<'_>>, Malformed> {
    let mut found = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let offset = value.len() - rest.len();
        let (name, after) = rest
            .split_once('=')
            .ok_or(Malformed { offset, wanted: "an attribute is NAME=value" })?;
        let sound = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || !name.bytes().all(sound) {
            let wanted = "the name of an attribute has the characters A-Z, 0-9 and -";
            return Err(Malformed { offset, wanted });
        }
        let (content, quoted, after) = match after.strip_prefix('"') {
            Some(inner) => {
                let wanted = "a quoted string ends with a quote";
                let (content, after) = inner.split_once('"').ok_or(Malformed { offset, wanted })?;
                (content, true, after)
            }
            None => {
                let end = after.find(',').unwrap_or(after.len());
                let (content, after) = after.split_at(end);
                (content, false, after)
            }
        };
        if !quoted && (content.is_empty() || content.contains(['"', ' '])) {
            let wanted = "an unquoted value is not empty and has neither quotes nor spaces";
            return Err(Malformed { offset, wanted });
        }
        found.push(Attribute { name, value: content, quoted, offset });
        rest = match after.strip_prefix(',') {
            Some("") => {
                let offset = value.len() - 1;
                return Err(Malformed { offset, wanted: "an attribute follows a comma" });
            }
            Some(more) => more,
            None if after.is_empty() => after,
            None => {
                let offset = value.len() - after.len();
                return Err(Malformed { offset, wanted: "a comma stands between attributes" });
            }
        };
    }
    Ok(found)
}

/// A decimal integer of at most 20 digits (RFC 8216, 4.2).
pub(in crate::manifest) fn integer(written: &str) -> Option<u64> {
    let digits = !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit());
    written.parse().ok().filter(|_| digits)
}

/// Seconds with a fraction, as nanoseconds; digits after the ninth are dropped.
pub(in crate::manifest) fn nanoseconds(written: &str) -> Option<u64> {
    let (whole, fraction) = written.split_once('.').unwrap_or((written, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let nine: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nine.parse().ok()?)
}

/// `LENGTH` or `LENGTH@OFFSET`.
pub(in crate::manifest) fn byte_range(written: &str) -> Option<(u64, Option<u64>)> {
    let (length, offset) = match written.split_once('@') {
        Some((length, offset)) => (length, Some(integer(offset)?)),
        None => (written, None),
    };
    let length = integer(length).filter(|length| *length > 0)?;
    offset.unwrap_or(0).checked_add(length)?;
    Some((length, offset))
}

/// `WIDTHxHEIGHT`.
pub(in crate::manifest) fn resolution(written: &str) -> Option<(u32, u32)> {
    let (width, height) = written.split_once('x')?;
    let side = |written| u32::try_from(integer(written)?).ok();
    Some((side(width)?, side(height)?))
}
