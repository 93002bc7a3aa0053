//! `impair -- COMMAND`: a program that is run with the proxy's address in its arguments.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Command};
use std::thread::{self, JoinHandle};

use stentor_os::failure::Failure;

use crate::complaint::{Complaint, Exit};

/// A program that runs. A thread notices its end, so that a signal can be heard meanwhile.
#[derive(Debug)]
pub(super) struct Child {
    process: process::Child,
    waiter: JoinHandle<io::Result<()>>,
    /// Closed by the thread when the program has ended.
    over: UnixStream,
    /// Signals that were heard while it ran.
    signals: usize,
}

impl Child {
    /// Runs `command` with `{}` replaced by the address of the proxy, in every argument.
    pub(super) fn start(command: &[OsString], address: SocketAddr) -> Result<Child, Complaint> {
        let address = address.to_string();
        let words: Vec<OsString> =
            command.iter().map(|word| substitute(word, address.as_bytes())).collect();
        let Some((program, arguments)) = words.split_first() else {
            return Err(Complaint::usage("-- is followed by no command", ""));
        };
        let failed = |error| Failure::new("socketpair", "a waiting thread", error);
        let (over, running) = UnixStream::pair().map_err(failed)?;
        let process = Command::new(program)
            .args(arguments)
            .spawn()
            .map_err(|error| refused(program, error))?;
        let pid = process.id();
        let wait = move || {
            let ended = stentor_os::process::ended(pid);
            drop(running);
            ended
        };
        let builder = thread::Builder::new().name("wait".to_owned());
        Ok(Child { process, waiter: builder.spawn(wait).map_err(failed)?, over, signals: 0 })
    }

    /// Readable when the program has ended.
    pub(super) fn over(&self) -> BorrowedFd<'_> {
        self.over.as_fd()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.waiter.is_finished()
    }

    /// Notes that signals came. At ^C a terminal has told the command, too, which may end as it
    /// likes; SIGTERM came to us alone and is passed on; a second signal ends the command at once.
    pub(super) fn interrupt(&mut self, signals: usize, terminated: bool) {
        self.signals += signals;
        // Either fails only if it has ended just now, which is what is wanted.
        if self.signals > 1 {
            let _ = self.process.kill();
        } else if terminated {
            let _ = stentor_os::process::terminate(self.process.id());
        }
    }

    pub(super) const fn was_interrupted(&self) -> bool {
        self.signals > 0
    }

    /// Waits for the program, and passes its exit code on: 128 + N for a signal N, as shells do;
    /// 130 if it was interrupted.
    pub(super) fn end(mut self) -> Result<Exit, Complaint> {
        let failed = |error| Failure::new("wait", "the command", error);
        let panicked = || io::Error::other("the waiting thread panicked");
        self.waiter.join().unwrap_or_else(|_| Err(panicked())).map_err(failed)?;
        let status = self.process.wait().map_err(failed)?;
        if self.signals > 0 {
            return Ok(Exit::Interrupted);
        }
        let code = status.code().or_else(|| status.signal().map(|number| 128 + number));
        Ok(Exit::Passed(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)))
    }
}

fn refused(program: &OsStr, error: io::Error) -> Complaint {
    let failure = Failure::new("execve", program.display(), error);
    Complaint::not_executed(program, failure.to_string(), &failure.error)
}

/// Every `{}` in a word becomes the address.
fn substitute(word: &OsStr, address: &[u8]) -> OsString {
    let mut rest = word.as_bytes();
    let mut result = Vec::with_capacity(rest.len());
    while let Some(at) = rest.windows(2).position(|pair| pair == b"{}") {
        result.extend_from_slice(rest.get(..at).unwrap_or_default());
        result.extend_from_slice(address);
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    result.extend_from_slice(rest);
    OsString::from_vec(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_braces_is_the_address() {
        let check = |word: &str, expected: &str| {
            assert_eq!(substitute(OsStr::new(word), b"127.0.0.1:7"), OsStr::new(expected));
        };
        check("{}", "127.0.0.1:7");
        check("http://{}/a?b={}", "http://127.0.0.1:7/a?b=127.0.0.1:7");
        check("{", "{");
        check("{a}", "{a}");
        check("", "");
    }
}
