//! The lesson `latency`: one stalling server, measured by a closed loop and at a rate.

use std::net::SocketAddr;
use std::time::Duration;

use stentor_core::casing::Case;
use stentor_core::endpoint::{Host, Place, Target, Transport};
use stentor_core::load::payload::{Payload, Source};
use stentor_core::load::{self, Framing, Limit, Pace, Verify};
use stentor_core::moment::Moment;
use stentor_core::seed::Seed;
use stentor_core::service::fault::{Fault, Faults};

use super::service::with_service;
use super::stage::{Stage, Stop, now};
use crate::complaint::Complaint;
use crate::drive::load::outcome::{Config, Outcome};
use crate::drive::load::{Peer, Plan, run};

/// Silent during the first quarter of every second.
const STALL: &str = "stall=250ms/1s";
const SILENT: Duration = Duration::from_millis(250);
const SENTENCE: &[u8] = b"hello world";
/// How long each measurement asks: whole periods of the stall.
const LENGTH: Duration = Duration::from_secs(3);
/// Requests per second of the open loop.
const RATE: f64 = 400.0;
/// The longest reply that is taken: it is as long as its request.
const REPLY_MAX: usize = 1024;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    let fault: Fault = STALL
        .parse()
        .map_err(|error| Stop::Refused(Complaint::usage(format!("{STALL}: {error}"), "")))?;
    let faults = Faults::new([fault])
        .map_err(|error| Stop::Refused(Complaint::usage(error.to_string(), "")))?;
    with_service(
        stage,
        |plan| plan.faults = faults,
        |stage, service| {
            by_hand(stage, service.tcp)?;
            stage.step(
                "One client asks in a closed loop: again as soon as it is answered.",
                "While the server is silent this client asks nothing, so one request waits in \
                 each silence, among thousands that do not.",
            )?;
            let closed = measure(stage, service.tcp, Pace::Max, 1)?;
            stage.step(
                "Clients ask at a fixed rate, 400 times a second, whatever the server does.",
                "A request has a moment at which it is due, and its delay counts from there, also \
                 if it could not be sent because the one before it was not answered.",
            )?;
            let open = measure(stage, service.tcp, Pace::Constant(RATE), 4)?;
            compare(stage, &closed, &open)
        },
    )
}

/// One question, call by call: it comes at the beginning of a silence.
fn by_hand(stage: &mut Stage<'_>, target: SocketAddr) -> Result<(), Stop> {
    stage.step(
        "One client asks once, just when the server falls silent.",
        "The kernel takes the bytes at once; only the answer waits, and with it whoever called \
         recv.",
    )?;
    let client = stage.connected("client", target)?;
    let asked = now();
    stage.send(&client, SENTENCE)?;
    let answer = stage.recv_all(&client, SENTENCE.len())?;
    let waited = now().since(asked);
    stage.fact("waited", shown(waited))?;
    stage.close(client)?;
    stage.claim(
        "The answer is right, whenever it comes: nothing tells a client that it is late.",
        answer == SENTENCE.to_ascii_uppercase(),
        shown(waited),
    )
}

/// Asks for [`LENGTH`] and shows what was measured.
fn measure(
    stage: &mut Stage<'_>,
    target: SocketAddr,
    pace: Pace,
    connections: usize,
) -> Result<Outcome, Stop> {
    let plan = plan(target, pace, connections).map_err(Stop::Refused)?;
    let outcome = stage.interruptible(|interrupts| run(&plan, interrupts, &mut |_| {}))?;
    if outcome.interrupted {
        return Err(Stop::Interrupted);
    }
    let counts = outcome.tally.counts;
    stage.fact("requests", format!("{} sent, {} right", counts.sent, counts.verified))?;
    for (name, percent) in [("half waited at most", 50.0), ("9 of 10", 90.0), ("99 of 100", 99.0)] {
        stage.fact(name, shown(percentile(&outcome, percent)))?;
    }
    stage.fact("the longest", shown(outcome.tally.latency.max().unwrap_or_default()))?;
    stage.claim(
        "Every request was answered, and rightly.",
        counts.sent == counts.verified && counts.sent > 0,
        format!("{} of {}", counts.verified, counts.sent),
    )?;
    Ok(outcome)
}

fn compare(stage: &mut Stage<'_>, closed: &Outcome, open: &Outcome) -> Result<(), Stop> {
    stage.step(
        "The two are put beside each other.",
        "By arithmetic a quarter of the requests at a rate meets a silence of 250 ms, at any of \
         its moments: 9 of 10 wait less than 150 ms, 99 of 100 less than 240.",
    )?;
    let (closed, open) = (percentile(closed, 99.0), percentile(open, 99.0));
    stage.fact("99 of 100, closed loop", shown(closed))?;
    stage.fact("99 of 100, at a rate", shown(open))?;
    stage.claim(
        "The closed loop hides the silence: 99 of 100 are answered in less than half of it.",
        closed < SILENT / 2,
        shown(closed),
    )?;
    stage.claim(
        "At a rate it is seen: 1 of 100 waits longer than half of it.",
        open > SILENT / 2,
        shown(open),
    )
}

fn percentile(outcome: &Outcome, percent: f64) -> Duration {
    outcome.tally.latency.percentile(percent).unwrap_or_default()
}

/// Milliseconds with microseconds, below a second.
fn shown(span: Duration) -> String {
    format!("{:.3} ms", span.as_secs_f64() * 1e3)
}

/// Requests of one line each to a service on loopback.
fn plan(target: SocketAddr, pace: Pace, connections: usize) -> Result<Plan, Complaint> {
    let (seed, framing) = (Seed(0), Framing::Line);
    let verify = Verify::Upper(Case::Unicode);
    let timeout = Duration::from_secs(5);
    let length = 32;
    let payload = Payload::new(&Source::Letters(length), &framing, &verify, 1, seed)
        .map_err(|error| Complaint::usage(error.to_string(), ""))?;
    let load = load::Plan {
        pace,
        limit: Limit { count: None, until: None },
        start: Moment::START,
        warmup: Duration::ZERO,
        framing,
        payload,
        depth: 1,
        timeout,
        reconnect_every: None,
        greeting: false,
        reply_max: REPLY_MAX,
        seed,
    };
    let config = Config {
        target: Target {
            transport: Some(Transport::Tcp),
            place: Place::Inet(Host::Address(target.ip()), target.port()),
        },
        peer: Some(target.to_string()),
        connections,
        threads: 1,
        pace,
        duration: Some(LENGTH),
        count: None,
        warmup: Duration::ZERO,
        length,
        payload: "generated".to_owned(),
        framing: "line".to_owned(),
        verify: "upper".to_owned(),
        depth: 1,
        reconnect: None,
        greeting: false,
        timeout,
        interval: LENGTH,
        seed,
        fail_if: Vec::new(),
        link: None,
    };
    Ok(Plan {
        peer: Peer::Tcp(target),
        load,
        duration: Some(LENGTH),
        conditions: Vec::new(),
        config,
    })
}
