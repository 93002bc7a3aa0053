//! The requests of ptrace(2), and waiting for those who are traced.
//!
//! All of them must come from the thread that traces. Meaning is left to the engine.

use std::io;

use libc::{c_int, c_long};

const SEIZE: c_long = 0x4206;
const CONT: c_long = 7;
const DETACH: c_long = 17;
const SYSCALL: c_long = 24;
const GETEVENTMSG: c_long = 0x4201;
const INTERRUPT: c_long = 0x4207;
const LISTEN: c_long = 0x4208;
const GET_SYSCALL_INFO: c_long = 0x420e;

/// The kinds of PTRACE_GET_SYSCALL_INFO.
const OP_ENTRY: u8 = 1;
const OP_EXIT: u8 = 2;
const OP_SECCOMP: u8 = 3;

/// How a stopped thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// Until the filter, a signal or an event stops it.
    Free,
    /// Until the next entry or exit of a call.
    ToCall,
}

/// `struct ptrace_syscall_info`, whose union begins with 64-bit words on every architecture.
#[repr(C)]
#[derive(Default)]
struct Raw {
    op: u8,
    pad: [u8; 3],
    arch: u32,
    instruction_pointer: u64,
    stack_pointer: u64,
    words: [u64; 8],
}

/// What a thread is doing at a stop.
#[derive(Clone, Copy, Debug)]
pub(super) enum Doing {
    /// Entering a call; the filter sent it here if `tag` is set.
    Entry { number: u64, arguments: [u64; 6], tag: Option<u32> },
    /// Leaving a call, with the value in the register of results.
    Exit { value: i64, failed: bool },
    /// Something else.
    Nothing,
}

/// Where it is doing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) arch: u32,
    pub(super) instruction_pointer: u64,
    pub(super) stack_pointer: u64,
}

fn ptrace(request: c_long, tid: i32, address: usize, data: usize) -> io::Result<c_long> {
    // SAFETY: requests that take a pointer are made below, each with memory of the size it names;
    // for the others the last two words are numbers.
    let result = unsafe { libc::syscall(libc::SYS_ptrace, request, tid, address, data) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Becomes the tracer of a thread without stopping it.
pub(super) fn seize(tid: i32) -> io::Result<()> {
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_EXITKILL
        | libc::PTRACE_O_TRACESECCOMP;
    let options = usize::try_from(options).map_err(io::Error::other)?;
    ptrace(SEIZE, tid, 0, options).map(drop)
}

/// Lets a stopped thread go on, with a signal delivered to it unless that is 0.
pub(super) fn resume(tid: i32, how: Resume, signal: c_int) -> io::Result<()> {
    let request = match how {
        Resume::Free => CONT,
        Resume::ToCall => SYSCALL,
    };
    ptrace(request, tid, 0, usize::try_from(signal).unwrap_or(0)).map(drop)
}

/// Leaves a thread in its group-stop, and still hears of it.
pub(super) fn listen(tid: i32) -> io::Result<()> {
    ptrace(LISTEN, tid, 0, 0).map(drop)
}

/// Stops a running thread.
pub(super) fn interrupt(tid: i32) -> io::Result<()> {
    ptrace(INTERRUPT, tid, 0, 0).map(drop)
}

/// Lets a stopped thread go for good.
pub(super) fn detach(tid: i32, signal: c_int) -> io::Result<()> {
    ptrace(DETACH, tid, 0, usize::try_from(signal).unwrap_or(0)).map(drop)
}

/// Answers a call with ENOSYS instead of making it, at the stop of its entry; false where it is
/// not known how.
///
/// The number -1 names no call (Documentation/userspace-api/seccomp_filter in the kernel's
/// sources), and x86-64 has put ENOSYS in the register of results before it looks at the number.
#[cfg(target_arch = "x86_64")]
pub(super) fn refuse(tid: i32) -> bool {
    const POKEUSER: c_long = 6;
    let number_at = std::mem::offset_of!(libc::user_regs_struct, orig_rax);
    ptrace(POKEUSER, tid, number_at, usize::MAX).is_ok()
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn refuse(_: i32) -> bool {
    false
}

/// What an event is about: the new thread's id, or the former one.
pub(super) fn message(tid: i32) -> io::Result<i32> {
    let mut message: libc::c_ulong = 0;
    ptrace(GETEVENTMSG, tid, 0, (&raw mut message).addr())?;
    i32::try_from(message).map_err(io::Error::other)
}

/// What the thread is doing (PTRACE_GET_SYSCALL_INFO, Linux 5.3).
pub(super) fn doing(tid: i32) -> io::Result<(Doing, Place)> {
    let mut raw = Raw::default();
    ptrace(GET_SYSCALL_INFO, tid, size_of::<Raw>(), (&raw mut raw).addr())?;
    let [first, a, b, c, d, e, f, last] = raw.words;
    let [one, two, three, four, ..] = last.to_ne_bytes();
    let entry = |tag| Doing::Entry { number: first, arguments: [a, b, c, d, e, f], tag };
    let doing = match raw.op {
        OP_ENTRY => entry(None),
        OP_SECCOMP => entry(Some(u32::from_ne_bytes([one, two, three, four]))),
        OP_EXIT => {
            let [failed, ..] = a.to_ne_bytes();
            Doing::Exit { value: first.cast_signed(), failed: failed != 0 }
        }
        _ => Doing::Nothing,
    };
    let place = Place {
        arch: raw.arch,
        instruction_pointer: raw.instruction_pointer,
        stack_pointer: raw.stack_pointer,
    };
    Ok((doing, place))
}

/// Why a thread was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Exited(i32),
    Killed {
        signal: i32,
        core: bool,
    },
    /// At the entry or exit of a call.
    AtCall,
    /// A PTRACE_EVENT_ number, and the signal that came with it.
    Event {
        event: i32,
        signal: i32,
    },
    /// About to take a signal.
    Signal(i32),
    Other,
}

/// The answer of [`wait`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Waited {
    Thread(i32, Status),
    /// Nothing to report now.
    Nothing,
    /// A signal of ours ended the wait.
    Interrupted,
    /// Nobody is traced.
    Nobody,
}

/// Waits for a thread that this thread traces, and for no child of another.
///
/// waitpid(2) itself: nix's fails on real-time signals.
pub(super) fn wait(block: bool) -> io::Result<Waited> {
    let mut status: c_int = 0;
    let flags = libc::__WALL | libc::__WNOTHREAD | if block { 0 } else { libc::WNOHANG };
    // SAFETY: the kernel writes one int through a pointer that lives for the call.
    let tid = unsafe { libc::waitpid(-1, &raw mut status, flags) };
    if tid == 0 {
        return Ok(Waited::Nothing);
    }
    if tid > 0 {
        return Ok(Waited::Thread(tid, decode(status)));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EINTR) => Ok(Waited::Interrupted),
        Some(libc::ECHILD) => Ok(Waited::Nobody),
        _ => Err(error),
    }
}

fn decode(status: c_int) -> Status {
    if libc::WIFEXITED(status) {
        return Status::Exited(libc::WEXITSTATUS(status));
    }
    if libc::WIFSIGNALED(status) {
        return Status::Killed { signal: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) };
    }
    if !libc::WIFSTOPPED(status) {
        return Status::Other;
    }
    let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
    if event != 0 {
        Status::Event { event, signal }
    } else if signal == libc::SIGTRAP | 0x80 {
        Status::AtCall
    } else {
        Status::Signal(signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_kernels() {
        assert_eq!(size_of::<Raw>(), 88);
        assert_eq!(std::mem::offset_of!(Raw, words), 24);
    }

    #[test]
    fn a_status_is_read_with_its_event_and_any_signal() {
        assert_eq!(decode(3 << 8), Status::Exited(3));
        assert_eq!(decode(11 | 0x80), Status::Killed { signal: 11, core: true });
        let event = (7 << 16) | (libc::SIGTRAP << 8) | 0x7f;
        assert_eq!(decode(event), Status::Event { event: 7, signal: libc::SIGTRAP });
        assert_eq!(decode(((libc::SIGTRAP | 0x80) << 8) | 0x7f), Status::AtCall);
        // A real-time signal, which has no name.
        assert_eq!(decode((42 << 8) | 0x7f), Status::Signal(42));
    }
}
