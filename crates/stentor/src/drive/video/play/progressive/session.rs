//! One playing: the buffer and its events, what is still to come, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use stentor_core::moment::Moment;
use stentor_core::video::buffer::{self, Output};
use stentor_core::video::film::Film;
use stentor_core::video::fluid::{Buffer, Input, Playout, Policy};
use stentor_core::video::metrics::Metrics;
use stentor_core::video::session::{Download, Event, What};

use super::gauge::Gauge;
use super::{Company, Plan};
use crate::drive::race::now;
use crate::drive::video::outcome::{Account, Outcome, Progressive, Trouble};
use crate::drive::video::play::News;

/// Of a full buffer so small a part is played before more is read: a read for each byte would cost
/// more than it shows.
const BITE_PART: u64 = 128;
/// From a full segment on Ethernet to what one read brings.
const BITES: (u64, u64) = (1460, 64 << 10);
/// Where no length is announced: how much more than the film's sizes may come.
const EXCESS_MAX: u64 = 1 << 20;

/// When the request was sent, how long the answer took, and the length it announced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Began {
    pub(super) epoch: Moment,
    pub(super) first: Duration,
    pub(super) announced: Option<u64>,
}

/// A session; its moments count from the request.
pub(super) struct Session<'a> {
    plan: &'a Plan,
    url: String,
    began: Began,
    policy: Policy,
    buffer: Buffer,
    gauge: Gauge,
    events: Vec<Event>,
    chunks: Chunks,
    film_bytes: u64,
    /// No more is read.
    over: bool,
    /// When something happens to the buffer by itself.
    next: Option<Moment>,
    /// When there last was nothing to wait for, or something came.
    heard: Moment,
    /// When the buffer was full or all was there, and how much had come.
    filled: Option<(Moment, u64)>,
    interrupted: bool,
    trouble: Option<Trouble>,
}

impl<'a> Session<'a> {
    /// `None` if so many bytes are no film.
    pub(super) fn new(
        plan: &'a Plan,
        url: String,
        began: Began,
        gauge: Gauge,
    ) -> Option<Session<'a>> {
        let chunks = Chunks::new(&plan.film, plan.quality, began);
        let film_bytes = began.announced.unwrap_or(chunks.sizes);
        let policy = Policy::of(&plan.policy, Playout::of(film_bytes, plan.film.length())?);
        Some(Session {
            plan,
            url,
            began,
            policy,
            buffer: Buffer::new(policy),
            gauge,
            events: Vec::new(),
            chunks,
            film_bytes,
            over: false,
            next: None,
            heard: Moment::START,
            filled: None,
            interrupted: false,
            trouble: None,
        })
    }

    /// Says what is played, and that it was asked for: one request for all of it.
    pub(super) fn begin(&mut self, company: &mut Company<'_>) {
        (company.news)(News::Film(&self.plan.film));
        let quality = self.plan.quality;
        let what = What::Requested { chunk: 0, quality, level: Duration::ZERO };
        self.say(Event { at: Moment::START, what }, company);
    }

    /// The present, as the session counts it.
    pub(super) fn now(&self) -> Moment {
        Moment::START + now().since(self.began.epoch)
    }

    /// Books what happened up to now; whether it is over.
    pub(super) fn look(&mut self, company: &mut Company<'_>) -> bool {
        let now = self.now();
        self.book(now, company);
        if self.gauge.due() <= now {
            let sample = self.gauge.look(now, &self.buffer, company.server);
            (company.news)(News::Sample(&sample));
        }
        if self.wanted() == 0 {
            self.heard = now;
        } else if now.since(self.heard) > self.plan.silence_max {
            let silence = self.plan.silence_max;
            self.cut(format!("GET {}: nothing came for {silence:?}", self.url));
            self.book(now, company);
        }
        self.interrupted || self.buffer.has_ended()
    }

    /// How much may be read now.
    pub(super) fn wanted(&self) -> u64 {
        let room = self.buffer.room_bytes(self.now());
        if self.over || room < self.least() { 0 } else { room.min(self.left()) }
    }

    /// When to look again, at the latest.
    pub(super) fn wake(&self) -> Moment {
        let fits = match self.over {
            true => None,
            false => self.buffer.fits(self.least()),
        };
        // What fits already waits for the socket.
        let fits = fits.filter(|fits| *fits > self.now());
        self.next.into_iter().chain(fits).fold(self.gauge.due(), Moment::min)
    }

    /// Takes what was read of the `wanted` bytes for which there was room.
    pub(super) fn take(&mut self, bytes: u64, wanted: u64, company: &mut Company<'_>) {
        let now = self.now();
        self.book(now, company);
        self.heard = now;
        self.buffer.handle(now, Input::Bytes(bytes));
        if bytes >= wanted && self.left() > 0 {
            self.buffer.handle(now, Input::Refused);
        }
        let received = self.buffer.received_bytes();
        while let Some(download) = self.chunks.complete(received, now) {
            self.say(Event { at: now, what: What::Received(download) }, company);
        }
        self.book(now, company);
        if received >= self.film_bytes && self.began.announced.is_some() {
            self.finish();
        } else if received > self.film_bytes.saturating_add(EXCESS_MAX) {
            let what = format!(
                "GET {}: {received} bytes came without an announced length, and the film has {}",
                self.url, self.film_bytes
            );
            self.cut(what);
        }
    }

    /// The stream has ended in order.
    pub(super) fn finish(&mut self) {
        let received = self.buffer.received_bytes();
        if received < self.film_bytes {
            return self.cut(format!("GET {}: the stream ended", self.url));
        }
        self.stop();
    }

    /// No more comes, and that is not as it should be; what is there is played.
    pub(super) fn cut(&mut self, what: String) {
        if self.over {
            return;
        }
        let (received, whole) = (self.buffer.received_bytes(), self.film_bytes);
        let what = format!("{what}: {received} of {whole} bytes came");
        let next = "The server's log says what it did; -w waits longer in silence.".to_owned();
        self.trouble = Some(Trouble { what, next });
        self.stop();
    }

    /// The person ended it.
    pub(super) fn interrupt(&mut self) {
        self.interrupted = true;
    }

    fn stop(&mut self) {
        let now = self.now();
        self.over = true;
        self.filled.get_or_insert((now, self.buffer.received_bytes()));
        self.buffer.handle(now, Input::End);
    }

    /// What it came to.
    pub(super) fn end(mut self, receive_buffer_bytes: u64, company: &mut Company<'_>) -> Outcome {
        let now = self.now();
        self.book(now, company);
        let sample = self.gauge.look(now, &self.buffer, company.server);
        (company.news)(News::Sample(&sample));
        let end = match self.buffer.has_ended() {
            true => self.events.last().map_or(now, |event| event.at),
            false => now,
        };
        let received_bytes = self.buffer.received_bytes();
        let (at, came) = self.filled.unwrap_or((now, received_bytes));
        let (zero_windows, zero_window) = self.gauge.zeroes(now);
        let progressive = Progressive {
            film_bytes: self.film_bytes,
            received_bytes,
            playout_bps: rate(self.film_bytes, self.plan.film.length()),
            arrival_bps: rate(came, at.since(Moment::START)),
            capacity_bytes: self.policy.capacity_bytes(),
            start_bytes: self.policy.start_bytes(),
            resume_bytes: self.policy.resume_bytes(),
            receive_buffer_bytes,
            zero_windows,
            zero_window,
        };
        let account = Account {
            began: self.began.epoch,
            found: "a file".to_owned(),
            exact: self.began.announced.is_some(),
            connections: 1,
            progressive: Some(progressive),
            ..Account::default()
        };
        Outcome {
            film: Arc::new(self.plan.film.clone()),
            policy: self.plan.policy,
            metrics: Metrics::of(&self.plan.film, &self.events, end),
            events: self.events,
            samples: self.gauge.into_samples(),
            end,
            interrupted: self.interrupted,
            trouble: self.trouble,
            account,
        }
    }

    /// Takes what happened to the buffer up to `now`.
    fn book(&mut self, now: Moment, company: &mut Company<'_>) {
        loop {
            match self.buffer.poll(now) {
                Output::Event(buffer::Event { at, what }) => {
                    if what == buffer::What::Full {
                        self.filled.get_or_insert((at, self.buffer.received_bytes()));
                    }
                    self.say(Event { at, what: What::Buffer(what) }, company);
                }
                Output::Wait(next) => break self.next = Some(next),
                Output::Idle => break self.next = None,
            }
        }
    }

    fn say(&mut self, event: Event, company: &mut Company<'_>) {
        (company.news)(News::Event(&event));
        self.events.push(event);
    }

    /// How many bytes may still come.
    fn left(&self) -> u64 {
        match self.began.announced {
            Some(announced) => announced.saturating_sub(self.buffer.received_bytes()),
            None => u64::MAX,
        }
    }

    /// For how much room it is worth to read.
    fn least(&self) -> u64 {
        let capacity = self.policy.capacity_bytes();
        let bite = (capacity / BITE_PART).clamp(BITES.0, BITES.1).min(capacity / 8);
        match self.buffer.is_full() {
            true => bite.min(self.left()).max(1),
            false => 1,
        }
    }
}

/// Which chunk the bytes that come belong to.
#[derive(Clone, Debug)]
struct Chunks {
    bytes: Vec<u64>,
    /// All of them together.
    sizes: u64,
    quality: usize,
    /// The number of the one that is coming, and with how many bytes of the film it is complete.
    next: usize,
    boundary: u64,
    /// When the one before it was.
    since: Moment,
    first: Duration,
    /// What is before the first chunk: it counts as a part of that.
    head: u64,
}

impl Chunks {
    fn new(film: &Film, quality: usize, began: Began) -> Chunks {
        let bytes: Vec<u64> =
            (0..film.chunks().len()).map(|chunk| film.bytes(chunk, quality)).collect();
        let sizes: u64 = bytes.iter().sum();
        let head = began.announced.map_or(0, |announced| announced.saturating_sub(sizes));
        let boundary = head + bytes.first().copied().unwrap_or(0);
        let (since, first) = (Moment::START, began.first);
        Chunks { bytes, sizes, quality, next: 0, boundary, since, first, head }
    }

    /// The next chunk, if so many bytes complete it.
    fn complete(&mut self, received: u64, now: Moment) -> Option<Download> {
        let size = *self.bytes.get(self.next)?;
        if received < self.boundary {
            return None;
        }
        let size_bytes = size + std::mem::take(&mut self.head);
        let download = Download {
            chunk: self.next,
            quality: self.quality,
            size_bytes,
            bytes: size_bytes,
            latency: std::mem::take(&mut self.first),
            total: now.since(self.since),
        };
        self.next += 1;
        self.boundary += self.bytes.get(self.next).copied().unwrap_or(0);
        self.since = now;
        Some(download)
    }
}

/// In bit/s, to the nearest.
fn rate(bytes: u64, span: Duration) -> u64 {
    let ns = span.as_nanos().max(1);
    let bps = (u128::from(bytes) * 8_000_000_000 + ns / 2) / ns;
    u64::try_from(bps).unwrap_or(u64::MAX)
}
