//! The rules that choose a chunk's quality, each as its paper has it.
//!
//! A rule sees what a player knows ([`View`]) and says what to fetch, and whether to wait before. It
//! does not know where its numbers come from: the simulator and a run over real sockets use the same
//! rules. Clocks, downloads and the buffer are left to them.

mod bola;
mod enhanced;
mod lookahead;
mod oracle;
mod threshold;

#[cfg(test)]
mod tests;

use std::time::Duration;

use thiserror::Error;

pub use bola::{Bola, Variant};
pub use enhanced::BolaE;
pub use lookahead::Mpc;
pub use oracle::plan;
pub use threshold::{Bba0, Throughput};

use super::estimate::Estimate;
use super::film::Film;
use super::session::Download;

/// The rules with a name, and what they are.
pub const NAMES: [(&str, &str); 11] = [
    ("fixed:N", "always quality N, from 0"),
    ("throughput", "the highest quality that 0.9 of the estimated throughput carries"),
    ("bba0", "a quality for each level of the buffer (Huang et al., SIGCOMM 2014)"),
    ("bola-basic", "utility against the buffer's level (Spiteri et al., INFOCOM 2016)"),
    ("bola", "BOLA-U: one step above the throughput at most (the same paper)"),
    ("bola-o", "BOLA-O: never above the throughput, waiting instead (the same paper)"),
    ("bola-e", "BOLA-E: with a placeholder buffer (Spiteri et al., MMSys 2018)"),
    ("dynamic", "throughput below 10 s of buffer, BOLA above (MMSys 2018)"),
    ("mpc", "the best of the next 5 chunks at the predicted throughput (Yin et al., SIGCOMM 2015)"),
    ("robust-mpc", "the same with a prediction lowered by its last errors"),
    ("oracle", "what a player would do who knew the network in advance; in simulation only"),
];

/// What a player knows when it chooses.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What is played.
    pub film: &'a Film,
    /// Which chunk is next, from 0.
    pub chunk: usize,
    /// How much is buffered.
    pub level: Duration,
    /// How much the buffer holds.
    pub capacity: Duration,
    /// The quality of the chunk before; `None` for the first.
    pub last: Option<usize>,
    /// What the next download is expected to meet; `None` before the first.
    pub estimate: Option<Estimate>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The quality to fetch, from 0.
    pub quality: usize,
    /// How long to wait before asking for it.
    pub wait: Duration,
}

/// A rule with what it remembers.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Always the same quality.
    Fixed(usize),
    /// Throughput alone.
    Throughput(Throughput),
    /// The buffer alone, in steps.
    Bba0(Bba0),
    /// BOLA basic, U and O.
    Bola(Bola),
    /// BOLA-E.
    BolaE(BolaE),
    /// Throughput and BOLA in turn.
    Dynamic {
        /// The rule of a full buffer.
        bola: Bola,
        /// The rule of an empty one.
        throughput: Throughput,
        /// Whether BOLA chooses.
        full: bool,
    },
    /// Model predictive control.
    Mpc(Mpc),
    /// A quality for each chunk, decided before: what [`plan`] found.
    Planned(Vec<usize>),
}

/// Why there is no such rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// No rule has the name.
    #[error("{0:?} is no rule; there are {known}", known = names())]
    Unknown(String),
    /// A quality that the film does not have.
    #[error("{written:?}: the film has qualities 0 to {highest}")]
    Quality {
        /// As written.
        written: String,
        /// The film's best.
        highest: usize,
    },
    /// The oracle without a network that is known in advance.
    #[error("the oracle has to know the network in advance: it exists in simulation only")]
    Oracle,
}

fn names() -> String {
    NAMES.map(|(name, _)| name).join(", ")
}

/// Whether a rule has this name, as far as that can be said before there is a film.
///
/// # Errors
/// Those of [`Rule::named`], but for a quality that the film may not have.
pub fn check_name(name: &str) -> Result<(), RuleError> {
    match name {
        "oracle" => Err(RuleError::Oracle),
        name if name.starts_with("fixed:") => Ok(()),
        name if NAMES.iter().any(|(known, _)| *known == name) => Ok(()),
        name => Err(RuleError::Unknown(name.to_owned())),
    }
}

/// `dynamic` changes its rule at this level.
const DYNAMIC_S: f64 = 10.0;

impl Rule {
    /// The rule of this name for a film: one of [`NAMES`].
    ///
    /// # Errors
    /// When there is none, or the oracle is asked for, which [`plan`] makes.
    pub fn named(name: &str, film: &Film) -> Result<Rule, RuleError> {
        let bola = |variant| Rule::Bola(Bola::new(film, variant));
        Ok(match name {
            "throughput" => Rule::Throughput(Throughput::default()),
            "bba0" => Rule::Bba0(Bba0::default()),
            "bola-basic" => bola(Variant::Basic),
            "bola" => bola(Variant::U),
            "bola-o" => bola(Variant::O),
            "bola-e" => Rule::BolaE(BolaE::new(film)),
            "dynamic" => Rule::Dynamic {
                bola: Bola::new(film, Variant::U),
                throughput: Throughput::default(),
                full: false,
            },
            "mpc" => Rule::Mpc(Mpc::new(false)),
            "robust-mpc" => Rule::Mpc(Mpc::new(true)),
            "oracle" => return Err(RuleError::Oracle),
            other => {
                let written = other.strip_prefix("fixed:");
                let written = written.ok_or_else(|| RuleError::Unknown(other.to_owned()))?;
                let highest = film.qualities() - 1;
                let quality = written.parse().ok().filter(|quality| *quality <= highest);
                let written = other.to_owned();
                Rule::Fixed(quality.ok_or(RuleError::Quality { written, highest })?)
            }
        })
    }

    /// Chooses the next chunk's quality. Without an estimate, for the first chunk, rules that are not
    /// fixed take the lowest.
    pub fn choose(&mut self, view: &View<'_>) -> Choice {
        let highest = view.film.qualities() - 1;
        let choice = match self {
            Rule::Fixed(quality) => Choice::now(*quality),
            Rule::Throughput(rule) => Choice::now(rule.choose(view)),
            Rule::Bba0(rule) => Choice::now(rule.choose(view)),
            Rule::Bola(rule) => rule.choose(view),
            Rule::BolaE(rule) => rule.choose(view),
            Rule::Dynamic { bola, throughput, full } => {
                let (above, below) = (bola.choose(view), throughput.choose(view));
                let level_s = view.level.as_secs_f64();
                // Hysteresis: a rule is left only for one that is not worse on its own side.
                *full = match *full {
                    true => !(level_s < DYNAMIC_S && above.quality < below),
                    false => level_s > DYNAMIC_S && above.quality >= below,
                };
                if *full { above } else { Choice::now(below) }
            }
            Rule::Mpc(rule) => Choice::now(rule.choose(view)),
            Rule::Planned(plan) => Choice::now(plan.get(view.chunk).copied().unwrap_or(0)),
        };
        Choice { quality: choice.quality.min(highest), ..choice }
    }

    /// Hears that the buffer was full for so long.
    pub fn waited(&mut self, time: Duration) {
        if let Rule::BolaE(rule) = self {
            rule.waited(time);
        }
    }

    /// Hears of a download that ended, and how much is buffered now; the view's estimate includes it.
    pub fn received(&mut self, view: &View<'_>, download: &Download) {
        match self {
            Rule::BolaE(rule) => rule.received(view, download),
            Rule::Mpc(rule) => rule.received(download),
            Rule::Fixed(_)
            | Rule::Throughput(_)
            | Rule::Bba0(_)
            | Rule::Bola(_)
            | Rule::Dynamic { .. }
            | Rule::Planned(_) => {}
        }
    }

    /// Whether it ever gives a download up: whether [`Rule::abandons`] need be asked.
    pub fn gives_up(&self) -> bool {
        match self {
            Rule::Throughput(_) | Rule::Dynamic { .. } | Rule::Bola(_) | Rule::BolaE(_) => true,
            Rule::Fixed(_) | Rule::Bba0(_) | Rule::Mpc(_) | Rule::Planned(_) => false,
        }
    }

    /// Says whether to give up a download, and which lower quality to ask for instead. The view is of
    /// now; to be asked whenever something has arrived.
    pub fn abandons(&self, view: &View<'_>, download: &Download) -> Option<usize> {
        match self {
            Rule::Throughput(_) | Rule::Dynamic { .. } => Throughput::abandons(view, download),
            Rule::Bola(rule) => rule.abandons(view, download),
            Rule::BolaE(rule) => rule.abandons(view, download),
            Rule::Fixed(_) | Rule::Bba0(_) | Rule::Mpc(_) | Rule::Planned(_) => None,
        }
    }

    /// Hears that its advice was taken: a download was given up for quality `to`.
    pub fn abandoned(&mut self, view: &View<'_>, to: usize) {
        match self {
            Rule::Bola(bola) | Rule::Dynamic { bola, .. } => bola.abandoned(to),
            Rule::BolaE(rule) => rule.abandoned(view, to),
            Rule::Fixed(_)
            | Rule::Throughput(_)
            | Rule::Bba0(_)
            | Rule::Mpc(_)
            | Rule::Planned(_) => {}
        }
    }
}

impl Choice {
    fn now(quality: usize) -> Choice {
        Choice { quality, wait: Duration::ZERO }
    }
}

/// The highest quality whose chunk comes, latency included, in the time it plays; 0 if none does.
fn carried(view: &View<'_>, bps: f64, latency_s: f64) -> usize {
    let chunk_s = view.film.duration(view.chunk).as_secs_f64();
    let higher = view.film.rates().iter().skip(1);
    higher.take_while(|rate| latency_s + chunk_s * rate.0 as f64 / bps <= chunk_s).count()
}

/// The same with the estimate as it is; 0 without one.
fn carried_now(view: &View<'_>) -> usize {
    view.estimate.map_or(0, |known| carried(view, known.bps, known.latency_s))
}

/// How large the chunk of a download is in another quality, in bits.
fn other_bits(view: &View<'_>, download: &Download, quality: usize) -> f64 {
    view.film.bytes(download.chunk, quality) as f64 * 8.0
}

/// What is left of a download, in bits; `None` before its first byte and after its last.
fn left_bits(download: &Download) -> Option<f64> {
    let left = download.size_bytes.saturating_sub(download.bytes);
    (download.bytes > 0 && left > 0).then_some(left as f64 * 8.0)
}

/// The insufficient-buffer rule: what is buffered must carry the next chunk with some safety, which
/// falls by a tenth with each chunk, from 0.9 to 0.5 (MMSys 2018, section 4.3).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Safety(f64);

impl Safety {
    const FIRST: f64 = 0.9;
    const LEAST: f64 = 0.5;

    /// The lower quality to fall to, if there is one.
    fn falls(&mut self, view: &View<'_>, quality: usize) -> Option<usize> {
        let known = view.estimate?;
        let safe_bits = self.0 * (view.level.as_secs_f64() - known.latency_s) * known.bps;
        self.0 = (self.0 * Safety::FIRST).max(Safety::LEAST);
        let chunk_s = view.film.duration(view.chunk).as_secs_f64();
        (0..quality).find(|lower| view.film.rate_bps(lower + 1) * chunk_s > safe_bits)
    }
}
