//! Says what came of a conversation: timing and ladder on standard error, JSON on standard output.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use stentor_core::casing::Case;
use stentor_core::endpoint::Transport;
use stentor_core::moment::Moment;

use super::open::attempt_words;
use super::plan::{Plan, Source};
use super::told::Told;
use crate::complaint::{Complaint, Exit};
use crate::report::json::Envelope;
use crate::report::json::send::{Attempt, Config, Outcome, Phases, SCHEMA, Tcp};
use crate::report::{console, ladder};

/// How many bytes of the answer the JSON object holds; of longer ones the beginning.
pub(super) const JSON_ANSWER_MAX: usize = 64 * 1024;

/// Reports a run that printed its answer already; `complaint` is what was wrong, if anything.
pub(super) fn report(
    plan: &Plan,
    told: &mut Told,
    started: SystemTime,
    complaint: Option<&Complaint>,
) -> Result<(), Complaint> {
    if complaint.is_some_and(|complaint| complaint.what.is_empty()) {
        return Ok(());
    }
    if let (Some(link), Some(beside)) = (&plan.link, &told.link) {
        console::notice(format!("stentor: {}", link.told(beside)));
    }
    for warning in &told.warnings {
        console::notice(format!("stentor: {warning}"));
    }
    if plan.verbose && told.connected.is_some() {
        let verdict = match complaint {
            None if plan.verify.is_some() => "the answer is the upper case of what was sent",
            None => "answered",
            Some(complaint) => &complaint.what,
        };
        told.witness.conclude(verdict);
        told.witness.conclude(summary(told));
        console::notice(ladder::text(&told.witness.talk, ladder::WIDTH_MAX).trim_end());
    }
    if plan.timing {
        console::notice(timing(told).trim_end());
    }
    if plan.json {
        print_json(Some(plan), Some(told), started, complaint)?;
    }
    Ok(())
}

/// One line on what happened: bytes, segments or datagrams, round trip, who closed.
pub(super) fn summary(told: &Told) -> String {
    let mut line = format!("{} out, {} back", counted(told.sent, "byte"), told.received);
    if let Some(datagrams) = &told.datagrams {
        let (out, back) = (counted(datagrams.sent, "datagram"), datagrams.received);
        let _ = write!(line, "; {out} out, {back} in");
    }
    if let Some(counters) = told.info.and_then(|info| info.counters) {
        let (out, back) = (counters.segments_out.into(), counters.segments_in);
        let _ = write!(line, "; {} out, {back} in", counted(out, "segment"));
    }
    if let (Some(sent), Some(first)) = (told.first_sent, told.first_byte) {
        let _ = write!(line, "; round trip {}", ms(first.since(sent)));
    }
    match told.closed_first {
        Some(closer) => line.push_str(&format!("; the {} closed first", closer.name())),
        None if told.datagrams.is_some() => line.push_str("; nothing to close"),
        None => {}
    }
    line
}

/// `1 byte`, `2 bytes`.
pub(super) fn counted(count: u64, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// Milliseconds with microseconds: `0.250 ms`.
fn ms(span: Duration) -> String {
    let microseconds = span.as_micros();
    format!("{}.{:03} ms", microseconds / 1000, microseconds % 1000)
}

/// The phases, each from its own beginning.
fn phases(told: &Told) -> [(&'static str, Option<Duration>); 4] {
    let span = |from: Option<Moment>, to: Option<Moment>| Some(to?.since(from?));
    let began = Some(told.began);
    [
        ("resolve", span(began, told.resolved)),
        ("connect", span(told.resolved, told.connected)),
        ("first byte", span(told.first_sent, told.first_byte)),
        ("total", span(began, Some(told.ended.max(told.began)))),
    ]
}

fn timing(told: &Told) -> String {
    let mut lines = String::new();
    for (name, span) in phases(told) {
        let span = span.map_or("-".to_owned(), ms);
        let _ = writeln!(lines, "{name:<10} {span:>12}");
    }
    lines
}

/// Prints the one object; without a plan the arguments were not understood.
pub(super) fn print_json(
    plan: Option<&Plan>,
    told: Option<&Told>,
    started: SystemTime,
    complaint: Option<&Complaint>,
) -> Result<(), Complaint> {
    let exit = complaint.map_or(Exit::Good, |complaint| complaint.exit);
    let error = complaint.map(ToString::to_string);
    let mut envelope = Envelope::new(SCHEMA, started, exit, error);
    envelope.config = plan.map(config);
    envelope.result = told.filter(|told| told.connected.is_some()).map(outcome);
    envelope.warnings = told.map(|told| told.warnings.clone()).unwrap_or_default();
    Ok(console::data(envelope.text())?)
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn config(plan: &Plan) -> Config {
    let target = match plan.transport {
        Transport::Unix => format!("unix:{}", plan.place),
        Transport::Tcp | Transport::Udp => format!("{}://{}", plan.transport, plan.place),
    };
    Config {
        target,
        transport: plan.transport.to_string(),
        source: match plan.source {
            Source::Message(_) => "message",
            Source::Input => "standard input",
            Source::Prompt => "prompt",
        },
        timeout_ns: nanoseconds(plan.timeout),
        retries: plan.retries,
        verify: plan.verify.is_some(),
        case: match plan.verify {
            Some(Case::Ascii) => "ascii",
            Some(Case::Unicode) | None => "unicode",
        },
        half_close: plan.half_close,
        reset: plan.reset,
        chunk_bytes: plan.chunk,
        source_port: plan.source_port,
        link: plan.link.as_ref().map(|link| link.spec.to_string()),
        seed: plan.link.as_ref().map(|link| link.seed.0),
    }
}

fn outcome(told: &Told) -> Outcome {
    let [resolve, connect, first_byte, total] = phases(told).map(|(_, span)| span.map(nanoseconds));
    let attempt = |attempt: &crate::drive::race::Attempt| Attempt {
        address: attempt.address.to_string(),
        began_ns: nanoseconds(attempt.began.since(told.began)),
        took_ns: nanoseconds(attempt.ended.since(attempt.began)),
        outcome: match attempt_words(&attempt.outcome).as_str() {
            "0" => "connected".to_owned(),
            words => words.to_owned(),
        },
    };
    Outcome {
        local: told.local.clone(),
        peer: told.peer.clone(),
        sent_bytes: told.sent,
        received_bytes: told.received,
        owed_bytes: told.owed,
        verified_bytes: told.verified,
        answer: Some(String::from_utf8_lossy(&told.answer).into_owned()),
        answer_complete: told.answer_whole,
        closed_first: told.closed_first.map(super::told::Closer::name),
        phases: Phases {
            resolve_ns: resolve.unwrap_or(0),
            connect_ns: connect.unwrap_or(0),
            first_byte_ns: first_byte,
            total_ns: total.unwrap_or(0),
        },
        attempts: told.attempts.iter().map(attempt).collect(),
        questions: told.questions.clone(),
        datagrams: told.datagrams.clone(),
        tcp: told.info.map(|info| Tcp {
            state: info.state.name(),
            rtt_ns: nanoseconds(info.rtt),
            segment_bytes_max: info.segment_bytes_max,
            segments_out: info.counters.map(|counters| counters.segments_out),
            segments_in: info.counters.map(|counters| counters.segments_in),
            retransmitted: info.retransmitted,
        }),
    }
}
