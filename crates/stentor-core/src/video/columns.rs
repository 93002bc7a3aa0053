//! One playing in three columns: as the formulae of a fluid say, as chunks will, and as it was measured.
//!
//! The first two come of the film, the policy and a constant rate of arrival; which rate that was is
//! left to whoever measured.

use super::buffer::{Event, Output, Policy, What};
use super::film::Film;
use super::fluid::{self, Buffer, Input, Playout};
use super::predict::{self, Chunked, FREEZES_MAX, Freeze};
use crate::moment::Moment;
use crate::units::BitRate;

/// What the book's figures are of one playing; seconds count from the first request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// When playing began; `None` if it never did.
    pub start_up_s: Option<f64>,
    /// All freezes in their order; the last one may not have ended.
    pub freezes: Vec<Freeze>,
    /// When the buffer first had no room.
    pub full_s: Option<f64>,
    /// When the last picture was shown; `None` if it never was.
    pub end_s: Option<f64>,
}

impl Column {
    /// Of what happened to a buffer, in order of time.
    pub fn of(events: &[Event]) -> Column {
        let mut column = Column::default();
        for Event { at, what } in events {
            let at_s = at.as_nanos() as f64 / 1e9;
            match what {
                What::Started => column.start_up_s = Some(at_s),
                What::Stalled => column.freezes.push(Freeze { at_s, length_s: 0.0 }),
                What::Resumed => {
                    if let Some(freeze) = column.freezes.last_mut() {
                        freeze.length_s = at_s - freeze.at_s;
                    }
                }
                What::Full => _ = column.full_s.get_or_insert(at_s),
                What::Room => {}
                What::Ended => column.end_s = Some(at_s),
            }
        }
        column
    }

    /// How long all freezes take together, in seconds.
    pub fn frozen_s(&self) -> f64 {
        self.freezes.iter().fold(0.0, |all, freeze| all + freeze.length_s)
    }
}

impl From<Chunked> for Column {
    fn from(chunked: Chunked) -> Column {
        let Chunked { start_up_s, freezes, full_s, end_s } = chunked;
        Column { start_up_s: Some(start_up_s), freezes, full_s, end_s: Some(end_s) }
    }
}

/// What a fluid of `film_bytes` does that arrives at a constant rate, from the first byte to the last
/// picture.
pub fn fluid(policy: fluid::Policy, film_bytes: u64, arrival: BitRate) -> Column {
    let mut buffer = Buffer::new(policy);
    buffer.handle(Moment::START, Input::Rate(arrival));
    let (mut now, mut events, mut whole) = (Moment::START, Vec::new(), false);
    while events.len() < 2 * FREEZES_MAX {
        let next = match buffer.poll(now) {
            Output::Event(event) => {
                events.push(event);
                continue;
            }
            Output::Wait(next) => Some(next),
            Output::Idle => None,
        };
        let arrives = buffer.arrives(film_bytes).filter(|_| !whole);
        match (arrives, next) {
            (Some(arrives), next) if next.is_none_or(|next| arrives <= next) => {
                buffer.handle(arrives, Input::End);
                (now, whole) = (now.max(arrives), true);
            }
            (_, Some(next)) => now = next,
            (_, None) => break,
        }
    }
    Column::of(&events)
}

/// The three columns of one quality of a film of which the file has `film_bytes`: fluid, chunk-aware,
/// measured. `None` if so many bytes are no film.
pub fn columns(
    film: &Film,
    quality: usize,
    film_bytes: u64,
    arrival: BitRate,
    policy: &Policy,
    measured: &[Event],
) -> Option<[Column; 3]> {
    let playout = Playout::of(film_bytes, film.length())?;
    let flows = fluid(fluid::Policy::of(policy, playout), film_bytes, arrival);
    let chunked = predict::chunked(film, quality, arrival, *policy).into();
    Some([flows, chunked, Column::of(measured)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn lecture(arrival_bps: u64, capacity_s: u32, resume_s: u32) -> [Column; 3] {
        let second = Duration::from_secs(1);
        let film = Film::even(&[BitRate(1_000_000)], second, 120).unwrap();
        let policy = Policy::new(second * capacity_s, second * 4, second * resume_s).unwrap();
        columns(&film, 0, 15_000_000, BitRate(arrival_bps), &policy, &[]).unwrap()
    }

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 2e-9, "{left} is not {right}");
    }

    #[test]
    fn a_fluid_and_chunks_freeze_differently() {
        let [fluid, chunked, measured] = lecture(800_000, 60, 4);
        close(fluid.start_up_s.unwrap(), 5.0);
        assert_eq!((fluid.freezes.len(), chunked.freezes.len()), (5, 7));
        fluid.freezes.iter().for_each(|freeze| close(freeze.length_s, 5.0));
        close(fluid.end_s.unwrap(), 5.0 + 120.0 + 25.0);
        close(chunked.frozen_s(), 28.0);
        assert_eq!(measured, Column::default());
        assert_eq!(lecture(800_000, 60, 1)[1].freezes.len(), 104);
    }

    #[test]
    fn a_full_fluid_takes_what_is_played() {
        let [fluid, chunked, _] = lecture(2_000_000, 10, 4);
        close(fluid.start_up_s.unwrap(), 2.0);
        close(fluid.full_s.unwrap(), 8.0);
        close(fluid.end_s.unwrap(), 122.0);
        assert!(fluid.freezes.is_empty() && chunked.full_s < fluid.full_s);
        assert!(fluid.frozen_s().is_sign_positive());
        // Nothing arrives: nothing ever begins.
        assert_eq!(lecture(0, 10, 4)[0], Column::default());
    }

    #[test]
    fn what_was_measured_is_told_as_it_happened() {
        let at = |ms| Moment::START + Duration::from_millis(ms);
        let event = |ms, what| Event { at: at(ms), what };
        let column = Column::of(&[
            event(500, What::Started),
            event(1500, What::Stalled),
            event(1750, What::Resumed),
            event(2000, What::Full),
            event(2100, What::Room),
            event(2200, What::Full),
            event(3000, What::Stalled),
        ]);
        assert_eq!((column.start_up_s, column.full_s, column.end_s), (Some(0.5), Some(2.0), None));
        let lengths: Vec<f64> = column.freezes.iter().map(|freeze| freeze.length_s).collect();
        assert_eq!(lengths, [0.25, 0.0]);
        close(column.frozen_s(), 0.25);
    }
}
