//! A run of `qualify` for people: the figures, the delay over time, then the seven rows.

use std::fmt::Write;
use std::time::Duration;

use stentor_core::qualify::Verdict;
use stentor_core::qualify::probe::Course;

use super::{Report, figures, held, rate, said};
use crate::report::chart::sparkline;
use crate::report::ladder::lines::{pad, wrap};
use crate::report::ladder::words::clean;

/// Columns, unless a terminal says otherwise.
pub const WIDTH: usize = 80;
/// The widest that words are spread.
const WIDEST: usize = 120;
/// Where the figures of UDP and of TCP begin.
const NAME: usize = 19;
const COLUMN: usize = 31;

/// The report, in lines of at most `width` columns where words can be broken.
pub fn text(report: &Report<'_>, width: usize, colour: bool) -> String {
    let width = width.clamp(40, WIDEST);
    let mut text = String::new();
    heading(&mut text, report, width);
    table(&mut text, report);
    course(&mut text, report, width);
    text.push('\n');
    for verdict in &report.verdicts {
        row(&mut text, verdict, width, colour);
    }
    let notes = report.notes();
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        say(&mut text, "note: ", &note, width);
    }
    text
}

fn say(text: &mut String, first: &str, sentence: &str, width: usize) {
    let indent = first.chars().count();
    for (number, line) in wrap(&clean(sentence), width.saturating_sub(indent)).iter().enumerate() {
        let first = if number == 0 { first } else { "" };
        let _ = writeln!(text, "{first:indent$}{line}");
    }
}

fn heading(text: &mut String, report: &Report<'_>, width: usize) {
    let head = report.head;
    let took = said(Some(report.outcome.took));
    let cap = rate(Some(head.cap_bps));
    let peer = head.peer.as_ref().filter(|peer| **peer != head.target);
    let peer = peer.map(|peer| format!(" ({peer})")).unwrap_or_default();
    let by = match (head.udp, head.tcp) {
        (true, true) => "UDP and TCP",
        (true, false) => "UDP alone",
        (false, _) => "TCP alone",
    };
    say(text, "", &format!("{}{peer} by {by}, measured for {took}", head.target), width);
    if let Some(link) = &head.link {
        say(text, "  ", &format!("behind the link {link} --seed {}", head.seed.0), width);
    }
    let late = &report.outcome.lateness;
    let own = format!(
        "every answer verified; at most {cap} sent; our own lateness p50 {}, p99 {}",
        said(late.percentile(50.0)),
        said(late.percentile(99.0))
    );
    say(text, "  ", &own, width);
    text.push('\n');
}

fn table(text: &mut String, report: &Report<'_>) {
    let line = |name: &str, udp: &str, tcp: &str| {
        let line = format!("  {}{}{tcp}", pad(name, NAME - 2, false), pad(udp, COLUMN, false));
        format!("{}\n", line.trim_end())
    };
    text.push_str(&line("", "UDP", "TCP"));
    for row in figures::rows(report) {
        text.push_str(&line(row.name, &row.udp, &row.tcp));
    }
}

/// The delay over time, as much as there is room for.
fn course(text: &mut String, report: &Report<'_>, width: usize) {
    let udp = report.outcome.udp.as_ref().and_then(|udp| udp.train.as_ref());
    let tcp = report.outcome.tcp.as_ref().and_then(|tcp| tcp.messages.as_ref());
    let course = udp.map(|train| &train.course).filter(|course| !course.round_trips.is_empty());
    let Some(course) = course.or(tcp) else { return };
    let (Some(min), Some(max)) = (course.round_trips.min(), course.round_trips.max()) else {
        return;
    };
    let line = sparkline(&excess(course, min), width.saturating_sub(NAME + 26));
    let (min, max) = (said(Some(min)), said(Some(max)));
    let _ = writeln!(text, "  {}{line} {min} to {max}", pad("over time", NAME - 2, false));
}

/// What each round trip is above the shortest, in seconds: a line from zero would show nothing.
fn excess(course: &Course, min: Duration) -> Vec<f64> {
    let took = |took: Option<Duration>| {
        took.map_or(f64::NAN, |took| took.saturating_sub(min).as_secs_f64())
    };
    course.points.iter().map(|point| took(point.took)).collect()
}

/// A row of the lecture's table: verdict and transport, what it needs, the figure that decided,
/// and why this transport.
fn row(text: &mut String, verdict: &Verdict, width: usize, colour: bool) {
    let (word, sgr) = if verdict.passed { ("pass", "32") } else { ("FAIL", "1;31") };
    let word = if colour { format!("\x1b[{sgr}m{word}\x1b[0m") } else { word.to_owned() };
    let title = verdict.application.title();
    let bold = if colour { format!("\x1b[1m{title}\x1b[0m") } else { title.to_owned() };
    let needs = verdict.application.needs();
    let _ = writeln!(text, "{word}  {bold} by {}", verdict.transport.name());
    let needs = format!(
        "data loss: {}; throughput: {}; time sensitive: {}",
        needs.loss, needs.throughput, needs.time
    );
    say(text, "      ", &needs, width);
    if let Some(check) = verdict.decisive() {
        let decided = format!("{} ({})", held(check), check.threshold.source);
        say(text, "      ", &decided, width);
    }
    say(text, "      ", verdict.reason, width);
}
