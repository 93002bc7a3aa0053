//! Waiting until one socket can be read or written, for a bounded time (poll(2)).

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What poll(2) said of a socket. All false: the time ran out first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// A read gives bytes, the end of the stream, or an error at once (POLLIN).
    pub readable: bool,
    /// A write takes at least one byte at once (POLLOUT).
    pub writable: bool,
    /// The connection is gone in both directions (POLLHUP).
    pub hung_up: bool,
    /// An error waits to be fetched (POLLERR).
    pub error: bool,
}

impl Readiness {
    /// Whether anything at all was reported.
    pub fn any(self) -> bool {
        self != Readiness::default()
    }
}

/// What to wait for; POLLHUP and POLLERR are always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// POLLIN.
    Read,
    /// POLLOUT.
    Write,
}

/// Waits at most `limit` (in whole milliseconds) for `interest` on `socket`. One call of poll(2):
/// a signal ends it with EINTR.
pub fn wait(socket: impl AsFd, interest: Interest, limit: Duration) -> io::Result<Readiness> {
    let flags = match interest {
        Interest::Read => PollFlags::POLLIN,
        Interest::Write => PollFlags::POLLOUT,
    };
    let mut watched = [PollFd::new(socket.as_fd(), flags)];
    let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    poll(&mut watched, limit)?;
    let [watched] = watched;
    let said = watched.revents().unwrap_or(PollFlags::empty());
    Ok(Readiness {
        readable: said.contains(PollFlags::POLLIN),
        writable: said.contains(PollFlags::POLLOUT),
        hung_up: said.contains(PollFlags::POLLHUP),
        error: said.contains(PollFlags::POLLERR),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_is_readable_once_something_was_written() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let none = wait(&near, Interest::Read, Duration::ZERO).unwrap();
        assert!(!none.any());
        far.write_all(b"x").unwrap();
        let some = wait(&near, Interest::Read, Duration::from_secs(5)).unwrap();
        assert!(some.readable && !some.hung_up);
        assert!(wait(&near, Interest::Write, Duration::ZERO).unwrap().writable);
        drop(far);
        assert!(wait(&near, Interest::Read, Duration::from_secs(5)).unwrap().hung_up);
    }
}
