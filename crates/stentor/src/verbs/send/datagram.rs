//! Questions over UDP, one at a time: each a datagram, each waited for, sent again, given up.
//!
//! When to send again and what a datagram is are decided in `stentor_core::exchange`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;

use socket2::Socket;
use stentor_core::casing::{Case, Upper};
use stentor_core::exchange::{Exchange, Input, Output, Policy};
use stentor_core::service::datagram::PAYLOAD_MAX;
use stentor_core::timeline::{Lane, What, excerpt};
use stentor_os::failure::{Failure, describe};
use stentor_os::net::poll::{self, Watch};
use stentor_os::signal::Interrupts;

use super::open;
use super::plan::{Plan, Source, fits};
use super::sink::Sink;
use super::told::Told;
use crate::complaint::{Complaint, Exit};
use crate::drive::race;
use crate::report::console;
use crate::report::json::send::{Datagrams, Questions};

/// Room for the largest datagram of either family.
const BUFFER: usize = 65_536;

/// Carries out a plan over UDP.
pub(super) fn converse(
    plan: &Plan,
    interrupts: &Interrupts,
    sink: Sink,
    told: &mut Told,
) -> Result<(), Complaint> {
    let addresses = open::addresses(plan, interrupts, told)?;
    ask(stentor_core::connect::order(&addresses), plan, interrupts, sink, told)
}

/// Asks the first of `addresses` that does not refuse.
fn ask(
    addresses: Vec<SocketAddr>,
    plan: &Plan,
    interrupts: &Interrupts,
    sink: Sink,
    told: &mut Told,
) -> Result<(), Complaint> {
    let mut others: VecDeque<SocketAddr> = addresses.into();
    let socket = open_next(&mut others, plan, told)?;
    let policy = Policy { retries: plan.retries, limit: plan.timeout };
    told.questions = Some(Questions::default());
    told.datagrams = Some(Datagrams::default());
    let mut talk = Talk {
        plan,
        interrupts,
        told,
        socket,
        sink,
        others,
        exchange: Exchange::new(policy, race::now()),
        lines: Lines::of(&plan.source)?,
        question: Question::default(),
        complaint: None,
        buffer: vec![0; BUFFER],
        come: 0,
    };
    let end = talk.drive();
    talk.close(end)
}

/// A socket to the first of `others` to which there is a route; they are used up.
fn open_next(
    others: &mut VecDeque<SocketAddr>,
    plan: &Plan,
    told: &mut Told,
) -> Result<Socket, Complaint> {
    loop {
        let Some(address) = others.pop_front() else {
            return Err(Complaint::new(Exit::Environment, "connect: no address", ""));
        };
        match open::datagram(address, plan, told) {
            Err(complaint) if !others.is_empty() => told.warnings.push(complaint.what),
            end => return end,
        }
    }
}

/// The question in hand.
#[derive(Debug, Default)]
struct Question {
    bytes: Vec<u8>,
    answer: Option<Vec<u8>>,
    /// A line has its newline given back after its answer; a message always has one.
    newline: bool,
    /// Which line of the input it is, from 1.
    number: u64,
    sent: u32,
}

struct Talk<'a> {
    plan: &'a Plan,
    interrupts: &'a Interrupts,
    told: &'a mut Told,
    socket: Socket,
    sink: Sink,
    /// Addresses of the same name that were not tried.
    others: VecDeque<SocketAddr>,
    exchange: Exchange,
    lines: Lines,
    question: Question,
    /// What went wrong with the last question that did.
    complaint: Option<Complaint>,
    buffer: Vec<u8>,
    /// How many bytes of the buffer are the datagram that came last.
    come: usize,
}

impl Talk<'_> {
    fn drive(&mut self) -> Result<(), Complaint> {
        loop {
            let now = race::now();
            match self.exchange.poll() {
                Output::Send(number) => self.send(number)?,
                Output::Wait(until) => {
                    self.wait(until)?;
                    self.exchange.handle(race::now(), Input::Time);
                }
                Output::Idle => match self.next()? {
                    Some(question) => {
                        self.question = question;
                        self.count(|questions, _| questions.asked += 1);
                        let answer = self.question.answer.as_deref();
                        self.exchange.handle(now, Input::Ask(answer));
                    }
                    None => return Ok(()),
                },
                Output::Answered(_) => {
                    self.count(|questions, _| questions.verified += 1);
                    let right = self.told.verified.unwrap_or(0);
                    let bytes = self.question.answer.as_ref().map_or(0, Vec::len);
                    self.told.verified = self.plan.verify.map(|_| right + bytes as u64);
                    self.print()?;
                }
                Output::Wrong(at) => {
                    self.wrong(at);
                    self.print()?;
                }
                Output::GaveUp => self.silent(),
                Output::Late => self.count(|questions, _| {
                    questions.lost = questions.lost.saturating_sub(1);
                    questions.late += 1;
                }),
                Output::Duplicate => self.count(|_, datagrams| datagrams.duplicate += 1),
                Output::Unasked => self.count(|_, datagrams| datagrams.unasked += 1),
            }
        }
    }

    fn count(&mut self, tally: impl FnOnce(&mut Questions, &mut Datagrams)) {
        if let (Some(questions), Some(datagrams)) =
            (&mut self.told.questions, &mut self.told.datagrams)
        {
            tally(questions, datagrams);
        }
    }

    /// The next question of the input.
    fn next(&mut self) -> Result<Option<Question>, Complaint> {
        let Some((bytes, newline)) = self.lines.next(self.interrupts)? else { return Ok(None) };
        let number = self.question.number + 1;
        if self.plan.source == Source::Input {
            fits(bytes.len(), &format!("line {number} is too long"))?;
        }
        let answer = self.plan.verify.map(|case| upper(case, &bytes));
        if let Some(answer) = &answer {
            self.told.owed = Some(self.told.owed.unwrap_or(0) + answer.len() as u64);
        }
        Ok(Some(Question { bytes, answer, newline, number, sent: 0 }))
    }

    fn send(&mut self, number: u32) -> Result<(), Complaint> {
        let now = race::now();
        self.question.sent = number;
        match (&self.socket).write(&self.question.bytes) {
            Ok(count) => {
                self.told.count_sent(now, count);
                self.count(|_, datagrams| datagrams.sent += 1);
                let bytes = &self.question.bytes;
                self.told.witness.moved(now, "send", bytes.len(), Lane::Client, bytes);
                if number > 1 {
                    let again = format!("no answer: sent for the {number}. time");
                    self.told.witness.say(now, What::Note(again));
                }
                Ok(())
            }
            // No room at this moment is a lost datagram like any other: it is sent again.
            Err(error) if again(&error) => Ok(()),
            Err(error) => self.refused("send", error),
        }
    }

    /// Waits for datagrams, and takes all that are there.
    fn wait(&mut self, until: stentor_core::moment::Moment) -> Result<(), Complaint> {
        let mut watches = [
            Watch::new(self.socket.as_fd(), true, false),
            Watch::new(self.interrupts.as_fd(), true, false),
        ];
        poll::wait(&mut watches, Some(until.since(race::now())))
            .map_err(|error| Failure::new("poll", &self.told.peer, error))?;
        if race::interrupted(Some(self.interrupts)) {
            return Err(self.interrupted());
        }
        let now = race::now();
        match (&self.socket).read(&mut self.buffer) {
            Ok(count) => {
                let bytes = self.buffer.get(..count).unwrap_or(&self.buffer);
                self.told.count_received(now, count);
                self.told.witness.moved(now, "recv", BUFFER, Lane::Server, bytes);
                self.exchange.handle(now, Input::Datagram(bytes));
                self.come = count;
                self.count(|_, datagrams| datagrams.received += 1);
                Ok(())
            }
            Err(error) if again(&error) => Ok(()),
            Err(error) => self.refused("recv", error),
        }
    }

    /// Prints the datagram that came last.
    fn print(&mut self) -> Result<(), Complaint> {
        self.sink.take(self.buffer.get(..self.come).unwrap_or(&self.buffer));
        // A dump shows what came, and no newline of ours.
        if self.question.newline && !self.plan.hex {
            self.sink.take(b"\n");
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Complaint> {
        while let Some(output) = self.sink.pending() {
            let mut watches =
                [Watch::new(output, false, true), Watch::new(self.interrupts.as_fd(), true, false)];
            poll::wait(&mut watches, None)
                .map_err(|error| Failure::new("poll", "standard output", error))?;
            if race::interrupted(Some(self.interrupts)) {
                return Err(self.interrupted());
            }
            self.sink.flush_once()?;
        }
        Ok(())
    }

    /// An ICMP error came back for an earlier datagram: the next address, or the end.
    fn refused(&mut self, operation: &'static str, error: io::Error) -> Result<(), Complaint> {
        let now = race::now();
        self.told.witness.call(now, operation, "", &describe(&error));
        let answered = self.told.received > 0;
        if !answered && !self.others.is_empty() {
            let refusal = Failure::new(operation, &self.told.peer, error).to_string();
            self.told.warnings.push(format!("{refusal}; another address of the name is tried"));
            self.socket = open_next(&mut self.others, self.plan, self.told)?;
            let policy = Policy { retries: self.plan.retries, limit: self.plan.timeout };
            self.exchange = Exchange::new(policy, now);
            self.exchange.handle(now, Input::Ask(self.question.answer.as_deref()));
            return Ok(());
        }
        self.count(|questions, _| questions.error += 1);
        let icmp = error.kind() == io::ErrorKind::ConnectionRefused;
        let failure = Failure::new(operation, &self.told.peer, error);
        if answered {
            let next = "The server was there and has gone: it ended, or was started again.";
            return Err(Complaint::new(Exit::Bad, failure.to_string(), next));
        }
        if !icmp {
            return Err(failure.into());
        }
        let port = self.told.peer.rsplit(':').next().unwrap_or_default();
        let next = format!(
            "An ICMP \"port unreachable\" came back: nothing listens on UDP port {port} there; \
             start the server first (stentor serve), or check the port."
        );
        Err(Complaint::new(Exit::Environment, failure.to_string(), next))
    }

    fn wrong(&mut self, at: usize) {
        self.count(|questions, _| questions.wrong += 1);
        let owed = self.question.answer.as_deref().unwrap_or_default();
        let rest = |bytes: &[u8]| excerpt(bytes.get(at..).unwrap_or_default());
        let came = self.buffer.get(..self.come).unwrap_or_default();
        let what = format!(
            "the answer of {} is not the upper case of what was sent: from byte {at} on (the \
             first is 0) \"{}\" came instead of \"{}\"",
            self.told.peer,
            rest(came),
            rest(owed)
        );
        let next = "--case ascii if only a-z get capitals there; --no-verify takes any answer.";
        self.complain(what, next.to_owned());
    }

    fn silent(&mut self) {
        self.count(|questions, _| questions.lost += 1);
        let times = match self.question.sent {
            1 => "once".to_owned(),
            2 => "twice".to_owned(),
            more => format!("{more} times"),
        };
        let within = self.plan.timeout;
        let what = format!("no answer from {} within {within:?}, sent {times}", self.told.peer);
        let owed = self.question.answer.as_ref().map_or(0, Vec::len);
        let next = if owed > PAYLOAD_MAX {
            format!("The right answer has {owed} bytes, and no datagram holds them.")
        } else {
            "Datagrams may be lost, or dropped by a firewall: --retry sends more often, -w waits \
             longer."
                .to_owned()
        };
        self.complain(what, next);
    }

    /// Keeps a complaint for the end; of many questions each is noticed at once.
    fn complain(&mut self, what: String, next: String) {
        if self.plan.source == Source::Input {
            console::notice(format!("stentor: line {}: {what}", self.question.number));
        }
        self.complaint = Some(Complaint::new(Exit::Bad, what, next));
    }

    fn interrupted(&self) -> Complaint {
        let (asked, verified) =
            self.told.questions.as_ref().map_or((0, 0), |q| (q.asked, q.verified));
        let what = format!("interrupted: {verified} of {asked} questions answered rightly");
        Complaint::new(Exit::Interrupted, what, "")
    }

    fn close(mut self, end: Result<(), Complaint>) -> Result<(), Complaint> {
        let end = end.and_then(|()| {
            self.sink.end();
            self.flush()
        });
        let now = race::now();
        self.told.witness.call(now, "close", "", "0");
        self.told.ended = now;
        // A question that was open when all ended was not answered.
        self.count(|q, _| {
            q.lost = q.asked.saturating_sub(q.verified + q.wrong + q.late + q.error);
        });
        (self.told.answer, self.told.answer_whole) = self.sink.kept();
        end?;
        let Some(complaint) = self.complaint.take() else { return Ok(()) };
        match &self.told.questions {
            Some(q) if q.asked > 1 => {
                let bad = q.asked.saturating_sub(q.verified);
                let what = format!(
                    "{bad} of {} questions to {} were not answered rightly in time: {} silent, \
                     {} late, {} wrong",
                    q.asked, self.told.peer, q.lost, q.late, q.wrong
                );
                Err(Complaint::new(Exit::Bad, what, complaint.next))
            }
            Some(_) | None => Err(complaint),
        }
    }
}

/// The one right answer.
fn upper(case: Case, question: &[u8]) -> Vec<u8> {
    let (mut upper, mut spill, mut answer) = (Upper::new(case), Vec::new(), Vec::new());
    let mut question = question.to_vec();
    let mut rest = question.as_mut_slice();
    while !rest.is_empty() {
        let (taken, piece) = upper.feed(rest, &mut spill);
        answer.extend_from_slice(piece);
        rest = rest.get_mut(taken.max(1)..).unwrap_or_default();
    }
    answer.extend_from_slice(upper.finish());
    answer
}

/// Errors after which the same call may succeed later.
fn again(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.kind() == io::ErrorKind::Interrupted
}

/// The questions: one message, or the lines of standard input.
struct Lines {
    message: Option<Vec<u8>>,
    file: Option<File>,
    buffer: Vec<u8>,
    start: usize,
}

impl Lines {
    fn of(source: &Source) -> Result<Lines, Complaint> {
        let (buffer, start) = (Vec::new(), 0);
        match source {
            Source::Message(message) => {
                Ok(Lines { message: Some(message.clone()), file: None, buffer, start })
            }
            Source::Input | Source::Prompt => {
                let file = io::stdin().as_fd().try_clone_to_owned();
                let file = file.map_err(|e| Failure::new("dup", "standard input", e))?;
                Ok(Lines { message: None, file: Some(File::from(file)), buffer, start })
            }
        }
    }

    /// The next question without its newline, and whether it had one; waits for it.
    fn next(&mut self, interrupts: &Interrupts) -> Result<Option<(Vec<u8>, bool)>, Complaint> {
        if let Some(message) = self.message.take() {
            return Ok(Some((message, false)));
        }
        let mut searched = self.start;
        loop {
            let fresh = self.buffer.get(searched..).unwrap_or_default();
            if let Some(length) = fresh.iter().position(|&byte| byte == b'\n') {
                let end = searched + length;
                let line = self.buffer.get(self.start..end).unwrap_or_default().to_vec();
                self.start = end + 1;
                return Ok(Some((line, true)));
            }
            // A line without an end is not read to its end: it is too long already.
            let over = self.file.is_none() || self.buffer.len() - self.start > PAYLOAD_MAX;
            if over {
                let rest = self.buffer.split_off(self.start.min(self.buffer.len()));
                (self.start, self.buffer) = (0, Vec::new());
                return Ok((!rest.is_empty()).then_some((rest, false)));
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            searched = self.buffer.len();
            self.fill(interrupts)?;
        }
    }

    fn fill(&mut self, interrupts: &Interrupts) -> Result<(), Complaint> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut watches =
            [Watch::new(file.as_fd(), true, false), Watch::new(interrupts.as_fd(), true, false)];
        let fail = |error| Complaint::from(Failure::new("read", "standard input", error));
        poll::wait(&mut watches, None).map_err(fail)?;
        if race::interrupted(Some(interrupts)) {
            let what = "interrupted while waiting for standard input";
            return Err(Complaint::new(Exit::Interrupted, what, ""));
        }
        let mut piece = [0; 16 * 1024];
        match file.read(&mut piece) {
            Ok(0) => self.file = None,
            Ok(count) => self.buffer.extend_from_slice(piece.get(..count).unwrap_or(&piece)),
            Err(error) if again(&error) => {}
            Err(error) => return Err(fail(error)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::thread;
    use stentor_core::endpoint::Target;

    #[test]
    fn the_right_answer_keeps_what_is_no_text() {
        assert_eq!(upper(Case::Ascii, b"hello\xff\xc3"), b"HELLO\xff\xc3");
        assert_eq!(upper(Case::Ascii, b""), b"");
    }

    #[test]
    fn the_next_address_is_asked_when_the_first_refuses_or_has_no_route() {
        // Connected to itself it takes nothing from others: the port is closed to them.
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap();
        closed.connect(closed.local_addr().unwrap()).unwrap();
        let open = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = open.local_addr().unwrap();
        let server = thread::spawn(move || {
            let mut buffer = [0; 64];
            let (length, from) = open.recv_from(&mut buffer).unwrap();
            open.send_to(&buffer[..length].to_ascii_uppercase(), from).unwrap();
        });
        let target: Target = format!("udp://{address}").parse().unwrap();
        let plan = Plan { source: Source::Message(b"hello".to_vec()), ..Plan::to(target) };
        // Broadcasting is not allowed unasked (EACCES), so connect itself refuses the first.
        let broadcast = "255.255.255.255:9".parse().unwrap();
        let addresses = vec![broadcast, closed.local_addr().unwrap(), address];
        let (interrupts, mut told) = (Interrupts::install().unwrap(), Told::begin());
        ask(addresses, &plan, &interrupts, Sink::keep(64), &mut told).unwrap();
        server.join().unwrap();
        assert_eq!((told.answer.as_slice(), told.answer_whole), (b"HELLO".as_slice(), true));
        assert_eq!(told.peer, format!("udp {address}"));
        assert_eq!(told.warnings.len(), 2, "{:?}", told.warnings);
        assert!(told.warnings[1].contains("ECONNREFUSED"), "{:?}", told.warnings);
        let datagrams = told.datagrams.unwrap();
        assert_eq!((datagrams.received, told.questions.unwrap().verified), (1, 1));
    }
}
