//! Upper-casing of a stream of bytes, whatever its segmentation.
//!
//! Upper case needs no context: each character has its own, so a stream can be answered as it
//! arrives, and only a character cut in two must wait for its rest. Bytes that are not UTF-8 pass
//! unchanged. ASCII is written over its letters; anything else goes to a second buffer, because
//! some upper case is longer or shorter than its letter. What is upper case is in `row.rs`;
//! `vector.rs` and `avx512.rs` do the same faster. Reading and writing is left to the drivers.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod row;
mod sequence;
mod table;
#[cfg(test)]
mod tests;
mod vector;

pub use table::UNICODE_VERSION;

/// An answer in place is lent from this many bytes on; a shorter one is worth copying, because
/// each answer costs the caller a system call.
const IN_PLACE_MIN: usize = 16 * 1024;
/// How many bytes of input go through the second buffer at once.
pub const SPILL_TAKEN_MAX: usize = 64 * 1024;

/// Which letters have capitals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// Every character that Unicode gives an upper case, as `str::to_uppercase`.
    #[default]
    Unicode,
    /// Only `a` to `z`.
    Ascii,
}

/// A streaming upper-caser: holds back at most 3 bytes of an incomplete UTF-8 sequence.
///
/// The answers to all inputs together are the same however the stream was cut: of each chunk that
/// `[u8]::utf8_chunks` finds in the whole, `str::to_uppercase` of the valid part, and the invalid
/// part as it was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upper {
    case: Case,
    held: [u8; sequence::INCOMPLETE_MAX],
    held_len: u8,
}

impl Upper {
    /// Starts a stream.
    pub fn new(case: Case) -> Upper {
        Upper { case, ..Upper::default() }
    }

    /// Takes a prefix of `input` (all of it if that is short) and lends its answer.
    ///
    /// The answer to ASCII is written in place and borrows from `input`. Any other borrows from
    /// `spill`, which is cleared first. Returns how many bytes of `input` were taken (at least one
    /// unless it is empty; those beyond are untouched) and the answer, of at most 3 bytes for each
    /// taken or held. It may be empty: then all is held.
    // Inlined always: the service calls it for each short request.
    #[inline(always)]
    pub fn feed<'a>(&mut self, input: &'a mut [u8], spill: &'a mut Vec<u8>) -> (usize, &'a [u8]) {
        spill.clear();
        if self.case == Case::Ascii {
            input.make_ascii_uppercase();
            return (input.len(), input);
        }
        if self.held_len > 0 {
            let done = self.complete(input, spill);
            let taken = if self.held_len > 0 { done } else { self.move_on(input, done, spill) };
            return (taken, spill);
        }
        let whole = input.len() - sequence::incomplete_len(input);
        let done = vector::ascii_in_place(input.get_mut(..whole).unwrap_or_default());
        if done == input.len() {
            (done, input)
        } else if done == whole {
            self.hold(input.get(whole..).unwrap_or_default());
            (input.len(), input.get(..whole).unwrap_or_default())
        } else if done >= IN_PLACE_MIN {
            (done, input.get(..done).unwrap_or_default())
        } else {
            spill.extend_from_slice(input.get(..done).unwrap_or_default());
            (self.move_on(input, done, spill), spill)
        }
    }

    /// Ends the stream: lends the bytes still held back, which no rest completed.
    pub fn finish(&mut self) -> &[u8] {
        let held = usize::from(std::mem::take(&mut self.held_len));
        self.held.get(..held).unwrap_or_default()
    }

    /// Adds bytes of `input` to those held, until they are a character or can be none any more;
    /// then answers them in `spill`. Returns how many bytes it took.
    fn complete(&mut self, input: &[u8], spill: &mut Vec<u8>) -> usize {
        for (taken, &byte) in input.iter().enumerate() {
            let [a, b, c] = self.held;
            let mut joined = [a, b, c, 0];
            let held = usize::from(self.held_len);
            if let Some(place) = joined.get_mut(held) {
                *place = byte;
            }
            let joined = joined.get(..=held).unwrap_or_default();
            if sequence::is_incomplete(joined) {
                self.hold(joined);
                continue;
            }
            if let Some((c, _)) = sequence::character(joined) {
                self.held_len = 0;
                push_upper(c, spill);
                return taken + 1;
            }
            spill.extend_from_slice(self.finish());
            return taken;
        }
        input.len()
    }

    /// Answers `input` from `done` on in `spill`, as far as that goes at once. Returns up to where
    /// `input` is taken now.
    fn move_on(&mut self, input: &mut [u8], done: usize, spill: &mut Vec<u8>) -> usize {
        let len = input.len();
        let limit = len.min(SPILL_TAKEN_MAX);
        let rest = input.get_mut(done..limit).unwrap_or_default();
        let incomplete = sequence::incomplete_len(rest);
        let (rest, tail) = rest.split_at_mut(rest.len() - incomplete);
        vector::append(rest, spill);
        if limit < len {
            return limit - incomplete;
        }
        self.hold(tail);
        limit
    }

    fn hold(&mut self, incomplete: &[u8]) {
        for (place, &byte) in self.held.iter_mut().zip(incomplete) {
            *place = byte;
        }
        // At most 3, by `sequence::is_incomplete`.
        self.held_len = u8::try_from(incomplete.len()).unwrap_or(0);
    }
}

fn push_upper(c: char, answer: &mut Vec<u8>) {
    let mut utf8 = [0; 4];
    c.to_uppercase().for_each(|c| answer.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes()));
}

/// Upper-cases a whole message, such as a datagram.
pub fn upper(case: Case, text: &[u8]) -> Vec<u8> {
    let mut upper = Upper::new(case);
    let (mut rest, mut spill) = (text.to_vec(), Vec::new());
    let mut answer = Vec::with_capacity(text.len());
    let mut rest = rest.as_mut_slice();
    while !rest.is_empty() {
        let (taken, part) = upper.feed(rest, &mut spill);
        answer.extend_from_slice(part);
        rest = rest.get_mut(taken..).unwrap_or_default();
    }
    answer.extend_from_slice(upper.finish());
    answer
}
