//! The mode of a terminal (termios(3)): kept, and put back as it was.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};

/// A terminal's mode, as it was found; put back when dropped.
///
/// For a line editor in another thread, which has no time to tidy up when the program ends.
#[derive(Debug)]
pub struct Mode {
    terminal: OwnedFd,
    found: Termios,
}

impl Mode {
    /// Keeps the mode of `terminal`. Errors: it is none (ENOTTY), or cannot be duplicated.
    pub fn keep(terminal: impl AsFd) -> io::Result<Mode> {
        let terminal = terminal.as_fd().try_clone_to_owned()?;
        let found = tcgetattr(&terminal)?;
        Ok(Mode { terminal, found })
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        // A terminal that has gone has no mode to put back.
        let _ = tcsetattr(&self.terminal, SetArg::TCSADRAIN, &self.found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_terminal_has_no_mode() {
        let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(Mode::keep(near).unwrap_err().raw_os_error(), Some(libc::ENOTTY));
    }
}
