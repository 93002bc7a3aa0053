//! The mirror of a run of `send`: schema `stentor.send/1`.

use schemars::JsonSchema;
use serde::Serialize;

/// Name and version of the form.
pub const SCHEMA: &str = "stentor.send/1";

/// What was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/send.md describes each key")]
pub struct Config {
    pub target: String,
    pub transport: String,
    pub source: &'static str,
    pub timeout_ns: u64,
    pub retries: u32,
    pub verify: bool,
    pub case: &'static str,
    pub half_close: bool,
    pub reset: bool,
    pub chunk_bytes: Option<usize>,
    pub source_port: Option<u16>,
    pub link: Option<String>,
    pub seed: Option<u64>,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/send.md describes each key")]
pub struct Outcome {
    pub local: String,
    pub peer: String,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub owed_bytes: Option<u64>,
    pub verified_bytes: Option<u64>,
    pub answer: Option<String>,
    pub answer_complete: bool,
    pub closed_first: Option<&'static str>,
    pub phases: Phases,
    pub attempts: Vec<Attempt>,
    pub questions: Option<Questions>,
    pub datagrams: Option<Datagrams>,
    pub tcp: Option<Tcp>,
}

/// How long each phase took, from its own beginning.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/send.md describes each key")]
pub struct Phases {
    pub resolve_ns: u64,
    pub connect_ns: u64,
    pub first_byte_ns: Option<u64>,
    pub total_ns: u64,
}

/// One attempt to connect.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/send.md describes each key")]
pub struct Attempt {
    pub address: String,
    pub began_ns: u64,
    pub took_ns: u64,
    pub outcome: String,
}

/// UDP questions; `asked = verified + wrong + late + lost + error`.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/send.md describes each key")]
pub struct Questions {
    pub asked: u64,
    pub verified: u64,
    pub wrong: u64,
    pub late: u64,
    pub lost: u64,
    pub error: u64,
}

/// UDP datagrams; a question sent again is one more.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/send.md describes each key")]
pub struct Datagrams {
    pub sent: u64,
    pub received: u64,
    pub duplicate: u64,
    pub unasked: u64,
}

/// What the kernel counted (TCP_INFO).
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/send.md describes each key")]
pub struct Tcp {
    pub state: &'static str,
    pub rtt_ns: u64,
    pub segment_bytes_max: u32,
    pub segments_out: Option<u32>,
    pub segments_in: Option<u32>,
    pub retransmitted: u32,
}
