//! Packets that a lab link carried: an arrow from the row in which one left to that in which it
//! arrived, or to a cross.

use std::fmt::Write;

use stentor_core::timeline::Lane;
use stentor_core::timeline::ladder::Arrow;

use super::group::{CLIENT_LIFE, Picture, SERVER_LIFE};
use super::{escape, short};
use crate::report::ladder::words;

/// Where an arrow begins and ends, and which way its head points.
fn ends(from: Lane) -> (usize, usize, i32) {
    match from {
        Lane::Client => (CLIENT_LIFE + 3, SERVER_LIFE - 3, -9),
        Lane::Server => (SERVER_LIFE - 3, CLIENT_LIFE + 3, 9),
    }
}

impl Picture<'_> {
    /// A packet leaves: its label stands here. One that is lost ends in a cross.
    pub(super) fn departs(&mut self, time: &str, place: u32, arrow: &Arrow) {
        let top = self.y + 16;
        self.packets.insert(place, (top, top));
        let (from, to, _) = ends(arrow.from);
        let grade = words::cause(self.ladder, arrow).grade;
        let label = words::packet(arrow).lines(36).join(" ");
        let (x, anchor) = match arrow.from {
            Lane::Client => (from + 8, "start"),
            Lane::Server => (from - 8, "end"),
        };
        self.clock(time, top + 4);
        let (title, to_calls) = (escape(&self.title(arrow)), self.tied_calls(arrow));
        let _ = write!(
            self.body,
            "<g class=\"item packet\" data-key=\"p{place}\" data-to=\"{to_calls}\"><title>{title}</title>\
             <text x=\"{x}\" y=\"{}\" class=\"label\" text-anchor=\"{anchor}\">{}</text>",
            self.y + 12,
            escape(&short(&label, 38)),
        );
        let lost = arrow.crossing.as_ref().is_some_and(|crossing| crossing.arrivals.is_empty());
        if let (true, Some(harm)) = (lost, words::harm(arrow)) {
            let (middle, bottom) = ((from + to) / 2, top + 12);
            let (left, right, above, below) = (middle - 6, middle + 6, bottom - 6, bottom + 6);
            let beside = if arrow.from == Lane::Client { middle + 12 } else { middle - 12 };
            let _ = write!(
                self.body,
                "<path class=\"shaft {grade}\" d=\"M{from} {top}L{middle} {bottom}\"/>\
                 <path class=\"cross\" d=\"M{left} {above}L{right} {below}M{right} {above}L{left} {below}\"/>\
                 <text x=\"{beside}\" y=\"{}\" class=\"label zero\" text-anchor=\"{anchor}\">{}</text>",
                bottom + 5,
                escape(&short(&harm.replace(" on the link", ""), 22)),
            );
        }
        self.body.push_str("</g>\n");
        self.y += if lost { 38 } else { 24 };
    }

    /// A packet arrives that left in another row.
    pub(super) fn arrives(&mut self, time: &str, place: u32, arrow: &Arrow, copy: u32) {
        let bottom = self.y + 12;
        let (from, to, point) = ends(arrow.from);
        // What left before the picture begins is drawn from where it ends.
        let top = self.packets.get(&place).map_or(bottom, |(top, _)| *top);
        if copy == 0 {
            self.packets.insert(place, (top, bottom));
        }
        let grade = words::cause(self.ladder, arrow).grade;
        let (x, anchor) = match arrow.from {
            Lane::Client => (to - 14, "end"),
            Lane::Server => (to + 14, "start"),
        };
        self.clock(time, bottom + 4);
        let (title, to_calls) = (escape(&self.title(arrow)), self.tied_calls(arrow));
        let again = if copy > 0 { "again " } else { "" };
        let transit = words::transit(arrow, copy).unwrap_or_default();
        // Below the labels of the rows that it crosses.
        let _ = writeln!(
            self.crossing,
            "<g class=\"item packet\" data-key=\"p{place}\" data-to=\"{to_calls}\"><title>{title}</title>\
             <path class=\"shaft {grade}\" d=\"M{from} {top}L{to} {bottom}\"/>\
             <path class=\"head {grade}\" d=\"M{to} {bottom}l{point} -5v9z\"/></g>"
        );
        let _ = writeln!(
            self.body,
            "<g class=\"item packet\" data-key=\"p{place}\" data-to=\"{to_calls}\"><title>{title}</title>\
             <text x=\"{x}\" y=\"{}\" class=\"payload\" text-anchor=\"{anchor}\">{again}{}</text></g>",
            bottom + 12,
            escape(&transit),
        );
        self.y += 24;
    }
}
