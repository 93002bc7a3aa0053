//! The witness: what was seen to happen, on one clock, whoever saw it.
//!
//! Every verb that shows a conversation (send, fetch, learn) fills the same [`Conversation`];
//! drawing it is left to the report of `stentor`, reading clocks and sockets to the drivers.
//!
//! `trace` sees more, and fills a [`record::Record`]: from it alone follow the sockets, the cause
//! of every packet and the [`ladder::Ladder`] that is drawn.

mod build;
pub mod call;
pub mod cause;
mod descriptors;
pub mod dissect;
pub mod flows;
mod groups;
pub mod header;
pub mod ladder;
pub mod matcher;
pub mod record;
pub mod script;
pub mod sockets;
pub mod stream;
pub mod verdict;
pub mod words;

use crate::moment::Moment;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, since the run began.
    pub at: Moment,
    /// At which end.
    pub lane: Lane,
    /// What.
    pub what: What,
}

/// The two ends of a conversation. "Client" is the end that spoke first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// The end that opened the conversation.
    Client,
    /// The end that was there first.
    Server,
}

impl Lane {
    /// The other end.
    pub const fn opposite(self) -> Lane {
        match self {
            Lane::Client => Lane::Server,
            Lane::Server => Lane::Client,
        }
    }
}

/// One of each for the two ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Both<T> {
    /// The client's.
    pub client: T,
    /// The server's.
    pub server: T,
}

impl<T> Both<T> {
    /// That of one end.
    pub const fn of(&self, lane: Lane) -> &T {
        match lane {
            Lane::Client => &self.client,
            Lane::Server => &self.server,
        }
    }

    /// That of one end, to be changed.
    pub const fn of_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Client => &mut self.client,
            Lane::Server => &mut self.server,
        }
    }
}

/// What can be witnessed without being the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A socket call and how it ended: `connect` `127.0.0.1:12000` `0`.
    Call {
        /// The name of the call, as in its man page.
        name: String,
        /// What it was given, short.
        arguments: String,
        /// What it gave back: a number, an address or the name of an errno.
        outcome: String,
    },
    /// Bytes that this end gave to the other; drawn as an arrow towards it.
    Data {
        /// How many bytes.
        bytes: usize,
        /// Their beginning, as text.
        excerpt: String,
    },
    /// A signal of the transport without bytes, towards the other end: `SYN`, `FIN`, `RST`.
    Signal(String),
    /// What the kernel says of the socket: `ESTABLISHED, 127.0.0.1:51234 -> 127.0.0.1:12000`.
    State(String),
    /// A remark.
    Note(String),
}

/// What two ends said to each other, and what is to be learnt from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// Name of the client's lane: a role and an address.
    pub client: String,
    /// Name of the server's lane.
    pub server: String,
    /// In the order of time; [`Conversation::witness`] keeps it.
    pub events: Vec<Event>,
    /// Findings in words: `1 send = 2 recv`.
    pub verdicts: Vec<String>,
}

impl Conversation {
    /// Starts an empty conversation between two named ends.
    pub fn new(client: impl Into<String>, server: impl Into<String>) -> Conversation {
        Conversation { client: client.into(), server: server.into(), ..Conversation::default() }
    }

    /// Adds what was seen, in its place by time; of equal times the earlier told comes first.
    pub fn witness(&mut self, at: Moment, lane: Lane, what: What) {
        let place = self.events.partition_point(|event| event.at <= at);
        self.events.insert(place, Event { at, lane, what });
    }

    /// Adds a socket call and how it ended.
    pub fn call(
        &mut self,
        at: Moment,
        lane: Lane,
        name: impl Into<String>,
        arguments: impl Into<String>,
        outcome: impl Into<String>,
    ) {
        let (name, arguments, outcome) = (name.into(), arguments.into(), outcome.into());
        self.witness(at, lane, What::Call { name, arguments, outcome });
    }

    /// Adds bytes given to the other end.
    pub fn data(&mut self, at: Moment, lane: Lane, bytes: &[u8]) {
        let what = What::Data { bytes: bytes.len(), excerpt: excerpt(bytes) };
        self.witness(at, lane, what);
    }
}

/// The first bytes as text, at most 24 characters, control characters escaped.
pub fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 24;
    let text = String::from_utf8_lossy(bytes.get(..4 * SHOWN).unwrap_or(bytes));
    // At most three bytes more, for the ellipsis; a million of these have no room to spare.
    let mut shown =
        String::with_capacity(if bytes.is_empty() { 0 } else { bytes.len().min(SHOWN) + 3 });
    let mut characters = text.chars();
    for character in characters.by_ref().take(SHOWN) {
        match character {
            '\t' | '\n' | '\r' => shown.extend(character.escape_default()),
            c if c.is_control() => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    if characters.next().is_some() || bytes.len() > 4 * SHOWN {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_stand_in_the_order_of_time() {
        let mut conversation = Conversation::new("client", "server");
        for (at, name) in [(5, "third"), (1, "first"), (5, "fourth"), (2, "second")] {
            conversation.call(Moment::from_nanos(at), Lane::Client, name, "", "0");
        }
        let names: Vec<_> = conversation
            .events
            .iter()
            .map(|event| match &event.what {
                What::Call { name, .. } => name.as_str(),
                What::Data { .. } | What::Signal(_) | What::State(_) | What::Note(_) => "",
            })
            .collect();
        assert_eq!(names, ["first", "second", "third", "fourth"]);
    }

    #[test]
    fn excerpts_are_short_and_printable() {
        assert_eq!(excerpt(b"hello\r\n"), "hello\\r\\n");
        assert_eq!(excerpt(b"\x1b[31m"), "\\u{1b}[31m");
        assert_eq!(excerpt("ж".repeat(30).as_bytes()), format!("{}…", "ж".repeat(24)));
        assert_eq!(excerpt(b""), "");
    }
}
