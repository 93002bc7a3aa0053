//! The lesson `qualify`: the lecture's application table, judged on three links.

use std::time::Duration;

use stentor_core::endpoint;
use stentor_core::link::Spec;
use stentor_core::qualify::{Application, Verdict, judge};
use stentor_core::seed::Seed;

use super::calls::Transport;
use super::service::{Addresses, with_service};
use super::stage::{Stage, Stop};
use crate::complaint::{Complaint, Exit};
use crate::drive::impair::beside;
use crate::drive::qualify::{Plan, run};

/// How long each link is measured: verdicts far from their limits need no more.
const SPAN: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(5);
const CAP_BPS: f64 = 20e6;
const SEED: Seed = Seed(19);

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Stop> {
    with_service(
        stage,
        |_| {},
        |stage, service| {
            stage.step(
                "The service answers in capitals: what comes back says what the path did.",
                "Every probe is numbered, and every answer is compared with what was sent.",
            )?;
            let client = stage.socket("client", Transport::Udp)?;
            stage.send_to(&client, b"is anybody there?", service.udp)?;
            let (answer, _) = stage.recv_from(&client, 2048)?;
            stage.claim("It answers.", answer == b"IS ANYBODY THERE?", "the same in capitals")?;
            stage.close(client)?;
            good(stage, service)?;
            mobile(stage, service)?;
            satellite(stage, service)
        },
    )
}

fn good(stage: &mut Stage<'_>, service: Addresses) -> Result<(), Stop> {
    stage.step(
        "A good line: 5 ms each way, 20 Mbit/s.",
        "The thresholds are of ITU-T G.114, G.1010 and Y.1541; each verdict names its own.",
    )?;
    let verdicts = measure(stage, service, "delay=5ms,rate=20Mbit")?;
    let passed = verdicts.iter().filter(|verdict| verdict.passed).count();
    stage.claim("It does for all seven.", passed == 7, format!("{passed} of 7 pass"))
}

fn mobile(stage: &mut Stage<'_>, service: Addresses) -> Result<(), Stop> {
    stage.step(
        "The preset 3g: 150 ms each way, 768 kbit/s up, 1.6 Mbit/s down.",
        "Half of a round trip and the time to send are above the 150 ms that go unnoticed.",
    )?;
    let verdicts = measure(stage, service, "3g")?;
    claim(
        stage,
        &verdicts,
        "Mail, Web documents and messages come through.",
        &[(Application::Mail, true), (Application::Web, true), (Application::Chat, true)],
    )?;
    claim(
        stage,
        &verdicts,
        "A conversation lags, and a film at 5 Mbit/s stalls.",
        &[(Application::Voip, false), (Application::Video, false)],
    )
}

fn satellite(stage: &mut Stage<'_>, service: Addresses) -> Result<(), Stop> {
    stage.step(
        "The preset satellite: 279 ms each way, 2.5 Mbit/s up, 19 Mbit/s down.",
        "Throughput is not delay: more bits each second do not make the way to the sky shorter.",
    )?;
    let verdicts = measure(stage, service, "satellite")?;
    claim(
        stage,
        &verdicts,
        "It is fast enough for files and mail.",
        &[(Application::File, true), (Application::Mail, true)],
    )?;
    claim(
        stage,
        &verdicts,
        "It is too far away for a conversation or a game.",
        &[(Application::Voip, false), (Application::Game, false)],
    )
}

/// Measures the service behind a link, and shows the table.
fn measure(stage: &mut Stage<'_>, service: Addresses, words: &str) -> Result<Vec<Verdict>, Stop> {
    let spec: Spec = words.parse().map_err(|error| {
        Stop::Refused(Complaint::usage(format!("the link {words}: {error}"), ""))
    })?;
    // Queues are a matter of datagrams: a proxy of TCP stops reading instead.
    let mut streams = spec.clone();
    (streams.up.queue, streams.down.queue) = (None, None);
    let lead = |spec: &Spec, transport, address| {
        beside((spec, false), SEED, transport, &[address]).map_err(Stop::Refused)
    };
    let udp = lead(&spec, endpoint::Transport::Udp, service.udp)?;
    let tcp = lead(&streams, endpoint::Transport::Tcp, service.tcp)?;
    let plan = Plan {
        udp: Some(udp.address),
        tcp: vec![tcp.address],
        duration: SPAN,
        timeout: PATIENCE,
        cap_bps: CAP_BPS,
        seed: SEED,
    };
    let interrupts = stage.interrupts().ok_or_else(|| {
        let what = "nobody could end the measurement";
        Stop::Refused(Complaint::new(Exit::Environment, what, ""))
    })?;
    let outcome = run(&plan, interrupts, &mut |_, _| {}).map_err(Stop::Refused)?;
    if outcome.interrupted {
        return Err(Stop::Interrupted);
    }
    stage.fact("link, and its seed", format!("{words} --seed {}", SEED.0))?;
    let path = outcome.path();
    let verdicts: Vec<Verdict> =
        Application::ALL.iter().map(|application| judge(&path, *application, &[])).collect();
    for verdict in &verdicts {
        let word = if verdict.passed { "pass" } else { "FAIL" };
        let decided = verdict.decisive().map(|check| {
            let quantity = check.threshold.quantity;
            let value = check.value.map_or("not measured".to_owned(), |value| quantity.show(value));
            format!("{value} ({})", check.threshold)
        });
        let decided = decided.unwrap_or_default();
        let told = format!("{word} by {}: {decided}", verdict.transport.name());
        stage.fact(verdict.application.title(), told)?;
    }
    Ok(verdicts)
}

fn claim(
    stage: &mut Stage<'_>,
    verdicts: &[Verdict],
    text: &str,
    expected: &[(Application, bool)],
) -> Result<(), Stop> {
    let passed = |application| {
        verdicts.iter().any(|verdict| verdict.application == application && verdict.passed)
    };
    let held = expected.iter().all(|(application, passes)| passed(*application) == *passes);
    let words = expected.iter().map(|(application, _)| {
        let word = if passed(*application) { "passes" } else { "fails" };
        format!("{} {word}", application.name())
    });
    stage.claim(text, held, words.collect::<Vec<_>>().join(", "))
}
