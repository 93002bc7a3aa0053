//! A session on a virtual clock: the buffer and the rules of a real one, over a recorded network.
//!
//! Unlike [`super::sabre`], a quality that is suggested when a download is given up is the one that is
//! asked for next, start-up includes latency, and a freeze of no length is none.

use std::time::Duration;

use super::abr::{Choice, Rule, View};
use super::buffer::{self, Buffer, Input, Output, Policy};
use super::estimate::Estimator;
use super::film::Film;
use super::metrics::Metrics;
use super::network::Network;
use super::session::{Download, Event, What};
use crate::moment::Moment;

/// How often a download is looked at that may be given up.
const LOOK: Duration = Duration::from_millis(50);

/// A session that was played to the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// What happened, in order of time.
    pub events: Vec<Event>,
    /// When the last picture was shown.
    pub end: Moment,
    /// How good it was.
    pub metrics: Metrics,
}

/// Plays `film` over `network` as `rule` says.
pub fn play(film: &Film, network: &Network, policy: Policy, rule: Rule) -> Played {
    let mut player = Player {
        film,
        network,
        policy,
        rule,
        buffer: Buffer::new(policy),
        estimator: Estimator::default(),
        events: Vec::with_capacity(film.chunks().len() * 4),
        now: Moment::START,
        last: None,
    };
    for chunk in 0..film.chunks().len() {
        player.wait_for_room(chunk);
        let view = player.view(chunk);
        let choice = player.rule.choose(&view);
        player.fetch(chunk, choice);
    }
    player.buffer.handle(player.now, Input::End);
    player.pass_until(Moment::from_nanos(u64::MAX), None);
    let Player { mut events, now: end, .. } = player;
    // A download is told of when it ends, and the buffer's part of it may have come before.
    events.sort_by_key(|event| event.at);
    let metrics = Metrics::of(film, &events, end);
    Played { events, end, metrics }
}

struct Player<'a> {
    film: &'a Film,
    network: &'a Network,
    policy: Policy,
    rule: Rule,
    buffer: Buffer,
    estimator: Estimator,
    events: Vec<Event>,
    now: Moment,
    last: Option<usize>,
}

impl<'a> Player<'a> {
    fn view(&self, chunk: usize) -> View<'a> {
        View {
            film: self.film,
            chunk,
            level: self.buffer.level(self.now),
            capacity: self.policy.capacity(),
            last: self.last,
            estimate: self.estimator.estimate(),
        }
    }

    fn say(&mut self, what: What) {
        self.events.push(Event { at: self.now, what });
    }

    /// Takes what happens to the buffer up to `until`, or up to an event of the kind `stop`.
    fn pass_until(&mut self, until: Moment, stop: Option<buffer::What>) {
        let mut now = self.now;
        loop {
            match self.buffer.poll(now) {
                Output::Event(buffer::Event { at, what }) => {
                    self.now = self.now.max(at);
                    self.events.push(Event { at, what: What::Buffer(what) });
                    if stop == Some(what) {
                        return;
                    }
                }
                // What is due at `until` itself waits for what arrives then.
                Output::Wait(next) if next < until => now = next,
                Output::Wait(_) | Output::Idle => break,
            }
        }
        if until < Moment::from_nanos(u64::MAX) {
            self.now = self.now.max(until);
        }
    }

    fn wait_for_room(&mut self, chunk: usize) {
        let begun = self.now;
        self.buffer.handle(self.now, Input::Wants(self.film.duration(chunk)));
        self.pass_until(Moment::from_nanos(u64::MAX), Some(buffer::What::Room));
        let waited = self.now.since(begun);
        if !waited.is_zero() {
            self.rule.waited(waited);
        }
    }

    /// Fetches a chunk as chosen, or in a lower quality after it was given up: qualities fall, so that
    /// it ends.
    fn fetch(&mut self, chunk: usize, choice: Choice) {
        let mut quality = choice.quality;
        self.pass_until(self.now + choice.wait, None);
        loop {
            let begun = self.now;
            self.say(What::Requested { chunk, quality, level: self.buffer.level(begun) });
            let size_bytes = self.film.bytes(chunk, quality);
            let body = self.network.begins(begun);
            let whole = Download {
                chunk,
                quality,
                size_bytes,
                bytes: size_bytes,
                latency: body.since(begun),
                total: self.network.arrives(body, size_bytes).since(begun),
            };
            match self.given_up(begun, &whole) {
                Some((download, to)) => {
                    self.pass_until(begun + download.total, None);
                    self.say(What::Abandoned { download, to });
                    let view = self.view(chunk);
                    self.rule.abandoned(&view, to);
                    quality = to;
                }
                None => return self.receive(begun, &whole),
            }
        }
    }

    /// Whether the rule gives the download up on its way, looking every 50 ms: how far it has come, and
    /// the lower quality that it asks for.
    fn given_up(&self, begun: Moment, whole: &Download) -> Option<(Download, usize)> {
        if whole.quality == 0 {
            return None;
        }
        let mut total = LOOK;
        while total < whole.total {
            let now = begun + total;
            let bytes = self.network.arrived(begun + whole.latency, now, whole.size_bytes);
            let download = Download { bytes, total, ..*whole };
            let view = View { level: self.buffer.level(now), ..self.view(whole.chunk) };
            let to = self.rule.abandons(&view, &download).filter(|to| *to < whole.quality);
            if let Some(to) = to {
                return Some((download, to));
            }
            total += LOOK;
        }
        None
    }

    fn receive(&mut self, begun: Moment, whole: &Download) {
        self.pass_until(begun + whole.total, None);
        self.say(What::Received(*whole));
        let duration = self.film.duration(whole.chunk);
        self.buffer.handle(self.now, Input::Media(duration));
        self.estimator.feed(whole, duration.as_secs_f64());
        self.last = Some(whole.quality);
        let view = self.view(whole.chunk);
        self.rule.received(&view, whole);
    }
}
