//! Entrants take turns, round by round, each time in a fresh process: the same program differs by a
//! third and more between two starts. Ratios are of turns of the same round; medians of rounds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::class::{Class, Entrant, Figure, Ratio, Work};
use super::cores::{self, Cores};
use super::meter::{Extent, Meter, Sample};
use super::peer::Server;
use super::pour::Due;
use super::script::{Dialect, Script, Text};
use super::workshop::Workshop;
use super::{arrive, ask, flood, pour};
use crate::figures::median;

/// A turn in which others had more than this share of a processor is taken again.
const DISTURBED: f64 = 0.15;

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) rounds: usize,
    pub(crate) warm: Duration,
    pub(crate) span: Duration,
    /// How often a disturbed turn is taken again at most.
    pub(crate) repeats: usize,
    /// When disturbed turns are no longer taken again.
    pub(crate) hurry: Instant,
}

/// Everything that measuring needs.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) workshop: Workshop,
    pub(crate) cores: Cores,
    pub(crate) pace: Pace,
    pub(crate) capitals: Script,
    pub(crate) redis: Script,
    pub(crate) texts: BTreeMap<&'static str, Text>,
}

/// What one entrant did in all rounds.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) entrant: &'static Entrant,
    pub(crate) samples: Vec<Sample>,
}

/// What came of a class; the first entry is the one that others are compared with.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) class: &'static Class,
    pub(crate) entries: Vec<Entry>,
    /// Turns that were taken again, and that stayed disturbed.
    pub(crate) repeated: usize,
    pub(crate) disturbed: usize,
}

/// A ratio over all rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    pub(crate) fn of(ratios: Vec<f64>) -> Spread {
        let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ratios.iter().copied().fold(0.0, f64::max);
        Spread { median: median(ratios), low, high }
    }
}

/// Has the entrants of a class take turns; those that are not there are left out.
///
/// # Errors
/// A server does not start, answers wrong, or stops answering.
pub(crate) fn run(bench: &Bench, class: &'static Class) -> Result<Outcome, String> {
    let mut entries = Vec::new();
    for entrant in class.entrants {
        if bench.workshop.program(entrant.peer.source)?.is_some() {
            entries.push(Entry { entrant, samples: Vec::new() });
        }
    }
    let (mut repeated, mut disturbed) = (0, 0);
    for _ in 0..bench.pace.rounds {
        for entry in &mut entries {
            let mut repeats = 0;
            let sample = loop {
                let sample = turn(bench, class, entry.entrant)?;
                let calm = sample.others.is_none_or(|others| others <= DISTURBED);
                if calm {
                    break sample;
                }
                if repeats == bench.pace.repeats || Instant::now() > bench.pace.hurry {
                    disturbed += 1;
                    break sample;
                }
                repeats += 1;
            };
            repeated += repeats;
            entry.samples.push(sample);
        }
    }
    Ok(Outcome { class, entries, repeated, disturbed })
}

fn turn(bench: &Bench, class: &Class, entrant: &Entrant) -> Result<Sample, String> {
    let cores = if class.shared { bench.cores.shared() } else { bench.cores };
    let named = |error: String| format!("{}, {}: {error}", class.title, entrant.name);
    let server = entrant.peer.start(&bench.workshop, cores.server, &[])?;
    let server = server.ok_or_else(|| named("it has vanished".to_owned()))?;
    let Pace { warm, span, .. } = bench.pace;
    let mut meter =
        Meter::new(entrant.peer.alone.then(|| server.pid()), Extent::Time { warm, span });
    cores::on(cores.client, || drive(bench, entrant, &server, &mut meter)).map_err(named)?;
    meter.sample().map_err(named)
}

/// One client at work against a running server.
///
/// # Errors
/// The server answers wrong, or not at all.
pub(crate) fn drive(
    bench: &Bench,
    entrant: &Entrant,
    server: &Server,
    meter: &mut Meter,
) -> Result<(), String> {
    let script = match entrant.peer.dialect {
        Dialect::Capitals => &bench.capitals,
        Dialect::Redis => &bench.redis,
    };
    let text = |name: &str| bench.texts.get(name).ok_or_else(|| format!("no text {name:?}"));
    match entrant.work {
        Work::Ask(shape) => ask::drive(server.address, script, shape, meter),
        Work::Pour(name) => {
            let text = text(name)?;
            pour::drive(server.address, &text.asked, Due::Stream(&text.capitals), meter)
        }
        Work::Echo => {
            let asked = &text("ASCII")?.asked;
            pour::drive(server.address, asked, Due::Stream(asked), meter)
        }
        Work::Sink => pour::drive(server.address, &text("ASCII")?.asked, Due::Count, meter),
        Work::Arrive => arrive::drive(server.address, script, meter),
        Work::Flood(sending) => flood::drive(server.address, sending, meter),
    }
}

impl Outcome {
    /// The ratio of an entry, in the figure of the class.
    pub(crate) fn ratio(&self, entry: &Entry) -> Option<Spread> {
        let figure = self.class.figure;
        self.spread(entry, |sample| match figure {
            Figure::Rate => Some(sample.rate),
            Figure::RoundTrip => sample.p50_us,
            Figure::ServerCpu => sample.server_ns,
        })
    }

    /// The ratio of the server's processor time for each thing done.
    pub(crate) fn cpu_ratio(&self, entry: &Entry) -> Option<Spread> {
        self.spread(entry, |sample| sample.server_ns)
    }

    fn spread(&self, entry: &Entry, figure: impl Fn(&Sample) -> Option<f64>) -> Option<Spread> {
        let first = self.entries.first()?;
        let pairs = first.samples.iter().zip(&entry.samples);
        let ratios: Option<Vec<f64>> = pairs
            .map(|(ours, theirs)| {
                let (ours, theirs) = (figure(ours)?, figure(theirs)?);
                Some(match self.class.ratio {
                    Ratio::OursToPeer => ours / theirs,
                    Ratio::EachToFirst => theirs / ours,
                })
            })
            .collect();
        ratios.filter(|ratios| !ratios.is_empty()).map(Spread::of)
    }
}

impl Entry {
    /// The median of a figure that every turn has.
    pub(crate) fn median(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let all: Option<Vec<f64>> = self.samples.iter().map(figure).collect();
        all.filter(|all| !all.is_empty()).map(median)
    }
}
