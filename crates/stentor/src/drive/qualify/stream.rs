//! The streams of the measurement: connections, what is asked on them, and how they break.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use socket2::Socket;
use stentor_core::moment::Moment;
use stentor_core::qualify::probe::{Questions, QuestionsPlan, Stream, Wrong};
use stentor_os::failure::describe;

use super::outcome::{Kind, Outcome, Tcp, Trouble};
use super::pace::Pacer;
use super::phase::{Ended, Phase};
use super::{Plan, now};
use crate::complaint::{Complaint, Exit};
use crate::drive::race::{self, Options};

/// Bytes of a small message, and its answer: a line.
const MESSAGE: usize = 64;
/// From one small message to the next.
const MESSAGE_EVERY: Duration = Duration::from_millis(5);
/// Bytes of a transaction, each way (ITU-T G.1010 speaks of some 10 kB).
const TRANSACTION: usize = 10_000;
/// Transactions at most, and at least where time is short.
const TRANSACTIONS: u64 = 20;
/// Bytes of one read.
const READ: usize = 64 << 10;
/// Reads before others have their turn.
const READS: usize = 16;

/// Hears what came, and when; refuses what is wrong.
type Take<'a> = dyn FnMut(Moment, &[u8]) -> Result<(), Wrong> + 'a;

/// A connection, and what the kernel has not taken yet.
pub(super) struct Line {
    pub(super) socket: Socket,
    letters: Arc<Stream>,
    waiting: Vec<u8>,
    full: bool,
    buffer: Vec<u8>,
}

impl Line {
    fn new(socket: Socket, letters: Arc<Stream>) -> Line {
        Line { socket, letters, waiting: Vec::new(), full: false, buffer: vec![0; READ] }
    }

    /// Whether it waits for room.
    pub(super) const fn is_full(&self) -> bool {
        self.full
    }

    /// Takes what has come.
    pub(super) fn receive(&mut self, take: &mut Take<'_>) -> Result<(), Trouble> {
        for _ in 0..READS {
            match self.socket.read(&mut self.buffer) {
                Ok(0) => return Err(Trouble::closed()),
                Ok(length) => {
                    let bytes = self.buffer.get(..length).unwrap_or_default();
                    take(now(), bytes).map_err(Trouble::wrong)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Trouble::broken("recv", &error)),
            }
        }
        Ok(())
    }

    /// Puts the stream's bytes of a stretch behind what waits.
    pub(super) fn queue(&mut self, position: u64, length: usize) {
        self.letters.write(position, length, &mut self.waiting);
    }

    /// Sends what waits, as much as the kernel takes; how much that was.
    pub(super) fn flush(&mut self) -> Result<usize, Trouble> {
        let mut taken = 0;
        while !self.waiting.is_empty() {
            match self.socket.write(&self.waiting) {
                Ok(length) => {
                    self.waiting.drain(..length);
                    taken += length;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Trouble::broken("send", &error)),
            }
        }
        self.full = !self.waiting.is_empty();
        Ok(taken)
    }

    /// Offers a stretch of the stream; how much of it the kernel took. The rest is not kept.
    pub(super) fn offer(&mut self, position: u64, length: usize) -> Result<usize, Trouble> {
        self.waiting.clear();
        self.queue(position, length);
        let taken = self.flush();
        self.waiting.clear();
        taken
    }

    /// Ends it at once: what is on its way is not worth waiting for.
    pub(super) fn abort(self) {
        // SO_LINGER of 0 makes close(2) send RST; without it the end is only slower.
        let _ = self.socket.set_linger(Some(Duration::ZERO));
    }
}

/// The connection of the small messages, and how others are opened.
pub(super) struct Streams {
    pub(super) line: Line,
    pub(super) letters: Arc<Stream>,
}

impl Streams {
    /// Connects; `None`, with the reason in `tcp`, if nobody is there.
    pub(super) fn open(
        plan: &Plan,
        pacer: &mut Pacer<'_>,
        tcp: &mut Option<Tcp>,
    ) -> Result<Option<Streams>, Complaint> {
        let tcp = tcp.insert(Tcp::default());
        let letters = Arc::new(Stream::new(plan.seed));
        let socket = connect(plan, pacer, tcp)?;
        Ok(socket.map(|socket| Streams { line: Line::new(socket, letters.clone()), letters }))
    }

    /// Opens another connection.
    pub(super) fn another(
        &self,
        plan: &Plan,
        pacer: &mut Pacer<'_>,
        tcp: &mut Tcp,
    ) -> Result<Option<Line>, Complaint> {
        let socket = connect(plan, pacer, tcp)?;
        Ok(socket.map(|socket| Line::new(socket, self.letters.clone())))
    }

    /// Small messages until a moment.
    pub(super) fn questions<'s>(letters: &'s Stream, until: Moment, plan: &Plan) -> Questions<'s> {
        let questions = QuestionsPlan {
            length: MESSAGE,
            interval: MESSAGE_EVERY,
            until,
            count: u64::MAX,
            patience: plan.timeout,
        };
        Questions::new(now(), questions, letters)
    }

    /// 10 kB there and back, each time on a new connection.
    pub(super) fn transactions(
        &self,
        span: Duration,
        plan: &Plan,
        pacer: &mut Pacer<'_>,
        outcome: &mut Outcome,
    ) -> Result<Ended, Complaint> {
        let Some(tcp) = &mut outcome.tcp else { return Ok(Ended::Over) };
        let end = now() + span;
        let mut done = 0;
        while done < TRANSACTIONS && (done == 0 || now() < end) {
            let began = now();
            let Some(mut line) = self.another(plan, pacer, tcp)? else {
                return Ok(if pacer.interrupted() { Ended::Interrupted } else { Ended::Over });
            };
            let question = QuestionsPlan {
                length: TRANSACTION,
                interval: Duration::ZERO,
                until: Moment::from_nanos(u64::MAX),
                count: 1,
                patience: plan.timeout,
            };
            let mut question = Questions::new(now(), question, &self.letters);
            let mut phase = Phase::new("transactions");
            phase.questions = Some((&mut line, &mut question));
            let ended = phase.run(pacer)?;
            let trouble = phase.trouble.take();
            let took = now().since(began);
            let failed = trouble.is_some();
            tcp.count(&question, failed);
            if ended == Ended::Interrupted {
                return Ok(ended);
            }
            if failed {
                tcp.trouble = trouble;
                return Ok(Ended::Over);
            }
            tcp.transactions.record(took);
            done += 1;
        }
        Ok(Ended::Over)
    }
}

/// A connection that does not block; `None`, with the reason in `tcp`, if there is none.
fn connect(plan: &Plan, pacer: &mut Pacer<'_>, tcp: &mut Tcp) -> Result<Option<Socket>, Complaint> {
    let interrupts = Some(pacer.interrupts());
    let options = Options { timeout: plan.timeout, source_port: None, interrupts };
    let began = now();
    match race::connect(&plan.tcp, options) {
        Ok(raced) => {
            tcp.connects.record(now().since(began));
            let ready = raced.socket.set_nonblocking(true);
            ready
                .and_then(|()| raced.socket.set_tcp_nodelay(true))
                .map_err(|error| Complaint::from(error_of(&raced.peer, error)))?;
            Ok(Some(raced.socket))
        }
        Err(complaint) if complaint.exit == Exit::Interrupted => {
            // The signal was taken by the race: the caller must hear of it.
            pacer.note_interrupt();
            Ok(None)
        }
        Err(complaint) => {
            let first = tcp.connects.is_empty();
            let kind = if first { Kind::Refused } else { Kind::Broken };
            let (what, next) = (complaint.what, complaint.next);
            let what = if first { format!("TCP does not answer: {what}") } else { what };
            tcp.trouble = Some(Trouble { kind, what, next });
            Ok(None)
        }
    }
}

fn error_of(peer: &std::net::SocketAddr, error: std::io::Error) -> stentor_os::failure::Failure {
    stentor_os::failure::Failure::new("fcntl", format!("tcp {peer}"), error)
}

impl Tcp {
    /// Adds the bytes of questions; `broken`: what is missing will not come.
    pub(super) fn count(&mut self, questions: &Questions<'_>, broken: bool) {
        self.sent_bytes += questions.sent_bytes();
        self.verified_bytes += questions.verified_bytes();
        self.form = questions.form().or(self.form);
        match broken {
            true => self.missing_bytes += questions.missing_bytes(),
            false => self.unawaited_bytes += questions.missing_bytes(),
        }
    }
}

impl Trouble {
    fn wrong(wrong: Wrong) -> Trouble {
        Trouble {
            kind: Kind::Wrong,
            what: format!(
                "TCP answers wrongly: byte {} is neither what was sent nor its capital",
                wrong.at
            ),
            next: "Measure against a service that echoes or upper-cases: stentor serve.".to_owned(),
        }
    }

    fn closed() -> Trouble {
        Trouble {
            kind: Kind::Broken,
            what: "TCP answers in part: the service closed the connection in the middle".to_owned(),
            next: "Measure against a service that answers a whole stream: stentor serve."
                .to_owned(),
        }
    }

    fn broken(operation: &'static str, error: &std::io::Error) -> Trouble {
        Trouble {
            kind: Kind::Broken,
            what: format!("TCP broke off: {operation}: {}", describe(error)),
            next: "The service has ended, or the path has cut the connection.".to_owned(),
        }
    }

    /// So many bytes were waited for in vain.
    pub(super) fn silent(missing: u64, sent: u64) -> Trouble {
        Trouble {
            kind: Kind::Silent,
            what: format!("TCP fell silent: {missing} of {sent} bytes did not come back"),
            next: "-w waits longer; a service that answers at the end of a stream only cannot be \
                   measured."
                .to_owned(),
        }
    }
}
