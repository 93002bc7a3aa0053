//! Keeps what a report of one session wants: events, what both buffers held, failures.

use stentor_core::moment::Moment;
use stentor_core::video::session::{Event, What};
use stentor_os::net::{queues, tcp_info};

use super::News;
use super::script::Script;
use super::session::{Read, Witness};
use super::web::Fault;
use crate::drive::video::outcome::{Account, Failure, Sample};

/// The most samples that are kept; then every other one is dropped, and half as many are taken.
const SAMPLES_MAX: usize = 1 << 16;
/// The most failures that are told one by one.
const FAILURES_MAX: usize = 1000;

pub(super) struct Recorder<'a> {
    script: &'a Script,
    tell: &'a mut dyn FnMut(News<'_>),
    events: Vec<Event>,
    samples: Samples,
    account: Account,
    received_bytes: u64,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(script: &'a Script, tell: &'a mut dyn FnMut(News<'_>)) -> Recorder<'a> {
        let account = Account {
            found: script.found.clone(),
            exact: script.exact,
            warnings: script.notes.clone(),
            ..Account::default()
        };
        Recorder {
            script,
            tell,
            events: Vec::new(),
            samples: Samples::default(),
            account,
            received_bytes: 0,
        }
    }

    pub(super) fn end(self) -> (Vec<Event>, Vec<Sample>, Account) {
        (self.events, self.samples.kept, self.account)
    }
}

impl Witness for Recorder<'_> {
    fn event(&mut self, event: &Event) {
        if let What::Received(download) = &event.what
            && self.script.is_wrong_size(download)
        {
            self.account.wrong_sizes += 1;
        }
        self.events.push(*event);
        (self.tell)(News::Event(event));
    }

    fn read(&mut self, read: &Read<'_>) {
        self.received_bytes += read.bytes;
        if !self.samples.is_wanted() {
            return;
        }
        let unread = read.socket.and_then(|socket| queues::unread(socket).ok());
        let info = read.socket.and_then(|socket| tcp_info::tcp_info(socket).ok());
        let sample = Sample {
            at: read.at,
            level: read.level,
            buffered_bytes: (read.buffered_bytes)(),
            received_bytes: self.received_bytes,
            socket_bytes: unread.and_then(|bytes| u64::try_from(bytes).ok()),
            window_bytes: info.and_then(|info| info.windows).map(|both| both.own_bytes.into()),
            server_bytes: None,
        };
        self.samples.push(sample);
        (self.tell)(News::Sample(&sample));
    }

    fn failed(&mut self, at: Moment, chunk: usize, quality: usize, fault: &Fault) {
        let what = fault.what.clone();
        (self.tell)(News::Note(&what));
        if self.account.failures.len() < FAILURES_MAX {
            self.account.failures.push(Failure { at, chunk, quality, what });
        }
    }
}

/// Samples at even distances, however many there are.
#[derive(Default)]
struct Samples {
    kept: Vec<Sample>,
    /// Of so many one is taken, as a power of two.
    doublings: u32,
    seen: u64,
}

impl Samples {
    fn is_wanted(&mut self) -> bool {
        self.seen += 1;
        (self.seen - 1).is_multiple_of(1 << self.doublings)
    }

    fn push(&mut self, sample: Sample) {
        if self.kept.len() == SAMPLES_MAX {
            let mut keep = false;
            self.kept.retain(|_| {
                keep = !keep;
                keep
            });
            self.doublings += 1;
        }
        self.kept.push(sample);
    }
}
