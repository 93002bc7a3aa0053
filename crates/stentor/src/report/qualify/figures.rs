//! The figures of a run, one line for each quantity, by UDP and by TCP.

use stentor_core::measure::Latency;
use stentor_core::qualify::probe::{Course, Limit};

use super::{Report, rate, said};
use crate::drive::qualify::{Tcp, Udp};
use crate::report::chart::Unit;

/// A quantity, and what it is by each transport; empty where it was not measured.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) udp: String,
    pub(super) tcp: String,
}

/// All quantities.
pub(super) fn rows(report: &Report<'_>) -> Vec<Row> {
    let udp = report.outcome.udp.as_ref();
    let tcp = report.outcome.tcp.as_ref().filter(|tcp| tcp.sent_bytes > 0);
    let row = |name, of_udp: fn(&Udp) -> Option<String>, of_tcp: fn(&Tcp) -> Option<String>| Row {
        name,
        udp: udp.and_then(of_udp).unwrap_or_default(),
        tcp: tcp.and_then(of_tcp).unwrap_or_default(),
    };
    let rows = [
        row("loss", loss, |tcp| Some(format!("{} of the bytes", Unit::Share.said(tcp.loss()?)))),
        row("", interval, |_| None),
        row(
            "round trip",
            |udp| median(&course(udp)?.round_trips),
            |tcp| median(&tcp.messages.as_ref()?.round_trips),
        ),
        row(
            "",
            |udp| tail(&course(udp)?.round_trips),
            |tcp| tail(&tcp.messages.as_ref()?.round_trips),
        ),
        row("jitter", |udp| jitter(course(udp)?), |tcp| jitter(tcp.messages.as_ref()?)),
        row("throughput", throughput, |tcp| {
            let cap = if tcp.capped { " (our cap)" } else { "" };
            tcp.throughput_bps.map(|bps| format!("{}{cap}", rate(Some(bps))))
        }),
        row("order", order, |_| None),
        row("connect", |_| None, |tcp| median(&tcp.connects)),
        row("10 kB there, back", |_| None, |tcp| median(&tcp.transactions)),
        row(
            "under load",
            |udp| under(course(udp), udp.loaded.as_ref().map(|train| &train.course)),
            |tcp| under(tcp.messages.as_ref(), tcp.loaded.as_ref()),
        ),
    ];
    rows.into_iter().filter(|row| !row.udp.is_empty() || !row.tcp.is_empty()).collect()
}

fn course(udp: &Udp) -> Option<&Course> {
    udp.train.as_ref().map(|train| &train.course)
}

fn loss(udp: &Udp) -> Option<String> {
    let train = udp.train.as_ref()?;
    let late = if train.late > 0 { format!(", {} late", train.late) } else { String::new() };
    let share = Unit::Share.said(train.loss()?);
    Some(format!("{share} ({} of {}{late})", train.lost, train.sent))
}

fn interval(udp: &Udp) -> Option<String> {
    let interval = udp.train.as_ref()?.loss_interval();
    let (low, high) = (Unit::Share.said(interval.low), Unit::Share.said(interval.high));
    Some(format!("{low} to {high} (99% sure)"))
}

fn median(latency: &Latency) -> Option<String> {
    latency.percentile(50.0).map(|median| format!("{} median", said(Some(median))))
}

fn tail(latency: &Latency) -> Option<String> {
    let (p99, max) = (latency.percentile(99.0)?, latency.max()?);
    Some(format!("{} p99, {} max", said(Some(p99)), said(Some(max))))
}

fn jitter(course: &Course) -> Option<String> {
    let (mean, _) = course.jitter_mean()?;
    Some(format!("{} ({} at the end)", said(Some(mean)), said(course.jitter_running())))
}

fn throughput(udp: &Udp) -> Option<String> {
    let climbed = udp.climbed?;
    let why = match climbed.limit {
        Limit::Path => "",
        Limit::Cap => " (our cap)",
        Limit::Sender => " (our limit)",
        Limit::Time => " or more",
    };
    climbed.rate_bps.map(|bps| format!("{}{why}", rate(Some(bps))))
}

fn order(udp: &Udp) -> Option<String> {
    let train = udp.train.as_ref()?;
    let counts = [
        (train.reordered, "reordered"),
        (train.duplicates, "doubled"),
        (train.corrupted, "corrupted"),
        (train.cut, "cut"),
        (train.strangers, "strangers"),
    ];
    let told: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    Some(if told.is_empty() { "kept".to_owned() } else { told.join(", ") })
}

/// How much longer the median round trip is beside a bulk transfer (bufferbloat: Gettys,
/// Nichols, "Bufferbloat: Dark Buffers in the Internet", CACM 2012).
fn under(idle: Option<&Course>, loaded: Option<&Course>) -> Option<String> {
    let median = |course: &Course| course.round_trips.percentile(50.0);
    let (idle, loaded) = (median(idle?)?, median(loaded?)?);
    let more = loaded.saturating_sub(idle);
    Some(format!("{} median (+{})", said(Some(loaded)), said(Some(more))))
}
