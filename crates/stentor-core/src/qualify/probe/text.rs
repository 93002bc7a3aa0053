//! What probes say: text whose every byte is known, as it was sent and in capitals.

use std::cmp::Ordering;

use crate::seed::{Dice, Seed};

/// The shortest datagram: its head, with the tag of the run and the number.
pub const LENGTH_MIN: usize = 36;
/// Where the number stands: ten digits, which no service changes.
const DIGITS: std::ops::Range<usize> = 25..35;
/// What stands before it: `stentor qualify 0123abcd `.
const HEAD: usize = 25;

/// How a service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The same bytes.
    Echo,
    /// The same in capitals.
    Upper,
}

/// What a datagram that came is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The right answer to the probe of this number.
    Right(u64, Form),
    /// The beginning of a right answer: a service such as `half` gave no more.
    Cut,
    /// One of ours, but with other bytes than were sent.
    Corrupted,
    /// Nothing that was asked for in this run.
    Stranger,
}

/// The datagrams of a run.
#[derive(Clone, Debug)]
pub struct Text {
    tag: u32,
}

impl Text {
    /// Texts that tell this run from others, by `seed`.
    pub fn new(seed: Seed) -> Text {
        let tag = Dice::new(seed, "qualify").below(1 << 32);
        Text { tag: u32::try_from(tag).unwrap_or_default() }
    }

    /// The datagram of a number, of `length` bytes (at least [`LENGTH_MIN`]).
    pub fn write(&self, number: u64, length: usize) -> Vec<u8> {
        let mut bytes = format!("stentor qualify {:08x} {number:010} ", self.tag).into_bytes();
        // Letters that depend on the number, so that no part of one passes for that of another.
        let letters = (b'a'..=b'z').cycle().skip(usize::try_from(number % 26).unwrap_or(0));
        let missing = length.saturating_sub(bytes.len());
        bytes.extend(letters.take(missing));
        bytes
    }

    /// What a datagram is that came where answers of `length` bytes are due.
    pub fn read(&self, bytes: &[u8], length: usize) -> Answer {
        let digits = bytes.get(DIGITS).and_then(|digits| std::str::from_utf8(digits).ok());
        let number = digits.and_then(|digits| digits.parse().ok());
        let right = self.write(number.unwrap_or(0), length);
        // A part that is too short for a number is judged by what stands before it.
        let judged = if number.is_some() { bytes.len() } else { bytes.len().min(HEAD) };
        let (Some(judged), Some(expected)) = (bytes.get(..judged), right.get(..judged)) else {
            return Answer::Corrupted;
        };
        let form = match judged {
            same if same == expected => Some(Form::Echo),
            upper if *upper == expected.to_ascii_uppercase() => Some(Form::Upper),
            _ => None,
        };
        match (form, number, bytes.len().cmp(&length)) {
            (Some(form), Some(number), Ordering::Equal) => Answer::Right(number, form),
            (Some(_), _, Ordering::Less) if !bytes.is_empty() => Answer::Cut,
            _ if is_ours(bytes, &right) => Answer::Corrupted,
            _ => Answer::Stranger,
        }
    }
}

/// Whether most bytes are those of ours, in whatever case: a few flipped bits change few.
fn is_ours(bytes: &[u8], right: &[u8]) -> bool {
    let same = bytes.iter().zip(right).filter(|(one, other)| one.eq_ignore_ascii_case(other));
    same.count() * 2 > bytes.len().max(HEAD)
}

/// Letters of the stream before they repeat: a prime, so that no round number of lost or doubled
/// bytes goes unnoticed.
const PERIOD: usize = 65_521;
/// Bytes of a line, its line feed included: for services that wait for one.
const LINE: u64 = 64;

/// The bytes of a stream, by their position.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Twice the period, so that any stretch of up to a period lies in one piece.
    lower: Vec<u8>,
    upper: Vec<u8>,
}

/// A byte of an answer that is not what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Its position in the stream.
    pub at: u64,
}

impl Stream {
    /// The letters that follow from `seed`.
    pub fn new(seed: Seed) -> Stream {
        let mut dice = Dice::new(seed, "qualify/stream");
        let mut letter = || b'a' + u8::try_from(dice.below(26)).unwrap_or(0);
        let once: Vec<u8> = (0..PERIOD).map(|_| letter()).collect();
        let lower = [once.as_slice(), once.as_slice()].concat();
        let upper = lower.to_ascii_uppercase();
        Stream { lower, upper }
    }

    /// At most `length` bytes from a position on: a line's letters, or its line feed.
    pub fn piece(&self, position: u64, length: usize) -> &[u8] {
        Stream::stretch(&self.lower, position, length)
    }

    /// Every 64th byte is a line feed; the others are letters.
    fn stretch(letters: &[u8], position: u64, length: usize) -> &[u8] {
        let in_line = position % LINE;
        if in_line == LINE - 1 {
            return b"\n".get(..length.min(1)).unwrap_or_default();
        }
        let left = usize::try_from(LINE - 1 - in_line).unwrap_or(0);
        let from = usize::try_from(position % PERIOD as u64).unwrap_or(0);
        letters.get(from..from + length.min(left)).unwrap_or_default()
    }

    /// Writes `length` bytes from a position on.
    pub fn write(&self, position: u64, length: usize, into: &mut Vec<u8>) {
        let end = into.len() + length;
        let mut position = position;
        while into.len() < end {
            let piece = self.piece(position, end - into.len());
            into.extend_from_slice(piece);
            position += piece.len() as u64;
        }
    }

    /// Compares an answer from a position on; `form` is set by the first letter that tells.
    ///
    /// # Errors
    /// The first byte that is neither what was sent nor, if the answer is in capitals, its capital.
    pub fn verify(
        &self,
        mut position: u64,
        mut bytes: &[u8],
        form: &mut Option<Form>,
    ) -> Result<(), Wrong> {
        while let Some(first) = bytes.first() {
            let upper = form.map_or(first.is_ascii_uppercase(), |form| form == Form::Upper);
            let letters = if upper { &self.upper } else { &self.lower };
            let expected = Stream::stretch(letters, position, bytes.len());
            let (now, later) = bytes.split_at(expected.len().min(bytes.len()));
            if let Some(at) = now.iter().zip(expected).position(|(came, right)| came != right) {
                return Err(Wrong { at: position + at as u64 });
            }
            if form.is_none() && first.is_ascii_alphabetic() {
                *form = Some(if upper { Form::Upper } else { Form::Echo });
            }
            position += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let text = Text::new(Seed(7));
        let sent = text.write(42, 64);
        let check = |bytes: &[u8], expected: Answer| {
            assert_eq!(text.read(bytes, 64), expected, "{}", String::from_utf8_lossy(bytes));
        };
        check(&sent, Answer::Right(42, Form::Echo));
        check(&sent.to_ascii_uppercase(), Answer::Right(42, Form::Upper));
        check(&sent[..32], Answer::Cut);
        check(&sent[..50].to_ascii_uppercase(), Answer::Cut);
        check(&[&sent[..], b"a"].concat(), Answer::Corrupted);
        check(&text.write(43, 65), Answer::Corrupted);
        check(b"", Answer::Stranger);
        check(b"HELLO", Answer::Stranger);
        check(&[b'x'; 64], Answer::Stranger);
        check(&Text::new(Seed(8)).write(42, 64).split_off(16), Answer::Stranger);
    }

    #[test]
    fn no_flipped_bit_passes() {
        let text = Text::new(Seed(1));
        for bit in 0..64 * 8 {
            for capitals in [false, true] {
                let mut bytes = text.write(7, 64);
                if capitals {
                    bytes.make_ascii_uppercase();
                }
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(text.read(&bytes, 64), Answer::Corrupted, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_stream_is_verified_wherever_it_is_cut() {
        let stream = Stream::new(Seed(3));
        let mut sent = Vec::new();
        stream.write(0, 200_000, &mut sent);
        assert!(sent.is_ascii() && sent[63] == b'\n' && sent[127] == b'\n');
        let mut dice = Dice::new(Seed(3), "cuts");
        for capitals in [false, true] {
            let mut came = sent.clone();
            if capitals {
                came.make_ascii_uppercase();
            }
            let (mut at, mut form) = (0, None);
            while at < came.len() {
                let more = usize::try_from(1 + dice.below(3000)).unwrap();
                let end = (at + more).min(came.len());
                stream.verify(at as u64, &came[at..end], &mut form).unwrap();
                at = end;
            }
            assert_eq!(form, Some(if capitals { Form::Upper } else { Form::Echo }));
            let struck = usize::try_from(dice.below(came.len() as u64)).unwrap();
            came[struck] ^= 0x20;
            let wrong = stream.verify(0, &came, &mut form).unwrap_err();
            assert_eq!(wrong.at, struck as u64);
        }
    }

    #[test]
    fn a_stream_that_lost_a_block_is_wrong() {
        let stream = Stream::new(Seed(3));
        let mut sent = Vec::new();
        stream.write(0, 300_000, &mut sent);
        for lost in [1, 64, 1460, 4096, 65_536] {
            let came = [&sent[..10_000], &sent[10_000 + lost..]].concat();
            assert!(stream.verify(0, &came, &mut None).is_err(), "{lost}");
        }
    }
}
