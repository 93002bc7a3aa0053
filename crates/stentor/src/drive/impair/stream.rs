//! Streams through a proxy: the door, and for each client a connection with two pipes.
//!
//! Both ends are non-blocking and edge-triggered: what may be readable or writable is remembered
//! until the kernel says no. TCP is terminated on both sides; what the pipes do to the bytes is
//! decided in core.

use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use mio::event::Event;
use socket2::Socket;
use stentor_core::link::stream::{BUFFER_MAX, Named, Output, Pipe, StreamKnobs};
use stentor_core::moment::Moment;
use stentor_core::seed::Seed;
use stentor_os::net::{dial, listener};

use super::tally::StreamCounts;
use super::{Before, Id, Lookup};

/// Reads of one direction before the others have their turn.
const READS_PER_TURN: usize = 16;
/// How long the addresses of a name serve clients that come.
const NAME_FRESH: Duration = Duration::from_secs(1);
/// How long an upstream address may take to answer a SYN, and its name to be found.
const DIAL_MAX: Duration = Duration::from_secs(30);
/// How long to wait before the next attempt when descriptors or memory are exhausted.
pub(super) const PAUSE: Duration = Duration::from_millis(50);
/// After a close in order: how long to wait for the ends' own FIN.
const LINGER: Duration = Duration::from_secs(2);

/// Where clients come in.
pub(super) struct Door {
    pub(super) socket: Socket,
    upstream: Vec<SocketAddr>,
    naming: Naming,
    pub(super) rules: (Vec<Named>, Vec<Named>, Before),
    pub(super) counts: StreamCounts,
    seed: Seed,
    name: String,
    /// Connections so far: each rolls dice of its own.
    serial: u64,
}

impl Door {
    pub(super) fn new(
        socket: Socket,
        (upstream, lookup): (Vec<SocketAddr>, Option<Lookup>),
        seed: Seed,
        name: &str,
        rules: (Vec<Named>, Vec<Named>, Before),
    ) -> Door {
        let (counts, naming) = (StreamCounts::default(), Naming::new(lookup));
        Door { socket, upstream, naming, rules, counts, seed, name: name.to_owned(), serial: 0 }
    }

    /// Leads what comes from now on, and what waits for it, to these addresses.
    pub(super) fn lead(&mut self, upstream: Vec<SocketAddr>, now: Moment) {
        self.upstream = upstream;
        self.naming.answered(now);
    }

    /// What a turn of one of its connections works with.
    pub(super) fn turn<'a>(&'a mut self, now: Moment, buffer: &'a mut [u8]) -> Turn<'a> {
        let upstream = (!self.naming.asking).then_some(self.upstream.as_slice());
        Turn { now, buffer, counts: &mut self.counts, upstream }
    }

    /// What becomes of a client: a connection that is being led on, or `None` if it was refused.
    pub(super) fn admit(&mut self, id: Id, near: Socket, now: Moment) -> Option<Connection> {
        self.serial += 1;
        self.counts.accepted += 1;
        let Before { refuse, delay } = self.rules.2;
        let chance = StreamKnobs { refuse, ..StreamKnobs::default() };
        if chance.refuses(self.seed, &self.name, self.serial) {
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
                blocked: false,
                reset: false,
                taking_since: now,
            }
        };
        self.counts.open += 1;
        self.naming.ask(id, now);
        let called = now + delay;
        Some(Connection {
            near: End::new(near),
            far: None,
            phase: if delay.is_zero() { Phase::begin(now) } else { Phase::Held { until: called } },
            up: pipe(&self.rules.0, "up"),
            down: pipe(&self.rules.1, "down"),
        })
    }
}

/// The name of an upstream: who finds its addresses, and when that was done last.
#[derive(Debug)]
pub(super) struct Naming {
    lookup: Option<Lookup>,
    asking: bool,
    answered: Option<Moment>,
}

impl Naming {
    pub(super) const fn new(lookup: Option<Lookup>) -> Naming {
        Naming { lookup, asking: false, answered: None }
    }

    /// Asks, if there is a name, and what is known of it is old.
    pub(super) fn ask(&mut self, id: Id, now: Moment) {
        let old = self.answered.is_none_or(|at| now.since(at) > NAME_FRESH);
        if let Some(Lookup(lookup)) = self.lookup.as_ref().filter(|_| old && !self.asking) {
            self.asking = true;
            lookup(id);
        }
    }

    pub(super) fn answered(&mut self, now: Moment) {
        (self.asking, self.answered) = (false, Some(now));
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
    /// Accepted, and by a rule not led on before this moment.
    Held {
        until: Moment,
    },
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

impl Phase {
    fn begin(now: Moment) -> Phase {
        Phase::Dialing { next: 0, until: now + DIAL_MAX }
    }
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
    /// It has been read: nothing comes any more, and no event should make anybody look.
    read_over: bool,
    /// The kernel told of an error; bytes that came before it may still be read.
    failed: bool,
    /// It was reset: nothing comes from it, nothing reaches it.
    dead: bool,
}

/// One direction.
struct Lane {
    pipe: Pipe,
    /// The source's FIN or RST is in the pipe.
    read_over: bool,
    /// The end has been passed on.
    finished: bool,
    /// The other end takes nothing now.
    blocked: bool,
    /// The source's RST is in the pipe.
    reset: bool,
    /// Since when it has taken everything: what was due before was late by its fault, not by ours.
    taking_since: Moment,
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
    /// `None` while its name is being looked up.
    pub(super) upstream: Option<&'a [SocketAddr]>,
}

impl End {
    fn new(socket: Socket) -> End {
        let (closed, read_over, failed, dead) = (false, false, false, false);
        End { socket, readable: true, writable: true, closed, read_over, failed, dead }
    }

    fn ready(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.readable &= !self.read_over;
        self.failed |= event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        self.closed |= event.is_read_closed();
    }

    /// Reads once; `None` if there is nothing now.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match io::Read::read(&mut &self.socket, buffer) {
            Ok(count) => {
                // Everything there was has been read, unless a FIN came with it (epoll(7)).
                self.read_over = count == 0;
                self.readable = !self.read_over && (count == buffer.len() || self.closed);
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => {
                (self.readable, self.read_over, self.dead) = (false, true, true);
                Err(error)
            }
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
            Err(error) => {
                self.dead = true;
                Err(error)
            }
        }
    }

    /// Throws away what has come, up to a fair share; how many bytes.
    fn discard(&mut self, buffer: &mut [u8]) -> u64 {
        let mut thrown = 0;
        for _ in 0..READS_PER_TURN {
            if !self.readable || self.read_over {
                break;
            }
            // An end that has failed has nothing more to say, and is known to be dead.
            thrown += self.read(buffer).ok().flatten().unwrap_or_default() as u64;
        }
        thrown
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
    pub(super) fn set(&mut self, now: Moment, (up, down, _): &(Vec<Named>, Vec<Named>, Before)) {
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
            Phase::Held { until } if turn.now < until => After::Wait(Some(until)),
            Phase::Held { .. } => {
                self.phase = Phase::begin(turn.now);
                self.turn(turn)
            }
            Phase::Dialing { next, until } => self.dial(turn, next, until),
            Phase::Open => self.carry(turn),
            Phase::Closing { until } => self.linger(turn, until),
        }
    }

    /// Waits for the upstream's answer, and tries the next address if there is none.
    fn dial(&mut self, turn: &mut Turn<'_>, next: usize, until: Moment) -> After {
        // A client that only sent its FIN still wants its answer; one that was reset does not.
        if self.near.failed {
            self.cut();
            return After::Ended(Ended::Cut);
        }
        if let Some(far) = &mut self.far {
            match dial::outcome(&far.socket) {
                Ok(true) => {
                    self.phase = Phase::Open;
                    return self.carry(turn);
                }
                Ok(false) if turn.now < until => return After::Wait(Some(until)),
                // It did answer, and what it said before its reset is still there: a SYN is refused
                // by other errors (connect(2)).
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                    ) =>
                {
                    far.failed = true;
                    far.readable = true;
                    self.phase = Phase::Open;
                    return self.carry(turn);
                }
                Ok(false) | Err(_) => self.far = None,
            }
        }
        let addresses = match turn.upstream {
            Some(addresses) => addresses,
            None if turn.now < until => return After::Wait(Some(until)),
            None => &[],
        };
        for (index, address) in addresses.iter().enumerate().skip(next) {
            match dial::tcp(*address) {
                Ok(socket) => {
                    self.far = Some(End { writable: false, readable: false, ..End::new(socket) });
                    let until = turn.now + DIAL_MAX;
                    self.phase = Phase::Dialing { next: index + 1, until };
                    return After::Register;
                }
                // That is our lack, not the upstream's: the client waits as in a backlog.
                Err(failure) if listener::is_exhausted(&failure.error) => {
                    turn.counts.exhausted += 1;
                    self.phase = Phase::Dialing { next: index, until };
                    return After::Wait(Some(turn.now + PAUSE));
                }
                Err(failure) => tracing::debug!("{failure}"),
            }
        }
        reset(&self.near.socket);
        After::Ended(Ended::Unreachable)
    }

    fn carry(&mut self, turn: &mut Turn<'_>) -> After {
        let Some(far) = &mut self.far else { return After::Ended(Ended::Cut) };
        self.up.resets(&mut self.near, turn.now);
        self.down.resets(far, turn.now);
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
            _ if self.near.dead && self.far.as_ref().is_none_or(|far| far.dead) => {
                After::Ended(Ended::Cut)
            }
            _ if self.up.finished && self.down.finished => {
                // A rule may have ended a direction before its source did.
                let over = self.up.read_over && self.down.read_over;
                if over { After::Ended(Ended::InOrder) } else { self.close(turn) }
            }
            // A write may have shown that an end is dead: the other one is to hear of it.
            _ if self.is_unheard() => After::More,
            (Passed::More, _) | (_, Passed::More) => After::More,
            (Passed::Wait(up), Passed::Wait(down)) => {
                After::Wait([up, down].into_iter().flatten().min())
            }
        }
    }

    /// Whether an end was reset, and the pipe away from it does not know.
    fn is_unheard(&self) -> bool {
        let far = self.far.as_ref().is_some_and(|far| far.dead);
        (self.near.dead && !self.up.reset) || (far && !self.down.reset)
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
            end.discard(turn.buffer);
            ended &= end.read_over;
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
    /// Lets the reset of its source into the pipe, which passes it on as late as bytes. A source
    /// from which nothing is read any more tells of it by an event alone.
    fn resets(&mut self, from: &mut End, now: Moment) {
        from.dead |= from.failed && from.read_over;
        if from.dead && !self.reset {
            (self.reset, self.read_over) = (true, true);
            self.pipe.reset(now);
        }
    }

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
            if self.finished && !self.read_over {
                // Ended by a rule: what the source still says is thrown away.
                *tally.received += from.discard(buffer);
                self.read_over = from.read_over;
                return if from.readable { Passed::More } else { Passed::Wait(wait) };
            }
            let room = self.pipe.room().min(buffer.len());
            if self.read_over || !from.readable || room == 0 {
                return Passed::Wait(wait);
            }
            let Some(space) = buffer.get_mut(..room) else { return Passed::Wait(wait) };
            match from.read(space) {
                Ok(None) => {}
                // Whoever asked first was told of the reset; after that it reads like an end.
                Ok(Some(0)) if from.failed || from.dead => {
                    from.dead = true;
                    self.resets(from, now);
                }
                Ok(Some(0)) => {
                    self.read_over = true;
                    self.pipe.finish(now);
                }
                Ok(Some(count)) => {
                    *tally.received += count as u64;
                    let bytes = space.get(..count).unwrap_or_default();
                    self.take(to, now, bytes, tally);
                }
                Err(_) => self.resets(from, now),
            }
        }
        Passed::More
    }

    /// Hands bytes to the pipe; where nothing happens to them, straight to the other end.
    fn take(&mut self, to: &mut End, now: Moment, bytes: &[u8], tally: &mut Tally<'_>) {
        let mut taken = 0;
        if self.pipe.is_plain() && to.writable && !to.dead {
            // If it is dead now, `send` finds that out.
            taken = to.write(bytes).unwrap_or(0);
            *tally.sent += taken as u64;
        }
        match bytes.get(taken..) {
            None | Some([]) => {}
            Some(rest) => self.pipe.handle(now, rest),
        }
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
                // The other end is gone: nothing can reach it any more.
                Output::Send(_, bytes) if to.dead => {
                    let count = bytes.len();
                    self.pipe.sent(count);
                }
                // A reset overtakes what could not be sent yet.
                Output::Send(..) if !to.writable => {
                    self.blocked = true;
                    if self.pipe.is_reset() {
                        return Err(Passed::Reset);
                    }
                    return Ok(self.pipe.due());
                }
                Output::Send(due, bytes) => {
                    if std::mem::take(&mut self.blocked) {
                        self.taking_since = now;
                    }
                    let count = to.write(bytes).unwrap_or(0);
                    if count > 0 && due < now && due >= self.taking_since {
                        tally.lateness.note(due, now);
                    }
                    *tally.sent += count as u64;
                    self.pipe.sent(count);
                }
                Output::Wait(moment) => return Ok(Some(moment)),
                Output::Idle => return Ok(None),
                Output::Finish => {
                    self.finished = true;
                    to.dead |= to.socket.shutdown(Shutdown::Write).is_err();
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;

    use stentor_core::link::stream::Toxic;
    use stentor_core::units::Probability;

    use super::*;

    fn end() -> (TcpStream, End) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let outside = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (inside, _) = listener.accept().unwrap();
        inside.set_nonblocking(true).unwrap();
        (outside, End::new(OwnedFd::from(inside).into()))
    }

    /// What sockets cannot show: whether the loop is asked to come back at once for nothing.
    #[test]
    fn an_end_that_is_over_asks_for_no_turn() {
        let toxic = Named {
            name: "truncate".to_owned(),
            toxic: Toxic::LimitData(1),
            toxicity: Probability(1.0),
        };
        let now = Moment::from_nanos(1);
        let (client, near) = end();
        let (mut server, far) = end();
        let lane = |toxics: &[Named]| Lane {
            pipe: Pipe::new(now, toxics, Seed(1), "test", BUFFER_MAX),
            read_over: false,
            finished: false,
            blocked: false,
            reset: false,
            taking_since: now,
        };
        let mut connection = Connection {
            near,
            far: Some(far),
            phase: Phase::Open,
            up: lane(&[]),
            down: lane(&[toxic]),
        };
        server.write_all(b"more").unwrap();
        let (mut counts, mut buffer) = (StreamCounts::default(), [0; 64]);
        let mut turn = |connection: &mut Connection| {
            let (buffer, counts) = (&mut buffer, &mut counts);
            connection.turn(&mut Turn { now, buffer, counts, upstream: Some(&[]) })
        };
        while !matches!(connection.phase, Phase::Closing { .. }) {
            if let Some(far) = &mut connection.far {
                far.readable = true;
            }
            assert!(!matches!(turn(&mut connection), After::Ended(_)));
        }
        client.shutdown(Shutdown::Write).unwrap();
        // As events would have it: there is something to read, and it is the end.
        while !connection.near.read_over {
            (connection.near.readable, connection.near.closed) = (true, true);
            turn(&mut connection);
        }
        assert_eq!(turn(&mut connection), After::Wait(Some(now + LINGER)));
        assert!(!connection.near.readable);
        drop(server);
        while !connection.far.as_ref().is_some_and(|far| far.read_over) {
            connection.far.iter_mut().for_each(|far| (far.readable, far.closed) = (true, true));
            turn(&mut connection);
        }
        assert_eq!(turn(&mut connection), After::Ended(Ended::InOrder));
    }
}
