//! Stored video: how fast sessions are simulated, and how far simulator and sockets agree.
//!
//! A table of parts, one file each: `stentor-bench video [PART...]`.

mod agree;
mod sabre;

use std::path::{Path, PathBuf};

/// A part: its name, what it shows, and how it runs; `true` is the quick form.
type Part = (&'static str, &'static str, fn(bool) -> Result<String, String>);

const PARTS: &[Part] = &[
    ("sabre", "the reference's 48 runs: microseconds for a session", sabre::measure),
    ("agree", "decisions of the simulator and of sockets over the same traces", agree::measure),
];

/// Runs the parts that are named, or all.
pub(crate) fn measure(quick: bool, only: &[String]) -> Result<String, String> {
    if let Some(odd) = only.iter().find(|name| PARTS.iter().all(|(known, ..)| known != name)) {
        let known: Vec<String> =
            PARTS.iter().map(|(name, shows, _)| format!("  {name:<8} {shows}")).collect();
        return Err(format!("there is no part {odd}; there are\n{}", known.join("\n")));
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    let mut report = String::new();
    for (name, _, measure) in PARTS.iter().filter(|(name, ..)| wanted(name)) {
        report += &measure(quick).map_err(|error| format!("{name}: {error}"))?;
        report.push('\n');
    }
    Ok(report)
}

/// A file of the reference's films, networks and figures.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/stentor-core/tests/data/abr").join(name)
}

/// What is in it.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("read {}: {error}", path.display()))
}
