//! What the tracer reports: plain facts, in the order in which they were seen.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::clock::Stamp;
use crate::net::tcp_info::TcpInfo;

/// One thing that was seen. Process and thread ids are those of the tracer's namespace; a process
/// has the id of its first thread.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A process or a thread was made (fork(2), vfork(2), clone(2)).
    Forked {
        /// When its maker was stopped for it.
        at: Stamp,
        /// The process that made it.
        parent: i32,
        /// The process it belongs to: `parent` for a thread.
        pid: i32,
        /// The new thread.
        tid: i32,
    },
    /// A program was executed (execve(2)); the first one of a command too.
    Executed {
        /// When it began.
        at: Stamp,
        /// The process.
        pid: i32,
        /// The program's file, or its name where that is hidden.
        path: PathBuf,
        /// What is special about the file.
        file: Program,
    },
    /// A thread ended and its process goes on.
    ThreadEnded {
        /// When it was seen.
        at: Stamp,
        /// The process.
        pid: i32,
        /// The thread.
        tid: i32,
    },
    /// A process ended.
    Ended {
        /// When it was seen.
        at: Stamp,
        /// The process.
        pid: i32,
        /// How.
        how: Ending,
    },
    /// A signal is about to be delivered (signal(7)).
    Signal {
        /// When.
        at: Stamp,
        /// The process.
        pid: i32,
        /// The thread that takes it.
        tid: i32,
        /// Its number; real-time signals have no names.
        number: i32,
    },
    /// A call on a socket, complete; or as far as it got when its thread ended.
    Call(Box<Call>),
    /// A program made a socket by a call of another instruction set (32 bits): what it does with
    /// it is not seen. Reported once for each process.
    Foreign {
        /// When.
        at: Stamp,
        /// The process.
        pid: i32,
    },
    /// A program asked for io_uring(7): what it does through it is not seen.
    IoUring {
        /// When.
        at: Stamp,
        /// The process.
        pid: i32,
        /// It was told that there is none (ENOSYS), as [`super::Options`] demand.
        refused: bool,
    },
    /// A process goes on untraced, as asked.
    Released {
        /// When.
        at: Stamp,
        /// The process.
        pid: i32,
    },
    /// Nothing was seen: the bell rang.
    Rung,
}

/// How a process ended (wait(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal.
    Killed {
        /// Its number.
        signal: i32,
        /// Whether the kernel wrote its memory to a file.
        core: bool,
    },
}

/// What is special about a program's file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Made for 32 bits (ELF class 1): its calls are not seen.
    pub bits_32: bool,
    /// Has the set-user-ID or set-group-ID bit, which has no effect while it is traced without
    /// CAP_SYS_PTRACE (ptrace(2), execve(2)).
    pub set_id: bool,
}

/// A call, from its entry to its exit.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The process.
    pub pid: i32,
    /// The thread.
    pub tid: i32,
    /// The call's number on this architecture.
    pub number: u64,
    /// Its name: `recvfrom`.
    pub name: &'static str,
    /// The registers of its arguments.
    pub registers: [u64; 6],
    /// The descriptor it is about; `None` for calls that only make or watch descriptors.
    pub descriptor: Option<i32>,
    /// The socket behind that descriptor at entry.
    pub socket: Option<Identity>,
    /// The arguments, read.
    pub arguments: Arguments,
    /// When it was entered.
    pub entered: Stamp,
    /// When it was left; `None` if it never was.
    pub left: Option<Stamp>,
    /// What came of it.
    pub outcome: Outcome,
    /// Descriptors it made, and the sockets behind them.
    pub made: Vec<(i32, Option<Identity>)>,
    /// The same call as the one before in this thread, entered again at the same place after a
    /// signal: taken up again by the kernel, or repeated by the program.
    pub again: bool,
    /// The socket before the call: of those that end something (close, shutdown).
    pub before: Option<Snapshot>,
    /// The socket after the call; of an accept, the new one.
    pub after: Option<Snapshot>,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It returned this value.
    Returned(i64),
    /// It failed with this errno.
    Failed(i32),
    /// A signal ended it; the kernel decides by the signal's handler whether it is taken up again
    /// or fails with EINTR. The kernel's own code: 512 to 516 (ERESTARTSYS and its kin).
    Interrupted(i32),
    /// Its thread ended in it.
    Unfinished,
}

/// The arguments of a call by what they are. Lengths are in bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Arguments {
    /// socket, socketpair: numbers as in socket(2).
    Socket {
        /// AF_ number.
        domain: i32,
        /// SOCK_ number, with SOCK_NONBLOCK and SOCK_CLOEXEC.
        kind: i32,
        /// IPPROTO_ number.
        protocol: i32,
    },
    /// bind, connect, getsockname, getpeername; accept, with the flags of accept4.
    Address {
        /// What the program passed, or was told.
        address: Option<Address>,
        /// SOCK_NONBLOCK, SOCK_CLOEXEC.
        flags: i32,
    },
    /// listen.
    Listen {
        /// How many connections may wait.
        backlog: i32,
    },
    /// Data out or in: everything from read to sendmmsg.
    Data {
        /// Towards the peer.
        out: bool,
        /// MSG_ flags of the call.
        flags: i32,
        /// Bytes the program offered, or had room for.
        asked: u64,
        /// What was sent or received: one message, or several (sendmmsg, recvmmsg). None for
        /// sendfile and splice, whose bytes never are in the program's memory.
        messages: Vec<Message>,
    },
    /// shutdown: SHUT_ number.
    Shutdown {
        /// 0 reading, 1 writing, 2 both.
        how: i32,
    },
    /// close.
    Close,
    /// close_range, with both ends.
    CloseRange {
        /// The lowest descriptor.
        first: u64,
        /// The highest.
        last: u64,
    },
    /// dup, dup2, dup3, fcntl(F_DUPFD): the one asked for, if any.
    Duplicate {
        /// The new descriptor's number, or its least.
        to: Option<i32>,
    },
    /// fcntl, ioctl.
    Control {
        /// F_ or FIO number.
        command: u64,
        /// The number passed, or the one behind the pointer.
        value: i64,
    },
    /// setsockopt, getsockopt.
    Option {
        /// SOL_ or IPPROTO_ number.
        level: i32,
        /// The option.
        name: i32,
        /// Its value, as far as kept.
        value: Vec<u8>,
    },
    /// poll, select and their kin: descriptors, waited for and found.
    Poll {
        /// Descriptor, events waited for, events found: POLL numbers.
        watched: Vec<(i32, i16, i16)>,
    },
    /// epoll_ctl.
    EpollControl {
        /// The epoll instance's descriptor.
        epoll: i32,
        /// EPOLL_CTL_ number.
        operation: i32,
        /// The descriptor added, changed or removed.
        descriptor: i32,
        /// EPOLL event bits.
        events: u32,
        /// What epoll_wait returns for it: whatever the program likes, often the descriptor.
        data: u64,
    },
    /// epoll_wait and its kin.
    EpollWait {
        /// The epoll instance's descriptor.
        epoll: i32,
        /// EPOLL event bits, and the data of epoll_ctl.
        found: Vec<(u32, u64)>,
    },
    /// io_uring_setup; restart_syscall.
    None,
}

/// Bytes in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The first of them, as many as asked for.
    pub bytes: Vec<u8>,
    /// How many there were: offered, if sent; filled in, if received.
    pub length: u64,
    /// To or from where, if the call says.
    pub address: Option<Address>,
    /// The flags of a msghdr: MSG_TRUNC and others, set on receipt.
    pub flags: i32,
}

/// The address of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// IPv4 or IPv6.
    Ip(SocketAddr),
    /// A path; or a name that begins with a zero byte (unix(7)).
    Unix(Vec<u8>),
    /// Another family.
    Other {
        /// AF_ number.
        family: u16,
        /// The rest.
        bytes: Vec<u8>,
    },
}

/// Which socket a descriptor means: descriptors are used again, this is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its inode, as in `socket:[123]`.
    pub inode: u64,
    /// SO_COOKIE, never used twice while the system runs.
    pub cookie: Option<u64>,
    /// AF_, SOCK_ and IPPROTO_ number; `None` where the socket could not be asked.
    pub kind: Option<[i32; 3]>,
}

impl Identity {
    /// Whether it is a socket of IPv4 or IPv6.
    pub fn internet(&self) -> bool {
        matches!(self.kind, Some([libc::AF_INET | libc::AF_INET6, ..]))
    }
}

/// The state of a socket while its program stood still.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// When.
    pub at: Stamp,
    /// Which socket.
    pub identity: Identity,
    /// The address it is bound to.
    pub local: Option<Address>,
    /// The address it is connected to.
    pub peer: Option<Address>,
    /// What TCP says.
    pub tcp: Option<TcpInfo>,
    /// Bytes arrived and not read (SIOCINQ); of UDP, those of the next datagram.
    pub unread: Option<usize>,
    /// Bytes written and not acknowledged (SIOCOUTQ); means nothing in state CLOSED.
    pub unacknowledged: Option<usize>,
    /// What its buffers hold, with the kernel's overhead.
    pub memory: Option<Buffers>,
}

/// SO_MEMINFO (linux/sock_diag.h), in bytes of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// Used by what has arrived.
    pub receive_used: u32,
    /// The most it may be (SO_RCVBUF).
    pub receive_max: u32,
    /// Used by what is on its way out.
    pub send_used: u32,
    /// The most it may be (SO_SNDBUF).
    pub send_max: u32,
    /// Queued for sending.
    pub send_queued: u32,
    /// Packets dropped because the receive buffer was full.
    pub drops: u32,
}
