//! A run of `qualify` as one HTML file: the verdicts, the figures, the delay over time.
//!
//! It has no script; what is around it is `report::page::shell`'s.

use std::fmt::Write;

use super::{Report, charts, figures, held, said};
use crate::report::chart;
use crate::report::json::utc;
use crate::report::page::shell::{self, Shell};
use crate::report::svg::escape;

/// Makes the page.
pub fn html(report: &Report<'_>) -> String {
    let mut body = header(report);
    verdicts(&mut body, report);
    body.push_str(&charts::delay(report).figure("delay"));
    measured(&mut body, report);
    for note in report.notes() {
        let _ = writeln!(body, "<p class=\"warning\">{}</p>", escape(&note));
    }
    let title = format!("stentor qualify {}", report.head.target);
    let styles = [chart::style(), shell::REPORT, include_str!("qualify.css")];
    Shell { title: &title, styles: &styles, body: &body, script: None }.html()
}

/// The delay over time alone, as a picture that stands alone.
pub fn svg(report: &Report<'_>) -> String {
    charts::delay(report).svg()
}

fn header(report: &Report<'_>) -> String {
    let head = report.head;
    let mut header = format!(
        "<header>\n<h1>stentor qualify {}</h1>\n<p>{} from {}, every answer verified</p>\n",
        escape(&head.target),
        escape(&said(Some(report.outcome.took))),
        utc(report.started)
    );
    if let Some(link) = &head.link {
        let words = format!("behind the link {link} --seed {}", head.seed.0);
        let _ = writeln!(header, "<p>{}</p>", escape(&words));
    }
    header.push_str("</header>\n");
    header
}

fn verdicts(body: &mut String, report: &Report<'_>) {
    body.push_str(
        "<table class=\"rows\">\n<tr><th></th><th>application</th><th>what it needs</th>\
         <th>what decided</th><th>by</th></tr>\n",
    );
    for verdict in &report.verdicts {
        let (class, word) = if verdict.passed { ("good", "pass") } else { ("bad", "FAIL") };
        let needs = verdict.application.needs();
        let needs = format!(
            "data loss: {}; throughput: {}; time sensitive: {}",
            needs.loss, needs.throughput, needs.time
        );
        let (decided, source) = verdict
            .decisive()
            .map(|check| (held(check), check.threshold.source))
            .unwrap_or_default();
        let _ = writeln!(
            body,
            "<tr class=\"{class}\"><td class=\"word\">{word}</td><td>{}</td><td>{}</td>\
             <td>{}<small>{}</small></td><td>{}<small>{}</small></td></tr>",
            escape(verdict.application.title()),
            escape(&needs),
            escape(&decided),
            escape(source),
            verdict.transport.name(),
            escape(verdict.reason)
        );
    }
    body.push_str("</table>\n");
}

fn measured(body: &mut String, report: &Report<'_>) {
    body.push_str(
        "<h2>The figures</h2>\n<table class=\"figures-of\">\n\
         <tr><th></th><th>UDP</th><th>TCP</th></tr>\n",
    );
    for row in figures::rows(report) {
        let _ = writeln!(
            body,
            "<tr><th>{}</th><td>{}</td><td>{}</td></tr>",
            escape(row.name),
            escape(&row.udp),
            escape(&row.tcp)
        );
    }
    body.push_str("</table>\n");
}
