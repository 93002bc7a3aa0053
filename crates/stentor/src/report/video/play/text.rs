//! A session for people: what was asked for, its course in a few lines, its figures, and what was
//! predicted beside what was measured.

use std::fmt::Write;
use std::time::Duration;

use stentor_core::moment::Moment;

use super::{Report, facts, said};
use crate::report::chart::sparkline;
use crate::report::ladder::lines::{pad, wrap};
use crate::report::ladder::words::clean;

/// Columns, unless a terminal says otherwise.
pub const WIDTH: usize = 80;
/// The widest that words are spread.
const WIDEST: usize = 120;
/// Where the words behind a name begin.
const NAME: usize = 12;

/// The report, in lines of at most `width` columns where words can be broken.
pub fn text(report: &Report<'_>, width: usize, colour: bool) -> String {
    let width = width.clamp(40, WIDEST);
    let mut text = String::new();
    let outcome = report.outcome;
    let took = said(outcome.end.since(Moment::START));
    say(&mut text, "", &format!("{}: {took}, {}", report.config.source, facts::how(report)), width);
    for (name, words) in facts::asked(report) {
        named(&mut text, name, &words, width);
    }
    text.push('\n');
    course(&mut text, report, width, colour);
    let facts = facts::facts(report);
    let room = facts.iter().map(|fact| fact.value.chars().count()).max().unwrap_or(0).min(12);
    for fact in facts {
        let value = pad(&fact.value, room, false);
        let first = format!("{}{value}  ", pad(&format!("  {}", fact.name), NAME + 2, false));
        say(&mut text, &first, &fact.meaning, width);
    }
    predicted(&mut text, report);
    let notes = report.notes();
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        say(&mut text, "note: ", &note, width);
    }
    text
}

fn named(text: &mut String, name: &str, words: &str, width: usize) {
    say(text, &pad(&format!("  {name}"), NAME, false), words, width);
}

/// A sentence under its first words, later lines under its beginning.
pub(super) fn say(text: &mut String, first: &str, sentence: &str, width: usize) {
    let indent = first.chars().count();
    let room = width.saturating_sub(indent).max(16);
    for (number, line) in wrap(&clean(sentence), room).iter().enumerate() {
        let first = if number == 0 { first } else { "" };
        let line = line.trim_start();
        let _ = writeln!(text, "{}", format!("{first:indent$}{line}").trim_end());
    }
}

/// The buffer's level over time, where playing stood still, and the qualities.
fn course(text: &mut String, report: &Report<'_>, width: usize, colour: bool) {
    let course = &report.course;
    let end = report.outcome.end;
    let levels = || course.level.iter().map(|(_, level)| *level);
    let Some(highest) = levels().max().filter(|highest| !highest.is_zero()) else { return };
    let columns = width.saturating_sub(NAME + 18).max(8);
    let at = |column: usize| {
        let part = (column as f64 + 0.5) / columns as f64;
        Moment::START + end.since(Moment::START).mul_f64(part)
    };
    let moments: Vec<Moment> = (0..columns).map(at).collect();
    let level: Vec<f64> =
        moments.iter().map(|at| level_at(&course.level, *at).as_secs_f64()).collect();
    let line = sparkline(&level, columns);
    let _ = writeln!(text, "{}{line}  up to {}", pad("  level", NAME, false), said(highest));
    if !course.stalls.is_empty() {
        let still = moments.windows(2).map(|pair| {
            let (from, to) = (pair.first().copied(), pair.last().copied());
            let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
            let met = |stall: &super::Stall| stall.at < to && stall.at + stall.length > from;
            if course.stalls.iter().any(met) { '×' } else { ' ' }
        });
        let still: String = std::iter::once(' ').chain(still).collect();
        let shown = if colour { format!("\x1b[31m{still}\x1b[0m") } else { still };
        let _ = writeln!(text, "{}{shown}  stalled", pad("", NAME, false));
    }
    if report.quality().is_none() {
        let quality = |at: &Moment| {
            let asked = course.fetched.iter().rev().find(|one| one.asked <= *at);
            asked.map_or(0.0, |one| one.quality as f64 + 1.0)
        };
        let line = sparkline(&moments.iter().map(quality).collect::<Vec<_>>(), columns);
        let best = course.fetched.iter().map(|one| one.quality).max().unwrap_or(0);
        let _ = writeln!(text, "{}{line}  up to {best}", pad("  quality", NAME, false));
    }
    text.push('\n');
}

/// What was buffered at a moment.
pub(super) fn level_at(level: &[(Moment, Duration)], at: Moment) -> Duration {
    let after = level.partition_point(|(moment, _)| *moment <= at);
    let before = after.checked_sub(1).and_then(|before| level.get(before));
    match (before, level.get(after)) {
        (Some((from, low)), Some((to, high))) if to > from => {
            let part = at.since(*from).as_secs_f64() / to.since(*from).as_secs_f64();
            let level = low.as_secs_f64() + (high.as_secs_f64() - low.as_secs_f64()) * part;
            Duration::try_from_secs_f64(level).unwrap_or_default()
        }
        (Some((_, level)), _) => *level,
        (None, _) => Duration::ZERO,
    }
}

/// The three columns, where two of them can be known.
fn predicted(text: &mut String, report: &Report<'_>) {
    let Some(predicted) = &report.predicted else { return };
    let line = |name: &str, formula: &str, values: [&str; 3]| {
        let mut line = format!("  {}{}", pad(name, 13, false), pad(formula, 17, false));
        for value in values {
            line.push_str(&pad(value, 13, true));
        }
        format!("{}\n", line.trim_end())
    };
    text.push('\n');
    text.push_str(&line("predicted", "", ["fluid", "whole chunks", "measured"]));
    for row in predicted.rows() {
        let [fluid, chunks, measured] = &row.values;
        text.push_str(&line(row.name, row.formula, [fluid, chunks, measured]));
    }
}
