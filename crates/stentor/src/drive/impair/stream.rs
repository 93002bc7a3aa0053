//! Streams through a proxy: the door, and for each client a connection with two pipes.
//!
//! Both ends are non-blocking and edge-triggered: what may be readable or writable is remembered
//! until the kernel says no. TCP is terminated on both sides; what the pipes do to the bytes is
//! decided in core.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use mio::event::Event;
use socket2::Socket;
use stentor_core::link::stream::{BUFFER_MAX, Named, Output, Pipe, StreamKnobs};
use stentor_core::moment::Moment;
use stentor_core::seed::Seed;
use stentor_os::net::dial;

use super::tally::StreamCounts;

/// Reads of one direction before the others have their turn.
const READS_PER_TURN: usize = 16;
/// How long an upstream address may take to answer a SYN.
const DIAL_MAX: Duration = Duration::from_secs(30);
/// After a close in order: how long to wait for the ends' own FIN.
const LINGER: Duration = Duration::from_secs(2);

/// Where clients come in.
pub(super) struct Door {
    pub(super) socket: Socket,
    pub(super) upstream: Vec<SocketAddr>,
    pub(super) rules: (Vec<Named>, Vec<Named>, StreamKnobs),
    pub(super) counts: StreamCounts,
    seed: Seed,
    name: String,
    /// Connections so far: each rolls dice of its own.
    serial: u64,
}

impl Door {
    pub(super) fn new(
        socket: Socket,
        upstream: Vec<SocketAddr>,
        seed: Seed,
        name: &str,
        rules: (Vec<Named>, Vec<Named>, StreamKnobs),
    ) -> Door {
        let counts = StreamCounts::default();
        Door { socket, upstream, rules, counts, seed, name: name.to_owned(), serial: 0 }
    }

    /// What becomes of a client: a connection that is being led on, or `None` if it was refused.
    pub(super) fn admit(&mut self, near: Socket, now: Moment) -> Option<Connection> {
        self.serial += 1;
        self.counts.accepted += 1;
        if self.rules.2.refuses(self.seed, self.serial) {
            self.counts.refused += 1;
            reset(&near);
            return None;
        }
        let pipe = |toxics: &[Named], way: &str| {
            let name = format!("{}/{way}/{}", self.name, self.serial);
            Lane {
                pipe: Pipe::new(now, toxics, self.seed, &name, BUFFER_MAX),
                read_over: false,
                finished: false,
            }
        };
        self.counts.open += 1;
        Some(Connection {
            near: End::new(near),
            far: None,
            phase: Phase::Dialing { next: 0, until: now },
            up: pipe(&self.rules.0, "up"),
            down: pipe(&self.rules.1, "down"),
        })
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    InOrder,
    Cut,
    Unreachable,
}

/// What a connection waits for after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// An event; or, if it is given, this moment.
    Wait(Option<Moment>),
    /// It had more to do when its share was used up.
    More,
    /// A new socket leads on: it wants to be registered.
    Register,
    /// Nothing any more.
    Ended(Ended),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before the upstream has answered: which address is next, and until when the present one may
    /// take.
    Dialing {
        next: usize,
        until: Moment,
    },
    Open,
    /// Closed by a rule: both ends have our FIN, and what they still say is thrown away.
    Closing {
        until: Moment,
    },
}

/// One client's connection and ours to the upstream.
pub(super) struct Connection {
    near: End,
    far: Option<End>,
    phase: Phase,
    up: Lane,
    down: Lane,
}

/// One socket, and what it was last known to be ready for.
struct End {
    socket: Socket,
    readable: bool,
    writable: bool,
    /// The peer's FIN is known to be there: a short read does not mean that there is no more.
    closed: bool,
}

/// One direction.
struct Lane {
    pipe: Pipe,
    /// The source's FIN has been read.
    read_over: bool,
    /// It has been passed on.
    finished: bool,
}

/// What one pass over a lane came to.
enum Passed {
    Wait(Option<Moment>),
    More,
    Close,
    Reset,
}

/// What a turn works with.
pub(super) struct Turn<'a> {
    pub(super) now: Moment,
    pub(super) buffer: &'a mut [u8],
    pub(super) counts: &'a mut StreamCounts,
    pub(super) upstream: &'a [SocketAddr],
}

impl End {
    fn new(socket: Socket) -> End {
        End { socket, readable: true, writable: true, closed: false }
    }

    fn ready(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        self.closed |= event.is_read_closed();
    }

    /// Reads once; `None` if there is nothing now.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match io::Read::read(&mut &self.socket, buffer) {
            Ok(count) => {
                // Everything there was has been read, unless a FIN came with it (epoll(7)).
                self.readable = count == buffer.len() || self.closed;
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes once; how many bytes the kernel took.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.socket.send(bytes) {
            Ok(count) => {
                self.writable = count == bytes.len();
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.writable = false;
                Ok(0)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Throws away what has come; whether the peer has ended.
    fn discard(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        for _ in 0..READS_PER_TURN {
            match self.read(buffer)? {
                Some(0) => return Ok(true),
                Some(_) if self.readable => {}
                Some(_) | None => return Ok(false),
            }
        }
        Ok(false)
    }
}

impl Connection {
    pub(super) fn near_fd(&self) -> RawFd {
        self.near.socket.as_raw_fd()
    }

    pub(super) fn far_fd(&self) -> Option<RawFd> {
        self.far.as_ref().map(|far| far.socket.as_raw_fd())
    }

    pub(super) fn near_ready(&mut self, event: &Event) {
        self.near.ready(event);
    }

    pub(super) fn far_ready(&mut self, event: &Event) {
        if let Some(far) = &mut self.far {
            far.ready(event);
        }
    }

    /// Changes what is done to it, from now on.
    pub(super) fn set(
        &mut self,
        now: Moment,
        (up, down, _): &(Vec<Named>, Vec<Named>, StreamKnobs),
    ) {
        self.up.pipe.set(now, up);
        self.down.pipe.set(now, down);
    }

    /// Resets both ends.
    pub(super) fn cut(&self) {
        reset(&self.near.socket);
        if let Some(far) = &self.far {
            reset(&far.socket);
        }
    }

    /// Does what can be done now.
    pub(super) fn turn(&mut self, turn: &mut Turn<'_>) -> After {
        match self.phase {
            Phase::Dialing { next, until } => self.dial(turn, next, until),
            Phase::Open => self.carry(turn),
            Phase::Closing { until } => self.linger(turn, until),
        }
    }

    /// Waits for the upstream's answer, and tries the next address if there is none.
    fn dial(&mut self, turn: &mut Turn<'_>, next: usize, until: Moment) -> After {
        if let Some(far) = &self.far {
            match dial::outcome(&far.socket) {
                Ok(true) => {
                    self.phase = Phase::Open;
                    return self.carry(turn);
                }
                Ok(false) if turn.now < until => return After::Wait(Some(until)),
                Ok(false) | Err(_) => self.far = None,
            }
        }
        for (index, address) in turn.upstream.iter().enumerate().skip(next) {
            match dial::tcp(*address) {
                Ok(socket) => {
                    self.far = Some(End { writable: false, readable: false, ..End::new(socket) });
                    let until = turn.now + DIAL_MAX;
                    self.phase = Phase::Dialing { next: index + 1, until };
                    return After::Register;
                }
                Err(failure) => tracing::debug!("{failure}"),
            }
        }
        reset(&self.near.socket);
        After::Ended(Ended::Unreachable)
    }

    fn carry(&mut self, turn: &mut Turn<'_>) -> After {
        let Some(far) = &mut self.far else { return After::Ended(Ended::Cut) };
        let counts = &mut *turn.counts;
        let mut tally = Tally {
            received: &mut counts.up_received_bytes,
            sent: &mut counts.up_sent_bytes,
            lateness: &mut counts.lateness,
        };
        let up = self.up.pass(&mut self.near, far, turn.now, turn.buffer, &mut tally);
        let mut tally = Tally {
            received: &mut counts.down_received_bytes,
            sent: &mut counts.down_sent_bytes,
            lateness: &mut counts.lateness,
        };
        let down = self.down.pass(far, &mut self.near, turn.now, turn.buffer, &mut tally);
        match (up, down) {
            (Passed::Reset, _) | (_, Passed::Reset) => {
                self.cut();
                After::Ended(Ended::Cut)
            }
            (Passed::Close, _) | (_, Passed::Close) => self.close(turn),
            _ if self.up.finished && self.down.finished => After::Ended(Ended::InOrder),
            (Passed::More, _) | (_, Passed::More) => After::More,
            (Passed::Wait(up), Passed::Wait(down)) => {
                After::Wait([up, down].into_iter().flatten().min())
            }
        }
    }

    /// Ends both directions in order. A close(2) with bytes unread would be a reset, which may
    /// overtake what was sent (RFC 1122, section 4.2.2.13): the ends' own FIN is waited for.
    fn close(&mut self, turn: &mut Turn<'_>) -> After {
        for end in [Some(&self.near), self.far.as_ref()].into_iter().flatten() {
            // It has ended already: that is what is wanted.
            let _ = end.socket.shutdown(Shutdown::Write);
        }
        self.phase = Phase::Closing { until: turn.now + LINGER };
        self.linger(turn, turn.now + LINGER)
    }

    fn linger(&mut self, turn: &mut Turn<'_>, until: Moment) -> After {
        let mut ended = true;
        for end in [Some(&mut self.near), self.far.as_mut()].into_iter().flatten() {
            // An end that has failed has nothing more to say.
            ended &= end.discard(turn.buffer).unwrap_or(true);
        }
        if ended || turn.now >= until {
            return After::Ended(Ended::InOrder);
        }
        let more = self.near.readable || self.far.as_ref().is_some_and(|far| far.readable);
        if more { After::More } else { After::Wait(Some(until)) }
    }
}

/// What a lane counts.
struct Tally<'a> {
    received: &'a mut u64,
    sent: &'a mut u64,
    lateness: &'a mut super::Lateness,
}

impl Lane {
    /// Moves bytes from one end through the pipe to the other, as far as it goes now.
    fn pass(
        &mut self,
        from: &mut End,
        to: &mut End,
        now: Moment,
        buffer: &mut [u8],
        tally: &mut Tally<'_>,
    ) -> Passed {
        for _ in 0..READS_PER_TURN {
            let wait = match self.send(to, now, tally) {
                Ok(wait) => wait,
                Err(verdict) => return verdict,
            };
            let room = self.pipe.room().min(buffer.len());
            if self.read_over || !from.readable || room == 0 {
                return Passed::Wait(wait);
            }
            let Some(space) = buffer.get_mut(..room) else { return Passed::Wait(wait) };
            match from.read(space) {
                Ok(None) => {}
                Ok(Some(0)) => {
                    self.read_over = true;
                    self.pipe.finish(now);
                }
                Ok(Some(count)) => {
                    *tally.received += count as u64;
                    let bytes = space.get(..count).unwrap_or_default();
                    if self.take(to, now, bytes, tally).is_err() {
                        return Passed::Reset;
                    }
                }
                // The source was reset: so is the other end.
                Err(_) => return Passed::Reset,
            }
        }
        Passed::More
    }

    /// Hands bytes to the pipe; where nothing happens to them, straight to the other end.
    fn take(
        &mut self,
        to: &mut End,
        now: Moment,
        bytes: &[u8],
        tally: &mut Tally<'_>,
    ) -> io::Result<()> {
        let mut taken = 0;
        if self.pipe.is_plain() && to.writable {
            taken = to.write(bytes)?;
            *tally.sent += taken as u64;
        }
        match bytes.get(taken..) {
            None | Some([]) => {}
            Some(rest) => self.pipe.handle(now, rest),
        }
        Ok(())
    }

    /// Sends what is due; until when there is nothing to send.
    fn send(
        &mut self,
        to: &mut End,
        now: Moment,
        tally: &mut Tally<'_>,
    ) -> Result<Option<Moment>, Passed> {
        loop {
            match self.pipe.poll(now) {
                Output::Send(..) if !to.writable => return Ok(None),
                Output::Send(due, bytes) => {
                    // The other end is gone: nothing can reach it any more.
                    let count = to.write(bytes).map_err(|_| Passed::Reset)?;
                    if count > 0 && due < now {
                        tally.lateness.note(due, now);
                    }
                    *tally.sent += count as u64;
                    self.pipe.sent(count);
                }
                Output::Wait(moment) => return Ok(Some(moment)),
                Output::Idle => return Ok(None),
                Output::Finish => {
                    self.finished = true;
                    if to.socket.shutdown(Shutdown::Write).is_err() {
                        return Err(Passed::Reset);
                    }
                }
                Output::Close => return Err(Passed::Close),
                Output::Reset => return Err(Passed::Reset),
            }
        }
    }
}

/// Makes the close of a socket a reset (SO_LINGER of 0, socket(7)).
fn reset(socket: &Socket) {
    // Where it cannot be set the socket is gone already.
    let _ = socket.set_linger(Some(Duration::ZERO));
}
