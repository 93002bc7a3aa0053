//! The account of a fetch in words: one line for each part of each hop.

use std::fmt::Write as _;
use std::time::Duration;

use stentor_os::failure::describe;

use super::account::{Hop, Report};
use crate::drive::race::{Attempt, Outcome};

/// All hops, and the total when there were several. No line break at the end.
pub(super) fn table(report: &Report) -> String {
    let mut text = String::new();
    for hop in &report.hops {
        let _ = writeln!(text, "{}", title(hop));
        for (name, phase) in hop.phases.named() {
            let Some(phase) = phase else { continue };
            let words = detail(hop, name);
            let _ = writeln!(text, "{}", row(name, phase.took(), &words));
        }
        if let (Some(total), [_]) = (hop.phases.total(), report.hops.as_slice()) {
            let _ = writeln!(text, "{}", row("total", total.took(), ""));
        }
    }
    if report.hops.len() > 1 {
        let hops = format!("{} requests", report.hops.len());
        let _ = writeln!(text, "{}", row("total", report.ended.since(report.began), &hops));
    }
    text.truncate(text.trim_end().len());
    text
}

/// One line on a redirect: `http://a/ -> http://b/ (301 Moved Permanently)`.
pub(super) fn redirected(hop: &Hop) -> String {
    let to = hop.redirect.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{} -> {to} ({})", hop.url, status(hop))
}

fn status(hop: &Hop) -> String {
    match &hop.head {
        Some(head) => format!("{} {}", head.status, head.reason).trim_end().to_owned(),
        None => "no reply".to_owned(),
    }
}

fn title(hop: &Hop) -> String {
    let version = hop.head.as_ref().map(|head| format!("{} ", head.version)).unwrap_or_default();
    format!("{}: {version}{}", hop.url, status(hop))
}

fn row(name: &str, took: Duration, words: &str) -> String {
    // Rounded to the microsecond: what is finer is the clock's own noise.
    let milliseconds = took.as_secs_f64() * 1000.0;
    format!("  {name:<10} {milliseconds:>10.3} ms  {words}").trim_end().to_owned()
}

fn detail(hop: &Hop, phase: &str) -> String {
    let with_tls = if hop.tls.is_some() { ", TLS included" } else { "" };
    match phase {
        "resolve" => {
            let shown: Vec<String> = hop.addresses.iter().map(|a| a.ip().to_string()).collect();
            let host = hop.url.host_str().unwrap_or_default();
            if shown.is_empty() { host.to_owned() } else { format!("{host}: {}", shown.join(", ")) }
        }
        "connect" => {
            let shown: Vec<String> = hop.attempts.iter().map(attempt).collect();
            shown.join("; ")
        }
        "tls" => match &hop.tls {
            Some(tls) => format!("{}, {}", tls.version, tls.cipher),
            None => String::new(),
        },
        "first byte" => format!("{} bytes sent{with_tls}", hop.writes.bytes),
        "body" => {
            let mut words = match (&hop.redirect, hop.body_bytes) {
                (Some(_), 0) => "not waited for".to_owned(),
                (Some(_) | None, _) => format!("{} of body", hop.progress()),
            };
            let framing = hop.head.as_ref().map(|head| (head.chunked, head.announced_bytes));
            if let Some((true, _)) = framing {
                words.push_str(", in chunks");
            }
            let reads = if hop.reads.count == 1 { "read" } else { "reads" };
            let _ = write!(
                words,
                "; {} bytes received in {} {reads}{with_tls}",
                hop.reads.bytes, hop.reads.count
            );
            words
        }
        _ => String::new(),
    }
}

/// `[::1]:80 won in 0.100 ms`.
fn attempt(attempt: &Attempt) -> String {
    let took = attempt.ended.since(attempt.began).as_secs_f64() * 1000.0;
    let ended = match &attempt.outcome {
        Outcome::Connected => format!("won in {took:.3} ms"),
        Outcome::Failed(failure) => {
            format!("failed after {took:.3} ms: {}", describe(&failure.error))
        }
        Outcome::Abandoned => format!("abandoned after {took:.3} ms"),
    };
    format!("{} {ended}", attempt.address)
}
