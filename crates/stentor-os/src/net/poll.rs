//! Waiting for several descriptors at once (poll(2)).

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};

/// A descriptor, what to wait for on it, and what [`wait`] found.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    fd: BorrowedFd<'a>,
    read: bool,
    write: bool,
    /// A read would not block: bytes, the end, or an error.
    pub readable: bool,
    /// A write would not block: room, or an error.
    pub writable: bool,
}

impl<'a> Watch<'a> {
    /// Waits for reading, for writing, for both; with neither the descriptor is passed over.
    pub fn new(fd: BorrowedFd<'a>, read: bool, write: bool) -> Watch<'a> {
        Watch { fd, read, write, readable: false, writable: false }
    }
}

/// Waits until one of the watches is ready or the time is up; `None` waits for ever.
///
/// A signal ends the wait with nothing ready. A hang-up or an error counts as ready for whatever
/// was waited for, so that the next read or write reports it.
pub fn wait(watches: &mut [Watch<'_>], timeout: Option<Duration>) -> io::Result<()> {
    let mut places = Vec::with_capacity(watches.len());
    let mut polled = Vec::with_capacity(watches.len());
    for (place, watch) in watches.iter_mut().enumerate() {
        (watch.readable, watch.writable) = (false, false);
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::POLLIN, watch.read);
        wanted.set(PollFlags::POLLOUT, watch.write);
        // Without this a descriptor that has hung up would end every wait at once.
        if !wanted.is_empty() {
            places.push(place);
            polled.push(PollFd::new(watch.fd, wanted));
        }
    }
    match poll(&mut polled, timeout) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    }
    let broken = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    for (found, place) in polled.iter().zip(places) {
        let found = found.revents().unwrap_or(PollFlags::empty());
        if let Some(watch) = watches.get_mut(place) {
            watch.readable = watch.read && found.intersects(PollFlags::POLLIN | broken);
            watch.writable = watch.write && found.intersects(PollFlags::POLLOUT | broken);
        }
    }
    Ok(())
}

/// ppoll(2) takes nanoseconds; poll(2) would round 250 us up to a millisecond.
#[cfg(target_os = "linux")]
fn poll(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> nix::Result<i32> {
    nix::poll::ppoll(fds, timeout.map(Into::into), None)
}

#[cfg(not(target_os = "linux"))]
fn poll(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> nix::Result<i32> {
    use nix::poll::PollTimeout;
    let timeout = match timeout {
        None => PollTimeout::NONE,
        Some(span) => {
            let up = span.as_nanos().div_ceil(1_000_000);
            PollTimeout::try_from(up).unwrap_or(PollTimeout::MAX)
        }
    };
    nix::poll::poll(fds, timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_is_ready_is_said_and_nothing_else() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut watches = [Watch::new(near.as_fd(), true, false)];
        wait(&mut watches, Some(Duration::ZERO)).unwrap();
        assert!(!watches[0].readable && !watches[0].writable);
        far.write_all(b"x").unwrap();
        let mut watches = [
            Watch::new(near.as_fd(), true, true),
            Watch::new(near.as_fd(), false, true),
            Watch::new(near.as_fd(), false, false),
        ];
        wait(&mut watches, None).unwrap();
        let found: Vec<_> = watches.iter().map(|w| (w.readable, w.writable)).collect();
        assert_eq!(found, [(true, true), (false, true), (false, false)]);
    }

    #[test]
    fn a_hang_up_is_readable_and_does_not_wake_who_did_not_ask() {
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        let mut watches = [Watch::new(near.as_fd(), true, false)];
        wait(&mut watches, None).unwrap();
        assert!(watches[0].readable);
        let mut watches = [Watch::new(near.as_fd(), false, false)];
        wait(&mut watches, Some(Duration::ZERO)).unwrap();
        assert!(!watches[0].readable && !watches[0].writable);
    }
}
