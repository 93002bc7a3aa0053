//! The mirror of a run of `peer`: schema `stentor.peer/1`.

use schemars::JsonSchema;
use serde::Serialize;

/// Name and version of the form.
pub const SCHEMA: &str = "stentor.peer/1";

/// What was asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/peer.md describes each key")]
pub struct Config {
    pub target: Option<String>,
    pub listen: Vec<String>,
    pub name: String,
    pub id: String,
    pub seed: u64,
    pub mdns: Option<&'static str>,
    pub find: Option<String>,
    pub keep: bool,
    pub timeout_ns: u64,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/peer.md describes each key")]
pub struct Outcome {
    pub listening: Vec<String>,
    pub conversations: Vec<Conversation>,
    pub connections: Connections,
    pub lines_sent: u64,
    pub sent_bytes: u64,
    pub lines_received: u64,
    pub received_bytes: u64,
    pub lines_left: u64,
    pub lines_too_long: u64,
    pub received: Vec<String>,
    pub received_complete: bool,
}

/// One conversation.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/peer.md describes each key")]
pub struct Conversation {
    pub peer: String,
    pub peer_id: String,
    pub local: Option<String>,
    pub remote: Option<String>,
    pub dialled_by: &'static str,
    pub chosen_by: &'static str,
    pub both_dialled: bool,
    pub ended: Option<&'static str>,
}

/// Connections; `dialled + accepted = unreached + conversations + doubled + busy + violations +
/// ourselves + unfinished`.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/peer.md describes each key")]
pub struct Connections {
    pub dialled: u64,
    pub accepted: u64,
    pub unreached: u64,
    pub conversations: u64,
    pub doubled: u64,
    pub busy: u64,
    pub violations: u64,
    pub ourselves: u64,
    pub unfinished: u64,
}
