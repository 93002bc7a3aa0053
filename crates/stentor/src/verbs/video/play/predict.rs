//! What the formulae predict: the numbers of a question, put together from the command line.

use std::str::FromStr;
use std::time::Duration;

use stentor_core::seed::Seed;
use stentor_core::units::{BitRate, Span, UnitError};
use stentor_core::video::buffer::Policy;
use stentor_core::video::film::Film;
use stentor_core::video::predict::SawTooth;

use super::Args;
use super::plain::{self, Outputs};
use crate::complaint::{Complaint, Exit};
use crate::report::json::video::predict::{Config, Outcome, SCHEMA};
use crate::report::video::formula::{Arrival, Question};
use crate::verbs::video::film;

/// With how much film playing begins, unless the buffer holds less.
const START: Duration = Duration::from_secs(4);
/// The film, unless another is named: the lecture's.
const FILM: &str = "lecture";
/// The chunks of a film of which only the rate is known: those of the lecture's.
const CHUNK: Duration = Duration::from_secs(1);
const CHUNKS: usize = 120;

/// H and T as they are written: `2Mbit,10s`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tooth {
    peak: BitRate,
    period: Span,
}

impl FromStr for Tooth {
    type Err = String;

    fn from_str(written: &str) -> Result<Tooth, String> {
        let said = |error: UnitError| error.to_string();
        let (peak, period) = written.split_once(',').ok_or_else(|| {
            "a saw-tooth is its peak H and its period T, such as 2Mbit,10s".to_owned()
        })?;
        let tooth =
            Tooth { peak: peak.parse().map_err(said)?, period: period.parse().map_err(said)? };
        match tooth.peak.0 > 0 && tooth.period.0 >= Duration::from_millis(1) {
            true => Ok(tooth),
            false => Err("the peak is above 0, and the period at least 1ms".to_owned()),
        }
    }
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<Exit, Complaint> {
    let outputs = Outputs::open(&args.output, args.json)?;
    let found = question(args).and_then(|question| {
        let answer = question.answer().map_err(|error| {
            Complaint::usage(format!("--predict: {error}"), "See docs/video.md, The formula.")
        })?;
        let text = question.text(&answer);
        Ok((Config::of(&question, &answer), Outcome::of(&question, &answer), text))
    });
    plain::finish(outputs, SCHEMA, found)
}

fn question(args: &Args) -> Result<Question, Complaint> {
    let usage = |what: String, next: &str| Err(Complaint::usage(what, next));
    let arrival = match (args.arrival, args.saw_tooth) {
        (Some(rate), _) => Arrival::Steady(rate),
        (None, Some(Tooth { peak, period })) => Arrival::SawTooth(SawTooth {
            peak_bps: peak.0 as f64,
            period_s: period.0.as_secs_f64(),
        }),
        (None, None) => {
            let next = "-x 800kbit says how fast film arrives; --saw-tooth 2Mbit,10s that it does \
                        so unevenly.";
            return usage("--predict needs an x".to_owned(), next);
        }
    };
    let (film, name) = match args.playback {
        None => {
            let name = args.film.as_deref().unwrap_or(FILM);
            (film::read(name, args.seed.map_or(film::SEED, Seed))?, name.to_owned())
        }
        Some(rate) => {
            let film = Film::even(&[rate], CHUNK, CHUNKS);
            let film = film.map_err(|error| Complaint::usage(format!("-R {rate}: {error}"), ""))?;
            (film, "a film of this rate".to_owned())
        }
    };
    let highest = film.qualities() - 1;
    let quality = args.quality.unwrap_or(highest);
    if quality > highest {
        return usage(format!("--quality {quality}"), &format!("{name} has 0 to {highest}."));
    }
    let capacity = args.buffer.0;
    let start = args.start.map_or(START.min(capacity), |span| span.0);
    let resume = args.resume.map_or(start, |span| span.0);
    let policy = Policy::new(capacity, start, resume)
        .map_err(|error| Complaint::usage(error.to_string(), "-B says how much it holds."))?;
    Ok(Question { arrival, film, name, quality, policy })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saw_tooth_is_a_peak_and_a_period() {
        let tooth = "2Mbit,10s".parse::<Tooth>().unwrap();
        assert_eq!((tooth.peak, tooth.period.0), (BitRate(2_000_000), Duration::from_secs(10)));
        for refused in ["2Mbit", "2Mbit,", ",10s", "0bit,10s", "2Mbit,0s", "2Mbit,10", "NaN,1s"] {
            assert!(refused.parse::<Tooth>().is_err(), "{refused}");
        }
    }
}
