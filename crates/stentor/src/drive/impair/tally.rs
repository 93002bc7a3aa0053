//! What a proxy has done, in numbers that add up.

use stentor_core::link::Counters;

use super::Lateness;

/// What a proxy has done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Counts {
    /// To streams.
    Stream(StreamCounts),
    /// To datagrams.
    Units(UnitCounts),
}

/// One proxy's streams: `accepted = refused + unreachable + finished + cut + open`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StreamCounts {
    /// Connections that clients made.
    pub accepted: u64,
    /// Reset before any byte, because the rules say so.
    pub refused: u64,
    /// Reset because the upstream could not be reached.
    pub unreachable: u64,
    /// Ended in order by both ends, or closed in order by a rule.
    pub finished: u64,
    /// Reset: by an end, by a rule, or because the proxy was closed.
    pub cut: u64,
    /// Open now.
    pub open: u64,
    /// Times that accepting had to wait for descriptors or memory.
    pub exhausted: u64,
    /// Bytes read from clients.
    pub up_received_bytes: u64,
    /// Bytes written to the upstream.
    pub up_sent_bytes: u64,
    /// Bytes read from the upstream.
    pub down_received_bytes: u64,
    /// Bytes written to clients.
    pub down_sent_bytes: u64,
    /// How late bytes left that had a time to leave at.
    pub lateness: Lateness,
}

/// One proxy's datagrams; the links' own identities hold in each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UnitCounts {
    /// Clients that have a socket of their own towards the upstream now.
    pub flows: u64,
    /// Flows closed because they were silent, or because too many were open.
    pub flows_closed: u64,
    /// From the clients.
    pub up: Counters,
    /// To the clients.
    pub down: Counters,
    /// Inside the link from the clients.
    pub up_waiting: u64,
    /// Inside the link to the clients.
    pub down_waiting: u64,
    /// Delivered by a link, and refused by the system or of a flow that is closed.
    pub not_sent: u64,
    /// ICMP said that nobody listens upstream (ECONNREFUSED, udp(7)).
    pub unreachable: u64,
    /// How late datagrams left.
    pub lateness: Lateness,
}
