//! Keeps what is seen of a conversation for the ladder, as long as it is asked for and short.

use super::outcome::counted;
use stentor_core::moment::Moment;
use stentor_core::timeline::{Conversation, Lane, What};

/// How many events are kept: more than that nobody reads, and memory must not grow.
const EVENTS_MAX: usize = 400;

/// A conversation that is only filled when somebody will see it.
#[derive(Debug, Default)]
pub(super) struct Witness {
    wanted: bool,
    /// What was seen.
    pub(super) talk: Conversation,
    unseen: u64,
}

impl Witness {
    /// Says between whom it is, and whether events are kept; those before stay.
    pub(super) fn name(&mut self, wanted: bool, client: String, server: String) {
        self.wanted = wanted;
        (self.talk.client, self.talk.server) = (client, server);
    }

    /// Adds a call of the client.
    pub(super) fn call(&mut self, at: Moment, name: &str, arguments: &str, outcome: &str) {
        if self.room() {
            self.talk.call(at, Lane::Client, name, arguments, outcome);
        }
    }

    /// Adds a call that moved bytes, and the bytes.
    pub(super) fn moved(&mut self, at: Moment, name: &str, room: usize, from: Lane, bytes: &[u8]) {
        if self.room() {
            let (room, count) = (counted(room as u64, "byte"), bytes.len().to_string());
            match from {
                Lane::Client => {
                    self.talk.call(at, Lane::Client, name, room, count);
                    self.talk.data(at, from, bytes);
                }
                Lane::Server => {
                    self.talk.data(at, from, bytes);
                    self.talk.call(at, Lane::Client, name, room, count);
                }
            }
        }
    }

    /// Adds a signal without bytes.
    pub(super) fn signal(&mut self, at: Moment, from: Lane, signal: &str) {
        if self.room() {
            self.talk.witness(at, from, What::Signal(signal.to_owned()));
        }
    }

    /// Adds what the kernel says of the socket, or a remark.
    pub(super) fn say(&mut self, at: Moment, what: What) {
        if self.room() {
            self.talk.witness(at, Lane::Client, what);
        }
    }

    /// Ends with what is to be learnt, and how much was not kept.
    pub(super) fn conclude(&mut self, verdict: impl Into<String>) {
        if self.unseen > 0 {
            self.talk.verdicts.push(format!("{} more calls are not shown", self.unseen));
            self.unseen = 0;
        }
        self.talk.verdicts.push(verdict.into());
    }

    fn room(&mut self) -> bool {
        let room = self.talk.events.len() < EVENTS_MAX;
        self.unseen += u64::from(self.wanted && !room);
        self.wanted && room
    }
}
