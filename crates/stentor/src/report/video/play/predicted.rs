//! What the book's formulae and whole chunks would do, beside what a session did.

use stentor_core::units::BitRate;
use stentor_core::video::buffer;
use stentor_core::video::columns::{Column, columns};
use stentor_core::video::predict::Freeze;
use stentor_core::video::session::What;

use super::{Known, only_quality};
use crate::drive::video::outcome::Outcome;

/// Two predictions of a session in one quality over a link that is always as fast, and what was
/// measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicted {
    /// x in bit/s: that of the link if it is known, else what the stream came with.
    pub arrival_bps: f64,
    /// R in bit/s.
    pub playout_bps: f64,
    /// Q in bytes.
    pub start_bytes: f64,
    /// B in bytes.
    pub buffer_bytes: f64,
    /// What a fluid does, as long as the film lasts.
    pub fluid: Column,
    /// What a client sees that fetches whole chunks.
    pub chunked: Column,
    /// What happened.
    pub measured: Column,
}

impl Predicted {
    /// Predicts, if x and R are each one number.
    pub fn of(outcome: &Outcome, known: &Known) -> Option<Predicted> {
        let stream = outcome.account.progressive;
        let came = stream.map(|stream| BitRate(stream.arrival_bps)).filter(|x| x.0 > 0);
        let (arrival, quality) = (known.arrival.or(came)?, only_quality(outcome)?);
        let (film, policy) = (&outcome.film, &outcome.policy);
        let chunks = film.chunks().iter().filter_map(|chunk| chunk.bytes.get(quality));
        let announced = stream.map(|stream| stream.film_bytes);
        let bytes = announced.unwrap_or_else(|| chunks.sum());
        let happened = outcome.events.iter().filter_map(|event| match event.what {
            What::Buffer(what) => Some(buffer::Event { at: event.at, what }),
            _ => None,
        });
        let happened: Vec<buffer::Event> = happened.collect();
        let three = columns(film, quality, bytes, arrival, policy, &happened)?;
        let [fluid, chunked, measured] = three;
        let playout_bps = bytes as f64 * 8.0 / film.length().as_secs_f64();
        Some(Predicted {
            arrival_bps: arrival.0 as f64,
            playout_bps,
            start_bytes: policy.start().as_secs_f64() * playout_bps / 8.0,
            buffer_bytes: policy.capacity().as_secs_f64() * playout_bps / 8.0,
            fluid,
            chunked,
            measured,
        })
    }

    /// What a fluid's buffer holds over time, in seconds and seconds of film: straight between its
    /// turns.
    pub(super) fn fluid_level_s(&self, film_s: f64) -> Vec<(f64, f64)> {
        let (Some(start_s), Some(end_s)) = (self.fluid.start_up_s, self.fluid.end_s) else {
            return Vec::new();
        };
        // Seconds of film that come in a second.
        let gain = self.arrival_bps / self.playout_bps;
        let mut turns = vec![(0.0, 0.0), (start_s, gain * start_s)];
        for freeze in &self.fluid.freezes {
            let on_s = freeze.at_s + freeze.length_s;
            turns.extend([(freeze.at_s, 0.0), (on_s, gain * freeze.length_s)]);
        }
        match self.fluid.full_s {
            Some(full_s) => {
                let full = gain * full_s - (full_s - start_s);
                // From then on it comes as it is played, to the last byte.
                turns.extend([(full_s, full), (start_s + film_s - full, full)]);
            }
            None => {
                let come_s = film_s / gain;
                let frozen = self.fluid.freezes.iter().map(|freeze| freeze.length_s).sum::<f64>();
                turns.push((come_s, film_s - (come_s - start_s - frozen).max(0.0)));
            }
        }
        turns.push((end_s, 0.0));
        // A last freeze may end in the very moment in which the last byte comes.
        turns.sort_by(|before, after| before.0.total_cmp(&after.0));
        turns
    }

    /// The rows of a table: what, its formula, by fluid, by chunks, measured.
    pub(super) fn rows(&self) -> Vec<Row> {
        let row = |name, formula, of: &dyn Fn(&Column) -> Option<String>| {
            let value = |column| of(column).unwrap_or_else(|| "–".to_owned());
            let values = [value(&self.fluid), value(&self.chunked), value(&self.measured)];
            Row { name, formula, values }
        };
        let any =
            |of: fn(&Column) -> bool| of(&self.fluid) || of(&self.chunked) || of(&self.measured);
        let mut rows = vec![
            row("start-up", "Q/x", &|one| one.start_up_s.map(super::seconds)),
            row("freezes", "", &|one| Some(one.freezes.len().to_string())),
        ];
        if any(|one| !one.freezes.is_empty()) {
            rows.push(row("plays for", "Q/(R-x)", &|one| plays_for_s(one).map(super::seconds)));
            rows.push(row("each freeze", "Q/x", &|one| {
                typical_s(&one.freezes).map(super::seconds)
            }));
            // The sum of no numbers is -0.
            rows.push(row("altogether", "", &|one| Some(super::seconds(one.frozen_s().abs()))));
        }
        if any(|one| one.full_s.is_some()) {
            let full = |one: &Column| Some(one.full_s.map_or("never".to_owned(), super::seconds));
            rows.push(row("full at", "Q/x+(B-Q)/(x-R)", &full));
        }
        rows.push(row("end", "", &|one| one.end_s.map(super::seconds)));
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

/// The median freeze, in seconds: the last one may be cut short by the film's end.
pub(in crate::report) fn typical_s(freezes: &[Freeze]) -> Option<f64> {
    median(freezes.iter().map(|freeze| freeze.length_s).collect())
}

/// The median time of playing up to a freeze, in seconds.
pub(in crate::report) fn plays_for_s(column: &Column) -> Option<f64> {
    let mut since_s = column.start_up_s?;
    let plays = column.freezes.iter().map(|freeze| {
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
