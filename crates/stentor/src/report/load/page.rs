//! A run of `load` as one HTML file: its figures, its charts, and what was asked for.
//!
//! It has no script; what is around it is `report::page::shell`'s.

use std::fmt::Write;

use super::text::how;
use super::troubles::troubles;
use super::{Head, PERCENTILES, cautions, charts, failing, said};
use crate::drive::load::outcome::{Config, Outcome};
use crate::report::chart::{self, Unit};
use crate::report::page::shell::{self, Shell};
use crate::report::svg::escape;

/// Makes the page; runs added up from logs have no one config.
pub fn html(head: &Head, config: Option<&Config>, outcome: &Outcome) -> String {
    let mut body = header(head, outcome);
    figures(&mut body, head, outcome);
    verdict(&mut body, head, outcome);
    for (id, chart) in charts::charts(head, outcome) {
        body.push_str(&chart.figure(id));
    }
    if head.counted {
        became(&mut body, outcome);
    }
    asked(&mut body, head, config);
    let title = format!("stentor load {}", head.target);
    let styles = [chart::style(), shell::REPORT];
    Shell { title: &title, styles: &styles, body: &body, script: None }.html()
}

/// The latency over time alone, as a picture that stands alone.
pub fn svg(head: &Head, outcome: &Outcome) -> String {
    let mut charts = charts::charts(head, outcome).into_iter();
    charts.next().map(|(_, chart)| chart.svg()).unwrap_or_default()
}

fn header(head: &Head, outcome: &Outcome) -> String {
    let started = crate::report::json::utc(outcome.started);
    let mut header = format!(
        "<header>\n<h1>stentor load {}</h1>\n<p>{} from {started}",
        escape(&head.target),
        escape(&said(Some(outcome.took)))
    );
    if head.counted {
        let _ = write!(header, ", {}", escape(&how(head)));
    }
    header.push_str("</p>\n");
    for log in &head.logs {
        let _ = writeln!(header, "<p>{}</p>", escape(log));
    }
    header.push_str("</header>\n");
    header
}

fn figures(body: &mut String, head: &Head, outcome: &Outcome) {
    let tally = &outcome.tally;
    let latency = &tally.latency;
    let mut figures = vec![
        ("p50".to_owned(), said(latency.percentile(50.0))),
        ("p99".to_owned(), said(latency.percentile(99.0))),
        ("p99.9".to_owned(), said(latency.percentile(99.9))),
        ("max".to_owned(), said(latency.max())),
    ];
    if head.counted {
        let rate = |rate: f64| Unit::PerSecond.said(rate);
        if !head.closed {
            figures.push(("offered".to_owned(), rate(outcome.offered_per_second())));
        }
        figures.push(("achieved".to_owned(), rate(outcome.achieved_per_second())));
        let own = tally.lateness.percentile(99.0);
        figures.push(("lateness p99".to_owned(), said(own)));
    }
    body.push_str("<dl class=\"figures\">\n");
    for (name, figure) in figures {
        let _ = writeln!(body, "<div><dt>{}</dt><dd>{}</dd></div>", escape(&name), escape(&figure));
    }
    body.push_str("</dl>\n");
}

fn verdict(body: &mut String, head: &Head, outcome: &Outcome) {
    let counts = &outcome.tally.counts;
    if head.counted {
        let good = outcome.failing.is_empty() && counts.sent == counts.verified && counts.sent > 0;
        let _ = writeln!(
            body,
            "<p class=\"{}\">{} {} of {} replies</p>",
            if good { "good" } else { "bad" },
            if head.judged() { "verified" } else { "answered (--verify off: not judged)" },
            counts.verified,
            counts.sent
        );
        for (number, name, next) in troubles(head, outcome) {
            let said = escape(&format!("{name} {number}: {next}"));
            let _ = writeln!(body, "<p class=\"warning\">{said}</p>");
        }
    }
    for reason in &outcome.failing {
        let _ = writeln!(body, "<p class=\"bad\">failed: {}</p>", escape(&failing(reason)));
    }
    for caution in cautions(head, outcome) {
        let _ = writeln!(body, "<p class=\"warning\">{}</p>", escape(&caution));
    }
}

fn became(body: &mut String, outcome: &Outcome) {
    let tally = &outcome.tally;
    let counts = &tally.counts;
    body.push_str("<h2>What became of the requests</h2>\n<table>\n");
    let rows = [
        ("sent", counts.sent),
        ("verified", counts.verified),
        ("wrong", counts.wrong),
        ("late", counts.late),
        ("lost", counts.lost),
        ("error", counts.error),
    ];
    for (name, count) in rows {
        let share = if counts.sent > 0 { count as f64 / counts.sent as f64 } else { 0.0 };
        let share = Unit::Share.said(share);
        let _ = writeln!(
            body,
            "<tr><th>{name}</th><td class=\"number\">{count}</td><td class=\"number\">{share}</td></tr>"
        );
    }
    body.push_str("</table>\n<h2>Latency</h2>\n<table>\n");
    for percent in PERCENTILES {
        let time = escape(&said(tally.latency.percentile(percent)));
        let _ = writeln!(body, "<tr><th>{percent}%</th><td class=\"number\">{time}</td></tr>");
    }
    let max = escape(&said(tally.latency.max()));
    let _ = writeln!(body, "<tr><th>max</th><td class=\"number\">{max}</td></tr>\n</table>");
}

fn asked(body: &mut String, head: &Head, config: Option<&Config>) {
    let Some(config) = config else { return };
    let span = |span: std::time::Duration| said(Some(span));
    let mut rows = vec![
        ("target", head.target.clone()),
        ("connections", config.connections.to_string()),
        ("threads", config.threads.to_string()),
        ("pace", how(head)),
        ("payload", format!("{}, {} bytes", config.payload, config.length)),
        ("framing", config.framing.clone()),
        ("verify", config.verify.clone()),
        ("depth", config.depth.to_string()),
        ("timeout", span(config.timeout)),
        ("warm-up", span(config.warmup)),
        ("interval", span(config.interval)),
        ("seed", config.seed.0.to_string()),
    ];
    rows.extend(config.duration.map(|duration| ("duration", span(duration))));
    rows.extend(config.count.map(|count| ("count", count.to_string())));
    rows.extend(config.reconnect.map(|every| ("reconnect", format!("every {every} requests"))));
    rows.extend(config.link.iter().map(|words| ("link", words.clone())));
    rows.extend(config.greeting.then(|| ("greeting", "awaited".to_owned())));
    rows.extend(config.fail_if.iter().map(|condition| ("fail if", condition.clone())));
    body.push_str("<h2>What was asked for</h2>\n<table>\n");
    for (name, value) in rows {
        let _ = writeln!(body, "<tr><th>{name}</th><td>{}</td></tr>", escape(&value));
    }
    body.push_str("</table>\n");
}
