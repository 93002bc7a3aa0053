//! One direction of one connection: toxics in a chain, with a bounded store.

use super::toxic::Named;
use crate::moment::Moment;
use crate::seed::Seed;

/// The most bytes that wait in one direction of one connection, unless the driver says otherwise.
pub const BUFFER_MAX: usize = 4 << 20;

/// What the driver has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output<'a> {
    /// Send these bytes, which were due at this moment, then say [`Pipe::sent`] how many the
    /// kernel took.
    Send(Moment, &'a [u8]),
    /// Nothing before this moment.
    Wait(Moment),
    /// Nothing until more bytes are handled.
    Idle,
    /// End this direction in order (shutdown(2), SHUT_WR); the other goes on. Said once.
    Finish,
    /// Close both directions in order. Said for ever.
    Close,
    /// Reset the connection (SO_LINGER of 0, then close: socket(7)). Said for ever.
    Reset,
}

/// One direction of one connection.
#[derive(Clone, Debug)]
pub struct Pipe {
    held: Vec<u8>,
    ended: bool,
    buffer_max: usize,
}

impl Pipe {
    /// A direction that began at `now`; `name` tells it from all others of the run (such as
    /// `web/down/17`: proxy, direction and number of the connection), and its dice are named after
    /// it. It holds at most about `buffer_max` bytes ([`BUFFER_MAX`]).
    pub fn new(now: Moment, toxics: &[Named], seed: Seed, name: &str, buffer_max: usize) -> Pipe {
        let _ = (now, toxics, seed, name);
        Pipe { held: Vec::new(), ended: false, buffer_max }
    }

    /// Changes the chain at `now`. A toxic whose name was there keeps what it holds and counted,
    /// and what it holds is timed anew; what is held by one that is gone passes on at once, in
    /// order. New ones stand where the list says.
    pub fn set(&mut self, now: Moment, toxics: &[Named]) {
        let _ = (now, toxics);
    }

    /// How many bytes it may be handed now: read no more than this.
    pub fn room(&self) -> usize {
        self.buffer_max.saturating_sub(self.held.len())
    }

    /// Takes bytes that came at `now`.
    pub fn handle(&mut self, now: Moment, bytes: &[u8]) {
        let _ = now;
        self.held.extend_from_slice(bytes);
    }

    /// Takes the end of the stream (a FIN), which passes behind all bytes before it.
    pub fn finish(&mut self, now: Moment) {
        let _ = now;
        self.ended = true;
    }

    /// Says what to do at `now`. `Send` is repeated until [`Pipe::sent`] says that it is done.
    pub fn poll(&mut self, now: Moment) -> Output<'_> {
        if self.held.is_empty() { Output::Idle } else { Output::Send(now, &self.held) }
    }

    /// Notes that the kernel took the first `bytes` of what `poll` lent.
    pub fn sent(&mut self, bytes: usize) {
        self.held.drain(..bytes.min(self.held.len()));
    }

    /// Whether bytes pass as they come: no toxic that strikes, nothing held. A driver may then copy
    /// from socket to socket by itself.
    pub fn is_plain(&self) -> bool {
        self.held.is_empty()
    }
}
