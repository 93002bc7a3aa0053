//! One question over UDP, until it is answered or given up: retries, late and duplicate answers.
//!
//! Datagrams carry no number of ours, so answers are matched by content: the answer to a question
//! is its upper case. Two questions with the same answer cannot be told apart, and need not be.
//! What an answer must be on a stream is in [`stream`]; sockets are left to the driver.

pub mod stream;

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use crate::moment::Moment;

/// How many questions are remembered to recognise their late and duplicate answers.
pub const REMEMBERED: usize = 4096;

/// How long to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How often a question is sent again when no answer comes.
    pub retries: u32,
    /// When a question is given up, after it was first sent.
    pub limit: Duration,
}

impl Policy {
    /// How long the first sending waits for its answer. Each further one waits twice as long
    /// (exponential back-off, RFC 8085, section 3.1.1), and the last wait ends at the limit:
    /// first x (1 + 2 + 4 ...) = limit.
    fn first_wait(self) -> Duration {
        let parts = 2_u64.saturating_pow(self.retries.saturating_add(1)).saturating_sub(1);
        let nanoseconds = self.limit.as_nanos() / u128::from(parts.max(1));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX).max(1))
    }
}

/// What happened since the machine was last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// Nothing but time.
    Time,
    /// A new question, with the one answer that is right; `None` takes any answer. A question
    /// still open is given up.
    Ask(Option<&'a [u8]>),
    /// A datagram came.
    Datagram(&'a [u8]),
}

/// What to do next, or what a datagram was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send the question; the first time is number 1.
    Send(u32),
    /// The open question is answered, this long after it was first sent.
    Answered(Duration),
    /// The answer to the open question is wrong from this byte on (counted from 0).
    Wrong(usize),
    /// Nobody answered the open question in time.
    GaveUp,
    /// An answer to an earlier question, which had been given up.
    Late,
    /// Another answer to a question that had its answer.
    Duplicate,
    /// A datagram while no question was open, like no answer that is owed.
    Unasked,
    /// Wait for a datagram, or until this moment, then `handle`.
    Wait(Moment),
    /// No question is open: ask, or stop.
    Idle,
}

#[derive(Clone, Debug)]
struct Question {
    answer: Option<Vec<u8>>,
    asked: Moment,
    sent: u32,
    /// When to send again, as long as a retry is left.
    again: Moment,
}

/// Asks one question at a time and tells every datagram that comes apart.
#[derive(Clone, Debug)]
pub struct Exchange {
    policy: Policy,
    now: Moment,
    open: Option<Question>,
    /// Digest of an earlier answer, and whether it has come; the order tells which to forget.
    earlier: BTreeMap<u64, bool>,
    order: VecDeque<u64>,
    heard: VecDeque<Output>,
}

impl Exchange {
    /// Starts without a question.
    pub fn new(policy: Policy, now: Moment) -> Exchange {
        let (earlier, order, heard) = Default::default();
        Exchange { policy, now, open: None, earlier, order, heard }
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Moment, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::Time => {}
            Input::Ask(answer) => {
                self.close(false);
                let answer = answer.map(<[u8]>::to_vec);
                self.open = Some(Question { answer, asked: self.now, sent: 0, again: self.now });
            }
            Input::Datagram(datagram) => {
                let heard = self.judge(datagram);
                self.heard.push_back(heard);
            }
        }
    }

    /// Says what to do, until it says to wait or that it is idle.
    pub fn poll(&mut self) -> Output {
        if let Some(heard) = self.heard.pop_front() {
            return heard;
        }
        let Some(question) = &mut self.open else { return Output::Idle };
        let deadline = question.asked + self.policy.limit;
        if self.now >= deadline {
            self.close(false);
            return Output::GaveUp;
        }
        if question.sent > self.policy.retries {
            return Output::Wait(deadline);
        }
        if self.now >= question.again {
            let factor = 2_u32.saturating_pow(question.sent);
            question.again = self.now + self.policy.first_wait().saturating_mul(factor);
            question.sent += 1;
            return Output::Send(question.sent);
        }
        Output::Wait(question.again.min(deadline))
    }

    fn judge(&mut self, datagram: &[u8]) -> Output {
        if let Some(question) = &self.open {
            let right = question.answer.as_deref().is_none_or(|answer| answer == datagram);
            if right {
                let took = self.now.since(question.asked);
                self.close(true);
                return Output::Answered(took);
            }
        }
        if let Some(come) = self.earlier.get_mut(&digest(datagram)) {
            return if std::mem::replace(come, true) { Output::Duplicate } else { Output::Late };
        }
        let wrong = self.open.as_ref().and_then(|question| question.answer.as_deref());
        match wrong.map(|answer| first_difference(answer, datagram)) {
            Some(at) => {
                // It had its answer, if a wrong one: another is one too many.
                self.close(true);
                Output::Wrong(at)
            }
            None => Output::Unasked,
        }
    }

    /// Ends the open question and remembers its answer.
    fn close(&mut self, answered: bool) {
        let Some(answer) = self.open.take().and_then(|question| question.answer) else { return };
        let digest = digest(&answer);
        if self.earlier.insert(digest, answered).is_none() {
            self.order.push_back(digest);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.earlier.remove(&oldest);
        }
    }
}

/// Where two byte strings part: the length of what they have in common at their beginning.
pub fn first_difference(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests;
