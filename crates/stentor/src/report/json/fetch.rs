//! `stentor.fetch/1`: the account of a fetch.

use std::net::SocketAddr;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use stentor_os::failure::errno_name;

use crate::drive::race::{Attempt, Outcome};
use crate::drive::reach::Family;
use crate::drive::tls::Trust;
use crate::drive::wire::Transfers;
use crate::verbs::fetch::{Hop, Phase, Plan, Report, Show};

/// The name and version of these keys.
pub const SCHEMA: &str = "stentor.fetch/1";

/// What was asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Config {
    url: String,
    method: &'static str,
    show: &'static str,
    headers: Vec<Field>,
    family: &'static str,
    redirects_max: Option<u32>,
    silence_max_ns: u64,
    trust: &'static str,
    output: Option<String>,
    link: Option<String>,
    seed: Option<u64>,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Outcomes {
    total_ns: u64,
    body_bytes: u64,
    hops: Vec<Leg>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Field {
    name: String,
    value: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Leg {
    url: String,
    began_ns: u64,
    resolve_ns: Option<u64>,
    connect_ns: Option<u64>,
    tls_ns: Option<u64>,
    first_byte_ns: Option<u64>,
    body_ns: Option<u64>,
    total_ns: Option<u64>,
    addresses: Vec<SocketAddr>,
    attempts: Vec<Try>,
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    tls: Option<Security>,
    http_version: Option<String>,
    status: Option<u16>,
    reason: Option<String>,
    headers: Vec<Field>,
    announced_bytes: Option<u64>,
    chunked: Option<bool>,
    body_bytes: u64,
    redirect: Option<String>,
    sent: Moves,
    received: Moves,
    closed_ns: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Try {
    address: SocketAddr,
    began_ns: u64,
    ended_ns: u64,
    outcome: &'static str,
    errno: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Security {
    version: String,
    cipher: String,
    verified: bool,
    finding: Option<String>,
}

/// Calls that moved bytes; `calls` may be cut short, `count` and `total_bytes` never.
#[derive(Debug, Serialize, JsonSchema)]
struct Moves {
    count: u64,
    total_bytes: u64,
    calls: Vec<Move>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Move {
    at_ns: u64,
    size_bytes: usize,
}

impl Config {
    /// Mirrors a plan whose body goes to `output`.
    pub fn new(plan: &Plan, output: Option<&Path>) -> Config {
        let field = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            Field { name: name.to_string(), value }
        };
        Config {
            url: plan.url.to_string(),
            method: plan.method(),
            show: match plan.show {
                Show::Body => "body",
                Show::Head => "head",
                Show::Raw => "raw",
            },
            headers: plan.headers.iter().map(field).collect(),
            family: match plan.family {
                Family::Any => "any",
                Family::V4 => "ipv4",
                Family::V6 => "ipv6",
            },
            redirects_max: plan.redirects_max,
            silence_max_ns: u64::try_from(plan.silence_max.as_nanos()).unwrap_or(u64::MAX),
            trust: match plan.trust {
                Trust::System => "system",
                Trust::File(_) => "file",
                Trust::Anyone => "anyone",
            },
            output: output.map(|path| path.display().to_string()),
            link: plan.link.as_ref().map(|link| link.spec.to_string()),
            seed: plan.link.as_ref().map(|link| link.seed.0),
        }
    }
}

impl Outcomes {
    /// Mirrors a report; moments count from the beginning of the run.
    pub fn new(report: &Report) -> Outcomes {
        let whole = Phase { began: report.began, ended: report.ended };
        Outcomes {
            total_ns: nanoseconds(whole),
            body_bytes: report.hops.last().map_or(0, |hop| hop.body_bytes),
            hops: report.hops.iter().map(|hop| Leg::new(report, hop)).collect(),
        }
    }
}

impl Leg {
    fn new(report: &Report, hop: &Hop) -> Leg {
        let at = |moment| nanoseconds(Phase { began: report.began, ended: moment });
        let phases = &hop.phases;
        let total = phases.total();
        let head = hop.head.as_ref();
        let field =
            |(name, value): &(String, String)| Field { name: name.clone(), value: value.clone() };
        Leg {
            url: hop.url.to_string(),
            began_ns: total.map_or(0, |phase| at(phase.began)),
            resolve_ns: phases.resolve.map(nanoseconds),
            connect_ns: phases.connect.map(nanoseconds),
            tls_ns: phases.tls.map(nanoseconds),
            first_byte_ns: phases.first_byte.map(nanoseconds),
            body_ns: phases.body.map(nanoseconds),
            total_ns: total.map(nanoseconds),
            addresses: hop.addresses.clone(),
            attempts: hop.attempts.iter().map(|attempt| Try::new(report, attempt)).collect(),
            local: hop.local,
            peer: hop.peer,
            tls: hop.tls.as_ref().map(|tls| Security {
                version: tls.version.clone(),
                cipher: tls.cipher.clone(),
                verified: tls.excused.is_none(),
                finding: tls.excused.clone(),
            }),
            http_version: head.map(|head| head.version.clone()),
            status: head.map(|head| head.status),
            reason: head.map(|head| head.reason.clone()),
            headers: head.map(|head| head.headers.iter().map(field).collect()).unwrap_or_default(),
            announced_bytes: head.and_then(|head| head.announced_bytes),
            chunked: head.map(|head| head.chunked),
            body_bytes: hop.body_bytes,
            redirect: hop.redirect.as_ref().map(ToString::to_string),
            sent: Moves::new(report, &hop.writes),
            received: Moves::new(report, &hop.reads),
            closed_ns: hop.closed.map(at),
        }
    }
}

impl Try {
    fn new(report: &Report, attempt: &Attempt) -> Try {
        let at = |moment| nanoseconds(Phase { began: report.began, ended: moment });
        let (outcome, errno) = match &attempt.outcome {
            Outcome::Connected => ("connected", None),
            Outcome::Failed(failure) => ("failed", errno_name(&failure.error)),
            Outcome::Abandoned => ("abandoned", None),
        };
        Try {
            address: attempt.address,
            began_ns: at(attempt.began),
            ended_ns: at(attempt.ended),
            outcome,
            errno,
        }
    }
}

impl Moves {
    fn new(report: &Report, transfers: &Transfers) -> Moves {
        let at = |moment| nanoseconds(Phase { began: report.began, ended: moment });
        let call = |transfer: &crate::drive::wire::Transfer| Move {
            at_ns: at(transfer.at),
            size_bytes: transfer.bytes,
        };
        Moves {
            count: transfers.count,
            total_bytes: transfers.bytes,
            calls: transfers.kept.iter().map(call).collect(),
        }
    }
}

fn nanoseconds(phase: Phase) -> u64 {
    u64::try_from(phase.took().as_nanos()).unwrap_or(u64::MAX)
}
