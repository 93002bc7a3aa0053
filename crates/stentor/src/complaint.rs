//! How a run ends: the exit codes, and the words for what went wrong.
//!
//! What failed comes from `stentor-os` as a fact; the next step for the person is added here.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use stentor_os::failure::{Failure, errno_name};

/// How a run ended; the same for every verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, and good.
    Good,
    /// Done, but the verdict is bad: wrong or missing replies, a failed check.
    Bad,
    /// The arguments were not understood.
    Usage,
    /// The network or the environment refused: cannot resolve, connect, bind, open.
    Environment,
    /// Not possible on this system or without a privilege.
    Impossible,
    /// `trace`: any other failure of its own, so that a traced program's codes stay its own.
    Ours,
    /// `trace`: the program was found and could not be executed.
    NotExecutable,
    /// `trace`: the program was not found.
    NotFound,
    /// Ended by the person (128 + SIGINT).
    Interrupted,
    /// `trace`: what the traced program ended with.
    Passed(u8),
}

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Good => 0,
            Exit::Bad => 1,
            Exit::Usage => 2,
            Exit::Environment => 3,
            Exit::Impossible => 4,
            Exit::Ours => 125,
            Exit::NotExecutable => 126,
            Exit::NotFound => 127,
            Exit::Interrupted => 130,
            Exit::Passed(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Why a verb could not do what was asked: what, where, and the next step.
#[derive(Debug)]
pub struct Complaint {
    /// The exit code it leads to.
    pub exit: Exit,
    /// What was tried, on which address, and what the system said. Empty: end without a word.
    pub what: String,
    /// What to do next; may be empty.
    pub next: String,
}

impl Complaint {
    /// A complaint with its next step.
    pub fn new(exit: Exit, what: impl Into<String>, next: impl Into<String>) -> Complaint {
        Complaint { exit, what: what.into(), next: next.into() }
    }

    /// Arguments that do not fit together.
    pub fn usage(what: impl Into<String>, next: impl Into<String>) -> Complaint {
        Complaint::new(Exit::Usage, what, next)
    }

    /// A program that was not executed, as `what` says, with timeout(1)'s codes: 126 found and not
    /// executable, 127 not found.
    ///
    /// execvp(3) says EACCES also of a folder in PATH that it may not search. That is no program
    /// found, whatever timeout(1) makes of it: 127 here, as of bash(1).
    pub fn not_executed(program: &OsStr, what: String, error: &io::Error) -> Complaint {
        let kind = error.kind();
        let (exit, next) = if kind == io::ErrorKind::NotFound {
            (Exit::NotFound, missing(program))
        } else if is_named(program) && !is_in_path(program) {
            let next = "There is no such program in what may be searched of PATH: check the name, \
                        or give its path.";
            (Exit::NotFound, next)
        } else if kind == io::ErrorKind::PermissionDenied {
            let next = "It is not executable: chmod +x, or start it by its interpreter.";
            (Exit::NotExecutable, next)
        } else {
            (Exit::NotExecutable, "")
        };
        Complaint::new(exit, what, next)
    }

    /// The reader of our standard output has gone: a pipe to `head` ends quietly.
    pub fn reader_gone() -> Complaint {
        Complaint::new(Exit::Good, "", "")
    }
}

impl std::error::Error for Complaint {}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.next.as_str() {
            "" => f.write_str(&self.what),
            next => write!(f, "{}. {next}", self.what),
        }
    }
}

/// The kernel's refusal with the next step for its operation and errno.
impl From<Failure> for Complaint {
    fn from(failure: Failure) -> Complaint {
        let errno = errno_name(&failure.error).unwrap_or_default();
        let next = next_step(failure.operation, &errno, &failure.address);
        let exit = match errno.as_str() {
            "EACCES" | "EPERM" => Exit::Impossible,
            _ => Exit::Environment,
        };
        Complaint::new(exit, failure.to_string(), next)
    }
}

/// Whether a program is looked up in PATH.
fn is_named(program: &OsStr) -> bool {
    !program.as_encoded_bytes().contains(&b'/')
}

/// Whether PATH has a file of this name, executable or not.
fn is_in_path(program: &OsStr) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// What is missing if execve(2) says that something is.
fn missing(program: &OsStr) -> &'static str {
    if is_named(program) {
        "There is no such program in PATH: check the name, or give its path."
    } else if Path::new(program).exists() {
        "The file is there, but not the interpreter that its first line (#!) or its ELF header \
         names."
    } else {
        "There is no such file: check the path."
    }
}

/// What a person can do about `errno` from `operation`; empty if only the words help.
fn next_step(operation: &str, errno: &str, address: &str) -> String {
    let port = address.rsplit(':').next().unwrap_or_default();
    match (operation, errno) {
        ("bind" | "listen", "EADDRINUSE") if address.starts_with("unix ") => {
            "Something is there already: another server (ss -lxp lists them), or a file that is \
             no socket; choose another path."
                .to_owned()
        }
        ("bind" | "listen", "EADDRINUSE") => format!(
            "Another program listens there: ss -ltnup 'sport = :{port}'; or choose -p PORT."
        ),
        ("bind", "EACCES") if port.parse().is_ok_and(|port: u16| port < 1024) => format!(
            "Ports below 1024 need a privilege: choose -p 12000, or allow it with \
             sysctl net.ipv4.ip_unprivileged_port_start={port}."
        ),
        ("bind", "EADDRNOTAVAIL") => {
            "No interface of this machine has that address: ip address lists them.".to_owned()
        }
        ("connect", "ECONNREFUSED") if address.starts_with("unix ") => {
            "The path is there, but nobody listens on it: start the server first (ss -lx lists \
             those that run)."
                .to_owned()
        }
        ("connect", "ECONNREFUSED") => format!(
            "The machine answers, but nothing listens on port {port}: start the server first \
             (stentor serve), or check the port."
        ),
        ("connect", "EHOSTUNREACH" | "ENETUNREACH") => {
            "No route leads there: check the address, and ip route.".to_owned()
        }
        ("connect", "ETIMEDOUT") => {
            "Nobody answered: a firewall may drop it, or the machine is off.".to_owned()
        }
        (_, "EMFILE") => "Out of descriptors: raise the limit with ulimit -n.".to_owned(),
        _ => String::new(),
    }
}

/// Standard output failed: gone quietly, or for a reason worth a word.
impl From<io::Error> for Complaint {
    fn from(error: io::Error) -> Complaint {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Complaint::reader_gone();
        }
        Complaint::from(Failure::new("write", "standard output", error))
    }
}
