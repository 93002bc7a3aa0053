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

/// The longest blocking read: how late a silent conversation notices that the server is ending.
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

/// One client, one socket, and the buffers that a thread of its own costs.
pub(super) struct Conversation<'a> {
    pub(super) socket: Socket,
    pub(super) session: Session,
    pub(super) faulty: Option<FaultyStream>,
    pub(super) limits: &'a Limits,
    /// Asked whenever nothing came for a while.
    pub(super) stopping: &'a dyn Fn() -> bool,
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
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => CloseReason::WriteStall,
            Err(error) => broken(&error),
        };
        report
    }

    fn talk(&mut self, report: &mut Report) -> io::Result<CloseReason> {
        self.socket.set_nonblocking(false)?;
        self.socket.set_write_timeout(Some(self.limits.write_stall))?;
        let mut input = vec![0; READ];
        let mut spill = Vec::new();
        let mut moved = now();
        loop {
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
                Heard::Nothing if (self.stopping)() => {
                    return self.finish(CloseReason::Drained, report);
                }
                Heard::Nothing if now().since(moved) >= self.limits.idle => {
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
        self.socket.set_read_timeout(Some(wait))?;
        match (&self.socket).read(buffer) {
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
                None => write_all(&self.socket, answer.bytes, report)?,
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
            None => write_all(&self.socket, bytes, report)?,
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
                    write_all(&self.socket, bytes, report)?;
                    faulty.sent(now, count);
                }
                Due::Wait(moment) => return Ok(Pending::Until(moment)),
                Due::Idle => return Ok(Pending::Nothing),
                Due::Close => return Ok(Pending::Over(CloseReason::Fault)),
                Due::Reset => {
                    self.socket.set_linger(Some(Duration::ZERO))?;
                    return Ok(Pending::Reset);
                }
            }
        }
    }

    /// No more is read; what a fault still holds is sent when it is due.
    fn finish(&mut self, reason: CloseReason, report: &mut Report) -> io::Result<CloseReason> {
        let began = now();
        if let Some(faulty) = &mut self.faulty {
            faulty.end();
            loop {
                match self.send_due(report)? {
                    Pending::Over(_) => break,
                    Pending::Reset => return Ok(CloseReason::Fault),
                    Pending::Until(moment) => std::thread::sleep(moment.since(now())),
                    Pending::Nothing => std::thread::sleep(STEP),
                }
                if now().since(began) >= self.limits.after_fin || (self.stopping)() {
                    return Ok(CloseReason::AfterFin);
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
        self.socket.shutdown(Shutdown::Write)?;
        let draining = reason == CloseReason::Drained;
        let limit = if draining { LINGER_DRAINING } else { self.limits.after_fin };
        let (began, mut rest) = (now(), vec![0; READ]);
        while now().since(began) < limit {
            match self.hear(&mut rest, STEP)? {
                Heard::Bytes(0) => break,
                Heard::Bytes(count) => report.received += count as u64,
                Heard::Nothing if (self.stopping)() && !draining => break,
                Heard::Nothing => {}
            }
        }
        Ok(reason)
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

/// Writes everything; WouldBlock if the client took nothing for as long as the write may stall.
fn write_all(mut socket: &Socket, mut bytes: &[u8], report: &mut Report) -> io::Result<()> {
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(count) => {
                report.sent += count as u64;
                bytes = bytes.get(count..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
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
