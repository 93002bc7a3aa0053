//! The client of bulk: one connection, written and read at the same time in pieces of 256 KiB,
//! every byte of the answer compared as it comes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::meter::Meter;
use crate::client::{self, PATIENCE};

const PIECE: usize = 256 * 1024;

/// What comes back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due<'a> {
    /// These bytes, over and over.
    Stream(&'a [u8]),
    /// Nothing, and at the end how many bytes there were.
    Count,
}

struct Pour<'a> {
    stream: TcpStream,
    asked: &'a [u8],
    due: Due<'a>,
    buffer: Vec<u8>,
    written: u64,
    come: u64,
    stopping: bool,
    over: bool,
}

/// Sends a text over and over until the meter says that it is enough and the text is at its end;
/// then awaits the rest of the answer and the end of the stream. Done is counted in bytes of the
/// text.
///
/// # Errors
/// A wrong byte, too few or too many of them, or no progress for [`PATIENCE`].
pub(crate) fn drive(
    address: SocketAddr,
    asked: &[u8],
    due: Due<'_>,
    meter: &mut Meter,
) -> Result<(), String> {
    let failed = |error: io::Error| format!("the client's loop: {error}");
    let stream = client::connect(address)?;
    stream.set_nonblocking(true).map_err(failed)?;
    let mut stream = TcpStream::from_std(stream);
    let mut poll = Poll::new().map_err(failed)?;
    let both = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut stream, Token(0), both).map_err(failed)?;
    let buffer = vec![0; PIECE];
    let (stopping, over) = (false, false);
    let mut pour = Pour { stream, asked, due, buffer, written: 0, come: 0, stopping, over };
    let mut events = Events::with_capacity(8);
    loop {
        // Both ways in turn until neither moves: edge-triggered.
        while pour.write(meter)? | pour.read()? {
            meter.turn(pour.done())?;
        }
        if pour.over {
            return pour.check_end();
        }
        match poll.poll(&mut events, Some(PATIENCE)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other.map_err(failed)?,
        }
        if events.is_empty() {
            return Err(format!("no byte moved for {PATIENCE:?}"));
        }
        meter.turn(pour.done())?;
    }
}

/// From the place of `position` in an endless repetition to the end of one, at most a piece.
fn piece(repeated: &[u8], position: u64) -> &[u8] {
    let from = usize::try_from(position % repeated.len() as u64).unwrap_or_default();
    let rest = repeated.get(from..).unwrap_or_default();
    rest.get(..PIECE).unwrap_or(rest)
}

impl Pour<'_> {
    /// Bytes of the text that are answered, or taken where no answer is due.
    fn done(&self) -> u64 {
        match self.due {
            Due::Stream(due) => self.come * self.asked.len() as u64 / due.len() as u64,
            Due::Count => self.written,
        }
    }

    fn write(&mut self, meter: &mut Meter) -> Result<bool, String> {
        if self.stopping {
            return Ok(false);
        }
        let at_end = self.written.is_multiple_of(self.asked.len() as u64);
        if at_end && self.written > 0 && !meter.allows(self.asked.len() as u64) {
            self.stopping = true;
            self.stream.shutdown(Shutdown::Write).map_err(|error| format!("shutdown: {error}"))?;
            return Ok(false);
        }
        match self.stream.write(piece(self.asked, self.written)) {
            Ok(count) => {
                self.written += count as u64;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(format!("send: {error}")),
        }
    }

    fn read(&mut self) -> Result<bool, String> {
        if self.over {
            return Ok(false);
        }
        let count = match self.stream.read(&mut self.buffer) {
            Ok(0) => {
                self.over = true;
                return Ok(false);
            }
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(format!("receive: {error}")),
        };
        let mut come = self.buffer.get(..count).unwrap_or_default();
        while let (Due::Stream(due), false) = (self.due, come.is_empty()) {
            let due = piece(due, self.come);
            let length = due.len().min(come.len());
            let (now, later) = come.split_at(length);
            if !due.starts_with(now) {
                return Err(format!("a wrong answer within {length} bytes from {}", self.come));
            }
            self.come += length as u64;
            come = later;
        }
        if matches!(self.due, Due::Count) && come != format!("{}\n", self.written).as_bytes() {
            let said = String::from_utf8_lossy(come);
            return Err(format!("{} bytes were sent, {said:?} counted", self.written));
        }
        Ok(true)
    }

    fn check_end(&self) -> Result<(), String> {
        let owed = match self.due {
            Due::Stream(due) => self.written / self.asked.len() as u64 * due.len() as u64,
            Due::Count => return Ok(()),
        };
        match self.stopping && self.come == owed {
            true => Ok(()),
            false => Err(format!("the answer ended after {} of {owed} bytes", self.come)),
        }
    }
}
