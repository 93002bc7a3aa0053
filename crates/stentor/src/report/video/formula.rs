//! What the book's formulae say, number by number, and beside them what a client sees that fetches
//! chunks: `video play --predict`.
//!
//! The formulae are in `stentor_core::video::predict`; here they are written out in both of the
//! lecture's units, with the numbers put in.

use std::fmt::Write;
use std::time::Duration;

use stentor_core::units::BitRate;
use stentor_core::video::buffer::{self, Policy};
use stentor_core::video::film::Film;
use stentor_core::video::metrics::Metrics;
use stentor_core::video::network::{Network, NetworkError, Period};
use stentor_core::video::predict::{Chunked, Course, Fluid, Freeze, SawTooth, chunked};
use stentor_core::video::session::{Event, What};
use stentor_core::video::simulator;

use super::play::seconds;
use crate::report::chart::Unit;

/// In how many steps a saw-tooth rises.
const STEPS: u32 = 1000;

/// How fast film arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// Always the same.
    Steady(BitRate),
    /// From 0 to a peak, again and again.
    SawTooth(SawTooth),
}

/// What is put in.
#[derive(Clone, Debug)]
pub struct Question {
    /// x.
    pub arrival: Arrival,
    /// What is played.
    pub film: Film,
    /// Its name, or where its rate comes from.
    pub name: String,
    /// In which quality, from 0.
    pub quality: usize,
    /// Q, B, and with how much it goes on after a freeze.
    pub policy: Policy,
}

/// What comes out.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was put in, in bits; x is the mean of a saw-tooth.
    pub fluid: Fluid,
    /// Seconds from the request to the first picture, by the formula.
    pub start_up_s: f64,
    /// The freezes of a fluid, as long as the film lasts; none is known for a saw-tooth.
    pub freezes: Vec<Freeze>,
    /// With how much film a client of chunks goes on after a freeze, and what it sees.
    pub chunked: Vec<(Duration, Chunked)>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// A number of the formulae.
    #[error(transparent)]
    Fluid(#[from] stentor_core::video::predict::FluidError),
    /// A saw-tooth of nothing.
    #[error("the saw-tooth: {0}")]
    SawTooth(#[from] NetworkError),
    /// No policy of a buffer.
    #[error(transparent)]
    Policy(#[from] buffer::PolicyError),
}

impl Question {
    /// Answers it.
    ///
    /// # Errors
    /// When a number is not one that the formulae take.
    pub fn answer(&self) -> Result<Answer, NoAnswer> {
        let playout_bps = self.film.rate_bps(self.quality);
        let bits = |span: Duration| span.as_secs_f64() * playout_bps;
        let (start, capacity) = (self.policy.start(), self.policy.capacity());
        let arrival_bps = match self.arrival {
            Arrival::Steady(rate) => rate.0 as f64,
            Arrival::SawTooth(tooth) => tooth.mean_bps(),
        };
        let (start_bits, buffer_bits) = (bits(start), bits(capacity));
        let fluid = Fluid { arrival_bps, playout_bps, start_bits, buffer_bits }.check()?;
        let (start_up_s, freezes) = match self.arrival {
            Arrival::Steady(_) => {
                (fluid.start_up_s(), fluid.freezes(self.film.length().as_secs_f64()))
            }
            Arrival::SawTooth(tooth) => (tooth.start_up_s(start_bits), Vec::new()),
        };
        let mut resumes = vec![start, self.policy.resume(), Duration::ZERO];
        resumes.dedup();
        let chunked = resumes.into_iter().map(|resume| {
            let policy = Policy::new(capacity, start, resume)?;
            Ok((resume, self.in_chunks(policy)?))
        });
        let chunked = chunked.collect::<Result<_, NoAnswer>>()?;
        Ok(Answer { fluid, start_up_s, freezes, chunked })
    }

    fn in_chunks(&self, policy: Policy) -> Result<Chunked, NetworkError> {
        Ok(match self.arrival {
            Arrival::Steady(rate) => chunked(&self.film, self.quality, rate, policy),
            Arrival::SawTooth(tooth) => {
                let rule = stentor_core::video::abr::Rule::Fixed(self.quality);
                let played = simulator::play(&self.film, &network(tooth)?, policy, rule);
                seen(&played.events, played.end.as_nanos() as f64 / 1e9, &played.metrics)
            }
        })
    }

    /// The text: every formula with its numbers, and the table of chunks.
    pub fn text(&self, answer: &Answer) -> String {
        let mut text = String::new();
        self.given(&mut text, &answer.fluid);
        text.push('\n');
        match self.arrival {
            Arrival::Steady(_) => self.steady(&mut text, &answer.fluid),
            Arrival::SawTooth(tooth) => saw_tooth(&mut text, &answer.fluid, tooth),
        }
        text.push('\n');
        self.chunks(&mut text, answer);
        text
    }

    /// What is put in.
    fn given(&self, text: &mut String, fluid: &Fluid) {
        let Question { name, quality, policy, .. } = self;
        line(
            text,
            "Q is buffered before playing, film arrives at x and is played at R; the buffer holds B.",
        );
        text.push('\n');
        let rates = |bps| (rate(bps), byte_rate(bps));
        let mut row = |letter, (bits, bytes): (String, String), what: String| {
            line(text, &format!("  {letter}  {bits:<13}{bytes:<13}{what}"));
        };
        match self.arrival {
            Arrival::Steady(_) => {
                row("x", rates(fluid.arrival_bps), "how fast film arrives".to_owned());
            }
            Arrival::SawTooth(tooth) => {
                let period = seconds(tooth.period_s);
                let what = format!("to which x rises from 0 in each T = {period}");
                row("H", rates(tooth.peak_bps), what);
            }
        }
        let what = format!("how fast it is played: quality {quality} of {name}");
        row("R", rates(fluid.playout_bps), what);
        let sizes = |value| (bits(value), bytes(value));
        let spans = [policy.start(), policy.capacity()].map(|span| seconds(span.as_secs_f64()));
        let [start, capacity] = spans;
        row("Q", sizes(fluid.start_bits), format!("{start} of film, before playing begins"));
        row("B", sizes(fluid.buffer_bits), format!("{capacity} of film, the buffer"));
    }

    fn steady(&self, text: &mut String, fluid: &Fluid) {
        let start_up = Formula::new("start-up delay", "Q/x", fluid.start_up_s());
        let quotient = |[q, x, ..]: &Letters| format!("{q} / {x}");
        match fluid.course() {
            Course::Freezes { plays_s, freezes_s } => {
                line(
                    text,
                    "x < R: film comes more slowly than it is played, so that playing freezes, again and",
                );
                line(text, "again.");
                text.push('\n');
                start_up.write(text, fluid, quotient);
                let plays = Formula::new("then it plays for", "Q/(R-x)", plays_s);
                plays.write(text, fluid, |[q, x, r, _]| format!("{q} / ({r} - {x})"));
                let freezes = Formula::new("then it freezes for", "Q/x", freezes_s);
                freezes.write(text, fluid, quotient);
            }
            Course::Even => {
                line(text, "x = R: as much comes as is played, so that the buffer stays as it is.");
                text.push('\n');
                start_up.write(text, fluid, quotient);
            }
            Course::Fills { full_s } => {
                line(
                    text,
                    "x > R: more comes than is played, so that the buffer fills. Then TCP holds the sender",
                );
                line(text, "back to R; over UDP, what does not fit is lost.");
                text.push('\n');
                start_up.write(text, fluid, quotient);
                let full = Formula::new("the buffer is full at", "Q/x + (B-Q)/(x-R)", full_s);
                full.write(text, fluid, |[q, x, r, b]| {
                    format!("{q} / {x} + ({b} - {q}) / ({x} - {r})")
                });
            }
        }
    }

    /// The table of what a client sees that fetches chunks.
    fn chunks(&self, text: &mut String, answer: &Answer) {
        let film = &self.film;
        let (count, each) = (film.chunks().len(), seconds(film.duration(0).as_secs_f64()));
        line(
            text,
            &format!(
                "A client of chunks has nothing of a chunk before it has all of it. Here, {count} of {each}:"
            ),
        );
        text.push('\n');
        let mut table = vec![vec![
            String::new(),
            "start-up".to_owned(),
            "freezes".to_owned(),
            "longest".to_owned(),
            "altogether".to_owned(),
            "full at".to_owned(),
            "last picture".to_owned(),
        ]];
        let when = |at: Option<f64>| at.map_or("never".to_owned(), seconds);
        if let Arrival::Steady(_) = self.arrival {
            let full_s = match answer.fluid.course() {
                Course::Fills { full_s } => Some(full_s),
                Course::Freezes { .. } | Course::Even => None,
            };
            let frozen_s = total_s(&answer.freezes);
            let end_s = answer.start_up_s + film.length().as_secs_f64() + frozen_s;
            let full_s = full_s.filter(|full_s| *full_s < end_s);
            let mut row = vec!["the formula's fluid".to_owned()];
            row.extend(cells(answer.start_up_s, &answer.freezes));
            row.extend([when(full_s), seconds(end_s)]);
            table.push(row);
        }
        for (resume, seen) in &answer.chunked {
            let name = match *resume {
                Duration::ZERO => "chunks, on with the first".to_owned(),
                resume if resume == self.policy.start() => "chunks, on at Q".to_owned(),
                resume => format!("chunks, on at {}", seconds(resume.as_secs_f64())),
            };
            let mut row = vec![name];
            row.extend(cells(seen.start_up_s, &seen.freezes));
            row.extend([when(seen.full_s), seconds(seen.end_s)]);
            table.push(row);
        }
        aligned(text, &table);
    }
}

fn saw_tooth(text: &mut String, fluid: &Fluid, tooth: SawTooth) {
    let period = seconds(tooth.period_s);
    let mean = format!("{} ({})", rate(fluid.arrival_bps), byte_rate(fluid.arrival_bps));
    line(text, &format!("x is H/2 = {mean} on average."));
    let each = tooth.mean_bps() * tooth.period_s;
    line(text, &format!("Each tooth brings HT/2 = {} ({}).", bits(each), bytes(each)));
    text.push('\n');
    let (whole, rest) = tooth.parted(fluid.start_bits);
    let start_up = Formula {
        name: "start-up delay",
        formula: "sqrt(2QT/H), while HT/2 >= Q",
        result_s: tooth.start_up_s(fluid.start_bits),
    };
    let x = tooth.peak_bps;
    if whole == 0.0 {
        let root = |[q, h, ..]: &Letters| format!("sqrt(2 * {q} * {period} / {h})");
        start_up.write(text, &Fluid { arrival_bps: x, ..*fluid }, root);
    } else {
        let formula = "nT + sqrt(2qT/H), with n whole teeth before, and q what they leave of Q";
        let root =
            |[q, h, ..]: &Letters| format!("{whole} * {period} + sqrt(2 * {q} * {period} / {h})");
        let rest = Fluid { arrival_bps: x, start_bits: rest, ..*fluid };
        Formula { formula, ..start_up }.write(text, &rest, root);
    }
}

/// Q, x, R and B in one unit.
type Letters = [String; 4];

/// A formula with a name and a result.
struct Formula<'a> {
    name: &'a str,
    formula: &'a str,
    result_s: f64,
}

impl<'a> Formula<'a> {
    fn new(name: &'a str, formula: &'a str, result_s: f64) -> Formula<'a> {
        Formula { name, formula, result_s }
    }

    /// The formula, then its numbers in bits and in bytes.
    fn write(&self, text: &mut String, fluid: &Fluid, put_in: impl Fn(&Letters) -> String) {
        let Fluid { start_bits: q, arrival_bps: x, playout_bps: r, buffer_bits: b } = *fluid;
        let in_bits = put_in(&[bits(q), rate(x), rate(r), bits(b)]);
        let in_bytes = put_in(&[bytes(q), byte_rate(x), byte_rate(r), bytes(b)]);
        let width = in_bits.len().max(in_bytes.len());
        let result = seconds(self.result_s);
        line(text, &format!("  {}: {}", self.name, self.formula));
        line(text, &format!("      {in_bits:<width$} = {result}"));
        line(text, &format!("      {in_bytes:<width$} = {result}"));
    }
}

/// The network of a saw-tooth, in steps.
fn network(tooth: SawTooth) -> Result<Network, NetworkError> {
    let periods = (0..STEPS).map(|step| {
        let share = (f64::from(step) + 0.5) / f64::from(STEPS);
        let duration_ms = tooth.period_s * 1e3 / f64::from(STEPS);
        Period::from_json_numbers(0, duration_ms, tooth.peak_bps * share / 1e3, 0.0)
    });
    Network::of_periods(&periods.collect::<Result<Vec<_>, _>>()?)
}

/// What a simulated session came to, in the words of a prediction.
fn seen(events: &[Event], end_s: f64, metrics: &Metrics) -> Chunked {
    let mut chunked = Chunked {
        start_up_s: metrics.start_up.as_secs_f64(),
        freezes: Vec::new(),
        full_s: None,
        end_s,
    };
    for event in events {
        let at_s = event.at.as_nanos() as f64 / 1e9;
        match event.what {
            What::Buffer(buffer::What::Stalled) => {
                chunked.freezes.push(Freeze { at_s, length_s: 0.0 });
            }
            What::Buffer(buffer::What::Resumed) => {
                if let Some(freeze) = chunked.freezes.last_mut() {
                    freeze.length_s = at_s - freeze.at_s;
                }
            }
            What::Buffer(buffer::What::Full) => _ = chunked.full_s.get_or_insert(at_s),
            _ => {}
        }
    }
    chunked
}

/// How long all freezes take together, in seconds.
pub fn total_s(freezes: &[Freeze]) -> f64 {
    freezes.iter().map(|freeze| freeze.length_s).sum()
}

/// Start-up and freezes as cells of a table.
fn cells(start_up_s: f64, freezes: &[Freeze]) -> [String; 4] {
    let longest_s = freezes.iter().map(|freeze| freeze.length_s).fold(0.0, f64::max);
    let count = freezes.len().to_string();
    [seconds(start_up_s), count, seconds(longest_s), seconds(total_s(freezes))]
}

/// A table whose first column is text, and whose others are numbers.
fn aligned(text: &mut String, table: &[Vec<String>]) {
    let columns = table.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = table.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in table {
        let mut written = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            _ = match column {
                0 => write!(written, "  {cell:<width$}"),
                _ => write!(written, "  {cell:>width$}"),
            };
        }
        line(text, &written);
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn rate(bps: f64) -> String {
    Unit::BitsPerSecond.said(bps)
}

fn byte_rate(bps: f64) -> String {
    Unit::BytesPerSecond.said(bps / 8.0)
}

fn bits(bits: f64) -> String {
    let said = Unit::BitsPerSecond.said(bits);
    said.strip_suffix("/s").map_or(said.clone(), str::to_owned)
}

fn bytes(bits: f64) -> String {
    Unit::Bytes.said(bits / 8.0)
}
