//! A session while it runs, in a few lines: both buffers as bars, the level over time, the quality, how
//! fast film comes, what stands still.
//!
//! Drawing them over one another is left to `report::console`, when to do so to the verb.

use std::collections::VecDeque;
use std::time::Duration;

use stentor_core::moment::Moment;
use stentor_core::video::buffer::{self, Policy};
use stentor_core::video::film::Film;
use stentor_core::video::session::{Download, Event, What};

use super::said;
use crate::drive::video::outcome::Sample;
use crate::drive::video::play::News;
use crate::report::chart::{Unit, sparkline};
use crate::report::console::Line;
use crate::report::ladder::lines::{fit, pad};
use crate::report::ladder::words::clean;

/// Values that a sparkline remembers: as many as a wide terminal has columns.
const REMEMBERED: usize = 160;
/// Columns of a name, and of the words behind a bar.
const NAME: usize = 10;
const WORDS: usize = 30;
/// Tones of what goes well, badly, and of what stands beside.
const GOOD: &str = "32";
const BAD: &str = "1;31";
const FAINT: &str = "2";

/// What is known of a session so far.
#[derive(Clone, Debug)]
pub struct Live {
    source: String,
    policy: Option<Policy>,
    film: Option<Film>,
    now: Moment,
    phase: Phase,
    played: Duration,
    level: Duration,
    sample: Option<Sample>,
    /// From which on the speed is counted next.
    measured: Option<Sample>,
    levels: History,
    throughputs: VecDeque<f64>,
    qualities: VecDeque<f64>,
    asked: Option<(usize, usize, Moment)>,
    /// Whether one request is for all of the film.
    stream: bool,
    stalls: u64,
    stalled: Duration,
    full: bool,
    /// The highest that the kernel's buffer was, in bytes.
    socket_max: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Playing,
    Stalled,
    Ended,
}

impl Live {
    /// Nothing yet of the film at `source`.
    pub fn new(source: &str, policy: Option<Policy>) -> Live {
        Live {
            source: clean(source),
            policy,
            film: None,
            now: Moment::START,
            phase: Phase::Starting,
            played: Duration::ZERO,
            level: Duration::ZERO,
            sample: None,
            measured: None,
            levels: History::default(),
            throughputs: VecDeque::new(),
            qualities: VecDeque::new(),
            asked: None,
            stream: false,
            stalls: 0,
            stalled: Duration::ZERO,
            full: false,
            socket_max: 0,
        }
    }

    /// One request is for all of the film.
    pub fn stream(&mut self) {
        self.stream = true;
    }

    /// Takes what a session says.
    pub fn take(&mut self, news: News<'_>) {
        match news {
            News::Film(film) => self.film = Some(film.clone()),
            News::Event(event) => self.happened(event),
            News::Sample(sample) => {
                self.pass_until(sample.at);
                self.level = sample.level;
                self.measure(sample);
                self.sample = Some(*sample);
                self.socket_max = self.socket_max.max(sample.socket_bytes.unwrap_or(0));
                self.levels.take(sample.level.as_secs_f64());
            }
            News::Note(_) => {}
        }
    }

    /// How fast film has come, twice a second.
    fn measure(&mut self, sample: &Sample) {
        let since = self.measured.get_or_insert(*sample);
        let long = sample.at.since(since.at);
        if long >= Duration::from_millis(500) {
            let bytes = sample.received_bytes.saturating_sub(since.received_bytes);
            *since = *sample;
            remember(&mut self.throughputs, bytes as f64 * 8.0 / long.as_secs_f64());
        }
    }

    fn pass_until(&mut self, at: Moment) {
        let passed = at.since(self.now);
        match self.phase {
            Phase::Playing => {
                self.played += passed;
                self.level = self.level.saturating_sub(passed);
            }
            Phase::Stalled => self.stalled += passed,
            Phase::Starting | Phase::Ended => {}
        }
        self.now = self.now.max(at);
    }

    fn happened(&mut self, event: &Event) {
        self.pass_until(event.at);
        match event.what {
            What::Requested { chunk, quality, level } => {
                self.asked = Some((chunk, quality, event.at));
                self.level = level;
                remember(&mut self.qualities, quality as f64 + 1.0);
            }
            // Of a stream the samples say it, byte by byte.
            What::Received(_) if self.stream => {}
            What::Received(download) => {
                let film = self.film.as_ref();
                let long = film.map_or(Duration::ZERO, |film| film.duration(download.chunk));
                self.level += long;
                self.asked = None;
                self.ended(&download);
            }
            What::Abandoned { download, .. } | What::Failed { download, .. } => {
                self.ended(&download)
            }
            What::Buffer(what) => self.turned(what),
        }
    }

    /// How fast a chunk has come, where nothing is sampled.
    fn ended(&mut self, download: &Download) {
        if self.sample.is_none() {
            remember(&mut self.throughputs, download.throughput_bps().unwrap_or(f64::NAN));
        }
    }

    fn turned(&mut self, what: buffer::What) {
        use buffer::What::{Ended, Full, Resumed, Room, Stalled, Started};
        match what {
            Started | Resumed => self.phase = Phase::Playing,
            Stalled => {
                self.phase = Phase::Stalled;
                self.stalls += 1;
            }
            Ended => self.phase = Phase::Ended,
            Full => self.full = true,
            Room => self.full = false,
        }
    }

    /// The session as it stands, `later` than the last news, in lines of `columns`.
    pub fn lines(&self, columns: usize, later: Duration) -> Vec<Line> {
        let mut now = self.clone();
        now.pass_until(self.now + later);
        now.drawn(columns)
    }

    fn drawn(&self, columns: usize) -> Vec<Line> {
        let columns = columns.clamp(24, 120);
        let words = WORDS.min(columns / 2);
        let bar = columns.saturating_sub(NAME + words + 1).max(4);
        let mut lines = vec![self.heading(columns)];
        let row = |name: &str, drawn: String, words: String, tone| {
            let drawn = pad(&drawn, bar, false);
            let words = fit(&words, columns.saturating_sub(NAME + bar + 1));
            Line { words: format!("{}{drawn} {words}", pad(name, NAME, false)), tone }
        };
        let (film, told) = self.film_bar(bar);
        lines.push(row("film", film, told, ""));
        let (buffer, told) = self.buffer_bar(bar);
        let tone = if self.phase == Phase::Stalled { BAD } else { "" };
        lines.push(row("buffer", buffer, told, tone));
        if let Some((kernel, told, shut)) = self.kernel_bar(bar) {
            lines.push(row("kernel", kernel, told, if shut { BAD } else { "" }));
        }
        let line = |values: &VecDeque<f64>| {
            let skipped = values.len().saturating_sub(bar);
            sparkline(&values.iter().skip(skipped).copied().collect::<Vec<_>>(), bar)
        };
        let level = sparkline(&self.levels.values, bar);
        lines.push(row("level", level, "of the buffer, so far".into(), FAINT));
        lines.push(row("speed", line(&self.throughputs), self.speed(), ""));
        if self.film.as_ref().is_some_and(|film| film.qualities() > 1) {
            lines.push(row("quality", line(&self.qualities), self.quality(), ""));
        }
        let stalls = match self.stalls {
            0 => "none".to_owned(),
            stalls => format!("{stalls}, {} altogether", tenths(self.stalled)),
        };
        let tone = if self.stalls > 0 { BAD } else { FAINT };
        let words = fit(&format!("{}{stalls}", pad("stalls", NAME, false)), columns);
        lines.push(Line { words, tone });
        lines
    }

    fn heading(&self, columns: usize) -> Line {
        let (state, tone) = match self.phase {
            Phase::Starting => ("waiting to begin", FAINT),
            Phase::Playing if self.full => ("playing, buffer full", GOOD),
            Phase::Playing => ("playing", GOOD),
            Phase::Stalled => ("STALLED", BAD),
            Phase::Ended => ("ended", FAINT),
        };
        let state = format!("{state}, {}", tenths(self.now.since(Moment::START)));
        let state = fit(&state, columns.saturating_sub(6));
        let room = columns.saturating_sub(state.chars().count() + 2);
        let source = pad(&fit(&self.source, room), room, false);
        Line { words: format!("{source}  {state}"), tone }
    }

    /// What was played, what is buffered, and what is to come.
    fn film_bar(&self, cells: usize) -> (String, String) {
        let length = self.film.as_ref().map_or(Duration::ZERO, Film::length);
        let part = |span: Duration| match length.is_zero() {
            true => 0,
            false => full_cells(span.as_secs_f64() / length.as_secs_f64(), cells),
        };
        let (played, here) = (part(self.played), part(self.played + self.level));
        let cell = |cell| match cell {
            cell if cell < played => '█',
            cell if cell < here => '▒',
            _ => '░',
        };
        let words = format!("{} of {} played", tenths(self.played), said(length));
        ((0..cells).map(cell).collect(), words)
    }

    /// The application's buffer up to B, with a mark at Q.
    fn buffer_bar(&self, cells: usize) -> (String, String) {
        let of = |of: fn(&Policy) -> Duration| self.policy.as_ref().map_or(Duration::ZERO, of);
        let capacity = of(Policy::capacity).max(self.level);
        let share = |span: Duration| span.as_secs_f64() / capacity.as_secs_f64().max(1e-9);
        let inner = cells.saturating_sub(1);
        let full = full_cells(share(self.level), inner);
        let mark = full_cells(share(of(Policy::start)), inner).min(inner.saturating_sub(1));
        let cell = |cell| match cell {
            cell if cell == mark => 'Q',
            cell if cell < full => '█',
            _ => '░',
        };
        let bar = (0..inner).map(cell).chain(std::iter::once('B')).collect();
        let bytes = self.sample.filter(|sample| sample.buffered_bytes > 0);
        let bytes =
            bytes.map(|sample| format!(", {}", Unit::Bytes.said(sample.buffered_bytes as f64)));
        let words = format!("{} of {}", tenths(self.level), said(capacity));
        (bar, words + &bytes.unwrap_or_default())
    }

    /// What waits in the kernel, and whether TCP's window is shut.
    fn kernel_bar(&self, cells: usize) -> Option<(String, String, bool)> {
        let sample = self.sample?;
        let held = sample.socket_bytes?;
        let full = full_cells(held as f64 / self.socket_max.max(1) as f64, cells);
        let bar = (0..cells).map(|cell| if cell < full { '█' } else { '░' }).collect();
        let window = match sample.window_bytes {
            Some(0) => ", window 0".to_owned(),
            Some(window) => format!(", window {}", Unit::Bytes.said(window as f64)),
            None => String::new(),
        };
        let words = format!("{}{window}", Unit::Bytes.said(held as f64));
        Some((bar, words, sample.window_bytes == Some(0)))
    }

    fn speed(&self) -> String {
        let known = self.throughputs.iter().rev().find(|bps| bps.is_finite());
        known.map_or_else(String::new, |bps| Unit::BitsPerSecond.said(*bps))
    }

    fn quality(&self) -> String {
        let Some(film) = &self.film else { return String::new() };
        match self.asked {
            Some((chunk, quality, _)) => {
                let bps = Unit::BitsPerSecond.said(film.rate_bps(quality));
                match self.stream {
                    true => format!("one file: {quality}, {bps}"),
                    false => format!("chunk {chunk}: {quality}, {bps}"),
                }
            }
            None => "nothing is asked for".to_owned(),
        }
    }
}

/// Values from the beginning on, ever fewer of a longer time.
#[derive(Clone, Debug)]
struct History {
    values: Vec<f64>,
    /// Of how many values one is kept.
    every: usize,
    /// How many have come since the last that was kept.
    since: usize,
}

impl Default for History {
    fn default() -> History {
        History { values: Vec::new(), every: 1, since: 0 }
    }
}

impl History {
    fn take(&mut self, value: f64) {
        self.since += 1;
        if self.since < self.every {
            return;
        }
        self.since = 0;
        self.values.push(value);
        if self.values.len() >= 4 * REMEMBERED {
            let mut second = false;
            self.values.retain(|_| {
                second = !second;
                second
            });
            self.every *= 2;
        }
    }
}

fn remember(values: &mut VecDeque<f64>, value: f64) {
    if values.len() == REMEMBERED {
        values.pop_front();
    }
    values.push_back(value);
}

/// How many of the cells a share fills.
fn full_cells(share: f64, cells: usize) -> usize {
    (0..cells).take_while(|cell| (*cell as f64 + 0.5) / (cells as f64) < share).count()
}

/// Seconds with one digit: what changes all the time must not change its width.
fn tenths(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}
