//! `all`: every workload that a demand names, beside the peers it names, in one run.
//!
//! `class` is the table of who is compared and what is demanded; `duel` has them take turns;
//! `ask`, `pour`, `arrive` and `flood` are the clients, the same for every server. `counts`,
//! `generator` and `footprint` are the figures that need no rival in the same second.

mod arrive;
mod ask;
mod class;
mod cores;
mod counts;
mod duel;
mod flood;
mod footprint;
mod generator;
mod meter;
mod peer;
mod pour;
mod publish;
mod render;
mod script;
mod workshop;

use std::fs;
use std::time::{Duration, Instant};

use self::class::{CLASSES, Class};
use self::cores::Cores;
use self::duel::{Bench, Pace};
use self::render::Findings;
use self::script::{Dialect, Script};
use self::workshop::Workshop;
use crate::{casing, client, notice};

/// When a full run stops taking disturbed turns again: it is to end within 25 minutes.
const HURRY: Duration = Duration::from_secs(15 * 60);
/// Parts that are no class.
const PARTS: [&str; 4] = ["counts", "load", "idle", "casing"];

/// What is asked of a run.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    /// Whether documents are renewed.
    pub(crate) write: bool,
    /// Classes and parts by name; all if there is none.
    pub(crate) only: Vec<String>,
}

/// Measures and renders everything, in Markdown.
///
/// # Errors
/// A name is unknown, a server answers wrong, or a document cannot be written.
pub(crate) fn measure(options: &Options) -> Result<String, String> {
    check(options)?;
    client::descriptors()?;
    let from = Instant::now();
    let bench = Bench {
        workshop: Workshop::open()?,
        cores: Cores::choose()?,
        pace: pace(options.quick),
        capitals: Script::new(Dialect::Capitals),
        redis: Script::new(Dialect::Redis),
        texts: script::all_texts(),
    };
    let mut findings = Findings { quick: options.quick, ..Findings::default() };
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|o| o == name);
    for class in CLASSES.iter().filter(|class| wanted(class.name)) {
        if class.name == "spin" && !generator::says(&["serve", "--help"], "--spin")? {
            notice("SKIPPED: stentor serve has no --spin");
            continue;
        }
        progress(from, class.title);
        findings.outcomes.push(duel::run(&bench, class)?);
    }
    if wanted("counts") {
        progress(from, "what a request costs, counted");
        findings.counts = counts::run(&bench, options.quick)?;
    }
    if wanted("load") {
        progress(from, "what asking costs");
        findings.costs = generator::run(&bench, options.quick)?;
    }
    if wanted("idle") {
        progress(from, "idle connections");
        findings.footprints = footprint::run(&bench, options.quick)?;
    }
    if wanted("casing") {
        progress(from, "upper-casing alone");
        findings.casing = casing::measure(options.quick)?;
    }
    findings.conditions = conditions(&bench, &findings, from.elapsed());
    if options.write {
        publish::write(&findings)?;
    }
    let (met, missed) = findings.verdicts();
    notice(&format!("goals met: {met}; missed: {}", missed.len()));
    missed.iter().for_each(|line| notice(&format!("  {line}")));
    Ok(findings.markdown())
}

fn check(options: &Options) -> Result<(), String> {
    let known =
        |name: &&str| CLASSES.iter().any(|class| class.name == *name) || PARTS.contains(name);
    if let Some(unknown) = options.only.iter().find(|name| !known(&name.as_str())) {
        let names: Vec<&str> =
            CLASSES.iter().map(|class: &Class| class.name).chain(PARTS).collect();
        return Err(format!("{unknown:?} is none of {}", names.join(" ")));
    }
    match options.write && !options.only.is_empty() {
        true => Err("--write renews whole tables: leave the names out".to_owned()),
        false => Ok(()),
    }
}

fn pace(quick: bool) -> Pace {
    let ms = Duration::from_millis;
    let hurry = Instant::now() + HURRY;
    match quick {
        true => Pace { rounds: 2, warm: ms(20), span: ms(80), repeats: 0, hurry },
        false => Pace { rounds: 8, warm: ms(60), span: ms(200), repeats: 3, hurry },
    }
}

fn progress(from: Instant, what: &str) {
    notice(&format!("[{:>4} s] {what}", from.elapsed().as_secs()));
}

/// The machine and the run, in sentences.
fn conditions(bench: &Bench, findings: &Findings, took: Duration) -> Vec<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let Pace { rounds, span, .. } = bench.pace;
    let mut said = vec![
        format!(
            "stentor {}, {}; Linux {}; {}, {} processors; congestion control {}.",
            env!("CARGO_PKG_VERSION"),
            if findings.quick { "a quick run, which shows that it works" } else { "a full run" },
            read("/proc/sys/kernel/osrelease"),
            model.map_or("a processor without a name", |(_, name)| name),
            std::thread::available_parallelism().map_or(1, usize::from),
            read("/proc/sys/net/ipv4/tcp_congestion_control"),
        ),
        format!(
            "{rounds} rounds of {} ms each in which all take turns, every time in a fresh process; {} s \
             in all.",
            span.as_millis(),
            took.as_secs()
        ),
    ];
    if let Some((median, most)) = render::disturbance(&findings.outcomes) {
        said.push(format!(
            "Other programs had {median:.0} % of one processor in the median turn, {most:.0} % in the \
             worst."
        ));
    }
    let missing = bench.workshop.missing();
    if !missing.is_empty() {
        said.push(format!("Not there, and left out: {}.", missing.join(", ")));
    }
    said
}
