//! Starting a command so that it is traced from its first instruction: fork, wait to be seized,
//! install the filter, execute (fork(2), ptrace(2), seccomp(2), execve(2)).

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use super::filter;
use crate::namespace::Network;

/// What to run. What is not given is inherited.
#[derive(Debug, Default)]
pub struct Command {
    /// A path, or a name to look up in PATH (execvp(3)).
    pub program: OsString,
    /// Its arguments, without its own name.
    pub arguments: Vec<OsString>,
    /// The whole environment.
    pub environment: Option<Vec<(OsString, OsString)>>,
    /// Where it runs.
    pub directory: Option<PathBuf>,
    /// Standard input.
    pub stdin: Option<OwnedFd>,
    /// Standard output.
    pub stdout: Option<OwnedFd>,
    /// Standard error.
    pub stderr: Option<OwnedFd>,
    /// The network namespace it runs in.
    pub network: Option<Arc<Network>>,
}

/// A step on the way to a running command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartStep {
    /// A zero byte in an argument, or a socket pair that could not be made.
    Prepare,
    /// fork(2).
    Fork,
    /// PTRACE_SEIZE. EPERM: the system lets no process trace another (Yama, a container).
    Seize,
    /// setns(2) into its network namespace.
    Network,
    /// dup2(2) to the standard streams.
    Streams,
    /// chdir(2).
    Directory,
    /// prctl(PR_SET_SECCOMP).
    Filter,
    /// execve(2).
    Execute,
    /// The child ended before it executed anything, without a word.
    Lost,
}

impl StartStep {
    /// The step as a call.
    pub fn name(self) -> &'static str {
        match self {
            StartStep::Prepare => "prepare",
            StartStep::Fork => "fork",
            StartStep::Seize => "ptrace(PTRACE_SEIZE)",
            StartStep::Network => "setns(net)",
            StartStep::Streams => "dup2",
            StartStep::Directory => "chdir",
            StartStep::Filter => "prctl(PR_SET_SECCOMP)",
            StartStep::Execute => "execve",
            StartStep::Lost => "wait for execve",
        }
    }

    fn of(number: u8) -> StartStep {
        let steps = [
            StartStep::Streams,
            StartStep::Directory,
            StartStep::Filter,
            StartStep::Execute,
            StartStep::Network,
        ];
        let known = steps.into_iter().find(|step| step.number() == number);
        known.unwrap_or(StartStep::Lost)
    }

    fn number(self) -> u8 {
        match self {
            StartStep::Streams => 1,
            StartStep::Directory => 2,
            StartStep::Filter => 3,
            StartStep::Execute => 4,
            StartStep::Network => 5,
            StartStep::Prepare | StartStep::Fork | StartStep::Seize | StartStep::Lost => 0,
        }
    }
}

/// Why a command was not started.
#[derive(Debug)]
pub struct StartFailure {
    /// What was tried.
    pub step: StartStep,
    /// The program's name as given.
    pub program: OsString,
    /// What the kernel said.
    pub error: io::Error,
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = crate::failure::describe(&self.error);
        write!(f, "{} {}: {words}", self.step.name(), self.program.display())
    }
}

impl std::error::Error for StartFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// A child that waits for a word before it goes on.
pub(super) struct Waiting {
    pub(super) pid: i32,
    line: UnixStream,
}

/// Everything the child needs, made before fork(2): after it, it may not allocate.
struct Plan {
    candidates: Vec<CString>,
    /// Kept alive for `argv` and `envp`.
    _strings: Vec<CString>,
    argv: Vec<*const libc::c_char>,
    /// For a script without `#!`, run by the shell as execvp(3) does: the script goes second.
    shell: CString,
    shell_argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    directory: Option<CString>,
    network: Option<RawFd>,
    streams: [Option<RawFd>; 3],
    filter: Option<libc::sock_fprog>,
    mask: libc::sigset_t,
    line: RawFd,
}

fn text(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Where a program may be: itself, or in each directory of PATH.
fn candidates(program: &OsStr, path: Option<&OsStr>) -> io::Result<Vec<CString>> {
    if program.as_bytes().contains(&b'/') {
        return Ok(vec![text(program)?]);
    }
    let path = path.unwrap_or(OsStr::new("/usr/local/bin:/bin:/usr/bin"));
    let place = |folder: PathBuf| {
        // An empty entry means the directory where it runs.
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        text(folder.join(program).as_os_str())
    };
    std::env::split_paths(path).map(place).collect()
}

impl Plan {
    fn new(command: &Command, program: Option<&[libc::sock_filter]>) -> io::Result<Plan> {
        let inherited: Vec<(OsString, OsString)>;
        let environment = match &command.environment {
            Some(environment) => environment,
            None => {
                inherited = std::env::vars_os().collect();
                &inherited
            }
        };
        let path = environment.iter().rev().find(|(name, _)| name == "PATH");
        let candidates = candidates(&command.program, path.map(|(_, value)| value.as_os_str()))?;
        let mut strings = vec![text(&command.program)?];
        for argument in &command.arguments {
            strings.push(text(argument)?);
        }
        let argv: Vec<_> = strings.iter().map(|text| text.as_ptr()).collect();
        let mut variables = Vec::new();
        for (name, value) in environment {
            let mut pair = name.clone();
            pair.push("=");
            pair.push(value);
            variables.push(text(&pair)?);
        }
        let ended = |mut pointers: Vec<*const libc::c_char>| {
            pointers.push(std::ptr::null());
            pointers
        };
        let envp = ended(variables.iter().map(|text| text.as_ptr()).collect());
        let shell = text(OsStr::new("/bin/sh"))?;
        let mut shell_argv = vec![shell.as_ptr(), std::ptr::null()];
        shell_argv.extend(argv.iter().skip(1));
        strings.extend(variables);
        let stream = |stream: &Option<OwnedFd>| stream.as_ref().map(AsRawFd::as_raw_fd);
        Ok(Plan {
            candidates,
            _strings: strings,
            argv: ended(argv),
            shell,
            shell_argv: ended(shell_argv),
            envp,
            directory: command.directory.as_ref().map(|d| text(d.as_os_str())).transpose()?,
            network: command.network.as_ref().map(|network| network.as_raw_fd()),
            streams: [stream(&command.stdin), stream(&command.stdout), stream(&command.stderr)],
            filter: program.map(filter::installable).transpose()?,
            // SAFETY: a plain C struct, for which all zeros is a valid value.
            mask: unsafe { std::mem::zeroed() },
            line: -1,
        })
    }
}

/// Forks a child that waits until [`Waiting::go`].
pub(super) fn fork(
    command: &Command,
    program: Option<&[libc::sock_filter]>,
) -> Result<Waiting, (StartStep, io::Error)> {
    let prepared = || -> io::Result<_> { Ok((Plan::new(command, program)?, UnixStream::pair()?)) };
    let (mut plan, (ours, theirs)) = prepared().map_err(|error| (StartStep::Prepare, error))?;
    plan.line = theirs.as_raw_fd();
    // No handler of this process may run in the child, where it would write to shared pipes.
    let mut every = plan.mask;
    // SAFETY: both sets live for the calls.
    unsafe {
        libc::sigfillset(&raw mut every);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const every, &raw mut plan.mask);
    }
    // SAFETY: only this thread lives on in the child, which calls nothing but what
    // signal-safety(7) allows until it executes a program or ends.
    let pid = unsafe { libc::fork() };
    let error = io::Error::last_os_error();
    if pid == 0 {
        // SAFETY: this is the child of that fork.
        unsafe { child(&mut plan) };
    }
    // SAFETY: the set lives for the call.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const plan.mask, std::ptr::null_mut());
    }
    if pid < 0 { Err((StartStep::Fork, error)) } else { Ok(Waiting { pid, line: ours }) }
}

impl Waiting {
    /// Lets the child go on.
    pub(super) fn go(&self) -> io::Result<()> {
        (&self.line).write_all(&[0])
    }

    /// What a child said that ended without executing anything.
    pub(super) fn refusal(&self) -> (StartStep, io::Error) {
        let mut told = [0; 5];
        let [step, errno @ ..] = match (&self.line).read_exact(&mut told) {
            Ok(()) => told,
            Err(error) => return (StartStep::Lost, error),
        };
        (StartStep::of(step), io::Error::from_raw_os_error(i32::from_ne_bytes(errno)))
    }
}

/// The child's way to its program. Says on its line what failed, and ends with 127.
///
/// # Safety
/// To be called in a fresh child of fork(2), which it never leaves; `plan` must be complete.
unsafe fn child(plan: &mut Plan) -> ! {
    let mut word = 0_u8;
    // SAFETY: every pointer is of memory in `plan` or on this stack; every call is one of those
    // signal-safety(7) allows, or a bare system call.
    unsafe {
        while libc::read(plan.line, (&raw mut word).cast(), 1) < 0
            && *libc::__errno_location() == libc::EINTR
        {}
        let step = prepare_and_execute(plan);
        let errno = *libc::__errno_location();
        let [a, b, c, d] = errno.to_ne_bytes();
        let told = [step.number(), a, b, c, d];
        libc::write(plan.line, told.as_ptr().cast(), told.len());
        libc::_exit(127)
    }
}

/// Returns only if a step failed, with errno set.
///
/// # Safety
/// As [`child`].
unsafe fn prepare_and_execute(plan: &mut Plan) -> StartStep {
    // SAFETY: as in `child`.
    unsafe {
        if let Some(network) = plan.network
            && libc::setns(network, libc::CLONE_NEWNET) != 0
        {
            return StartStep::Network;
        }
        if !settle_streams(plan) {
            return StartStep::Streams;
        }
        if let Some(directory) = &plan.directory
            && libc::chdir(directory.as_ptr()) != 0
        {
            return StartStep::Directory;
        }
        settle_signals();
        if let Some(filter) = &plan.filter
            && let Err(error) = filter::install(filter)
        {
            *libc::__errno_location() = error.raw_os_error().unwrap_or(libc::EIO);
            return StartStep::Filter;
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const plan.mask, std::ptr::null_mut());
        execute(plan);
    }
    StartStep::Execute
}

/// The streams given, as 0, 1 and 2. A descriptor that is one of these three already is first
/// moved out of the way, so that none overwrites another.
///
/// # Safety
/// As [`child`].
unsafe fn settle_streams(plan: &mut Plan) -> bool {
    for descriptor in plan.streams.iter_mut().flatten() {
        if *descriptor <= 2 {
            // SAFETY: takes numbers only.
            *descriptor = unsafe { libc::fcntl(*descriptor, libc::F_DUPFD_CLOEXEC, 3) };
        }
    }
    for (number, descriptor) in (0..).zip(&plan.streams) {
        let Some(descriptor) = descriptor else { continue };
        // SAFETY: takes numbers only.
        if unsafe { libc::dup2(*descriptor, number) } < 0 {
            return false;
        }
    }
    true
}

/// Handlers do not survive execve(2) anyway; until then they must not run. SIGPIPE, which Rust
/// ignores, would stay ignored in the program.
///
/// # Safety
/// As [`child`].
unsafe fn settle_signals() {
    // SAFETY: an all-zero sigaction is valid and the pointers live for the calls; for numbers that
    // are no signals or may not be changed the calls fail and do nothing.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            let mut action: libc::sigaction = std::mem::zeroed();
            let known = libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0;
            if known && (action.sa_sigaction != libc::SIG_IGN || signal == libc::SIGPIPE) {
                action = std::mem::zeroed();
                libc::sigaction(signal, &raw const action, std::ptr::null_mut());
            }
        }
    }
}

/// Tries each candidate as execvp(3) does; returns if none could be executed, errno set.
///
/// # Safety
/// As [`child`].
unsafe fn execute(plan: &mut Plan) {
    let mut denied = false;
    // SAFETY: as in `child`; the vectors of pointers end with null, and what they point to lives
    // in `plan`.
    unsafe {
        for candidate in &plan.candidates {
            libc::execve(candidate.as_ptr(), plan.argv.as_ptr(), plan.envp.as_ptr());
            match *libc::__errno_location() {
                libc::ENOEXEC => {
                    if let Some(script) = plan.shell_argv.get_mut(1) {
                        *script = candidate.as_ptr();
                    }
                    let (shell, argv) = (plan.shell.as_ptr(), plan.shell_argv.as_ptr());
                    libc::execve(shell, argv, plan.envp.as_ptr());
                    return;
                }
                libc::EACCES => denied = true,
                libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
                _ => return,
            }
        }
        if denied {
            *libc::__errno_location() = libc::EACCES;
        } else if plan.candidates.is_empty() {
            *libc::__errno_location() = libc::ENOENT;
        }
    }
}
