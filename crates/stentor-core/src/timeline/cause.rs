//! Why a packet left, and what became of it: graded edges between packets and calls.
//!
//! Finding them is left to `matcher`; here is what they say.

use std::fmt;
use std::ops::Range;

use super::record::Pid;

/// The place of a call in [`super::record::Record::calls`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallNo(pub u32);

/// The place of a packet in [`super::record::Record::packets`]; the capture's own number less one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PacketNo(pub u32);

impl CallNo {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl PacketNo {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One tie between a packet and what caused it, or what it led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The packet.
    pub packet: PacketNo,
    /// The call, where a call has part in it.
    pub call: Option<CallNo>,
    /// The process that ended, where that is the cause.
    pub process: Option<Pid>,
    /// Which way it points.
    pub relation: Relation,
    /// By which rule it was found.
    pub rule: Rule,
    /// How sure it is.
    pub grade: Grade,
    /// Which bytes of the stream (data) or of the datagram are meant; empty where none are.
    pub bytes: Range<u64>,
}

/// Which way an edge points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Relation {
    /// The call (or kernel, timer, death) made the packet leave.
    Cause,
    /// The packet brought what the call gave to its program: bytes, an end, a connection, an error.
    Effect,
}

/// How sure an edge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Grade {
    /// Proved: by sequence numbers, addresses or order, not by time.
    Exact,
    /// The kernel's own doing: no call did it.
    Kernel,
    /// A timer of the kernel did it.
    Timer,
    /// A process ended, and the kernel closed what it had open.
    Exit,
    /// Likely, not proved.
    Inferred,
    /// Not known.
    Unknown,
}

impl Grade {
    /// All of them, surest first.
    pub const ALL: [Grade; 6] =
        [Grade::Exact, Grade::Kernel, Grade::Timer, Grade::Exit, Grade::Inferred, Grade::Unknown];

    /// One word: `exact`.
    pub const fn name(self) -> &'static str {
        match self {
            Grade::Exact => "exact",
            Grade::Kernel => "kernel",
            Grade::Timer => "timer",
            Grade::Exit => "exit",
            Grade::Inferred => "inferred",
            Grade::Unknown => "unknown",
        }
    }

    /// The grade of this name.
    pub fn parse(name: &str) -> Option<Grade> {
        Grade::ALL.into_iter().find(|grade| grade.name() == name)
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident $name:literal $words:literal)*) => {
        /// The rules by which edges are found.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule { $($(#[$doc])* $variant,)* }

        impl Rule {
            /// All of them.
            pub const ALL: &[Rule] = &[$(Rule::$variant,)*];

            /// A stable short name: `stream-offset`.
            pub const fn name(self) -> &'static str {
                match self { $(Rule::$variant => $name,)* }
            }

            /// The rule of this name.
            pub fn parse(name: &str) -> Option<Rule> {
                match name { $($name => Some(Rule::$variant),)* _ => None }
            }

            /// Why it holds, as half a sentence.
            pub const fn words(self) -> &'static str {
                match self { $(Rule::$variant => $words,)* }
            }
        }
    };
}

rules! {
    /// Sequence number -> byte range -> the calls whose returns add up to it.
    StreamOffset "stream-offset" "its sequence numbers are the bytes of this call"
    /// SYN of the addresses that connect() was given.
    SynInConnect "syn-in-connect" "connect() opens this connection"
    /// SYN with data by sendto(MSG_FASTOPEN).
    SynInSend "syn-in-send" "the first send of a fast open opens this connection"
    /// SYN-ACK: the kernel answers for a listening socket.
    SynAck "syn-ack" "the kernel answers a SYN for the listening socket, without a call"
    /// The handshake's last ACK.
    HandshakeAck "handshake-ack" "the kernel finishes the handshake, without a call"
    /// accept() gave the program the connection that this packet completed.
    Accepted "accepted" "accept() hands over the connection that this made"
    /// connect() came back because of this packet.
    Connected "connected" "connect() returned because of this"
    /// A plain acknowledgement.
    Ack "ack" "the kernel acknowledges, without a call"
    /// An acknowledgement that only reports more room.
    WindowUpdate "window-update" "the kernel reports room in the receive buffer"
    /// A probe of a closed window.
    WindowProbe "window-probe" "the kernel asks whether the window has opened"
    /// A probe of a silent connection.
    KeepAlive "keep-alive" "a timer asks whether the other end is still there"
    /// Bytes sent before, again.
    Retransmission "retransmission" "a timer or duplicate ACKs made the kernel send it again"
    /// FIN while close() was inside the kernel, or at its place after queued data.
    FinInClose "fin-in-close" "close() ends the stream"
    /// The same by shutdown().
    FinInShutdown "fin-in-shutdown" "shutdown() ends the stream"
    /// recv() returned 0 because of this FIN.
    EndOfStream "end-of-stream" "recv() returned 0 because of this FIN"
    /// FIN or RST by the death of the process.
    ProcessEnded "process-ended" "the process ended, and the kernel closed its sockets"
    /// RST: close() with unread data (RFC 2525, section 2.17).
    RstUnread "rst-unread" "close() threw away unread bytes, and says so"
    /// RST: close() with SO_LINGER of 0 s.
    RstLinger "rst-linger" "close() with SO_LINGER 0 aborts the connection"
    /// RST: the listening socket went before accept() took the connection.
    RstListener "rst-listener" "the listening socket was closed before the connection was accepted"
    /// RST to a SYN: nobody listens.
    RstRefused "rst-refused" "nobody listens on that port: the kernel refuses"
    /// RST to a segment for a socket that is gone.
    RstGone "rst-gone" "the socket it was sent to is gone: the kernel refuses"
    /// The call failed because of this RST.
    Reset "reset" "the call failed because of this RST"
    /// A later fragment of a datagram.
    Fragment "fragment" "a further piece of the datagram of this call"
    /// UDP: addresses, length, first bytes and order agree.
    Datagram "datagram" "addresses, length, bytes and order are those of this call"
    /// ICMP port unreachable, made by the kernel.
    PortUnreachable "port-unreachable" "nobody has that port: the kernel says so by ICMP"
    /// Another ICMP message of the kernel.
    Icmp "icmp" "a message of the kernel"
    /// The next call on the socket failed because of this ICMP message.
    PendingError "pending-error" "the next call on the socket is told what ICMP said"
    /// None of the rules.
    NoRule "none" "no rule explains it"
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
