//! Progressive play in real time, over real sockets and the link engine, beside the book's formulae:
//! start-up, playing, freezing, and filling the buffer.
//!
//! Everything runs in this process: an origin, a link that limits the rate, and the player that reads
//! byte by byte. x is what the link was asked for, not what came.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use stentor::drive::impair::beside;
use stentor::drive::serve::{Address, Wanted};
use stentor::drive::video::origin::{self, Catalogue, Limits, Source};
use stentor::drive::video::outcome::{Outcome, Progressive};
use stentor::drive::video::play::News;
use stentor::drive::video::play::progressive::{Company, Plan, compare, play};
use stentor_core::endpoint::Transport;
use stentor_core::link::Spec;
use stentor_core::seed::Seed;
use stentor_core::units::BitRate;
use stentor_core::video::buffer::Policy;
use stentor_core::video::columns::Column;
use stentor_core::video::film::Film;
use stentor_core::video::predict::{Course, Fluid};

use crate::figures::yes;
use crate::notice;

/// How far a figure may be from its formula.
const WITHIN: f64 = 0.02;
/// How long a chunk of the film plays.
const CHUNK: Duration = Duration::from_millis(500);
const SEED: Seed = Seed(1);

/// A link, a film and a buffer.
struct Case {
    /// x, as the link is asked for.
    arrival_bps: u64,
    /// R; the film's head comes on top.
    playout_bps: u64,
    /// Q, in playing time.
    start: Duration,
    /// B, in playing time.
    buffer: Duration,
    /// How many chunks the film has.
    chunks: usize,
}

/// Each is over within 15 s.
const CASES: &[Case] = &[
    case((800_000, 1_000_000), (800, 20_000), 16),
    case((3_000_000, 2_000_000), (1_000, 4_000), 24),
    case((2_000_000, 4_000_000), (1_000, 20_000), 10),
    case((500_000, 2_000_000), (500, 20_000), 6),
    case((20_000_000, 8_000_000), (1_000, 5_000), 18),
    case((40_000_000, 50_000_000), (900, 20_000), 18),
];

const fn case((x, r): (u64, u64), (q_ms, b_ms): (u64, u64), chunks: usize) -> Case {
    Case {
        arrival_bps: x,
        playout_bps: r,
        start: Duration::from_millis(q_ms),
        buffer: Duration::from_millis(b_ms),
        chunks,
    }
}

/// Measures and renders the tables, in Markdown.
pub(super) fn measure(quick: bool) -> Result<String, String> {
    let mut table = "| x | R | Q | B | figure | formula | measured | worst error | within 2 % |\n\
                     |---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let mut columns = "| x | R | freezes: fluid | chunks | measured | frozen: fluid | chunks | \
                       measured |\n|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let cases = if quick { CASES.get(..2).unwrap_or(CASES) } else { CASES };
    for case in cases {
        let outcome = case.run()?;
        let seen = outcome.account.progressive.ok_or("no progressive play")?;
        let [fluid, chunked, measured] = compare(&outcome, 0).ok_or("no columns")?;
        for figure in case.figures(seen, &measured)? {
            case.row(&mut table, &figure);
        }
        let (x, r) = (BitRate(case.arrival_bps), BitRate(case.playout_bps));
        let all = [&fluid, &chunked, &measured];
        let count = all.map(|column| column.freezes.len().to_string()).join(" | ");
        let frozen = all.map(|column| format!("{:.2} s", column.frozen_s())).join(" | ");
        let _ = writeln!(columns, "| {x} | {r} | {count} | {frozen} |");
    }
    Ok(format!("{table}\n{columns}"))
}

/// What the formula says, and what was measured, once or again and again.
struct Figure {
    name: &'static str,
    formula_s: f64,
    measured_s: Vec<f64>,
}

impl Figure {
    fn worst(&self) -> f64 {
        let off = |measured: &f64| (measured / self.formula_s - 1.0).abs();
        self.measured_s.iter().map(off).fold(0.0, f64::max)
    }
}

impl Case {
    fn film(&self) -> Result<Film, String> {
        Film::even(&[BitRate(self.playout_bps)], CHUNK, self.chunks).map_err(said)
    }

    /// Plays it through a link, to its end.
    fn run(&self) -> Result<Outcome, String> {
        notice(&format!("x {} R {} ...", BitRate(self.arrival_bps), BitRate(self.playout_bps)));
        let catalogue = Catalogue::new(self.film()?).map_err(said)?;
        let (log, _requests) = mpsc::sync_channel(16);
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = origin::start(origin::Plan {
            addresses: vec![Wanted { address: Address::Tcp(loopback), optional: false }],
            source: Source::Film(Arc::new(catalogue)),
            pages: Default::default(),
            requests: |_| String::new(),
            queues: |_| String::new(),
            listing: |_, _| String::new(),
            rate: None,
            faults: Vec::new(),
            seed: SEED,
            limits: Limits::new(256),
            log,
        });
        let running = running.map_err(said)?;
        let spec: Spec =
            format!("down:rate={}", BitRate(self.arrival_bps)).parse().map_err(said)?;
        let link =
            beside((&spec, false), SEED, Transport::Tcp, &running.addresses).map_err(said)?;
        let plan = Plan {
            addresses: vec![link.address],
            authority: link.address.to_string(),
            path: "/0/film.mp4".to_owned(),
            film: self.film()?,
            quality: 0,
            policy: Policy::new(self.buffer, self.start, self.start).map_err(said)?,
            receive_buffer_bytes: None,
            silence_max: Duration::from_secs(5),
            sample_every: Duration::from_millis(20),
        };
        let (mut news, mut server) = (|_: News<'_>| {}, || None);
        let mut company = Company { interrupts: None, news: &mut news, server: &mut server };
        let outcome = play(&plan, &mut company).map_err(said)?;
        running.abort();
        running.finish().map_err(said)?;
        match outcome.trouble {
            Some(trouble) => Err(trouble.what),
            None => Ok(outcome),
        }
    }

    /// The formulae beside what was measured.
    fn figures(&self, seen: Progressive, measured: &Column) -> Result<Vec<Figure>, String> {
        let formula = Fluid {
            arrival_bps: self.arrival_bps as f64,
            playout_bps: seen.playout_bps as f64,
            start_bits: seen.start_bytes as f64 * 8.0,
            buffer_bits: seen.capacity_bytes as f64 * 8.0,
        };
        let started_s = measured.start_up_s.ok_or("it never began")?;
        let start = Figure {
            name: "start-up Q/x",
            formula_s: formula.start_up_s(),
            measured_s: vec![started_s],
        };
        let rest = match formula.course() {
            Course::Freezes { plays_s, freezes_s } => {
                let mut begins_s = started_s;
                let (mut plays, mut freezes) = (Vec::new(), Vec::new());
                // What is left at the end may be less than Q, and its freeze shorter.
                let whole = formula.freezes(self.film()?.length().as_secs_f64());
                let whole = whole.iter().filter(|f| f.length_s > freezes_s * 0.999).count();
                for freeze in measured.freezes.iter().take(whole) {
                    plays.push(freeze.at_s - begins_s);
                    freezes.push(freeze.length_s);
                    begins_s = freeze.at_s + freeze.length_s;
                }
                vec![
                    Figure { name: "plays Q/(R-x)", formula_s: plays_s, measured_s: plays },
                    Figure { name: "freezes Q/x", formula_s: freezes_s, measured_s: freezes },
                ]
            }
            Course::Fills { full_s } => {
                let measured_s = measured.full_s.into_iter().collect();
                vec![Figure { name: "full Q/x+(B-Q)/(x-R)", formula_s: full_s, measured_s }]
            }
            Course::Even => Vec::new(),
        };
        let figures: Vec<Figure> = std::iter::once(start).chain(rest).collect();
        match figures.iter().find(|figure| figure.measured_s.is_empty()) {
            Some(missing) => Err(format!("{}: it was never seen", missing.name)),
            None => Ok(figures),
        }
    }

    fn row(&self, table: &mut String, figure: &Figure) {
        let (x, r) = (BitRate(self.arrival_bps), BitRate(self.playout_bps));
        let count = figure.measured_s.len();
        let mean = figure.measured_s.iter().sum::<f64>() / count as f64;
        let times = if count > 1 { format!(" (mean of {count})") } else { String::new() };
        let worst = figure.worst();
        let _ = writeln!(
            table,
            "| {x} | {r} | {:.1} s | {:.1} s | {} | {:.3} s | {mean:.3} s{times} | {:.2} % | {} |",
            self.start.as_secs_f64(),
            self.buffer.as_secs_f64(),
            figure.name,
            figure.formula_s,
            worst * 100.0,
            yes(worst <= WITHIN)
        );
    }
}

fn said(error: impl ToString) -> String {
    error.to_string()
}
