//! `stentor trace`: every socket call of a program and the packets it caused, on one ladder.
//!
//! Here words become a plan, and a record becomes a picture and files; programs are run and
//! watched by [`crate::drive::trace`], causes are found by `stentor_core::timeline`.

mod output;
mod plan;

use std::ffi::OsString;
use std::path::PathBuf;

use stentor_core::timeline::ladder::Only;
use stentor_core::timeline::record::Record;
use stentor_core::units::Amount;

use crate::complaint::{Complaint, Exit};
use crate::drive::trace;
use crate::report::console;
use output::Outputs;

/// The arguments of `trace`.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
    stentor trace -- python3 server.py --with 'python3 client.py'\n\n\
    Without --with before it, --with after COMMAND is ours, too. The programs' output passes \
    through; standard input goes to the first client.\n\n\
    Exit codes: the first program's own (of one that was ended after its clients, theirs); 2 \
    usage; 125 any other failure of trace itself; 126 and 127 as in timeout(1): a program that \
    cannot be executed, or was not found; 130 interrupted."
)]
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

#[derive(Debug, clap::Subcommand)]
enum Show {
    /// Draws a record that -o FILE.jsonl wrote
    Show {
        /// The record
        file: PathBuf,
        #[command(flatten)]
        view: ViewArgs,
    },
}

/// How to run.
#[derive(Debug, clap::Args)]
struct RunArgs {
    /// A further program, started when the first one listens (repeatable)
    #[arg(long, value_name = "COMMAND")]
    with: Vec<String>,
    /// Where the programs run [default: lab where the system allows it, else calls]
    #[arg(long, value_enum)]
    mode: Option<plan::Place>,
    /// What the private network's wire is like
    #[arg(long, value_enum, default_value_t = plan::Cable::Ethernet)]
    wire: plan::Cable,
    /// Between COMMAND and the programs of --with lies a worse link: delay=20ms,loss=1%
    ///
    /// They run in two networks, joined by a link that loses, delays, reorders, doubles and corrupts
    /// packets. The server has the addresses 10.0.0.1, fd00::1 and, for programs written for one
    /// machine, 127.0.0.1
    #[arg(long, value_name = "SPEC", conflicts_with = "wire")]
    link: Option<String>,
    /// The seed of the link's chance [default: from the clock, and printed]
    #[arg(long, value_name = "N", requires = "link")]
    seed: Option<u64>,
    /// The interface whose packets --mode host captures
    #[arg(long, value_name = "NAME", default_value = "lo")]
    interface: String,
    /// Run COMMAND, untraced, in the private network of the running trace PID
    #[arg(long, value_name = "PID", conflicts_with_all = ["mode", "with", "wire", "link"])]
    join: Option<u32>,
    /// Let programs use io_uring, whose operations cannot be seen
    #[arg(long)]
    io_uring: bool,
    /// Bytes kept of each payload
    #[arg(long, value_name = "N", default_value = "64")]
    snaplen: Amount,
}

/// What to show.
#[derive(Debug, clap::Args)]
struct ViewArgs {
    /// Only conversations of ADDRESS:PORT, of a port, or of a process (pid:N); repeatable
    #[arg(long, value_name = "WHAT", value_parser = plan::only)]
    only: Vec<Only>,
    /// Show sockets without an address on a network, too (AF_UNIX)
    #[arg(long)]
    local: bool,
    /// Only the calls
    #[arg(long, conflicts_with = "packets")]
    calls: bool,
    /// Only the packets
    #[arg(long)]
    packets: bool,
    /// Leave the bytes of payloads out
    #[arg(long)]
    no_payload: bool,
    /// At most N rows [default: 400 in the terminal's ladder]
    #[arg(long, value_name = "N")]
    max_events: Option<u64>,
    /// Write a file, its form by its name: .jsonl (the record), .pcapng (packets with their
    /// causes), .svg, .html, .mmd, .txt, .lua (columns for Wireshark); repeatable
    #[arg(short, long, value_name = "FILE")]
    output: Vec<PathBuf>,
    /// No ladder on standard output
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the verb.
///
/// # Errors
/// What the system refuses, what was not understood, and files that cannot be written.
pub fn run(args: Args) -> Result<Exit, Complaint> {
    match args.show {
        Some(Show::Show { file, view }) => show(&file, &view),
        None => live(&args.command, &args.run, &args.view).map_err(ours),
    }
}

/// A traced program's exit codes are passed on, so trace's own failures have codes of their own.
fn ours(complaint: Complaint) -> Complaint {
    let own = matches!(complaint.exit, Exit::Bad | Exit::Environment | Exit::Impossible);
    Complaint { exit: if own { Exit::Ours } else { complaint.exit }, ..complaint }
}

fn live(command: &[OsString], args: &RunArgs, view: &ViewArgs) -> Result<Exit, Complaint> {
    if let Some(pid) = args.join {
        return plan::join(pid, command);
    }
    let mut outputs = Outputs::open(&view.output)?;
    let (plan, notice) = plan::read(command, args)?;
    if let Some(notice) = notice {
        console::notice(format!("stentor: {notice}"));
    }
    let ran = trace::run(&plan, &mut outputs)?;
    let recorded = outputs.finish_record();
    for notice in &ran.notices {
        console::notice(format!("stentor: {notice}"));
    }
    // The last line that a program wrote may have no end.
    draw(&ran.record, view, outputs, "\n")?;
    recorded?;
    if ran.interrupted {
        return Ok(Exit::Interrupted);
    }
    Ok(Exit::Passed(ran.code))
}

fn show(file: &std::path::Path, view: &ViewArgs) -> Result<Exit, Complaint> {
    // Read before anything is opened for writing: that may be the same file.
    let record = output::read(file)?;
    let mut outputs = Outputs::open(&view.output)?;
    outputs.copy(&record)?;
    draw(&record, view, outputs, "")?;
    Ok(Exit::Good)
}

/// Writes the files, then the ladder with `lead` before it.
fn draw(record: &Record, view: &ViewArgs, outputs: Outputs, lead: &str) -> Result<(), Complaint> {
    let (drawn, written) = outputs.draw(record, &plan::filter(view));
    if !view.quiet {
        console::data(format!("{lead}{drawn}"))?;
    }
    written
}
