//! What the server does with what it is told: services, faults, and the guard of its datagrams.
//!
//! Pure machines: [`session`] for one connection, [`datagram`] for one UDP port, [`fault`] between
//! an answer and its socket, [`guard`] against loops of datagrams. Sockets, buffers and timers are
//! left to the drivers, which find their figures in [`limits`] and note what they did in
//! [`counters`].

pub mod counters;
pub mod datagram;
pub mod fault;
pub mod guard;
pub mod limits;
pub mod session;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

pub use crate::casing::Case;
use crate::casing::Upper;
pub use session::{Answer, Session, Then};

/// The bytes that `sentence` and `half` take of a stream, in one read: the lecture's `recv(1024)`.
pub const READ_ONCE: usize = 1024;

/// What a server does with the bytes it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Service {
    /// Answers the upper case of the whole stream, as it arrives.
    #[default]
    Upper,
    /// Answers the upper case of one read of at most 1024 bytes, and closes: the lecture's own.
    Sentence,
    /// Answers the first half of one read, unchanged, and closes: floor(n/2) bytes.
    Half,
    /// Answers what it was told, unchanged (RFC 862).
    Echo,
    /// Takes everything and answers nothing (RFC 863).
    Discard,
}

impl Service {
    /// Every service, in the order in which help lists them.
    pub const ALL: [Service; 5] =
        [Service::Upper, Service::Sentence, Service::Half, Service::Echo, Service::Discard];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Service::Upper => "upper",
            Service::Sentence => "sentence",
            Service::Half => "half",
            Service::Echo => "echo",
            Service::Discard => "discard",
        }
    }
}

/// A name that no service has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a service: upper, sentence, half, echo or discard")]
pub struct UnknownService(String);

impl FromStr for Service {
    type Err = UnknownService;

    fn from_str(written: &str) -> Result<Service, UnknownService> {
        let named = Service::ALL.into_iter().find(|service| service.name() == written);
        named.ok_or_else(|| UnknownService(written.to_owned()))
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a server has promised its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contract {
    /// What is done with the bytes.
    pub service: Service,
    /// Which letters have capitals, where the service changes any.
    pub case: Case,
}

/// Lends the upper case of a message that is complete: nothing is held back for a rest to come.
///
/// ASCII is answered in place, anything else from `spill`.
fn upper_whole<'a>(case: Case, message: &'a mut [u8], spill: &'a mut Vec<u8>) -> &'a [u8] {
    if case == Case::Ascii || message.is_ascii() {
        message.make_ascii_uppercase();
        return message;
    }
    let mut upper = Upper::new(case);
    let mut piece = Vec::new();
    let mut rest = message;
    spill.clear();
    while !rest.is_empty() {
        let (taken, answer) = upper.feed(rest, &mut piece);
        spill.extend_from_slice(answer);
        rest = rest.get_mut(taken.max(1)..).unwrap_or_default();
    }
    spill.extend_from_slice(upper.finish());
    spill
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_reads_back() {
        for service in Service::ALL {
            assert_eq!(service.to_string().parse(), Ok(service));
        }
        let refusal = "Upper".parse::<Service>().unwrap_err().to_string();
        assert_eq!(refusal, "\"Upper\" is not a service: upper, sentence, half, echo or discard");
    }
}
