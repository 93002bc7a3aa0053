//! Whether the simulator and a player over sockets decide alike: the same film, rule and trace, once
//! through the link before an origin, once on the virtual clock; compared chunk by chunk.
//!
//! Where they differ it is told by how much the estimate and the level differed, and how little more or
//! less bandwidth it takes for the simulator to decide as the sockets did.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use stentor::report::json::video::film::Numbers;
use stentor_core::link::Trace;
use stentor_core::seed::{Dice, Seed};
use stentor_core::units::BitRate;
use stentor_core::video::abr::Rule;
use stentor_core::video::buffer::Policy;
use stentor_core::video::estimate::Estimator;
use stentor_core::video::film::{Film, Plan};
use stentor_core::video::network::Network;
use stentor_core::video::session::{Download, What};
use stentor_core::video::simulator;

use crate::program::{Running, stentor_of_any_build};

const RULES: &[&str] = &[
    "throughput",
    "bba0",
    "bola-basic",
    "bola",
    "bola-o",
    "bola-e",
    "dynamic",
    "mpc",
    "robust-mpc",
];
const RULES_QUICK: &[&str] = &["throughput", "bola", "mpc"];
/// From a request to its first byte.
const LATENCY_MS: u64 = 40;
const CHUNK: Duration = Duration::from_millis(500);
const CHUNKS: usize = 40;
const RATES_KBPS: &[u64] = &[200, 400, 800, 1500, 3000, 6000];
/// B, Q and with how much it goes on after a freeze.
const BUFFER_S: u64 = 14;
const START_S: u64 = 1;
/// A session with freezes in it ends by then.
const LIMIT: Duration = Duration::from_secs(90);
/// How much more or less bandwidth is tried to explain a difference, in per cent.
const NEAR_PERCENT: [f64; 8] = [0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0];

/// Seconds and Mbit/s.
type Rows = Vec<(f64, f64)>;

/// What a session decided, chunk by chunk.
#[derive(Clone, Debug, Default)]
struct Decisions {
    /// The quality asked for first, how much was buffered in ms, and what was expected in bit/s.
    chunks: BTreeMap<u64, (u64, f64, f64)>,
    /// How far into the trace the session began.
    began: Duration,
}

/// Measures and renders the tables, in Markdown.
pub(super) fn measure(quick: bool) -> Result<String, String> {
    let rules = if quick { RULES_QUICK } else { RULES };
    let folder = std::env::temp_dir().join(format!("stentor-agree-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| format!("make {}: {error}", folder.display()))?;
    let told = compare(quick, rules, &folder);
    let _ = fs::remove_dir_all(&folder);
    told
}

fn compare(quick: bool, rules: &[&'static str], folder: &Path) -> Result<String, String> {
    let film = film()?;
    let film_file = kept(folder, "film.json", &Numbers::of(&film).map_err(said)?.text())?;
    let (_origin, address) = origin(&film_file)?;
    let head_bytes = head_bytes(&address)?;
    let mut traces = traces();
    traces.truncate(if quick { 1 } else { traces.len() });
    let mut agreed: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    let mut notes = String::new();
    for (name, rows) in &traces {
        let trace_file = kept(folder, &format!("{name}.txt"), &table(rows, 1.0))?;
        let played = std::thread::scope(|scope| {
            let run = |rule: &'static str| {
                let way = Way { film: &film_file, trace: &trace_file, url: &address, head_bytes };
                scope.spawn(move || both(folder, rule, name, way))
            };
            let runs: Vec<_> = rules.iter().map(|rule| (*rule, run(rule))).collect();
            let ended = runs.into_iter().map(|(rule, run)| (rule, run.join()));
            ended.collect::<Vec<_>>()
        });
        for (rule, pair) in played {
            let (live, simulated) = pair.map_err(|_| format!("{rule} on {name} failed"))??;
            let count = agreed.entry(rule).or_default();
            for (chunk, decided) in &live.chunks {
                let expected = simulated.chunks.get(chunk).copied().unwrap_or_default();
                count[1] += 1;
                if decided.0 == expected.0 {
                    count[0] += 1;
                } else {
                    let near = near(&film, rows, rule, &live, *chunk, head_bytes)?;
                    writeln!(
                        notes,
                        "| {rule} | {name} | {} |",
                        difference(*chunk, *decided, expected, &near)
                    )
                    .map_err(said)?;
                }
            }
        }
    }
    Ok(rendered(&agreed, &notes, traces.len()))
}

fn rendered(agreed: &BTreeMap<&str, [u64; 2]>, notes: &str, traces: usize) -> String {
    let mut text = format!(
        "Decisions of a player over sockets and of the simulator: {traces} traces, {CHUNKS} chunks of \
         {} ms.\n\n| rule | same | of | agreement |\n|---|---|---|---|\n",
        CHUNK.as_millis()
    );
    let mut sum = [0, 0];
    for (rule, [same, all]) in agreed {
        sum = [sum[0] + same, sum[1] + all];
        text += &row(rule, *same, *all);
    }
    text += &row("all", sum[0], sum[1]);
    if !notes.is_empty() {
        text += "\n| rule | trace | chunk | live | simulated | estimate | level | as live with |\n";
        text += "|---|---|---|---|---|---|---|---|\n";
        text += notes;
    }
    text
}

fn row(rule: &str, same: u64, all: u64) -> String {
    format!("| {rule} | {same} | {all} | {:.1}% |\n", same as f64 * 100.0 / all.max(1) as f64)
}

fn difference(chunk: u64, live: (u64, f64, f64), simulated: (u64, f64, f64), near: &str) -> String {
    let (level_ms, more) = (live.1 - simulated.1, (live.2 / simulated.2 - 1.0) * 100.0);
    format!("{chunk} | {} | {} | {more:+.1}% | {level_ms:+.0} ms | {near}", live.0, simulated.0)
}

/// How little another bandwidth makes the simulator decide as the sockets did.
fn near(
    film: &Film,
    rows: &Rows,
    rule: &str,
    live: &Decisions,
    chunk: u64,
    head_bytes: u64,
) -> Result<String, String> {
    let wanted = live.chunks.get(&chunk).map(|one| one.0);
    for percent in NEAR_PERCENT {
        for sign in [-1.0, 1.0] {
            let trace: Trace = table(rows, 1.0 + sign * percent / 100.0).parse().map_err(said)?;
            let latency = Duration::from_millis(LATENCY_MS);
            let network = Network::recorded(trace, latency).map_err(said)?;
            let network = network.beginning_at(live.began).with_heads(head_bytes);
            let seconds = Duration::from_secs;
            let policy = Policy::new(seconds(BUFFER_S), seconds(START_S), seconds(START_S));
            let rule = Rule::named(rule, film).map_err(said)?;
            let played = simulator::play(film, &network, policy.map_err(said)?, rule);
            let asked = played.events.iter().find_map(|event| match event.what {
                What::Requested { chunk: one, quality, .. } if one as u64 == chunk => Some(quality),
                What::Requested { .. }
                | What::Received(_)
                | What::Abandoned { .. }
                | What::Failed { .. }
                | What::Buffer(_) => None,
            });
            if asked.map(|quality| quality as u64) == wanted {
                return Ok(format!("{:+.1}% bandwidth", sign * percent));
            }
        }
    }
    Ok("none tried".to_owned())
}

fn film() -> Result<Film, String> {
    let rates = RATES_KBPS.iter().map(|kbps| BitRate(kbps * 1000)).collect();
    let plan = Plan { rates, chunk: CHUNK, count: CHUNKS, variation: 0.3 };
    plan.generate(&mut Dice::new(Seed(11), "film")).map_err(said)
}

/// Stairs, an outage, and a link that changes each second.
fn traces() -> Vec<(&'static str, Rows)> {
    let mut dice = Dice::new(Seed(23), "agree");
    let mut mbit: f64 = 2.0;
    let walk = (1..=40).map(|second| {
        mbit = (mbit * (0.6 + 0.9 * dice.unit())).clamp(0.4, 6.0);
        (f64::from(second), mbit)
    });
    let mut mobile = vec![(0.0, 2.0)];
    mobile.extend(walk);
    vec![
        (
            "stairs",
            vec![(0.0, 0.6), (6.0, 0.6), (12.0, 1.4), (18.0, 3.5), (24.0, 1.0), (40.0, 2.0)],
        ),
        (
            "outage",
            vec![(0.0, 3.0), (9.0, 3.0), (12.0, 0.15), (20.0, 3.0), (22.0, 0.1), (40.0, 2.5)],
        ),
        ("mobile", mobile),
    ]
}

fn table(rows: &Rows, times: f64) -> String {
    rows.iter().map(|(second, mbit)| format!("{second} {:.6}\n", mbit * times)).collect()
}

fn kept(folder: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(|error| format!("write {}: {error}", path.display()))?;
    Ok(path)
}

/// An origin of the film on a free port, and the address of its manifest.
fn origin(film: &Path) -> Result<(Running, String), String> {
    let mut command = Command::new(stentor_of_any_build()?);
    command.args(["video", "serve", "-p", "0", "--film"]).arg(film).env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running::start(&mut command)?;
    let out = running.child.stdout.take().ok_or("no pipe to the origin")?;
    let mut lines = BufReader::new(out).lines();
    while let Some(Ok(line)) = lines.next() {
        let url = line.split_whitespace().next().unwrap_or_default();
        if url.ends_with("/master.m3u8") {
            let url = url.to_owned();
            // What it goes on to say is read and thrown away: a full pipe would stop it.
            std::thread::spawn(move || lines.for_each(drop));
            return Ok((running, url));
        }
    }
    Err("the origin named no /master.m3u8".to_owned())
}

/// What comes before the body of a chunk, in bytes.
fn head_bytes(url: &str) -> Result<u64, String> {
    let address = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    let address = address.ok_or("the origin named no address")?;
    let mut stream = TcpStream::connect(address).map_err(said)?;
    write!(stream, "GET /0/0.m4s HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")
        .map_err(said)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).map_err(said)?;
    let end =
        reply.windows(4).position(|four| four == b"\r\n\r\n").ok_or("a reply without an end")?;
    // Without the word that asked for the close.
    let close = "connection: close\r\n".len();
    Ok((end + 4 - close) as u64)
}

/// What is played, over what, from where, and what comes before each chunk.
#[derive(Clone, Copy)]
struct Way<'a> {
    film: &'a Path,
    trace: &'a Path,
    url: &'a str,
    head_bytes: u64,
}

/// The decisions over sockets, and those of the simulator that begins as far into the trace.
fn both(
    folder: &Path,
    rule: &str,
    name: &str,
    Way { film, trace, url, head_bytes }: Way<'_>,
) -> Result<(Decisions, Decisions), String> {
    let (film, trace) = (film.display().to_string(), trace.display().to_string());
    let link = format!("down:trace={trace},up:delay={LATENCY_MS}ms");
    let live = [url, "--link", &link, "--seed", "1"];
    let live = session(folder, &format!("{name}-{rule}-live"), rule, &film, &live)?;
    let from = format!("{}ns", live.began.as_nanos());
    let latency = format!("{LATENCY_MS}ms");
    let head = head_bytes.to_string();
    let simulated = ["--sim", &trace, "--latency", &latency, "--from", &from, "--head", &head];
    let simulated = session(folder, &format!("{name}-{rule}-sim"), rule, &film, &simulated)?;
    Ok((live, simulated))
}

fn session(
    folder: &Path,
    name: &str,
    rule: &str,
    film: &str,
    words: &[&str],
) -> Result<Decisions, String> {
    let (object, events) =
        (folder.join(format!("{name}.json")), folder.join(format!("{name}.jsonl")));
    let mut command = Command::new(stentor_of_any_build()?);
    command.args(["video", "play", "-q", "--rule", rule, "--film", film]).args(words);
    command.args(["-B", &format!("{BUFFER_S}s"), "-Q", &format!("{START_S}s")]);
    command.arg("-o").arg(&object).arg("-o").arg(&events);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = Running::start(&mut command)?.wait(LIMIT)?;
    if !status.success() {
        return Err(format!("video play {} ended with {status}", words.join(" ")));
    }
    let text = fs::read_to_string(&object).map_err(said)?;
    let object: Value = serde_json::from_str(&text).map_err(said)?;
    let began = object.pointer("/result/session/began_ns").and_then(Value::as_u64).unwrap_or(0);
    let text = fs::read_to_string(&events).map_err(said)?;
    let began = Duration::from_nanos(began);
    Ok(Decisions { chunks: decided(&text)?, began })
}

/// What was decided, of the lines of a session's events.
fn decided(lines: &str) -> Result<BTreeMap<u64, (u64, f64, f64)>, String> {
    let mut chunks = BTreeMap::new();
    let mut estimator = Estimator::default();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).map_err(said)?;
        let number = |key: &str| line.get(key).and_then(Value::as_u64).unwrap_or(0);
        match line.get("event").and_then(Value::as_str) {
            Some("requested") => {
                let expected = estimator.estimate().map_or(f64::NAN, |estimate| estimate.bps);
                let level_ms = number("level_ns") as f64 / 1e6;
                chunks.entry(number("chunk")).or_insert((number("quality"), level_ms, expected));
            }
            Some("received") => {
                let span = |key| Duration::from_nanos(number(key));
                let bytes = number("bytes");
                let download = Download {
                    chunk: 0,
                    quality: 0,
                    size_bytes: bytes,
                    bytes,
                    latency: span("latency_ns"),
                    total: span("took_ns"),
                };
                estimator.feed(&download, CHUNK.as_secs_f64());
            }
            _ => {}
        }
    }
    match chunks.len() {
        CHUNKS => Ok(chunks),
        found => Err(format!("{found} chunks of {CHUNKS} were asked for")),
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
