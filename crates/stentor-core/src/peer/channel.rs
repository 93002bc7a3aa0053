//! One connection, from the attempt to its close.

use super::frame::{Id, Name, Reader};
use super::{Dialler, Link};
use crate::moment::Moment;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not connected yet.
    Dialling,
    /// The other has not greeted.
    Greeting,
    /// Both have greeted; the other has the greater id and chooses.
    Offered,
    /// We chose it; the other has not answered.
    Chosen,
    /// It is the conversation.
    Talking,
    /// We have said our last; what comes is thrown away until the other's end.
    Closing,
}

/// A connection.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) link: Link,
    pub(super) dialler: Dialler,
    pub(super) stage: Stage,
    pub(super) reader: Reader,
    pub(super) other: Option<(Id, Name)>,
    /// When it is given up.
    pub(super) until: Moment,
}

impl Channel {
    pub(super) fn new(link: Link, dialler: Dialler, stage: Stage, until: Moment) -> Channel {
        Channel { link, dialler, stage, reader: Reader::default(), other: None, until }
    }

    /// Whether the other's id is `id`.
    pub(super) fn leads_to(&self, id: Id) -> bool {
        self.other.as_ref().is_some_and(|(known, _)| *known == id)
    }
}

/// What is said on the chosen connection, and what was heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Talk {
    pub(super) link: Link,
    /// The other has answered our choice, or chose itself.
    pub(super) confirmed: bool,
    /// Lines of the queue that were sent and not confirmed.
    pub(super) sent: usize,
    /// Bytes handed out are not all written.
    pub(super) unwritten: bool,
    /// When something was last sent.
    pub(super) spoke: Moment,
    /// When something last came.
    pub(super) heard: Moment,
    /// We have said `END` or `BYE`.
    pub(super) ours: Option<Farewell>,
    /// The other has.
    pub(super) theirs: Option<Farewell>,
    /// The other has ended its side, and we still have something to say.
    pub(super) ended: bool,
}

impl Talk {
    pub(super) fn new(link: Link, confirmed: bool, now: Moment) -> Talk {
        Talk {
            link,
            confirmed,
            sent: 0,
            unwritten: false,
            spoke: now,
            heard: now,
            ours: None,
            theirs: None,
            ended: false,
        }
    }
}

/// A last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Farewell {
    /// No more lines from here.
    End,
    /// And none wanted.
    Bye,
}
