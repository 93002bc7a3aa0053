//! The command line: one definition, from which help, completions and man pages follow.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::complaint::{Complaint, Exit};
use crate::report::console;
#[cfg(target_os = "linux")]
use crate::verbs::trace;
use crate::verbs::{both, fetch, generate, impair, learn, load, peer, qualify, send, serve, video};

/// Which letters have capitals depends on the version of Unicode.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (Unicode 17.0.0)");

const EXIT_CODES: &str = "\
Exit codes, the same for every verb:
  0    done, and good
  1    done, but the verdict is bad: wrong, missing or incomplete answers, a failed check
  2    the arguments were not understood
  3    the network or the system refused: cannot resolve, connect, bind, open
  4    not possible here: a privilege or a limit is missing; the remedy is named
  130  ended by ^C, after the report so far (serve ends in order, with 0)";

/// Sockets made visible, testable and fast: lower case in, CAPITALS out, over TCP and UDP.
///
/// Alone it starts the service on the loopback addresses and a client on it: a prompt at a
/// terminal, a filter in a pipe (echo hello | stentor).
#[derive(Debug, Parser)]
#[command(
    name = "stentor",
    version = VERSION,
    after_help = EXIT_CODES,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// Traces both ends of each sentence, and draws every call and packet on one ladder
    #[cfg(target_os = "linux")]
    #[arg(long)]
    ladder: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Answers lower case with CAPITALS, over TCP and UDP
    Serve(serve::Args),
    /// Sends text to a server and shows the answer
    Send(send::Args),
    /// Resolves, connects and gets a URL, each phase timed
    Fetch(fetch::Args),
    /// Shows every socket call of a program and the packets it caused, on one ladder
    #[cfg(target_os = "linux")]
    Trace(trace::Args),
    /// Drives a service with requests at a rate, every reply checked and timed
    Load(Box<load::Args>),
    /// Makes the network between a client and a server worse, in ways that can be repeated
    Impair(Box<impair::Args>),
    /// Says what a path is worth for seven kinds of application, and by which transport
    Qualify(Box<qualify::Args>),
    /// Talks to an equal: each listens and dials, with no server between
    Peer(peer::Args),
    /// Serves, plays and checks stored video, and shows what its two buffers do
    Video(video::Args),
    /// Runs a lesson of the lecture for real and shows its evidence
    Learn(learn::Args),
    /// Writes completions, man pages and JSON Schemas
    #[command(hide = true)]
    Generate(generate::Args),
}

/// Parses, runs, and gives the exit code of the run.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(answer) => {
            // clap prints help to standard output and refusals to standard error by itself.
            let _ = answer.print();
            let refused = answer.use_stderr();
            return if refused { Exit::Usage.into() } else { Exit::Good.into() };
        }
    };
    match act(cli) {
        Ok(exit) => exit.into(),
        Err(complaint) => {
            if !complaint.what.is_empty() {
                console::notice(format!("stentor: {complaint}"));
            }
            complaint.exit.into()
        }
    }
}

fn act(cli: Cli) -> Result<Exit, Complaint> {
    match cli.verb {
        #[cfg(target_os = "linux")]
        None if cli.ladder => both::ladder::run(),
        None => both::run(),
        Some(Verb::Serve(args)) => serve::run(args),
        Some(Verb::Send(args)) => send::run(args),
        Some(Verb::Fetch(args)) => fetch::run(args),
        #[cfg(target_os = "linux")]
        Some(Verb::Trace(args)) => trace::run(args),
        Some(Verb::Load(args)) => load::run(*args),
        Some(Verb::Impair(args)) => impair::run(*args),
        Some(Verb::Qualify(args)) => qualify::run(*args),
        Some(Verb::Peer(args)) => peer::run(args),
        Some(Verb::Video(args)) => video::run(args),
        Some(Verb::Learn(args)) => learn::run(args),
        Some(Verb::Generate(args)) => generate::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_version_names_the_unicode_of_the_table() {
        let (major, minor, patch) = char::UNICODE_VERSION;
        assert!(VERSION.ends_with(&format!("(Unicode {major}.{minor}.{patch})")), "{VERSION}");
    }
}
