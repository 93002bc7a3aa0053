//! The body of an answer, made while it is sent: at the rate that is asked for, and as far as a fault
//! lets it come.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use stentor_core::moment::Moment;
use tokio::time::Sleep;

use super::entity::Source;
use super::exchange::Ended;
use super::film::{self, slice};
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
    alarm: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
enum Reader {
    Memory(Bytes),
    Film(film::Reader),
}

impl Content {
    /// The bytes `begin..end` of `source`.
    pub(super) fn new(source: Source, begin: u64, end: u64, ledger: Arc<Ledger>) -> Content {
        let reader = match source {
            Source::Memory(bytes) => Reader::Memory(bytes),
            Source::Film { catalogue, quality, first, whole } => {
                Reader::Film(film::Reader::new(&catalogue, quality, first, whole))
            }
        };
        Content { reader, at: begin, end, ledger, alarm: None }
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
            Some(alarm) => alarm,
            None => self.alarm.insert(Box::pin(tokio::time::sleep(until(due)))),
        };
        ready!(alarm.as_mut().poll(cx));
        self.alarm = None;
        Poll::Ready(())
    }

    fn read(&mut self, most: u64) -> io::Result<Bytes> {
        match &mut self.reader {
            Reader::Memory(bytes) => Ok(slice(bytes, self.at, most)),
            Reader::Film(film) => film.read(self.at, most).map_err(io::Error::other),
        }
    }

    /// The next piece, or nothing at the end.
    fn piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        while self.left() > 0 {
            let most = match self.ledger.allowed(self.left()) {
                Ok(most) => most,
                Err(due) => {
                    ready!(self.wait(due, cx));
                    continue;
                }
            };
            let bytes = match self.read(most) {
                Ok(bytes) if !bytes.is_empty() => bytes,
                Ok(_) => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            let count = bytes.len() as u64;
            self.at += count;
            self.ledger.pulled(count);
            return Poll::Ready(Some(Ok(bytes)));
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
        let piece = ready!(self.piece(cx));
        if let Some(Err(_)) = &piece {
            self.ledger.cut(Ended::Failed);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

/// How long it is until `due`.
fn until(due: Moment) -> Duration {
    due.since(now())
}
