//! Bytes as hexadecimal digits in a JSON string, two for each byte, lower case.
//!
//! Not base64, which is a quarter shorter: digits can be read, searched for and counted by eye, and
//! `xxd -r -p` turns them back.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that stand in JSON as hexadecimal digits.
#[derive(Debug, Default)]
pub(super) struct Hex<'a>(pub(super) Cow<'a, [u8]>);

impl Hex<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_box(self) -> Box<[u8]> {
        self.0.into_owned().into_boxed_slice()
    }
}

impl<'a> From<&'a [u8]> for Hex<'a> {
    fn from(bytes: &'a [u8]) -> Hex<'a> {
        Hex(Cow::Borrowed(bytes))
    }
}

/// The two digits of every byte.
#[expect(clippy::indexing_slicing, reason = "in a constant, a wrong index does not compile")]
const DIGITS: [[u8; 2]; 256] = {
    let digits = *b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

/// The value of a digit; 16 for what is none.
#[expect(clippy::indexing_slicing, reason = "in a constant, a wrong index does not compile")]
const VALUES: [u8; 256] = {
    let mut values = [16; 256];
    let mut value = 0;
    while value < 16 {
        let digit = DIGITS[value as usize][1];
        values[digit as usize] = value;
        values[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    values
};

fn encode(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(2 * bytes.len());
    for byte in bytes {
        let [high, low] = DIGITS.get(usize::from(*byte)).copied().unwrap_or_default();
        text.extend_from_slice(&[high, low]);
    }
    // Digits are ASCII.
    String::from_utf8(text).unwrap_or_default()
}

/// The bytes; none if a digit is not one, or one is left over.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let value = |digit: u8| VALUES.get(usize::from(digit)).copied().unwrap_or(16);
    let (pairs, rest) = text.as_chunks::<2>();
    let mut bytes = Vec::with_capacity(pairs.len());
    let mut wrong = !rest.is_empty();
    for &[high, low] in pairs {
        let (high, low) = (value(high), value(low));
        wrong |= (high | low) > 15;
        bytes.push(high << 4 | low & 15);
    }
    (!wrong).then_some(bytes)
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("hexadecimal digits, two for each byte")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
                decode(text.as_bytes()).ok_or_else(|| {
                    E::custom("a string that is not hexadecimal digits, two for each byte")
                })
            }
        }
        deserializer.deserialize_str(Digits).map(|bytes| Hex(Cow::Owned(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_two_digits() {
        let all: Vec<u8> = (0..=255).collect();
        let text = encode(&all);
        assert!(text.starts_with("000102") && text.ends_with("fdfeff"));
        assert_eq!(decode(text.as_bytes()), Some(all.clone()));
        assert_eq!(decode(text.to_uppercase().as_bytes()), Some(all));
    }

    #[test]
    fn what_is_no_digit_is_refused() {
        for wrong in ["0", "0g", "g0", " 0", "000", "0x00", "é"] {
            assert_eq!(decode(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(decode(b""), Some(Vec::new()));
    }
}
