//! `impair -- COMMAND`: a program that is run with the proxy's address in its arguments.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::thread::{self, JoinHandle};

use stentor_os::failure::Failure;

use super::plan::Opened;
use crate::complaint::{Complaint, Exit};

/// A program that runs. It is waited for by a thread, so that a signal can be heard meanwhile.
#[derive(Debug)]
pub(super) struct Child {
    waiter: JoinHandle<io::Result<ExitStatus>>,
    /// Closed by the thread when the program has ended.
    over: UnixStream,
}

impl Child {
    /// Runs `command` with `{}` replaced by the address of the proxy, in every argument.
    pub(super) fn start(command: &[OsString], opened: &[Opened]) -> Result<Child, Complaint> {
        let Some(address) = opened.first().map(|one| one.address.to_string()) else {
            return Err(Complaint::usage("no proxy is open for the command", ""));
        };
        let words: Vec<OsString> =
            command.iter().map(|word| substitute(word, address.as_bytes())).collect();
        let Some((program, arguments)) = words.split_first() else {
            return Err(Complaint::usage("-- is followed by no command", ""));
        };
        let failed = |error| Failure::new("socketpair", "a waiting thread", error);
        let (over, running) = UnixStream::pair().map_err(failed)?;
        let mut child = Command::new(program)
            .args(arguments)
            .spawn()
            .map_err(|error| refused(program, &error))?;
        let wait = move || {
            let ended = child.wait();
            drop(running);
            ended
        };
        let builder = thread::Builder::new().name("wait".to_owned());
        Ok(Child { waiter: builder.spawn(wait).map_err(failed)?, over })
    }

    /// Readable when the program has ended.
    pub(super) fn over(&self) -> BorrowedFd<'_> {
        self.over.as_fd()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.waiter.is_finished()
    }

    /// Waits for the program, and passes its exit code on: 128 + N for a signal N, as shells do.
    pub(super) fn end(self) -> Result<Exit, Complaint> {
        let failed = |error| Failure::new("wait", "the command", error);
        let panicked = || io::Error::other("the waiting thread panicked");
        let status = self.waiter.join().unwrap_or_else(|_| Err(panicked())).map_err(failed)?;
        let code = status.code().or_else(|| status.signal().map(|number| 128 + number));
        Ok(Exit::Passed(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)))
    }
}

fn refused(program: &OsStr, error: &io::Error) -> Complaint {
    let what = format!("{}: {}", program.to_string_lossy(), stentor_os::failure::describe(error));
    if error.kind() == io::ErrorKind::NotFound {
        Complaint::new(Exit::NotFound, what, "Give its path, or put it on PATH.")
    } else {
        Complaint::new(Exit::NotExecutable, what, "chmod +x makes a file executable.")
    }
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
