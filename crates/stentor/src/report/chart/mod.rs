//! Charts as SVG, for every verb that measures: [`Chart`] draws series over time or as a curve of
//! percentiles, [`Panels`] several below one another over the same time, [`Bars`] compares,
//! [`sparkline`] fits into a line of text.
//!
//! A chart is a value: fill it in, then take [`Chart::svg`], a file that stands alone, or
//! [`Chart::figure`], for a page that has [`style`] in its head. Both are light or dark with the
//! reader, in the fonts of every other picture here, say in words what they show, and answer a
//! pointer by `<title>` and style alone, without a script. A chart of no points says so.

mod axis;
mod bars;
mod lines;
mod panels;
mod spark;
#[cfg(test)]
mod tests;
mod thin;

pub use self::axis::{Axis, Scale, Unit};
pub use self::bars::{Bar, Bars};
pub use self::panels::Panels;
pub use self::spark::sparkline;

use std::fmt::Write;

use super::svg::escape;

/// Width in pixels of a chart that fills a page, as of the ladder.
pub const WIDTH: u32 = 920;
/// Height in pixels of a chart over time.
pub const HEIGHT: u32 = 280;

/// How wide a character of 11 pixels is taken to be; the fonts of the page are all near it.
const CHARACTER: f64 = 6.7;

/// Series of points in two dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What is shown, in a few words, above the chart.
    pub title: String,
    /// What there is to see, in sentences, for those who cannot see it.
    pub about: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// From left to right.
    pub x: Axis,
    /// From the bottom up.
    pub y: Axis,
    /// What is drawn, the last one in front; columns behind lines.
    pub series: Vec<Series>,
    /// Shaded stretches of x, behind everything.
    pub bands: Vec<Band>,
    /// Lines at one value across the chart.
    pub marks: Vec<Mark>,
    /// Stretches of x at a height, behind the series.
    pub spans: Vec<Span>,
}

impl Default for Chart {
    fn default() -> Chart {
        Chart {
            title: String::new(),
            about: String::new(),
            width: WIDTH,
            height: HEIGHT,
            x: Axis::default(),
            y: Axis::default(),
            series: Vec::new(),
            bands: Vec::new(),
            marks: Vec::new(),
            spans: Vec::new(),
        }
    }
}

/// Points that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// A short name; it stands where the line ends.
    pub name: String,
    /// Colour.
    pub hue: Hue,
    /// How the points are drawn.
    pub form: Form,
    /// `(x, y)` with x ascending, in the units of the axes. A y that is not finite is a gap.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    /// The value that holds at `x`: that of the last point up to it; `None` in a gap.
    fn at(&self, x: f64) -> Option<f64> {
        let before = self.points.partition_point(|(place, _)| *place <= x);
        let point = before.checked_sub(1).and_then(|place| self.points.get(place));
        point.map(|(_, y)| *y).filter(|y| y.is_finite())
    }
}

/// A colour by its place or its meaning; light and dark have their own shades of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hue {
    /// Of the first series.
    #[default]
    First,
    /// Of the second.
    Second,
    /// Of the third.
    Third,
    /// Of the fourth.
    Fourth,
    /// Of what is as it should be.
    Good,
    /// Of what is wrong.
    Bad,
    /// Of what is there for comparison.
    Faded,
}

impl Hue {
    /// The class in the style sheet.
    fn class(self) -> &'static str {
        match self {
            Hue::First => "first",
            Hue::Second => "second",
            Hue::Third => "third",
            Hue::Fourth => "fourth",
            Hue::Good => "good",
            Hue::Bad => "bad",
            Hue::Faded => "faded",
        }
    }
}

/// How the points of a series are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// A line from point to point.
    #[default]
    Line,
    /// The same, dashed: what was asked for beside what was got.
    Dashed,
    /// A line that keeps each value until the next.
    Steps,
    /// A line and a shade below it.
    Area,
    /// An upright column for each point; zero draws none. Those of a later series stand on those
    /// of an earlier one.
    Columns,
    /// A dot for each point.
    Dots,
}

/// A shaded stretch of x.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// Where it begins, in the unit of x.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// What it is: `warm-up`.
    pub label: String,
    /// Colour.
    pub hue: Hue,
}

/// A stretch of x at a height: a block on a time line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Span {
    /// Where it begins, in the unit of x.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// Its lower edge, in the unit of y.
    pub low: f64,
    /// Its upper edge.
    pub high: f64,
    /// What it is, told to a pointer.
    pub label: String,
    /// Colour.
    pub hue: Hue,
    /// How strong the colour is: 0 hardly seen, 1 full.
    pub strength: f64,
}

/// A line at one value across the chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The axis the value is of: on x the line stands upright.
    pub on: On,
    /// The value, in the unit of that axis.
    pub at: f64,
    /// What happened there, or whose limit it is.
    pub label: String,
    /// Colour.
    pub hue: Hue,
}

/// One of the two axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// From left to right.
    X,
    /// From the bottom up.
    Y,
}

impl Chart {
    /// The chart as a file that stands alone.
    pub fn svg(&self) -> String {
        alone(&self.title, &self.about, self.width, self.height, &lines::body(self))
    }

    /// The chart as an element of a page that has [`style`] in its head and the class `stentor` on
    /// its body. No two charts of a page have the same `id`, an XML name.
    pub fn figure(&self, id: &str) -> String {
        figure(id, &self.title, &self.about, self.width, self.height, &lines::body(self))
    }
}

/// The style sheet of all charts, for the head of a page.
pub fn style() -> &'static str {
    concat!(include_str!("../palette.css"), include_str!("chart.css"))
}

fn alone(title: &str, about: &str, width: u32, height: u32, body: &str) -> String {
    let style = style();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"stentor chart\" role=\"img\" \
         aria-labelledby=\"chart-title chart-about\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<title id=\"chart-title\">{}</title>\n\
         <desc id=\"chart-about\">{}</desc>\n<style>{style}</style>\n\
         <rect class=\"ground\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\n{body}</svg>\n",
        escape(title),
        escape(about)
    )
}

fn figure(id: &str, title: &str, about: &str, width: u32, height: u32, body: &str) -> String {
    let id = escape(id);
    format!(
        "<figure>\n<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" \
         aria-labelledby=\"{id}-title {id}-about\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<title id=\"{id}-title\">{}</title>\n\
         <desc id=\"{id}-about\">{}</desc>\n{body}</svg>\n</figure>\n",
        escape(title),
        escape(about)
    )
}

/// A line of text at a place in pixels.
fn text(body: &mut String, x: f64, y: f64, class: &str, words: &str) {
    let (x, y, words) = (pixel(x), pixel(y), escape(words));
    let _ = writeln!(body, "<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{words}</text>");
}

/// A coordinate to a tenth of a pixel, `0` if it is no number: pictures never say NaN.
fn pixel(at: f64) -> String {
    if !at.is_finite() {
        return "0".to_owned();
    }
    let digits = format!("{at:.1}");
    match digits.strip_suffix(".0") {
        Some("-0") => "0".to_owned(),
        Some(whole) => whole.to_owned(),
        None => digits,
    }
}

/// How many pixels words take.
fn extent(words: &str) -> f64 {
    super::ladder::lines::columns(words) as f64 * CHARACTER
}
