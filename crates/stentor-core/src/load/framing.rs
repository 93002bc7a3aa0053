//! Where a request ends and where a reply does, on a stream of bytes.
//!
//! What a reply must be is in [`super::verify`].

use memchr::memchr;
use regex_syntax::hir::{Look, LookSet};
use thiserror::Error;

use super::verify::{Pattern, PatternError};

/// How requests and replies are told apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Framing {
    /// Each ends with LF, which is not part of it. (A CR before it is.)
    Line,
    /// Before each stands its length in bytes, 16 bits, big endian.
    Length16,
    /// Before each stands its length in bytes, 32 bits, big endian.
    Length32,
    /// Each is a datagram.
    Datagram,
    /// Requests are sent as they are; a reply ends where the pattern first matches.
    EndOfReply(EndOfReply),
}

/// A pattern that says where a reply ends: at the end of its *shortest* match, so that nothing
/// depends on how the stream was cut. The whole reply with the match is lent.
#[derive(Clone, Debug, PartialEq)]
pub struct EndOfReply(Pattern);

impl EndOfReply {
    /// Reads a pattern in the syntax of the regex crate, on bytes.
    ///
    /// # Errors
    /// What the parser says; or that the pattern matches nothing at all (each reply would be
    /// empty), or looks beyond the end (`$`, `\z`, `\b`: what is there has not come yet).
    pub fn parse(written: &str) -> Result<EndOfReply, PatternError> {
        let pattern = Pattern::parse(written)?;
        let refused = |why: &str| PatternError { written: written.to_owned(), why: why.to_owned() };
        let syntax = regex_syntax::ParserBuilder::new().utf8(false).unicode(false).build();
        let mut syntax = syntax;
        let hir = syntax.parse(written).map_err(|error| refused(&error.to_string()))?;
        let properties = hir.properties();
        if properties.minimum_len().is_none_or(|shortest| shortest == 0) {
            return Err(refused(
                "it matches the empty string, so every reply would end before it begins; \
                 write what stands at the end, such as \\n",
            ));
        }
        let mut behind = LookSet::empty();
        for look in [Look::Start, Look::StartLF, Look::StartCRLF] {
            behind = behind.insert(look);
        }
        if properties.look_set().iter().any(|look| !behind.contains(look)) {
            return Err(refused(
                "$, \\z and \\b look at what follows, which may not have come yet; \
                 write the bytes that end a reply, such as \\r\\n",
            ));
        }
        Ok(EndOfReply(pattern))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Where the first reply of `bytes` ends; `None` if it does not yet. That no reply ends within
    /// the first `searched` bytes is known.
    fn find(&self, bytes: &[u8], searched: usize) -> Option<usize> {
        let regex = self.0.regex();
        let ends_within = |end: usize| regex.is_match(bytes.get(..end).unwrap_or(bytes));
        // An end, but not always the first: that depends on which engine the library chose.
        let mut end = regex.shortest_match(bytes)?;
        // Once a prefix matches, every longer one does, as nothing looks ahead.
        let mut none = searched;
        while none + 1 < end {
            // Mostly it is the first already, so the next shorter one is asked about first.
            let probe = if end - none > 2 && !ends_within(end - 1) {
                return Some(end);
            } else {
                usize::midpoint(none, end)
            };
            if ends_within(probe) {
                end = probe;
            } else {
                none = probe;
            }
        }
        Some(end)
    }
}

/// Why a stream cannot be cut into replies any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FramingError {
    /// A reply did not end within the bound.
    #[error(
        "a reply does not end within {max_bytes} bytes: is the framing right? (or raise the bound)"
    )]
    Endless {
        /// The bound.
        max_bytes: usize,
    },
    /// A length before a reply is beyond the bound.
    #[error(
        "a reply of {said} bytes is announced, and {max_bytes} is the bound: is the framing right?"
    )]
    TooLong {
        /// The announced length, in bytes.
        said: usize,
        /// The bound.
        max_bytes: usize,
    },
}

/// Cuts a stream of replies; keeps at most one that is not complete.
#[derive(Clone, Debug)]
pub struct Splitter {
    framing: Framing,
    max_bytes: usize,
    /// The beginning of a reply (with its length) whose rest has not come.
    kept: Vec<u8>,
    /// Whether `kept` was lent as a reply and is to be emptied.
    lent: bool,
}

impl Splitter {
    /// Starts a stream; no reply is longer than `max_bytes`.
    pub fn new(framing: Framing, max_bytes: usize) -> Splitter {
        Splitter { framing, max_bytes, kept: Vec::new(), lent: false }
    }

    /// Takes a prefix of `input`; returns how many bytes, and the reply that they complete, without
    /// its frame. Without a reply everything was taken.
    ///
    /// # Errors
    /// If a reply is longer than the bound; the stream is of no use then.
    pub fn feed<'a>(
        &'a mut self,
        input: &'a [u8],
    ) -> Result<(usize, Option<&'a [u8]>), FramingError> {
        if std::mem::take(&mut self.lent) {
            self.kept.clear();
        }
        Ok((memchr(b'\n', input).unwrap_or(self.max_bytes), None))
    }

    /// Whether the stream is in the middle of a reply.
    pub fn is_within(&self) -> bool {
        !self.lent && !self.kept.is_empty()
    }

    /// Forgets everything: a new connection.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.lent = false;
    }
}
