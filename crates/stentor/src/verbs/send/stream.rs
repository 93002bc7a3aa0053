//! One conversation over a stream: reading and writing at the same time, so that it never
//! deadlocks however small the buffers between here and the server are.
//!
//! Memory is constant: what was read from one side is written to the other before more is read.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::Socket;
use stentor_core::exchange::stream::{Verdict, Verifier};
use stentor_core::moment::Moment;
use stentor_core::timeline::{Lane, What, excerpt};
use stentor_os::failure::Failure;
use stentor_os::net::poll::{self, Watch};
use stentor_os::net::tcp_info::tcp_info;
use stentor_os::signal::Interrupts;

use super::open;
use super::plan::{Plan, Source, Split};
use super::sink::Sink;
use super::told::{Closer, Told};
use crate::complaint::{Complaint, Exit};
use crate::drive::race;

/// Bytes read at once; larger gains nothing over loopback, smaller costs system calls.
const BUFFER: usize = 256 * 1024;

/// How long a server that has answered everything may take to close its side before we leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// How many bytes of a wrong answer are still taken beyond what was owed.
const SURPLUS_MAX: u64 = 64 * 1024;

/// Carries out a plan over TCP or a unix socket.
pub(super) fn converse(
    plan: &Plan,
    interrupts: &Interrupts,
    sink: Sink,
    told: &mut Told,
) -> Result<(), Complaint> {
    let socket = open::stream(plan, interrupts, told)?;
    let fail = |error| Failure::new("setsockopt", &told.peer, error);
    socket.set_nonblocking(true).map_err(fail)?;
    if open::is_tcp(plan) && (plan.chunk.is_some() || !plan.splits.is_empty()) {
        // Without it the kernel would join our pieces again (Nagle, RFC 896).
        socket.set_tcp_nodelay(true).map_err(fail)?;
    }
    let input = Input::of(&plan.source)?;
    let mut stream = Stream {
        plan,
        interrupts,
        socket,
        input,
        sink,
        verifier: plan.verify.map(Verifier::new),
        gate: Gate { splits: &plan.splits, chunk: plan.chunk, open_at: Moment::START },
        told,
        buffer: vec![0; BUFFER],
        fin_sent: false,
        fin_received: false,
        broken: None,
        quiet_since: None,
    };
    stream.gate.passed(0, race::now());
    let end = stream.drive()?;
    stream.close(&end)
}

/// Why the loop ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The server closed its side, or the connection broke.
    Closed,
    /// Everything owed has come.
    Answered,
    /// A wrong answer goes on and on.
    Flooded,
    /// The server let the time pass.
    Silent,
    /// A signal came.
    Interrupted,
}

struct Stream<'a> {
    plan: &'a Plan,
    interrupts: &'a Interrupts,
    told: &'a mut Told,
    socket: Socket,
    input: Input,
    sink: Sink,
    verifier: Option<Verifier>,
    gate: Gate<'a>,
    buffer: Vec<u8>,
    fin_sent: bool,
    fin_received: bool,
    broken: Option<Failure>,
    /// Since when only the server could go on, and did not.
    quiet_since: Option<Moment>,
}

impl Stream<'_> {
    fn drive(&mut self) -> Result<End, Complaint> {
        loop {
            let now = race::now();
            self.say_no_more(now);
            if let Some(end) = self.end(now) {
                return Ok(end);
            }
            let room = self.gate.room(self.told.sent, now);
            let sending = self.input.unsent() > 0;
            let idle = !sending && !self.input.over && self.broken.is_none();
            let pending = self.sink.pending().is_some();
            let mut watches = vec![
                Watch::new(self.interrupts.as_fd(), true, false),
                Watch::new(self.socket.as_fd(), !pending, sending && room.is_some()),
            ];
            watches.extend(self.input.file.as_ref().map(|f| Watch::new(f.as_fd(), idle, false)));
            watches.extend(self.sink.pending().map(|fd| Watch::new(fd, false, true)));
            poll::wait(&mut watches, self.patience(now))
                .map_err(|error| Failure::new("poll", &self.told.peer, error))?;
            let ready: Vec<(bool, bool)> =
                watches.iter().map(|watch| (watch.readable, watch.writable)).collect();
            if race::interrupted(Some(self.interrupts)) {
                return Ok(End::Interrupted);
            }
            let now = race::now();
            let socket = ready.get(1).copied().unwrap_or_default();
            let input = ready.get(2).is_some_and(|input| input.0);
            if pending && ready.last().is_some_and(|output| output.1) {
                self.sink.flush_once()?;
            }
            if input {
                self.input.fill()?;
            }
            if socket.1 || input {
                self.send(now);
            }
            if socket.0 {
                self.receive(now);
            }
        }
    }

    /// Sends a FIN once the input is at its end, if the plan says so; tells the verifier.
    fn say_no_more(&mut self, now: Moment) {
        let done = self.input.over && self.input.unsent() == 0;
        if done && self.plan.half_close && !self.fin_sent && self.broken.is_none() {
            self.fin_sent = true;
            if let Some(verifier) = &mut self.verifier {
                verifier.ended();
            }
            // ENOTCONN: the server has reset the connection; the next read says so.
            let outcome = match self.socket.shutdown(Shutdown::Write) {
                Ok(()) => "0".to_owned(),
                Err(error) => stentor_os::failure::describe(&error),
            };
            self.told.closed_first.get_or_insert(Closer::Client);
            self.told.witness.call(now, "shutdown", "SHUT_WR", &outcome);
            self.told.witness.signal(now, Lane::Client, "FIN");
        }
    }

    /// Bytes owed that have not come.
    fn owing(&self) -> u64 {
        self.verifier.as_ref().map_or(0, |v| v.owed_bytes().saturating_sub(v.come_bytes()))
    }

    /// Whether the conversation is over.
    fn end(&mut self, now: Moment) -> Option<End> {
        if self.sink.pending().is_some() {
            // Nothing is judged before it is handed on; and it is not the server that lingers.
            self.quiet_since = None;
            return None;
        }
        if self.fin_received {
            return Some(End::Closed);
        }
        let surplus = |v: &Verifier| {
            v.is_wrong() && v.come_bytes() > v.owed_bytes().saturating_add(SURPLUS_MAX)
        };
        if self.verifier.as_ref().is_some_and(surplus) {
            return Some(End::Flooded);
        }
        let sending = self.input.unsent() > 0;
        let asked = self.input.over && !sending;
        let answered = self.verifier.is_some() && self.owing() == 0 && asked;
        if answered && !self.fin_sent {
            return Some(End::Answered);
        }
        let paused = sending && self.gate.room(self.told.sent, now).is_none();
        if paused || !(sending || asked || self.owing() > 0) {
            self.quiet_since = None;
            return None;
        }
        let since = *self.quiet_since.get_or_insert(now);
        if now.since(since) < self.limit(answered) {
            return None;
        }
        Some(if answered { End::Answered } else { End::Silent })
    }

    /// How long the server may be silent.
    fn limit(&self, answered: bool) -> Duration {
        if answered { FAREWELL.min(self.plan.timeout) } else { self.plan.timeout }
    }

    /// How long the loop may sleep.
    fn patience(&self, now: Moment) -> Option<Duration> {
        let answered = self.owing() == 0 && self.verifier.is_some() && self.fin_sent;
        let quiet = self.quiet_since.map(|since| (since + self.limit(answered)).since(now));
        let paused = (self.input.unsent() > 0 && self.gate.open_at > now)
            .then(|| self.gate.open_at.since(now));
        [quiet, paused].into_iter().flatten().min()
    }

    fn send(&mut self, now: Moment) {
        let Some(room) = self.gate.room(self.told.sent, now) else { return };
        let piece = self.input.next(room);
        if piece.is_empty() {
            return;
        }
        match (&self.socket).write(piece) {
            Ok(count) => {
                let taken = piece.get(..count).unwrap_or(piece);
                if let Some(verifier) = &mut self.verifier {
                    verifier.sent(taken);
                }
                self.told.count_sent(now, count);
                self.told.witness.moved(now, "send", piece.len(), Lane::Client, taken);
                self.input.start += count;
                self.gate.passed(self.told.sent, now);
                self.quiet_since = None;
            }
            Err(error) if again(&error) => {}
            // What the server said before it closed may still be there to be read.
            Err(error) => self.broke("send", error),
        }
    }

    fn receive(&mut self, now: Moment) {
        match (&self.socket).read(&mut self.buffer) {
            Ok(0) => {
                self.fin_received = true;
                self.told.closed_first.get_or_insert(Closer::Server);
                self.told.witness.signal(now, Lane::Server, "FIN");
                self.told.witness.call(now, "recv", &format!("{BUFFER} bytes"), "0");
            }
            Ok(count) => {
                let bytes = self.buffer.get(..count).unwrap_or(&self.buffer);
                if let Some(verifier) = &mut self.verifier {
                    verifier.came(bytes);
                }
                self.told.count_received(now, count);
                self.told.witness.moved(now, "recv", BUFFER, Lane::Server, bytes);
                self.sink.take(bytes);
                self.quiet_since = None;
            }
            Err(error) if again(&error) => {}
            Err(error) => {
                self.fin_received = true;
                self.told.closed_first.get_or_insert(Closer::Server);
                self.told.witness.signal(now, Lane::Server, "RST");
                self.broke("recv", error);
            }
        }
    }

    fn broke(&mut self, operation: &'static str, error: io::Error) {
        let failure = Failure::new(operation, &self.told.peer, error);
        let words = stentor_os::failure::describe(&failure.error);
        self.told.witness.call(race::now(), operation, "", &words);
        self.broken.get_or_insert(failure);
    }

    /// Asks the kernel for its facts, closes, and says what is wrong with the answer, if anything.
    fn close(mut self, end: &End) -> Result<(), Complaint> {
        self.sink.end();
        while self.sink.pending().is_some() && *end != End::Interrupted {
            self.sink.flush_once()?;
            if race::interrupted(Some(self.interrupts)) {
                return Err(self.interrupted());
            }
        }
        let now = race::now();
        if open::is_tcp(self.plan) {
            self.told.info = tcp_info(&self.socket).ok();
        }
        if let Some(info) = self.told.info {
            self.told.witness.say(now, What::State(info.state.name().to_owned()));
        }
        if self.plan.reset {
            let zero = Some(Duration::ZERO);
            self.socket
                .set_linger(zero)
                .map_err(|error| Failure::new("setsockopt", &self.told.peer, error))?;
            self.told.witness.call(now, "setsockopt", "SO_LINGER, 0 s", "0");
            self.told.witness.signal(now, Lane::Client, "RST");
        }
        self.told.witness.call(now, "close", "", "0");
        if matches!(end, End::Answered | End::Flooded | End::Silent) {
            self.told.closed_first.get_or_insert(Closer::Client);
        }
        self.told.ended = now;
        self.told.owed = self.verifier.as_ref().map(Verifier::owed_bytes);
        self.told.verified = self.verifier.as_ref().map(Verifier::right_bytes);
        let judged = self.judge(end);
        (self.told.answer, self.told.answer_whole) = self.sink.kept();
        judged.map_or(Ok(()), Err)
    }

    fn interrupted(&self) -> Complaint {
        let (peer, sent) = (&self.told.peer, self.told.sent);
        let what = format!("interrupted: {sent} bytes sent to {peer}, {} came", self.progress());
        Complaint::new(Exit::Interrupted, what, "")
    }

    /// `3 of 5 bytes owed`.
    fn progress(&self) -> String {
        match &self.verifier {
            Some(v) => format!("{} of {} bytes owed", v.come_bytes(), v.owed_bytes()),
            None => format!("{} bytes", self.told.received),
        }
    }

    /// What is wrong, if anything.
    fn judge(&mut self, end: &End) -> Option<Complaint> {
        if *end == End::Interrupted {
            return Some(self.interrupted());
        }
        let verdict = self.verifier.as_ref().map(Verifier::verdict);
        if let Some(wrong) = verdict.as_ref().and_then(|verdict| wrong(&self.told.peer, verdict)) {
            return Some(wrong);
        }
        let (peer, progress) = (&self.told.peer, self.progress());
        let complete = verdict == Some(Verdict::Complete);
        let bad = |what: String, next: &str| Some(Complaint::new(Exit::Bad, what, next));
        let left = self.input.is_left();
        if let Some(failure) = self.broken.as_ref().filter(|_| !complete || left) {
            let next = "The server ended the connection with something of ours unread, or crashed: \
                        it reads once, or takes less than was sent.";
            return bad(format!("{failure}, after {progress}"), next);
        }
        if *end == End::Silent && (self.told.received == 0 || self.verifier.is_some()) {
            let within = self.plan.timeout;
            let next = "It may wait for a newline or for the end of the input, or be busy with \
                        another client; -w waits longer.";
            return bad(format!("no answer from {peer} within {within:?}: {progress}"), next);
        }
        if left {
            let what = format!("{peer} closed before the end of the input: {progress}");
            return bad(what, "The server reads once, or stops early.");
        }
        if verdict == Some(Verdict::Short) {
            let next = "The server reads once, or stops early; --no-verify takes any answer.";
            let half = if self.told.received == 0 { "no answer" } else { "half an answer" };
            return bad(format!("{half} from {peer}: it closed after {progress}"), next);
        }
        if self.told.received == 0 && (self.told.sent > 0 || !self.fin_received) {
            return bad(format!("{peer}: nothing was answered"), "");
        }
        if self.broken.is_some() {
            self.told.warnings.push("the server reset the connection after its answer".into());
        } else if !self.fin_received && self.fin_sent {
            let waited = self.limit(complete);
            let warning = format!("the server had not closed its side after {waited:?}");
            self.told.warnings.push(warning);
        }
        None
    }
}

/// A complaint about an answer with wrong bytes.
fn wrong(peer: &str, verdict: &Verdict) -> Option<Complaint> {
    let what = match verdict {
        Verdict::Complete | Verdict::Short => return None,
        Verdict::Differs { at, expected, come } if expected.is_empty() => format!(
            "the answer of {peer} is longer than is owed: after {at} bytes came \"{}\"",
            excerpt(come)
        ),
        Verdict::Differs { at, expected, come } => format!(
            "the answer of {peer} is not the upper case of what was sent: from byte {at} on \
             (the first is 0) \"{}\" came instead of \"{}\"",
            excerpt(come),
            excerpt(expected)
        ),
        Verdict::DiffersWithin { block } => format!(
            "the answer of {peer} is not the upper case of what was sent: the first wrong byte is \
             between {block} and {}",
            block + 65_535
        ),
    };
    let next = "--case ascii if only a-z get capitals there; --no-verify takes any answer.";
    Some(Complaint::new(Exit::Bad, what, next))
}

/// Errors after which the same call may succeed later.
fn again(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.kind() == io::ErrorKind::Interrupted
}

/// What is still to be sent.
struct Input {
    /// `None` when everything is in the buffer from the beginning.
    file: Option<File>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// No more will come.
    over: bool,
}

impl Input {
    fn of(source: &Source) -> Result<Input, Complaint> {
        match source {
            Source::Message(message) => {
                let (buffer, end) = (message.clone(), message.len());
                Ok(Input { file: None, buffer, start: 0, end, over: true })
            }
            Source::Input | Source::Prompt => {
                let file = io::stdin().as_fd().try_clone_to_owned();
                let file = file.map_err(|e| Failure::new("dup", "standard input", e))?;
                let (file, buffer) = (Some(File::from(file)), vec![0; BUFFER]);
                Ok(Input { file, buffer, start: 0, end: 0, over: false })
            }
        }
    }

    fn unsent(&self) -> usize {
        self.end - self.start
    }

    fn next(&self, room: usize) -> &[u8] {
        let end = self.start.saturating_add(room).min(self.end);
        self.buffer.get(self.start..end).unwrap_or_default()
    }

    /// Reads once; called only when everything read before was sent.
    fn fill(&mut self) -> Result<(), Complaint> {
        let Some(file) = &mut self.file else { return Ok(()) };
        match file.read(&mut self.buffer) {
            Ok(0) => self.over = true,
            Ok(count) => (self.start, self.end) = (0, count),
            Err(error) if again(&error) => {}
            Err(error) => return Err(Failure::new("read", "standard input", error).into()),
        }
        Ok(())
    }

    /// Whether the input had more for the server; an open pipe with nothing in it has not.
    fn is_left(&mut self) -> bool {
        if self.unsent() > 0 || self.over {
            return self.unsent() > 0;
        }
        let Some(file) = &self.file else { return false };
        let mut watches = [Watch::new(file.as_fd(), true, false)];
        let ready = poll::wait(&mut watches, Some(Duration::ZERO)).is_ok()
            && watches.iter().any(|watch| watch.readable);
        ready && self.fill().is_ok() && self.unsent() > 0
    }
}

/// Decides how much the next `send` call may take.
struct Gate<'a> {
    /// In the order of the stream; those passed are dropped.
    splits: &'a [Split],
    chunk: Option<usize>,
    open_at: Moment,
}

impl Gate<'_> {
    /// The most bytes that may be sent now; `None` during a pause.
    fn room(&self, sent: u64, now: Moment) -> Option<usize> {
        if now < self.open_at {
            return None;
        }
        let until_split = self.splits.first().map(|split| split.at.saturating_sub(sent));
        let until_split = until_split.and_then(|bytes| usize::try_from(bytes).ok());
        Some(until_split.unwrap_or(usize::MAX).min(self.chunk.unwrap_or(usize::MAX)))
    }

    /// Begins the pauses that the stream has come to.
    fn passed(&mut self, sent: u64, now: Moment) {
        while let Some((split, rest)) = self.splits.split_first().filter(|(s, _)| s.at <= sent) {
            self.open_at = self.open_at.max(now) + split.gap;
            self.splits = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_stops_at_each_split_and_gives_chunks() {
        let ms = |ms| Moment::START + Duration::from_millis(ms);
        let split = |at, gap| Split { at, gap: Duration::from_millis(gap) };
        let splits = [split(5, 20), split(5, 10), split(9, 1)];
        let mut gate = Gate { splits: &splits, chunk: Some(3), open_at: Moment::START };
        assert_eq!(gate.room(0, ms(0)), Some(3));
        assert_eq!(gate.room(3, ms(0)), Some(2));
        gate.passed(3, ms(0));
        assert_eq!(gate.room(3, ms(0)), Some(2));
        gate.passed(5, ms(1));
        assert_eq!((gate.room(5, ms(30)), gate.room(5, ms(31))), (None, Some(3)));
        gate.passed(9, ms(40));
        assert_eq!((gate.room(9, ms(40)), gate.room(9, ms(41))), (None, Some(3)));
        assert!(gate.splits.is_empty());
    }
}
