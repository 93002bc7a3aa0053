//! The lecture's drawing as text: both buffers of a session, a line for each of some moments.

use crate::drive::video::outcome::{Outcome, Sample};

/// How many moments are drawn.
const LINES: u64 = 10;
/// How many characters a full buffer takes.
const WIDTH: u64 = 8;

/// The lines of the drawing.
pub(super) fn lines(outcome: &Outcome) -> Vec<String> {
    let Some(seen) = outcome.account.progressive else { return Vec::new() };
    let most = |of: fn(&Sample) -> Option<u64>| {
        outcome.samples.iter().filter_map(of).max().unwrap_or(0).max(1)
    };
    let (socket, server) = (most(|s| s.socket_bytes), most(|s| s.server_bytes));
    let head = format!(
        "{:>6}  {:<18}  {:<18}  {:<8}  server's socket",
        "", "application: B", "player's socket", "window"
    );
    let line = |sample: &Sample| {
        format!(
            "{:>4.1} s  {}  {}  {}",
            sample.at.as_nanos() as f64 / 1e9,
            bar(sample.buffered_bytes, seen.capacity_bytes),
            bar(sample.socket_bytes.unwrap_or(0), socket),
            window(sample, server),
        )
    };
    let end = outcome.end.as_nanos();
    let at = |number: u64| end / LINES * number;
    let drawn = (0..=LINES).filter_map(|number| {
        outcome.samples.iter().find(|sample| sample.at.as_nanos() >= at(number))
    });
    std::iter::once(head).chain(drawn.map(line)).collect()
}

/// `[####----]  187 kB`.
fn bar(bytes: u64, full: u64) -> String {
    let filled = (bytes.saturating_mul(WIDTH) / full.max(1)).min(WIDTH);
    let filled = usize::try_from(filled).unwrap_or(0);
    let empty = usize::try_from(WIDTH).unwrap_or(0).saturating_sub(filled);
    format!("[{}{}] {:>4} kB", "#".repeat(filled), "-".repeat(empty), (bytes + 500) / 1000)
}

fn window(sample: &Sample, server: u64) -> String {
    let window = match sample.window_bytes {
        Some(0) => "closed".to_owned(),
        Some(bytes) => format!("{:>4} kB", bytes.div_ceil(1000)),
        None => "not told".to_owned(),
    };
    format!("{window:<8}  {}", bar(sample.server_bytes.unwrap_or(0), server))
}
