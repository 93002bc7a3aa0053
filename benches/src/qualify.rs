//! `qualify` on links that are set to known figures: what it should say beside what it says, each
//! direction impaired in turn.

use std::fmt::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::figures::yes;
use crate::program::{self, Server};

/// A link, and what follows from its words; `None` is not looked at.
struct Known {
    link: &'static str,
    loss: f64,
    round_trip_ms: f64,
    jitter_ms: f64,
    rate_bps: Option<f64>,
}

/// Bits of a probe of 64 bytes: they take their time at a rate.
const PROBE_BITS: f64 = 64.0 * 8.0;

/// Of uniform jitter ±5 ms the mean of |D| is a third of the width one way, and 7/15 of it over
/// both (the mean distance of sums of two).
const LINKS: &[Known] = &[
    known("up:loss=2%", 0.02, 0.0, 0.0, None),
    known("down:loss=2%", 0.02, 0.0, 0.0, None),
    known("loss=5%,delay=10ms", 0.0975, 20.0, 0.0, None),
    known("up:delay=30ms", 0.0, 30.0, 0.0, None),
    known("down:delay=30ms", 0.0, 30.0, 0.0, None),
    known("delay=20ms,up:jitter=5ms", 0.0, 40.0, 10.0 / 3.0, None),
    known("delay=20ms,down:jitter=5ms", 0.0, 40.0, 10.0 / 3.0, None),
    known("delay=20ms,jitter=5ms", 0.0, 40.0, 10.0 * 7.0 / 15.0, None),
    known("up:rate=2Mbit", 0.0, PROBE_BITS / 2e3, 0.0, Some(2e6)),
    known("down:rate=2Mbit", 0.0, PROBE_BITS / 2e3, 0.0, Some(2e6)),
    known("delay=10ms,rate=10Mbit", 0.0, 20.0 + 2.0 * PROBE_BITS / 10e3, 0.0, Some(10e6)),
];

const fn known(
    link: &'static str,
    loss: f64,
    round_trip_ms: f64,
    jitter_ms: f64,
    rate_bps: Option<f64>,
) -> Known {
    Known { link, loss, round_trip_ms, jitter_ms, rate_bps }
}

/// Measures and renders the table, in Markdown.
pub(crate) fn measure(quick: bool) -> Result<String, String> {
    let stentor = program::stentor()?;
    let server = Server::start(&[])?;
    let target = server.address()?.to_string();
    let mut report =
        "| link | figure | expected | measured | within |\n|---|---|---|---|---|\n".to_owned();
    for known in LINKS {
        let mut command = Command::new(&stentor);
        let span = if quick { "4s" } else { "10s" };
        command.args(["qualify", &target, "--json", "-q", "-d", span, "--cap", "50Mbit"]);
        command.args(["--link", known.link, "--seed", "7"]).stderr(Stdio::inherit());
        let output = command.output().map_err(|error| format!("stentor qualify: {error}"))?;
        let json: Value =
            serde_json::from_slice(&output.stdout).map_err(|error| format!("its JSON: {error}"))?;
        rows(&mut report, known, &json);
    }
    Ok(report)
}

fn rows(report: &mut String, known: &Known, json: &Value) {
    let number = |path: &str| json.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let train = "/result/udp/train";
    let mut row = |figure: &str, expected: f64, measured: f64, within: bool| {
        let link = known.link;
        let within = yes(within);
        let _ =
            writeln!(report, "| {link} | {figure} | {expected:.3} | {measured:.3} | {within} |");
    };
    let (low, high) = (number(&format!("{train}/loss_low")), number(&format!("{train}/loss_high")));
    let loss = number(&format!("{train}/loss"));
    row("loss, %", known.loss * 100.0, loss * 100.0, (low..=high).contains(&known.loss));
    for (name, path) in [("UDP", train), ("TCP", "/result/tcp/messages")] {
        let ms = number(&format!("{path}/round_trips/p50_ns")) / 1e6;
        let within = (ms - known.round_trip_ms).abs() <= 0.2;
        row(&format!("round trip {name}, ms"), known.round_trip_ms, ms, within);
    }
    if known.jitter_ms > 0.0 {
        let ms = number(&format!("{train}/jitter_ns")) / 1e6;
        row("jitter, ms", known.jitter_ms, ms, (ms / known.jitter_ms - 1.0).abs() <= 0.05);
    }
    if let Some(rate) = known.rate_bps {
        let paths =
            [("UDP", "/result/udp/throughput/rate_bps"), ("TCP", "/result/tcp/throughput_bps")];
        for (name, path) in paths {
            let measured = number(path);
            let within = (measured / rate - 1.0).abs() <= 0.05;
            row(&format!("rate {name}, Mbit/s"), rate / 1e6, measured / 1e6, within);
        }
    }
}
