//! The end of a call: its outcome, what it made, and the socket's state.

use super::decode::{self, Kept};
use super::engine::{Pending, Phase, Task, Tracer};
use super::event::{Arguments, Event, Outcome};
use super::kinds::Kind;
use super::memory::Memory;
use crate::clock;

/// The kernel's codes for a call that a signal ended, and which may be taken up again; programs
/// never see them (linux/errno.h, ERESTARTSYS and its kin).
const RESTARTS: std::ops::RangeInclusive<i64> = 512..=516;

impl Tracer {
    pub(super) fn left(&mut self, tid: i32, value: i64, failed: bool) {
        let left = clock::stamp();
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        let Phase::InCall(mut pending) = std::mem::replace(&mut task.phase, Phase::Running) else {
            return;
        };
        pending.call.left = Some(left);
        pending.call.outcome = outcome(value, failed);
        if matches!(pending.call.outcome, Outcome::Interrupted(_)) {
            self.remember(tid, &pending);
        }
        self.complete(tid, &mut pending);
        self.report(pending);
    }

    fn complete(&mut self, tid: i32, pending: &mut Pending) {
        let kind = pending.kind;
        let call = &mut *pending.call;
        let (pid, outcome) = (call.pid, call.outcome);
        let kept = Kept(self.options.payload_bytes_max.into());
        let (words, arguments) = (call.registers, &mut call.arguments);
        decode::at_exit(kind, &words, outcome, arguments, Memory(pid), kept);
        let made = made(kind, &words, &call.arguments, outcome, Memory(pid));
        for descriptor in made {
            // Whatever this number meant before is gone.
            if let Some(process) = self.processes.get_mut(&pid) {
                process.sockets.remove(&descriptor);
            }
            call.made.push((descriptor, self.identity(pid, tid, descriptor)));
        }
        if self.options.snapshots && kind.changes_state() {
            let about = match (kind, call.made.first()) {
                (Kind::Accept, Some((descriptor, identity))) => Some((*descriptor, *identity)),
                // Nothing came of it: the listening socket did not change.
                (Kind::Accept, None) => None,
                _ => call.descriptor.map(|descriptor| (descriptor, call.socket)),
            };
            call.after = about.and_then(|(fd, identity)| self.snapshot(pid, fd, identity));
        }
    }

    /// A call that its thread did not live to see the end of.
    pub(super) fn unfinished(&mut self, task: Task) {
        if let Phase::InCall(pending) = task.phase {
            self.report(pending);
        }
    }

    fn report(&mut self, pending: Pending) {
        let (kind, call) = (pending.kind, pending.call);
        if kind == Kind::IoUring && matches!(call.outcome, Outcome::Returned(_)) {
            let at = call.left.unwrap_or(call.entered);
            self.queue.push_back(Event::IoUring { at, pid: call.pid, refused: false });
        }
        self.queue.push_back(Event::Call(call));
    }
}

fn outcome(value: i64, failed: bool) -> Outcome {
    match value.checked_neg() {
        Some(code) if failed && RESTARTS.contains(&code) => {
            Outcome::Interrupted(i32::try_from(code).unwrap_or(0))
        }
        Some(errno) if failed => Outcome::Failed(i32::try_from(errno).unwrap_or(0)),
        _ => Outcome::Returned(value),
    }
}

/// The descriptors a call made.
fn made(
    kind: Kind,
    words: &[u64; 6],
    arguments: &Arguments,
    outcome: Outcome,
    memory: Memory,
) -> Vec<i32> {
    let Outcome::Returned(value) = outcome else { return vec![] };
    let duplicates = match arguments {
        Arguments::Control { command, .. } => {
            let (plain, closing) = (libc::F_DUPFD, libc::F_DUPFD_CLOEXEC);
            [plain, closing].iter().any(|name| u64::try_from(*name) == Ok(*command))
        }
        _ => false,
    };
    match kind {
        Kind::Socket | Kind::Accept | Kind::Duplicate | Kind::DuplicateTo => {
            Vec::from_iter(i32::try_from(value).ok())
        }
        Kind::Control if duplicates => Vec::from_iter(i32::try_from(value).ok()),
        Kind::SocketPair => {
            let [_, _, _, pair, ..] = *words;
            memory.ints(pair).map(Vec::from).unwrap_or_default()
        }
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_a_value_an_errno_or_an_interruption() {
        assert_eq!(outcome(5, false), Outcome::Returned(5));
        assert_eq!(outcome(-11, true), Outcome::Failed(libc::EAGAIN));
        assert_eq!(outcome(-512, true), Outcome::Interrupted(512));
        assert_eq!(outcome(i64::MIN, true), Outcome::Returned(i64::MIN));
    }
}
