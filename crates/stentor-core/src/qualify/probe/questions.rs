//! Small things asked over one stream, each when the one before is answered.

use std::time::Duration;

use super::Output;
use super::course::Course;
use super::text::{Form, Stream, Wrong};
use crate::moment::Moment;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuestionsPlan {
    /// Bytes of a question, and of its answer.
    pub length: usize,
    /// From one question to the next, if the answer does not take longer.
    pub interval: Duration,
    /// When the last one may be asked.
    pub until: Moment,
    /// How many are asked at most.
    pub count: u64,
    /// The longest wait for an answer.
    pub patience: Duration,
}

/// The machine. `sent_bytes = verified_bytes + missing_bytes`.
#[derive(Clone, Debug)]
pub struct Questions<'a> {
    plan: QuestionsPlan,
    stream: &'a Stream,
    form: Option<Form>,
    due: Moment,
    asked: u64,
    asked_at: Moment,
    verified: u64,
    course: Course,
    given_up: bool,
}

impl<'a> Questions<'a> {
    /// The first is due at `now`.
    pub fn new(now: Moment, plan: QuestionsPlan, stream: &'a Stream) -> Questions<'a> {
        Questions {
            plan,
            stream,
            form: None,
            due: now,
            asked: 0,
            asked_at: now,
            verified: 0,
            course: Course::default(),
            given_up: false,
        }
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Moment) -> Output {
        if self.missing_bytes() > 0 {
            let end = self.asked_at + self.plan.patience;
            self.given_up |= now >= end;
            return if self.given_up { Output::Over } else { Output::Wait(end) };
        }
        if self.asked >= self.plan.count || self.due >= self.plan.until || now >= self.plan.until {
            return Output::Over;
        }
        if now < self.due {
            return Output::Wait(self.due);
        }
        let late = now.since(self.due);
        let number = self.sent_bytes();
        self.asked += 1;
        self.asked_at = now;
        self.course.sent(now);
        self.due = (self.due + self.plan.interval).max(now);
        Output::Send { number, length: self.plan.length, late: Some(late) }
    }

    /// Takes bytes that came.
    ///
    /// # Errors
    /// The first wrong byte, or the first that nobody asked for.
    pub fn handle(&mut self, now: Moment, bytes: &[u8]) -> Result<(), Wrong> {
        let asked = usize::try_from(self.missing_bytes()).unwrap_or(usize::MAX);
        let (awaited, more) = bytes.split_at(bytes.len().min(asked));
        self.stream.verify(self.verified, awaited, &mut self.form)?;
        self.verified += awaited.len() as u64;
        if !awaited.is_empty() && self.missing_bytes() == 0 {
            self.course.came(self.asked.saturating_sub(1), now);
        }
        if more.is_empty() { Ok(()) } else { Err(Wrong { at: self.verified }) }
    }

    /// Whether an answer did not come within the longest wait.
    pub fn has_given_up(&self) -> bool {
        self.given_up
    }

    /// How many bytes were asked.
    pub fn sent_bytes(&self) -> u64 {
        self.asked * self.plan.length as u64
    }

    /// How many came back, and rightly.
    pub fn verified_bytes(&self) -> u64 {
        self.verified
    }

    /// How many are not answered.
    pub fn missing_bytes(&self) -> u64 {
        self.sent_bytes().saturating_sub(self.verified)
    }

    /// How the service answers, as far as it has.
    pub fn form(&self) -> Option<Form> {
        self.form
    }

    /// Each question.
    pub fn course(&self) -> &Course {
        &self.course
    }
}
