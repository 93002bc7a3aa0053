//! What the book says a buffer does, and what a client that fetches chunks will see instead.
//!
//! Kurose and Ross, "Computer Networking: A Top-Down Approach", section 2.6 and the problems of its
//! streaming chapter: Q is buffered before playing, film arrives at x and is played at R, the buffer
//! holds B. The formulae are of a fluid; chunks do not flow, and [`chunked`] says what they do.

use std::time::Duration;

use thiserror::Error;

use super::buffer::{Buffer, Event, Input, Output, Policy, What};
use super::film::Film;
use crate::moment::Moment;
use crate::units::BitRate;

/// The numbers of the book's drawing, in bits and bit/s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fluid {
    /// x: how fast film arrives, in bit/s.
    pub arrival_bps: f64,
    /// R: how fast it is played, in bit/s.
    pub playout_bps: f64,
    /// Q: what is buffered before playing, in bits.
    pub start_bits: f64,
    /// B: what the buffer holds, in bits.
    pub buffer_bits: f64,
}

/// What the book predicts after the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Course {
    /// x < R: plays and freezes in turn, for so many seconds each.
    Freezes {
        /// Q / (R - x).
        plays_s: f64,
        /// Q / x.
        freezes_s: f64,
    },
    /// x = R: the buffer stays as it is.
    Even,
    /// x > R: the buffer is full so many seconds after the request, and the sender is then held
    /// back to R.
    Fills {
        /// Q / x + (B - Q) / (x - R).
        full_s: f64,
    },
}

/// Why there is no prediction.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{name} is {number}: {wanted}")]
pub struct FluidError {
    name: &'static str,
    number: f64,
    wanted: &'static str,
}

impl Fluid {
    /// Checks that x and R are above 0, Q is not negative, and B is at least Q.
    ///
    /// # Errors
    /// The first number that is not so.
    pub fn check(self) -> Result<Fluid, FluidError> {
        let wanted = "a number above 0 is needed";
        for (name, number) in [("x", self.arrival_bps), ("R", self.playout_bps)] {
            if !(number > 0.0 && number.is_finite()) {
                return Err(FluidError { name, number, wanted });
            }
        }
        if !(self.start_bits >= 0.0 && self.start_bits.is_finite()) {
            let wanted = "a number of bits is needed";
            return Err(FluidError { name: "Q", number: self.start_bits, wanted });
        }
        match self.buffer_bits >= self.start_bits {
            true => Ok(self),
            false => {
                let wanted = "at least Q is needed";
                Err(FluidError { name: "B", number: self.buffer_bits, wanted })
            }
        }
    }

    /// Q / x: seconds from the request to the first picture.
    pub fn start_up_s(&self) -> f64 {
        self.start_bits / self.arrival_bps
    }

    /// What happens after the start, if the film has no end.
    pub fn course(&self) -> Course {
        let (x, r, q) = (self.arrival_bps, self.playout_bps, self.start_bits);
        if x < r {
            Course::Freezes { plays_s: q / (r - x), freezes_s: q / x }
        } else if x > r {
            Course::Fills { full_s: q / x + (self.buffer_bits - q) / (x - r) }
        } else {
            Course::Even
        }
    }

    /// The freezes of a film that plays for `film_s`, going on at Q each time: those that begin before
    /// its last bit has arrived.
    pub fn freezes(&self, film_s: f64) -> Vec<Freeze> {
        let Course::Freezes { plays_s, freezes_s } = self.course() else { return Vec::new() };
        let arrived_s = film_s * self.playout_bps / self.arrival_bps;
        let cycle_s = plays_s + freezes_s;
        let mut freezes: Vec<Freeze> = Vec::new();
        // With Q = 0 there would be endlessly many of no length.
        while cycle_s > 0.0 && freezes.len() < FREEZES_MAX {
            let at_s = self.start_up_s() + plays_s + freezes.len() as f64 * cycle_s;
            // What arrives from now on may be less than Q: then the end of the film ends the freeze.
            let length_s = freezes_s.min(arrived_s - at_s);
            if length_s <= 1e-9 {
                break;
            }
            freezes.push(Freeze { at_s, length_s });
        }
        freezes
    }
}

/// The most freezes that are listed.
pub const FREEZES_MAX: usize = 1 << 20;

/// Playing stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Freeze {
    /// Seconds after the request.
    pub at_s: f64,
    /// For so many seconds.
    pub length_s: f64,
}

/// An arrival rate that rises from 0 to `peak_bps` in every period, and falls back at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SawTooth {
    /// H, in bit/s.
    pub peak_bps: f64,
    /// T, in seconds.
    pub period_s: f64,
}

impl SawTooth {
    /// H / 2, in bit/s.
    pub fn mean_bps(&self) -> f64 {
        self.peak_bps / 2.0
    }

    /// Seconds until `bits` have arrived: sqrt(2QT/H) within the first period, that is while
    /// HT/2 >= Q; whole periods pass before otherwise.
    pub fn start_up_s(&self, bits: f64) -> f64 {
        let (whole, rest) = self.parted(bits);
        whole * self.period_s + (2.0 * rest * self.period_s / self.peak_bps).sqrt()
    }

    /// How many whole teeth come before the one in which the last of `bits` does, and how many bits
    /// are left for that one.
    pub fn parted(&self, bits: f64) -> (f64, f64) {
        let tooth = self.mean_bps() * self.period_s;
        // What fills a tooth exactly comes at its end, not at the beginning of the next.
        let whole = ((bits / tooth).ceil() - 1.0).max(0.0);
        (whole, bits - whole * tooth)
    }
}

/// What a client will see that fetches whole chunks, one after the other, without latency.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunked {
    /// Seconds from the request to the first picture.
    pub start_up_s: f64,
    /// All freezes in their order.
    pub freezes: Vec<Freeze>,
    /// When a chunk first had to wait for room, in seconds after the first request.
    pub full_s: Option<f64>,
    /// When the last picture was shown, in seconds after the first request.
    pub end_s: f64,
}

impl Chunked {
    /// How long all freezes take together, in seconds.
    pub fn frozen_s(&self) -> f64 {
        self.freezes.iter().map(|freeze| freeze.length_s).sum()
    }
}

/// Predicts how `film` plays in one quality at a constant rate.
pub fn chunked(film: &Film, quality: usize, arrival: BitRate, policy: Policy) -> Chunked {
    let mut buffer = Buffer::new(policy);
    let mut course = Chunked { start_up_s: 0.0, freezes: Vec::new(), full_s: None, end_s: 0.0 };
    let mut now = Moment::START;
    for (index, chunk) in film.chunks().iter().enumerate() {
        buffer.handle(now, Input::Wants(chunk.duration));
        now = course.drain(&mut buffer, now);
        let work = u128::from(film.bytes(index, quality)) * 8_000_000_000;
        let taken_ns = work.div_ceil(u128::from(arrival.0.max(1)));
        now = now + Duration::from_nanos(u64::try_from(taken_ns).unwrap_or(u64::MAX));
        buffer.handle(now, Input::Media(chunk.duration));
    }
    buffer.handle(now, Input::End);
    course.drain(&mut buffer, now);
    course
}

impl Chunked {
    /// Books what happened, until there is room; to the end when nothing is waited for.
    fn drain(&mut self, buffer: &mut Buffer, mut now: Moment) -> Moment {
        loop {
            match buffer.poll(now) {
                Output::Event(Event { at, what }) => {
                    let at_s = seconds(at);
                    match what {
                        What::Started => self.start_up_s = at_s,
                        What::Stalled => self.freezes.push(Freeze { at_s, length_s: 0.0 }),
                        What::Resumed => {
                            if let Some(freeze) = self.freezes.last_mut() {
                                freeze.length_s = at_s - freeze.at_s;
                            }
                        }
                        What::Full => _ = self.full_s.get_or_insert(at_s),
                        What::Room => return at.max(now),
                        What::Ended => self.end_s = at_s,
                    }
                }
                Output::Wait(next) => now = next,
                Output::Idle => return now,
            }
        }
    }
}

fn seconds(moment: Moment) -> f64 {
    moment.as_nanos() as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEGABIT: f64 = 1e6;

    fn fluid(x: f64, r: f64, q: f64, b: f64) -> Fluid {
        let (arrival_bps, playout_bps) = (x * MEGABIT, r * MEGABIT);
        Fluid { arrival_bps, playout_bps, start_bits: q * MEGABIT, buffer_bits: b * MEGABIT }
    }

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} is not {right}");
    }

    #[test]
    fn the_book_s_formulae() {
        let slow = fluid(0.8, 1.0, 4.0, 10.0);
        close(slow.start_up_s(), 5.0);
        let Course::Freezes { plays_s, freezes_s } = slow.course() else { panic!() };
        close(plays_s, 20.0);
        close(freezes_s, 5.0);
        let Course::Fills { full_s } = fluid(2.0, 1.0, 4.0, 10.0).course() else { panic!() };
        close(full_s, 2.0 + 6.0);
        assert_eq!(fluid(1.0, 1.0, 4.0, 10.0).course(), Course::Even);
    }

    #[test]
    fn a_saw_tooth_starts_at_the_root() {
        let saw = SawTooth { peak_bps: 4e6, period_s: 2.0 };
        close(saw.mean_bps(), 2e6);
        close(saw.start_up_s(1e6), 1.0);
        // HT/2 = Q: exactly one period.
        close(saw.start_up_s(4e6), 2.0);
        // A tooth and a quarter of the next.
        close(saw.start_up_s(5e6), 3.0);
        close(saw.start_up_s(0.0), 0.0);
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        let check = |fluid: Fluid, said: &str| {
            assert_eq!(fluid.check().unwrap_err().to_string(), said);
        };
        check(fluid(0.0, 1.0, 1.0, 1.0), "x is 0: a number above 0 is needed");
        check(fluid(1.0, f64::NAN, 1.0, 1.0), "R is NaN: a number above 0 is needed");
        check(fluid(1.0, 1.0, -1.0, 1.0), "Q is -1000000: a number of bits is needed");
        check(fluid(1.0, 1.0, 2.0, 1.0), "B is 1000000: at least Q is needed");
        assert!(fluid(1.0, 1.0, 0.0, 0.0).check().is_ok());
    }

    /// x = 0.8 and R = 1 Mbit/s, Q = 4 chunks of 1 s, a film of 120 s.
    fn lecture(resume: u32) -> Chunked {
        let second = Duration::from_secs(1);
        let film = Film::even(&[BitRate(1_000_000)], second, 120).unwrap();
        let policy = Policy::new(second * 60, second * 4, second * resume).unwrap();
        chunked(&film, 0, BitRate(800_000), policy)
    }

    #[test]
    fn a_fluid_freezes_for_5_s_after_every_20_s() {
        let freezes = fluid(0.8, 1.0, 4.0, 60.0).freezes(120.0);
        let at: Vec<f64> = freezes.iter().map(|freeze| freeze.at_s.round()).collect();
        assert_eq!(at, [25.0, 50.0, 75.0, 100.0, 125.0]);
        freezes.iter().for_each(|freeze| close(freeze.length_s, 5.0));
    }

    #[test]
    fn chunks_that_go_on_at_q_freeze_7_times_for_4_s() {
        let course = lecture(4);
        assert_eq!(course.freezes.len(), 7);
        course.freezes.iter().for_each(|freeze| close(freeze.length_s, 4.0));
        close(course.start_up_s, 5.0);
        close(course.frozen_s(), 28.0);
        close(course.end_s, 5.0 + 120.0 + 28.0);
        assert_eq!(course.full_s, None);
    }

    #[test]
    fn chunks_that_go_on_at_once_freeze_104_times_for_a_quarter() {
        let course = lecture(1);
        assert_eq!(course.freezes.len(), 104);
        course.freezes.iter().for_each(|freeze| close(freeze.length_s, 0.25));
        close(course.frozen_s(), 26.0);
        assert_eq!(lecture(0), course);
    }

    #[test]
    fn a_fast_network_fills_the_buffer_a_chunk_early() {
        let second = Duration::from_secs(1);
        let film = Film::even(&[BitRate(1_000_000)], second, 60).unwrap();
        let policy = Policy::new(second * 10, second * 4, second * 4).unwrap();
        let course = chunked(&film, 0, BitRate(2_000_000), policy);
        close(course.start_up_s, 2.0);
        // The fluid is full at 2 + 6/1 = 8 s; the 15th chunk comes at 7.5 s and leaves 9.5 s.
        close(course.full_s.unwrap(), 7.5);
        assert!(course.freezes.is_empty());
        close(course.end_s, 62.0);
    }
}
