//! Faults of an origin on request: what goes wrong, with which paths, and how often.
//!
//! The words are those of `service::fault` where they mean the same. A fault without a pattern strikes
//! pieces of film, so that manifests and pages stay whole. Chance depends on the seed, the path, and how
//! often it was asked for, never on what else was: two runs have the same luck, however many clients ask
//! at once, and a request that is made again has another. Carrying it out is left to the driver.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::seed::{Dice, Seed};
use crate::units::{BitRate, Probability, Span, UnitError};

/// How long a `stall` lasts, unless given.
const STALL: &str = "10s";
/// The delay of a `late` answer, unless given.
const LATE: &str = "300ms";
/// Of how many paths a fault counts the requests; those of further ones are counted together.
const PATHS_MAX: usize = 1 << 16;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An answer with this code, 400 to 599, instead.
    Status(u16),
    /// The answer after a delay.
    Late(Duration),
    /// Its body at this rate.
    Slow(BitRate),
    /// Half of its body, silence, and the rest; `None`: the silence has no end.
    Stall(Option<Duration>),
    /// Half of its body, then an orderly close.
    Truncate,
    /// Half of its body, then a reset.
    Rst,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Kind::Status(_) => "status",
            Kind::Late(_) => "late",
            Kind::Slow(_) => "slow",
            Kind::Stall(_) => "stall",
            Kind::Truncate => "truncate",
            Kind::Rst => "rst",
        }
    }
}

/// How many of the requests that it could strike a fault does strike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Often {
    /// Each with this probability.
    Chance(Probability),
    /// The last of every so many.
    Every(NonZeroU64),
    /// The first, and no other.
    Once,
}

/// Paths by a pattern: `*` is any text, with slashes, and `?` is one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// One fault: `stall=3s@/2/*.m4s:10%`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// With which paths; `None`: with pieces of film.
    pub pattern: Option<Pattern>,
    /// How often.
    pub often: Often,
}

/// Why a fault was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FaultError {
    /// No such fault.
    #[error(
        "{0:?} is not a fault: 404 (any code from 400 to 599), late=300ms, slow=200kbit, stall=10s, \
         stall=forever, truncate or rst, each with optional paths and frequency, such as \
         404@/2/*:10%, rst:every=5 or stall:once"
    )]
    Unknown(String),
    /// The value is not one.
    #[error("fault {fault}: {source}")]
    Unit {
        /// The name of the fault.
        fault: &'static str,
        /// What is wrong.
        source: UnitError,
    },
    /// A value for a fault that takes none.
    #[error("fault {fault} takes no value, not {value:?}")]
    NoValue {
        /// The name of the fault.
        fault: String,
        /// What was given.
        value: String,
    },
    /// `slow` without a rate, or with one of nothing.
    #[error("fault slow takes a rate above 0, such as slow=200kbit")]
    Rate,
    /// A pattern that no path can match.
    #[error("{0:?} matches no path: paths begin with /, so write /2/*, *.m4s or */3.m4s")]
    Pattern(String),
    /// A frequency that is none.
    #[error("{0:?} is not how often: 10%, 0.1, every=5 or once is")]
    Often(String),
}

impl FromStr for Pattern {
    type Err = FaultError;

    fn from_str(written: &str) -> Result<Pattern, FaultError> {
        match written.starts_with(['/', '*', '?']) {
            true => Ok(Pattern(written.to_owned())),
            false => Err(FaultError::Pattern(written.to_owned())),
        }
    }
}

impl Pattern {
    /// Whether a path is one of these.
    pub fn matches(&self, path: &str) -> bool {
        let (pattern, path): (Vec<char>, Vec<char>) =
            (self.0.chars().collect(), path.chars().collect());
        let (mut at, mut next) = (0, 0);
        // Where the last star stands, and how much of the path it has taken.
        let mut star: Option<(usize, usize)> = None;
        while at < path.len() {
            match pattern.get(next) {
                Some('*') => {
                    star = Some((next, at));
                    next += 1;
                }
                Some(one) if *one == '?' || path.get(at) == Some(one) => {
                    at += 1;
                    next += 1;
                }
                Some(_) | None => {
                    let Some((place, taken)) = &mut star else { return false };
                    *taken += 1;
                    (at, next) = (*taken, *place + 1);
                }
            }
        }
        pattern.get(next..).is_some_and(|rest| rest.iter().all(|one| *one == '*'))
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(written: &str) -> Result<Fault, FaultError> {
        let (rest, often) = match written.rsplit_once(':') {
            Some((rest, often)) => (rest, often.parse()?),
            None => (written, Often::Chance(Probability(1.0))),
        };
        let (rest, pattern) = match rest.split_once('@') {
            Some((rest, pattern)) => (rest, Some(pattern.parse()?)),
            None => (rest, None),
        };
        let (name, value) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (rest, None),
        };
        let kind = match name {
            "late" => Kind::Late(span("late", value.unwrap_or(LATE))?),
            "slow" => Kind::Slow(rate(value)?),
            "stall" if value == Some("forever") => Kind::Stall(None),
            "stall" => Kind::Stall(Some(span("stall", value.unwrap_or(STALL))?)),
            "truncate" => bare(name, Kind::Truncate, value)?,
            "rst" => bare(name, Kind::Rst, value)?,
            _ => match name.parse() {
                Ok(code @ 400..=599) if name.len() == 3 => bare(name, Kind::Status(code), value)?,
                _ => return Err(FaultError::Unknown(written.to_owned())),
            },
        };
        Ok(Fault { kind, pattern, often })
    }
}

fn span(fault: &'static str, value: &str) -> Result<Duration, FaultError> {
    let parsed = value.parse::<Span>();
    parsed.map(|span| span.0).map_err(|source| FaultError::Unit { fault, source })
}

fn rate(value: Option<&str>) -> Result<BitRate, FaultError> {
    let rate = value.ok_or(FaultError::Rate)?.parse();
    let rate: BitRate = rate.map_err(|source| FaultError::Unit { fault: "slow", source })?;
    if rate.0 == 0 { Err(FaultError::Rate) } else { Ok(rate) }
}

fn bare(fault: &str, kind: Kind, value: Option<&str>) -> Result<Kind, FaultError> {
    match value {
        None => Ok(kind),
        Some(value) => {
            Err(FaultError::NoValue { fault: fault.to_owned(), value: value.to_owned() })
        }
    }
}

impl FromStr for Often {
    type Err = FaultError;

    fn from_str(written: &str) -> Result<Often, FaultError> {
        let refused = || FaultError::Often(written.to_owned());
        match written.split_once('=') {
            Some(("every", count)) => count.parse().map(Often::Every).map_err(|_| refused()),
            Some(_) => Err(refused()),
            None if written == "once" => Ok(Often::Once),
            None => written.parse().map(Often::Chance).map_err(|_| refused()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Status(code) => write!(f, "{code}"),
            Kind::Late(span) | Kind::Stall(Some(span)) => {
                write!(f, "{}={}", self.kind.name(), Span(span))
            }
            Kind::Slow(rate) => write!(f, "slow={rate}"),
            Kind::Stall(None) => f.write_str("stall=forever"),
            Kind::Truncate | Kind::Rst => f.write_str(self.kind.name()),
        }?;
        if let Some(Pattern(pattern)) = &self.pattern {
            write!(f, "@{pattern}")?;
        }
        match self.often {
            Often::Chance(Probability(chance)) if chance >= 1.0 => Ok(()),
            Often::Chance(chance) => write!(f, ":{chance}"),
            Often::Every(count) => write!(f, ":every={count}"),
            Often::Once => f.write_str(":once"),
        }
    }
}

/// What goes wrong with one answer; several faults may have struck it. A code stands instead of all
/// that concerns a body, and of two that end it the first given counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Struck {
    /// The code of the answer, which is then a line of text.
    pub status: Option<u16>,
    /// How long the answer is kept back.
    pub late: Duration,
    /// The rate of its body.
    pub slow: Option<BitRate>,
    /// After half of its body nothing comes for so long; `Some(None)`: for ever.
    pub stall: Option<Option<Duration>>,
    /// After half of its body, and of the stall, the connection is closed in this way.
    pub end: Option<End>,
    /// The faults, in their words; empty if there are none.
    pub words: String,
}

/// How an answer ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order, with a FIN.
    Close,
    /// With a reset.
    Reset,
}

/// The faults of an origin, and what each has seen.
#[derive(Clone, Debug)]
pub struct Faults {
    seed: Seed,
    armed: Vec<Armed>,
}

#[derive(Clone, Debug)]
struct Armed {
    fault: Fault,
    /// How it is written, which is also the name of its dice.
    words: String,
    /// Requests that it could have struck.
    seen: u64,
    /// Of those, how many were for each path.
    paths: BTreeMap<String, u64>,
}

impl Faults {
    /// Faults with the luck of a seed.
    pub fn new(faults: impl IntoIterator<Item = Fault>, seed: Seed) -> Faults {
        let arm = |fault: Fault| {
            let words = fault.to_string();
            Armed { fault, words, seen: 0, paths: BTreeMap::new() }
        };
        Faults { seed, armed: faults.into_iter().map(arm).collect() }
    }

    /// Whether nothing goes wrong.
    pub fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    /// Decides what goes wrong with the answer to a request for `path`, which is a piece of film if
    /// `is_media`.
    pub fn strike(&mut self, path: &str, is_media: bool) -> Struck {
        let mut struck = Struck::default();
        for armed in &mut self.armed {
            let concerned = armed.fault.pattern.as_ref();
            if concerned.map_or(is_media, |pattern| pattern.matches(path))
                && armed.strikes(path, self.seed)
            {
                struck.add(armed);
            }
        }
        struck
    }
}

impl Armed {
    fn strikes(&mut self, path: &str, seed: Seed) -> bool {
        self.seen += 1;
        match self.fault.often {
            Often::Chance(Probability(chance)) if chance >= 1.0 => true,
            Often::Chance(Probability(chance)) => {
                let known = self.paths.len() < PATHS_MAX || self.paths.contains_key(path);
                let path = if known { path } else { "" };
                let visit = self.paths.entry(path.to_owned()).or_insert(0);
                *visit += 1;
                Dice::new(seed, &format!("{} {visit} {path}", self.words)).chance(chance)
            }
            Often::Every(count) => self.seen.is_multiple_of(count.get()),
            Often::Once => self.seen == 1,
        }
    }
}

impl Struck {
    fn add(&mut self, armed: &Armed) {
        match armed.fault.kind {
            Kind::Status(code) => self.status = self.status.or(Some(code)),
            Kind::Late(delay) => self.late = self.late.saturating_add(delay),
            Kind::Slow(rate) => self.slow = Some(self.slow.map_or(rate, |slow| slow.min(rate))),
            Kind::Stall(silence) => self.stall = self.stall.or(Some(silence)),
            Kind::Truncate => self.end = self.end.or(Some(End::Close)),
            Kind::Rst => self.end = self.end.or(Some(End::Reset)),
        }
        let comma = if self.words.is_empty() { "" } else { "," };
        self.words = format!("{}{comma}{}", self.words, armed.words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(written: &[&str], seed: u64) -> Faults {
        Faults::new(written.iter().map(|one| one.parse().unwrap()), Seed(seed))
    }

    #[test]
    fn faults_are_read_and_written() {
        let check = |written: &str, again: &str| {
            let fault: Fault = written.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(fault.to_string(), again);
            assert_eq!(again.parse(), Ok(fault), "{again}");
        };
        check("404", "404");
        check("503@*:25%", "503@*:25%");
        check("late", "late=300ms");
        check("late=2s:every=3", "late=2s:every=3");
        check("slow=25k@/0/*", "slow=200kbit@/0/*");
        check("stall", "stall=10s");
        check("stall=forever:once", "stall=forever:once");
        check("truncate@/?/1*.m4s:0.5", "truncate@/?/1*.m4s:50%");
        check("rst:100%", "rst");
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        let check = |written: &str, said: &str| {
            let error = written.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(said), "{written}: {error}");
        };
        for unknown in ["", "200", "600", "0404", "half", "@/0/*", ":10%", "404x"] {
            check(unknown, "is not a fault");
        }
        check("404=1", "fault 404 takes no value, not \"1\"");
        check("rst=1s", "fault rst takes no value");
        check("late=5", "fault late: \"5\" is not a time");
        check("stall=", "fault stall: \"\" is not a time");
        check("slow", "takes a rate above 0");
        check("slow=0", "takes a rate above 0");
        check("slow=fast", "fault slow: \"fast\" is not");
        check("404@0/1.m4s", "\"0/1.m4s\" matches no path");
        check("404@", "\"\" matches no path");
        for often in ["", "200%", "every", "every=0", "every=-1", "twice", "once=1"] {
            check(&format!("404@*:{often}"), "is not how often");
        }
    }

    #[test]
    fn patterns_match_paths() {
        let check = |pattern: &str, path: &str, expected: bool| {
            let pattern: Pattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(path), expected, "{pattern:?} {path}");
        };
        check("*", "", true);
        check("*", "/0/1.m4s", true);
        check("/2/*", "/2/1.m4s", true);
        check("/2/*", "/12/1.m4s", false);
        check("*.m4s", "/2/1.m4s", true);
        check("*.m4s", "/2/1.m4s2", false);
        check("*/1?.m4s", "/2/11.m4s", true);
        check("*/1?.m4s", "/2/1.m4s", false);
        check("*a*b*c", "/aXXbbXc", true);
        check("*a*b*c", "/aXXbbXd", false);
        check("/é?", "/éü", true);
        check("/init.mp4", "/init.mp4", true);
        check("/init.mp4", "/init.mp", false);
        // No pattern takes long, whatever a person writes.
        check(&("*a".repeat(500) + "b"), &"a".repeat(10_000), false);
    }

    #[test]
    fn a_fault_strikes_pieces_of_film_unless_it_names_paths() {
        let struck = |written: &str, path: &str, media| {
            faults(&[written], 1).strike(path, media) != Struck::default()
        };
        assert!(struck("404", "/0/1.m4s", true) && !struck("404", "/master.m3u8", false));
        assert!(struck("404@*.m3u8", "/master.m3u8", false));
        assert!(!struck("404@*.m3u8", "/0/1.m4s", true));
    }

    #[test]
    fn frequencies_count_what_could_be_struck() {
        let strikes = |written: &str, count: usize| -> Vec<usize> {
            let mut faults = faults(&[written], 1);
            let path = |one: usize| format!("/{}/{one}.m4s", one % 2);
            let struck = (0..count).filter(|one| faults.strike(&path(*one), true).end.is_some());
            struck.collect()
        };
        assert_eq!(strikes("rst:every=3", 10), [2, 5, 8]);
        assert_eq!(strikes("rst@/1/*:every=2", 10), [3, 7]);
        assert_eq!(strikes("rst@/1/*:once", 10), [1]);
        assert_eq!(strikes("rst:0%", 10), [0_usize; 0]);
        let many = strikes("rst:10%", 10_000).len();
        assert!((900..1100).contains(&many), "{many}");
    }

    #[test]
    fn luck_depends_on_the_path_and_not_on_what_else_is_asked() {
        let run = |order: &[usize], seed| -> BTreeMap<usize, Vec<bool>> {
            let (mut faults, mut struck) = (faults(&["503:50%"], seed), BTreeMap::new());
            for chunk in order {
                let status = faults.strike(&format!("/0/{chunk}.m4s"), true).status;
                struck.entry(*chunk).or_insert_with(Vec::new).push(status.is_some());
            }
            struck
        };
        let forward: Vec<usize> = (0..64).chain(0..64).collect();
        let backward: Vec<usize> = forward.iter().rev().copied().collect();
        assert_eq!(run(&forward, 1), run(&backward, 1));
        assert_ne!(run(&forward, 1), run(&forward, 2));
        // Asked again, a path has another luck.
        assert!(run(&forward, 1).values().any(|twice| twice.first() != twice.last()));
    }

    #[test]
    fn several_faults_may_strike_one_answer() {
        let all =
            ["late=1s", "late=2s", "slow=2Mbit", "slow=1Mbit", "stall=forever", "rst", "truncate"];
        let struck = faults(&all, 1).strike("/0/1.m4s", true);
        assert_eq!((struck.late.as_secs(), struck.slow), (3, Some(BitRate(1_000_000))));
        assert_eq!((struck.stall, struck.end), (Some(None), Some(End::Reset)));
        assert_eq!(
            struck.words,
            "late=1s,late=2s,slow=2Mbit,slow=1Mbit,stall=forever,rst,truncate"
        );
    }

    #[test]
    fn paths_are_bounded() {
        let mut faults = faults(&["404@*:50%"], 1);
        for path in 0..PATHS_MAX + 10 {
            faults.strike(&path.to_string(), false);
        }
        assert_eq!(faults.armed.first().unwrap().paths.len(), PATHS_MAX + 1);
    }
}
