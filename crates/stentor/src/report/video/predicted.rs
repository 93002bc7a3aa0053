//! What the book's formulae and whole chunks would do, beside what a session did.

use stentor_core::video::predict::{Chunked, Course, Fluid, Freeze, chunked};

use super::{Known, only_quality};
use crate::drive::video::outcome::Outcome;

/// Two predictions of a session in one quality over a link that is always as fast.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicted {
    /// The book's numbers.
    pub fluid: Fluid,
    /// What the book says happens after the start.
    pub course: Course,
    /// The freezes of a fluid, as long as the film lasts.
    pub freezes: Vec<Freeze>,
    /// What a client sees that fetches whole chunks.
    pub chunked: Chunked,
}

impl Predicted {
    /// Predicts, if x and R are each one number.
    pub fn of(outcome: &Outcome, known: &Known) -> Option<Predicted> {
        let (arrival, quality) = (known.arrival?, only_quality(outcome)?);
        let film = &outcome.film;
        let film_s = film.length().as_secs_f64();
        let chunks = film.chunks().iter();
        let bytes: u64 = chunks.filter_map(|chunk| chunk.bytes.get(quality)).sum();
        let playout_bps = bytes as f64 * 8.0 / film_s;
        let fluid = Fluid {
            arrival_bps: arrival.0 as f64,
            playout_bps,
            start_bits: outcome.policy.start().as_secs_f64() * playout_bps,
            buffer_bits: outcome.policy.capacity().as_secs_f64() * playout_bps,
        };
        let fluid = fluid.check().ok()?;
        Some(Predicted {
            fluid,
            course: fluid.course(),
            freezes: fluid.freezes(film_s),
            chunked: chunked(film, quality, arrival, outcome.policy),
        })
    }

    /// The rows of a table: what, by fluid, by chunks, measured.
    pub(super) fn rows(&self, outcome: &Outcome, course: &super::Course) -> Vec<Row> {
        let (chunks, said) = (&self.chunked, super::seconds);
        let measured: Vec<Freeze> = course.stalls.iter().map(freeze).collect();
        let of = |what: fn(&[Freeze]) -> String| {
            [what(&self.freezes), what(&chunks.freezes), what(&measured)]
        };
        let start_up = super::said(outcome.metrics.start_up);
        let mut rows = vec![
            row("start-up", "Q/x", [said(self.fluid.start_up_s()), said(chunks.start_up_s), start_up]),
            row("freezes", "", of(|freezes| freezes.len().to_string())),
        ];
        if let Course::Freezes { plays_s, freezes_s } = self.course {
            let began_s = outcome.metrics.start_up.as_secs_f64();
            let chunks_s = plays_for_s(chunks.start_up_s, &chunks.freezes);
            let plays = [Some(plays_s), chunks_s, plays_for_s(began_s, &measured)];
            let long = [Some(freezes_s), typical_s(&chunks.freezes), typical_s(&measured)];
            let words = |one: [Option<f64>; 3]| one.map(|s| s.map_or("–".to_owned(), said));
            rows.push(row("plays for", "Q/(R-x)", words(plays)));
            rows.push(row("each freeze", "Q/x", words(long)));
        }
        rows.push(row("altogether", "", of(|freezes| super::seconds(total_s(freezes)))));
        let fluid_s = match self.course {
            Course::Fills { full_s } => Some(full_s),
            Course::Freezes { .. } | Course::Even => None,
        };
        let measured_s = course.full.map(|at| at.as_nanos() as f64 / 1e9);
        if fluid_s.or(chunks.full_s).or(measured_s).is_some() {
            let full = [fluid_s, chunks.full_s, measured_s];
            let full = full.map(|full| full.map_or("never".to_owned(), said));
            rows.push(row("full at", "Q/x+(B-Q)/(x-R)", full));
        }
        rows
    }
}

/// A quantity, its formula, and what it is by fluid, by chunks, and measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) formula: &'static str,
    pub(super) values: [String; 3],
}

fn row(name: &'static str, formula: &'static str, values: [String; 3]) -> Row {
    Row { name, formula, values }
}

fn freeze(stall: &super::Stall) -> Freeze {
    let at_s = stall.at.as_nanos() as f64 / 1e9;
    Freeze { at_s, length_s: stall.length.as_secs_f64() }
}

/// All freezes together, in seconds.
pub(in crate::report) fn total_s(freezes: &[Freeze]) -> f64 {
    // The sum of no numbers is -0.
    freezes.iter().map(|freeze| freeze.length_s).sum::<f64>().abs()
}

/// The median freeze, in seconds: the last one may be cut short by the film's end.
pub(in crate::report) fn typical_s(freezes: &[Freeze]) -> Option<f64> {
    median(freezes.iter().map(|freeze| freeze.length_s).collect())
}

/// The median time of playing up to a freeze, in seconds.
pub(in crate::report) fn plays_for_s(start_up_s: f64, freezes: &[Freeze]) -> Option<f64> {
    let mut since_s = start_up_s;
    let plays = freezes.iter().map(|freeze| {
        let plays_s = freeze.at_s - since_s;
        since_s = freeze.at_s + freeze.length_s;
        plays_s
    });
    median(plays.collect())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
