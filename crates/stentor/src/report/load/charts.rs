//! The charts of a run of `load`.

use super::{Course, Head, nanos, said};
use crate::drive::load::outcome::{Interval, Outcome};
use crate::report::chart::{Axis, Chart, Form, Hue, Mark, On, Scale, Series, Unit};

/// All of them, with names for a page: latency and rate over time, percentiles, and what went wrong
/// over time if anything did.
pub(super) fn charts(head: &Head, outcome: &Outcome) -> Vec<(&'static str, Chart)> {
    let courses: Vec<Course<'_>> = outcome.intervals.iter().map(Course::of).collect();
    let mut charts = vec![
        ("latency", latency(&courses)),
        ("percentiles", percentiles(head, outcome)),
        ("rate", rate(head, &courses)),
    ];
    charts.extend(trouble(&courses).map(|chart| ("trouble", chart)));
    charts
}

fn series(name: &str, hue: Hue, form: Form, points: Vec<(f64, f64)>) -> Series {
    Series { name: name.to_owned(), hue, form, points }
}

/// The middle of an interval, in nanoseconds: what is drawn there happened around it.
fn middle(interval: &Interval) -> f64 {
    f64::midpoint(interval.from.as_nanos() as f64, interval.until.as_nanos() as f64)
}

fn time(courses: &[Course<'_>]) -> Axis {
    let end = courses.last().map(|course| course.interval.until.as_nanos() as f64);
    let begin = courses.first().map(|course| course.interval.from.as_nanos() as f64);
    let range = begin.zip(end).filter(|(begin, end)| begin < end);
    Axis {
        label: "time since the first request was due".into(),
        unit: Unit::Nanos,
        range,
        ..Axis::default()
    }
}

fn latency(courses: &[Course<'_>]) -> Chart {
    let points = |of: &dyn Fn(&Course<'_>) -> f64| {
        courses.iter().map(|course| (middle(course.interval), of(course))).collect::<Vec<_>>()
    };
    let worst = courses.iter().max_by_key(|course| course.percentile(99.0));
    let about = worst.map_or_else(String::new, |worst| {
        let at = Unit::Nanos.said(worst.interval.from.as_nanos() as f64);
        format!(
            "p99 is highest, {}, in the interval that begins at {at}.",
            said(worst.percentile(99.0))
        )
    });
    Chart {
        title: "Latency over time".into(),
        about,
        x: time(courses),
        y: Axis {
            label: "latency of the replies of each interval, logarithmic".into(),
            unit: Unit::Nanos,
            scale: Scale::Log,
            range: None,
        },
        series: vec![
            series("max", Hue::Faded, Form::Line, points(&|course| nanos(course.latency.max()))),
            series("p99", Hue::First, Form::Line, points(&|course| nanos(course.percentile(99.0)))),
            series(
                "p50",
                Hue::Second,
                Form::Line,
                points(&|course| nanos(course.percentile(50.0))),
            ),
        ],
        ..Chart::default()
    }
}

fn percentiles(head: &Head, outcome: &Outcome) -> Chart {
    let latency = &outcome.tally.latency;
    let curve = |latency: &stentor_core::measure::Latency| {
        let replies = latency.len() as f64;
        // Forty points for each nine, as far as the number of replies tells percentiles apart.
        let quantiles = (0..=240u32).map(|step| 1.0 - 10f64.powf(-f64::from(step) / 40.0));
        let quantiles = quantiles.filter(|quantile| (1.0 - quantile) * replies >= 1.0);
        let at = |quantile: f64| (quantile, nanos(latency.percentile(quantile * 100.0)));
        quantiles.map(at).chain([(1.0, nanos(latency.max()))]).collect::<Vec<_>>()
    };
    let mut lines = Vec::new();
    if !head.closed && !outcome.tally.lateness.is_empty() {
        lines.push(series(
            "our own lateness",
            Hue::Faded,
            Form::Dashed,
            curve(&outcome.tally.lateness),
        ));
    }
    if !latency.is_empty() {
        lines.push(series("latency", Hue::First, Form::Area, curve(latency)));
    }
    Chart {
        title: "Latency by percentile".into(),
        about: format!(
            "Half of all replies took at most {}, 99% at most {}, 99.9% at most {}, the longest {}.",
            said(latency.percentile(50.0)),
            said(latency.percentile(99.0)),
            said(latency.percentile(99.9)),
            said(latency.max())
        ),
        x: Axis {
            label: "percentile: so many of the replies took at most this long".into(),
            unit: Unit::Share,
            scale: Scale::Percentile,
            range: None,
        },
        y: Axis { label: "latency".into(), unit: Unit::Nanos, ..Axis::default() },
        series: lines,
        ..Chart::default()
    }
}

fn rate(head: &Head, courses: &[Course<'_>]) -> Chart {
    let mut lines = Vec::new();
    if head.counted {
        let sent = courses
            .iter()
            .map(|course| (middle(course.interval), course.rate(course.interval.counts.sent)));
        lines.push(series("sent", Hue::Third, Form::Dashed, sent.collect()));
    }
    let replies =
        courses.iter().map(|course| (middle(course.interval), course.rate(course.latency.len())));
    lines.push(series("answered", Hue::Second, Form::Area, replies.collect()));
    let offered = head.rate_per_second.map(|rate| Mark {
        on: On::Y,
        at: rate,
        label: "asked for".into(),
        hue: Hue::Faded,
    });
    Chart {
        title: "Requests a second".into(),
        about: "Requests sent and answered in each interval, beside the rate that was asked for."
            .into(),
        x: time(courses),
        y: Axis { label: "requests a second".into(), unit: Unit::PerSecond, ..Axis::default() },
        series: lines,
        marks: offered.into_iter().collect(),
        ..Chart::default()
    }
}

/// Everything that was not verified, over time; `None` if there was nothing.
fn trouble(courses: &[Course<'_>]) -> Option<Chart> {
    type Count = fn(&Interval) -> u64;
    let kinds: [(&str, Hue, Count); 4] = [
        ("wrong", Hue::Bad, |interval| interval.counts.wrong),
        ("error", Hue::Third, |interval| interval.counts.error),
        ("lost", Hue::Fourth, |interval| interval.counts.lost),
        ("late", Hue::Faded, |interval| interval.counts.late),
    ];
    let mut lines = Vec::new();
    for (name, hue, count) in kinds {
        let points =
            courses.iter().map(|course| (middle(course.interval), count(course.interval) as f64));
        let points: Vec<(f64, f64)> = points.collect();
        if points.iter().any(|(_, y)| *y > 0.0) {
            lines.push(series(name, hue, Form::Columns, points));
        }
    }
    if lines.is_empty() {
        return None;
    }
    let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
    Some(Chart {
        title: "What was not verified, over time".into(),
        about: format!("Requests of each interval that became {}.", names.join(", ")),
        height: 220,
        x: time(courses),
        y: Axis { label: "requests in each interval".into(), ..Axis::default() },
        series: lines,
        ..Chart::default()
    })
}
