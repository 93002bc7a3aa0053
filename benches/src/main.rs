//! The measurements: what each figure in the documents was made with.
//!
//! A table of them, one file each; what they share is in `program` (the programs measured),
//! `watch` (what /proc tells of them), `client`, `closed_loop` and `figures`.

use std::process::ExitCode;
use std::time::Duration;

mod bulk;
mod casing;
mod client;
mod clients;
mod closed_loop;
mod drain;
mod exhausted;
mod figures;
mod forged;
mod idle;
mod naive;
mod program;
mod qualify;
mod stalled;
mod trace;
mod watch;

/// One measurement: its name, what it shows, and how it runs; `true` is the quick form.
type Measurement = (&'static str, &'static str, fn(bool) -> Result<String, String>);

const MEASUREMENTS: &[Measurement] = &[
    ("casing", "upper-casing alone, against the standard library and memcpy", casing::measure),
    ("bulk", "1 GiB of text through send and serve, against socat's echo", bulk::measure),
    ("idle", "memory of 10,000 connections that said something once", idle::measure),
    ("clients", "1,000 clients at once, every byte checked", clients::measure),
    ("stalled", "1,000 clients that write for ever and never read", stalled::measure),
    ("exhausted", "more clients than places or descriptors", exhausted::measure),
    ("drain", "SIGTERM under load", drain::measure),
    ("loop", "a forged datagram between two services", forged::measure),
    ("qualify", "what qualify says of links set to known figures", qualify::measure),
    ("trace", "a million packets from the record to the ladder", trace::measure),
];

/// The longest that any measurement may take.
const LIMIT: Duration = Duration::from_secs(900);
const LIMIT_QUICK: Duration = Duration::from_secs(120);

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is where results are printed")]
fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    arguments.retain(|argument| argument != "--quick");
    let known = |name: &String| MEASUREMENTS.iter().find(|(known, ..)| known == name);
    let (Some((name, _, measure)), 1) = (arguments.first().and_then(known), arguments.len()) else {
        eprintln!("usage: cargo run --release -p stentor-bench -- MEASUREMENT [--quick]\n");
        for (name, shows, _) in MEASUREMENTS {
            eprintln!("  {name:<10} {shows}");
        }
        return ExitCode::from(2);
    };
    let limit = if quick { LIMIT_QUICK } else { LIMIT };
    let measured = program::watch_over(limit).and_then(|()| measure(quick));
    match measured {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(complaint) => {
            eprintln!("{name}: {complaint}");
            ExitCode::FAILURE
        }
    }
}

/// Says on standard error what a reader of the table should know besides.
#[expect(clippy::print_stderr, reason = "the one place for notices")]
fn notice(line: &str) {
    eprintln!("{line}");
}
