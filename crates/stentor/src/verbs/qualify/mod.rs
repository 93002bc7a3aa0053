//! `stentor qualify`: what a path is worth for the lecture's seven kinds of application.
//!
//! The words of the command line become a plan (`plan`), which `drive::qualify` carries out; the
//! verdicts are `stentor_core::qualify`'s, and what is printed and written is in `output`.

mod output;
mod plan;

use std::path::PathBuf;

use stentor_core::endpoint::Target;
use stentor_core::qualify::{Application, Override};
use stentor_core::units::{BitRate, Span};
use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;

use crate::complaint::{Complaint, Exit};
use crate::drive::qualify;
use crate::verbs::link::LinkArgs;
use output::Outputs;
use plan::Wish;

/// The arguments of `qualify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
At the other end runs a service that echoes or upper-cases, over UDP, TCP or both: stentor serve. \
Every answer is verified. Rates are raised step by step, never beyond --cap.\n\n\
Exit codes: 0 measured, and everything named by --for passes; 1 something of it fails, or answers \
are wrong, incomplete or missing; 2 usage; 3 cannot resolve or connect; 130 interrupted, after the \
report so far.")]
pub struct Args {
    /// Where to, over both transports: HOST:PORT; tcp:// or udp:// chooses one
    /// [default: 127.0.0.1:12000]
    target: Option<Target>,
    /// Measures TCP alone
    #[arg(short = 't', long, conflicts_with = "udp")]
    tcp: bool,
    /// Measures UDP alone
    #[arg(short = 'u', long)]
    udp: bool,
    /// Uses IPv4 addresses alone
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Uses IPv6 addresses alone
    #[arg(short = '6', long)]
    ipv6: bool,
    /// Port of the default host, 127.0.0.1 [default: 12000]
    #[arg(short, long, value_name = "PORT")]
    port: Option<u16>,
    /// Ends with 1 unless this passes (repeatable): file, mail, web, voip, video, game or chat
    #[arg(long = "for", value_name = "APP")]
    applications: Vec<Application>,
    /// Another limit than the table's (repeatable): voip:delay=100ms, loss=1%,
    /// video:throughput=2.5Mbit
    #[arg(long = "limit", value_name = "[APP:]QUANTITY=VALUE")]
    limits: Vec<Override>,
    /// About how long it all takes
    #[arg(short, long, value_name = "TIME", default_value = "10s")]
    duration: Span,
    /// Longest wait for a connection, and for an answer
    #[arg(short = 'w', long, value_name = "TIME", default_value = "2s")]
    timeout: Span,
    /// Highest rate that is sent by either transport [default: 100Mbit, on loopback 1Gbit]
    #[arg(long, value_name = "RATE")]
    cap: Option<BitRate>,
    #[command(flatten)]
    link: LinkArgs,
    /// Prints one JSON object (stentor.qualify/1) instead of the report
    #[arg(short = 'J', long)]
    json: bool,
    /// Writes the report to a file whose name says its form: .txt, .json, .html, .svg (repeatable)
    #[arg(short, long, value_name = "FILE.EXT")]
    output: Vec<PathBuf>,
    /// No progress and no notices
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the verb.
pub fn run(args: Args) -> Result<Exit, Complaint> {
    let outputs = Outputs::open(&args.output, args.json)?;
    let wish = match Wish::read(&args) {
        Ok(wish) => wish,
        Err(complaint) => return output::failed(outputs, None, complaint),
    };
    let config = wish.config.clone();
    let measured = Interrupts::install()
        .map_err(|error| Failure::new("sigaction", "SIGINT and SIGTERM", error).into())
        .and_then(|interrupts| {
            let ready = wish.resolve(&interrupts)?;
            let mut progress = output::Progress::new(args.quiet);
            let outcome = qualify::run(&ready.plan, &interrupts, &mut |doing, done| {
                progress.show(doing, done);
            });
            progress.end();
            Ok((ready.told(), outcome?))
        });
    match measured {
        Ok((told, outcome)) => output::finish(outputs, &args, &config.behind(told), &outcome),
        Err(complaint) => output::failed(outputs, Some(&config), complaint),
    }
}
