//! How a player asks for a film over UDP, in lines of text.
//!
//! Anybody can write any address into a datagram. So nothing is sent to a player before it has
//! returned a token that was sent there, and no answer up to then is longer than what it answers.
//!
//! ```text
//! player   stentor-rtp/1 PLAY quality=0                      (spaces follow, up to 192 bytes)
//! origin   stentor-rtp/1 TOKEN 5d1c6e0f00000001
//! player   stentor-rtp/1 PLAY quality=0 token=5d1c6e0f00000001
//! origin   stentor-rtp/1 FILM source=7 sequence=9 timestamp=5 packets=120 bytes=150000 ...
//! ```
//!
//! Then RTP's packets follow, and the player's reports go back.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// What every line begins with: the protocol and its version.
const NAME: &str = "stentor-rtp/1";
/// How long a request is, at least, in bytes: no answer is longer, and who asks with less has none.
pub const REQUEST_BYTES: usize = 192;
/// The longest line that is read.
const LINE_MAX: usize = 512;

/// What a player asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// From 0, the lowest.
    pub quality: usize,
    /// What proves that it is where it says.
    pub token: Option<u64>,
}

/// What an origin answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Ask again with this.
    Token(u64),
    /// The film begins.
    Film(Description),
    /// No, and why.
    Refused(String),
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// The stream's name in each packet (SSRC).
    pub source: u32,
    /// The number of its first packet.
    pub sequence: u16,
    /// The timestamp of the film's beginning.
    pub timestamp: u32,
    /// How many packets there are.
    pub packets: u64,
    /// How many bytes of film they carry.
    pub bytes: u64,
    /// How long the film plays.
    pub length: Duration,
}

/// Why a datagram is none of these lines.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WordsError {
    /// Another protocol or version.
    #[error("it does not begin with {NAME}")]
    NotOne,
    /// A request that is shorter than an answer may be.
    #[error("{0} bytes: a request has at least {REQUEST_BYTES}, with spaces at its end")]
    Short(usize),
    /// A word that is not understood or missing.
    #[error("{0}: not understood, or missing")]
    Word(&'static str),
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// What is none; it is not worth an answer.
    pub fn read(datagram: &[u8]) -> Result<Request, WordsError> {
        let (verb, values) = line(datagram)?;
        if verb != "PLAY" {
            return Err(WordsError::Word("PLAY"));
        }
        if datagram.len() < REQUEST_BYTES {
            return Err(WordsError::Short(datagram.len()));
        }
        let quality = value(values, "quality").and_then(|written| written.parse().ok());
        let token = value(values, "token").map(|written| u64::from_str_radix(written, 16));
        Ok(Request {
            quality: quality.ok_or(WordsError::Word("quality"))?,
            token: token.transpose().map_err(|_| WordsError::Word("token"))?,
        })
    }

    /// The request as it is sent: at least [`REQUEST_BYTES`] long.
    pub fn to_bytes(self) -> Vec<u8> {
        let token = self.token.map_or(String::new(), |token| format!(" token={token:016x}"));
        let line = format!("{NAME} PLAY quality={}{token}", self.quality);
        format!("{line:<0$}\n", REQUEST_BYTES - 1).into_bytes()
    }
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// What is none.
    pub fn read(datagram: &[u8]) -> Result<Answer, WordsError> {
        let (verb, values) = line(datagram)?;
        match verb {
            "TOKEN" => {
                let token = u64::from_str_radix(values.trim(), 16);
                token.map(Answer::Token).map_err(|_| WordsError::Word("token"))
            }
            "REFUSED" => Ok(Answer::Refused(values.trim().to_owned())),
            "FILM" => {
                let number = |name: &'static str| {
                    let number =
                        value(values, name).and_then(|written| written.parse::<u64>().ok());
                    number.ok_or(WordsError::Word(name))
                };
                let small = |name| u32::try_from(number(name)?).map_err(|_| WordsError::Word(name));
                let sequence = u16::try_from(number("sequence")?);
                Ok(Answer::Film(Description {
                    source: small("source")?,
                    sequence: sequence.map_err(|_| WordsError::Word("sequence"))?,
                    timestamp: small("timestamp")?,
                    packets: number("packets")?,
                    bytes: number("bytes")?,
                    length: Duration::from_nanos(number("length_ns")?),
                }))
            }
            _ => Err(WordsError::Word("TOKEN, FILM or REFUSED")),
        }
    }

    /// The answer as it is sent: never longer than a request.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut line = format!("{NAME} {self}\n");
        let end = (0..REQUEST_BYTES).rev().find(|end| line.is_char_boundary(*end));
        line.truncate(end.unwrap_or(0));
        line.into_bytes()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Token(token) => write!(f, "TOKEN {token:016x}"),
            Answer::Refused(why) => write!(f, "REFUSED {why}"),
            Answer::Film(film) => write!(
                f,
                "FILM source={} sequence={} timestamp={} packets={} bytes={} length_ns={}",
                film.source,
                film.sequence,
                film.timestamp,
                film.packets,
                film.bytes,
                film.length.as_nanos()
            ),
        }
    }
}

/// The verb of a line, and what follows it.
fn line(datagram: &[u8]) -> Result<(&str, &str), WordsError> {
    let datagram = datagram.get(..datagram.len().min(LINE_MAX)).unwrap_or_default();
    let text = std::str::from_utf8(datagram).map_err(|_| WordsError::NotOne)?;
    let words = text.trim_end().strip_prefix(NAME).ok_or(WordsError::NotOne)?;
    let words = words.strip_prefix(' ').ok_or(WordsError::NotOne)?;
    Ok(words.split_once(' ').unwrap_or((words, "")))
}

/// The value of `name` in `a=1 b=2`.
fn value<'a>(values: &'a str, name: &str) -> Option<&'a str> {
    values.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn film() -> Description {
        Description {
            source: u32::MAX,
            sequence: u16::MAX,
            timestamp: u32::MAX,
            packets: 1 << 40,
            bytes: 1 << 50,
            length: Duration::from_nanos(u64::MAX),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for token in [None, Some(0), Some(u64::MAX)] {
            let request = Request { quality: 3, token };
            assert_eq!(Request::read(&request.to_bytes()), Ok(request));
            assert_eq!(request.to_bytes().len(), REQUEST_BYTES);
        }
        let refused = Answer::Refused("no such quality: 0 to 2".to_owned());
        for answer in [Answer::Token(7), Answer::Film(film()), refused] {
            assert_eq!(Answer::read(&answer.to_bytes()), Ok(answer.clone()));
        }
    }

    #[test]
    fn no_answer_is_longer_than_its_request() {
        let long = Answer::Refused("ü".repeat(1000));
        for answer in [long, Answer::Film(film()), Answer::Token(u64::MAX)] {
            assert!(answer.to_bytes().len() <= REQUEST_BYTES, "{answer}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        let check = |datagram: &[u8], error| assert_eq!(Request::read(datagram), Err(error));
        check(b"", WordsError::NotOne);
        check(b"stentor-rtp/2 PLAY quality=0", WordsError::NotOne);
        check(b"\xff", WordsError::NotOne);
        check(b"stentor-rtp/1 PAUSE", WordsError::Word("PLAY"));
        check(b"stentor-rtp/1 PLAY quality=0", WordsError::Short(28));
        let long = |words: &str| format!("{words:<0$}\n", REQUEST_BYTES - 1).into_bytes();
        check(&long("stentor-rtp/1 PLAY quality=-1"), WordsError::Word("quality"));
        check(&long("stentor-rtp/1 PLAY quality=1 token=x"), WordsError::Word("token"));
        let whole = Request { quality: 1, token: None }.to_bytes();
        check(&whole[..REQUEST_BYTES - 1], WordsError::Short(REQUEST_BYTES - 1));
    }

    proptest! {
        #[test]
        fn nothing_that_arrives_is_fatal(datagram in proptest::collection::vec(any::<u8>(), 0..700)) {
            let _ = Request::read(&datagram);
            let _ = Answer::read(&datagram);
            let named = [NAME.as_bytes(), b" ", &datagram].concat();
            let _ = Request::read(&named);
            let _ = Answer::read(&named);
        }
    }
}
