//! One conversation over a stream: bytes in, answers out, and when to close.
//!
//! A session is a few bytes without a heap, so that ten thousand idle ones cost next to nothing;
//! buffers are lent by the driver, which also closes, times out and stops reading.

#[cfg(test)]
mod tests;

use super::{Case, Contract, READ_ONCE, Service, upper_whole};
use crate::casing::Upper;

/// What one conversation has come to.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    service: Service,
    over: bool,
    case: Case,
    upper: Upper,
}

/// Ten thousand idle conversations: 160 kB at most.
const _: () = assert!(size_of::<Session>() <= 16);

/// What to send, and how to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// How many bytes of the input are done with; feed the rest once this answer is sent.
    pub taken: usize,
    /// The answer; borrows from the input or from the spill. May be empty.
    pub bytes: &'a [u8],
    /// What comes after the answer.
    pub then: Then,
}

/// What comes after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Read on.
    ReadOn,
    /// The contract is fulfilled: close as soon as the answer is sent.
    Close,
}

impl Session {
    /// Starts a conversation.
    pub fn new(contract: Contract) -> Session {
        Session {
            service: contract.service,
            over: false,
            case: contract.case,
            upper: Upper::new(contract.case),
        }
    }

    /// The most bytes that one read may fetch; `None`: as many as the driver likes.
    ///
    /// Bytes beyond it stay in the kernel. Closing over them resets the connection (RFC 9293,
    /// section 3.6.1, "TCP MUST send a RST"): so does the lecture's server.
    #[inline]
    pub fn read_max(&self) -> Option<usize> {
        match self.service {
            Service::Sentence | Service::Half => Some(READ_ONCE),
            Service::Upper | Service::Echo | Service::Discard => None,
        }
    }

    /// Takes the bytes of one read, or a first part of them, and lends the answer.
    ///
    /// At least one byte is taken, unless `input` is empty or the conversation is over.
    #[inline]
    pub fn feed<'a>(&mut self, input: &'a mut [u8], spill: &'a mut Vec<u8>) -> Answer<'a> {
        if self.over {
            return Answer { taken: 0, bytes: &[], then: Then::Close };
        }
        if input.is_empty() {
            return Answer { taken: 0, bytes: &[], then: Then::ReadOn };
        }
        match self.service {
            Service::Upper => {
                let (taken, bytes) = self.upper.feed(input, spill);
                Answer { taken, bytes, then: Then::ReadOn }
            }
            Service::Echo => Answer { taken: input.len(), bytes: input, then: Then::ReadOn },
            Service::Discard => Answer { taken: input.len(), bytes: &[], then: Then::ReadOn },
            Service::Sentence => {
                self.over = true;
                let taken = input.len().min(READ_ONCE);
                let read = input.get_mut(..taken).unwrap_or_default();
                let bytes = upper_whole(self.case, read, spill);
                Answer { taken, bytes, then: Then::Close }
            }
            Service::Half => {
                self.over = true;
                let taken = input.len().min(READ_ONCE);
                let bytes = input.get(..taken / 2).unwrap_or_default();
                Answer { taken, bytes, then: Then::Close }
            }
        }
    }

    /// Ends the conversation at the client's FIN: lends what is still owed, at most 3 bytes.
    pub fn finish(&mut self) -> &[u8] {
        self.over = true;
        self.upper.finish()
    }
}
