//! A timer to wait for beside sockets, as precise as the kernel is (timerfd_create(2)).
//!
//! epoll_wait(2) and mio count whole milliseconds; a loop that sends at a rate registers this instead,
//! and compares the clock when it is woken. How early to wake up, and what to do until then, is the
//! loop's matter.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

#[cfg(target_os = "linux")]
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// One alarm on the clock of [`crate::clock::nanoseconds`] (CLOCK_MONOTONIC).
///
/// Readable from its moment on. In an edge-triggered loop it is registered once, and need not be
/// read: each setting takes back what was not read, and its alarm is an event of its own.
#[derive(Debug)]
pub struct Timer {
    #[cfg(target_os = "linux")]
    fd: TimerFd,
    #[cfg(not(target_os = "linux"))]
    fd: std::os::fd::OwnedFd,
}

#[cfg(target_os = "linux")]
impl Timer {
    /// Makes a timer that is not set.
    pub fn new() -> io::Result<Timer> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Timer { fd: TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)? })
    }

    /// Sets the alarm to `at_ns` on the clock of [`crate::clock::nanoseconds`], instead of what it
    /// was set to; a moment that has passed rings at once.
    pub fn set(&self, at_ns: u64) -> io::Result<()> {
        // All zero would unset it (timerfd_settime(2)); the monotonic clock was never there.
        let at_ns = at_ns.saturating_add(crate::clock::began_ns()).max(1);
        let at = std::time::Duration::from_nanos(at_ns);
        let once = Expiration::OneShot(at.into());
        Ok(self.fd.set(once, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }

    /// Takes the alarm back.
    pub fn unset(&self) -> io::Result<()> {
        Ok(self.fd.unset()?)
    }

    /// Whether it has rung since it was set, or since the last time this was asked.
    pub fn rang(&self) -> io::Result<bool> {
        let mut count = [0; 8];
        match nix::unistd::read(&self.fd, &mut count) {
            Ok(_) => Ok(true),
            Err(nix::errno::Errno::EAGAIN) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Other systems have no such descriptor: the loop has to do with its time-outs.
#[cfg(not(target_os = "linux"))]
#[allow(missing_docs, reason = "as above")]
impl Timer {
    pub fn new() -> io::Result<Timer> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    pub fn set(&self, _at_ns: u64) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    pub fn unset(&self) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    pub fn rang(&self) -> io::Result<bool> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// For `mio::unix::SourceFd`.
impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_fd().as_raw_fd()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::clock;
    use crate::net::poll::{Watch, wait};

    #[test]
    fn it_rings_once_and_never_early() {
        let timer = Timer::new().unwrap();
        assert!(!timer.rang().unwrap());
        let at = clock::nanoseconds() + 2_000_000;
        timer.set(at).unwrap();
        wait(&mut [Watch::new(timer.as_fd(), true, false)], None).unwrap();
        assert!(clock::nanoseconds() >= at);
        assert!(timer.rang().unwrap());
        assert!(!timer.rang().unwrap());
    }

    #[test]
    fn the_past_rings_at_once_and_an_alarm_taken_back_does_not() {
        let timer = Timer::new().unwrap();
        timer.set(0).unwrap();
        wait(&mut [Watch::new(timer.as_fd(), true, false)], None).unwrap();
        timer.unset().unwrap();
        assert!(!timer.rang().unwrap());
        timer.set(0).unwrap();
        timer.set(u64::MAX).unwrap();
        assert!(!timer.rang().unwrap());
    }
}
