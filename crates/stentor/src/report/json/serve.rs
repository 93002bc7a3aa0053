//! The mirror of a run of `serve`: schema `stentor.serve/1`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use stentor_core::service::counters::{CloseReason, Counters, RefuseReason};
use stentor_core::service::datagram::Dropped;

/// Name and version of the form.
pub const SCHEMA: &str = "stentor.serve/1";

/// What was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/serve.md describes each key")]
pub struct Config {
    pub addresses: Vec<String>,
    pub service: &'static str,
    pub case: &'static str,
    pub mode: String,
    pub threads: usize,
    pub faults: String,
    pub seed: u64,
    pub backlog: u32,
    pub max_conns: usize,
    pub idle_ns: u64,
    pub after_fin_ns: u64,
    pub write_stall_ns: u64,
    pub drain_ns: u64,
    pub udp_mute: bool,
    pub once: bool,
    pub spin: bool,
    pub congestion: Option<String>,
}

/// What was done: accepted = closed + open, datagrams in = replies + dropped.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/serve.md describes each key")]
pub struct Outcome {
    pub connections: Connections,
    pub datagrams: Datagrams,
}

#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/serve.md describes each key")]
pub struct Connections {
    pub accepted: u64,
    pub open: u64,
    pub closed: BTreeMap<&'static str, u64>,
    pub refused: BTreeMap<&'static str, u64>,
    pub accept_errors: u64,
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/serve.md describes each key")]
pub struct Datagrams {
    pub received: u64,
    pub replies: u64,
    pub dropped: BTreeMap<&'static str, u64>,
    pub cut: u64,
    pub extra_replies: u64,
    pub segment_refusals: u64,
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

impl From<&Counters> for Outcome {
    fn from(counters: &Counters) -> Outcome {
        let closed = CloseReason::ALL.iter().map(|reason| reason.name()).zip(counters.closed);
        let refused = RefuseReason::ALL.iter().map(|reason| reason.name()).zip(counters.refused);
        let dropped = Dropped::ALL.iter().map(|reason| reason.name()).zip(counters.dropped);
        Outcome {
            connections: Connections {
                accepted: counters.accepted,
                open: counters.open,
                closed: closed.collect(),
                refused: refused.collect(),
                accept_errors: counters.accept_errors,
                received_bytes: counters.stream.received,
                sent_bytes: counters.stream.sent,
            },
            datagrams: Datagrams {
                received: counters.datagrams_in,
                replies: counters.replies,
                dropped: dropped.collect(),
                cut: counters.cut,
                extra_replies: counters.extra_replies,
                segment_refusals: counters.segment_refusals,
                received_bytes: counters.datagram.received,
                sent_bytes: counters.datagram.sent,
            },
        }
    }
}
