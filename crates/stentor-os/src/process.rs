//! Processes: fork(2), and what became of a child.

use std::io;
use std::os::fd::RawFd;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

/// A child of ours that has not been waited for.
#[derive(Debug)]
pub struct Child(Pid);

/// Runs `work` in a child process, which then ends with the code it returns (fork(2), _exit(2)).
///
/// The child ignores SIGINT and SIGTERM, which terminals and supervisors send to the whole group
/// (systemd.kill(5)): only its parent decides in what order things end. It begins by closing `ours`, descriptors that only
/// the parent may keep open; no destructor of the parent's values runs in it.
pub fn fork_into(ours: &[RawFd], work: impl FnOnce() -> i32) -> io::Result<Child> {
    let before = SigSet::all().thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)?;
    // SAFETY: only this thread lives on in the child. What `work` may use is what fork(2) keeps
    // usable there: its own memory, descriptors, and glibc's allocator, which resets its locks.
    let forked = unsafe { fork() };
    if let Ok(ForkResult::Child) = forked {
        for descriptor in ours {
            // SAFETY: the child never comes back to the values that own these descriptors.
            unsafe { libc::close(*descriptor) };
        }
        let code = match settle_signals(&before) {
            Ok(()) => work(),
            Err(_) => 125,
        };
        // SAFETY: _exit(2) ends the process without running anything of the parent's.
        unsafe { libc::_exit(code) };
    }
    before.thread_set_mask()?;
    match forked? {
        ForkResult::Parent { child } => Ok(Child(child)),
        ForkResult::Child => Err(io::Error::from_raw_os_error(libc::ECHILD)),
    }
}

/// The signals of a fresh child: none of the parent's handlers, which write to shared pipes.
fn settle_signals(mask: &SigSet) -> io::Result<()> {
    let ignored = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: the disposition runs no code of ours.
    unsafe {
        sigaction(Signal::SIGINT, &ignored)?;
        sigaction(Signal::SIGTERM, &ignored)?;
    }
    mask.thread_set_mask()?;
    Ok(())
}

impl Child {
    /// Whether it has ended; if so it is gone from the process table (waitpid(2), WNOHANG).
    pub fn ended(&self) -> io::Result<bool> {
        Ok(waitpid(self.0, Some(WaitPidFlag::WNOHANG))? != WaitStatus::StillAlive)
    }

    /// Waits until it has ended by itself (waitpid(2)).
    pub fn wait(self) -> io::Result<()> {
        waitpid(self.0, None)?;
        Ok(())
    }

    /// Ends it at once (SIGKILL) and waits for it.
    pub fn kill(self) -> io::Result<()> {
        nix::sys::signal::kill(self.0, Signal::SIGKILL)?;
        waitpid(self.0, None)?;
        Ok(())
    }
}

/// Waits until a child has ended, and leaves it in the process table, so that its number is nobody
/// else's before its owner has waited for it (waitid(2), WNOWAIT).
#[cfg(target_os = "linux")]
pub fn ended(pid: u32) -> io::Result<()> {
    use nix::sys::wait::{Id, waitid};
    loop {
        match waitid(Id::Pid(child(pid)?), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            Err(nix::errno::Errno::EINTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

/// Asks a process to end (SIGTERM, kill(2)); of a child that was not waited for the number is its own.
pub fn terminate(pid: u32) -> io::Result<()> {
    Ok(nix::sys::signal::kill(child(pid)?, Signal::SIGTERM)?)
}

fn child(pid: u32) -> io::Result<Pid> {
    let number = i32::try_from(pid).ok().filter(|number| *number > 0);
    number.map(Pid::from_raw).ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_child_works_and_ends() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let child = fork_into(&[], || i32::from(theirs.write_all(b"done").is_err())).unwrap();
        drop(theirs);
        let mut told = String::new();
        ours.read_to_string(&mut told).unwrap();
        assert_eq!(told, "done");
        while !child.ended().unwrap() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_child_leaves_the_end_to_its_parent() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let child = fork_into(&[ours.as_raw_fd()], || {
            let (mut byte, told) = ([0], b"still here");
            let told = theirs.read_exact(&mut byte).and_then(|()| theirs.write_all(told));
            i32::from(told.is_err())
        })
        .unwrap();
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            // Held back, if it comes first, until the child has settled how to take it.
            nix::sys::signal::kill(child.0, signal).unwrap();
        }
        ours.write_all(b"?").unwrap();
        drop(theirs);
        let mut told = String::new();
        ours.read_to_string(&mut told).unwrap();
        assert_eq!(told, "still here");
        child.kill().unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_that_ended_is_still_its_owners() {
        let mut child = std::process::Command::new("cat");
        let mut child = child.stdin(std::process::Stdio::piped()).spawn().unwrap();
        terminate(child.id()).unwrap();
        ended(child.id()).unwrap();
        ended(child.id()).unwrap();
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        assert_eq!(ended(0).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }

    #[test]
    fn a_child_can_be_ended() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let child = fork_into(&[ours.as_raw_fd()], || {
            let mut byte = [0];
            i32::from((&theirs).read(&mut byte).is_err())
        })
        .unwrap();
        child.kill().unwrap();
        drop(theirs);
        assert_eq!(ours.read(&mut [0]).unwrap(), 0);
    }
}
