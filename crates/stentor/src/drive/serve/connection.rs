//! One TCP (or unix) conversation on the readiness loop: read, answer, write, and what waits.
//!
//! What is answered is decided by the session in core; which connection has its turn, and when,
//! by the reactor. A connection owns a buffer only while a write is short.

use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::Socket;
use stentor_core::moment::Moment;
use stentor_core::service::counters::{CloseReason, Counters};
use stentor_core::service::fault::{Due, FaultyStream};
use stentor_core::service::limits::{Limits, READ_PLAIN, read_size};
use stentor_core::service::{Session, Then};
use stentor_os::net::datagrams::Batch;
use stentor_os::net::stream;

/// Buffers that every connection of a thread uses in its turn.
#[derive(Debug)]
pub(super) struct Hot {
    input: Vec<u8>,
    pub(super) spill: Vec<u8>,
    pub(super) batch: Batch,
    /// Where answers to datagrams are gathered.
    pub(super) copies: Vec<u8>,
}

impl Default for Hot {
    fn default() -> Hot {
        Hot {
            input: vec![0; READ_PLAIN],
            spill: Vec::new(),
            batch: Batch::default(),
            copies: Vec::new(),
        }
    }
}

/// What a turn needs besides the connection itself and the buffers.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) counters: &'a mut Counters,
    /// Bytes of all connections of the service that wait for slow readers.
    pub(super) stalled: &'a AtomicU64,
    pub(super) now: Moment,
    /// Whether to read until nothing is there, although a read brought less than it might.
    pub(super) read_on: bool,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing to do before the next event.
    Wait,
    /// A fault lets the answer go at this moment.
    At(Moment),
    /// There is more to read; others first.
    More,
    /// It is over.
    Closed(CloseReason),
}

/// Whether everything that was owed is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flushed {
    /// All of it.
    All,
    /// The kernel takes no more; it will say when it does.
    Blocked,
    /// A fault holds the rest back until then.
    Until(Moment),
    /// A fault wants a reset instead of an answer.
    Reset,
}

/// Whether a read left something behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// The socket is empty; more will be an event.
    AllThereWas,
    /// Only another read can tell.
    MaybeMore,
}

/// Reads of one connection before the others have their turn.
const READS_PER_TURN: usize = 8;

/// Where a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Both sides talk.
    Open,
    /// No more is read; what is owed is being sent, then it is over.
    Finishing,
    /// Our side is closed; what still comes is thrown away, so that close(2) sends no reset
    /// which would destroy the answer on its way (RFC 9293, section 3.6.1; RFC 1122, 4.2.2.13).
    Lingering,
}

/// One conversation: some forty bytes while nothing waits.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    session: Session,
    phase: Phase,
    /// Why it is ending, once it is.
    reason: CloseReason,
    /// Whether the last read filled its buffer.
    filled: bool,
    /// Whether the last read that filled its buffer was answered in place, and at once.
    plain: bool,
    /// When bytes last moved, in ticks.
    moved: Tick,
    waiting: Option<Box<Waiting>>,
    faulty: Option<Box<FaultyStream>>,
}

/// What a short write left behind.
#[derive(Debug, Default)]
struct Waiting {
    /// Answers, of which `sent` bytes are gone.
    output: Vec<u8>,
    sent: usize,
    /// What had been read behind them and is not yet answered.
    input: Vec<u8>,
}

impl Waiting {
    fn size(&self) -> u64 {
        (self.output.capacity() + self.input.capacity()) as u64
    }
}

/// Moments in 10 ms steps, of which 4 bytes go round in 497 days: only how long ago it was can be
/// asked, and of less than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tick(u32);

impl Tick {
    const STEP: u64 = 10_000_000;

    fn at(now: Moment) -> Tick {
        let steps = now.as_nanos() / Tick::STEP % (1 << 32);
        Tick(u32::try_from(steps).unwrap_or_default())
    }

    fn until(self, now: Moment) -> Duration {
        let steps = Tick::at(now).0.wrapping_sub(self.0);
        Duration::from_nanos(u64::from(steps) * Tick::STEP)
    }
}

impl Connection {
    pub(super) fn new(
        socket: Socket,
        session: Session,
        faulty: Option<FaultyStream>,
        now: Moment,
    ) -> Connection {
        Connection {
            socket,
            session,
            phase: Phase::Open,
            reason: CloseReason::ByClient,
            filled: false,
            plain: false,
            moved: Tick::at(now),
            waiting: None,
            faulty: faulty.map(Box::new),
        }
    }

    /// Does all there is to do, up to a fair share, and says what comes next.
    // All of a short request's way is compiled as one function: the calls would cost as much as
    // what they do.
    #[inline]
    pub(super) fn turn(&mut self, hot: &mut Hot, turn: &mut Turn<'_>) -> After {
        let mut heard = Ok(Heard::MaybeMore);
        if self.phase == Phase::Open && self.waiting.is_none() && self.faulty.is_none() {
            heard = self.hear(hot, turn);
            // Nearly always: one read, its answer, one write.
            if matches!(heard, Ok(Heard::AllThereWas)) {
                return After::Wait;
            }
        }
        let after = heard.and_then(|_| self.advance(hot, turn));
        after.unwrap_or_else(|error| After::Closed(broken(&error)))
    }

    #[inline(never)]
    fn advance(&mut self, hot: &mut Hot, turn: &mut Turn<'_>) -> io::Result<After> {
        for _ in 0..READS_PER_TURN {
            let flushed = self.flush(&mut hot.spill, turn)?;
            match (self.phase, flushed) {
                (_, Flushed::Blocked) => return Ok(After::Wait),
                (_, Flushed::Reset) => {
                    self.socket.set_linger(Some(Duration::ZERO))?;
                    return Ok(After::Closed(CloseReason::Fault));
                }
                // A fault holds answers back: what comes meanwhile is read while it has room.
                (Phase::Open, Flushed::Until(moment)) if self.read_max(turn) == 0 => {
                    return Ok(After::At(moment));
                }
                (Phase::Open, Flushed::Until(_) | Flushed::All) => {
                    if self.hear(hot, turn)? == Heard::AllThereWas {
                        match self.flush(&mut hot.spill, turn)? {
                            Flushed::Until(moment) => return Ok(After::At(moment)),
                            Flushed::Blocked => return Ok(After::Wait),
                            Flushed::All if self.phase == Phase::Open => return Ok(After::Wait),
                            // A fault has just ended it, and no event will say so.
                            Flushed::All | Flushed::Reset => {}
                        }
                    }
                }
                (_, Flushed::Until(moment)) => return Ok(After::At(moment)),
                (Phase::Finishing, Flushed::All) if self.reason == CloseReason::ByClient => {
                    return Ok(After::Closed(self.reason));
                }
                (Phase::Finishing, Flushed::All) => {
                    self.socket.shutdown(Shutdown::Write)?;
                    self.phase = Phase::Lingering;
                    self.moved = Tick::at(turn.now);
                }
                (Phase::Lingering, Flushed::All) => match self.read(&mut hot.input, turn)? {
                    Some([]) => return Ok(After::Closed(self.reason)),
                    Some(_) => {}
                    None => return Ok(After::Wait),
                },
            }
        }
        Ok(After::More)
    }

    /// The most bytes the next read may fetch: by contract, by size of buffer, by fault.
    #[inline]
    fn read_max(&self, turn: &Turn<'_>) -> usize {
        let size = match self.session.read_max() {
            None => read_size(self.filled, self.plain, turn.stalled.load(Ordering::Relaxed)),
            Some(most) => most,
        };
        self.faulty.as_ref().map_or(size, |faulty| size.min(faulty.read_max()))
    }

    /// Reads once and answers it. Only while both sides talk and nothing waits.
    #[inline(always)]
    fn hear(&mut self, hot: &mut Hot, turn: &mut Turn<'_>) -> io::Result<Heard> {
        let Hot { input, spill, .. } = hot;
        let Some(input) = self.read(input, turn)? else { return Ok(Heard::AllThereWas) };
        if input.is_empty() {
            self.hear_the_end(turn)?;
            return Ok(Heard::MaybeMore);
        }
        let all_answered = self.answer(input, spill, turn)?;
        // A read that did not fill the buffer emptied the socket, and the next byte is a new
        // event; but a FIN that came with these bytes is not.
        let more = self.filled || turn.read_on || !all_answered;
        Ok(if more { Heard::MaybeMore } else { Heard::AllThereWas })
    }

    /// The client has sent its FIN.
    #[inline(never)]
    fn hear_the_end(&mut self, turn: &mut Turn<'_>) -> io::Result<()> {
        let owed = self.session.finish().to_vec();
        let sent = self.give(&owed, turn)?;
        if let Some(unsent) = owed.get(sent..).filter(|unsent| !unsent.is_empty()) {
            self.keep(unsent.to_vec(), Vec::new(), turn);
        }
        self.finish(CloseReason::ByClient);
        Ok(())
    }

    /// Reads once into the hot buffer; `None` if nothing is there, nothing at the client's FIN.
    #[inline(always)]
    fn read<'b>(
        &mut self,
        buffer: &'b mut [u8],
        turn: &mut Turn<'_>,
    ) -> io::Result<Option<&'b mut [u8]>> {
        let size = self.read_max(turn);
        let buffer = buffer.get_mut(..size).unwrap_or_default();
        let Some(count) = attempt(|| stream::receive(&self.socket, buffer))? else {
            return Ok(None);
        };
        turn.counters.stream.received += count as u64;
        self.filled = count == size;
        if self.phase == Phase::Open {
            self.moved = Tick::at(turn.now);
        }
        Ok(buffer.get_mut(..count))
    }

    /// Lets the session answer `input` until the client takes no more; whether it took all, and
    /// both sides still talk. Only while they do and nothing waits.
    #[inline(always)]
    fn answer(
        &mut self,
        input: &mut [u8],
        spill: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) -> io::Result<bool> {
        match self.answer_piece(input, spill, turn)? {
            None => Ok(false),
            Some([]) => {
                if self.filled {
                    self.plain = spill.is_empty();
                }
                Ok(true)
            }
            Some(rest) => self.answer_rest(rest, spill, turn),
        }
    }

    /// The pieces after the first: of long input that is not ASCII.
    // Apart, or what the loop keeps ready would be made ready for the shortest request.
    #[inline(never)]
    fn answer_rest(
        &mut self,
        mut rest: &mut [u8],
        spill: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) -> io::Result<bool> {
        self.plain = false;
        while !rest.is_empty() {
            match self.answer_piece(rest, spill, turn)? {
                None => return Ok(false),
                Some(after) => rest = after,
            }
        }
        Ok(true)
    }

    /// Answers as much as the session takes at once; lends the rest, unless it has to wait.
    #[inline(always)]
    fn answer_piece<'b>(
        &mut self,
        input: &'b mut [u8],
        spill: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) -> io::Result<Option<&'b mut [u8]>> {
        let answer = self.session.feed(input, spill);
        let sent = self.give(answer.bytes, turn)?;
        let (taken, then) = (answer.taken, answer.then);
        if sent < answer.bytes.len() || then == Then::Close {
            let unsent = answer.bytes.get(sent..).unwrap_or_default().to_vec();
            self.stop_short(unsent, input.get(taken..).unwrap_or_default(), then, turn);
            return Ok(None);
        }
        Ok(Some(input.get_mut(taken..).unwrap_or_default()))
    }

    /// The last answer for now: it is the last of all, or part of it is `unsent`.
    #[cold]
    fn stop_short(&mut self, unsent: Vec<u8>, rest: &[u8], then: Then, turn: &mut Turn<'_>) {
        let close = then == Then::Close;
        self.plain = false;
        if close {
            self.finish(CloseReason::ByService);
        }
        if !unsent.is_empty() {
            self.keep(unsent, if close { Vec::new() } else { rest.to_vec() }, turn);
        }
    }

    /// Keeps what a short write left until the client takes it.
    #[cold]
    fn keep(&mut self, output: Vec<u8>, input: Vec<u8>, turn: &mut Turn<'_>) {
        let waiting = Waiting { output, sent: 0, input };
        turn.stalled.fetch_add(waiting.size(), Ordering::Relaxed);
        self.waiting = Some(Box::new(waiting));
    }

    /// Gives an answer to the client, or to the fault in between; returns how much was taken.
    #[inline]
    fn give(&mut self, answer: &[u8], turn: &mut Turn<'_>) -> io::Result<usize> {
        if let Some(faulty) = &mut self.faulty {
            faulty.handle(turn.now, answer);
            return Ok(answer.len());
        }
        self.write(answer, turn)
    }

    /// Writes once; 0 if the kernel takes nothing now.
    #[inline]
    fn write(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let sent = attempt(|| stream::send(&self.socket, bytes))?.unwrap_or(0);
        turn.counters.stream.sent += sent as u64;
        Ok(sent)
    }

    /// Writes what was read in an earlier turn.
    fn write_late(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> io::Result<usize> {
        let sent = self.write(bytes, turn)?;
        if sent > 0 {
            self.moved = Tick::at(turn.now);
        }
        Ok(sent)
    }

    /// Sends what waits, then what a fault has ready.
    // Inlined, since there is hardly ever anything.
    #[inline]
    fn flush(&mut self, spill: &mut Vec<u8>, turn: &mut Turn<'_>) -> io::Result<Flushed> {
        if self.waiting.is_none() && self.faulty.is_none() {
            return Ok(Flushed::All);
        }
        self.flush_what_waits(spill, turn)
    }

    #[inline(never)]
    fn flush_what_waits(
        &mut self,
        spill: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) -> io::Result<Flushed> {
        while let Some(mut waiting) = self.waiting.take() {
            let rest = waiting.output.get(waiting.sent..).unwrap_or_default();
            let written = self.write_late(rest, turn);
            waiting.sent += *written.as_ref().unwrap_or(&0);
            if written.is_err() || waiting.sent < waiting.output.len() {
                // Kept also when the client has gone: closing gives its share of `stalled` back.
                self.waiting = Some(waiting);
                return written.map(|_| Flushed::Blocked);
            }
            turn.stalled.fetch_sub(waiting.size(), Ordering::Relaxed);
            if self.phase == Phase::Open {
                self.answer(&mut waiting.input, spill, turn)?;
            }
        }
        let Some(mut faulty) = self.faulty.take() else { return Ok(Flushed::All) };
        let flushed = self.flush_faulty(&mut faulty, turn);
        self.faulty = Some(faulty);
        flushed
    }

    fn flush_faulty(
        &mut self,
        faulty: &mut FaultyStream,
        turn: &mut Turn<'_>,
    ) -> io::Result<Flushed> {
        loop {
            match faulty.poll(turn.now) {
                Due::Send(bytes) => {
                    let (owed, sent) = (bytes.len(), self.write_late(bytes, turn)?);
                    faulty.sent(turn.now, sent);
                    if sent < owed {
                        return Ok(Flushed::Blocked);
                    }
                }
                Due::Wait(moment) => return Ok(Flushed::Until(moment)),
                // A silent fault keeps the connection, even when the client has finished.
                Due::Idle if self.phase == Phase::Finishing => return Ok(Flushed::Blocked),
                Due::Idle => return Ok(Flushed::All),
                Due::Reset => return Ok(Flushed::Reset),
                Due::Close => {
                    if faulty.is_cut() {
                        self.finish(CloseReason::Fault);
                    }
                    return Ok(Flushed::All);
                }
            }
        }
    }

    /// Reads no more; what is owed is still sent. The first reason counts.
    fn finish(&mut self, reason: CloseReason) {
        if self.phase == Phase::Open {
            self.phase = Phase::Finishing;
            self.reason = reason;
            if let Some(faulty) = &mut self.faulty {
                faulty.end();
            }
        }
    }

    /// Whether nothing waits for the client and no byte has moved for `quiet`.
    pub(super) fn is_quiet(&self, now: Moment, quiet: Duration) -> bool {
        self.waiting.is_none() && self.moved.until(now) >= quiet
    }

    /// Ends an open conversation in order if no byte moved for `quiet`: the server is ending.
    /// Returns whether a turn is due.
    pub(super) fn drain(&mut self, now: Moment, quiet: Duration) -> bool {
        if !self.is_quiet(now, quiet) {
            return false;
        }
        let owes_nothing = self.faulty.as_ref().is_some_and(|faulty| faulty.queued() == 0);
        match self.phase {
            Phase::Open => self.finish(CloseReason::Drained),
            // Silent on purpose, and it would be for ever.
            Phase::Finishing if owes_nothing => {
                self.faulty = None;
                self.reason = CloseReason::Drained;
            }
            Phase::Finishing | Phase::Lingering => return false,
        }
        true
    }

    /// Why its time is up, if it is.
    pub(super) fn expired(&self, now: Moment, limits: &Limits) -> Option<CloseReason> {
        let (limit, reason) = match (self.phase, &self.waiting) {
            (Phase::Lingering, _) if self.reason == CloseReason::ByService => {
                (limits.after_fin, CloseReason::AfterFin)
            }
            (Phase::Lingering, _) => (limits.after_fin, self.reason),
            (_, Some(_)) => (limits.write_stall, CloseReason::WriteStall),
            // Finishing with nothing waiting: a fault holds the answer back, perhaps for long.
            (Phase::Open | Phase::Finishing, None) => (limits.idle, CloseReason::Idle),
        };
        (self.moved.until(now) >= limit).then_some(reason)
    }

    /// Bytes of ours that wait for this client.
    pub(super) fn stalled(&self) -> u64 {
        self.waiting.as_ref().map_or(0, |waiting| waiting.size())
    }
}

/// Makes a call again after a signal; `None` if the kernel would have to wait.
#[inline]
fn attempt(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What a failed call means for the conversation.
pub(super) fn broken(error: &io::Error) -> CloseReason {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    let gone = [BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected];
    if gone.contains(&error.kind()) { CloseReason::Reset } else { CloseReason::Error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use stentor_core::service::Contract;

    /// A turn at `now`, and the bytes that wait after it.
    fn turn(connection: &mut Connection, now: Moment, stalled: &AtomicU64) -> After {
        let (mut hot, mut counters) = (Hot::default(), Counters::default());
        let counters = &mut counters;
        connection.turn(&mut hot, &mut Turn { counters, stalled, now, read_on: true })
    }

    fn connected() -> (Connection, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let session = Session::new(Contract::default());
        (Connection::new(Socket::from(OwnedFd::from(ours)), session, None, Moment::START), theirs)
    }

    #[test]
    fn what_waited_for_a_client_that_has_gone_is_given_back() {
        let (mut connection, mut theirs) = connected();
        let stalled = AtomicU64::new(0);
        while stalled.load(Ordering::Relaxed) == 0 {
            while theirs.write(&[b'x'; 65_536]).is_ok() {}
            turn(&mut connection, Moment::START, &stalled);
        }
        drop(theirs);
        let after = turn(&mut connection, Moment::START, &stalled);
        assert_eq!(after, After::Closed(CloseReason::Reset));
        assert_eq!(
            stalled.load(Ordering::Relaxed),
            connection.stalled(),
            "closing takes it off the sum of all"
        );
    }

    #[test]
    fn silence_is_measured_across_the_turn_of_the_clock() {
        let (mut connection, mut theirs) = connected();
        let limits = Limits::new(1024);
        let turns = Moment::from_nanos(Tick::STEP << 32);
        for moved in [Moment::START + Duration::from_secs(5), turns, turns + Duration::from_secs(5)]
        {
            theirs.write_all(b"x").unwrap();
            turn(&mut connection, moved, &AtomicU64::new(0));
            let second = Duration::from_secs(1);
            assert_eq!(connection.expired(moved + (limits.idle - second), &limits), None);
            assert_eq!(connection.expired(moved + limits.idle, &limits), Some(CloseReason::Idle));
        }
    }
}
