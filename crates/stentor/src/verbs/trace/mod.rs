//! `stentor trace`: every socket call of a program and the packets it caused, on one ladder.
//!
//! Here words become a plan and a record becomes files and a picture; programs are run and watched
//! by [`crate::drive::trace`], causes are found by `stentor_core::timeline`.

mod output;
mod plan;

use std::ffi::OsString;

use stentor_core::timeline::ladder::Only;

use crate::complaint::{Complaint, Exit};

/// The arguments of `trace`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    show: Option<Show>,
    /// The program to trace, after --: the server first
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    view: ViewArgs,
}

/// A record, again.
#[derive(Debug, clap::Subcommand)]
enum Show {
    /// Draws a record that -o FILE.jsonl wrote
    Show {
        /// The record
        file: std::path::PathBuf,
        #[command(flatten)]
        view: ViewArgs,
    },
}

/// How to run.
#[derive(Debug, clap::Args)]
struct RunArgs {
    /// A further program, started when the one before listens (repeatable); also after COMMAND
    #[arg(long, value_name = "COMMAND")]
    with: Vec<String>,
    /// Where the programs run [default: lab where the system allows it, else calls]
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// What the private network's wire is like
    #[arg(long, value_enum, default_value_t = Wire::Ethernet)]
    wire: Wire,
    /// Run COMMAND in the private network of a running trace, untraced
    #[arg(long, value_name = "PID", conflicts_with_all = ["mode", "with"])]
    join: Option<u32>,
    /// Let programs use io_uring, whose operations cannot be seen
    #[arg(long)]
    io_uring: bool,
    /// Bytes kept of each payload
    #[arg(long, value_name = "N", default_value = "64")]
    snaplen: stentor_core::units::Amount,
}

/// What to show.
#[derive(Debug, clap::Args)]
struct ViewArgs {
    /// Only conversations of HOST:PORT, of a port, or of a process (pid:N); repeatable
    #[arg(long, value_name = "WHAT", value_parser = plan::only)]
    only: Vec<Only>,
    /// Only the calls
    #[arg(long, conflicts_with = "packets")]
    calls: bool,
    /// Only the packets
    #[arg(long)]
    packets: bool,
    /// Leave the bytes of payloads out
    #[arg(long)]
    no_payload: bool,
    /// At most N rows [default: 400 on the terminal]
    #[arg(long, value_name = "N")]
    max_events: Option<u64>,
    /// Write a file: .txt, .svg, .html, .mmd, .jsonl (the record), .pcapng (with causes), .lua
    /// (Wireshark's columns); repeatable
    #[arg(short, long, value_name = "FILE")]
    output: Vec<std::path::PathBuf>,
    /// No ladder on standard output
    #[arg(short, long)]
    quiet: bool,
}

/// Where the programs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// In a private network of their own
    Lab,
    /// In the real network; needs CAP_NET_RAW
    Host,
    /// In the real network, without packets
    Calls,
}

/// What packets look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Wire {
    /// As on Ethernet: MTU 1500, a large send becomes many segments
    Ethernet,
    /// As the loopback interface is: segments of up to 64 KiB
    Raw,
}
