//! From the words of the command line to what is run and what is shown.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use stentor_core::link::Spec;
use stentor_core::timeline::ladder::{Filter, Only};
use stentor_core::timeline::record::{Mode, Pid, Wire};

use super::{RunArgs, ViewArgs};
use crate::complaint::{Complaint, Exit};
use crate::drive::lab;
use crate::drive::trace::{self, Link, Plan};
use crate::verbs::seed;

/// Where the programs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Place {
    /// In a private network of their own
    Lab,
    /// In the real network; needs CAP_NET_RAW
    Host,
    /// In the real network, without packets
    Calls,
}

/// What packets look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Cable {
    /// As on Ethernet: MTU 1500, a large send becomes many segments
    Ethernet,
    /// As the loopback interface is: segments of up to 64 KiB
    Raw,
}

/// Rows of the terminal's ladder, unless asked otherwise.
const ROWS: u64 = 400;

/// The plan, and what to say about the mode it settled for.
pub(super) fn read(
    command: &[OsString],
    args: &RunArgs,
) -> Result<(Plan, Option<String>), Complaint> {
    let (first, mut with) = match args.with.is_empty() {
        true => divide(command)?,
        false => (command.to_vec(), args.with.clone()),
    };
    if first.is_empty() {
        let next =
            "Give it after --: stentor trace -- python3 server.py --with 'python3 client.py'.";
        return Err(Complaint::usage("no program to trace", next));
    }
    let with = with.drain(..).map(|line| words(&line)).collect::<Result<Vec<_>, _>>()?;
    let asked = args.mode.map(|mode| match mode {
        Place::Lab => Mode::Lab,
        Place::Host => Mode::Host,
        Place::Calls => Mode::Calls,
    });
    let link = args.link.as_deref().map(|words| link(words, args.seed)).transpose()?;
    if let (Some(link), Some(Mode::Host | Mode::Calls)) = (&link, asked) {
        let what = format!("--link {}: the real network cannot be made worse", link.words);
        return Err(Complaint::usage(what, "Leave --mode out: a link has networks of its own."));
    }
    let (mode, notice) = trace::settle(asked, link.is_some())?;
    let notice = notice.or(link.as_ref().map(|link| format!("link {link}: {}", lab::TIER)));
    let plan = Plan {
        first,
        with,
        mode,
        wire: match args.wire {
            Cable::Ethernet => Wire::Ethernet,
            Cable::Raw => Wire::Raw,
        },
        link,
        interface: args.interface.clone(),
        payload_bytes: u32::try_from(args.snaplen.0).unwrap_or(u32::MAX),
        io_uring: args.io_uring,
    };
    Ok((plan, notice))
}

/// The link that these words mean, and its chance.
fn link(words: &str, seed: Option<u64>) -> Result<Link, Complaint> {
    let spec: Spec = words
        .parse()
        .map_err(|error| Complaint::usage(format!("--link: {error}"), "See docs/impair.md."))?;
    let seed = seed::given_or_fresh(seed);
    Ok(Link { words: words.to_owned(), settings: lab::Settings::of(&spec, seed)? })
}

/// `SERVER ARGS --with CLIENT --with CLIENT`: the command, and the clients.
fn divide(command: &[OsString]) -> Result<(Vec<OsString>, Vec<String>), Complaint> {
    let at = command.iter().position(|word| word == "--with").unwrap_or(command.len());
    let (first, rest) = command.split_at(at);
    let mut with = Vec::new();
    for pair in rest.chunks(2) {
        match pair {
            [flag, line] if flag == "--with" => {
                with.push(line.to_string_lossy().into_owned());
            }
            _ => {
                let stray = pair.last().map(|word| word.to_string_lossy().into_owned());
                let what = format!("after --with 'COMMAND': {}", stray.unwrap_or_default());
                let next = "Each --with takes one COMMAND, in quotes; a program with a --with of \
                            its own needs ours before the --.";
                return Err(Complaint::usage(what, next));
            }
        }
    }
    Ok((first.to_vec(), with))
}

/// A command in one argument, cut into words as a shell would.
fn words(line: &str) -> Result<Vec<OsString>, Complaint> {
    let words = shlex::split(line).filter(|words| !words.is_empty());
    let words = words.ok_or_else(|| {
        let next = "Its quotes must be closed: --with 'python3 client.py'.";
        Complaint::usage(format!("--with {line:?} is not a command"), next)
    })?;
    Ok(words.into_iter().map(OsString::from).collect())
}

/// `127.0.0.1:80`, `[::1]:80`, `80`, `pid:123`.
pub(super) fn only(written: &str) -> Result<Only, String> {
    if let Some(pid) = written.strip_prefix("pid:") {
        let pid = pid.parse().map_err(|_| format!("{pid:?} is not a process number"))?;
        return Ok(Only::Process(Pid(pid)));
    }
    let port = written.parse().map(Only::Port);
    let address = || written.parse().map(Only::Address);
    port.or_else(|_| address()).map_err(|_| {
        format!("{written:?} is not ADDRESS:PORT, such as 127.0.0.1:80, a port, or pid:N")
    })
}

/// What the ladder shows.
pub(super) fn filter(view: &ViewArgs) -> Filter {
    Filter {
        only: view.only.clone(),
        local: view.local,
        rows_max: Some(view.max_events.unwrap_or(ROWS)),
        without_packets: view.calls,
        without_calls: view.packets,
        without_payload: view.no_payload,
    }
}

/// Becomes `command` in the private network of a running trace.
pub(super) fn join(pid: u32, command: &[OsString]) -> Result<Exit, Complaint> {
    let Some((program, arguments)) = command.split_first() else {
        let next = "stentor trace --join PID -- COMMAND runs it in that trace's network.";
        return Err(Complaint::usage("no program to run there", next));
    };
    stentor_os::namespace::join(pid).map_err(|refusal| {
        let next = "PID is that of a running stentor trace (not of a program it runs), of the \
                    same user.";
        Complaint::new(Exit::Impossible, format!("join {pid}: {refusal}"), next)
    })?;
    // Only returns if it failed.
    let error = Command::new(program).args(arguments).exec();
    let found = error.kind() != std::io::ErrorKind::NotFound;
    let exit = if found { Exit::NotExecutable } else { Exit::NotFound };
    let what = stentor_os::failure::Failure::new("execve", program.display(), error).to_string();
    Err(Complaint::new(exit, what, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_may_stand_behind_the_server() {
        let check = |line: &str, expected: &str| {
            let command: Vec<OsString> =
                shlex::split(line).unwrap().into_iter().map(Into::into).collect();
            let read = match divide(&command) {
                Ok((first, with)) => format!("{first:?} {with:?}"),
                Err(complaint) => complaint.what,
            };
            assert_eq!(read, expected, "{line}");
        };
        check("s -p 80", r#"["s", "-p", "80"] []"#);
        check("s --with 'c d' --with e", r#"["s"] ["c d", "e"]"#);
        check("s --with", "after --with 'COMMAND': --with");
        check("s --with c d", "after --with 'COMMAND': d");
    }

    #[test]
    fn what_to_show() {
        assert_eq!(only("80"), Ok(Only::Port(80)));
        assert_eq!(only("pid:7"), Ok(Only::Process(Pid(7))));
        assert_eq!(only("[::1]:80"), Ok(Only::Address("[::1]:80".parse().unwrap())));
        for wrong in ["", "99999", "localhost:80", "pid:", "pid:x", "-1"] {
            assert!(only(wrong).is_err(), "{wrong}");
        }
    }
}
