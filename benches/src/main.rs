//! The measurements: what each figure in the documents was made with.
//!
//! A table of them, one file each; what they share is in `program` (the programs measured),
//! `watch` (what /proc tells of them), `client`, `closed_loop` and `figures`. `all` compares with
//! peers, in a folder of its own.

use std::process::ExitCode;
use std::time::Duration;

mod all;
mod bulk;
mod calibration;
mod casing;
mod client;
mod clients;
mod closed_loop;
mod drain;
mod exhausted;
mod figures;
mod forged;
mod idle;
mod impair;
#[cfg(target_os = "linux")]
mod lab;
mod link;
mod naive;
mod program;
mod qualify;
mod stalled;
mod trace;
mod video;
mod watch;

/// One measurement: its name, what it shows, and how it runs; `true` is the quick form.
type Measurement = (&'static str, &'static str, fn(bool) -> Result<String, String>);

const MEASUREMENTS: &[Measurement] = &[
    ("casing", "upper-casing alone, against the standard library and memcpy", casing::measure),
    ("bulk", "1 GiB of text through send and serve, against socat's echo", bulk::measure),
    ("idle", "memory of 10,000 connections that said something once", idle::measure),
    ("clients", "1,000 clients at once, every byte checked", clients::measure),
    (
        "calibration",
        "what load says of a server that stalls, beside arithmetic",
        calibration::measure,
    ),
    ("stalled", "1,000 clients that write for ever and never read", stalled::measure),
    ("exhausted", "more clients than places or descriptors", exhausted::measure),
    ("drain", "SIGTERM under load", drain::measure),
    ("loop", "a forged datagram between two services", forged::measure),
    (
        "impair",
        "proxies: added round trip, memory, and delay, rate and loss as asked",
        impair::measure,
    ),
    ("link", "the link engine alone, in virtual time", link::measure),
    #[cfg(target_os = "linux")]
    ("lab", "the lab link against the kernel's TCP: retransmissions, round trips", lab::measure),
    ("qualify", "what qualify says of links set to known figures", qualify::measure),
    ("trace", "a million packets from the record to the ladder", trace::measure),
];

/// The longest that any measurement may take, and that all of them may, compiling peers included.
const LIMIT: Duration = Duration::from_secs(900);
const LIMIT_QUICK: Duration = Duration::from_secs(120);
const LIMIT_ALL: Duration = Duration::from_secs(1800);
const LIMIT_ALL_QUICK: Duration = Duration::from_secs(480);

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is where results are printed")]
fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut flag = |name: &str| {
        let before = arguments.len();
        arguments.retain(|argument| argument != name);
        arguments.len() < before
    };
    let (quick, write) = (flag("--quick"), flag("--write"));
    let known = |name: &String| MEASUREMENTS.iter().find(|(known, ..)| known == name);
    let limit = |long, short| program::watch_over(if quick { short } else { long });
    let measured = match arguments.split_first() {
        Some((name, only)) if name == "all" => {
            let options = all::Options { quick, write, only: only.to_vec() };
            limit(LIMIT_ALL, LIMIT_ALL_QUICK).and_then(|()| all::measure(&options))
        }
        Some((name, only)) if name == "video" && !write => {
            let measure = |()| video::measure(quick, only);
            limit(LIMIT, LIMIT_QUICK).and_then(measure)
        }
        Some((name, [])) if !write && known(name).is_some() => {
            let measure = known(name).map(|(.., measure)| measure);
            let measure = |()| measure.map_or(Ok(String::new()), |measure| measure(quick));
            limit(LIMIT, LIMIT_QUICK).and_then(measure)
        }
        _ => {
            eprintln!("usage: cargo run --release -p stentor-bench -- MEASUREMENT [--quick]");
            eprintln!(
                "       cargo run --release -p stentor-bench -- all [--quick] [--write] [CLASS...]\n"
            );
            eprintln!("  all        every workload beside its peers; --write renews the documents");
            eprintln!("  video      stored video: parts that can be named");
            for (name, shows, _) in MEASUREMENTS {
                eprintln!("  {name:<10} {shows}");
            }
            return ExitCode::from(2);
        }
    };
    match measured {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(complaint) => {
            eprintln!("{}: {complaint}", arguments.join(" "));
            ExitCode::FAILURE
        }
    }
}

/// Says on standard error what a reader of the table should know besides.
#[expect(clippy::print_stderr, reason = "the one place for notices")]
fn notice(line: &str) {
    eprintln!("{line}");
}
