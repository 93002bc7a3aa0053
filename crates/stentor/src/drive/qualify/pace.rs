//! When the loop wakes up: a timer a little early, and the rest spun, because a sleep ends late by
//! itself (timerfd_create(2), some 50 us).

use std::os::fd::AsFd;
use std::time::Duration;

use stentor_core::measure::Latency;
use stentor_core::moment::Moment;
use stentor_os::failure::Failure;
use stentor_os::net::poll::{self, Watch};
use stentor_os::signal::Interrupts;
use stentor_os::timer::Timer;

use super::now;

/// So long before something is due the loop stops sleeping.
const SPIN: Duration = Duration::from_micros(50);
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// The timer, the signals, and how late everything was.
pub(super) struct Pacer<'a> {
    timer: Timer,
    interrupts: &'a Interrupts,
    seen: bool,
    /// How late what was due was sent.
    pub(super) late: Latency,
    began: Moment,
    duration: Duration,
    told: Moment,
    progress: &'a mut dyn FnMut(&str, f64),
}

impl<'a> Pacer<'a> {
    pub(super) fn new(
        interrupts: &'a Interrupts,
        began: Moment,
        duration: Duration,
        progress: &'a mut dyn FnMut(&str, f64),
    ) -> Result<Pacer<'a>, Failure> {
        let failed = |error| Failure::new("timerfd_create", "the timer of the probes", error);
        let timer = Timer::new().map_err(failed)?;
        let late = Latency::new();
        Ok(Pacer { timer, interrupts, seen: false, late, began, duration, told: began, progress })
    }

    /// Whether a signal has come.
    pub(super) fn interrupted(&mut self) -> bool {
        self.seen |= self.interrupts.taken() > 0;
        self.seen
    }

    /// A signal came, and was taken by somebody else.
    pub(super) const fn note_interrupt(&mut self) {
        self.seen = true;
    }

    /// What ends a call that waits by itself.
    pub(super) const fn interrupts(&self) -> &'a Interrupts {
        self.interrupts
    }

    /// Says what is going on, not more often than can be read.
    pub(super) fn tell(&mut self, now: Moment, doing: &str) {
        if now.since(self.told) >= PROGRESS_EVERY {
            self.told = now;
            let done = now.since(self.began).as_secs_f64() / self.duration.as_secs_f64();
            (self.progress)(doing, done.min(1.0));
        }
    }

    /// Waits until one of the watches is ready, a signal comes, or it is `until` (or a little
    /// before it, for the caller to spin).
    pub(super) fn wait<'w>(
        &'w self,
        mut watches: Vec<Watch<'w>>,
        until: Moment,
    ) -> Result<(), Failure> {
        let failed = |error| Failure::new("poll", "the sockets of the probes", error);
        let left = until.since(now());
        if left <= SPIN {
            return poll::wait(&mut watches, Some(Duration::ZERO)).map_err(failed);
        }
        let early = u64::try_from(SPIN.as_nanos()).unwrap_or(0);
        self.timer.set(until.as_nanos().saturating_sub(early)).map_err(failed)?;
        watches.push(Watch::new(self.timer.as_fd(), true, false));
        watches.push(Watch::new(self.interrupts.as_fd(), true, false));
        // So that progress is told where nothing happens for long.
        poll::wait(&mut watches, Some(PROGRESS_EVERY)).map_err(failed)
    }
}
