//! Charts below one another over the same time: one frame from left to right, shades that go through
//! all of them, and a pointer that asks all of them at once.

use std::fmt::Write;

use super::axis::{Axis, values};
use super::lines::{Plot, dot, is_empty, nothing, places, stacked, within, x_grid};
use super::{Band, Chart, Series, WIDTH, alone, escape, extent, figure, pixel, text};

/// Pixels above the first panel: the title, and what a pointer is told.
const HEAD: u32 = 62;
/// Pixels of a panel above its plot, below the one before.
const CAPTION: u32 = 34;
/// Pixels below the last panel, for the words of its axis.
const FOOT: u32 = 44;

/// Charts over the same x.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panels {
    /// What is shown, in a few words, above all.
    pub title: String,
    /// The same in a sentence, below the title.
    pub subtitle: String,
    /// What there is to see, in sentences, for those who cannot see it.
    pub about: String,
    /// The panels, from the top. Their heights are those of their plots; the first one's x is that of
    /// all, and their own bands are not drawn.
    pub charts: Vec<Chart>,
    /// Shaded stretches of x, through all panels.
    pub bands: Vec<Band>,
}

impl Panels {
    /// The panels as a file that stands alone.
    pub fn svg(&self) -> String {
        alone(&self.title, &self.about, WIDTH, self.height(), &self.body())
    }

    /// The panels as an element of a page, as [`Chart::figure`].
    pub fn figure(&self, id: &str) -> String {
        figure(id, &self.title, &self.about, WIDTH, self.height(), &self.body())
    }

    fn height(&self) -> u32 {
        let plots: u32 = self.charts.iter().map(|chart| chart.height).sum();
        let panels = u32::try_from(self.charts.len()).unwrap_or(u32::MAX);
        panels.saturating_mul(CAPTION).saturating_add(plots).saturating_add(HEAD + FOOT)
    }

    fn body(&self) -> String {
        let drawn: Vec<_> = self.charts.iter().map(|chart| stacked(&chart.series)).collect();
        let mut body = String::new();
        text(&mut body, 18.0, 26.0, "title", &self.title);
        text(&mut body, 18.0, 44.0, "faint", &self.subtitle);
        let plots = self.plots(&drawn);
        let (Some(first), Some(last)) = (plots.first(), plots.last()) else { return body };
        self.shades(&mut body, first, last);
        for ((chart, stacked), plot) in self.charts.iter().zip(&drawn).zip(&plots) {
            let (x, y) = (18.0, plot.top - 10.0);
            text(&mut body, x, y, "panel", &chart.title);
            text(&mut body, x + extent(&chart.title) + 12.0, y, "faint", &chart.y.label);
            x_grid(&mut body, plot, std::ptr::eq(plot, last));
            match is_empty(chart) {
                true => nothing(&mut body, plot),
                false => within(&mut body, chart, stacked, plot),
            }
        }
        let label = self.charts.first().map_or("", |chart| chart.x.label.as_str());
        text(&mut body, last.right, last.bottom + 33.0, "faint right", label);
        self.slots(&mut body, &plots);
        body
    }

    /// The frame of each panel; all have the same left and right, and the same x.
    fn plots<S: AsRef<[Series]>>(&self, drawn: &[S]) -> Vec<Plot> {
        let mut plots: Vec<Plot> = Vec::new();
        let mut top = f64::from(HEAD);
        let x = self.x();
        for (chart, stacked) in self.charts.iter().zip(drawn) {
            let mut plot = Plot::over(&x, chart, stacked.as_ref());
            plot.top = top + f64::from(CAPTION);
            plot.bottom = plot.top + f64::from(chart.height);
            top = plot.bottom;
            plots.push(plot);
        }
        let left = plots.iter().map(|plot| plot.left).fold(0.0, f64::max);
        let right = plots.iter().map(|plot| plot.right).fold(f64::from(WIDTH), f64::min);
        for plot in &mut plots {
            (plot.left, plot.right) = (left, right.max(left + 1.0));
        }
        plots
    }

    /// The first panel's axis, as far as any panel reaches.
    fn x(&self) -> Axis {
        let first = self.charts.first().map(|chart| chart.x.clone()).unwrap_or_default();
        let points = |chart: &'_ Chart| {
            let ends = chart.spans.iter().flat_map(|span| [span.from, span.to]);
            values(&chart.series, |point| point.0).chain(ends).fold(f64::NEG_INFINITY, f64::max)
        };
        let furthest = self.charts.iter().map(points).fold(f64::NEG_INFINITY, f64::max);
        let reaches = furthest.is_finite().then_some((0.0, furthest));
        Axis { range: first.range.or(reaches), ..first }
    }

    fn shades(&self, body: &mut String, first: &Plot, last: &Plot) {
        for band in &self.bands {
            let (from, to) = (first.x(band.from), first.x(band.to));
            let _ = writeln!(
                body,
                "<g class=\"{}\"><title>{}</title><rect class=\"band\" x=\"{}\" y=\"{}\" \
                 width=\"{}\" height=\"{}\"/></g>",
                band.hue.class(),
                escape(&band.label),
                pixel(from),
                pixel(first.top),
                pixel((to - from).max(0.5)),
                pixel(last.bottom - first.top)
            );
        }
    }

    /// Upright stretches that say, under a pointer, the values of all panels there. Panels of blocks
    /// have none of them: there the blocks answer.
    fn slots(&self, body: &mut String, plots: &[Plot]) {
        let (Some(first), Some(last)) = (plots.first(), plots.last()) else { return };
        let unit = self.charts.first().map(|chart| chart.x.unit).unwrap_or_default();
        let asked = self.charts.iter().filter(|chart| chart.spans.is_empty());
        let values = asked.flat_map(|chart| values(&chart.series, |point| point.0));
        for (at, (from, to)) in places(values, first) {
            let (mut said, mut caught) = (vec![unit.said(at.0)], String::new());
            for (chart, plot) in self.charts.iter().zip(plots) {
                let told = asks(&mut caught, chart, plot, at, (from, to));
                said.extend(told);
            }
            let _ = writeln!(
                body,
                "<g class=\"slot\"><title>{}</title><path class=\"hair\" d=\"M{} {}V{}\"/>{caught}",
                said.iter().map(|one| escape(one)).collect::<Vec<_>>().join("\n"),
                pixel(at.1),
                pixel(first.top),
                pixel(last.bottom),
            );
            text(body, 18.0, f64::from(HEAD), "readout", &said.join("   "));
            body.push_str("</g>\n");
        }
    }
}

/// What a panel answers at a place, and where it listens for the question.
fn asks(
    caught: &mut String,
    chart: &Chart,
    plot: &Plot,
    at: (f64, f64),
    (from, to): (f64, f64),
) -> Vec<String> {
    let mut said = Vec::new();
    for series in chart.series.iter().filter(|series| !series.name.is_empty()) {
        let Some(y) = series.at(at.0) else { continue };
        said.push(format!("{} {}", series.name, chart.y.unit.said(y)));
        let _ = write!(caught, "<g class=\"{}\">", series.hue.class());
        dot(caught, (at.1, plot.y(y)));
        caught.push_str("</g>");
    }
    if chart.spans.is_empty() {
        let _ = write!(
            caught,
            "<rect class=\"catch\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            pixel(from),
            pixel(plot.top),
            pixel((to - from).max(0.1)),
            pixel(plot.bottom - plot.top)
        );
    }
    said
}
