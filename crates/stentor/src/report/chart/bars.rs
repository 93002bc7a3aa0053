//! Bars from left to right: the same measure of several things, and how many times one is another.

use std::fmt::Write;

use super::axis::{Axis, Ruler};
use super::{CHARACTER, Hue, Unit, WIDTH, alone, escape, extent, figure, pixel, text};
use crate::report::ladder::lines::fit;

/// Characters of a label, at most.
const LABEL_COLUMNS: usize = 34;
/// Pixels from a bar to the next.
const ROW: f64 = 26.0;

/// Things compared by one measure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bars {
    /// What is shown, in a few words.
    pub title: String,
    /// What there is to see, in sentences, for those who cannot see it.
    pub about: String,
    /// What is measured, and which way is better: `requests a second, more is better`.
    pub label: String,
    /// The unit of all values.
    pub unit: Unit,
    /// The bars, from the top.
    pub bars: Vec<Bar>,
    /// The place among the bars of the one that the others are said to be so many times of.
    pub reference: Option<usize>,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bar {
    /// What it is.
    pub label: String,
    /// How much; what is negative or no number is drawn as nothing.
    pub value: f64,
    /// The lowest and highest of several runs.
    pub spread: Option<(f64, f64)>,
    /// Said after the value.
    pub note: String,
    /// Colour.
    pub hue: Hue,
}

impl Bars {
    /// The bars as a file that stands alone.
    pub fn svg(&self) -> String {
        alone(&self.title, &self.about, WIDTH, self.height(), &self.body())
    }

    /// The bars as an element of a page, as [`super::Chart::figure`].
    pub fn figure(&self, id: &str) -> String {
        figure(id, &self.title, &self.about, WIDTH, self.height(), &self.body())
    }

    /// Height in pixels.
    fn height(&self) -> u32 {
        let rows = u32::try_from(self.bars.len().max(1)).unwrap_or(u32::MAX);
        rows.saturating_mul(26).saturating_add(74)
    }

    fn body(&self) -> String {
        let mut body = String::new();
        text(&mut body, 18.0, 26.0, "title", &self.title);
        text(&mut body, 18.0, 44.0, "faint", &self.label);
        if self.bars.is_empty() {
            text(&mut body, 18.0, 72.0, "faint", "nothing was measured");
            return body;
        }
        let said: Vec<String> = self.bars.iter().map(|bar| self.said(bar)).collect();
        let labels = self.bars.iter().map(|bar| extent(&fit(&bar.label, LABEL_COLUMNS)));
        let left = 18.0 + labels.fold(0.0, f64::max) + 10.0;
        let words = said.iter().map(|said| extent(said)).fold(0.0, f64::max);
        let right = (f64::from(WIDTH) - words - 30.0).max(left + 60.0);
        let ends =
            self.bars.iter().flat_map(|bar| [bar.value, bar.spread.map_or(0.0, |spread| spread.1)]);
        let axis = Axis { unit: self.unit, ..Axis::default() };
        let ruler = Ruler::new(&axis, ends);
        let x = |value: f64| left + ruler.at(value.max(0.0)) * (right - left);
        let mut y = 58.0;
        for (bar, said) in self.bars.iter().zip(&said) {
            self.row(&mut body, bar, said, (left, y), &x);
            y += ROW;
        }
        let (left, top, bottom) = (pixel(left), pixel(54.0), pixel(y));
        let _ = writeln!(body, "<path class=\"axis\" d=\"M{left} {top}V{bottom}\"/>");
        body
    }

    fn row(
        &self,
        body: &mut String,
        bar: &Bar,
        said: &str,
        (left, y): (f64, f64),
        x: &dyn Fn(f64) -> f64,
    ) {
        let end = x(bar.value);
        text(body, left - 10.0, y + 15.0, "right", &fit(&bar.label, LABEL_COLUMNS));
        let _ = writeln!(
            body,
            "<g class=\"{}\"><title>{}: {}</title><rect class=\"bar\" x=\"{}\" y=\"{}\" \
             width=\"{}\" height=\"16\" rx=\"2\"/>",
            bar.hue.class(),
            escape(&bar.label),
            escape(said),
            pixel(left),
            pixel(y + 3.0),
            pixel(end - left)
        );
        let mut after = end;
        if let Some((low, high)) = bar.spread {
            let (low, high) = (x(low.min(high)), x(high.max(low)));
            after = after.max(high);
            let _ = writeln!(
                body,
                "<path class=\"spread\" d=\"M{} {y1}V{y2}M{} {y1}V{y2}M{} {y3}H{}\"/>",
                pixel(low),
                pixel(high),
                pixel(low),
                pixel(high),
                y1 = pixel(y + 7.0),
                y2 = pixel(y + 15.0),
                y3 = pixel(y + 11.0),
            );
        }
        body.push_str("</g>\n");
        text(body, after + CHARACTER, y + 15.0, "", said);
    }

    /// The value, how many times the reference it is, and the note.
    fn said(&self, bar: &Bar) -> String {
        let mut said = self.unit.said(bar.value);
        let reference = self.reference.and_then(|place| self.bars.get(place));
        if let Some(reference) = reference.filter(|reference| reference.value > 0.0) {
            let _ = write!(said, "  {}", Unit::Times.said(bar.value / reference.value));
        }
        if !bar.note.is_empty() {
            let _ = write!(said, "  {}", bar.note);
        }
        said
    }
}
