//! The filter that stops a program at the calls that matter and lets the others run (seccomp(2)):
//! classic BPF, put together here.
//!
//! Calls the filter always allows cost next to nothing: the kernel (5.11) remembers them.

use std::io;

use libc::sock_filter;

/// linux/audit.h: which instruction set a call was made with.
#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE: Option<u32> = Some(0xc000_00b7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) const NATIVE: Option<u32> = None;

/// The 32-bit calls by which a socket is made: socketcall and socket of i386, socket of ARM.
#[cfg(target_arch = "x86_64")]
const FOREIGN: &[u32] = &[102, 359];
#[cfg(not(target_arch = "x86_64"))]
const FOREIGN: &[u32] = &[281];

/// The tag of a stop for a call of another instruction set, which is not decoded.
pub(super) const TAG_FOREIGN: u32 = 1;

/// Where `struct seccomp_data` keeps what is looked at; the low half of the second argument.
const NUMBER_AT: u32 = 0;
const ARCH_AT: u32 = 4;
const SECOND_ARGUMENT_AT: u32 = if cfg!(target_endian = "little") { 24 } else { 28 };

/// What stops, what is refused; the rest runs.
#[derive(Debug)]
pub(super) struct Rules {
    /// Calls that always stop.
    pub(super) stop: Vec<u32>,
    /// Calls that stop for some values of their second argument.
    pub(super) stop_if: Vec<(u32, Vec<u32>)>,
    /// Calls answered with an errno, never made.
    pub(super) refuse: Vec<(u32, u16)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Next,
    Stop,
    Allow,
    Foreign,
    /// The end of the inner list of the call at this place.
    After(usize),
}

enum Line {
    Load(u32),
    IfEqual(u32, Label),
    #[cfg(target_arch = "x86_64")]
    IfAtLeast(u32, Label),
    UnlessEqual(u32, Label),
    Return(u32),
    Mark(Label),
}

/// The program for these rules, for calls of this instruction set.
pub(super) fn assemble(rules: &Rules) -> io::Result<Vec<sock_filter>> {
    let Some(native) = NATIVE else {
        return Err(io::Error::from(io::ErrorKind::Unsupported));
    };
    let mut lines =
        vec![Line::Load(ARCH_AT), Line::UnlessEqual(native, Label::Foreign), Line::Load(NUMBER_AT)];
    // x32 calls carry this bit; they are not decoded.
    #[cfg(target_arch = "x86_64")]
    lines.push(Line::IfAtLeast(0x4000_0000, Label::Allow));
    lines.extend(rules.stop.iter().map(|number| Line::IfEqual(*number, Label::Stop)));
    for (call, errno) in &rules.refuse {
        let place = lines.len();
        lines.push(Line::UnlessEqual(*call, Label::After(place)));
        lines.push(Line::Return(libc::SECCOMP_RET_ERRNO | u32::from(*errno)));
        lines.push(Line::Mark(Label::After(place)));
    }
    for (call, values) in &rules.stop_if {
        let place = lines.len();
        lines.push(Line::UnlessEqual(*call, Label::After(place)));
        lines.push(Line::Load(SECOND_ARGUMENT_AT));
        lines.extend(values.iter().map(|value| Line::IfEqual(*value, Label::Stop)));
        lines.push(Line::Return(libc::SECCOMP_RET_ALLOW));
        lines.push(Line::Mark(Label::After(place)));
    }
    lines.push(Line::Mark(Label::Allow));
    lines.push(Line::Return(libc::SECCOMP_RET_ALLOW));
    lines.push(Line::Mark(Label::Stop));
    lines.push(Line::Return(libc::SECCOMP_RET_TRACE));
    lines.push(Line::Mark(Label::Foreign));
    lines.push(Line::Load(NUMBER_AT));
    for call in FOREIGN {
        let place = lines.len();
        lines.push(Line::UnlessEqual(*call, Label::After(place)));
        lines.push(Line::Return(libc::SECCOMP_RET_TRACE | TAG_FOREIGN));
        lines.push(Line::Mark(Label::After(place)));
    }
    lines.push(Line::Return(libc::SECCOMP_RET_ALLOW));
    resolve(&lines)
}

/// Turns labels into distances. A mark takes no place.
fn resolve(lines: &[Line]) -> io::Result<Vec<sock_filter>> {
    let mut marks = Vec::new();
    let mut length = 0_usize;
    for line in lines {
        match line {
            Line::Mark(label) => marks.push((*label, length)),
            _ => length += 1,
        }
    }
    let mut program = Vec::with_capacity(length);
    for line in lines {
        let here = program.len();
        let distance = |label: Label| -> io::Result<u8> {
            if label == Label::Next {
                return Ok(0);
            }
            let target = marks.iter().find(|(known, _)| *known == label).map(|(_, at)| *at);
            let jump = target.and_then(|at| at.checked_sub(here + 1));
            jump.and_then(|jump| u8::try_from(jump).ok())
                .ok_or_else(|| io::Error::other("the filter is too long for its jumps"))
        };
        let (load, equal) = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, libc::BPF_JEQ);
        let jump = libc::BPF_JMP | libc::BPF_K;
        let (code, k, then, otherwise) = match line {
            Line::Load(at) => (load, *at, Label::Next, Label::Next),
            Line::IfEqual(value, label) => (jump | equal, *value, *label, Label::Next),
            #[cfg(target_arch = "x86_64")]
            Line::IfAtLeast(value, label) => (jump | libc::BPF_JGE, *value, *label, Label::Next),
            Line::UnlessEqual(value, label) => (jump | equal, *value, Label::Next, *label),
            Line::Return(value) => (libc::BPF_RET | libc::BPF_K, *value, Label::Next, Label::Next),
            Line::Mark(_) => continue,
        };
        let code = u16::try_from(code).map_err(io::Error::other)?;
        program.push(sock_filter { code, jt: distance(then)?, jf: distance(otherwise)?, k });
    }
    Ok(program)
}

/// What the kernel is handed: a length and a pointer into `program`.
pub(super) fn installable(program: &[sock_filter]) -> io::Result<libc::sock_fprog> {
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    Ok(libc::sock_fprog { len, filter: program.as_ptr().cast_mut() })
}

/// Installs a filter in the calling thread, for good; allocates nothing, so that a child of
/// fork(2) may call it. With no_new_privs only where the kernel demands it (EACCES): with it a
/// program could not gain privileges by being executed, which is a change of its behaviour.
///
/// # Safety
/// `program` must come from [`installable`], with its filter still alive.
pub(super) unsafe fn install(program: &libc::sock_fprog) -> io::Result<()> {
    let install = || {
        let mode = libc::SECCOMP_MODE_FILTER;
        // SAFETY: the caller's promise: `program` points to a whole filter.
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const *program, 0, 0) }
    };
    if install() == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() != Some(libc::EACCES) {
        return Err(error);
    }
    // SAFETY: takes numbers only; the kernel demands that the unused ones be 0.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1_u64, 0_u64, 0_u64, 0_u64) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if install() == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use super::*;

    /// Runs a program as the kernel would, on an architecture, a number and a second argument.
    fn run(program: &[sock_filter], arch: u32, number: u32, second: u32) -> u32 {
        let mut accumulator = 0;
        let mut at = 0;
        loop {
            let line = program[at];
            at += 1;
            match line.code {
                0x20 => {
                    accumulator = match line.k {
                        NUMBER_AT => number,
                        ARCH_AT => arch,
                        SECOND_ARGUMENT_AT => second,
                        other => panic!("load from {other}"),
                    };
                }
                0x15 => at += usize::from(if accumulator == line.k { line.jt } else { line.jf }),
                0x35 => at += usize::from(if accumulator >= line.k { line.jt } else { line.jf }),
                0x06 => return line.k,
                other => panic!("code {other:#x}"),
            }
        }
    }

    #[test]
    fn every_call_gets_what_the_rules_say() {
        let rules = Rules {
            stop: vec![41, 42, 0],
            stop_if: vec![(16, vec![0x5421, 0x541b]), (72, vec![4])],
            refuse: vec![(425, 38)],
        };
        let program = assemble(&rules).unwrap();
        let (native, trace, allow) = (NATIVE.unwrap(), 0x7ff0_0000, 0x7fff_0000);
        for number in [41, 42, 0] {
            assert_eq!(run(&program, native, number, 9), trace);
        }
        let cases = [
            (16, 0x5421, trace),
            (16, 0x541b, trace),
            (16, 0x5401, allow),
            (72, 4, trace),
            (72, 3, allow),
            (425, 0, 0x0005_0000 | 38),
            (1, 0x5421, allow),
            (0x4000_0000 | 41, 0, allow),
        ];
        for (number, second, expected) in cases {
            assert_eq!(run(&program, native, number, second), expected, "{number} {second}");
        }
        let i386 = 0x4000_0003;
        assert_eq!(run(&program, i386, 102, 0), trace | TAG_FOREIGN);
        assert_eq!(run(&program, i386, 41, 0), allow);
    }

    #[test]
    fn too_many_calls_are_refused_rather_than_cut() {
        let rules = Rules { stop: (0..300).collect(), stop_if: vec![], refuse: vec![] };
        assert!(assemble(&rules).is_err());
    }
}
