//! Spoils the answers of one connection, on time.
//!
//! The machine stands between the service and the socket: answers go in, and what is to be sent,
//! and when, comes out. While faults are asked for, its queue is bounded: the driver reads no more
//! than [`FaultyStream::read_max`] allows.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Armed, Faults, Kind, Struck, stalled_for};
use crate::moment::Moment;
use crate::seed::Seed;

/// The most bytes of answers that wait in one connection.
pub const QUEUE_MAX: usize = 64 << 10;
/// The most parts of answers that wait in one connection: many small answers weigh, too.
pub const PARTS_MAX: usize = 256;
/// What one read may become: a few answers, each twice and in two halves.
const PARTS_OF_A_READ: usize = 16;

/// What the driver has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due<'a> {
    /// Send these bytes, then say [`FaultyStream::sent`] how many the kernel took.
    Send(&'a [u8]),
    /// Nothing before this moment.
    Wait(Moment),
    /// Nothing until another answer is handled.
    Idle,
    /// Reset the connection (SO_LINGER of 0, then close: socket(7)).
    Reset,
    /// Close it in order; everything was sent.
    Close,
}

/// A stretch of an answer that is sent as one, or byte by byte.
#[derive(Clone, Debug)]
struct Part {
    bytes: Vec<u8>,
    sent: usize,
    /// Not before this moment ...
    due: Moment,
    /// ... nor sooner than this after the part before it.
    pause: Duration,
    /// Byte by byte with this gap.
    gap: Option<Duration>,
}

/// How a connection ends once its queue is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Close,
    Reset,
}

/// One connection with faults.
#[derive(Clone, Debug)]
pub struct FaultyStream {
    armed: Vec<Armed>,
    silent: bool,
    stall: Option<(Duration, Duration)>,
    queue: VecDeque<Part>,
    queued: usize,
    last_sent: Moment,
    end: End,
    /// The end comes not before this, even if no byte is left to wait for.
    end_due: Moment,
    /// A fault ends the connection: later answers are lost.
    cut: bool,
}

impl FaultyStream {
    /// Arms the faults of connection number `connection`, whose luck depends on nothing else.
    pub fn new(faults: &Faults, seed: Seed, connection: u64) -> FaultyStream {
        let mut once = Struck::default();
        let mut armed = Vec::new();
        for fault in faults.iter() {
            let mut fault = Armed::new(fault, seed, &format!("tcp/{connection}"));
            match fault.kind {
                Kind::Silent | Kind::Stall { .. } => {
                    if fault.strikes() {
                        once.add(fault.kind);
                    }
                }
                Kind::Split(_)
                | Kind::Drip(_)
                | Kind::Rst
                | Kind::Dup
                | Kind::Late(_)
                | Kind::Truncate => armed.push(fault),
            }
        }
        FaultyStream {
            armed,
            silent: once.silent,
            stall: once.stall,
            queue: VecDeque::new(),
            queued: 0,
            last_sent: Moment::START,
            end: End::Open,
            end_due: Moment::START,
            cut: false,
        }
    }

    /// The most bytes that the driver may read now; 0: stop reading until some are sent.
    ///
    /// So much fits into the queue even when upper-casing makes three bytes of one, 3 more were
    /// held back, and the answer is sent twice.
    pub fn read_max(&self) -> usize {
        if self.queue.len() + PARTS_OF_A_READ > PARTS_MAX {
            return 0;
        }
        ((QUEUE_MAX - self.queued.min(QUEUE_MAX)) / 6).saturating_sub(3)
    }

    /// Bytes that wait, at most [`QUEUE_MAX`] if the driver keeps to [`FaultyStream::read_max`].
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Parts that wait.
    #[cfg(test)]
    pub(super) fn parts(&self) -> usize {
        self.queue.len()
    }

    /// Takes an answer of the service; an empty one is none.
    pub fn handle(&mut self, now: Moment, answer: &[u8]) {
        if self.cut || self.silent || answer.is_empty() {
            return;
        }
        let mut struck = Struck::default();
        for armed in &mut self.armed {
            if armed.strikes() {
                struck.add(armed.kind);
            }
        }
        let due = now + struck.late.unwrap_or_default();
        let gap = struck.drip;
        let times = if struck.dup { 2 } else { 1 };
        let cut = struck.rst || struck.truncate;
        for _ in 0..times {
            let kept = if cut { answer.len() / 2 } else { answer.len() };
            let (kept, _) = answer.split_at(kept);
            let half = if struck.split.is_some() { kept.len() / 2 } else { 0 };
            let (first, rest) = kept.split_at(half);
            self.push(first, due, Duration::ZERO, gap);
            let pause = if half > 0 { struck.split.unwrap_or_default() } else { Duration::ZERO };
            self.push(rest, due, pause, gap);
            if cut {
                break;
            }
        }
        if cut {
            self.cut = true;
            self.end_due = due;
            self.end = if struck.rst { End::Reset } else { End::Close };
        }
    }

    fn push(&mut self, bytes: &[u8], due: Moment, pause: Duration, gap: Option<Duration>) {
        if !bytes.is_empty() {
            self.queued += bytes.len();
            self.queue.push_back(Part { bytes: bytes.to_vec(), sent: 0, due, pause, gap });
        }
    }

    /// Says that the service has given its last answer: [`Due::Close`] once all is sent.
    ///
    /// A silent connection does not even close.
    pub fn end(&mut self) {
        if self.end == End::Open && !self.silent {
            self.end = End::Close;
        }
    }

    /// Whether a fault, not the service or the client, brought [`Due::Close`] or [`Due::Reset`].
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Says what to do at `now`.
    pub fn poll(&mut self, now: Moment) -> Due<'_> {
        let stalled = self.stall.map(|(silent, every)| stalled_for(now, silent, every));
        if let Some(left) = stalled.filter(|left| !left.is_zero()) {
            if self.queue.is_empty() && self.end == End::Open {
                return Due::Idle;
            }
            return Due::Wait(now + left);
        }
        let Some(part) = self.queue.front() else {
            return match self.end {
                End::Open => Due::Idle,
                End::Close | End::Reset if now < self.end_due => Due::Wait(self.end_due),
                End::Close => Due::Close,
                End::Reset => Due::Reset,
            };
        };
        let pause = if part.sent > 0 { part.gap.unwrap_or_default() } else { part.pause };
        let from = part.due.max(if pause.is_zero() { part.due } else { self.last_sent + pause });
        if from > now {
            return Due::Wait(from);
        }
        let rest = part.bytes.get(part.sent..).unwrap_or_default();
        let len = if part.gap.is_some() { 1 } else { rest.len() };
        Due::Send(rest.get(..len).unwrap_or(rest))
    }

    /// Notes that the kernel took the first `n` bytes of the last [`Due::Send`].
    pub fn sent(&mut self, now: Moment, n: usize) {
        let Some(part) = self.queue.front_mut() else { return };
        let n = n.min(part.bytes.len() - part.sent);
        part.sent += n;
        self.queued -= n;
        if n > 0 {
            self.last_sent = now;
        }
        if part.sent == part.bytes.len() {
            self.queue.pop_front();
        }
    }
}
