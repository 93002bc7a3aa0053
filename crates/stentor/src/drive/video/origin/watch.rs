//! What waits at the server: the send queues of long answers, sampled while they are sent.
//!
//! The other half of the lecture's drawing: when the client's buffers are full, TCP holds the sender
//! back, and what was written stays here.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use stentor_core::moment::Moment;
use stentor_os::net::queues;
use tokio::net::TcpStream;

use super::exchange::Exchange;
use super::now;

/// How many answers are watched, of those that go on and of the latest that have ended.
const WATCHES_MAX: usize = 64;
/// From which length on an answer is watched: a whole film, not a chunk.
pub(super) const LENGTH_MIN_BYTES: u64 = 1 << 19;
/// Between two samples, at first.
const EVERY: Duration = Duration::from_millis(100);
/// The most samples of an answer: of more, every second one is dropped, and twice as long is waited.
const SAMPLES_MAX: usize = 2048;

/// A long answer and what the kernel held of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Which request it answers, from 0.
    pub number: u64,
    /// Which connection it is on, from 0.
    pub connection: u64,
    /// Who asked.
    pub peer: SocketAddr,
    /// What was asked for.
    pub path: String,
    /// When the request had come, by the calendar.
    pub time: SystemTime,
    /// The same on the clock of the process.
    pub at: Moment,
    /// How long the answer's body is, in bytes.
    pub length_bytes: u64,
    /// Whether nothing of it is sent any more.
    pub ended: bool,
    /// In order of time.
    pub samples: Vec<Sample>,
    /// Between two of them.
    every: Duration,
}

/// What the kernel held at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Since the request had come.
    pub after: Duration,
    /// Bytes of the body that the kernel had taken.
    pub sent_bytes: u64,
    /// Bytes that it held: not acknowledged by the client's kernel (SIOCOUTQ).
    pub queued_bytes: u64,
    /// Those of them that it had not even sent, for want of window (SIOCOUTQNSD).
    pub unsent_bytes: u64,
}

/// All that are watched.
#[derive(Debug, Default)]
pub(super) struct Watches(Mutex<VecDeque<Watch>>);

/// One answer that is watched.
#[derive(Clone, Debug)]
pub(super) struct Watch(Arc<Mutex<Queue>>);

impl Watches {
    /// Begins to watch an answer, if there is a place.
    pub(super) fn begin(&self, exchange: &Exchange) -> Option<Watch> {
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if watches.len() >= WATCHES_MAX {
            let over = watches.iter().position(|watch| watch.with(|queue| queue.ended))?;
            watches.remove(over);
        }
        let Exchange { number, connection, peer, time, at, length_bytes, .. } = *exchange;
        let (path, ended, samples) = (exchange.path.clone(), false, Vec::new());
        let every = EVERY;
        let queue =
            Queue { number, connection, peer, path, time, at, length_bytes, ended, samples, every };
        let watch = Watch(Arc::new(Mutex::new(queue)));
        watches.push_back(watch.clone());
        Some(watch)
    }

    /// What is known of all of them, in their order.
    pub(super) fn all(&self) -> Vec<Queue> {
        let watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watches.iter().map(|watch| watch.with(|queue| queue.clone())).collect()
    }
}

impl Watch {
    fn with<T>(&self, act: impl FnOnce(&mut Queue) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Samples the socket, of whose answer the kernel has taken so much; when to do it again.
    pub(super) fn sample(&self, stream: &TcpStream, sent_bytes: u64) -> Moment {
        let now = now();
        let wide = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        let queued = queues::unacknowledged(stream).map(wide);
        let unsent = queues::unsent(stream).map(wide);
        self.with(|queue| {
            if let (Ok(queued_bytes), Ok(unsent_bytes)) = (queued, unsent) {
                let after = now.since(queue.at);
                queue.add(Sample { after, sent_bytes, queued_bytes, unsent_bytes });
            }
            now + queue.every
        })
    }

    /// Ends it, with a last sample.
    pub(super) fn end(&self, stream: &TcpStream, sent_bytes: u64) {
        self.sample(stream, sent_bytes);
        self.with(|queue| queue.ended = true);
    }
}

impl Queue {
    fn add(&mut self, sample: Sample) {
        if self.samples.len() >= SAMPLES_MAX {
            let mut keep = false;
            self.samples.retain(|_| {
                keep = !keep;
                keep
            });
            self.every = self.every.saturating_mul(2);
        }
        self.samples.push(sample);
    }
}
