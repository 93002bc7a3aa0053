//! The body of an answer, made while it is sent: at the rate that is asked for, and as far as a fault
//! lets it come.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use stentor_core::moment::Moment;
use stentor_core::video::fault::{End, Struck};
use stentor_core::video::pace::Pace;
use tokio::time::{Instant, Sleep};

use super::entity::Source;
use super::exchange::Ended;
use super::film::{self, slice};
use super::folder;
use super::now;
use super::wire::Ledger;

/// A stretch of an entity on its way.
#[derive(Debug)]
pub(super) struct Content {
    reader: Reader,
    /// Where the next byte is.
    at: u64,
    /// Behind the last byte.
    end: u64,
    ledger: Arc<Ledger>,
    /// Rings at a moment; made when it is needed first.
    alarm: Option<(Moment, Pin<Box<Sleep>>)>,
    /// The rate of a fault.
    slow: Option<Pace>,
    /// What happens at some place of it.
    trap: Option<Trap>,
}

/// What a fault has prepared.
#[derive(Debug)]
struct Trap {
    /// Where the next byte is when it springs.
    at: u64,
    /// Nothing is sent for so long, then; `Some(None)`: for ever.
    stall: Option<Option<Duration>>,
    /// Until when that is, once it has begun.
    until: Option<Moment>,
    /// How the connection ends after that; `None`: it goes on.
    end: Option<End>,
}

#[derive(Debug)]
enum Reader {
    Memory(Bytes),
    Film(film::Reader),
    File(folder::Reader),
}

impl Content {
    /// The bytes `begin..end` of `source`.
    pub(super) fn new(source: Source, begin: u64, end: u64, ledger: Arc<Ledger>) -> Content {
        let reader = match source {
            Source::Memory(bytes) => Reader::Memory(bytes),
            Source::File(file) => Reader::File(folder::Reader::new(file)),
            Source::Film { catalogue, quality, first, whole } => {
                Reader::Film(film::Reader::new(&catalogue, quality, first, whole))
            }
        };
        Content { reader, at: begin, end, ledger, alarm: None, slow: None, trap: None }
    }

    /// Lets faults strike it.
    pub(super) fn struck(mut self, struck: &Struck) -> Content {
        let slow = struck.slow.map(Pace::new);
        self.slow = slow.map(|mut pace| {
            pace.begin(now());
            pace
        });
        let (stall, end, until) = (struck.stall, struck.end, None);
        // Of a single byte there is no half.
        let at = self.at + (self.left() / 2).max(1);
        self.trap = (stall.is_some() || end.is_some()).then_some(Trap { at, stall, until, end });
        self
    }

    /// An empty one.
    pub(super) fn none(ledger: Arc<Ledger>) -> Content {
        Content::new(Source::Memory(Bytes::new()), 0, 0, ledger)
    }

    fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }

    /// Waits until `due`.
    fn wait(&mut self, due: Moment, cx: &mut Context<'_>) -> Poll<()> {
        let alarm = match &mut self.alarm {
            Some((set, alarm)) => {
                if *set != due {
                    *set = due;
                    alarm.as_mut().reset(Instant::now() + due.since(now()));
                }
                alarm
            }
            None => {
                let alarm = Box::pin(tokio::time::sleep(due.since(now())));
                &mut self.alarm.insert((due, alarm)).1
            }
        };
        alarm.as_mut().poll(cx)
    }

    fn read(&mut self, most: u64, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        match &mut self.reader {
            Reader::Memory(bytes) => Poll::Ready(Ok(slice(bytes, self.at, most))),
            Reader::Film(film) => Poll::Ready(film.read(self.at, most).map_err(|error| {
                tracing::warn!("{error}");
                io::Error::other(error)
            })),
            Reader::File(file) => file.poll(cx, self.at, self.end, most),
        }
    }

    /// How many bytes the rates allow now.
    fn allowed(&mut self, left: u64) -> Result<u64, Moment> {
        let most = self.ledger.allowed(left)?;
        match &mut self.slow {
            Some(pace) => pace.poll(now(), most, self.ledger.shared.piece()),
            None => Ok(most),
        }
    }

    /// Lets the trap spring, if this is its place: what comes before it leaves first.
    fn spring(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(trap) = self.trap.as_mut().filter(|trap| trap.at <= self.at) else {
            return Poll::Ready(Ok(()));
        };
        ready!(self.ledger.poll_flushed(cx));
        if let Some(silence) = trap.stall {
            if self.ledger.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            let until = match (trap.until, silence) {
                (Some(until), _) => until,
                (None, Some(silence)) => *trap.until.insert(now() + silence),
                (None, None) => return Poll::Pending,
            };
            ready!(self.wait(until, cx));
            // Silence is no credit.
            self.ledger.resume();
            self.slow.iter_mut().for_each(|pace| pace.begin(now()));
        }
        match self.trap.take().and_then(|trap| trap.end) {
            None => Poll::Ready(Ok(())),
            Some(end) => {
                if end == End::Reset {
                    self.ledger.reset();
                }
                self.ledger.cut(Ended::Fault);
                Poll::Ready(Err(io::Error::other("a fault on request")))
            }
        }
    }

    /// The next piece, or nothing at the end.
    fn piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        while self.left() > 0 {
            if let Err(error) = ready!(self.spring(cx)) {
                return Poll::Ready(Some(Err(error)));
            }
            let left = match &self.trap {
                Some(trap) => trap.at - self.at,
                None => self.left(),
            };
            let most = match self.allowed(left) {
                Ok(most) => most,
                Err(due) => {
                    ready!(self.wait(due, cx));
                    continue;
                }
            };
            let read = ready!(self.read(most, cx)).and_then(|bytes| match bytes.is_empty() {
                true => Err(io::ErrorKind::UnexpectedEof.into()),
                false => Ok(bytes),
            });
            let count = match &read {
                Ok(bytes) => bytes.len() as u64,
                Err(_) => {
                    self.ledger.cut(Ended::Failed);
                    return Poll::Ready(Some(read));
                }
            };
            self.at += count;
            self.ledger.pulled(count);
            if let Some(pace) = &mut self.slow {
                pace.sent(count);
            }
            return Poll::Ready(Some(read));
        }
        Poll::Ready(None)
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.piece(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}
