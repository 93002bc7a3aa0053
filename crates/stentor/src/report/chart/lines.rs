//! A chart of series: grid, shades, lines, names at their ends, and what a pointer is told.

use std::borrow::Cow;
use std::fmt::Write;

use super::axis::{Axis, Ruler, values};
use super::thin::thinned;
use super::{Chart, Form, Mark, On, Series, Span, escape, extent, pixel, text};
use crate::report::ladder::lines::fit;

/// Ticks on an axis, about: on the lower one by its width in pixels.
const Y_TICKS: u32 = 5;
const X_TICK_PIXELS: u32 = 110;
/// Places a pointer can ask about, at most: each costs some hundred bytes.
const SLOTS_MAX: usize = 120;
/// Pixels between the names at the ends of lines.
const NAME_PIXELS: f64 = 14.0;
/// Characters of a name or label, at most.
const NAME_COLUMNS: usize = 26;

/// Everything within the frame of a chart.
pub(super) fn body(chart: &Chart) -> String {
    let stacked = stacked(&chart.series);
    let plot = Plot::of(chart, &stacked);
    let mut body = String::new();
    text(&mut body, 18.0, 26.0, "title", &chart.title);
    text(&mut body, 18.0, 44.0, "faint", &chart.y.label);
    bands(&mut body, chart, &plot);
    x_grid(&mut body, &plot, true);
    if !chart.x.label.is_empty() {
        text(&mut body, plot.right, plot.bottom + 33.0, "faint right", &chart.x.label);
    }
    if is_empty(chart) {
        y_grid(&mut body, &plot);
        nothing(&mut body, &plot);
        return body;
    }
    within(&mut body, chart, &stacked, &plot);
    slots(&mut body, chart, &plot);
    body
}

/// Whether there is nothing to draw.
pub(super) fn is_empty(chart: &Chart) -> bool {
    chart.spans.is_empty() && values(&chart.series, |point| point.1).next().is_none()
}

/// Says that there is nothing to draw.
pub(super) fn nothing(body: &mut String, plot: &Plot) {
    let (x, y) = ((plot.left + plot.right) / 2.0, (plot.top + plot.bottom) / 2.0);
    text(body, x, y, "faint middle", "nothing was measured");
}

/// What is drawn within the frame, and the names beside it.
pub(super) fn within(body: &mut String, chart: &Chart, stacked: &[Series], plot: &Plot) {
    y_grid(body, plot);
    chart.spans.iter().for_each(|span| draw_span(body, span, plot));
    // The lower columns in front of those that stand on them, and lines in front of all.
    let columns = |series: &&Series| series.form == Form::Columns;
    for series in stacked.iter().rev().filter(columns) {
        draw(body, series, plot);
    }
    for series in stacked.iter().filter(|series| !columns(series)) {
        draw(body, series, plot);
    }
    band_labels(body, chart, plot);
    for mark in &chart.marks {
        draw_mark(body, mark, plot);
    }
    names(body, stacked, plot);
}

/// The series with each column as high as it and those under it.
pub(super) fn stacked(series: &[Series]) -> Cow<'_, [Series]> {
    if series.iter().filter(|series| series.form == Form::Columns).count() < 2 {
        return Cow::Borrowed(series);
    }
    let at = |series: &Series, place: f64| {
        let found = series.points.partition_point(|(x, _)| *x < place);
        let point = series.points.get(found).filter(|(x, y)| *x == place && y.is_finite());
        point.map_or(0.0, |(_, y)| *y)
    };
    let mut stacked = series.to_vec();
    for (number, one) in stacked.iter_mut().enumerate() {
        let under = series.iter().take(number).filter(|under| under.form == Form::Columns);
        if one.form == Form::Columns {
            for under in under {
                one.points.iter_mut().for_each(|(x, y)| *y += at(under, *x));
            }
        }
    }
    Cow::Owned(stacked)
}

/// The plot's frame in pixels, and its axes.
pub(super) struct Plot {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) x: Ruler,
    y: Ruler,
    x_ticks: Vec<(f64, String)>,
    y_ticks: Vec<(f64, String)>,
}

impl Plot {
    fn of(chart: &Chart, drawn: &[Series]) -> Plot {
        Plot::over(&chart.x, chart, drawn)
    }

    /// The frame of a chart that has another's axis of x.
    pub(super) fn over(x: &Axis, chart: &Chart, drawn: &[Series]) -> Plot {
        let limits =
            |on: On| chart.marks.iter().filter(move |mark| mark.on == on).map(|mark| mark.at);
        let spans = &chart.spans;
        let ends = spans.iter().flat_map(|span| [span.from, span.to]);
        let x = Ruler::new(x, values(drawn, |point| point.0).chain(ends));
        let highs = spans.iter().map(|span| span.high);
        let y = values(drawn, |point| point.1).chain(limits(On::Y)).chain(highs);
        let y = Ruler::new(&chart.y, y).with_headroom(Y_TICKS);
        let (x_ticks, y_ticks) = (x.ticks(chart.width / X_TICK_PIXELS), y.ticks(Y_TICKS));
        let widest = |words: &mut dyn Iterator<Item = &str>| words.map(extent).fold(0.0, f64::max);
        let ticks = widest(&mut y_ticks.iter().map(|(_, words)| words.as_str()));
        let short = |name: &str| fit(name, NAME_COLUMNS);
        let names: Vec<String> = chart.series.iter().map(|series| short(&series.name)).collect();
        let names = widest(&mut names.iter().map(String::as_str));
        let (width, height) = (f64::from(chart.width), f64::from(chart.height));
        // Charts below one another have the same frame, unless their words need more.
        let left = (18.0 + ticks + 8.0).max(width * 0.09);
        let names = (names + 34.0).max(width * 0.16);
        let top = if chart.y.label.is_empty() { 46.0 } else { 60.0 };
        Plot {
            left,
            right: (width - names).max(left + 1.0),
            top,
            bottom: (height - if chart.x.label.is_empty() { 30.0 } else { 44.0 }).max(top + 1.0),
            x,
            y,
            x_ticks,
            y_ticks,
        }
    }

    pub(super) fn x(&self, value: f64) -> f64 {
        self.left + self.x.at(value) * (self.right - self.left)
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        self.bottom - self.y.at(value) * (self.bottom - self.top)
    }

    /// The points in pixels; a gap where one cannot be drawn.
    fn pixels<'a>(&'a self, series: &'a Series) -> impl Iterator<Item = Option<(f64, f64)>> + 'a {
        series
            .points
            .iter()
            .filter(|(x, _)| x.is_finite())
            .map(|&(x, y)| y.is_finite().then(|| (self.x(x), self.y(y))))
    }
}

fn bands(body: &mut String, chart: &Chart, plot: &Plot) {
    for band in &chart.bands {
        let (from, to) = (plot.x(band.from), plot.x(band.to));
        let (hue, label) = (band.hue.class(), escape(&band.label));
        let _ = writeln!(
            body,
            "<g class=\"{hue}\"><title>{label}</title><rect class=\"band\" x=\"{}\" y=\"{}\" \
             width=\"{}\" height=\"{}\"/></g>",
            pixel(from),
            pixel(plot.top),
            pixel((to - from).max(1.0)),
            pixel(plot.bottom - plot.top)
        );
    }
}

/// What the bands are, in front of the lines, where there is room.
fn band_labels(body: &mut String, chart: &Chart, plot: &Plot) {
    for band in &chart.bands {
        let (from, to) = (plot.x(band.from), plot.x(band.to));
        if extent(&band.label) + 8.0 < to - from {
            let class = format!("said {}", band.hue.class());
            text(body, from + 5.0, plot.bottom - 6.0, &class, &band.label);
        }
    }
}

/// Lines at the ticks of y, with their words.
fn y_grid(body: &mut String, plot: &Plot) {
    let (left, right) = (pixel(plot.left), pixel(plot.right));
    for (value, words) in &plot.y_ticks {
        let y = plot.y(*value);
        let _ = writeln!(body, "<path class=\"grid\" d=\"M{left} {}H{right}\"/>", pixel(y));
        text(body, plot.left - 8.0, y + 4.0, "tick right", words);
    }
}

/// The axis of x and lines at its ticks, with or without words.
pub(super) fn x_grid(body: &mut String, plot: &Plot, worded: bool) {
    let (top, bottom) = (pixel(plot.top), pixel(plot.bottom));
    for (value, words) in &plot.x_ticks {
        let x = plot.x(*value);
        let _ = writeln!(body, "<path class=\"grid\" d=\"M{} {top}V{bottom}\"/>", pixel(x));
        if worded {
            text(body, x, plot.bottom + 16.0, "tick middle", words);
        }
    }
    let (left, right) = (pixel(plot.left), pixel(plot.right));
    let _ = writeln!(body, "<path class=\"axis\" d=\"M{left} {bottom}H{right}\"/>");
}

/// A stretch of x at a height; one that would be too thin to be seen is a pixel wide and high.
fn draw_span(body: &mut String, span: &Span, plot: &Plot) {
    let (from, to) = (plot.x(span.from), plot.x(span.to));
    let (top, bottom) = (plot.y(span.high), plot.y(span.low));
    let (hue, label) = (span.hue.class(), escape(&span.label));
    let _ = writeln!(
        body,
        "<g class=\"{hue}\"><title>{label}</title><rect class=\"span\" opacity=\"{}\" x=\"{}\" \
         y=\"{}\" width=\"{}\" height=\"{}\"/></g>",
        pixel(span.strength.clamp(0.1, 1.0)),
        pixel(from),
        pixel(top),
        pixel((to - from).max(1.0)),
        pixel((bottom - top).max(1.0)),
    );
}

fn draw(body: &mut String, series: &Series, plot: &Plot) {
    let points = thinned(plot.pixels(series));
    let _ = writeln!(
        body,
        "<g class=\"{}\"><title>{}</title>",
        series.hue.class(),
        escape(&series.name)
    );
    match series.form {
        Form::Line => curve(body, "curve", &path(&points, false)),
        Form::Dashed => curve(body, "curve dashed", &path(&points, false)),
        Form::Steps => curve(body, "curve", &path(&points, true)),
        Form::Area => {
            curve(body, "under", &under(&points, plot.bottom));
            curve(body, "curve", &path(&points, false));
        }
        Form::Columns => columns(body, &points, plot),
        Form::Dots => points.iter().flatten().for_each(|point| dot(body, *point)),
    }
    // A line of one point has no length: it is seen as a dot.
    let line = !matches!(series.form, Form::Columns | Form::Dots);
    for lonely in points.split(Option::is_none).filter(|run| line && run.len() == 1) {
        lonely.iter().flatten().for_each(|point| dot(body, *point));
    }
    body.push_str("</g>\n");
}

fn curve(body: &mut String, class: &str, path: &str) {
    if !path.is_empty() {
        let _ = writeln!(body, "<path class=\"{class}\" d=\"{path}\"/>");
    }
}

pub(super) fn dot(body: &mut String, (x, y): (f64, f64)) {
    let _ =
        writeln!(body, "<circle class=\"point\" cx=\"{}\" cy=\"{}\" r=\"3\"/>", pixel(x), pixel(y));
}

/// The line through the points, begun anew after each gap.
fn path(points: &[Option<(f64, f64)>], steps: bool) -> String {
    let mut path = String::new();
    let mut drawing = false;
    for point in points {
        let Some((x, y)) = point else {
            drawing = false;
            continue;
        };
        let (x, y) = (pixel(*x), pixel(*y));
        let _ = match (drawing, steps) {
            (false, _) => write!(path, "M{x} {y}"),
            (true, true) => write!(path, "H{x}V{y}"),
            (true, false) => write!(path, "L{x} {y}"),
        };
        drawing = true;
    }
    path
}

/// What lies between the line and the axis.
fn under(points: &[Option<(f64, f64)>], bottom: f64) -> String {
    let mut path = String::new();
    for run in points.split(Option::is_none) {
        let run: Vec<(f64, f64)> = run.iter().flatten().copied().collect();
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let _ = write!(path, "M{} {}", pixel(first.0), pixel(bottom));
        for (x, y) in &run {
            let _ = write!(path, "L{} {}", pixel(*x), pixel(*y));
        }
        let _ = write!(path, "L{} {}Z", pixel(last.0), pixel(bottom));
    }
    path
}

fn columns(body: &mut String, points: &[Option<(f64, f64)>], plot: &Plot) {
    let places: Vec<f64> = points.iter().flatten().map(|(x, _)| *x).collect();
    let gaps = places.windows(2).map(|pair| match pair {
        [left, right] if right - left >= 1.0 => right - left,
        _ => f64::INFINITY,
    });
    let wide = gaps.fold(24.0, f64::min) * 0.7;
    for (x, y) in points.iter().flatten().filter(|(_, y)| *y < plot.bottom - 0.01) {
        let (from, to) = ((x - wide / 2.0).max(plot.left), (x + wide / 2.0).min(plot.right));
        // The least that is not nothing can be seen.
        let y = y.min(plot.bottom - 1.0);
        let _ = writeln!(
            body,
            "<rect class=\"column\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            pixel(from),
            pixel(y),
            pixel((to - from).max(1.0)),
            pixel(plot.bottom - y)
        );
    }
}

fn draw_mark(body: &mut String, mark: &Mark, plot: &Plot) {
    let (hue, label) = (mark.hue.class(), fit(&mark.label, NAME_COLUMNS * 2));
    let class = format!("said {hue}");
    let path = match mark.on {
        On::X if plot.x.has(mark.at) => {
            let x = plot.x(mark.at);
            let right = x + extent(&label) + 8.0 > plot.right;
            let class = if right { format!("{class} right") } else { class };
            let beside = if right { -4.0 } else { 4.0 };
            text(body, x + beside, plot.top - 4.0, &class, &label);
            format!("M{} {}V{}", pixel(x), pixel(plot.top - 14.0), pixel(plot.bottom))
        }
        On::Y if plot.y.has(mark.at) => {
            let y = plot.y(mark.at);
            text(body, plot.left + 5.0, y - 4.0, &class, &label);
            format!("M{} {}H{}", pixel(plot.left), pixel(y), pixel(plot.right))
        }
        On::X | On::Y => return,
    };
    let label = escape(&mark.label);
    let _ = writeln!(
        body,
        "<g class=\"{hue}\"><title>{label}</title><path class=\"mark\" d=\"{path}\"/></g>"
    );
}

/// Names where the lines end, moved apart where they would stand on one another.
fn names(body: &mut String, drawn: &[Series], plot: &Plot) {
    let mut ends: Vec<(f64, (f64, f64), &Series)> = Vec::new();
    for series in drawn {
        let last = series.points.iter().rev().find(|(x, y)| x.is_finite() && y.is_finite());
        if let Some(&(x, y)) = last {
            ends.push((plot.y(y), (plot.x(x), plot.y(y)), series));
        }
    }
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut floor = plot.top;
    for (at, ..) in &mut ends {
        *at = at.max(floor);
        floor = *at + NAME_PIXELS;
    }
    let mut ceiling = plot.bottom;
    for (at, ..) in ends.iter_mut().rev() {
        *at = at.min(ceiling);
        ceiling = *at - NAME_PIXELS;
    }
    let x = plot.right + 14.0;
    for (at, (end, from), series) in ends {
        let hue = series.hue.class();
        if (at - from).abs() > 3.0 {
            let _ = writeln!(
                body,
                "<path class=\"leader {hue}\" d=\"M{} {}L{} {}\"/>",
                pixel(end + 2.0),
                pixel(from),
                pixel(x - 3.0),
                pixel(at)
            );
        }
        text(body, x, at + 4.0, &format!("end {hue}"), &fit(&series.name, NAME_COLUMNS));
    }
}

/// Upright stretches that say, under a pointer, the values there.
fn slots(body: &mut String, chart: &Chart, plot: &Plot) {
    for (at, stretch) in places(values(&chart.series, |point| point.0), plot) {
        slot(body, chart, plot, at, stretch);
    }
}

/// Where a pointer can ask: the value and its pixel, and the pixels from which and up to which it is
/// the nearest.
pub(super) fn places(
    values: impl Iterator<Item = f64>,
    plot: &Plot,
) -> Vec<((f64, f64), (f64, f64))> {
    let mut places: Vec<f64> = values.collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let every = places.len().div_ceil(SLOTS_MAX).max(1);
    let places: Vec<f64> = places.into_iter().step_by(every).collect();
    let pixels: Vec<f64> = places.iter().map(|place| plot.x(*place)).collect();
    let between = |left: usize| match pixels.get(left..left + 2) {
        Some([left, right]) => Some(f64::midpoint(*left, *right)),
        _ => None,
    };
    let stretch = |(number, (place, x)): (usize, (&f64, &f64))| {
        let from = number.checked_sub(1).and_then(between).unwrap_or(plot.left);
        let to = between(number).unwrap_or(plot.right);
        ((*place, *x), (from, to))
    };
    places.iter().zip(&pixels).enumerate().map(stretch).collect()
}

fn slot(body: &mut String, chart: &Chart, plot: &Plot, at: (f64, f64), (from, to): (f64, f64)) {
    let (top, bottom) = (pixel(plot.top), pixel(plot.bottom));
    let mut said = chart.x.unit.said(at.0);
    let mut dots = String::new();
    for series in &chart.series {
        let Some(y) = series.at(at.0) else { continue };
        let _ = write!(said, "\n{} {}", series.name, chart.y.unit.said(y));
        if series.form == Form::Columns {
            continue;
        }
        let _ = write!(dots, "<g class=\"{}\">", series.hue.class());
        dot(&mut dots, (at.1, plot.y(y)));
        dots.push_str("</g>");
    }
    let words: Vec<String> = said.lines().map(escape).collect();
    let _ = writeln!(
        body,
        "<g class=\"slot\"><title>{}</title><rect class=\"catch\" x=\"{}\" y=\"{top}\" width=\"{}\" \
         height=\"{}\"/><path class=\"hair\" d=\"M{} {top}V{bottom}\"/>{dots}</g>",
        words.join("\n"),
        pixel(from),
        pixel((to - from).max(0.1)),
        pixel(plot.bottom - plot.top),
        pixel(at.1),
    );
}
