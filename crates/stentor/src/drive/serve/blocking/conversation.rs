//! One conversation with blocking calls: read, answer, write, until somebody closes.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use socket2::Socket;
use stentor_core::moment::Moment;
use stentor_core::service::counters::{CloseReason, Counters};
use stentor_core::service::fault::{Due, FaultyStream};
use stentor_core::service::limits::{Limits, READ};
use stentor_core::service::{Session, Then};

use crate::drive::serve::connection::broken;
use crate::drive::serve::now;
use crate::drive::serve::shared::Stage;

/// The longest blocking call: how late a conversation notices that the server is ending.
const STEP: Duration = Duration::from_millis(200);
/// How long a client may take to answer our FIN while the server is ending.
const LINGER_DRAINING: Duration = Duration::from_secs(1);

/// What a conversation came to; a child process sends it to its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    received: u64,
    sent: u64,
    reason: CloseReason,
}

impl Report {
    /// The length on the wire between two of our processes.
    pub(super) const SIZE: usize = 17;

    /// What stands for a conversation whose process told nothing.
    pub(super) const LOST: Report = Report { received: 0, sent: 0, reason: CloseReason::Error };

    /// What stands for a conversation that the deadline cut off.
    pub(super) const DRAINED: Report =
        Report { received: 0, sent: 0, reason: CloseReason::Drained };

    pub(super) fn to_bytes(self) -> [u8; Report::SIZE] {
        let mut bytes = [self.reason as u8; Report::SIZE];
        let (numbers, _) = bytes.split_at_mut(16);
        let (received, sent) = numbers.split_at_mut(8);
        received.copy_from_slice(&self.received.to_ne_bytes());
        sent.copy_from_slice(&self.sent.to_ne_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; Report::SIZE]) -> Report {
        let number = |from: usize| {
            let bytes = bytes.get(from..from + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_ne_bytes)
        };
        let reason = CloseReason::ALL.get(usize::from(bytes[16])).copied();
        let reason = reason.unwrap_or(CloseReason::Error);
        Report { received: number(0), sent: number(8), reason }
    }

    pub(super) fn count(self, counters: &mut Counters) {
        counters.stream.received += self.received;
        counters.stream.sent += self.sent;
        counters.closed(self.reason);
    }
}

/// One client, and what is being said.
pub(super) struct Conversation<'a> {
    pub(super) line: Line<'a>,
    pub(super) session: Session,
    pub(super) faulty: Option<FaultyStream>,
}

/// The socket of one client, and how long its calls may block.
pub(super) struct Line<'a> {
    pub(super) socket: Socket,
    pub(super) limits: &'a Limits,
    /// How far the server is: asked again and again while waiting.
    pub(super) stage: &'a dyn Fn() -> Stage,
}

/// What came of waiting for the client.
enum Heard {
    Bytes(usize),
    Nothing,
}

impl Conversation<'_> {
    /// Talks until it is over.
    pub(super) fn run(mut self) -> Report {
        let mut report = Report { received: 0, sent: 0, reason: CloseReason::Error };
        report.reason = match self.talk(&mut report) {
            Ok(reason) => reason,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match (self.line.stage)() {
                Stage::Ended => CloseReason::Drained,
                Stage::Serving | Stage::Draining => CloseReason::WriteStall,
            },
            Err(error) => broken(&error),
        };
        report
    }

    fn talk(&mut self, report: &mut Report) -> io::Result<CloseReason> {
        self.line.socket.set_nonblocking(false)?;
        self.line.socket.set_write_timeout(Some(self.line.limits.write_stall.min(STEP)))?;
        let mut input = vec![0; READ];
        let mut spill = Vec::new();
        let mut moved = now();
        let mut looked = moved;
        loop {
            // Also a client that is never silent ends with the server; seldom, as a child process
            // looks by a system call.
            if moved.since(looked) >= STEP {
                looked = moved;
                if (self.line.stage)() == Stage::Ended {
                    return Ok(CloseReason::Drained);
                }
            }
            let (room, wait) = match self.send_due(report)? {
                Pending::Reset => return Ok(CloseReason::Fault),
                Pending::Over(reason) => return self.part(reason, report),
                Pending::Until(moment) => (self.read_max(), moment.since(now()).min(STEP)),
                Pending::Nothing => (self.read_max(), STEP),
            };
            let buffer = input.get_mut(..room.min(READ)).unwrap_or_default();
            match self.hear(buffer, wait)? {
                Heard::Bytes(0) => {
                    let owed = self.session.finish().to_vec();
                    self.give(&owed, report)?;
                    return self.finish(CloseReason::ByClient, report);
                }
                Heard::Bytes(count) => {
                    moved = now();
                    report.received += count as u64;
                    let heard = input.get_mut(..count).unwrap_or_default();
                    if self.answer(heard, &mut spill, report)? == Then::Close {
                        return self.finish(CloseReason::ByService, report);
                    }
                }
                Heard::Nothing if (self.line.stage)() != Stage::Serving => {
                    return self.finish(CloseReason::Drained, report);
                }
                Heard::Nothing if now().since(moved) >= self.line.limits.idle => {
                    return Ok(CloseReason::Idle);
                }
                Heard::Nothing => {}
            }
        }
    }

    fn read_max(&self) -> usize {
        let room = self.faulty.as_ref().map_or(usize::MAX, FaultyStream::read_max);
        self.session.read_max().unwrap_or(READ).min(room)
    }

    /// Reads once, for at most `wait`; with no room it only waits.
    fn hear(&self, buffer: &mut [u8], wait: Duration) -> io::Result<Heard> {
        let wait = wait.max(Duration::from_millis(1));
        if buffer.is_empty() {
            std::thread::sleep(wait);
            return Ok(Heard::Nothing);
        }
        self.line.socket.set_read_timeout(Some(wait))?;
        match (&self.line.socket).read(buffer) {
            Ok(count) => Ok(Heard::Bytes(count)),
            Err(error) => {
                use io::ErrorKind::{Interrupted, WouldBlock};
                let later = matches!(error.kind(), WouldBlock | Interrupted);
                if later { Ok(Heard::Nothing) } else { Err(error) }
            }
        }
    }

    fn answer(
        &mut self,
        input: &mut [u8],
        spill: &mut Vec<u8>,
        report: &mut Report,
    ) -> io::Result<Then> {
        let mut rest = input;
        while !rest.is_empty() {
            let answer = self.session.feed(rest, spill);
            let (taken, then) = (answer.taken, answer.then);
            match &mut self.faulty {
                Some(faulty) => faulty.handle(now(), answer.bytes),
                None => self.line.write_all(answer.bytes, report)?,
            }
            if then == Then::Close {
                return Ok(then);
            }
            rest = rest.get_mut(taken..).unwrap_or_default();
        }
        Ok(Then::ReadOn)
    }

    fn give(&mut self, bytes: &[u8], report: &mut Report) -> io::Result<()> {
        match &mut self.faulty {
            Some(faulty) => faulty.handle(now(), bytes),
            None => self.line.write_all(bytes, report)?,
        }
        Ok(())
    }

    /// Sends what a fault has ready.
    fn send_due(&mut self, report: &mut Report) -> io::Result<Pending> {
        let Some(faulty) = &mut self.faulty else { return Ok(Pending::Nothing) };
        loop {
            let now = now();
            match faulty.poll(now) {
                Due::Send(bytes) => {
                    let count = bytes.len();
                    self.line.write_all(bytes, report)?;
                    faulty.sent(now, count);
                }
                Due::Wait(moment) => return Ok(Pending::Until(moment)),
                Due::Idle => return Ok(Pending::Nothing),
                Due::Close => return Ok(Pending::Over(CloseReason::Fault)),
                Due::Reset => {
                    self.line.socket.set_linger(Some(Duration::ZERO))?;
                    return Ok(Pending::Reset);
                }
            }
        }
    }

    /// No more is read; what a fault still holds is sent when it is due.
    fn finish(&mut self, reason: CloseReason, report: &mut Report) -> io::Result<CloseReason> {
        if let Some(faulty) = &mut self.faulty {
            faulty.end();
            let mut moved = (now(), report.sent);
            loop {
                let wait = match self.send_due(report)? {
                    Pending::Over(_) => break,
                    Pending::Reset => return Ok(CloseReason::Fault),
                    Pending::Until(moment) => moment.since(now()).min(STEP),
                    // Silent on purpose, and it would be for ever.
                    Pending::Nothing if (self.line.stage)() != Stage::Serving => break,
                    Pending::Nothing => STEP,
                };
                if moved.1 != report.sent {
                    moved = (now(), report.sent);
                }
                match (self.line.stage)() {
                    Stage::Ended => return Ok(CloseReason::Drained),
                    _ if now().since(moved.0) >= self.line.limits.idle => {
                        return Ok(CloseReason::Idle);
                    }
                    Stage::Serving | Stage::Draining => std::thread::sleep(wait),
                }
            }
        }
        let cut = self.faulty.as_ref().is_some_and(FaultyStream::is_cut);
        self.part(if cut { CloseReason::Fault } else { reason }, report)
    }

    /// Closes our side first where the client has not closed its own, and waits for its FIN, so
    /// that close(2) sends no reset which would destroy the answer (RFC 1122, 4.2.2.13).
    fn part(&mut self, reason: CloseReason, report: &mut Report) -> io::Result<CloseReason> {
        if reason == CloseReason::ByClient {
            return Ok(reason);
        }
        self.line.socket.shutdown(Shutdown::Write)?;
        let (began, mut rest) = (now(), vec![0; READ]);
        loop {
            let limit = match (self.line.stage)() {
                Stage::Serving => self.line.limits.after_fin,
                Stage::Draining => self.line.limits.after_fin.min(LINGER_DRAINING),
                Stage::Ended => Duration::ZERO,
            };
            let left = limit.saturating_sub(now().since(began));
            if left.is_zero() {
                let by_service = reason == CloseReason::ByService;
                return Ok(if by_service { CloseReason::AfterFin } else { reason });
            }
            match self.hear(&mut rest, left.min(STEP))? {
                Heard::Bytes(0) => return Ok(reason),
                Heard::Bytes(count) => report.received += count as u64,
                Heard::Nothing => {}
            }
        }
    }
}

/// What a fault has in store.
enum Pending {
    Nothing,
    Until(Moment),
    Over(CloseReason),
    /// SO_LINGER is set to 0: closing now resets the connection.
    Reset,
}

impl Line<'_> {
    /// Writes everything; WouldBlock if the client took nothing for as long as a write may stall,
    /// or if the server has ended meanwhile.
    fn write_all(&self, mut bytes: &[u8], report: &mut Report) -> io::Result<()> {
        let mut moved = None;
        while !bytes.is_empty() {
            match (&self.socket).write(bytes) {
                Ok(count) => {
                    moved = None;
                    report.sent += count as u64;
                    bytes = bytes.get(count..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // The call itself has waited for a step.
                    let stalled = *moved.get_or_insert_with(now);
                    let stall = self.limits.write_stall.saturating_sub(STEP);
                    if now().since(stalled) >= stall || (self.stage)() == Stage::Ended {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_crosses_between_processes() {
        for reason in CloseReason::ALL {
            let report = Report { received: 1 << 40, sent: 7, reason };
            assert_eq!(Report::from_bytes(report.to_bytes()), report);
        }
    }
}
