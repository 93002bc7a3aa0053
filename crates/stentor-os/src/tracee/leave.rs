//! Letting go of processes that shall outlive the tracer, such as daemons.
//!
//! A process keeps its filter for good, and a call that the filter sends to a tracer that is not
//! there fails (ENOSYS, seccomp(2)). So processes under a filter are not set free but handed to a
//! keeper: a process of ours that traces them on without looking, until the last has ended.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::UnixStream;

use super::engine::{EVENT_STOP, Phase, Tracer};
use super::event::Event;
use super::request::{self, Resume, Status, Waited};
use crate::{clock, process};

/// How a process is let go of.
#[derive(Clone, Debug)]
pub(super) enum Leaving {
    /// It goes on at once.
    Free,
    /// It stands still until another traces it: the threads that have been let go.
    Standing(Vec<i32>),
}

impl Tracer {
    /// Lets a process go on untraced; [`Event::Released`] follows. With the filter its traced
    /// calls fail from then on (ENOSYS): only without it does it go on unharmed.
    pub fn release(&mut self, pid: i32) -> io::Result<()> {
        self.leaving.insert(pid, Leaving::Free);
        self.interrupt(pid)
    }

    /// Hands processes to a keeper, so that they may outlive this tracer: their calls go on
    /// working and are no longer seen. Each is stopped (SIGSTOP) and continued on the way.
    ///
    /// If the keeper may not trace them (EPERM, where Yama lets only ancestors), they are ended
    /// (SIGKILL).
    pub fn entrust(&mut self, pids: &[i32]) -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        // By way of a child that ends at once: a child of this thread would be waited for in
        // `next_event` like those it traces.
        let line = theirs.as_raw_fd();
        let between = || i32::from(process::fork_into(&[], || keep(line)).is_err());
        process::fork_into(&[ours.as_raw_fd()], between)?.wait()?;
        drop(theirs);
        // Those that have ended meanwhile need nobody.
        let alive = |pid: &&i32| self.processes.contains_key(*pid);
        for pid in pids.iter().filter(alive).collect::<Vec<_>>() {
            self.leaving.insert(*pid, Leaving::Standing(vec![]));
            self.signal(*pid, libc::SIGSTOP)?;
            // Those that stand already make no new stop of it.
            self.interrupt(*pid)?;
        }
        let mut standing = Vec::new();
        while let Some(pid) = pids.iter().find(|pid| self.leaving.contains_key(*pid)) {
            if !self.processes.contains_key(pid)
                && let Some(Leaving::Standing(threads)) = self.leaving.remove(pid)
            {
                standing.push((*pid, threads));
                continue;
            }
            match request::wait(true)? {
                Waited::Thread(tid, status) => self.stopped(tid, status),
                Waited::Nothing | Waited::Interrupted => {}
                Waited::Nobody => break,
            }
        }
        let handed = hand_over(ours, &standing);
        if handed.is_err() {
            for (pid, _) in standing {
                // SAFETY: takes numbers only. It stands still, so the id is still its own.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        }
        handed
    }

    /// Stops every thread of a process for a moment.
    fn interrupt(&self, pid: i32) -> io::Result<()> {
        let threads: Vec<i32> =
            self.tasks.iter().filter(|(_, task)| task.pid == pid).map(|(tid, _)| *tid).collect();
        if threads.is_empty() {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        for tid in threads {
            match request::interrupt(tid) {
                // Killed meanwhile: its end will be reported.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Detaches a thread at this stop, if its process is leaving and this is the moment. Never in
    /// the middle of a call, whose end would not be seen.
    pub(super) fn let_go(&mut self, tid: i32, status: Status) -> bool {
        let Some(task) = self.tasks.get(&tid) else { return false };
        let (pid, in_call) = (task.pid, matches!(task.phase, Phase::InCall(_)));
        let stopped = match status {
            Status::Event { event: EVENT_STOP, signal } => signal != libc::SIGTRAP,
            _ => false,
        };
        let signal = match (self.leaving.get(&pid), status) {
            (None, _) => return false,
            (Some(Leaving::Standing(_)), _) if !stopped => return false,
            (Some(Leaving::Free), Status::Signal(number)) => number,
            (Some(_), _) => 0,
        };
        if in_call || request::detach(tid, signal).is_err() {
            return false;
        }
        self.tasks.remove(&tid);
        if let Some(Leaving::Standing(threads)) = self.leaving.get_mut(&pid) {
            threads.push(tid);
        }
        if !self.tasks.values().any(|other| other.pid == pid) {
            self.processes.remove(&pid);
            self.queue.push_back(Event::Released { at: clock::stamp(), pid });
            if matches!(self.leaving.get(&pid), Some(Leaving::Free)) {
                self.leaving.remove(&pid);
            }
        }
        true
    }
}

/// Tells the keeper whom to trace, a line for each process, and hears how it went.
fn hand_over(mut line: UnixStream, processes: &[(i32, Vec<i32>)]) -> io::Result<()> {
    for (pid, threads) in processes {
        let threads: Vec<String> = threads.iter().map(i32::to_string).collect();
        writeln!(line, "{pid} {}", threads.join(" "))?;
    }
    line.shutdown(Shutdown::Write)?;
    let mut answer = [0; 4];
    line.read_exact(&mut answer)?;
    match i32::from_ne_bytes(answer) {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// The keeper: takes over, and lets everything go on as it would untraced.
fn keep(line: i32) -> i32 {
    let line = stand_alone(line);
    let taken = take_over(&line);
    let errno = match &taken {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
    };
    let told = (&line).write_all(&errno.to_ne_bytes());
    drop(line);
    if taken.and(told).is_err() {
        return 1;
    }
    loop {
        match request::wait(true) {
            Ok(Waited::Thread(tid, status)) => go_on(tid, status),
            Ok(Waited::Nothing | Waited::Interrupted) => {}
            Ok(Waited::Nobody) => return 0,
            Err(_) => return 1,
        }
    }
}

/// Keeps nothing of its maker but the line: no terminal, no pipe that others wait to see closed.
fn stand_alone(line: i32) -> UnixStream {
    const LINE: i32 = 3;
    // SAFETY: this process, fresh from fork(2), never goes back to the values that own these
    // descriptors; the path is a C string.
    unsafe {
        libc::setsid();
        if line != LINE {
            libc::dup2(line, LINE);
        }
        let nowhere = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        for stream in 0..LINE {
            libc::dup2(nowhere, stream);
        }
        if libc::syscall(libc::SYS_close_range, LINE + 1, u32::MAX, 0) != 0 {
            // Before Linux 5.9. What lies higher stays open, and does no more than stay open.
            for descriptor in LINE + 1..1024 {
                libc::close(descriptor);
            }
        }
        UnixStream::from_raw_fd(LINE)
    }
}

fn take_over(mut line: &UnixStream) -> io::Result<()> {
    let mut text = String::new();
    line.read_to_string(&mut text)?;
    let number = |word: &str| word.parse::<i32>().map_err(io::Error::other);
    for words in text.lines() {
        for thread in words.split_whitespace().skip(1) {
            request::seize(number(thread)?)?;
        }
    }
    for pid in text.lines().filter_map(|words| words.split_whitespace().next()) {
        // SAFETY: takes numbers only; it stands still, so the id is its own.
        unsafe { libc::kill(number(pid)?, libc::SIGCONT) };
    }
    Ok(())
}

/// ESRCH: killed meanwhile; its end follows.
fn go_on(tid: i32, status: Status) {
    drop(match status {
        Status::Exited(_) | Status::Killed { .. } | Status::Other => Ok(()),
        Status::Event { event: EVENT_STOP, signal } if signal != libc::SIGTRAP => {
            request::listen(tid)
        }
        Status::Signal(number) => request::resume(tid, Resume::Free, number),
        Status::AtCall | Status::Event { .. } => request::resume(tid, Resume::Free, 0),
    });
}
