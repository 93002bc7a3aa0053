//! The record of a traced run: what was seen of calls, packets, sockets and processes.
//!
//! Plain data, as it was observed and nothing more: stream offsets, causes and roles are derived
//! from it by the rest of `timeline`. Observing is left to `stentor-os`, writing and reading the
//! file to the mirror types of `stentor`. Numbers of flags, options and errno are Linux's, which are
//! the same on x86-64 and arm64.

use std::fmt;
use std::net::SocketAddr;

use super::call::{CallName, Errno};
use crate::moment::Moment;

/// The version of this model; a file with another major number is refused by its reader.
pub const VERSION: u32 = 1;

/// How many bytes of a payload are kept unless asked otherwise.
pub const PAYLOAD_KEPT_DEFAULT: usize = 64;

/// A whole record. Every list is in the order of its moments; [`Record::sort`] sees to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// How it was made.
    pub header: Header,
    /// Births and deaths.
    pub processes: Vec<Process>,
    /// Socket calls, by the moment they were entered.
    pub calls: Vec<Call>,
    /// What the kernel said of sockets, in between.
    pub snapshots: Vec<Snapshot>,
    /// Captured packets.
    pub packets: Vec<Packet>,
    /// What is known to be missing.
    pub losses: Vec<Loss>,
    /// Remarks.
    pub notes: Vec<Note>,
}

/// One line of a record: what the tracer and the capture hand over as it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The birth or death of a process.
    Process(Process),
    /// A call, once it returned or the run ended.
    Call(Call),
    /// A look at a socket.
    Snapshot(Snapshot),
    /// A captured packet.
    Packet(Packet),
    /// Something missed.
    Loss(Loss),
    /// A remark.
    Note(Note),
}

impl Record {
    /// Starts an empty record.
    pub fn new(header: Header) -> Record {
        Record { header, ..Record::default() }
    }

    /// Adds what was seen; the order does not matter until [`Record::sort`].
    pub fn push(&mut self, entry: Entry) {
        match entry {
            Entry::Process(process) => self.processes.push(process),
            Entry::Call(call) => self.calls.push(call),
            Entry::Snapshot(snapshot) => self.snapshots.push(snapshot),
            Entry::Packet(packet) => self.packets.push(packet),
            Entry::Loss(loss) => self.losses.push(loss),
            Entry::Note(note) => self.notes.push(note),
        }
    }

    /// Puts every list in the order of time, equal moments as they came; cheap when it is already.
    pub fn sort(&mut self) {
        self.processes.sort_by_key(|process| process.at);
        self.calls.sort_by_key(|call| call.entered);
        self.snapshots.sort_by_key(|snapshot| snapshot.at);
        self.packets.sort_by_key(|packet| packet.at);
        self.losses.sort_by_key(|loss| loss.at);
        self.notes.sort_by_key(|note| note.at);
    }
}

/// How a record was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`VERSION`] of the model it was written with.
    pub version: u32,
    /// The version of the program that wrote it: `0.1.0`.
    pub stentor: String,
    /// The kernel's release: `6.18.5`.
    pub kernel: String,
    /// The machine: `x86_64`.
    pub machine: String,
    /// Where the programs ran, and so what could be seen.
    pub mode: Mode,
    /// What kind of wire `lo` was.
    pub wire: Wire,
    /// Bytes kept of each packet, headers included.
    pub snaplen: u32,
    /// CLOCK_REALTIME at [`Moment::START`], in nanoseconds since 1970.
    pub began_unix_ns: u64,
    /// The lab link that every packet crossed, in its own words with its seed; none if packets went
    /// over `lo` or a real network.
    pub link: Option<String>,
}

impl Default for Header {
    fn default() -> Header {
        Header {
            version: VERSION,
            stentor: String::new(),
            kernel: String::new(),
            machine: String::new(),
            mode: Mode::default(),
            wire: Wire::default(),
            snaplen: 0,
            began_unix_ns: 0,
            link: None,
        }
    }
}

/// Where the programs ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// In a private network: every packet there is theirs.
    #[default]
    Lab,
    /// In the real network, with CAP_NET_RAW: packets of strangers may be among them.
    Host,
    /// Calls only: there was no capture.
    Calls,
}

/// What the packets look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Wire {
    /// MTU 1500, no segmentation offload: a large send becomes the segments it would on Ethernet.
    #[default]
    Ethernet,
    /// As the interface is: on `lo`, segments of up to 64 KiB.
    Raw,
}

/// The number of a process: a thread group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(pub u32);

/// The number of a thread; the first thread of a process has the number of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tid(pub u32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something in the life of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// When.
    pub at: Moment,
    /// Whose.
    pub pid: Pid,
    /// Which thread of it.
    pub tid: Tid,
    /// What.
    pub life: Life,
}

/// What happens to processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Life {
    /// Started by the tracer, with this command.
    Started {
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// Made by fork(), vfork() or clone().
    Forked {
        /// The process that made it.
        parent: Pid,
        /// Whether both have one descriptor table (CLONE_FILES); else the child has a copy.
        shares_files: bool,
    },
    /// A further thread of a known process, `tid`.
    Thread,
    /// Another program: descriptors with FD_CLOEXEC are closed.
    Execed {
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// The thread ended while others of its process go on.
    ThreadExited,
    /// The process ended by itself.
    Exited {
        /// Its exit status.
        status: i32,
    },
    /// The process was ended by a signal.
    Killed {
        /// The number of the signal.
        signal: i32,
    },
}

/// The number the tracer gave to a call, unique in its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// What tells sockets apart for their whole life: the inode number of the socket (as in
/// `socket:[4711]`), whatever descriptors it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u64);

/// A descriptor: a small number in one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fd(pub i32);

impl fmt::Display for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A socket call: what it was given and how it ended. What follows from it, such as the place of its
/// bytes in the stream, is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number in the record.
    pub id: CallId,
    /// Who called.
    pub pid: Pid,
    /// Which thread.
    pub tid: Tid,
    /// When it went into the kernel.
    pub entered: Moment,
    /// When it came back; none if it never did.
    pub left: Option<Moment>,
    /// The system call, as the kernel names it: `sendto` where C's `send` was called.
    pub name: CallName,
    /// The descriptor it was about (of epoll: the epoll descriptor).
    pub fd: Option<Fd>,
    /// The socket behind `fd` when the call was entered; for `socket` and `accept` the one it made.
    pub socket: Option<SocketId>,
    /// What it was given and what it filled in.
    pub arguments: Arguments,
    /// How it ended.
    pub outcome: Outcome,
    /// The first bytes given (send) or got (recv); empty for sendmmsg and recvmmsg.
    pub payload: Box<[u8]>,
    /// The datagrams of sendmmsg and recvmmsg; empty for every other call.
    pub messages: Box<[Message]>,
}

/// One message of sendmmsg or recvmmsg.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// To whom or from whom.
    pub address: Option<Address>,
    /// Bytes sent or received.
    pub length: u64,
    /// The first of them.
    pub payload: Box<[u8]>,
}

/// Arguments of all socket calls; each call has its own few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// The address given (bind, connect, sendto, sendmsg) or filled in (accept, recvfrom, recvmsg,
    /// getsockname, getpeername).
    pub address: Option<Address>,
    /// Bytes offered to be sent, or room to receive; for vectors their sum.
    pub length: Option<u64>,
    /// The flags as given: MSG_*, SOCK_* of accept4, O_CLOEXEC of dup3.
    pub flags: u32,
    /// Flags the kernel gave back from recvmsg: MSG_TRUNC and the like.
    pub flags_back: u32,
    /// Domain, type (with its SOCK_* flags) and protocol of socket and socketpair.
    pub made: Option<Made>,
    /// The one number of: listen (backlog), shutdown (how), dup2 and dup3 (the new descriptor),
    /// fcntl (third argument), close_range (last descriptor), epoll_ctl (operation), poll, select
    /// and epoll_wait (timeout in ms, -1 for ever), splice (0 if the call's `fd` is read from, 1 if
    /// written to).
    pub number: Option<i64>,
    /// Command of fcntl, request of ioctl.
    pub command: Option<u32>,
    /// The option of setsockopt and getsockopt.
    pub option: Option<Box<SocketOption>>,
    /// Further descriptors: both of socketpair; the one added by epoll_ctl; those found ready by
    /// poll, select and epoll_wait; those passed by SCM_RIGHTS; the other one of sendfile and splice.
    pub descriptors: Box<[Fd]>,
}

/// What a socket was made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// AF_*.
    pub domain: i32,
    /// SOCK_*, with SOCK_NONBLOCK and SOCK_CLOEXEC as given.
    pub kind: i32,
    /// IPPROTO_*, or 0.
    pub protocol: i32,
}

/// An option of setsockopt or getsockopt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketOption {
    /// SOL_* or IPPROTO_*.
    pub level: i32,
    /// SO_*, TCP_*, IP_* ... of that level.
    pub name: i32,
    /// The value's bytes, at most 16 (a `struct linger` is 8).
    pub value: Box<[u8]>,
}

/// The address of a socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// AF_INET or AF_INET6.
    Inet(SocketAddr),
    /// AF_UNIX: a path, or `@name` in the abstract namespace; empty if unnamed.
    Unix(String),
    /// Another family, by its number.
    Other(u16),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Inet(address) => address.fmt(f),
            Address::Unix(path) => f.pad(path),
            Address::Other(family) => write!(f, "family {family}"),
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It gave back this.
    Value(i64),
    /// It failed, or was interrupted to be restarted ([`Errno::is_restart`]).
    Failed(Errno),
    /// It never came back: the thread died or left with the tracer.
    Unfinished,
}

/// A look at a socket: what the kernel said. What it would not say is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// When.
    pub at: Moment,
    /// Of which socket; none when it is orphaned or in TIME_WAIT, and has no inode any more.
    pub socket: Option<SocketId>,
    /// Right after which call, if after one.
    pub call: Option<CallId>,
    /// Its own address: getsockname(2).
    pub local: Option<SocketAddr>,
    /// The other end's: getpeername(2).
    pub peer: Option<SocketAddr>,
    /// The state of the connection: TCP_INFO or sock_diag(7).
    pub state: Option<TcpState>,
    /// Bytes received and not yet read: SIOCINQ.
    pub unread: Option<u32>,
    /// Bytes sent and not yet acknowledged: SIOCOUTQ. Means nothing in state CLOSE.
    pub unsent: Option<u32>,
    /// Smoothed round trip time, in microseconds: TCP_INFO.
    pub rtt_us: Option<u32>,
    /// Congestion window, in segments: TCP_INFO.
    pub congestion_window: Option<u32>,
    /// The window the other end offers, in bytes: TCP_INFO.
    pub send_window: Option<u32>,
    /// Room of the receive buffer, in bytes: SO_MEMINFO.
    pub receive_buffer: Option<u32>,
    /// Room of the send buffer, in bytes: SO_MEMINFO.
    pub send_buffer: Option<u32>,
    /// Datagrams dropped because the receive buffer was full, since the socket was made: SO_MEMINFO.
    pub dropped: Option<u32>,
    /// Segments retransmitted since the connection began: TCP_INFO.
    pub retransmitted: Option<u32>,
}

/// States of a TCP connection, by the kernel's names (RFC 9293, section 3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the definition")]
pub enum TcpState {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
}

impl TcpState {
    const ALL: [(TcpState, &'static str); 11] = [
        (TcpState::Established, "ESTABLISHED"),
        (TcpState::SynSent, "SYN_SENT"),
        (TcpState::SynReceived, "SYN_RECV"),
        (TcpState::FinWait1, "FIN_WAIT1"),
        (TcpState::FinWait2, "FIN_WAIT2"),
        (TcpState::TimeWait, "TIME_WAIT"),
        (TcpState::Close, "CLOSE"),
        (TcpState::CloseWait, "CLOSE_WAIT"),
        (TcpState::LastAck, "LAST_ACK"),
        (TcpState::Listen, "LISTEN"),
        (TcpState::Closing, "CLOSING"),
    ];

    /// The kernel's name: `FIN_WAIT1`.
    pub fn name(self) -> &'static str {
        TcpState::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    /// The state of this name.
    pub fn parse(name: &str) -> Option<TcpState> {
        TcpState::ALL.iter().find(|(_, known)| *known == name).map(|(state, _)| *state)
    }

    /// The state of this number in `tcpi_state` (`include/net/tcp_states.h`; 12, NEW_SYN_RECV, is
    /// SYN_RECV to the world).
    pub fn from_kernel(number: u8) -> Option<TcpState> {
        let position = usize::from(number).checked_sub(1)?;
        if number == 12 {
            return Some(TcpState::SynReceived);
        }
        TcpState::ALL.get(position).map(|(state, _)| *state)
    }
}

impl fmt::Display for TcpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A captured packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When the kernel stamped it, on the clock of the calls.
    pub at: Moment,
    /// Which way it crossed the interface; on `lo` it does both.
    pub direction: Direction,
    /// How its bytes begin.
    pub link: Link,
    /// Its first bytes, at most [`Header::snaplen`].
    pub bytes: Box<[u8]>,
    /// Its whole length on the wire, in bytes, link header included.
    pub length: u32,
    /// What became of it on the lab link, which took it at `at`; none where there was no such link.
    pub crossing: Option<Box<Crossing>>,
}

/// What a lab link did with a packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crossing {
    /// When it was given to the kernel at the other end, and when its copy was; empty if it never
    /// was: dropped, or on its way still when the run ended.
    pub arrivals: Box<[Moment]>,
    /// What dropped it, in the link's words: `loss`, `queue`.
    pub dropped: Option<Box<str>>,
    /// The bit that was flipped on the way, counted from the beginning of `bytes`, the highest of a
    /// byte first; `bytes` are as they were sent.
    pub flipped: Option<u64>,
}

impl Packet {
    /// Whether the lab link is known to have kept it from the other end.
    pub fn lost(&self) -> bool {
        self.crossing.as_ref().is_some_and(|crossing| crossing.arrivals.is_empty())
    }

    /// Whether a bit of it was flipped on the lab link, for a checksum to find.
    pub fn struck(&self) -> bool {
        self.crossing.as_ref().is_some_and(|crossing| crossing.flipped.is_some())
    }

    /// When it reached the other end: where nobody delayed it, when it was captured.
    pub fn arrived(&self) -> Moment {
        let arrivals = self.crossing.as_ref().map(|crossing| &crossing.arrivals);
        arrivals.and_then(|arrivals| arrivals.first()).copied().unwrap_or(self.at)
    }
}

/// Which way a packet crossed the interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Not said; always so on `lo`.
    #[default]
    Unknown,
    /// From the network to us.
    In,
    /// From us to the network.
    Out,
}

/// What a packet's bytes begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Link {
    /// An Ethernet header, as `lo` gives it (addresses zero).
    #[default]
    Ethernet,
    /// An IP header.
    Ip,
}

/// Something that is known to be missing from the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When it was noticed.
    pub at: Moment,
    /// Where it was lost.
    pub place: Place,
    /// How many: packets, or entries of the record.
    pub count: u64,
}

/// Where something got lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Between kernel and capture: PACKET_STATISTICS.
    Capture,
    /// At a socket whose receive buffer was full: a loss of the program, not of the record.
    ReceiveQueue(Option<SocketId>),
    /// Between us and the file, or in reading it back.
    Record,
}

/// A remark of the tracer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Moment,
    /// About which process, if about one.
    pub pid: Option<Pid>,
    /// What.
    pub remark: Remark,
}

/// What tracers remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// io_uring_setup was answered with ENOSYS, so that the program falls back to calls we see.
    IoUringRefused,
    /// io_uring was allowed: what goes through it is not seen as calls.
    IoUringAllowed,
    /// The process outlived the trace; what it did later is not here.
    LeftBehind,
    /// Set-user-id or otherwise not to be traced: it ran, unseen.
    NotTraced(String),
    /// Anything else, as a sentence.
    Text(String),
}
