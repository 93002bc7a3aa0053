//! The command line: one definition, from which help, completions and man pages follow.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::complaint::{Complaint, Exit};
use crate::report::console;
use crate::verbs::{fetch, learn, send, serve};

/// Sockets made visible, testable and fast: lower case in, CAPITALS out, over TCP and UDP.
#[derive(Debug, Parser)]
#[command(name = "stentor", version)]
pub struct Cli {
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
    /// Runs a lesson of the lecture for real and shows its evidence
    Learn(learn::Args),
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
        None => Ok(Exit::Good),
        Some(Verb::Serve(args)) => serve::run(args),
        Some(Verb::Send(args)) => send::run(args),
        Some(Verb::Fetch(args)) => fetch::run(args),
        Some(Verb::Learn(args)) => learn::run(args),
    }
}
