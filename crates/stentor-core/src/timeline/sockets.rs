//! Which socket a descriptor means, and what each socket is: made from the calls.
//!
//! What travelled over a socket is left to `matcher`.

use std::net::SocketAddr;

use super::cause::CallNo;
use super::record::{Pid, SocketId};

/// What is known of one socket over its whole life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Its identity.
    pub id: SocketId,
    /// What it speaks.
    pub protocol: super::ladder::Protocol,
    /// What it does.
    pub role: Role,
    /// Its own address, the last known.
    pub local: Option<SocketAddr>,
    /// The other end's, of a connection or a connected UDP socket.
    pub peer: Option<SocketAddr>,
    /// For a connection that accept() gave: the listening socket.
    pub listener: Option<SocketId>,
    /// The process that called first on it.
    pub pid: Pid,
    /// The calls on it, in the order they were entered.
    pub calls: Vec<CallNo>,
}

/// What a socket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Waits for connections.
    Listening,
    /// Connects, or spoke first.
    Client,
    /// Was accepted, or was spoken to first.
    Server,
    /// Did neither.
    Unknown,
}
