//! The lecture's drawing of a session: what each buffer held, what was chosen and how fast it came, and
//! the chunks as blocks, all over the same time.

use std::time::Duration;

use stentor_core::moment::Moment;

use super::course::{Fetched, How};
use super::{Report, facts, nanos, rate, said};
use crate::drive::video::outcome::Sample;
use crate::report::chart::{
    Axis, Band, Chart, Form, Hue, Mark, On, Panels, Scale, Series, Span, Unit,
};

/// Blocks that are drawn, at most; of a longer film every second, third, ... chunk is.
const BLOCKS_MAX: usize = 600;
/// Shades of freezes, at most: as many as there are pixels beside one another.
const SHADES_MAX: f64 = 740.0;
/// Over how long the speed of a stream is averaged, at least, and as a part of its length.
const SPEED_OVER: Duration = Duration::from_millis(500);
const SPEED_PARTS: u32 = 120;

/// The picture.
pub(super) fn picture(report: &Report<'_>) -> Panels {
    let mut charts = vec![level(report)];
    charts.extend(bytes(report));
    charts.push(rates(report));
    charts.push(chunks(report));
    Panels {
        title: format!("The buffers of {}", facts::name(report)),
        subtitle: subtitle(report),
        about: about(report),
        charts,
        bands: bands(report),
    }
}

fn subtitle(report: &Report<'_>) -> String {
    let link = report.config.link.as_ref().map(|link| format!(" behind {link}"));
    let x = report.known.arrival.map(|x| format!(", x {}", rate(x.0 as f64)));
    let r = report.quality().map(|one| report.outcome.film.rate_bps(one));
    let r = r.map(|bps| format!(", R {}", rate(bps)));
    let [link, x, r] = [link, x, r].map(Option::unwrap_or_default);
    format!("{}{link}{x}{r}", facts::how(report))
}

/// What there is to see, for those who cannot.
fn about(report: &Report<'_>) -> String {
    let metrics = &report.outcome.metrics;
    let start = report.course.started.map_or_else(
        || "Playing never began.".to_owned(),
        |at| format!("Playing begins after {}.", since_start(at)),
    );
    let stalls = match metrics.stalls {
        0 => "It never stops before the end.".to_owned(),
        number => {
            let stalled = said(metrics.stalled);
            format!("It stops {}, for {stalled} altogether.", facts::many(number, "time"))
        }
    };
    let full = report.course.full;
    let full = full.map(|at| format!(" The buffer is full after {}.", since_start(at)));
    format!("{start} {stalls}{}", full.unwrap_or_default())
}

fn since_start(at: Moment) -> String {
    said(at.since(Moment::START))
}

/// The time before the start, and every freeze; freezes that are too near to be told apart are one
/// shade.
fn bands(report: &Report<'_>) -> Vec<Band> {
    let end = report.outcome.end;
    let started = report.course.started.unwrap_or(end);
    let mut bands = vec![Band {
        from: 0.0,
        to: nanos(started),
        label: format!("start-up {}", since_start(started)),
        hue: Hue::Faded,
    }];
    let near = nanos(end) / SHADES_MAX;
    let mut together = 0;
    for stall in &report.course.stalls {
        let (from, to) = (nanos(stall.at), nanos(stall.at + stall.length));
        let label = format!("stalled at {} for {}", since_start(stall.at), said(stall.length));
        let before = bands.last_mut().filter(|band| together > 0 && from - band.to < near);
        match before {
            Some(band) => {
                together += 1;
                band.to = to;
                band.label = format!("stalled {together} times up to {}", since_start(stall.at));
            }
            None => {
                together = 1;
                bands.push(Band { from, to, label, hue: Hue::Bad });
            }
        }
    }
    bands
}

fn time(report: &Report<'_>) -> Axis {
    Axis {
        label: "time since the first request for film".into(),
        unit: Unit::Nanos,
        scale: Scale::Linear,
        range: Some((0.0, nanos(report.outcome.end).max(1.0))),
    }
}

fn series(name: &str, hue: Hue, form: Form, points: Vec<(f64, f64)>) -> Series {
    Series { name: name.to_owned(), hue, form, points }
}

fn across(label: String, at: f64, hue: Hue) -> Mark {
    Mark { on: On::Y, at, label, hue }
}

/// The application's buffer in playing time, between Q and B.
fn level(report: &Report<'_>) -> Chart {
    let policy = report.outcome.policy;
    let span = |span: Duration| span.as_nanos() as f64;
    let points: Vec<(f64, f64)> =
        report.course.level.iter().map(|(at, level)| (nanos(*at), span(*level))).collect();
    let highest = points.iter().map(|point| point.1).fold(0.0, f64::max);
    let (start, capacity) = (policy.start(), policy.capacity());
    let resume = Some(policy.resume()).filter(|one| *one != start && !one.is_zero());
    // Words that would stand on one another stand on one line.
    let near = |one: &Duration| span(start.abs_diff(*one)) < highest * 0.15;
    let with = resume.filter(near).map(|one| format!(", goes on at {}", said(one)));
    let label = format!("Q {}{}", said(start), with.unwrap_or_default());
    let mut marks = vec![across(label, span(start), Hue::Third)];
    // A buffer that is far from full would flatten the line that is looked at.
    if span(capacity) < highest * 2.5 {
        marks.push(across(format!("B {}", said(capacity)), span(capacity), Hue::Fourth));
    }
    if let Some(resume) = resume.filter(|one| !near(one)) {
        marks.push(across(format!("goes on at {}", said(resume)), span(resume), Hue::Third));
    }
    let mut drawn = vec![series("buffered", Hue::First, Form::Area, points)];
    if let Some(predicted) = &report.predicted {
        let turns = predicted.fluid_level_s(report.outcome.film.length().as_secs_f64());
        let end = nanos(report.outcome.end);
        let turns = turns.iter().map(|(at_s, level_s)| (at_s * 1e9, level_s * 1e9));
        let turns = cut(turns.collect(), end);
        drawn.insert(0, series("fluid", Hue::Faded, Form::Dashed, turns));
    }
    Chart {
        title: "Application's buffer".into(),
        height: 150,
        x: time(report),
        y: Axis { label: "seconds of film".into(), unit: Unit::Nanos, ..Axis::default() },
        series: drawn,
        marks,
        ..Chart::default()
    }
}

/// Both buffers of the lecture's drawing in bytes, where there were sockets.
fn bytes(report: &Report<'_>) -> Option<Chart> {
    let samples = &report.outcome.samples;
    samples.iter().find(|sample| sample.socket_bytes.is_some())?;
    let line = |of: &dyn Fn(&Sample) -> Option<u64>| {
        let point = |sample| of(sample).map_or(f64::NAN, |bytes| bytes as f64);
        samples.iter().map(|sample| (nanos(sample.at), point(sample))).collect::<Vec<_>>()
    };
    let mut drawn = vec![
        series("application", Hue::First, Form::Area, line(&|one| Some(one.buffered_bytes))),
        series("kernel (SIOCINQ)", Hue::Second, Form::Area, line(&|one| one.socket_bytes)),
    ];
    if samples.iter().any(|sample| sample.window_bytes.is_some()) {
        let window = line(&|one| one.window_bytes);
        drawn.push(series("window offered", Hue::Faded, Form::Dashed, window));
    }
    if samples.iter().any(|sample| sample.server_bytes.is_some()) {
        drawn.push(series(
            "server (SIOCOUTQ)",
            Hue::Third,
            Form::Line,
            line(&|one| one.server_bytes),
        ));
    }
    if samples.iter().any(|sample| sample.window_bytes == Some(0)) {
        drawn.push(series("window 0", Hue::Bad, Form::Strip, shut(samples)));
    }
    Some(Chart {
        title: "Both buffers".into(),
        height: 140,
        x: time(report),
        y: Axis { label: "bytes held at the client".into(), unit: Unit::Bytes, ..Axis::default() },
        series: drawn,
        ..Chart::default()
    })
}

/// A stroke on the axis for each time that the window was seen to be shut.
fn shut(samples: &[Sample]) -> Vec<(f64, f64)> {
    let mut strokes: Vec<(f64, f64)> = Vec::new();
    for (number, sample) in samples.iter().enumerate() {
        let at = nanos(sample.at);
        if sample.window_bytes == Some(0) {
            let next = samples.get(number + 1).map_or(at, |next| nanos(next.at));
            match strokes.last_mut() {
                // As long as it stays shut, it is one stroke.
                Some(end) if end.0 == at => end.0 = next,
                _ => strokes.extend([(at, f64::NAN), (at, 0.0), (next, 0.0)]),
            }
        }
    }
    strokes
}

/// A line up to `end`, straight to where it is then.
fn cut(mut points: Vec<(f64, f64)>, end: f64) -> Vec<(f64, f64)> {
    let within = points.partition_point(|(at, _)| *at <= end);
    let around = (within.checked_sub(1).and_then(|last| points.get(last)), points.get(within));
    if let (Some((from, low)), Some((to, high))) = around {
        let there = low + (high - low) * (end - from) / (to - from);
        points.truncate(within);
        points.push((end, there));
    }
    points
}

/// What was chosen, how fast it came, and how fast the link was.
fn rates(report: &Report<'_>) -> Chart {
    let end = nanos(report.outcome.end);
    let mut drawn = Vec::new();
    if !report.known.rates.is_empty() {
        let rates = report.known.rates.iter();
        let mut link: Vec<(f64, f64)> = rates.map(|(at, bps)| (nanos(*at), *bps)).collect();
        link.retain(|(at, _)| *at <= end);
        link.extend(link.last().map(|(_, bps)| (end, *bps)));
        drawn.push(series("link (x)", Hue::Faded, Form::Steps, link));
    }
    drawn.push(series("throughput", Hue::Second, Form::Line, throughput(report)));
    let asked = report.course.fetched.iter();
    let chosen = |one: &Fetched| (nanos(one.asked), report.outcome.film.rate_bps(one.quality));
    let mut chosen: Vec<(f64, f64)> = asked.map(chosen).collect();
    chosen.extend(chosen.last().map(|(_, bps)| (end, *bps)));
    drawn.push(series("quality (R)", Hue::First, Form::Steps, chosen));
    Chart {
        title: "Quality, throughput and link".into(),
        height: 140,
        x: time(report),
        y: Axis { label: "bit rate".into(), unit: Unit::BitsPerSecond, ..Axis::default() },
        series: drawn,
        ..Chart::default()
    }
}

/// How fast each body came, as a stroke as long as that took; of a stream, what came in
/// each stretch of it.
fn throughput(report: &Report<'_>) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    if report.is_stream() {
        let over = (report.outcome.end.since(Moment::START) / SPEED_PARTS).max(SPEED_OVER);
        let mut before = Sample::default();
        for sample in &report.outcome.samples {
            let long = sample.at.since(before.at);
            if long >= over {
                let bytes = sample.received_bytes.saturating_sub(before.received_bytes);
                let bps = bytes as f64 * 8.0 / long.as_secs_f64();
                points.extend([(nanos(before.at), bps), (nanos(sample.at), bps)]);
                before = *sample;
            }
        }
        return points;
    }
    for one in &report.course.fetched {
        if let Some(bps) = one.throughput_bps().filter(|_| one.how != How::Unfinished) {
            let (begun, ended) = (nanos(one.begun), nanos(one.ended));
            points.extend([(begun, bps), (ended, bps), (ended, f64::NAN)]);
        }
    }
    points
}

/// The film from the bottom up: each chunk as a block as long as its fetching, and the line of what is
/// played. How high a block stands above the line is how much was buffered.
fn chunks(report: &Report<'_>) -> Chart {
    let film = &report.outcome.film;
    let mut begins = Vec::with_capacity(film.chunks().len());
    let mut length = Duration::ZERO;
    for chunk in film.chunks() {
        begins.push(length);
        length += chunk.duration;
    }
    let every = film.chunks().len().div_ceil(BLOCKS_MAX).max(1);
    let mut spans = Vec::new();
    for one in report.course.fetched.iter().filter(|one| one.chunk.is_multiple_of(every)) {
        let Some(begin) = begins.get(one.chunk) else { continue };
        let low = begin.as_nanos() as f64;
        let high = low + film.duration(one.chunk).as_nanos() as f64 * every as f64;
        blocks(&mut spans, report, one, (low, high));
    }
    let played = &report.course.played;
    let played = played.iter().map(|(at, played)| (nanos(*at), played.as_nanos() as f64)).collect();
    let mut drawn = vec![series("played", Hue::Third, Form::Line, played)];
    if report.is_stream() {
        drawn.insert(0, series("received", Hue::First, Form::Line, received(report)));
    }
    let which = if every > 1 { format!(", every {every}th drawn") } else { String::new() };
    let label = format!("seconds of film; a block is a chunk on its way{which}");
    Chart {
        title: "Film as it came, and as it was played".into(),
        height: 190,
        x: time(report),
        y: Axis { label, unit: Unit::Nanos, ..Axis::default() },
        series: drawn,
        spans,
        ..Chart::default()
    }
}

/// What had come of a stream, in playing time: what was played and what is buffered.
fn received(report: &Report<'_>) -> Vec<(f64, f64)> {
    let course = &report.course;
    let sum = |(at, level): &(Moment, Duration)| {
        let played = super::text::level_at(&course.played, *at);
        (nanos(*at), (played + *level).as_nanos() as f64)
    };
    course.level.iter().map(sum).collect()
}

/// The wait for the first byte, then the body, the stronger the higher the quality.
fn blocks(spans: &mut Vec<Span>, report: &Report<'_>, one: &Fetched, (low, high): (f64, f64)) {
    let film = &report.outcome.film;
    let (asked, begun, ended) = (nanos(one.asked), nanos(one.begun), nanos(one.ended));
    let label = told(report, one);
    if begun > asked {
        let (hue, strength) = (Hue::Faded, 0.5);
        spans.push(Span { from: asked, to: begun, low, high, label: label.clone(), hue, strength });
    }
    let highest = film.qualities().saturating_sub(1).max(1) as f64;
    let (hue, strength) = match one.how {
        How::Received if film.qualities() == 1 => (Hue::First, 0.7),
        How::Received => (Hue::First, 0.3 + 0.7 * one.quality as f64 / highest),
        How::Abandoned | How::Failed | How::Unfinished => (Hue::Bad, 0.7),
    };
    spans.push(Span { from: begun, to: ended, low, high, label, hue, strength });
}

/// What a pointer is told of a chunk.
pub(super) fn told(report: &Report<'_>, one: &Fetched) -> String {
    let bps = report.outcome.film.rate_bps(one.quality);
    let how = match one.how {
        How::Received => "received",
        How::Abandoned => "abandoned",
        How::Failed => "failed",
        How::Unfinished => "unfinished",
    };
    let throughput = one.throughput_bps().map_or("–".to_owned(), rate);
    format!(
        "chunk {} in quality {} ({}): asked for at {} with {} buffered, first byte after {}, {how} \
         after {}: {} at {throughput}",
        one.chunk,
        one.quality,
        Unit::BitsPerSecond.said(bps),
        since_start(one.asked),
        said(one.level),
        said(one.begun.since(one.asked)),
        said(one.ended.since(one.asked)),
        Unit::Bytes.said(one.bytes as f64),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_goes_on_behind_the_end_is_cut_there() {
        let line = vec![(0.0, 0.0), (1.0, 10.0), (11.0, 0.0)];
        assert_eq!(cut(line.clone(), 6.0), [(0.0, 0.0), (1.0, 10.0), (6.0, 5.0)]);
        assert_eq!(cut(line.clone(), 11.0), line);
        assert_eq!(cut(line.clone(), 12.0), line);
        assert_eq!(cut(Vec::new(), 1.0), []);
    }
}
