//! The figures of a session, a line for each, with what they mean: for the text and the page.

use std::fmt::Write;

use stentor_core::moment::Moment;
use stentor_core::video::buffer;
use stentor_core::video::metrics::{GAMMA_P, REBUFFER_LINEAR, REBUFFER_LOG};
use stentor_core::video::session::{Event, What};

use super::{Report, rate, said};
use crate::report::chart::Unit;

/// Moments of stalls that are told one by one.
const MOMENTS_MAX: usize = 6;

/// A quantity, how much it was, and what it means.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) meaning: String,
}

fn fact(name: &'static str, value: String, meaning: impl Into<String>) -> Fact {
    Fact { name, value, meaning: meaning.into() }
}

/// What was asked for: a line for the film, the buffer and the link.
pub(super) fn asked(report: &Report<'_>) -> Vec<(&'static str, String)> {
    let (config, outcome) = (report.config, report.outcome);
    let film = &outcome.film;
    let (length, count) = (said(film.length()), film.chunks().len());
    let mut of_film = format!("{length} in {}, ", many(count as u64, "chunk"));
    let rates = film.rates().iter().map(|rate| rate.0 as f64);
    let said_rates: Vec<String> = rates.map(|bps| Unit::BitsPerSecond.said(bps)).collect();
    match report.quality() {
        Some(quality) => {
            let of = film.qualities();
            let which = if of > 1 { format!("quality {quality} of {of}, ") } else { String::new() };
            let _ = write!(of_film, "{which}R {}", rate(film.rate_bps(quality)));
        }
        None => {
            let of = many(said_rates.len() as u64, "quality");
            let _ = write!(of_film, "{of}: {}", said_rates.join(", "));
        }
    }
    let mut asked = vec![("film", of_film), ("buffer", buffer(report))];
    let link = config.link.as_ref().map(|words| format!("link {words}"));
    let x = match (report.known.arrival, report.outcome.account.progressive) {
        (Some(x), _) => Some(format!("x {}", rate(x.0 as f64))),
        (None, Some(stream)) => Some(format!("x {} as measured", rate(stream.arrival_bps as f64))),
        (None, None) => None,
    };
    let seed = config.seed.filter(|_| config.link.is_some()).map(|seed| format!("seed {seed}"));
    let network: Vec<String> = [x, link, seed].into_iter().flatten().collect();
    if !network.is_empty() {
        asked.push(("network", network.join(", ")));
    }
    asked
}

/// Q, B and the resumption, in time, and in bytes where a byte plays always as long.
fn buffer(report: &Report<'_>) -> String {
    let policy = report.outcome.policy;
    let quality = report.quality();
    let sized = |span: std::time::Duration| {
        let bytes = quality.map(|one| span.as_secs_f64() * report.outcome.film.rate_bps(one) / 8.0);
        let bytes = bytes.map(|bytes| format!(" ({})", Unit::Bytes.said(bytes)));
        said(span) + &bytes.unwrap_or_default()
    };
    let (start, capacity) = (sized(policy.start()), sized(policy.capacity()));
    let resume = match policy.resume() {
        resume if resume == policy.start() => "at Q".to_owned(),
        resume if resume.is_zero() => "with the first film that comes".to_owned(),
        resume => format!("at {}", said(resume)),
    };
    format!("Q {start}, B {capacity}, goes on {resume}")
}

/// What was played: where it came from, or over what it was simulated.
pub(super) fn name(report: &Report<'_>) -> String {
    let config = report.config;
    match config.film.as_ref().filter(|_| report.known.simulated) {
        Some(film) => format!("{film} over {}", config.source),
        None => config.source.clone(),
    }
}

/// How film was fetched and who chose, in words.
pub(super) fn how(report: &Report<'_>) -> String {
    let way = if report.is_stream() { "as one stream" } else { "chunk by chunk" };
    let by = if report.known.simulated { "simulated" } else { "fetched" };
    match report.quality().filter(|_| report.is_stream()) {
        Some(quality) => format!("{by} {way}, quality {quality}"),
        None => {
            let chooser = &report.config.chooser;
            let chooser = chooser.strip_prefix("by ").unwrap_or(chooser);
            format!("{by} {way}, qualities by {chooser}")
        }
    }
}

/// All figures.
pub(super) fn facts(report: &Report<'_>) -> Vec<Fact> {
    let metrics = &report.outcome.metrics;
    let mut facts = vec![
        start_up(report),
        stalls(report),
        fact(
            "played",
            said(metrics.played),
            format!("at {}, the mean by play time", rate(metrics.mean_bps)),
        ),
        switches(report),
        requests(report),
        fact(
            "bytes",
            Unit::Bytes.said(report.counts.bytes as f64),
            format!(
                "{} of them fetched for nothing",
                Unit::Bytes.said(metrics.wasted_bytes as f64)
            ),
        ),
    ];
    facts.extend(window(report));
    facts.extend([
        fact(
            "QoE linear",
            decimals(metrics.qoe_linear),
            format!("sum of R - |change of R|, Mbit/s, - {REBUFFER_LINEAR} a second stalled"),
        ),
        fact(
            "QoE log",
            decimals(metrics.qoe_log),
            format!("the same with R = ln(rate/lowest), - {REBUFFER_LOG} a second"),
        ),
        fact(
            "BOLA score",
            decimals(metrics.bola_score),
            format!("(sum of ln(rate/lowest) - {GAMMA_P} stalled) / length, in chunks"),
        ),
    ]);
    if let Some(distance) = report.distance() {
        let meaning = "what the best qualities have more, linear QoE per chunk";
        facts.push(fact("to oracle", decimals(distance), meaning));
    }
    facts
}

fn start_up(report: &Report<'_>) -> Fact {
    let started = |event: &Event| matches!(event.what, What::Buffer(buffer::What::Started));
    let waited = said(report.outcome.metrics.start_up);
    match report.outcome.events.iter().any(started) {
        true => fact("start-up", waited, "from the first request to the first picture"),
        false => fact("start-up", "never".to_owned(), format!("no picture was shown in {waited}")),
    }
}

fn stalls(report: &Report<'_>) -> Fact {
    let metrics = &report.outcome.metrics;
    if metrics.stalls == 0 {
        return fact("stalls", "none".to_owned(), "playing never stopped after the start");
    }
    let stalls = &report.course.stalls;
    let at = stalls.iter().take(MOMENTS_MAX).map(|stall| said(stall.at.since(Moment::START)));
    let at: Vec<String> = at.collect();
    let more = stalls.len().saturating_sub(MOMENTS_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let meaning = format!(
        "{} altogether, {} of the time after the start; at {}{more}",
        said(metrics.stalled),
        Unit::Share.said(metrics.stall_ratio()),
        at.join(", ")
    );
    fact("stalls", metrics.stalls.to_string(), meaning)
}

fn switches(report: &Report<'_>) -> Fact {
    let metrics = &report.outcome.metrics;
    let by = Unit::BitsPerSecond.said(metrics.switched_bps);
    match metrics.switches {
        0 => fact("switches", "none".to_owned(), "all film came in one quality"),
        number => fact("switches", number.to_string(), format!("of quality, by {by} altogether")),
    }
}

fn requests(report: &Report<'_>) -> Fact {
    let counts = report.counts;
    let mut meaning = format!(
        "{} received + {} abandoned + {} failed",
        counts.received, counts.abandoned, counts.failed
    );
    if counts.unfinished > 0 {
        let _ = write!(meaning, " + {} unfinished", counts.unfinished);
    }
    fact("requests", counts.requested.to_string(), meaning)
}

/// What TCP did with a full buffer, where one request fetched all.
fn window(report: &Report<'_>) -> Option<Fact> {
    let stream = report.outcome.account.progressive?;
    let meaning = format!(
        "times TCP's window fell to 0, for {} altogether; SO_RCVBUF {}",
        said(stream.zero_window),
        Unit::Bytes.said(stream.receive_buffer_bytes as f64)
    );
    Some(fact("window 0", stream.zero_windows.to_string(), meaning))
}

/// A number without a unit.
pub(super) fn decimals(number: f64) -> String {
    let rounded = format!("{number:.3}");
    if rounded == "-0.000" { "0.000".to_owned() } else { rounded }
}

/// `1 chunk`, `2 qualities`.
pub(super) fn many(count: u64, what: &str) -> String {
    match (count, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {what}s"),
    }
}
