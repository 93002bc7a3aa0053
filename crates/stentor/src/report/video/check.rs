//! What a check of manifests found, for people: each finding on a line of its own with its place, as
//! compilers write it, then what the qualities declare beside what they are.

use std::fmt::Write;

use stentor_core::manifest::check::{Finding, RULES, Rule};

use crate::drive::video::check::{Figures, Manifest, Outcome};
use crate::report::ladder::lines::pad;
use crate::report::ladder::words::clean;

/// How often the same rule is told of the same manifest; the rest is counted.
const TOLD_MAX: usize = 5;
/// The columns of the table; the first one is as wide as the longest name.
const HEADS: [&str; 8] = [
    "declared peak",
    "true peak",
    "declared average",
    "true average",
    "segments",
    "bytes",
    "longest",
    "target",
];
/// The widest that the name of a quality is shown.
const NAME_MAX: usize = 40;

/// Escape sequences, where they are wanted.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn sgr(self, code: &str, words: &str) -> String {
        if self.0 { format!("\x1b[{code}m{words}\x1b[0m") } else { words.to_owned() }
    }
}

/// The word for how binding a rule is.
pub fn force(rule: &Rule) -> &'static str {
    if rule.must { "must" } else { "should" }
}

/// The report.
pub fn text(outcome: &Outcome, colour: bool) -> String {
    let paint = Paint(colour);
    let mut text = String::new();
    for manifest in &outcome.manifests {
        if !manifest.findings.is_empty() || !manifest.notes.is_empty() {
            self::manifest(&mut text, manifest, paint);
            text.push('\n');
        }
    }
    for manifest in outcome.manifests.iter().filter(|manifest| !manifest.tracks.is_empty()) {
        let title = paint.sgr("1", &clean(&manifest.name));
        let _ = writeln!(text, "{title}: {}", manifest.kind.name());
        table(&mut text, &manifest.tracks);
        text.push('\n');
    }
    text.push_str(&verdict(outcome, paint));
    text
}

fn manifest(text: &mut String, manifest: &Manifest, paint: Paint) {
    let name = clean(&manifest.name);
    let _ = writeln!(text, "{}", paint.sgr("1", &name));
    let mut told: Vec<(&Rule, usize)> = Vec::new();
    for finding in &manifest.findings {
        let count = match told.iter_mut().find(|(rule, _)| *rule == finding.rule) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                told.push((finding.rule, 1));
                1
            }
        };
        if count <= TOLD_MAX {
            let _ = writeln!(text, "  {}", line(&name, finding, paint));
        }
    }
    for (rule, count) in told.iter().filter(|(_, count)| *count > TOLD_MAX) {
        let more = count - TOLD_MAX;
        let _ = writeln!(text, "  {name}: {}: {more} more like these", rule.name);
    }
    for note in &manifest.notes {
        let _ = writeln!(text, "  {name}: note: {}", clean(note));
    }
}

fn line(name: &str, finding: &Finding, paint: Paint) -> String {
    let rule = finding.rule;
    let at = match finding.place {
        Some(place) => format!("{name}:{}:{}", place.line, place.column),
        None => name.to_owned(),
    };
    let sgr = if rule.must { "1;31" } else { "33" };
    let force = paint.sgr(sgr, &format!("{} {}", rule.name, force(rule)));
    format!("{at} {force} {}: {}; found {}", rule.clause, rule.demands, clean(&finding.found))
}

fn table(text: &mut String, tracks: &[Figures]) {
    let mut rows = vec![(String::from("track"), HEADS.map(str::to_owned))];
    for track in tracks {
        let shown = clean(&track.name).chars().take(NAME_MAX).collect();
        rows.push((shown, cells(track)));
    }
    let first = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut widths = [0; HEADS.len()];
    for (_, cells) in &rows {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    for (name, cells) in &rows {
        let mut row = format!("  {}", pad(name, first, false));
        for (cell, width) in cells.iter().zip(widths) {
            row.push_str("  ");
            row.push_str(&pad(cell, width, true));
        }
        let _ = writeln!(text, "{}", row.trim_end());
    }
    for track in tracks {
        if let Some(why) = &track.unmeasured {
            let _ = writeln!(text, "  {}: {why}", clean(&track.name));
        }
    }
}

fn cells(track: &Figures) -> [String; 8] {
    let rate = |bps: Option<u64>| bps.map_or("-".to_owned(), self::rate);
    let segments = match track.fetched == track.segments {
        true => track.segments.to_string(),
        false => format!("{}/{}", track.fetched, track.segments),
    };
    [
        rate(track.declared_peak_bps),
        rate(track.peak_bps),
        rate(track.declared_average_bps),
        rate(track.average_bps),
        segments,
        track.bytes.to_string(),
        track.longest.map_or("-".to_owned(), |longest| format!("{:.3} s", longest.as_secs_f64())),
        track.target_s.map_or("-".to_owned(), |target_s| format!("{target_s} s")),
    ]
}

/// `1.2 Mbit/s`: four figures, which tell a per mille.
fn rate(bps: u64) -> String {
    match bps {
        0..1_000 => format!("{bps} bit/s"),
        1_000..1_000_000 => format!("{:.1} kbit/s", bps as f64 / 1e3),
        _ => format!("{:.3} Mbit/s", bps as f64 / 1e6),
    }
}

/// The last line: what was looked at, and what it comes to.
fn verdict(outcome: &Outcome, paint: Paint) -> String {
    let tracks = outcome.manifests.iter().flat_map(|manifest| &manifest.tracks);
    let segments: usize = tracks.map(|track| track.fetched).sum();
    let counted = |count: usize, of: &str| {
        if count == 1 { format!("1 {of}") } else { format!("{count} {of}s") }
    };
    let mut looked = format!(
        "{} and {} in {} bytes",
        counted(outcome.manifests.len(), "manifest"),
        counted(segments, "segment"),
        outcome.bytes
    );
    if outcome.requests > 0 {
        let _ = write!(
            looked,
            ", by {} over {}",
            counted(usize::try_from(outcome.requests).unwrap_or(usize::MAX), "request"),
            counted(usize::try_from(outcome.connections).unwrap_or(usize::MAX), "connection")
        );
    }
    let word = match (outcome.counts(), &outcome.trouble) {
        ((0, 0), None) => paint.sgr("32", "nothing is against a rule"),
        ((0, 0), Some(_)) => "nothing is against a rule so far".to_owned(),
        ((0, should), _) => paint.sgr("33", &format!("no rule is broken; {should} of advice")),
        ((must, should), _) => {
            paint.sgr("1;31", &format!("{} broken; {should} of advice", counted(must, "rule")))
        }
    };
    format!("{looked}: {word}\n")
}

/// Every rule that is checked, with its clause.
pub fn rules() -> String {
    let name = RULES.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for rule in RULES {
        let (name, force) = (pad(rule.name, name, false), pad(force(rule), 6, false));
        let _ = writeln!(text, "{name}  {force}  {}: {}", rule.clause, rule.demands);
    }
    text
}
