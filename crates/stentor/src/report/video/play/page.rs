//! A session as one HTML file: figures, the picture, predictions, and a table of all chunks. It has no
//! script.

use std::fmt::Write;

use stentor_core::moment::Moment;

use super::course::How;
use super::{Report, facts, picture, rate, said};
use crate::report::chart::{self, Unit};
use crate::report::json::utc;
use crate::report::page::shell::{self, Shell};
use crate::report::svg::escape;

/// Rows of the table of chunks, at most.
const ROWS_MAX: usize = 2000;

/// Makes the page.
pub fn html(report: &Report<'_>) -> String {
    let mut body = header(report);
    figures(&mut body, report);
    for note in report.notes() {
        let _ = writeln!(body, "<p class=\"warning\">{}</p>", escape(&note));
    }
    body.push_str(&picture::picture(report).figure("buffers"));
    predicted(&mut body, report);
    meanings(&mut body, report);
    chunks(&mut body, report);
    let title = format!("stentor video play {}", report.config.source);
    let styles = [chart::style(), shell::REPORT, include_str!("play.css")];
    Shell { title: &title, styles: &styles, body: &body, script: None }.html()
}

/// The picture alone, as a file that stands alone.
pub fn svg(report: &Report<'_>) -> String {
    picture::picture(report).svg()
}

fn header(report: &Report<'_>) -> String {
    let took = said(report.outcome.end.since(Moment::START));
    let mut header = format!(
        "<header>\n<h1>stentor video play {}</h1>\n<p>{} from {}, {}</p>\n",
        escape(&report.config.source),
        escape(&took),
        utc(report.began),
        escape(&facts::how(report))
    );
    for (name, words) in facts::asked(report) {
        let _ = writeln!(header, "<p>{name}: {}</p>", escape(&words));
    }
    header.push_str("</header>\n");
    header
}

/// The figures that are looked for first.
fn figures(body: &mut String, report: &Report<'_>) {
    let metrics = &report.outcome.metrics;
    let figures = [
        ("start-up", said(metrics.start_up)),
        ("stalls", metrics.stalls.to_string()),
        ("stalled", said(metrics.stalled)),
        ("of the time", Unit::Share.said(metrics.stall_ratio())),
        ("mean bit rate", Unit::BitsPerSecond.said(metrics.mean_bps)),
        ("switches", metrics.switches.to_string()),
        ("QoE linear", facts::decimals(metrics.qoe_linear)),
    ];
    body.push_str("<dl class=\"figures\">\n");
    for (name, figure) in figures {
        let _ = writeln!(body, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&figure));
    }
    body.push_str("</dl>\n");
}

fn predicted(body: &mut String, report: &Report<'_>) {
    let Some(predicted) = &report.predicted else { return };
    body.push_str(
        "<h2>Predicted and measured</h2>\n<table class=\"columns\">\n<tr><th></th><th>formula</th>\
         <th>fluid</th><th>whole chunks</th><th>measured</th></tr>\n",
    );
    for row in predicted.rows() {
        let _ = write!(body, "<tr><th>{}</th><td class=\"formula\">{}</td>", row.name, row.formula);
        for value in &row.values {
            let _ = write!(body, "<td class=\"number\">{}</td>", escape(value));
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</table>\n");
}

fn meanings(body: &mut String, report: &Report<'_>) {
    body.push_str("<h2>All figures</h2>\n<table class=\"meanings\">\n");
    for fact in facts::facts(report) {
        let _ = writeln!(
            body,
            "<tr><th>{}</th><td class=\"value\">{}</td><td class=\"meaning\">{}</td></tr>",
            fact.name,
            escape(&fact.value),
            escape(&fact.meaning)
        );
    }
    body.push_str("</table>\n");
}

/// Every request, a row each.
fn chunks(body: &mut String, report: &Report<'_>) {
    let fetched = &report.course.fetched;
    if fetched.is_empty() {
        return;
    }
    let _ = write!(
        body,
        "<details>\n<summary>{}</summary>\n<table class=\"columns\">\n<tr><th>chunk</th>\
         <th>quality</th><th>asked for at</th><th>buffered then</th><th>first byte after</th>\
         <th>ended after</th><th>bytes</th><th>throughput</th><th></th></tr>\n",
        facts::many(fetched.len() as u64, "request")
    );
    for one in fetched.iter().take(ROWS_MAX) {
        let bps = Unit::BitsPerSecond.said(report.outcome.film.rate_bps(one.quality));
        let (class, how) = match one.how {
            How::Received => ("received", ""),
            How::Abandoned => ("lost", "abandoned"),
            How::Failed => ("lost", "failed"),
            How::Unfinished => ("lost", "unfinished"),
        };
        let cells = [
            one.chunk.to_string(),
            format!("{}, {bps}", one.quality),
            said(one.asked.since(Moment::START)),
            said(one.level),
            said(one.begun.since(one.asked)),
            said(one.ended.since(one.asked)),
            Unit::Bytes.said(one.bytes as f64),
            one.throughput_bps().map_or("–".to_owned(), rate),
            how.to_owned(),
        ];
        let _ = write!(body, "<tr class=\"{class}\">");
        for cell in cells {
            let _ = write!(body, "<td class=\"number\">{}</td>", escape(&cell));
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</table>\n");
    if fetched.len() > ROWS_MAX {
        let more = fetched.len() - ROWS_MAX;
        let _ = writeln!(body, "<p class=\"warning\">{more} more are in the JSON lines</p>");
    }
    body.push_str("</details>\n");
}
