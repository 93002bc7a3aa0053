//! The ladder: all that a renderer draws, as plain data, in the order of time.
//!
//! Five columns: client calls | client socket | wire | server socket | server calls. Building it is
//! left to `build`, drawing to the reports of `stentor`. Calls, packets and links stand in
//! tables once and are referred to by place, so that a drawing can link them both ways.

use std::net::SocketAddr;
use std::ops::Range;

use super::Lane;
use super::call::CallName;
use super::cause::{CallNo, Grade, PacketNo, Relation, Rule};
use super::header::Headers;
use super::record::{Crossing, Direction, Header, Pid, SocketId, TcpState, Tid};
use super::verdict::Finding;
use crate::moment::Moment;

/// A whole drawing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ladder {
    /// How the record was made: mode, wire, wall clock.
    pub header: Header,
    /// The programs, in the order they appeared.
    pub programs: Vec<Program>,
    /// Every call that a group shows.
    pub calls: Vec<CallMark>,
    /// Every packet that a group shows.
    pub packets: Vec<Arrow>,
    /// Ties between them, by packet.
    pub links: Vec<Link>,
    /// The conversations, in the order they began; each has its own five columns.
    pub groups: Vec<Group>,
    /// What belongs to no conversation: io_uring, losses of the capture, daemons left behind.
    pub remarks: Vec<Remarked>,
    /// What the filter left out.
    pub omitted: Omitted,
}

/// A program that took part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its process.
    pub pid: Pid,
    /// Who made it, if not the tracer.
    pub parent: Option<Pid>,
    /// Its command, the last it was given by exec.
    pub command: Vec<String>,
    /// When it appeared.
    pub began: Moment,
    /// When it ended; none if it was not seen to.
    pub ended: Option<Moment>,
    /// How it ended: `exit 0`, `killed by signal 9`; empty if it was not seen to.
    pub ending: String,
}

/// One conversation: two ends, or one end alone (a failed bind, a socket that was never used).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What they spoke.
    pub protocol: Protocol,
    /// The end that spoke first.
    pub client: Side,
    /// The end that was there first.
    pub server: Side,
    /// When its first row is.
    pub began: Moment,
    /// In the order of time.
    pub rows: Vec<Row>,
    /// What is to be learnt from it.
    pub findings: Vec<Finding>,
}

/// What a conversation speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// AF_UNIX: calls, never packets.
    Unix,
    /// Any other, or not known.
    Other,
}

/// One end of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Its address.
    pub address: Option<SocketAddr>,
    /// Its socket, if it was seen.
    pub socket: Option<SocketId>,
    /// The process that called first on it; none if that end was not traced.
    pub pid: Option<Pid>,
    /// That process's command, as one line.
    pub command: String,
}

/// One line of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// When.
    pub at: Moment,
    /// What stands there.
    pub mark: Mark,
}

/// What stands in a row. Numbers are places in the tables of [`Ladder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A call that came back before anything else happened here; in the calls' column of `lane`.
    Call(Lane, u32),
    /// A call went in; its bar begins.
    CallBegins(Lane, u32),
    /// It came back; its bar ends, and its outcome is known.
    CallEnds(Lane, u32),
    /// A packet; across the wire. One that a lab link delayed arrived before anything else happened
    /// here.
    Packet(u32),
    /// A packet left its end for a lab link; when it arrived has rows of its own, if it did.
    Departs(u32),
    /// It arrived at the other end, or (from 1 on) its copies did.
    Arrives(u32, u32),
    /// State or queues changed; in the socket's column of `lane`.
    State(Lane, StateMark),
}

/// A call, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallMark {
    /// Its place in the record.
    pub number: CallNo,
    /// Who called.
    pub pid: Pid,
    /// Which thread.
    pub tid: Tid,
    /// The system call.
    pub name: CallName,
    /// What it was given, as in strace but shorter: `3, 127.0.0.1:12000`.
    pub arguments: String,
    /// What it gave back: `5`, `ECONNREFUSED`; `...` if it never came back.
    pub outcome: String,
    /// Whether it failed (EAGAIN and EINPROGRESS included).
    pub failed: bool,
    /// The beginning of the bytes it sent or got, as text; empty if none.
    pub excerpt: String,
    /// When it went into the kernel.
    pub entered: Moment,
    /// When it came back; none if it never did.
    pub left: Option<Moment>,
    /// Bytes of the stream it sent or got, counted from 0 in its direction; none if not data.
    pub stream: Option<Range<u64>>,
    /// Its ties: places in [`Ladder::links`].
    pub links: Vec<u32>,
    /// Findings about this call alone: `recv returned 2 of 5 bytes`.
    pub remarks: Vec<String>,
}

/// A packet, as an arrow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrow {
    /// Its place in the record.
    pub number: PacketNo,
    /// When the kernel stamped it.
    pub at: Moment,
    /// Which end it left.
    pub from: Lane,
    /// Which way it crossed the interface.
    pub direction: Direction,
    /// All header fields.
    pub headers: Headers,
    /// The first bytes of its payload, as text; empty if none.
    pub excerpt: String,
    /// Numbers relative to the start of the stream; none for anything but TCP.
    pub tcp: Option<Relative>,
    /// Captured and whole length, in bytes, link header included.
    pub captured: u32,
    /// Length on the wire, in bytes, link header included.
    pub length: u32,
    /// Its ties: places in [`Ladder::links`].
    pub links: Range<u32>,
    /// What became of it on the lab link; none where there was none.
    pub crossing: Option<Box<Crossing>>,
}

/// TCP's numbers as people count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relative {
    /// Sequence number less the sender's ISN (the SYN is 0, the first byte of data 1), unwrapped.
    pub sequence: u64,
    /// Acknowledgment number less the other end's ISN; none without ACK.
    pub acknowledgment: Option<u64>,
    /// The window, in bytes, scaled; none when the SYN that told the scale was not seen.
    pub window: Option<u32>,
    /// What kind of segment it is.
    pub kind: super::stream::Kind,
}

/// A tie between a packet and a call, both ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Place in [`Ladder::packets`].
    pub packet: u32,
    /// Place in [`Ladder::calls`]; none if no call has part in it, or the filter left it out.
    pub call: Option<u32>,
    /// The process that ended, where that is the cause.
    pub process: Option<Pid>,
    /// Whether the packet followed from the call, or the call's return from the packet.
    pub relation: Relation,
    /// By which rule.
    pub rule: Rule,
    /// How sure.
    pub grade: Grade,
    /// Which bytes of the stream or datagram are meant; empty where none are.
    pub bytes: Range<u64>,
}

/// A change of a socket's state or queues. What did not change since the row before is still told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateMark {
    /// The state; none for UDP.
    pub state: Option<TcpState>,
    /// Bytes waiting to be read: SIOCINQ.
    pub unread: Option<u32>,
    /// Bytes not yet acknowledged: SIOCOUTQ.
    pub unsent: Option<u32>,
    /// True if it was concluded from calls and not seen: to be drawn dashed.
    pub inferred: bool,
}

/// A remark about the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remarked {
    /// When.
    pub at: Moment,
    /// In words.
    pub words: String,
    /// True if it limits what the ladder can claim (lost packets, unseen calls).
    pub warning: bool,
}

/// What is not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Omitted {
    /// Rows beyond the limit.
    pub rows: u64,
    /// Conversations all of whose rows are beyond it, and which are not listed either.
    pub unlisted: u64,
    /// Conversations that the filter left out.
    pub groups: u64,
}

/// What to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only conversations of these; all if empty.
    pub only: Vec<Only>,
    /// Show what has no address on a network, too: AF_UNIX, pairs, and sockets of other kinds.
    pub local: bool,
    /// At most this many rows, counted over all groups; all if none.
    pub rows_max: Option<u64>,
    /// Leave packets out.
    pub without_packets: bool,
    /// Leave calls out.
    pub without_calls: bool,
    /// Leave the bytes of payloads out.
    pub without_payload: bool,
}

/// One thing to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    /// Conversations with an end at this address.
    Address(SocketAddr),
    /// Conversations with an end at this port, whatever the address.
    Port(u16),
    /// Conversations of this process.
    Process(Pid),
}
