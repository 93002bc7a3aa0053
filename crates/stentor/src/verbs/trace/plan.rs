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
use crate::verbs::{programs, seed};

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
    let (first, with) = programs::read(command, &args.with)?;
    if first.is_empty() {
        let next =
            "Give it after --: stentor trace -- python3 server.py --with 'python3 client.py'.";
        return Err(Complaint::usage("no program to trace", next));
    }
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
    let failure = stentor_os::failure::Failure::new("execve", program.display(), error);
    Err(Complaint::not_executed(program, failure.to_string(), &failure.error))
}

#[cfg(test)]
mod tests {
    use super::*;

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
