//! What was measured, as Markdown and as bars: the whole of it, and the few lines for a README.

use std::fmt::Write;

use stentor::report::chart::{Bar, Bars, Hue, Unit};

use super::class::{Class, Figure, Goal, Ratio};
use super::counts::Count;
use super::duel::{Entry, Outcome, Spread};
use super::footprint::Footprint;
use super::generator::{AT_MOST, Client, Cost};
use super::peer::{ECHO, EPOLL, GO, OURS, PROTOCOL, RECVMMSG, REDIS, TOKIO, TOKIO_BULK};
use crate::figures::median;

/// Instructions of a request, to those of C epoll and of tokio.
const TO_EPOLL: Goal = Goal::AtMost(3.0);
const TO_TOKIO: Goal = Goal::AtMost(0.3);
/// Peers of the chart: one of each kind, of those that are within one scale.
const CHARTED: [&str; 7] =
    [EPOLL.name, ECHO.name, TOKIO.name, TOKIO_BULK.name, GO.name, REDIS.name, RECVMMSG.name];
/// Connections at which the memory of each is demanded: with fewer, what all share counts more.
const IDLE_CONNECTIONS: usize = 10_000;
/// Bytes of an idle connection.
const IDLE: f64 = 64.0;

/// Everything that one run of the bench has found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) quick: bool,
    /// How the machine and the run were, a sentence each.
    pub(crate) conditions: Vec<String>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) counts: Vec<Count>,
    pub(crate) costs: Vec<Cost>,
    pub(crate) footprints: Vec<Footprint>,
    /// The table of `casing`, made already.
    pub(crate) casing: String,
}

/// A figure as tables show it: three digits, or all of a whole number.
fn figure(value: f64) -> String {
    match value {
        _ if value >= 100.0 => grouped(value),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut said = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            said.push(',');
        }
        said.push(digit);
    }
    said
}

fn optional(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), figure)
}

fn spread(value: Option<Spread>) -> String {
    value.map_or("-".to_owned(), |Spread { median, low, high }| {
        format!("**{}** [{}–{}]", figure(median), figure(low), figure(high))
    })
}

impl Findings {
    /// All tables.
    pub(crate) fn markdown(&self) -> String {
        let mut page = String::new();
        for condition in &self.conditions {
            let _ = writeln!(page, "- {condition}");
        }
        for outcome in &self.outcomes {
            table(&mut page, outcome);
        }
        self.counted(&mut page);
        self.generators(&mut page);
        self.idle(&mut page);
        if !self.casing.is_empty() {
            let _ = write!(page, "\n### Upper-casing alone\n\n{}", self.casing);
        }
        page
    }

    fn counted(&self, page: &mut String) {
        if self.counts.is_empty() {
            return;
        }
        let of = |name: &str, figure: fn(&Count) -> Option<f64>| {
            self.counts.iter().find(|count| count.name == name).and_then(figure)
        };
        let ours = of(OURS.name, |count| count.instructions);
        let calls = of(OURS.name, |count| count.calls);
        let _ = write!(
            page,
            "\n### What one request costs, counted\n\n50 connections, lines of 32 bytes. \
             Instructions outside the kernel by callgrind, system calls by strace.\n\n\
             | server | instructions | ours to it | system calls | ours to it | goal |\n\
             |---|---|---|---|---|---|\n"
        );
        for count in &self.counts {
            let ratio = ours.zip(count.instructions).map(|(ours, its)| ours / its);
            let goal = match count.name {
                name if name == EPOLL.name => Some(TO_EPOLL),
                name if name == TOKIO.name => Some(TO_TOKIO),
                _ => None,
            };
            let goal = goal.zip(ratio).map(|(goal, ratio)| goal.verdict(ratio));
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {} | {} |",
                count.name,
                optional(count.instructions),
                optional(ratio),
                optional(count.calls),
                optional(calls.zip(count.calls).map(|(ours, its)| ours / its)),
                goal.unwrap_or_default(),
            );
        }
    }

    fn generators(&self, page: &mut String) {
        let Some(bare) = self.costs.first() else { return };
        let _ = write!(
            page,
            "\n### What asking costs\n\nProcessor time of the client, 50 connections, the same server \
             (C epoll) for all.\n\n| client | CPU, ns/request | to the first: median [lowest–highest] | \
             goal |\n|---|---|---|---|\n"
        );
        for cost in &self.costs {
            let ratio = cost.to(bare);
            let goal = match cost.client {
                Client::Load => Goal::AtMost(AT_MOST).verdict(ratio.median),
                Client::Bare | Client::Bench => String::new(),
            };
            let (name, ns) = (cost.client.name(), grouped(cost.median_ns()));
            let _ = writeln!(page, "| {name} | {ns} | {} | {goal} |", spread(Some(ratio)));
        }
    }

    fn idle(&self, page: &mut String) {
        let Some(first) = self.footprints.first() else { return };
        let _ = write!(
            page,
            "\n### Idle connections\n\n{} connections that have asked once and stay; the growth of the \
             server's resident memory. The kernel's own, 4 to 5 kB for each end, is not in it.\n\n\
             | server | bytes each | goal |\n|---|---|---|\n",
            grouped(first.connections as f64)
        );
        for Footprint { name, connections, each } in &self.footprints {
            let ours = *name == OURS.name && *connections >= IDLE_CONNECTIONS;
            let verdict = if *each <= IDLE { "met" } else { "**missed**" };
            let goal = if ours { format!("at most {IDLE}: {verdict}") } else { String::new() };
            let _ = writeln!(page, "| {name} | {} | {goal} |", grouped(*each));
        }
    }

    /// Goals met and missed, as sentences: how many, and each that was missed.
    pub(crate) fn verdicts(&self) -> (usize, Vec<String>) {
        let page = self.markdown();
        let met = page.lines().filter(|line| line.contains(": met")).count();
        let mut missed = Vec::new();
        let mut title = "";
        for line in page.lines() {
            title = line.strip_prefix("### ").unwrap_or(title);
            if line.contains("**missed**") {
                let mut cells = line.split('|').map(str::trim).filter(|cell| !cell.is_empty());
                let (name, goal) = (cells.next().unwrap_or_default(), cells.next_back());
                missed.push(format!("{title}: {name}, {}", goal.unwrap_or_default()));
            }
        }
        (met, missed)
    }

    /// For the README: one line for each class, ours beside the best-known peers.
    pub(crate) fn short(&self) -> String {
        let shown = ["ask-1", "ask-50", "ask-1000", "pipelined", "bulk-ascii", "arrive"];
        let columns = [EPOLL.name, TOKIO.name, GO.name, REDIS.name, PROTOCOL.name];
        let mut table = format!(
            "| ours, and how many times each peer's | stentor | {} |\n",
            columns.join(" | ")
        );
        let _ = writeln!(table, "|---|{}", "---|".repeat(columns.len() + 1));
        let found = |name: &str| self.outcomes.iter().find(|outcome| outcome.class.name == name);
        for outcome in shown.into_iter().filter_map(found) {
            let Some(ours) = outcome.entries.first() else { continue };
            let _ = write!(table, "| {} | {} |", outcome.class.title, rate(outcome.class, ours));
            for column in columns {
                // tokio has a larger buffer in bulk, and says so in its name.
                let entry = outcome.entries.iter().find(|entry| {
                    let name = entry.entrant.name;
                    name == column
                        || name.strip_prefix(column).is_some_and(|r| r.ends_with("buffer"))
                });
                let ratio = entry.and_then(|entry| outcome.ratio(entry)).map(|ratio| ratio.median);
                let _ = write!(table, " {} |", optional(ratio));
            }
            table.push('\n');
        }
        table
    }

    /// How many times ours is each peer's, for every class of requests.
    pub(crate) fn chart(&self) -> String {
        let mut bars = Vec::new();
        for outcome in &self.outcomes {
            let Class { title, ratio: Ratio::OursToPeer, figure: Figure::Rate, .. } = outcome.class
            else {
                continue;
            };
            for entry in outcome.entries.iter().skip(1) {
                if !CHARTED.contains(&entry.entrant.name) {
                    continue;
                }
                let Some(ratio) = outcome.ratio(entry) else { continue };
                let short = title.replace("Ping-pong, ", "").replace(" connections", " conn.");
                let missed = entry
                    .entrant
                    .goal
                    .is_some_and(|goal| goal.verdict(ratio.median).contains("missed"));
                bars.push(Bar {
                    label: format!("{short}: {}", entry.entrant.name),
                    value: ratio.median,
                    spread: Some((ratio.low, ratio.high)),
                    note: String::new(),
                    hue: match (missed, entry.entrant.goal) {
                        (true, _) => Hue::Bad,
                        (false, Some(_)) => Hue::Good,
                        (false, None) => Hue::Faded,
                    },
                });
            }
        }
        let about = format!(
            "How many times the rate of each peer stentor reaches: the median of the ratios of {} \
             rounds, and the lowest and highest.",
            self.rounds()
        );
        Bars {
            title: "stentor's rate, as a multiple of each peer's".to_owned(),
            about,
            label: "above 1 stentor is faster; green and red have a goal".to_owned(),
            unit: Unit::Times,
            bars,
            reference: None,
        }
        .svg()
    }

    fn rounds(&self) -> usize {
        let entries = self.outcomes.iter().flat_map(|outcome| &outcome.entries);
        entries.map(|entry| entry.samples.len()).max().unwrap_or_default()
    }
}

fn rate(class: &Class, entry: &Entry) -> String {
    let rate = entry.median(|sample| Some(sample.rate / class.scale));
    format!("{} {}", optional(rate), class.unit)
}

fn table(page: &mut String, outcome: &Outcome) {
    let Outcome { class, entries, .. } = outcome;
    let _ = write!(page, "\n### {}\n\n{}", class.title, class.about);
    if outcome.repeated + outcome.disturbed > 0 {
        let _ = write!(
            page,
            " Turns taken again because of other programs: {}; disturbed nevertheless: {}.",
            outcome.repeated, outcome.disturbed
        );
    }
    let compared = match (class.ratio, class.figure) {
        (Ratio::EachToFirst, Figure::RoundTrip) => "p50 to the first",
        (Ratio::EachToFirst, _) => "rate to the first",
        (Ratio::OursToPeer, Figure::ServerCpu) => "ours to it, in CPU",
        (Ratio::OursToPeer, _) => "ours to it, in rate",
    };
    let trips = entries.iter().any(|entry| entry.median(|sample| sample.p50_us).is_some());
    let cpu = class.figure == Figure::Rate;
    let per = if class.scale > 1.0 { "ns/KB" } else { "ns each" };
    let mut columns = vec!["server".to_owned(), class.unit.to_owned()];
    columns.extend(trips.then(|| "p50, us".to_owned()));
    columns.push(format!("CPU of server, {per}"));
    columns.push(format!("{compared}: median [lowest–highest]"));
    columns.extend(cpu.then(|| "in CPU".to_owned()));
    columns.push("goal".to_owned());
    let _ = writeln!(page, "\n\n| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()));
    for (place, entry) in entries.iter().enumerate() {
        let ratio = outcome.ratio(entry).filter(|_| place > 0);
        let cpu_ratio = outcome.cpu_ratio(entry).filter(|_| place > 0);
        let scale = if class.scale > 1.0 { 1e3 } else { 1.0 };
        let mut cells = vec![entry.entrant.name.to_owned()];
        cells.push(optional(entry.median(|sample| Some(sample.rate / class.scale))));
        cells.extend(trips.then(|| optional(entry.median(|sample| sample.p50_us))));
        cells.push(optional(entry.median(|sample| Some(sample.server_ns? * scale))));
        cells.push(spread(ratio));
        cells.extend(cpu.then(|| optional(cpu_ratio.map(|ratio| ratio.median))));
        cells.push(goals(entry, ratio, cpu_ratio));
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
}

fn goals(entry: &Entry, ratio: Option<Spread>, cpu: Option<Spread>) -> String {
    let of_rate = entry.entrant.goal.zip(ratio).map(|(goal, ratio)| goal.verdict(ratio.median));
    let of_cpu = entry.entrant.cpu_goal.zip(cpu).map(|(goal, ratio)| goal.verdict(ratio.median));
    let lost: u64 = entry.samples.iter().map(|sample| sample.lost).sum();
    let mut said: Vec<String> = of_rate.into_iter().collect();
    said.extend(of_cpu.map(|verdict| format!("CPU {verdict}")));
    said.extend((lost > 0).then(|| format!("{} lost", grouped(lost as f64))));
    said.join("; ")
}

/// How much of a processor others had: the median and the most of all turns, in per cent.
pub(crate) fn disturbance(outcomes: &[Outcome]) -> Option<(f64, f64)> {
    let entries = outcomes.iter().flat_map(|outcome| &outcome.entries);
    let others: Vec<f64> = entries
        .flat_map(|entry| &entry.samples)
        .filter_map(|sample| sample.others.map(|others| others * 100.0))
        .collect();
    let most = others.iter().copied().fold(0.0, f64::max);
    (!others.is_empty()).then(|| (median(others), most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_or_are_whole() {
        let said = [0.5, 9.994, 12.34, 100.4, 1_234_567.0].map(figure);
        assert_eq!(said, ["0.50", "9.99", "12.3", "100", "1,234,567"]);
    }

    #[test]
    fn a_ratio_is_of_turns_of_the_same_round() {
        let of = Spread::of(vec![0.9, 1.2, 1.0]);
        assert_eq!(spread(Some(of)), "**1.00** [0.90–1.20]");
        assert_eq!(spread(None), "-");
    }

    #[test]
    fn verdicts_say_what_was_demanded() {
        assert_eq!(Goal::Equal.verdict(0.97), "at least 1: met within noise");
        assert_eq!(Goal::Equal.verdict(0.9), "at least 1: **missed**");
        assert_eq!(Goal::AtMost(0.75).verdict(0.7), "at most 0.75: met");
    }
}
