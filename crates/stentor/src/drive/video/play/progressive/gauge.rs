//! The two buffers of the drawing, looked at again and again: the application's, and TCP's.

use std::os::fd::OwnedFd;
use std::time::Duration;

use stentor_core::moment::Moment;
use stentor_core::video::fluid::Buffer;
use stentor_os::net::queues;
#[cfg(target_os = "linux")]
use stentor_os::net::tcp_info::tcp_info;

use crate::drive::video::outcome::Sample;

/// The most samples that are kept; then every other one goes, and they are taken half as often.
const KEPT_MAX: usize = 4096;

/// What looks, when, and what was seen.
#[derive(Debug)]
pub(super) struct Gauge {
    /// The client's socket.
    socket: OwnedFd,
    every: Duration,
    due: Moment,
    samples: Vec<Sample>,
    /// Since when the window is 0.
    closed: Option<Moment>,
    zero_windows: u64,
    zero_window: Duration,
}

impl Gauge {
    /// Looks at `socket` at these intervals, first at once.
    pub(super) fn new(socket: OwnedFd, every: Duration) -> Gauge {
        Gauge {
            socket,
            every: every.max(Duration::from_millis(1)),
            due: Moment::START,
            samples: Vec::new(),
            closed: None,
            zero_windows: 0,
            zero_window: Duration::ZERO,
        }
    }

    /// When to look next.
    pub(super) fn due(&self) -> Moment {
        self.due
    }

    /// Looks, and keeps what is seen.
    pub(super) fn look(
        &mut self,
        now: Moment,
        buffer: &Buffer,
        server: &mut dyn FnMut() -> Option<u64>,
    ) -> Sample {
        let sample = Sample {
            at: now,
            level: buffer.level(now),
            buffered_bytes: buffer.level_bytes(now),
            received_bytes: buffer.received_bytes(),
            socket_bytes: queues::unread(&self.socket).ok().map(|bytes| bytes as u64),
            window_bytes: self.window(),
            server_bytes: server(),
        };
        self.watch(now, sample.window_bytes);
        if self.samples.len() >= KEPT_MAX {
            let mut odd = false;
            self.samples.retain(|_| {
                odd = !odd;
                odd
            });
            self.every *= 2;
        }
        self.samples.push(sample);
        self.due = now + self.every;
        sample
    }

    /// How often the window fell to 0, and for how long it was together.
    pub(super) fn zeroes(&self, now: Moment) -> (u64, Duration) {
        let open = self.closed.map_or(Duration::ZERO, |since| now.since(since));
        (self.zero_windows, self.zero_window + open)
    }

    /// What was seen, in order of time.
    pub(super) fn into_samples(self) -> Vec<Sample> {
        self.samples
    }

    /// What the last acknowledgement offered the server.
    #[cfg(target_os = "linux")]
    fn window(&self) -> Option<u64> {
        Some(tcp_info(&self.socket).ok()?.windows?.own_bytes.into())
    }

    #[cfg(not(target_os = "linux"))]
    fn window(&self) -> Option<u64> {
        None
    }

    fn watch(&mut self, now: Moment, window: Option<u64>) {
        match (window, self.closed) {
            (Some(0), None) => {
                self.closed = Some(now);
                self.zero_windows += 1;
            }
            (Some(1..), Some(since)) => {
                self.closed = None;
                self.zero_window += now.since(since);
            }
            _ => {}
        }
    }
}
