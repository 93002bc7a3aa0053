//! Signals as something to wait for: a handler writes a byte to a socket pair, nothing else.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// SIGINT and SIGTERM, held until dropped; dropping restores nothing else than our handlers.
#[derive(Debug)]
pub struct Interrupts {
    pipe: UnixStream,
    handlers: [SigId; 3],
    terminated: Arc<AtomicBool>,
}

impl Interrupts {
    /// Takes SIGINT and SIGTERM over from now on (sigaction(2)).
    pub fn install() -> io::Result<Interrupts> {
        let (pipe, writer) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let interrupt = low_level::pipe::register(SIGINT, writer.try_clone()?)?;
        let terminate = low_level::pipe::register(SIGTERM, writer)?;
        let terminated = Arc::new(AtomicBool::new(false));
        let noted = flag::register(SIGTERM, Arc::clone(&terminated))?;
        Ok(Interrupts { pipe, handlers: [interrupt, terminate, noted], terminated })
    }

    /// Lets SIGINT and SIGTERM end a call that blocks (EINTR) instead of its being restarted
    /// (SA_RESTART, sigaction(2)): for a loop that writes to a pipe nobody may be reading.
    pub fn end_blocked_calls(&self) -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            // SAFETY: an all-zero sigaction is a valid value of this plain C struct; the first
            // call fills it with the action in force, the second puts it back with one flag less.
            let result = unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                match libc::sigaction(signal, std::ptr::null(), &mut action) {
                    0 => {
                        action.sa_flags &= !libc::SA_RESTART;
                        libc::sigaction(signal, &action, std::ptr::null_mut())
                    }
                    failed => failed,
                }
            };
            if result != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    /// Whether one of the signals so far was SIGTERM, which comes to one process; SIGINT is sent by
    /// a terminal to a whole group.
    pub fn terminated(&self) -> bool {
        self.terminated.load(Ordering::Relaxed)
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
