//! As much as passes through a stream in both directions at once: what comes back is as fast as
//! the slower of the two.

use std::time::Duration;

use super::Output;
use super::text::{Form, Stream, Wrong};
use crate::moment::Moment;

/// Bytes given to the stream at once: those of 5 ms at the cap, within these bounds.
const PIECE_MIN: f64 = 1460.0;
const PIECE_MAX: f64 = 65_536.0;
/// Bytes that may be on their way, so that a slow path is not filled for minutes.
const UNDER_WAY_MAX: u64 = 4 << 20;

/// What a bulk transfer is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BulkPlan {
    /// The highest rate, in bit/s of payload.
    pub cap_bps: f64,
    /// What comes before this is not counted: the connection is still getting up to its speed.
    pub counted_from: Moment,
    /// When it ends, whatever is on its way.
    pub until: Moment,
}

/// The machine. `sent_bytes = verified_bytes + under way`.
#[derive(Clone, Debug)]
pub struct Bulk<'a> {
    plan: BulkPlan,
    stream: &'a Stream,
    form: Option<Form>,
    began: Moment,
    sent: u64,
    verified: u64,
    /// The first arrival that counts: when, and how much had come with it.
    mark: Option<(Moment, u64)>,
    /// The last one, likewise.
    last: (Moment, u64),
}

impl<'a> Bulk<'a> {
    /// Begins at `now`.
    pub fn new(now: Moment, plan: BulkPlan, stream: &'a Stream) -> Bulk<'a> {
        let (form, mark, last) = (None, None, (now, 0));
        Bulk { plan, stream, form, began: now, sent: 0, verified: 0, mark, last }
    }

    /// What to do at `now`; [`Bulk::sent`] says how much of it the kernel took.
    pub fn poll(&self, now: Moment) -> Output {
        if now >= self.plan.until {
            return Output::Over;
        }
        let allowed = self.plan.cap_bps / 8.0 * now.since(self.began).as_secs_f64();
        let ahead = self.sent as f64 - allowed;
        if ahead > 0.0 {
            let wait = Duration::try_from_secs_f64(ahead * 8.0 / self.plan.cap_bps);
            // A part of a nanosecond is no time to wait.
            let wait = wait.unwrap_or(Duration::MAX).max(Duration::from_micros(1));
            return Output::Wait((now + wait).min(self.plan.until));
        }
        if self.sent - self.verified >= UNDER_WAY_MAX {
            return Output::Wait(self.plan.until);
        }
        let piece = (self.plan.cap_bps / 8.0 * 0.005).clamp(PIECE_MIN, PIECE_MAX);
        let length = Duration::try_from_secs_f64(piece).map_or(1, |whole| whole.as_secs());
        let length = usize::try_from(length).unwrap_or(1);
        Output::Send { number: self.sent, length, late: None }
    }

    /// Notes that so many more bytes were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// Takes bytes that came.
    ///
    /// # Errors
    /// The first wrong byte, or the first that was not sent.
    pub fn handle(&mut self, now: Moment, bytes: &[u8]) -> Result<(), Wrong> {
        let sent = usize::try_from(self.sent - self.verified).unwrap_or(usize::MAX);
        let (awaited, more) = bytes.split_at(bytes.len().min(sent));
        self.stream.verify(self.verified, awaited, &mut self.form)?;
        self.verified += awaited.len() as u64;
        if !awaited.is_empty() && now < self.plan.until {
            self.last = (now, self.verified);
            if self.mark.is_none() && now >= self.plan.counted_from {
                self.mark = Some((now, self.verified));
            }
        }
        if more.is_empty() { Ok(()) } else { Err(Wrong { at: self.verified }) }
    }

    /// What came back each second, from the first arrival that counts to the last, in bit/s;
    /// `None` before there are two.
    pub fn rate_bps(&self) -> Option<f64> {
        let (first, had) = self.mark?;
        let (last, has) = self.last;
        let seconds = last.since(first).as_secs_f64();
        (seconds > 0.0).then(|| (has - had) as f64 * 8.0 / seconds)
    }

    /// Whether the cap was the limit: all that it allowed was sent and came back.
    pub fn is_capped(&self) -> bool {
        self.rate_bps().is_some_and(|rate| rate >= self.plan.cap_bps * 0.95)
    }

    /// How many bytes were sent.
    pub fn sent_bytes(&self) -> u64 {
        self.sent
    }

    /// How many came back, and rightly.
    pub fn verified_bytes(&self) -> u64 {
        self.verified
    }
}
