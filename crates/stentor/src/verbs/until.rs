//! What the verbs that serve until they are told to end have in common: waiting for that, and going on
//! without a reader.
//!
//! What they serve, and what they say of it, is left to them.

use std::io;
use std::os::fd::BorrowedFd;

use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;

use crate::complaint::{Complaint, Exit};
use crate::drive::serve;
use crate::drive::video::origin;
use crate::report::console;

/// A service that is up, on threads of its own.
pub(super) trait Service {
    /// Whether every thread has ended.
    fn is_over(&self) -> bool;
    /// Readable when every thread has ended, or is about to: for poll(2).
    fn over(&self) -> BorrowedFd<'_>;
    /// Begins the orderly end.
    fn drain(&self);
    /// Ends without waiting for anybody.
    fn abort(&self);
}

macro_rules! service {
    ($running:ty) => {
        impl Service for $running {
            fn is_over(&self) -> bool {
                <$running>::is_over(self)
            }

            fn over(&self) -> BorrowedFd<'_> {
                <$running>::over(self)
            }

            fn drain(&self) {
                <$running>::drain(self);
            }

            fn abort(&self) {
                <$running>::abort(self);
            }
        }
    };
}

service!(serve::Running);
service!(origin::Running);

/// Waits for the end: the first signal begins it in order, the second makes it at once.
///
/// # Errors
/// The system refuses to wait.
pub(super) fn told_to_end(
    running: &impl Service,
    interrupts: &Interrupts,
) -> Result<Exit, Complaint> {
    let mut signals = 0;
    while !running.is_over() {
        signals += interrupts
            .wait(running.over())
            .map_err(|error| Failure::new("poll", "signals", error))?;
        match signals {
            0 => {}
            1 => running.drain(),
            _ => {
                running.abort();
                return Ok(Exit::Interrupted);
            }
        }
    }
    Ok(Exit::Good)
}

/// Says why data could not be printed: a reader who has gone (`| head -1`) or a full disk is no reason
/// to leave the clients.
pub(super) fn printed(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        console::notice(format!("stentor: {}", Failure::new("write", "standard output", error)));
    }
}
