//! The picture of a run of `qualify`: round trips over time, alone and beside a bulk transfer.

use stentor_core::moment::Moment;
use stentor_core::qualify::probe::Course;

use super::{Report, said};
use crate::report::chart::{Axis, Chart, Form, Hue, Series, Unit};

/// Each round trip at the time it began.
pub(super) fn delay(report: &Report<'_>) -> Chart {
    let outcome = report.outcome;
    let udp = outcome.udp.as_ref();
    let tcp = outcome.tcp.as_ref();
    let courses = [
        ("TCP", Hue::Second, tcp.and_then(|tcp| tcp.messages.as_ref())),
        ("UDP", Hue::First, udp.and_then(|udp| udp.train.as_ref()).map(|train| &train.course)),
        ("TCP beside bulk", Hue::Fourth, tcp.and_then(|tcp| tcp.loaded.as_ref())),
        (
            "UDP beside bulk",
            Hue::Third,
            udp.and_then(|udp| udp.loaded.as_ref()).map(|train| &train.course),
        ),
    ];
    let mut about = Vec::new();
    let mut series = Vec::new();
    for (name, hue, course) in courses {
        let Some(course) = course.filter(|course| !course.round_trips.is_empty()) else { continue };
        let trips = &course.round_trips;
        about.push(format!(
            "{name}: median {}, longest {}.",
            said(trips.percentile(50.0)),
            said(trips.max())
        ));
        let points = points(course, outcome.began);
        series.push(Series { name: name.to_owned(), hue, form: Form::Dots, points });
    }
    Chart {
        title: "Round trips over time".into(),
        about: about.join(" "),
        x: Axis { label: "time since the beginning".into(), unit: Unit::Nanos, ..Axis::default() },
        y: Axis { label: "round trip of each answer".into(), unit: Unit::Nanos, ..Axis::default() },
        series,
        ..Chart::default()
    }
}

fn points(course: &Course, began: Moment) -> Vec<(f64, f64)> {
    let nanos = |took: std::time::Duration| took.as_nanos() as f64;
    let point = |point: &stentor_core::qualify::probe::Point| {
        (nanos(point.sent.since(began)), point.took.map_or(f64::NAN, nanos))
    };
    course.points.iter().map(point).collect()
}
