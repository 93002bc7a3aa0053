//! The measurements: what each figure in the documents was made with.

use std::process::ExitCode;

mod casing;
mod trace;

/// One measurement: its name, what it shows, and how it runs.
type Measurement = (&'static str, &'static str, fn() -> Result<String, String>);

const MEASUREMENTS: &[Measurement] = &[
    ("casing", "upper-casing alone, against the standard library and memcpy", casing::measure),
    ("trace", "a million packets from the record to the ladder", trace::measure),
];

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is where results are printed")]
fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some((_, _, measure)) = MEASUREMENTS.iter().find(|(known, ..)| *known == name) else {
        eprintln!("usage: cargo run --release -p stentor-bench -- MEASUREMENT\n");
        for (name, shows, _) in MEASUREMENTS {
            eprintln!("  {name:<10} {shows}");
        }
        return ExitCode::from(2);
    };
    match measure() {
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
