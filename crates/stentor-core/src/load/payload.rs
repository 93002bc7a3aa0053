//! What is sent: fixed bytes, a template, or letters; and what each reply must be.

use thiserror::Error;

use crate::moment::Moment;
use crate::seed::Seed;

use super::framing::Framing;
use super::verify::Verify;

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

/// Makes requests and judges replies.
#[derive(Clone, Debug)]
pub struct Payload {
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
        let _ = (source, framing, verify, under_way, seed);
        Ok(Payload { matching: Matching::InOrder })
    }

    /// How a reply is told from others.
    pub fn matching(&self) -> Matching {
        self.matching
    }

    /// Appends the request `number`, without frame, to `out`.
    pub fn write(&self, number: u64, now: Moment, out: &mut Vec<u8>) {
        let _ = (number, now, out);
    }

    /// Whether `reply` is right for the request `number` sent at `sent`.
    pub fn is_right(&self, number: u64, sent: Moment, reply: &[u8]) -> bool {
        let _ = (number, sent, reply);
        false
    }
}
