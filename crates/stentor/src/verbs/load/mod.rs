//! `stentor load`: requests at a rate, every reply checked, and figures that can be believed.
//!
//! The words of the command line become a plan (`plan`), which `drive::load` carries out; what is
//! printed and written is in `output`.

mod output;
mod plan;

use std::path::PathBuf;

use stentor_core::endpoint::Target;
use stentor_core::units::{Amount, Span};
use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;

use crate::complaint::{Complaint, Exit};
use crate::drive::load;
use crate::drive::load::outcome::{Config, Outcome};
use crate::report::load::Head;
use crate::verbs::link::Words;
use output::Progress;
use plan::Wish;

/// What says whom to send what, which has no meaning beside `--merge`.
const SENDING: [&str; 24] = [
    "target",
    "udp",
    "ipv4",
    "ipv6",
    "port",
    "connections",
    "rate",
    "duration",
    "count",
    "length",
    "threads",
    "framing",
    "depth",
    "reconnect",
    "greeting",
    "ramp",
    "poisson",
    "warmup",
    "payload",
    "template",
    "verify",
    "timeout",
    "link",
    "seed",
];

/// The arguments of `load`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
At a rate (the default) requests are due at fixed moments, and latency runs from the moment a \
request was due: a server that stalls is not hidden. With -r max each connection asks again when it \
is answered, which measures the most a server can do, and hides how long others would have waited.\n\n\
Exit codes: 0 every reply came, in time and right; 1 wrong, late, lost or missing replies, or a \
condition of --fail-if holds; 2 usage; 3 cannot resolve or connect; 4 more descriptors than there may \
be; 130 interrupted, after the report so far.")]
pub struct Args {
    /// Where to: tcp://HOST:PORT, udp://HOST:PORT, unix:PATH or HOST:PORT
    /// [default: 127.0.0.1:12000]
    target: Option<Target>,
    /// Sends datagrams over UDP
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
    /// Connections open at once (over UDP: sockets, each with a port of its own)
    #[arg(short, long, value_name = "N", default_value = "10")]
    connections: Amount,
    /// Requests per second, all connections together; max: each connection asks again when it is
    /// answered
    #[arg(short, long, value_name = "RATE", default_value = "1000")]
    rate: plan::Rate,
    /// For how long requests are due [default: 10s; with -n until all are sent]
    #[arg(short, long, value_name = "TIME")]
    duration: Option<Span>,
    /// How many requests are due, all connections together
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<Amount>,
    /// Bytes of a generated request, its line end or length field included
    #[arg(short, long, value_name = "BYTES", default_value = "32")]
    length: Amount,
    /// Threads [default: one for each core, at most one for each connection]
    #[arg(long, value_name = "N")]
    threads: Option<Amount>,
    /// How replies are told apart: line, length16, length32, datagram or regex:EXPRESSION
    /// [default: line; over UDP datagram]
    #[arg(long, value_name = "FRAMING")]
    framing: Option<String>,
    /// Requests of one connection under way at once [default: 1; over UDP at a rate 64]
    #[arg(long, value_name = "N")]
    depth: Option<Amount>,
    /// Closes a connection after N requests, and opens another
    #[arg(long, value_name = "N")]
    reconnect: Option<Amount>,
    /// Awaits what the service says first on each connection (as SMTP does) before it is asked, and
    /// does not judge it
    #[arg(long)]
    greeting: bool,
    /// Lets the rate rise from zero to the full one during this time
    #[arg(long, value_name = "TIME")]
    ramp: Option<Span>,
    /// Leaves the gaps between requests to chance, as of independent users; the rate is their mean
    #[arg(long)]
    poisson: bool,
    /// What is due in this time after the beginning is sent and is in no figure
    #[arg(long, value_name = "TIME")]
    warmup: Option<Span>,
    /// Sends what is in this file, without a line feed at its end, as each request
    #[arg(long, value_name = "FILE", conflicts_with = "template")]
    payload: Option<PathBuf>,
    /// Makes each request of this text: {seq} is its number, {seq:N} the same with at least N
    /// digits, {random:N} are N letters, {time} is the time in nanoseconds; {{ and }} are braces
    #[arg(long, value_name = "TEXT")]
    template: Option<String>,
    /// What a right reply is: upper (the request in capitals), echo, regex:EXPRESSION, off
    #[arg(long, value_name = "CHECK", default_value = "upper")]
    verify: String,
    /// Longest wait for a reply (later it is late, never it is lost), and for a connection
    #[arg(short = 'w', long, value_name = "TIME", default_value = "5s")]
    timeout: Span,
    /// Makes the run bad (exit 1) if this holds: p99>5ms, mean>1ms, loss>0.1%, rate<900 (repeatable)
    #[arg(long, value_name = "CONDITION")]
    fail_if: Vec<String>,
    /// Puts a worse network before the target, by the words of impair: delay=20ms,loss=1%
    #[arg(long, value_name = "SPEC")]
    link: Option<Words>,
    /// From which all chance follows, the link's too [default: a new one, printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Length of the lines of the course [default: 1s, longer for runs beyond 5 minutes]
    #[arg(long, value_name = "TIME")]
    interval: Option<Span>,
    /// Prints one JSON object (stentor.load/1) instead of the report
    #[arg(short = 'J', long)]
    json: bool,
    /// Writes the report to a file whose name says its form: .txt, .json, .csv, .html, .svg, .hdr
    /// (repeatable)
    #[arg(short, long, value_name = "FILE.EXT")]
    output: Vec<PathBuf>,
    /// Writes the report as a page, as -o FILE.html does, whatever the file is called
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes the latencies in the log format of HdrHistogram
    #[arg(long, value_name = "FILE")]
    hdr: Option<PathBuf>,
    /// Adds up the logs (--hdr) of other runs, and sends nothing
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = SENDING)]
    merge: Vec<PathBuf>,
    /// No progress and no notices
    #[arg(short, long)]
    quiet: bool,
    /// A line for each interval, also where standard error is no terminal
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,
}

/// Runs the verb.
pub fn run(args: Args) -> Result<Exit, Complaint> {
    let outputs = output::open(&args)?;
    if !args.merge.is_empty() {
        return output::merged(&args, outputs);
    }
    let wish = match args.wish() {
        Ok(wish) => wish,
        Err(complaint) => return output::failed(outputs, None, complaint),
    };
    let asked = wish.config().clone();
    let mut progress = Progress::new(&args);
    progress.begin(&asked);
    let ran = drive(wish, &mut progress);
    progress.end();
    match ran {
        Ok((config, outcome)) => {
            output::finish(outputs, &Head::of(&config), Some(&config), &outcome)
        }
        Err(complaint) => output::failed(outputs, Some(&asked), complaint),
    }
}

fn drive(wish: Wish, progress: &mut Progress) -> Result<(Config, Outcome), Complaint> {
    let fail = |error| Failure::new("sigaction", "SIGINT and SIGTERM", error);
    let interrupts = Interrupts::install().map_err(fail)?;
    let (plan, link) = wish.resolve(&interrupts)?;
    let ran = load::run(&plan, &interrupts, &mut |news| progress.tell(news));
    let Some((link, beside)) = link else { return Ok((plan.config, ran?)) };
    let mut outcome = ran.map_err(|complaint| link.explain(&beside, complaint))?;
    outcome.warnings.push(link.told(&beside));
    Ok((plan.config, outcome))
}
