//! One connection of a load run.
//!
//! What to do next comes from [`Lane::poll`], called until it says to wait; what happened goes to
//! [`Lane::handle`]. Neither allocates for a request once buffers have grown. Sockets are left to
//! the driver: it opens and closes them, keeps what the kernel did not take of a write, and says
//! what it read.

use crate::moment::Moment;

use super::{Failure, Plan, Share, Tally};

/// What happened on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// The connection that was asked for is open. (A datagram socket: it is bound.)
    Connected,
    /// It could not be opened.
    Refused,
    /// These bytes came (any piece of a stream; exactly one datagram).
    Received(&'a [u8]),
    /// The service closed its side in order (FIN). The driver closes the socket.
    Closed,
    /// The connection failed: [`Failure::Reset`], [`Failure::System`]. The driver closes the
    /// socket. On datagrams [`Failure::Refused`] concerns one request, and the socket stays; the
    /// send(2) that reported it sent nothing and is to be repeated.
    Failed(Failure),
    /// Send nothing more; wait for the replies that are owed. Give it to every lane.
    Stop,
    /// Settle everything now.
    Abort,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Open a connection; then `Connected` or `Refused`.
    Connect,
    /// A request was appended to the buffer: the bytes from where it ended before. Write them (a
    /// stream may write those of several calls at once; a datagram is one call's).
    Send,
    /// Close the connection.
    Close,
    /// Nothing until this moment, or until something happens.
    Wait(Moment),
    /// Nothing more, ever: everything is settled and the connection closed.
    Done,
}

/// One connection: what it sends when, and what became of it.
#[derive(Debug)]
pub struct Lane {
    plan: std::sync::Arc<Plan>,
    share: Share,
}

impl Lane {
    /// The lane `share` of `plan`.
    pub fn new(plan: std::sync::Arc<Plan>, share: Share) -> Lane {
        Lane { plan, share }
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Moment, input: Input<'_>, tally: &mut Tally) {
        let _ = (now, input, tally);
    }

    /// Says what to do at `now`; appends requests to `out`, which is the driver's to empty.
    pub fn poll(&mut self, now: Moment, out: &mut Vec<u8>, tally: &mut Tally) -> Output {
        let _ = (now, out, tally, &self.plan, self.share);
        Output::Done
    }

    /// How many requests are under way: sent, and not settled.
    pub fn under_way(&self) -> u64 {
        0
    }
}
