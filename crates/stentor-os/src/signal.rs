//! Signals as something to wait for: a handler writes a byte to a socket pair, nothing else.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level;

/// SIGINT and SIGTERM, held until dropped; dropping restores nothing else than our handlers.
#[derive(Debug)]
pub struct Interrupts {
    pipe: UnixStream,
    handlers: [SigId; 2],
}

impl Interrupts {
    /// Takes SIGINT and SIGTERM over from now on (sigaction(2)).
    pub fn install() -> io::Result<Interrupts> {
        let (pipe, writer) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let interrupt = low_level::pipe::register(SIGINT, writer.try_clone()?)?;
        let terminate = low_level::pipe::register(SIGTERM, writer)?;
        Ok(Interrupts { pipe, handlers: [interrupt, terminate] })
    }

    /// How many signals have come since the last call; does not wait.
    pub fn taken(&self) -> usize {
        let mut bytes = [0; 64];
        (&self.pipe).read(&mut bytes).unwrap_or(0)
    }

    /// Waits until a signal has come or `other` is readable or closed (poll(2)), and says how many
    /// signals have.
    pub fn wait(&self, other: BorrowedFd<'_>) -> io::Result<usize> {
        let mut waited = [
            PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN),
            PollFd::new(other, PollFlags::POLLIN),
        ];
        match poll(&mut waited, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(self.taken()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Readable when a signal has come: for poll(2) and mio.
impl AsFd for Interrupts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        for handler in self.handlers {
            low_level::unregister(handler);
        }
    }
}
