//! The tracer: every stop of every thread, answered at once and turned into events.
//!
//! A thread may be killed at any stop; then each request about it fails (ESRCH), which is no error
//! here: its end is reported like any other.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::bell::Bell;
use super::decode::{self, Kept};
use super::event::{Arguments, Call, Ending, Event, Identity, Outcome, Program, Snapshot};
use super::filter;
use super::kinds::{Kind, Table};
use super::leave::Leaving;
use super::memory::{Memory, int};
use super::request::{self, Doing, Place, Resume, Status, Waited};
use super::snapshot;
use super::start::{self, Command, StartFailure, StartStep, Waiting};
use crate::clock;

/// PTRACE_EVENT_STOP, linux/ptrace.h; libc has it for some systems only.
pub(super) const EVENT_STOP: i32 = 128;

/// What to look at.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Stop programs by a filter at the calls that matter (seccomp(2)). Without, each call stops,
    /// which costs, but works where filters are refused, and leaves nothing behind in a program
    /// that is released.
    pub filter: bool,
    /// Ask for the socket's state at each call.
    pub snapshots: bool,
    /// Bytes kept of each message; of one buffer never more than 16 MiB.
    pub payload_bytes_max: u32,
    /// Report calls that wait for several descriptors: poll, select, epoll.
    pub waiting_calls: bool,
    /// Let programs use io_uring, whose operations are not seen; otherwise it is refused (ENOSYS)
    /// as by a kernel without it, and programs fall back. Refusing needs the filter, except on
    /// x86-64.
    pub io_uring: bool,
}

/// A call under way in a thread.
pub(super) struct Pending {
    pub(super) kind: Kind,
    pub(super) call: Box<Call>,
    pub(super) place: Place,
}

pub(super) enum Phase {
    /// Its first stop is still to come.
    Unborn,
    Running,
    InCall(Pending),
    /// In a call that is not reported, and whose exit is a stop (without the filter).
    Passing,
}

pub(super) struct Task {
    pub(super) pid: i32,
    pub(super) phase: Phase,
    /// The last call, if a signal interrupted it: its number, arguments and place.
    interrupted: Option<(u64, [u64; 6], Place)>,
}

#[derive(Default)]
pub(super) struct Process {
    /// Has executed its command's program: what came before was ours.
    begun: bool,
    threads: usize,
    handle: Option<OwnedFd>,
    pub(super) sockets: HashMap<i32, Identity>,
    foreign: bool,
}

/// Traces commands and all they start.
///
/// Dropping it kills what it still traces (SIGKILL).
pub struct Tracer {
    pub(super) options: Options,
    pub(super) table: Table,
    program: Option<Vec<libc::sock_filter>>,
    pub(super) tasks: BTreeMap<i32, Task>,
    pub(super) processes: BTreeMap<i32, Process>,
    pub(super) queue: VecDeque<Event>,
    bell: Bell,
    /// A command that was forked and has not yet executed its program.
    starting: Option<i32>,
    started: Option<bool>,
    /// Threads that reported before their maker was stopped for them.
    early: HashSet<i32>,
    /// Processes that this tracer is to let go of.
    pub(super) leaving: HashMap<i32, Leaving>,
    /// ptrace(2) answers only the thread that made this.
    _bound: PhantomData<*const ()>,
}

impl Tracer {
    /// A tracer that belongs to this thread. ErrorKind::Unsupported on an architecture whose
    /// filter is not known.
    pub fn new(options: Options) -> io::Result<Tracer> {
        let table = Table::new(options.waiting_calls, options.io_uring || !options.filter);
        let program = if options.filter { Some(filter::assemble(table.rules())?) } else { None };
        Ok(Tracer {
            options,
            table,
            program,
            tasks: BTreeMap::new(),
            processes: BTreeMap::new(),
            queue: VecDeque::new(),
            bell: Bell::new()?,
            starting: None,
            started: None,
            early: HashSet::new(),
            leaving: HashMap::new(),
            _bound: PhantomData,
        })
    }

    /// The bell that ends a wait in [`Tracer::next_event`].
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Starts a command, and returns its process id once it executes its program. May be called
    /// at any time; what others do meanwhile is kept for [`Tracer::next_event`].
    pub fn start(&mut self, command: &Command) -> Result<i32, StartFailure> {
        let program = command.program.clone();
        let fail = |step, error| StartFailure { step, program: program.clone(), error };
        let waiting = start::fork(command, self.program.as_deref());
        let waiting = waiting.map_err(|(step, error)| fail(step, error))?;
        let pid = waiting.pid;
        if let Err(error) = request::seize(pid).and_then(|()| waiting.go()) {
            end_child(pid);
            return Err(fail(StartStep::Seize, error));
        }
        let task = Task { pid, phase: Phase::Running, interrupted: None };
        self.tasks.insert(pid, task);
        self.processes.insert(pid, Process { threads: 1, ..Process::default() });
        (self.starting, self.started) = (Some(pid), None);
        let started = self.until_started(&waiting);
        self.starting = None;
        started.map_err(|(step, error)| fail(step, error))?;
        Ok(pid)
    }

    fn until_started(&mut self, waiting: &Waiting) -> Result<(), (StartStep, io::Error)> {
        loop {
            match self.started {
                Some(true) => return Ok(()),
                Some(false) => return Err(waiting.refusal()),
                None => {}
            }
            match request::wait(true) {
                Ok(Waited::Thread(tid, status)) => self.stopped(tid, status),
                Ok(Waited::Interrupted | Waited::Nothing) => {}
                Ok(Waited::Nobody) => return Err(waiting.refusal()),
                Err(error) => return Err((StartStep::Lost, error)),
            }
        }
    }

    /// The next event; waits for it. `None` when nobody is left to trace.
    pub fn next_event(&mut self) -> io::Result<Option<Event>> {
        loop {
            if self.bell.taken() {
                return Ok(Some(Event::Rung));
            }
            if let Some(event) = self.queue.pop_front() {
                return Ok(Some(event));
            }
            let may_wait = self.bell.waits(true);
            let waited = request::wait(may_wait);
            self.bell.waits(false);
            match waited? {
                Waited::Thread(tid, status) => self.stopped(tid, status),
                Waited::Nothing | Waited::Interrupted => {}
                Waited::Nobody => {
                    self.tasks.clear();
                    self.processes.clear();
                    if self.queue.is_empty() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The processes traced now, in order of their ids.
    pub fn processes(&self) -> Vec<i32> {
        self.processes.keys().copied().collect()
    }

    /// The session of a traced process (getsid(2)): that of a daemon is not its starter's.
    pub fn session(&self, pid: i32) -> io::Result<i32> {
        // SAFETY: takes a number only.
        let session = unsafe { libc::getsid(pid) };
        if session < 0 { Err(io::Error::last_os_error()) } else { Ok(session) }
    }

    /// Sends a signal to a traced process (kill(2)).
    pub fn signal(&self, pid: i32, number: i32) -> io::Result<()> {
        if !self.processes.contains_key(&pid) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        // SAFETY: takes numbers only. The process has not been waited for, so the id is its own.
        let sent = unsafe { libc::kill(pid, number) };
        if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(super) fn stopped(&mut self, tid: i32, status: Status) {
        match status {
            Status::Exited(code) => return self.ended(tid, Ending::Exited(code)),
            Status::Killed { signal, core } => {
                return self.ended(tid, Ending::Killed { signal, core });
            }
            Status::Other => return,
            Status::AtCall | Status::Event { .. } | Status::Signal(_) => {}
        }
        if !self.tasks.contains_key(&tid) {
            self.adopt(tid);
        }
        if self.let_go(tid, status) {
            return;
        }
        match status {
            Status::AtCall => self.at_call(tid),
            Status::Signal(number) => {
                if let Some(pid) = self.begun(tid) {
                    self.queue.push_back(Event::Signal { at: clock::stamp(), pid, tid, number });
                }
                self.resume(tid, number);
            }
            Status::Event { event, signal } => self.at_event(tid, event, signal),
            Status::Exited(_) | Status::Killed { .. } | Status::Other => {}
        }
    }

    /// The process of a thread, if what it does is to be told.
    fn begun(&self, tid: i32) -> Option<i32> {
        let pid = self.tasks.get(&tid)?.pid;
        self.processes.get(&pid)?.begun.then_some(pid)
    }

    fn at_event(&mut self, tid: i32, event: i32, signal: i32) {
        match event {
            libc::PTRACE_EVENT_SECCOMP => return self.at_call(tid),
            libc::PTRACE_EVENT_EXEC => self.executed(tid),
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                if let Ok(child) = request::message(tid) {
                    self.forked(tid, child);
                }
            }
            EVENT_STOP => {
                if let Some(task) = self.tasks.get_mut(&tid)
                    && matches!(task.phase, Phase::Unborn)
                {
                    task.phase = Phase::Running;
                } else if signal != libc::SIGTRAP {
                    // A stop of the whole process (SIGSTOP, SIGTSTP ...): it stays stopped until
                    // SIGCONT. ESRCH: killed meanwhile.
                    drop(request::listen(tid));
                    return;
                }
            }
            _ => {}
        }
        self.resume(tid, 0);
    }

    /// Lets a thread go on from its stop. That it is gone will be reported by the next wait.
    fn resume(&self, tid: i32, signal: i32) {
        let to_call = !self.options.filter
            || self.tasks.get(&tid).is_some_and(|task| matches!(task.phase, Phase::InCall(_)));
        let how = if to_call { Resume::ToCall } else { Resume::Free };
        drop(request::resume(tid, how, signal));
    }

    fn forked(&mut self, parent: i32, tid: i32) {
        // It may have been seen before, and may even have ended.
        if self.early.remove(&tid) {
            return;
        }
        let Some(maker) = self.tasks.get(&parent).map(|task| task.pid) else { return };
        let thread = Path::new(&format!("/proc/{maker}/task/{tid}")).exists();
        let pid = if thread { maker } else { tid };
        self.born(maker, pid, tid);
    }

    /// A thread that reports before the one that made it does. Should that be killed first, the
    /// mark stays until the number is used again, and then does no harm: that thread is adopted.
    fn adopt(&mut self, tid: i32) {
        self.early.insert(tid);
        let status = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse::<i32>().ok()
        };
        let pid = number("Tgid:").unwrap_or(tid);
        let parent = if pid == tid { number("PPid:").unwrap_or(0) } else { pid };
        self.born(parent, pid, tid);
    }

    fn born(&mut self, parent: i32, pid: i32, tid: i32) {
        self.tasks.insert(tid, Task { pid, phase: Phase::Unborn, interrupted: None });
        let process = self.processes.entry(pid).or_default();
        process.begun = true;
        process.threads += 1;
        self.queue.push_back(Event::Forked { at: clock::stamp(), parent, pid, tid });
    }

    /// One thread is left of the process, and it has the process's id now.
    fn executed(&mut self, pid: i32) {
        let at = clock::stamp();
        let former = request::message(pid).unwrap_or(pid);
        let others: Vec<i32> = self
            .tasks
            .iter()
            .filter(|(tid, task)| task.pid == pid && (**tid != former || former != pid))
            .map(|(tid, _)| *tid)
            .collect();
        for tid in others {
            if let Some(task) = self.tasks.remove(&tid) {
                self.unfinished(task);
            }
        }
        self.tasks.insert(pid, Task { pid, phase: Phase::Running, interrupted: None });
        if self.starting == Some(pid) {
            self.started = Some(true);
        }
        // The old handle stays good; sockets closed by execve are found out when they are used.
        let process = self.processes.entry(pid).or_default();
        process.sockets.clear();
        (process.begun, process.threads, process.foreign) = (true, 1, false);
        let (path, file) = program_of(pid);
        self.queue.push_back(Event::Executed { at, pid, path, file });
    }

    fn ended(&mut self, tid: i32, how: Ending) {
        let Some(task) = self.tasks.remove(&tid) else { return };
        let pid = task.pid;
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.threads = process.threads.saturating_sub(1);
        let begun = process.begun;
        self.unfinished(task);
        if tid != pid {
            self.queue.push_back(Event::ThreadEnded { at: clock::stamp(), pid, tid });
            return;
        }
        // The first thread's end is reported last, when no other is left.
        self.processes.remove(&pid);
        self.leaving.remove(&pid);
        self.tasks.retain(|_, task| task.pid != pid);
        if begun {
            self.queue.push_back(Event::Ended { at: clock::stamp(), pid, how });
        } else {
            self.started = Some(false);
        }
    }

    fn at_call(&mut self, tid: i32) {
        let Ok((doing, place)) = request::doing(tid) else { return };
        match doing {
            Doing::Entry { number, arguments, tag } => {
                let foreign = tag == Some(filter::TAG_FOREIGN)
                    || filter::NATIVE.is_some_and(|native| native != place.arch);
                if foreign {
                    self.foreign(tid);
                } else {
                    self.entered(tid, number, arguments, place);
                }
            }
            Doing::Exit { value, failed } => self.left(tid, value, failed),
            Doing::Nothing => {}
        }
        self.resume(tid, 0);
    }

    fn foreign(&mut self, tid: i32) {
        let Some(pid) = self.begun(tid) else { return };
        if let Some(process) = self.processes.get_mut(&pid)
            && !std::mem::replace(&mut process.foreign, true)
        {
            self.queue.push_back(Event::Foreign { at: clock::stamp(), pid });
        }
    }

    fn entered(&mut self, tid: i32, number: u64, arguments: [u64; 6], place: Place) {
        let entered = clock::stamp();
        let phase = self.entry(tid, number, arguments, place, entered);
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        let passing = if self.options.filter { Phase::Running } else { Phase::Passing };
        task.phase = phase.map_or(passing, Phase::InCall);
    }

    /// The call that begins here, if it is one to report.
    fn entry(
        &mut self,
        tid: i32,
        number: u64,
        registers: [u64; 6],
        place: Place,
        entered: clock::Stamp,
    ) -> Option<Pending> {
        let pid = self.begun(tid)?;
        let [first, second, ..] = registers;
        let entry = self.table.find(number, second)?;
        let (name, kind) = (entry.name, entry.kind);
        if kind == Kind::IoUring && !self.options.io_uring && request::refuse(tid) {
            self.queue.push_back(Event::IoUring { at: entered, pid, refused: true });
            return None;
        }
        let task = self.tasks.get_mut(&tid)?;
        let again = match &task.interrupted {
            Some((before, words, there)) => {
                *there == place
                    && (kind == Kind::Restart || (*before == number && *words == registers))
            }
            None => false,
        };
        task.interrupted = None;
        // Others than our own calls are taken up again by the same number.
        if kind == Kind::Restart && !again {
            return None;
        }
        let descriptor = kind.has_descriptor().then(|| int(first));
        let mut socket = None;
        if let Some(descriptor) = descriptor {
            socket = self.identity(pid, tid, descriptor);
            let other = match kind {
                Kind::DuplicateTo => self.identity(pid, tid, int(second)),
                Kind::Splice => registers.get(2).and_then(|to| self.identity(pid, tid, int(*to))),
                _ => None,
            };
            if socket.is_none() && other.is_none() {
                return None;
            }
        }
        let kept = Kept(self.options.payload_bytes_max.into());
        let mut arguments = decode::at_entry(kind, &registers, Memory(pid), kept);
        if name == "accept4"
            && let Arguments::Address { flags, .. } = &mut arguments
        {
            *flags = registers.get(3).map_or(0, |flags| int(*flags));
        }
        if !self.concerns_sockets(pid, tid, &arguments) {
            return None;
        }
        let ends = self.options.snapshots && kind.ends_something();
        let before =
            if ends { descriptor.and_then(|d| self.snapshot(pid, d, socket)) } else { None };
        self.forget_closed(pid, kind, &registers);
        let call = Call {
            pid,
            tid,
            number,
            name,
            registers,
            descriptor,
            socket,
            arguments,
            entered,
            left: None,
            outcome: Outcome::Unfinished,
            made: vec![],
            again,
            before,
            after: None,
        };
        Some(Pending { kind, call: Box::new(call), place })
    }

    /// Whether any descriptor of a call that watches several, or closes many, is a socket.
    fn concerns_sockets(&mut self, pid: i32, tid: i32, arguments: &Arguments) -> bool {
        match arguments {
            Arguments::Poll { watched } => {
                watched.iter().any(|(fd, ..)| self.identity(pid, tid, *fd).is_some())
            }
            Arguments::EpollControl { descriptor, .. } => {
                self.identity(pid, tid, *descriptor).is_some()
            }
            _ => true,
        }
    }

    /// A descriptor about to be closed may mean another socket before this call is seen to end.
    fn forget_closed(&mut self, pid: i32, kind: Kind, registers: &[u64; 6]) {
        let [first, second, ..] = *registers;
        let Some(process) = self.processes.get_mut(&pid) else { return };
        match kind {
            Kind::Close => drop(process.sockets.remove(&int(first))),
            Kind::DuplicateTo => drop(process.sockets.remove(&int(second))),
            Kind::CloseRange => process.sockets.clear(),
            _ => {}
        }
    }

    /// The socket behind a descriptor; `None` if it is something else, or nothing.
    pub(super) fn identity(&mut self, pid: i32, tid: i32, descriptor: i32) -> Option<Identity> {
        let process = self.processes.get_mut(&pid)?;
        if let Some(known) = process.sockets.get(&descriptor) {
            return Some(*known);
        }
        if descriptor < 0 {
            return None;
        }
        let target = std::fs::read_link(format!("/proc/{tid}/fd/{descriptor}")).ok()?;
        let name = target.to_str()?;
        let inode = name.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        let identity = match process.duplicate(pid, descriptor) {
            Some(copy) => snapshot::identity(copy.as_fd(), inode),
            None => Identity { inode, cookie: None, kind: None },
        };
        process.sockets.insert(descriptor, identity);
        Some(identity)
    }

    /// The state of a socket of IPv4 or IPv6 now.
    pub(super) fn snapshot(
        &mut self,
        pid: i32,
        descriptor: i32,
        known: Option<Identity>,
    ) -> Option<Snapshot> {
        if known.is_some_and(|known| known.kind.is_some() && !known.internet()) {
            return None;
        }
        let process = self.processes.get_mut(&pid)?;
        let copy = process.duplicate(pid, descriptor)?;
        let inode = snapshot::inode(copy.as_fd())?;
        let identity = match known.filter(|known| known.inode == inode) {
            Some(known) => known,
            None => snapshot::identity(copy.as_fd(), inode),
        };
        process.sockets.insert(descriptor, identity);
        identity.internet().then(|| snapshot::take(copy.as_fd(), identity))
    }

    pub(super) fn remember(&mut self, tid: i32, pending: &Pending) {
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.interrupted = Some((pending.call.number, pending.call.registers, pending.place));
        }
    }
}

impl Process {
    fn duplicate(&mut self, pid: i32, descriptor: i32) -> Option<OwnedFd> {
        if self.handle.is_none() {
            self.handle = snapshot::open(pid).ok();
        }
        snapshot::duplicate(self.handle.as_ref()?, descriptor).ok()
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        for pid in self.processes.keys() {
            // SAFETY: takes numbers only; the process has not been waited for, the id is its own.
            unsafe { libc::kill(*pid, libc::SIGKILL) };
        }
        while !self.tasks.is_empty() {
            match request::wait(true) {
                Ok(Waited::Thread(tid, Status::Exited(_) | Status::Killed { .. })) => {
                    self.tasks.remove(&tid);
                    self.tasks.retain(|_, task| task.pid != tid);
                }
                Ok(Waited::Thread(tid, _)) => drop(request::resume(tid, Resume::Free, 0)),
                Ok(Waited::Nothing | Waited::Interrupted) => {}
                Ok(Waited::Nobody) | Err(_) => return,
            }
        }
    }
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracer").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Ends a child that could not be traced.
pub(super) fn end_child(pid: i32) {
    // SAFETY: the child is ours and has not been waited for; the status is not asked for.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
    }
}

/// The file of a process's program, and what is special about it.
fn program_of(pid: i32) -> (PathBuf, Program) {
    let link = PathBuf::from(format!("/proc/{pid}/exe"));
    let path = std::fs::read_link(&link).unwrap_or_default();
    let mut program = Program::default();
    if let Ok(facts) = std::fs::metadata(&link) {
        program.set_id = facts.mode() & (libc::S_ISUID | libc::S_ISGID) != 0;
    }
    let mut head = [0; 5];
    if File::open(&link).and_then(|mut file| file.read_exact(&mut head)).is_ok() {
        program.bits_32 = head == [0x7f, b'E', b'L', b'F', 1];
    }
    (path, program)
}
