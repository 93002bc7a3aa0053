//! What a run of `qualify` shows, in every form: [`text`] for people, [`page`] to look closer; the
//! JSON is in `report::json`.

mod charts;
mod figures;
pub mod page;
pub mod text;

use std::time::{Duration, SystemTime};

use stentor_core::qualify::probe::Trained;
use stentor_core::qualify::{Application, Check, Override, Verdict, judge};
use stentor_core::seed::Seed;

use super::chart::Unit;
use crate::drive::qualify::{Outcome, Trouble};

/// What was asked for: what stands above the figures.
#[derive(Clone, Debug)]
pub struct Head {
    /// Where to, as it was written.
    pub target: String,
    /// The address, once it is known.
    pub peer: Option<String>,
    /// Whether datagrams were asked for.
    pub udp: bool,
    /// Whether streams were.
    pub tcp: bool,
    /// About how long it was to take.
    pub duration: Duration,
    /// The longest wait.
    pub timeout: Duration,
    /// The highest rate, in bit/s.
    pub cap_bps: f64,
    /// From which all letters and the link's luck follow.
    pub seed: Seed,
    /// The words of the link before the target.
    pub link: Option<String>,
    /// What the links did.
    pub links: Vec<String>,
    /// What the links could not do.
    pub notes: Vec<String>,
    /// What has to pass.
    pub applications: Vec<Application>,
    /// Other limits than the table's.
    pub limits: Vec<Override>,
}

impl Default for Head {
    fn default() -> Head {
        Head {
            target: String::new(),
            peer: None,
            udp: false,
            tcp: false,
            duration: Duration::ZERO,
            timeout: Duration::ZERO,
            cap_bps: 0.0,
            seed: Seed(0),
            link: None,
            links: Vec::new(),
            notes: Vec::new(),
            applications: Vec::new(),
            limits: Vec::new(),
        }
    }
}

/// A run with its verdicts.
#[derive(Debug)]
pub struct Report<'a> {
    /// What was asked for.
    pub head: &'a Head,
    /// What was measured.
    pub outcome: &'a Outcome,
    /// When it began.
    pub started: SystemTime,
    /// The seven rows, in the lecture's order.
    pub verdicts: Vec<Verdict>,
}

impl<'a> Report<'a> {
    /// Judges what was measured.
    pub fn of(head: &'a Head, outcome: &'a Outcome, started: SystemTime) -> Report<'a> {
        let path = outcome.path();
        let verdict = |application| judge(&path, application, &head.limits);
        Report { head, outcome, started, verdicts: Application::ALL.map(verdict).into() }
    }

    /// Whether anything was answered rightly.
    pub fn measured(&self) -> bool {
        let udp = self.outcome.udp.as_ref().and_then(|udp| udp.train.as_ref());
        let tcp = self.outcome.tcp.as_ref().is_some_and(|tcp| tcp.verified_bytes > 0);
        tcp || udp.is_some_and(|train| train.answered > 0)
    }

    /// What of `--for` fails.
    pub fn failed(&self) -> Vec<Application> {
        let failed = |verdict: &&Verdict| {
            !verdict.passed && self.head.applications.contains(&verdict.application)
        };
        self.verdicts.iter().filter(failed).map(|verdict| verdict.application).collect()
    }

    /// Why a transport was not measured, or not to its end.
    pub fn troubles(&self) -> Vec<&Trouble> {
        let udp = self.outcome.udp.as_ref().and_then(|udp| udp.trouble.as_ref());
        let tcp = self.outcome.tcp.as_ref().and_then(|tcp| tcp.trouble.as_ref());
        udp.into_iter().chain(tcp).collect()
    }

    /// What a reader should know besides.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self
            .troubles()
            .iter()
            .map(|trouble| format!("{}. {}", trouble.what, trouble.next))
            .collect();
        notes.extend(self.head.notes.iter().cloned());
        notes.extend(self.head.links.iter().cloned());
        let udp = self.outcome.udp.as_ref();
        let train = udp.and_then(|udp| udp.train.as_ref());
        if let Some(train) = train.filter(|train| is_rationed(train)) {
            notes.push(format!(
                "{} of {} datagrams were not answered by a service that echoes: a guard against \
                 loops may ration it (stentor serve: --udp-mute off, or its usual service)",
                train.lost, train.sent
            ));
        }
        let late = self.outcome.lateness.percentile(99.0).unwrap_or_default();
        if late > Duration::from_micros(200) {
            notes.push(format!(
                "this machine sent late (p99 {}): that much of the spread of the figures is its own",
                said(Some(late))
            ));
        }
        notes
    }
}

/// Whether many echoes are missing: what a guard of an echo service does.
fn is_rationed(train: &Trained) -> bool {
    train.echoes > 0 && train.lost * 4 > train.sent
}

/// `throughput 2 Mbit/s, at least 1.33 Mbit/s`.
fn held(check: &Check) -> String {
    let quantity = check.threshold.quantity;
    let value = check.value.map_or_else(|| "not measured".to_owned(), |value| quantity.show(value));
    let threshold = check.threshold.to_string();
    let limit = threshold.strip_prefix(quantity.name()).unwrap_or(&threshold);
    format!("{} {value},{limit}", quantity.name())
}

/// A span of time in words, `–` if there is none.
fn said(span: Option<Duration>) -> String {
    span.map_or_else(|| "–".to_owned(), |span| Unit::Nanos.said(span.as_nanos() as f64))
}

/// A rate of payload in words.
fn rate(bps: Option<f64>) -> String {
    bps.map_or_else(|| "–".to_owned(), |bps| Unit::BitsPerSecond.said(bps))
}
