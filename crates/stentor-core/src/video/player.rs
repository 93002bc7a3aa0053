//! A player of chunks: the buffer, what chooses qualities, the estimate, and what is done when a
//! download fails, as one machine.
//!
//! It is the same for a recorded network ([`super::simulator`]) and for sockets (the roof's driver), so
//! that both decide alike. The driver carries out what [`Player::poll`] asks for, and says through
//! [`Player::handle`] what came of it; the machine knows no network. Events come in order of time, and
//! carry the moment at which they happened, however late they are asked for.

use std::collections::VecDeque;
use std::ops::Deref;
use std::time::Duration;

use super::abr::{Choice, Rule, View};
use super::buffer::{self, Buffer, Policy};
use super::estimate::{Estimate, Estimator};
use super::film::Film;
use super::session::{Download, Event, What};
use crate::moment::Moment;

/// How often a download is looked at that may be given up.
pub const LOOK: Duration = Duration::from_millis(50);
/// How many qualities of a chunk are tried before the player gives up.
pub const QUALITIES_TRIED_MAX: usize = 3;
/// After so many chunks in a row that could not be had in a quality, it is not asked for any more.
const GONE: u32 = 2;
/// The longest pause before a download is repeated.
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// What chooses the qualities.
#[derive(Clone, Debug, PartialEq)]
pub enum Chooser {
    /// A rule.
    Rule(Rule),
    /// Somebody outside: [`Output::Ask`] asks, [`Input::Choice`] answers.
    Outside,
}

/// What is done when a download fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often a chunk is asked for again in the same quality, before another one is tried.
    pub times: u32,
    /// The pause before the first of them; it doubles with each, up to 4 s.
    pub pause: Duration,
}

/// What a driver says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The download's first byte has come.
    Begins {
        /// How large it will be, if that was announced.
        size_bytes: Option<u64>,
    },
    /// The first bytes of its body have come, all at once, as those of a packet do.
    Burst {
        /// How many.
        bytes: u64,
    },
    /// So much of its body has come by now, altogether.
    Progress {
        /// In bytes.
        bytes: u64,
    },
    /// All of it has come.
    Complete {
        /// In bytes.
        bytes: u64,
    },
    /// No more of it will come.
    Failed,
    /// The answer to [`Output::Ask`].
    Choice(Choice),
}

/// What a player asks of its driver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Output {
    /// Take this.
    Event(Event),
    /// Ask for a chunk.
    Request {
        /// From 0.
        chunk: usize,
        /// From 0, the lowest.
        quality: usize,
    },
    /// Give up the download: nothing is to be said of it any more.
    Cancel,
    /// Find somebody who chooses, from what [`Player::view`] shows, and answer with
    /// [`Input::Choice`].
    Ask,
    /// Come back then, or with an input.
    Wait(Moment),
    /// Nothing happens without an input.
    Idle,
    /// The last picture was shown.
    Ended,
    /// A chunk could not be had in any quality that was tried: the session is over.
    GaveUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The next chunk does not fit yet.
    Full {
        since: Moment,
    },
    /// It fits.
    Ready,
    /// Somebody outside has been asked.
    Asking,
    /// It will be asked for then.
    Pausing {
        until: Moment,
        quality: usize,
    },
    /// It is on its way.
    Loading(Load),
    /// The last one is there.
    Complete,
    Ended,
    GaveUp,
}

/// A download on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    quality: usize,
    begun: Moment,
    first: Option<Moment>,
    /// How many bytes of the body came in that moment.
    burst_bytes: u64,
    size_bytes: u64,
    bytes: u64,
    /// When it is looked at next, if it may be given up.
    look: Option<Moment>,
}

/// A chunk in the buffer.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// Where in the film it ends, counting what has been received.
    ends: Duration,
    duration: Duration,
    bytes: u64,
}

/// The machine; `F` is how it holds its film: `&Film`, or an `Arc<Film>` that many share.
#[derive(Clone, Debug)]
pub struct Player<F> {
    film: F,
    policy: Policy,
    chooser: Chooser,
    retries: Retries,
    buffer: Buffer,
    estimator: Estimator,
    stage: Stage,
    /// The chunk that is next or on its way.
    chunk: usize,
    /// The quality of the one before.
    last: Option<usize>,
    last_download: Option<Download>,
    held: VecDeque<Held>,
    told: VecDeque<Output>,
    faults: Faults,
}

impl Load {
    /// When the first bit came. What was seen is when a whole packet had come: its bytes were on their
    /// way before, as fast as those behind it, without which a small chunk seems faster than it was.
    fn began_to_come(&self, now: Moment) -> Moment {
        let Some(first) = self.first else { return now };
        let rest = self.bytes.saturating_sub(self.burst_bytes);
        if self.burst_bytes == 0 || rest == 0 {
            return first;
        }
        let took = now.since(first).as_nanos() * u128::from(self.burst_bytes) / u128::from(rest);
        let before = u64::try_from(took).unwrap_or(u64::MAX);
        Moment::from_nanos(first.as_nanos().saturating_sub(before)).max(self.begun)
    }
}

impl Download {
    fn of(load: &Load, chunk: usize, now: Moment) -> Download {
        Download {
            chunk,
            quality: load.quality,
            size_bytes: load.size_bytes.max(load.bytes),
            bytes: load.bytes,
            latency: load.began_to_come(now).since(load.begun),
            total: now.since(load.begun),
        }
    }
}

/// What a chooser may know, without the film.
#[derive(Clone, Copy)]
struct Facts {
    chunk: usize,
    level: Duration,
    capacity: Duration,
    last: Option<usize>,
    estimate: Option<Estimate>,
}

impl Facts {
    fn view(self, film: &Film) -> View<'_> {
        let Facts { chunk, level, capacity, last, estimate } = self;
        View { film, chunk, level, capacity, last, estimate }
    }
}

impl<F: Deref<Target = Film>> Player<F> {
    /// A player at the beginning of `film`; it begins with the first [`Player::poll`], at
    /// [`Moment::START`].
    pub fn new(film: F, policy: Policy, chooser: Chooser, retries: Retries) -> Player<F> {
        let mut buffer = Buffer::new(policy);
        buffer.handle(Moment::START, buffer::Input::Wants(film.duration(0)));
        Player {
            film,
            policy,
            chooser,
            retries,
            buffer,
            estimator: Estimator::default(),
            stage: Stage::Full { since: Moment::START },
            chunk: 0,
            last: None,
            last_download: None,
            held: VecDeque::new(),
            told: VecDeque::new(),
            faults: Faults::default(),
        }
    }

    /// What is played.
    pub fn film(&self) -> &Film {
        &self.film
    }

    /// The same, as it was handed in.
    pub fn shared(&self) -> F
    where
        F: Clone,
    {
        self.film.clone()
    }

    /// What a chooser may know at `now`.
    pub fn view(&self, now: Moment) -> View<'_> {
        self.facts(now).view(&self.film)
    }

    /// The last download that was complete.
    pub fn last_download(&self) -> Option<&Download> {
        self.last_download.as_ref()
    }

    /// Its buffer.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// How many bytes of film are in the buffer at `now`; a chunk is played evenly.
    pub fn buffered_bytes(&self, now: Moment) -> u64 {
        let played = self.buffer.played(now);
        let left = |held: &Held| match held.ends.saturating_sub(played) {
            left if left >= held.duration => held.bytes,
            left => share(held.bytes, left, held.duration),
        };
        self.held.iter().map(left).sum()
    }

    /// Takes what came of a request, or an answer; one that nobody waits for is passed over.
    pub fn handle(&mut self, now: Moment, input: Input) {
        self.pass_until(now);
        match (self.stage, input) {
            (Stage::Loading(load), Input::Begins { size_bytes }) => {
                let size_bytes = size_bytes.unwrap_or(load.size_bytes);
                let first = Some(load.first.unwrap_or(now));
                self.stage = Stage::Loading(Load { first, size_bytes, ..load });
            }
            (Stage::Loading(load), Input::Burst { bytes }) => {
                let first = Some(now);
                self.stage = Stage::Loading(Load { first, bytes, burst_bytes: bytes, ..load });
            }
            (Stage::Loading(load), Input::Progress { bytes }) => {
                let first = Some(load.first.unwrap_or(now));
                self.stage = Stage::Loading(Load { first, bytes, ..load });
            }
            (Stage::Loading(load), Input::Complete { bytes }) => {
                self.receive(now, Load { bytes, size_bytes: bytes, ..load });
            }
            (Stage::Loading(load), Input::Failed) => self.fail(now, load),
            (Stage::Asking, Input::Choice(choice)) => self.choose(now, choice),
            _ => {}
        }
    }

    /// Says what happened up to `now` and what is to be done, and then when to come back.
    pub fn poll(&mut self, now: Moment) -> Output {
        loop {
            if let Some(output) = self.told.pop_front() {
                return output;
            }
            // What is left in the buffer is not played any more.
            if self.stage == Stage::GaveUp {
                return Output::GaveUp;
            }
            if self.act(now) {
                continue;
            }
            match self.buffer.poll(now) {
                buffer::Output::Event(event) => self.take(event),
                buffer::Output::Wait(next) => return self.wait(Some(next)),
                buffer::Output::Idle => return self.wait(None),
            }
        }
    }

    fn wait(&self, buffer: Option<Moment>) -> Output {
        let own = match self.stage {
            Stage::Ended => return Output::Ended,
            Stage::GaveUp => return Output::GaveUp,
            Stage::Pausing { until, .. } => Some(until),
            Stage::Loading(load) => load.look,
            Stage::Full { .. } | Stage::Ready | Stage::Asking | Stage::Complete => None,
        };
        match (own, buffer) {
            (Some(own), Some(buffer)) => Output::Wait(own.min(buffer)),
            (Some(next), None) | (None, Some(next)) => Output::Wait(next),
            (None, None) => Output::Idle,
        }
    }

    /// Does what is due at `now` beside the buffer; whether there was anything.
    fn act(&mut self, now: Moment) -> bool {
        match self.stage {
            Stage::Ready => {
                self.pass_until(now);
                let facts = self.facts(now);
                match &mut self.chooser {
                    Chooser::Rule(rule) => {
                        let choice = rule.choose(&facts.view(&self.film));
                        self.choose(now, choice);
                    }
                    Chooser::Outside => {
                        self.stage = Stage::Asking;
                        self.told.push_back(Output::Ask);
                    }
                }
                true
            }
            Stage::Pausing { until, quality } if until <= now => {
                self.pass_until(now);
                self.request(now, quality);
                true
            }
            Stage::Loading(load) if load.look.is_some_and(|look| look <= now) => {
                self.pass_until(now);
                self.look(now, load);
                true
            }
            Stage::Full { .. }
            | Stage::Asking
            | Stage::Pausing { .. }
            | Stage::Loading(_)
            | Stage::Complete
            | Stage::Ended
            | Stage::GaveUp => false,
        }
    }

    /// Takes what happened to the buffer before `now`: what is due at `now` itself waits for what
    /// arrives then.
    fn pass_until(&mut self, now: Moment) {
        let Some(before) = now.as_nanos().checked_sub(1).map(Moment::from_nanos) else { return };
        while let buffer::Output::Event(event) = self.buffer.poll(before) {
            self.take(event);
        }
    }

    fn take(&mut self, event: buffer::Event) {
        let buffer::Event { at, what } = event;
        self.say(at, What::Buffer(what));
        match (what, self.stage) {
            (buffer::What::Room, Stage::Full { since }) => {
                let waited = at.since(since);
                if let (Chooser::Rule(rule), false) = (&mut self.chooser, waited.is_zero()) {
                    rule.waited(waited);
                }
                self.stage = Stage::Ready;
            }
            (buffer::What::Ended, _) => self.stage = Stage::Ended,
            (
                buffer::What::Started
                | buffer::What::Stalled
                | buffer::What::Resumed
                | buffer::What::Full
                | buffer::What::Room,
                _,
            ) => {}
        }
    }

    fn say(&mut self, at: Moment, what: What) {
        self.told.push_back(Output::Event(Event { at, what }));
    }

    fn facts(&self, now: Moment) -> Facts {
        Facts {
            chunk: self.chunk,
            level: self.buffer.level(now),
            capacity: self.policy.capacity(),
            last: self.last,
            estimate: self.estimator.estimate(),
        }
    }

    fn choose(&mut self, now: Moment, choice: Choice) {
        let quality = self.faults.nearest(choice.quality.min(self.film.qualities() - 1));
        match choice.wait.is_zero() {
            true => self.request(now, quality),
            false => self.stage = Stage::Pausing { until: now + choice.wait, quality },
        }
    }

    fn request(&mut self, now: Moment, quality: usize) {
        let chunk = self.chunk;
        self.say(now, What::Requested { chunk, quality, level: self.buffer.level(now) });
        self.told.push_back(Output::Request { chunk, quality });
        let watched = match &self.chooser {
            Chooser::Rule(rule) => quality > 0 && rule.gives_up(),
            Chooser::Outside => false,
        };
        self.stage = Stage::Loading(Load {
            quality,
            begun: now,
            first: None,
            burst_bytes: 0,
            size_bytes: self.film.bytes(chunk, quality),
            bytes: 0,
            look: watched.then(|| now + LOOK),
        });
    }

    /// Asks the rule whether the download is given up.
    fn look(&mut self, now: Moment, load: Load) {
        let facts = self.facts(now);
        let download = Download::of(&load, self.chunk, now);
        let Chooser::Rule(rule) = &mut self.chooser else { return };
        let view = facts.view(&self.film);
        let to = rule.abandons(&view, &download).filter(|to| *to < load.quality);
        match to {
            Some(to) => {
                rule.abandoned(&view, to);
                self.say(now, What::Abandoned { download, to });
                self.told.push_back(Output::Cancel);
                self.request(now, to);
            }
            None => {
                let look = load.look.map(|look| (look + LOOK).max(now + Duration::from_nanos(1)));
                self.stage = Stage::Loading(Load { look, ..load });
            }
        }
    }

    fn receive(&mut self, now: Moment, load: Load) {
        let download = Download::of(&load, self.chunk, now);
        self.say(now, What::Received(download));
        let duration = self.film.duration(self.chunk);
        let played = self.buffer.played(now);
        while self.held.front().is_some_and(|held| held.ends <= played) {
            self.held.pop_front();
        }
        let ends = played + self.buffer.level(now) + duration;
        self.held.push_back(Held { ends, duration, bytes: load.bytes });
        self.buffer.handle(now, buffer::Input::Media(duration));
        self.estimator.feed(&download, duration.as_secs_f64());
        self.last = Some(load.quality);
        self.last_download = Some(download);
        let facts = self.facts(now);
        if let Chooser::Rule(rule) = &mut self.chooser {
            rule.received(&facts.view(&self.film), &download);
        }
        self.faults.came(load.quality);
        self.chunk += 1;
        if self.chunk == self.film.chunks().len() {
            self.buffer.handle(now, buffer::Input::End);
            self.stage = Stage::Complete;
        } else {
            self.buffer.handle(now, buffer::Input::Wants(self.film.duration(self.chunk)));
            self.stage = Stage::Full { since: now };
        }
    }

    /// Repeats a download that failed, or tries another quality.
    fn fail(&mut self, now: Moment, load: Load) {
        let download = Download::of(&load, self.chunk, now);
        let next = self.faults.failed(load.quality, self.film.qualities(), self.retries);
        self.say(now, What::Failed { download, to: next.map(|(quality, _)| quality) });
        self.stage = match next {
            Some((quality, pause)) => Stage::Pausing { until: now + pause, quality },
            None => Stage::GaveUp,
        };
    }
}

/// `bytes` times `part / whole`.
fn share(bytes: u64, part: Duration, whole: Duration) -> u64 {
    let share = u128::from(bytes) * part.as_nanos() / whole.as_nanos().max(1);
    u64::try_from(share).unwrap_or(bytes)
}

/// What has failed, of the chunk that is on its way and of each quality.
#[derive(Clone, Debug, Default)]
struct Faults {
    /// How often the chunk failed in the quality that is tried.
    times: u32,
    /// The qualities in which it could not be had.
    tried: Vec<usize>,
    /// For each quality that has failed, how many chunks in a row could not be had in it.
    rows: Vec<u32>,
}

impl Faults {
    fn came(&mut self, quality: usize) {
        self.times = 0;
        self.tried.clear();
        if let Some(row) = self.rows.get_mut(quality).filter(|row| **row < GONE) {
            *row = 0;
        }
    }

    /// The quality and the pause with which it goes on, if it does.
    fn failed(
        &mut self,
        quality: usize,
        qualities: usize,
        retries: Retries,
    ) -> Option<(usize, Duration)> {
        self.times += 1;
        if self.times <= retries.times {
            let doubled = 1_u32.checked_shl(self.times - 1).unwrap_or(u32::MAX);
            return Some((quality, retries.pause.saturating_mul(doubled).min(PAUSE_MAX)));
        }
        self.times = 0;
        self.tried.push(quality);
        if self.rows.len() < qualities {
            self.rows.resize(qualities, 0);
        }
        if let Some(row) = self.rows.get_mut(quality) {
            *row += 1;
        }
        let free = |other: &usize| !self.tried.contains(other) && !self.is_gone(*other);
        let lower = (0..quality).rev().find(free);
        let next = lower.or_else(|| (quality + 1..qualities).find(free));
        next.filter(|_| self.tried.len() < QUALITIES_TRIED_MAX).map(|next| (next, Duration::ZERO))
    }

    fn is_gone(&self, quality: usize) -> bool {
        self.rows.get(quality).is_some_and(|row| *row >= GONE)
    }

    /// The quality that is asked for in place of `quality`, which may be gone: one below it, else one
    /// above.
    fn nearest(&self, quality: usize) -> usize {
        if !self.is_gone(quality) {
            return quality;
        }
        let lower = (0..quality).rev().find(|other| !self.is_gone(*other));
        let higher = || (quality + 1..self.rows.len()).find(|other| !self.is_gone(*other));
        lower.or_else(higher).unwrap_or(quality)
    }
}

#[cfg(test)]
mod tests;
