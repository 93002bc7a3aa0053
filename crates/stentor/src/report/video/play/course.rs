//! The course of a session, moment by moment: what was buffered, what was played, what was on its way.
//!
//! A client that fetches chunks has an exact course, for the level changes with events alone. One that
//! reads a stream has what was sampled.

use std::time::Duration;

use stentor_core::moment::Moment;
use stentor_core::video::buffer;
use stentor_core::video::session::{Event, What};

use crate::drive::video::outcome::Outcome;

/// What happened, as lines over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// What was buffered, in playing time; straight between two moments.
    pub level: Vec<(Moment, Duration)>,
    /// What had been played, in playing time; straight between two moments.
    pub played: Vec<(Moment, Duration)>,
    /// When playing began.
    pub started: Option<Moment>,
    /// When playing stood still after that.
    pub stalls: Vec<Stall>,
    /// When there was first no room for more.
    pub full: Option<Moment>,
    /// Every request for film, in order.
    pub fetched: Vec<Fetched>,
}

/// Playing stood still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Since when.
    pub at: Moment,
    /// For how long.
    pub length: Duration,
    /// How much had been played.
    pub played: Duration,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// From 0.
    pub chunk: usize,
    /// From 0, the lowest.
    pub quality: usize,
    /// When it was asked for.
    pub asked: Moment,
    /// What was buffered then.
    pub level: Duration,
    /// When the first byte came; the end, if none did.
    pub begun: Moment,
    /// When the last byte came.
    pub ended: Moment,
    /// How many bytes came.
    pub bytes: u64,
    /// How it ended.
    pub how: How,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The whole chunk came.
    Received,
    /// It was given up for another quality.
    Abandoned,
    /// It did not come, or not as a whole.
    Failed,
    /// It was on its way at the end.
    Unfinished,
}

impl Fetched {
    /// How fast the body came, in bit/s; `None` where it took no time.
    pub fn throughput_bps(&self) -> Option<f64> {
        let body_s = self.ended.since(self.begun).as_secs_f64();
        (body_s > 0.0).then(|| self.bytes as f64 * 8.0 / body_s)
    }
}

impl Course {
    /// Follows a session.
    pub fn of(outcome: &Outcome) -> Course {
        let mut course = Course::default();
        let mut now = Now::default();
        course.mark(&now);
        for event in &outcome.events {
            now.pass_until(event.at);
            course.take(outcome, event, &mut now);
        }
        now.pass_until(outcome.end.max(now.at));
        course.mark(&now);
        if let Some(stall) = course.stalls.last_mut().filter(|_| now.stalled) {
            stall.length = now.at.since(stall.at);
        }
        if outcome.account.progressive.is_some() {
            course.follow();
        }
        if outcome.account.progressive.is_some() && !outcome.samples.is_empty() {
            course.level = outcome.samples.iter().map(|one| (one.at, one.level)).collect();
        }
        course
    }

    /// Lets each chunk of a stream begin when the one before has come: one request asked for all.
    fn follow(&mut self) {
        let mut before = Moment::START;
        for one in &mut self.fetched {
            (one.asked, one.begun) = (one.asked.max(before), one.begun.max(before));
            before = one.ended;
        }
    }

    fn mark(&mut self, now: &Now) {
        if self.level.last() != Some(&(now.at, now.level)) {
            self.level.push((now.at, now.level));
        }
        if self.played.last() != Some(&(now.at, now.played)) {
            self.played.push((now.at, now.played));
        }
    }

    fn take(&mut self, outcome: &Outcome, event: &Event, now: &mut Now) {
        self.mark(now);
        match event.what {
            What::Requested { chunk, quality, level } => {
                let (asked, ended) = (event.at, outcome.end.max(event.at));
                let (bytes, how) = (0, How::Unfinished);
                let request =
                    Fetched { chunk, quality, asked, level, begun: ended, ended, bytes, how };
                self.fetched.push(request);
            }
            What::Received(download) => {
                now.level += outcome.film.duration(download.chunk);
                self.end(event.at, &download, How::Received);
            }
            What::Abandoned { download, .. } => self.end(event.at, &download, How::Abandoned),
            What::Failed { download, .. } => self.end(event.at, &download, How::Failed),
            What::Buffer(what) => self.turn(what, now),
        }
        self.mark(now);
    }

    /// Ends the last request for a chunk.
    fn end(&mut self, at: Moment, download: &stentor_core::video::session::Download, how: How) {
        let mut asked = self.fetched.iter_mut().rev();
        let request = asked.find(|one| one.chunk == download.chunk && one.how == How::Unfinished);
        // All chunks of a stream come of one request.
        let request = match request {
            None if how == How::Received => {
                let (chunk, quality) = (download.chunk, download.quality);
                let before = self.fetched.last().map_or(Moment::START, |one| one.ended);
                let (level, bytes) = (Duration::ZERO, download.bytes);
                let (asked, begun, ended) = (before, before, at);
                self.fetched.push(Fetched {
                    chunk,
                    quality,
                    asked,
                    level,
                    begun,
                    ended,
                    bytes,
                    how,
                });
                return;
            }
            request => request,
        };
        if let Some(request) = request {
            request.begun = (request.asked + download.latency).min(at);
            (request.ended, request.bytes, request.how) = (at, download.bytes, how);
        }
    }

    fn turn(&mut self, what: buffer::What, now: &mut Now) {
        use buffer::What::{Ended, Full, Resumed, Room, Stalled, Started};
        match what {
            Started => {
                self.started = Some(now.at);
                now.playing = true;
            }
            Stalled => {
                (now.playing, now.stalled) = (false, true);
                let (at, played) = (now.at, now.played);
                self.stalls.push(Stall { at, length: Duration::ZERO, played });
            }
            Resumed | Ended => {
                now.playing = what == Resumed;
                if let Some(stall) = self.stalls.last_mut().filter(|_| now.stalled) {
                    stall.length = now.at.since(stall.at);
                }
                now.stalled = false;
            }
            Full => _ = self.full.get_or_insert(now.at),
            Room => {}
        }
    }
}

/// Where a session stands.
#[derive(Debug, Default)]
struct Now {
    at: Moment,
    level: Duration,
    played: Duration,
    playing: bool,
    stalled: bool,
}

impl Now {
    fn pass_until(&mut self, at: Moment) {
        let passed = at.since(self.at);
        if self.playing {
            self.level = self.level.saturating_sub(passed);
            self.played += passed;
        }
        self.at = self.at.max(at);
    }
}
