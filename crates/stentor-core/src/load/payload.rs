//! What is sent: fixed bytes, a template, or letters; and what each reply must be.
//!
//! A payload is a row of pieces, and of each piece both the request and the right reply are made
//! once. Letters of a request are cut out of one block, at a place that its number tells: so no
//! request costs luck or casing, replies to different requests differ, and the hot path is a
//! comparison of memory.

mod template;
#[cfg(test)]
mod tests;

use std::ops::Range;

use thiserror::Error;

use super::framing::Framing;
use super::verify::Verify;
use crate::casing::{self, Case};
use crate::moment::Moment;
use crate::seed::{Dice, Seed};

/// The most digits of the number that begins a datagram of letters.
const NUMBER_DIGITS: usize = 12;

/// How many bodies of letters differ: each begins at another place of one block.
const SPREAD: u64 = 4096;

/// What a person asked to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// These bytes, each time.
    Fixed(Vec<u8>),
    /// Text with placeholders: `{seq}` the number of the request, `{seq:N}` the same with at least
    /// `N` digits, `{random:N}` `N` lower-case letters, `{time}` nanoseconds since the run began;
    /// `{{` and `}}` are braces.
    Template(String),
    /// This many lower-case letters, others each time. As datagrams they begin with a number, if
    /// the length allows it.
    Letters(usize),
}

/// Why a payload cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// A template was not understood.
    #[error("the template, at byte {at}: {why}")]
    Template {
        /// Where, counted from 0.
        at: usize,
        /// What is wrong, and what would do.
        why: String,
    },
    /// A line would be two.
    #[error("the payload has a line feed at byte {at}, and --framing line ends a request there")]
    LineFeed {
        /// Where, counted from 0.
        at: usize,
    },
    /// Nothing would be sent, and a reply could not be waited for.
    #[error("the payload is empty, and this framing sends nothing else")]
    Empty,
    /// The framing has no room for it.
    #[error("a payload of {bytes} bytes, and this framing carries at most {max_bytes}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most that goes.
        max_bytes: usize,
    },
}

/// How the reply to a datagram is told from the replies to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// By its place: streams, on which replies come in order.
    InOrder,
    /// By the number in it: datagrams.
    ByNumber,
    /// By order, although datagrams keep none: the payload has no number that the reply shows. A
    /// reply is taken for that to the oldest request, so one loss shifts the latencies of those
    /// after it, and duplicates and reordering cannot be told. A report must say so.
    ByGuess,
}

/// Which request: everything that its payload depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The lane's index.
    pub lane: u64,
    /// The number of the request on its lane.
    pub number: u64,
    /// When it was sent.
    pub sent: Moment,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    /// Always the same: what is sent, and what is right.
    Literal { said: Vec<u8>, right: Vec<u8> },
    /// The number in decimal digits, at least so many.
    Number { digits_min: usize },
    /// The number's last digits, exactly so many.
    NumberEnd { digits: usize },
    /// Lower-case letters.
    Letters { len: usize },
    /// When it was sent, in nanoseconds.
    Time,
}

/// Where a reply shows the number, and how many digits it has; `None`: until they end.
#[derive(Clone, Copy, Debug)]
struct NumberPlace {
    at: usize,
    digits: Option<usize>,
}

/// Makes requests and judges replies.
#[derive(Clone, Debug)]
pub struct Payload {
    pieces: Vec<Piece>,
    letters: Vec<u8>,
    letters_right: Vec<u8>,
    verify: Verify,
    place: Option<NumberPlace>,
    matching: Matching,
}

impl Payload {
    /// Prepares `source` for `framing`, and what `verify` expects of replies. Letters are the
    /// luck of `seed`. `under_way` is how many datagrams may be under way at once: the number in
    /// a payload needs digits enough to tell twice as many apart.
    ///
    /// # Errors
    /// If a template is not understood, a line has a line feed, or the framing has no room.
    pub fn new(
        source: &Source,
        framing: &Framing,
        verify: &Verify,
        under_way: usize,
        seed: Seed,
    ) -> Result<Payload, PayloadError> {
        let is_datagram = matches!(framing, Framing::Datagram);
        let mut pieces = match source {
            Source::Fixed(bytes) => vec![Piece::literal(bytes.clone())],
            Source::Template(text) => template::parse(text)?,
            Source::Letters(len) if is_datagram => {
                let digits = (*len).min(NUMBER_DIGITS);
                let number = Piece::NumberEnd { digits };
                let enough = power_of_ten(digits) >= (under_way as u64).saturating_mul(2);
                let letters = |len| Piece::Letters { len };
                if enough { vec![number, letters(len - digits)] } else { vec![letters(*len)] }
            }
            Source::Letters(len) => vec![Piece::Letters { len: *len }],
        };
        for piece in &mut pieces {
            if let (Piece::Literal { said, right }, Verify::Upper(case)) = (piece, verify) {
                *right = casing::upper(*case, said);
            }
        }
        check(&pieces, source, framing)?;
        let place = if is_datagram { number_place(&pieces) } else { None };
        let matching = match (is_datagram, place) {
            (false, _) => Matching::InOrder,
            (true, Some(_)) => Matching::ByNumber,
            (true, None) => Matching::ByGuess,
        };
        let longest = pieces.iter().map(Piece::letters).max().unwrap_or(0);
        let letters = block(longest, seed);
        let letters_right = match verify {
            Verify::Upper(_) => casing::upper(Case::Ascii, &letters),
            Verify::Echo | Verify::Pattern(_) | Verify::Off => letters.clone(),
        };
        Ok(Payload { pieces, letters, letters_right, verify: verify.clone(), place, matching })
    }

    /// How a reply is told from others.
    pub fn matching(&self) -> Matching {
        self.matching
    }

    /// Appends the request of `stamp`, without frame, to `out`.
    pub fn write(&self, stamp: Stamp, out: &mut Vec<u8>) {
        self.walk(stamp, false, |part| {
            out.extend_from_slice(part);
            true
        });
    }

    /// Whether `reply` is right for the request of `stamp`.
    pub fn is_right(&self, stamp: Stamp, reply: &[u8]) -> bool {
        match &self.verify {
            Verify::Off => true,
            Verify::Pattern(pattern) => pattern.is_in(reply),
            Verify::Upper(_) | Verify::Echo => {
                let mut rest = reply;
                let begins = self.walk(stamp, true, |part| match rest.strip_prefix(part) {
                    Some(after) => {
                        rest = after;
                        true
                    }
                    None => false,
                });
                begins && rest.is_empty()
            }
        }
    }

    /// The right reply to the request of `stamp`; `None` if it is not known byte for byte.
    pub(super) fn right(&self, stamp: Stamp) -> Option<Vec<u8>> {
        let mut right = Vec::new();
        self.is_exact().then(|| {
            self.walk(stamp, true, |part| {
                right.extend_from_slice(part);
                true
            })
        })?;
        Some(right)
    }

    /// Whether requests as datagrams carry a number.
    pub(super) fn is_numbered(&self) -> bool {
        self.place.is_some()
    }

    /// Whether a right reply is known byte for byte.
    pub(super) fn is_exact(&self) -> bool {
        matches!(self.verify, Verify::Upper(_) | Verify::Echo)
    }

    /// In how many bytes `reply` differs from the right one, lengths included.
    pub(super) fn differences(&self, stamp: Stamp, reply: &[u8]) -> usize {
        let (mut differences, mut at) = (0, 0);
        self.walk(stamp, true, |part| {
            let come = reply.get(at..).unwrap_or_default();
            let come = come.get(..part.len()).unwrap_or(come);
            differences += part.len() - come.len();
            differences += part.iter().zip(come).filter(|(one, other)| one != other).count();
            at += part.len();
            true
        });
        differences + reply.len().saturating_sub(at)
    }

    /// The number that `reply` shows, of a datagram; the last of those sent is `newest`.
    pub(super) fn number_in(&self, reply: &[u8], newest: u64) -> Option<u64> {
        let place = self.place?;
        let from = reply.get(place.at..)?;
        let end = from.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(from.len());
        let digits = from.get(..place.digits.unwrap_or(end))?;
        let mut shown = 0_u64;
        for digit in digits {
            let value = u64::from(digit.checked_sub(b'0').filter(|value| *value < 10)?);
            shown = shown.checked_mul(10)?.checked_add(value)?;
        }
        let Some(digits) = place.digits else {
            return (!digits.is_empty()).then_some(shown);
        };
        // The last digits only: the newest number that ends so (serial numbers, RFC 1982).
        let period = power_of_ten(digits);
        let back = (newest % period + period - shown) % period;
        newest.checked_sub(back)
    }

    /// Lends the parts of the request, or of its right reply, one after the other while `take`
    /// says yes. Returns whether it always did.
    fn walk(&self, stamp: Stamp, right: bool, mut take: impl FnMut(&[u8]) -> bool) -> bool {
        self.pieces.iter().zip(0_u64..).all(|(piece, index)| match piece {
            Piece::Literal { said, right: reply } => take(if right { reply } else { said }),
            Piece::Number { digits_min } => Decimal::new(stamp.number).lend(*digits_min, &mut take),
            Piece::NumberEnd { digits } => {
                let end = stamp.number % power_of_ten(*digits);
                Decimal::new(end).lend(*digits, &mut take)
            }
            Piece::Letters { len } => {
                let block = if right { &self.letters_right } else { &self.letters };
                take(block.get(cut(stamp, index, *len)).unwrap_or_default())
            }
            Piece::Time => Decimal::new(stamp.sent.as_nanos()).lend(1, &mut take),
        })
    }
}

impl Piece {
    fn literal(said: Vec<u8>) -> Piece {
        Piece::Literal { right: said.clone(), said }
    }

    fn letters(&self) -> usize {
        if let Piece::Letters { len } = self { *len } else { 0 }
    }

    /// The most bytes it takes in a request.
    fn len_max(&self) -> usize {
        match self {
            Piece::Literal { said, .. } => said.len(),
            Piece::Number { digits_min } => (*digits_min).max(Decimal::DIGITS),
            Piece::NumberEnd { digits } => *digits,
            Piece::Letters { len } => *len,
            Piece::Time => Decimal::DIGITS,
        }
    }
}

/// Whether the framing can carry the pieces.
fn check(pieces: &[Piece], source: &Source, framing: &Framing) -> Result<(), PayloadError> {
    let bytes = pieces.iter().fold(0_usize, |sum, piece| sum.saturating_add(piece.len_max()));
    let written = match source {
        Source::Fixed(bytes) => bytes.as_slice(),
        Source::Template(text) => text.as_bytes(),
        Source::Letters(_) => &[],
    };
    if *framing == Framing::Line
        && let Some(at) = memchr::memchr(b'\n', written)
    {
        return Err(PayloadError::LineFeed { at });
    }
    if matches!(framing, Framing::EndOfReply(_)) && bytes == 0 {
        return Err(PayloadError::Empty);
    }
    let max_bytes = framing.request_max();
    if bytes > max_bytes {
        return Err(PayloadError::TooLong { bytes, max_bytes });
    }
    Ok(())
}

/// The first number whose place in a right reply does not depend on the request, and whose end
/// can be seen.
fn number_place(pieces: &[Piece]) -> Option<NumberPlace> {
    let mut at = 0;
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal { right, .. } => at += right.len(),
            Piece::Letters { len } => at += len,
            Piece::NumberEnd { digits } => return Some(NumberPlace { at, digits: Some(*digits) }),
            Piece::Time => return None,
            Piece::Number { .. } => {
                let ends = match pieces.get(index + 1) {
                    None | Some(Piece::Letters { .. }) => true,
                    Some(Piece::Literal { right, .. }) => {
                        right.first().is_some_and(|byte| !byte.is_ascii_digit())
                    }
                    Some(Piece::Number { .. } | Piece::NumberEnd { .. } | Piece::Time) => false,
                };
                return ends.then_some(NumberPlace { at, digits: None });
            }
        }
    }
    None
}

/// Letters enough for bodies of `len` at any place.
fn block(len: usize, seed: Seed) -> Vec<u8> {
    let mut dice = Dice::new(seed, "load letters");
    let letter = |_| b'a' + u8::try_from(dice.below(26)).unwrap_or(0);
    if len == 0 {
        return Vec::new();
    }
    (0..len.saturating_add(usize::try_from(SPREAD).unwrap_or(0))).map(letter).collect()
}

/// Where in the block the letters of a piece are.
fn cut(stamp: Stamp, piece: u64, len: usize) -> Range<usize> {
    // The finalizer of MurmurHash3 (fmix64): neighbouring numbers begin far from each other.
    let mut mixed = stamp.number ^ (stamp.lane << 40) ^ (piece << 56);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    let from = usize::try_from((mixed ^ (mixed >> 33)) % SPREAD).unwrap_or(0);
    from..from + len
}

fn power_of_ten(digits: usize) -> u64 {
    u32::try_from(digits).ok().and_then(|digits| 10_u64.checked_pow(digits)).unwrap_or(u64::MAX)
}

/// A number in decimal digits, without allocation.
struct Decimal {
    digits: [u8; Decimal::DIGITS],
    from: usize,
}

impl Decimal {
    /// As many as the greatest number has.
    const DIGITS: usize = 20;

    fn new(mut number: u64) -> Decimal {
        let (mut digits, mut from) = ([b'0'; Decimal::DIGITS], Decimal::DIGITS);
        for (at, digit) in digits.iter_mut().enumerate().rev() {
            if number == 0 {
                break;
            }
            *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
            number /= 10;
            from = at;
        }
        Decimal { digits, from }
    }

    /// Lends at least `digits_min` digits, and at least one.
    fn lend(&self, digits_min: usize, take: &mut impl FnMut(&[u8]) -> bool) -> bool {
        let wanted = digits_min.max(1);
        let from = self.from.min(Decimal::DIGITS.saturating_sub(wanted));
        take(self.digits.get(from..).unwrap_or_default())
    }
}
