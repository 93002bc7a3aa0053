//! A run of `load` for people: the block that wrk made known, and after it what became of every
//! request.

use std::fmt::Write;
use std::time::Duration;

use super::troubles::troubles;
use super::{Course, Head, PERCENTILES, cautions, failing, nanos, said};
use crate::drive::load::outcome::{Interval, Outcome};
use crate::report::chart::{Unit, sparkline};
use crate::report::ladder::lines::{pad, wrap};
use crate::report::ladder::words::clean;

/// Columns, unless a terminal says otherwise.
pub const WIDTH: usize = 80;

/// The block, in lines of at most `width` columns where words can be broken.
pub fn text(head: &Head, outcome: &Outcome, width: usize) -> String {
    let mut text = String::new();
    heading(&mut text, head, outcome, width);
    latencies(&mut text, head, outcome);
    course(&mut text, outcome, width);
    rates(&mut text, head, outcome);
    verdict(&mut text, head, outcome, width);
    for caution in cautions(head, outcome) {
        say(&mut text, "note: ", &caution, width);
    }
    text
}

/// A line of the course, as it is shown while the run goes on.
pub fn line(interval: &Interval) -> String {
    let course = Course::of(interval);
    let counts = &interval.counts;
    let mut line = format!(
        "{} {}  p50 {} p99 {} max {}",
        pad(&said(Some(Duration::from_nanos(interval.until.as_nanos()))), 7, true),
        pad(&Unit::PerSecond.said(course.rate(course.latency.len())), 8, true),
        pad(&said(course.percentile(50.0)), 8, false),
        pad(&said(course.percentile(99.0)), 8, false),
        pad(&said(course.latency.max()), 8, false),
    );
    let troubles = [
        ("wrong", counts.wrong),
        ("late", counts.late),
        ("lost", counts.lost),
        ("errors", counts.error),
        ("connections lost", interval.connections_lost),
    ];
    for (name, count) in troubles.into_iter().filter(|(_, count)| *count > 0) {
        let _ = write!(line, "  {count} {name}");
    }
    line.trim_end().to_owned()
}

/// A sentence under a first word, later lines under its beginning.
fn say(text: &mut String, first: &str, sentence: &str, width: usize) {
    let indent = first.len();
    for (number, line) in wrap(&clean(sentence), width.saturating_sub(indent)).iter().enumerate() {
        let first = if number == 0 { first } else { "" };
        let _ = writeln!(text, "{first:indent$}{line}");
    }
}

fn heading(text: &mut String, head: &Head, outcome: &Outcome, width: usize) {
    let took = said(Some(outcome.took));
    let mut first = match head.logs.len() {
        0 => format!("{took} of load on {}", head.target),
        logs => format!("{took} of load on {}, {logs} logs added up", head.target),
    };
    if let Some(peer) = head.peer.as_ref().filter(|peer| !head.target.contains(peer.as_str())) {
        let _ = write!(first, " ({peer})");
    }
    say(text, "", &first, width);
    if head.counted {
        say(text, "  ", &how(head), width);
    }
    for log in &head.logs {
        say(text, "  ", log, width);
    }
    text.push('\n');
}

/// Threads, connections and pace.
pub(super) fn how(head: &Head) -> String {
    let many =
        |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let mut how =
        format!("{} and {}", many(head.threads, "thread"), many(head.connections, "connection"));
    match head.rate_per_second {
        Some(rate) => {
            let _ = write!(how, ", open loop at {} requests/s", exact(rate));
        }
        None if head.closed => how.push_str(", closed loop: hides waiting"),
        None => {}
    }
    if head.poisson {
        how.push_str(" (Poisson)");
    }
    let seeds: Vec<String> = head.seeds.iter().take(8).map(u64::to_string).collect();
    if !seeds.is_empty() {
        let _ = write!(how, ", seed {}", seeds.join(" "));
    }
    how
}

/// A rate with a decimal where it has one.
fn exact(rate: f64) -> String {
    if rate.fract() == 0.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

fn latencies(text: &mut String, head: &Head, outcome: &Outcome) {
    let latency = &outcome.tally.latency;
    let since = if head.closed { "from the sending" } else { "from when a request was due" };
    let _ = writeln!(text, "  Latency Distribution ({since})");
    for percent in PERCENTILES {
        let label = pad(&format!("{percent}%"), 10, true);
        let _ = writeln!(text, "{label}  {}", said(latency.percentile(percent)));
    }
    let _ = writeln!(text, "       max  {}", said(latency.max()));
    let _ = writeln!(
        text,
        "      mean  {}, standard deviation {}",
        said(latency.mean()),
        said(latency.deviation())
    );
}

fn course(text: &mut String, outcome: &Outcome, width: usize) {
    let p99 = |interval: &Interval| nanos(Course::of(interval).percentile(99.0));
    let values: Vec<f64> = outcome.intervals.iter().map(p99).collect();
    let highest = values.iter().copied().filter(|value| value.is_finite()).reduce(f64::max);
    if let Some(highest) = highest.filter(|_| values.len() > 1) {
        let said = Unit::Nanos.said(highest);
        let room = width.saturating_sub(32).clamp(10, 60);
        let line = sparkline(&values, room);
        let _ = writeln!(text, "  p99 over time  {line}  up to {said}");
    }
}

fn rates(text: &mut String, head: &Head, outcome: &Outcome) {
    let tally = &outcome.tally;
    let replies = tally.latency.len();
    let seconds = outcome.sending.as_secs_f64();
    let each = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    text.push('\n');
    if !head.counted {
        let _ = writeln!(text, "Replies/sec:  {:.2}", each(replies));
        return;
    }
    let bytes = |count: u64| Unit::Bytes.said(count as f64);
    let _ = writeln!(
        text,
        "  {} requests in {}, {} sent, {} received",
        tally.counts.sent,
        said(Some(outcome.took)),
        bytes(tally.bytes_sent),
        bytes(tally.bytes_received)
    );
    if head.closed {
        let _ = writeln!(text, "Requests/sec:  {:.2}", outcome.achieved_per_second());
    } else {
        let _ = writeln!(
            text,
            "Requests/sec:  offered {:.2}, achieved {:.2}",
            outcome.offered_per_second(),
            outcome.achieved_per_second()
        );
    }
    let transfer = |count: u64| Unit::BytesPerSecond.said(each(count));
    let _ = writeln!(
        text,
        "Transfer/sec:  {} out, {} in",
        transfer(tally.bytes_sent),
        transfer(tally.bytes_received)
    );
    if !tally.lateness.is_empty() {
        let _ = writeln!(
            text,
            "Our own lateness:  p50 {}, p99 {}, max {}",
            said(tally.lateness.percentile(50.0)),
            said(tally.lateness.percentile(99.0)),
            said(tally.lateness.max())
        );
    }
}

fn verdict(text: &mut String, head: &Head, outcome: &Outcome, width: usize) {
    text.push('\n');
    let counts = &outcome.tally.counts;
    if !head.counted {
        let replies = outcome.tally.latency.len();
        say(
            text,
            "",
            &format!("{replies} replies; the logs do not say how many were right"),
            width,
        );
        return;
    }
    let how = if head.judged() { "verified" } else { "answered (--verify off: not judged)" };
    let _ = writeln!(text, "{how} {} of {} replies", counts.verified, counts.sent);
    let troubles = troubles(head, outcome);
    let widest = |of: fn(&(u64, &str, String)) -> usize| troubles.iter().map(of).max().unwrap_or(0);
    let digits = widest(|(number, ..)| number.to_string().len());
    let letters = widest(|(_, name, _)| name.len());
    for (number, name, next) in &troubles {
        say(text, &format!("  {number:digits$} {name:letters$}  "), next, width);
    }
    for trouble in &outcome.troubles {
        let line = format!(
            "{}: {} ({}), {} times",
            trouble.operation, trouble.words, trouble.errno, trouble.times
        );
        say(text, "    ", &line, width);
    }
    for reason in &outcome.failing {
        say(text, "failed: ", &failing(reason), width);
    }
}
