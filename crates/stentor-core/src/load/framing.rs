//! Where a request ends and where a reply does, on a stream of bytes.
//!
//! What a reply must be is in [`super::verify`].

#[cfg(test)]
mod tests;

use std::ops::Range;

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

impl Framing {
    /// The longest request that it carries, in bytes without the frame. Of datagrams those of
    /// IPv4 (65,535 less both headers, RFC 768 and 791).
    pub fn request_max(&self) -> usize {
        match self {
            Framing::Length16 => 65_535,
            Framing::Datagram => 65_507,
            Framing::Length32 => usize::try_from(u32::MAX).unwrap_or(usize::MAX),
            Framing::Line | Framing::EndOfReply(_) => usize::MAX,
        }
    }

    /// Appends what `body` appends, in its frame, to `out`.
    pub fn write(&self, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
        let (from, header) = (out.len(), self.header_len());
        out.resize(from + header, 0);
        body(out);
        let length = u32::try_from(out.len() - from - header).unwrap_or(u32::MAX).to_be_bytes();
        let length = length.get(4 - header..).unwrap_or_default();
        if let Some(place) = out.get_mut(from..from + header) {
            place.copy_from_slice(length);
        }
        if *self == Framing::Line {
            out.push(b'\n');
        }
    }

    const fn header_len(&self) -> usize {
        match self {
            Framing::Length16 => 2,
            Framing::Length32 => 4,
            Framing::Line | Framing::Datagram | Framing::EndOfReply(_) => 0,
        }
    }
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
        let mut syntax = regex_syntax::ParserBuilder::new().utf8(false).unicode(false).build();
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
        let (mut none, mut end) = (searched, regex.shortest_match(bytes)?);
        // Mostly it is the first already, so the next shorter one is asked about first. Halving
        // is right, because nothing looks ahead: once a prefix matches, every longer one does.
        let mut probe = end.saturating_sub(1);
        while none + 1 < end {
            if ends_within(probe) {
                end = probe;
            } else {
                none = probe;
            }
            probe = usize::midpoint(none, end);
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

/// Where a reply of some bytes ends, and where what is lent of it lies.
#[derive(Clone, Debug)]
struct Cut {
    /// How many bytes it takes with its frame.
    end: usize,
    body: Range<usize>,
}

impl Splitter {
    /// Starts a stream; no reply is longer than `max_bytes`.
    pub fn new(framing: Framing, max_bytes: usize) -> Splitter {
        Splitter { framing, max_bytes, kept: Vec::new(), lent: false }
    }

    /// Takes a prefix of `input`; returns how many bytes, and the reply that they complete, without
    /// its frame. Without a reply everything was taken. Lent is the input where it holds the whole
    /// reply; nothing is allocated once the longest cut reply has come.
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
        if self.kept.is_empty() {
            if let Some(Cut { end, body }) = self.find(input, 0)? {
                return Ok((end, input.get(body)));
            }
            self.kept.extend_from_slice(input);
            return Ok((input.len(), None));
        }
        let searched = self.kept.len();
        // Of lines and lengths only what is missing is added, so that the rest is lent in place.
        let wanted = match self.framing {
            Framing::Line => memchr(b'\n', input).map_or(input.len(), |at| at + 1),
            Framing::Length16 | Framing::Length32 => self.missing(input)?,
            Framing::Datagram | Framing::EndOfReply(_) => input.len(),
        };
        self.kept.extend_from_slice(input.get(..wanted).unwrap_or(input));
        let Some(Cut { end, body }) = self.find(&self.kept, searched)? else {
            return Ok((wanted.min(input.len()), None));
        };
        self.lent = true;
        Ok((end.saturating_sub(searched), self.kept.get(body)))
    }

    /// How many bytes of `input` complete the reply that is kept, or its length.
    fn missing(&self, input: &[u8]) -> Result<usize, FramingError> {
        let header = self.framing.header_len();
        let mut length = [0; 4];
        let places = length.get_mut(4 - header..).unwrap_or_default();
        let mut known = 0;
        for (place, byte) in places.iter_mut().zip(self.kept.iter().chain(input)) {
            *place = *byte;
            known += 1;
        }
        if known < header {
            return Ok(input.len());
        }
        let body = self.body_len(u32::from_be_bytes(length))?;
        Ok((header + body).saturating_sub(self.kept.len()).min(input.len()))
    }

    /// The length that a header says, checked.
    fn body_len(&self, said: u32) -> Result<usize, FramingError> {
        let said = usize::try_from(said).unwrap_or(usize::MAX);
        let max_bytes = self.max_bytes;
        if said > max_bytes { Err(FramingError::TooLong { said, max_bytes }) } else { Ok(said) }
    }

    /// Finds the first reply of `bytes`, of which the first `searched` hold no end.
    fn find(&self, bytes: &[u8], searched: usize) -> Result<Option<Cut>, FramingError> {
        let max_bytes = self.max_bytes;
        let found = match &self.framing {
            Framing::Line => {
                let from = searched.min(bytes.len());
                let at = memchr(b'\n', bytes.get(from..).unwrap_or_default());
                at.map(|at| Cut { end: from + at + 1, body: 0..from + at })
            }
            Framing::EndOfReply(pattern) => {
                pattern.find(bytes, searched).map(|end| Cut { end, body: 0..end })
            }
            Framing::Datagram => Some(Cut { end: bytes.len(), body: 0..bytes.len() }),
            Framing::Length16 | Framing::Length32 => {
                let header = self.framing.header_len();
                let Some(said) = bytes.get(..header) else { return Ok(None) };
                let said = said.iter().fold(0, |sum: u32, byte| (sum << 8) | u32::from(*byte));
                let end = header + self.body_len(said)?;
                return Ok((end <= bytes.len()).then_some(Cut { end, body: header..end }));
            }
        };
        // A reply that is too long is refused wherever the stream was cut.
        let reach = found.as_ref().map_or(bytes.len(), |cut| cut.body.len());
        if reach > max_bytes { Err(FramingError::Endless { max_bytes }) } else { Ok(found) }
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
