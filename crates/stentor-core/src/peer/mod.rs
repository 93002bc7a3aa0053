//! Two equals: each listens and dials, they agree on one connection, exchange lines, and leave.
//!
//! [`Peer`] decides whom to dial, which connection stays, what is said on it and when it is over.
//! Sockets, mDNS and the terminal are the driver's. The protocol's lines are in [`frame`].
//!
//! **Simultaneous open.** When both dial each other there are two connections, and one has to go.
//! As in BGP (RFC 4271, section 6.8) the greater of two random ids decides; other than there, it
//! takes the first connection on which it knows the other, and says so with `TALK` in front of its
//! first line. The other only answers. So there is one who chooses and nothing to agree upon; and
//! a connection that never comes to be, behind a firewall, delays nobody. Lines sent with `TALK`
//! stay in the queue until it is answered: a refusal loses none.

mod channel;
pub mod frame;
mod machine;
mod search;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

pub use frame::{Frame, Id, LINE_MAX, NAME_MAX, Name, Reader, Violation, shown};
pub use machine::Peer;

use crate::moment::Moment;

/// How long a stranger may take for each step of the greeting.
pub const GREETING_LIMIT: Duration = Duration::from_secs(5);
/// After this long without a line of ours the other is told that we are still here.
pub const PING_EVERY: Duration = Duration::from_secs(10);
/// Whoever is silent for this long is gone: two pings may be late.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// How long the other may take to end its side after a farewell.
pub const FAREWELL_LIMIT: Duration = Duration::from_secs(5);
/// Connections at once, the conversation's included; more are closed unheard.
pub const CHANNELS_MAX: usize = 16;
/// Peers found and not yet forgotten; more are passed over.
pub const FOUND_MAX: usize = 16;
/// Lines that wait to be sent; no more are taken then.
pub const LINES_MAX: usize = 64;

/// A connection, or an attempt at one, for as long as this peer lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link(pub u64);

/// Who dialled a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialler {
    /// This peer.
    Us,
    /// The other.
    Them,
}

/// How a peer behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What it is known by.
    pub id: Id,
    /// What it is called.
    pub name: Name,
    /// Whether it waits for the next peer after a conversation.
    pub keep: bool,
    /// How long an address given by a person is tried.
    pub patience: Duration,
    /// Found peers of another name are not dialled.
    pub wanted: Option<Name>,
}

/// What happened since the machine was last told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// Nothing but time.
    Time,
    /// Discovery found a peer; `key` names it until it is [`Input::Gone`].
    Found {
        /// What discovery calls it.
        key: &'a str,
        /// The id it announces.
        id: Option<Id>,
        /// The name it announces.
        name: Option<Name>,
        /// Where it listens, in the order to try.
        addresses: &'a [SocketAddr],
    },
    /// Discovery says that it is there no more.
    Gone(&'a str),
    /// Somebody dialled us; the driver numbers it with [`Peer::next_link`].
    Accepted(Link),
    /// The attempt has come to a connection.
    Connected(Link),
    /// The attempt has failed.
    Failed(Link),
    /// Bytes came.
    Bytes(Link, &'a [u8]),
    /// The other has ended its side (FIN).
    Ended(Link),
    /// The connection broke (a reset, a failed write).
    Broken(Link),
    /// Everything handed out with [`Output::Send`] has been written.
    Written(Link),
    /// The person said a line, without its newline; only while [`Peer::takes_lines`].
    Line(&'a [u8]),
    /// The person's lines are over; the other's are still wanted.
    NoMoreLines,
    /// The person wants to go.
    Leave,
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Begin to connect.
    Dial(Link, SocketAddr),
    /// Write these bytes behind those before, and say [`Input::Written`] when all is written.
    Send(Link, Vec<u8>),
    /// End our side (FIN) once everything is written; go on reading.
    Shut(Link),
    /// Close the connection or give the attempt up; nothing more is said of it.
    Close(Link),
    /// Show the person.
    Tell(Event),
    /// Wait for a socket, for the person, or until this moment.
    Wait(Moment),
    /// Wait for a socket or for the person.
    Idle,
    /// It is over; every connection is closed.
    Over(End),
}

/// What a person may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A conversation has begun on this connection.
    Began {
        /// The connection.
        link: Link,
        /// Who dialled it.
        dialler: Dialler,
        /// Who decided that it is the one: the greater id.
        chooser: Dialler,
        /// The other's id.
        id: Id,
        /// The other's name.
        name: Name,
    },
    /// Both had dialled: this other connection to the same peer was given up.
    Doubled {
        /// The one given up.
        link: Link,
        /// Who had dialled it.
        dialler: Dialler,
    },
    /// The other said a line.
    Line(Vec<u8>),
    /// The other has no more lines, and still listens.
    TheirEnd,
    /// A connection came to nothing.
    Refused(Link, Refusal),
    /// The conversation is over.
    Parted(Parting),
}

/// Why a connection came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// We are talking to somebody else, and said so.
    WeAreBusy,
    /// The other talks to somebody else.
    TheyAreBusy,
    /// It is no peer, or spoke out of turn.
    Violation(Violation),
    /// It greeted us with our own id.
    Ourselves,
    /// It said nothing in time.
    Silent,
    /// It closed or broke before there was a conversation.
    Closed,
    /// There are too many at once.
    TooMany,
}

/// How a conversation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parting {
    /// Both had said all.
    BothEnded,
    /// We left, and the other answered.
    WeLeft,
    /// The other left.
    TheyLeft,
    /// We left, and the other did not answer in time.
    Unanswered,
    /// The connection ended without a farewell.
    Broken,
    /// Nothing came for [`SILENCE_LIMIT`].
    Silent,
    /// The other broke the protocol.
    Violation(Violation),
}

impl Parting {
    /// Whether both sides agreed that it was over.
    pub fn is_orderly(&self) -> bool {
        matches!(self, Parting::BothEnded | Parting::WeLeft | Parting::TheyLeft)
    }
}

/// Why all is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// After the conversation.
    Parted(Parting),
    /// The person left, and there was no conversation.
    Left,
    /// Nobody answered at the given address while patience lasted.
    Unreachable,
    /// The given address is no partner.
    Refused(Refusal),
}

/// What became of every connection and every line; [`Counters::check`] adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Attempts to connect.
    pub dialled: u64,
    /// Connections that others made to us.
    pub accepted: u64,
    /// Attempts that came to no connection.
    pub unreached: u64,
    /// Conversations.
    pub conversations: u64,
    /// Given up for another connection to the same peer.
    pub doubled: u64,
    /// Refused because one of the two was busy.
    pub busy: u64,
    /// Refused because what came is not the protocol.
    pub violations: u64,
    /// This peer itself.
    pub ourselves: u64,
    /// Closed or silent before there was a conversation, too many at once, or still open at the end.
    pub unfinished: u64,
    /// Lines sent, confirmed ones only.
    pub lines_sent: u64,
    /// Their bytes, newlines not counted.
    pub sent_bytes: u64,
    /// Lines that came.
    pub lines_received: u64,
    /// Their bytes, newlines not counted.
    pub received_bytes: u64,
    /// Lines taken from the person and not sent.
    pub lines_left: u64,
}

impl Counters {
    /// Whether every connection came to exactly one thing.
    pub fn check(&self) -> bool {
        let ways = [
            self.unreached,
            self.conversations,
            self.doubled,
            self.busy,
            self.violations,
            self.ourselves,
            self.unfinished,
        ];
        self.dialled + self.accepted == ways.iter().sum::<u64>()
    }
}
