//! Many players at once: how start-up, stalls and rates are spread among them.

use std::fmt::Write;
use std::time::Duration;

use super::text::WIDTH;
use super::{facts, said};
use crate::drive::video::outcome::{Config, Outcome};
use crate::report::chart::{self, Axis, Chart, Form, Hue, Series, Unit};
use crate::report::ladder::lines::pad;
use crate::report::page::shell::{self, Shell};
use crate::report::svg::escape;

/// The players of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Crowd {
    /// How many there were.
    pub clients: u64,
    /// How many played to the end.
    pub ended: u64,
    /// How many did not, because something failed.
    pub troubled: u64,
    /// How many did not, because the run was ended.
    pub interrupted: u64,
    /// How many never stood still.
    pub smooth: u64,
    /// From the first request to the first picture, in seconds; of those that began.
    pub start_up_s: Spread,
    /// How often each stood still.
    pub stalls: Spread,
    /// How long each stood still, in seconds.
    pub stalled_s: Spread,
    /// The part of the time after the start in which each stood still, 0 to 1.
    pub stall_ratio: Spread,
    /// The mean bit rate of each, in bit/s.
    pub mean_bps: Spread,
    /// How often each changed its quality.
    pub switches: Spread,
    /// The linear QoE of each.
    pub qoe_linear: Spread,
    /// Bytes that came, of all together.
    pub bytes: u64,
    /// Bytes that were fetched and not played, of all together.
    pub wasted_bytes: u64,
    /// How evenly the mean bit rates are shared: 1 if all have the same, 1/n if one has all (Jain,
    /// Chiu and Hawe, DEC-TR-301, 1984).
    pub fairness: Option<f64>,
    /// Of each player that began: start-up and time stalled, in seconds, each ascending.
    pub waits_s: (Vec<f64>, Vec<f64>),
    /// What failed, with how often, the most frequent first.
    pub troubles: Vec<(String, u64)>,
}

/// How a quantity is spread: quantiles by the nearest rank; `None` if nobody has it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// The lowest.
    pub min: Option<f64>,
    /// The median.
    pub p50: Option<f64>,
    /// What 9 of 10 do not exceed.
    pub p90: Option<f64>,
    /// What 99 of 100 do not exceed.
    pub p99: Option<f64>,
    /// The highest.
    pub max: Option<f64>,
    /// The mean.
    pub mean: Option<f64>,
}

impl Spread {
    /// How these are spread.
    pub fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let rank = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).copied()
        };
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        Spread {
            min: values.first().copied(),
            p50: rank(50),
            p90: rank(90),
            p99: rank(99),
            max: values.last().copied(),
            mean: (!values.is_empty()).then_some(mean),
        }
    }
}

/// Troubles that are told.
const TROUBLES_MAX: usize = 5;

impl Crowd {
    /// Sums up the sessions of all players.
    pub fn of(outcomes: &[Outcome]) -> Crowd {
        let spread = |of: &dyn Fn(&Outcome) -> f64| Spread::of(outcomes.iter().map(of).collect());
        let count =
            |of: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|one| of(one)).count() as u64;
        let begun = outcomes.iter().filter(|one| !one.metrics.played.is_zero());
        let begun: Vec<&Outcome> = begun.collect();
        let waits = |of: &dyn Fn(&&Outcome) -> Duration| {
            let mut waits: Vec<f64> = begun.iter().map(|one| of(one).as_secs_f64()).collect();
            waits.sort_by(f64::total_cmp);
            waits
        };
        let (starts, stalls) =
            (waits(&|one| one.metrics.start_up), waits(&|one| one.metrics.stalled));
        let rates: Vec<f64> = outcomes.iter().map(|one| one.metrics.mean_bps).collect();
        Crowd {
            clients: outcomes.len() as u64,
            ended: count(&|one| one.trouble.is_none() && !one.interrupted),
            troubled: count(&|one| one.trouble.is_some()),
            interrupted: count(&|one| one.trouble.is_none() && one.interrupted),
            smooth: count(&|one| one.metrics.stalls == 0 && !one.metrics.played.is_zero()),
            start_up_s: Spread::of(starts.clone()),
            stalls: spread(&|one| one.metrics.stalls as f64),
            stalled_s: spread(&|one| one.metrics.stalled.as_secs_f64()),
            stall_ratio: spread(&|one| one.metrics.stall_ratio()),
            mean_bps: spread(&|one| one.metrics.mean_bps),
            switches: spread(&|one| one.metrics.switches as f64),
            qoe_linear: spread(&|one| one.metrics.qoe_linear),
            bytes: outcomes.iter().map(|one| super::Counts::of(one).bytes).sum(),
            wasted_bytes: outcomes.iter().map(|one| one.metrics.wasted_bytes).sum(),
            fairness: fairness(&rates),
            waits_s: (starts, stalls),
            troubles: troubles(outcomes),
        }
    }
}

/// Jain's index.
fn fairness(rates: &[f64]) -> Option<f64> {
    let (sum, squares) =
        (rates.iter().sum::<f64>(), rates.iter().map(|one| one * one).sum::<f64>());
    (squares > 0.0).then(|| sum * sum / (rates.len() as f64 * squares))
}

fn troubles(outcomes: &[Outcome]) -> Vec<(String, u64)> {
    let mut troubles: Vec<(String, u64)> = Vec::new();
    for trouble in outcomes.iter().filter_map(|one| one.trouble.as_ref()) {
        match troubles.iter_mut().find(|(what, _)| *what == trouble.what) {
            Some((_, times)) => *times += 1,
            None => troubles.push((trouble.what.clone(), 1)),
        }
    }
    troubles.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    troubles.truncate(TROUBLES_MAX);
    troubles
}

/// The players of a run, for people.
pub fn text(config: &Config, crowd: &Crowd, took: Duration, width: usize) -> String {
    let mut text = String::new();
    let all = facts::many(crowd.clients, "player");
    let (by, source) = (&config.chooser, &config.source);
    let first = format!("{source}: {all} in {}, qualities by {by}", said(took));
    super::text::say(&mut text, "", &first, width);
    let mut ends = format!("{} to the end, {} never stood still", crowd.ended, crowd.smooth);
    for (count, what) in [(crowd.troubled, "failed"), (crowd.interrupted, "interrupted")] {
        if count > 0 {
            let _ = write!(ends, ", {count} {what}");
        }
    }
    super::text::say(&mut text, "  ", &ends, width);
    text.push('\n');
    let line = |name: &str, values: [String; 5]| {
        let cells = values.iter().map(|value| pad(value, 12, true)).collect::<String>();
        format!("{}\n", format!("  {}{cells}", pad(name, 16, false)).trim_end())
    };
    text.push_str(&line("", ["min", "p50", "p90", "p99", "max"].map(str::to_owned)));
    let time = |seconds: f64| super::seconds(seconds);
    let number = |number: f64| Unit::Count.said(number);
    let rows: [(&str, &Spread, &dyn Fn(f64) -> String); 7] = [
        ("start-up", &crowd.start_up_s, &time),
        ("stalls", &crowd.stalls, &number),
        ("stalled", &crowd.stalled_s, &time),
        ("of the time", &crowd.stall_ratio, &|share| Unit::Share.said(share)),
        ("mean bit rate", &crowd.mean_bps, &|bps| Unit::BitsPerSecond.said(bps)),
        ("switches", &crowd.switches, &number),
        ("QoE linear", &crowd.qoe_linear, &facts::decimals),
    ];
    for (name, spread, say) in rows {
        let values = [spread.min, spread.p50, spread.p90, spread.p99, spread.max];
        text.push_str(&line(name, values.map(|value| value.map_or("–".to_owned(), say))));
    }
    let (bytes, wasted) = (Unit::Bytes.said(crowd.bytes as f64), crowd.wasted_bytes as f64);
    let fair = crowd.fairness.map_or("–".to_owned(), facts::decimals);
    let wasted = Unit::Bytes.said(wasted);
    let last = format!("{bytes} altogether, {wasted} for nothing; Jain's fairness of rates {fair}");
    text.push('\n');
    super::text::say(&mut text, "  ", &last, width);
    for (what, times) in &crowd.troubles {
        super::text::say(
            &mut text,
            "note: ",
            &format!("{}: {what}", facts::many(*times, "player")),
            width,
        );
    }
    text
}

/// The waits of the players as a picture that stands alone.
pub fn svg(config: &Config, crowd: &Crowd) -> String {
    picture(config, crowd).svg()
}

/// The players of a run as one HTML file: the picture, and the text below it.
pub fn html(config: &Config, crowd: &Crowd, took: Duration) -> String {
    let title = format!("stentor video play {}", config.source);
    let said = text(config, crowd, took, WIDTH);
    let said: Vec<String> = said.lines().map(escape).collect();
    let body = format!(
        "<header>\n<h1>{}</h1>\n</header>\n{}<pre>{}</pre>\n",
        escape(&title),
        picture(config, crowd).figure("waits"),
        said.join("\n")
    );
    let styles = [chart::style(), shell::REPORT, "pre { margin: 18px; }"];
    Shell { title: &title, styles: &styles, body: &body, script: None }.html()
}

/// How long players waited, the luckiest first.
fn picture(config: &Config, crowd: &Crowd) -> Chart {
    let series = |name: &str, hue, waits: &[f64]| {
        let of = waits.len().max(1) as f64;
        let point = |(rank, wait_s): (usize, &f64)| (rank as f64 / of, wait_s * 1e9);
        let mut points: Vec<(f64, f64)> = waits.iter().enumerate().map(point).collect();
        points.extend(points.last().map(|(_, longest)| (1.0, *longest)));
        Series { name: name.to_owned(), hue, form: Form::Steps, points }
    };
    let (starts, stalls) = (&crowd.waits_s.0, &crowd.waits_s.1);
    Chart {
        title: format!("Waits of {} at {}", facts::many(crowd.clients, "player"), config.source),
        about: format!("{} of {} never stood still.", crowd.smooth, crowd.clients),
        x: Axis {
            label: "share of the players that waited no longer".into(),
            unit: Unit::Share,
            range: Some((0.0, 1.0)),
            ..Axis::default()
        },
        y: Axis { label: "time".into(), unit: Unit::Nanos, ..Axis::default() },
        series: vec![series("start-up", Hue::First, starts), series("stalled", Hue::Bad, stalls)],
        ..Chart::default()
    }
}
