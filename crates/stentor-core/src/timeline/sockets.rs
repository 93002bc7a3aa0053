//! Which socket each call was about, and what each socket is: made from the calls and snapshots.
//!
//! What travelled over a socket is left to [`super::matcher`].

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::call::{CallName, Errno, Purpose};
use super::cause::CallNo;
use super::descriptors::{Place, Tables};
use super::ladder::Protocol;
use super::record::{Address, Call, Fd, Life, Made, Outcome, Pid, Record, SocketId};
use crate::moment::Moment;

/// FD_CLOEXEC as given to socket and accept4 (SOCK_CLOEXEC), and to dup3 (O_CLOEXEC): the same bit
/// on every architecture we run on.
const CLOEXEC: u32 = 0o2_000_000;
/// Numbers of sockets that the record has no number for begin here; inode numbers are far below.
const MADE_UP: u64 = 1 << 63;
// fcntl(2).
const F_DUPFD: u32 = 0;
const F_SETFD: u32 = 2;
const F_DUPFD_CLOEXEC: u32 = 1030;
/// CLOSE_RANGE_CLOEXEC of close_range(2): nothing is closed yet.
const CLOSE_RANGE_CLOEXEC: u32 = 4;
// socket(2).
const AF_UNIX: i32 = 1;
const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;
const SOCK_STREAM: i32 = 1;
const SOCK_DGRAM: i32 = 2;
/// What of a socket's type is not a flag.
const SOCK_TYPE_MASK: i32 = 0xf;

/// What is known of one socket over its whole life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Its identity.
    pub id: SocketId,
    /// What it speaks.
    pub protocol: Protocol,
    /// What it does.
    pub role: Role,
    /// Its own address, the last known; the port may be known without the address.
    pub local: Option<SocketAddr>,
    /// The other end's, of a connection or a connected UDP socket.
    pub peer: Option<SocketAddr>,
    /// For a connection that accept() gave: the listening socket's place.
    pub listener: Option<u32>,
    /// The process that called first on it.
    pub pid: Pid,
    /// When it was first heard of.
    pub began: Moment,
    /// The calls on it, in the order they were entered.
    pub calls: Vec<CallNo>,
    /// How its last descriptor went.
    pub ending: Option<Ending>,
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

/// How the last descriptor of a socket went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By this call: close, close_range, or a dup2 over it.
    Call(CallNo),
    /// By the end, or the exec, of this process at that moment.
    Process(Pid, Moment),
}

/// All sockets of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// In the order they were first heard of.
    pub all: Vec<Socket>,
    /// For each call of the record, the socket it was about: a place in `all`.
    pub of_call: Vec<Option<u32>>,
    /// For each poll, select or epoll_wait, the sockets it found ready.
    pub ready: BTreeMap<CallNo, Vec<u32>>,
    /// For each process, when it ended.
    pub ended: BTreeMap<Pid, Moment>,
}

impl Sockets {
    /// The socket at a place.
    pub fn at(&self, place: u32) -> Option<&Socket> {
        self.all.get(place as usize)
    }

    /// Follows every descriptor through the record, whose lists are in the order of time.
    pub fn follow(record: &Record) -> Sockets {
        let mut follower = Follower {
            sockets: Sockets { of_call: vec![None; record.calls.len()], ..Sockets::default() },
            tables: Tables::default(),
            by_id: BTreeMap::new(),
            record,
        };
        follower.run();
        follower.learn_addresses();
        follower.sockets
    }
}

/// An address without scope and flow label; IPv4 within IPv6 is IPv4.
pub(super) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether an address of a socket covers one on the wire: the same port, and the same or any IP.
pub(super) fn covers(socket: SocketAddr, wire: SocketAddr) -> bool {
    let any = match socket.ip() {
        IpAddr::V4(ip) => ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    socket.port() == wire.port() && (any || socket.ip() == wire.ip())
}

struct Follower<'r> {
    sockets: Sockets,
    tables: Tables,
    by_id: BTreeMap<SocketId, Place>,
    record: &'r Record,
}

impl Follower<'_> {
    /// Goes through births, calls going in and calls coming back in the order of time.
    fn run(&mut self) {
        let record = self.record;
        let back = |number: &usize| record.calls.get(*number).and_then(|call| call.left);
        let mut returns: Vec<usize> =
            (0..record.calls.len()).filter(|number| back(number).is_some()).collect();
        returns.sort_by_key(back);
        let mut returns = returns.into_iter().peekable();
        let mut entries = record.calls.iter().enumerate().peekable();
        let mut lives = record.processes.iter().peekable();
        loop {
            // Of equal moments: returns first, then births, entries, and deaths last. A call that
            // took no time has still to go in before it comes back.
            let life = lives.peek().map(|it| (it.at, if is_death(&it.life) { 4 } else { 1 }));
            let entry = entries.peek().map(|(number, call)| (call.entered, 2, *number));
            let inside = |number: usize| entry.is_none_or(|(.., next)| number < next);
            let back = returns
                .peek()
                .and_then(|number| Some((back(number)?, if inside(*number) { 0 } else { 3 })));
            let entry = entry.map(|(at, rank, _)| (at, rank));
            let Some(next) = [life, back, entry].into_iter().flatten().min() else { break };
            if life == Some(next) {
                if let Some(process) = lives.next() {
                    self.life(process.pid, process.at, &process.life);
                }
            } else if back == Some(next) {
                if let Some(number) = returns.next()
                    && let Some(call) = record.calls.get(number)
                {
                    self.left(number, call);
                }
            } else if let Some((number, call)) = entries.next() {
                self.entered(number, call);
            }
        }
    }

    fn life(&mut self, pid: Pid, at: Moment, life: &Life) {
        let gone = match life {
            Life::Forked { parent, shares_files } => {
                self.tables.fork(*parent, pid, *shares_files);
                Vec::new()
            }
            Life::Execed { .. } => self.tables.exec(pid),
            Life::Exited { .. } | Life::Killed { .. } => {
                self.sockets.ended.entry(pid).or_insert(at);
                self.tables.exit(pid)
            }
            Life::Started { .. } | Life::Thread | Life::ThreadExited => Vec::new(),
        };
        for place in gone {
            self.ended(place, Ending::Process(pid, at));
        }
    }

    fn ended(&mut self, place: Place, ending: Ending) {
        if let Some(socket) = self.sockets.all.get_mut(place as usize) {
            socket.ending = Some(ending);
        }
    }

    /// The socket of this number, or of the descriptor; made up if it was inherited.
    fn socket_of(&mut self, call: &Call, id: Option<SocketId>, fd: Option<Fd>) -> Option<Place> {
        let known = fd.and_then(|fd| self.tables.meaning(call.pid, fd));
        if let Some(id) = id {
            let place = self.by_id.get(&id).copied();
            let place = place.unwrap_or_else(|| self.make(id, call));
            if known != Some(place)
                && let Some(fd) = fd
                && !is_maker(call.name)
            {
                // Inherited, or passed from another process: the record knows better.
                self.tables.open(call.pid, fd, place, false);
            }
            return Some(place);
        }
        if known.is_some() || !only_for_sockets(call.name) {
            return known;
        }
        let not_socket = matches!(call.outcome, Outcome::Failed(errno)
            if [Errno::EBADF, Errno::ENOTSOCK].contains(&errno));
        let fd = fd.filter(|_| !not_socket)?;
        let place = self.make_up(call);
        self.tables.open(call.pid, fd, place, false);
        Some(place)
    }

    fn make_up(&mut self, call: &Call) -> Place {
        let number = u64::try_from(self.sockets.all.len()).unwrap_or(u64::MAX);
        self.make(SocketId(MADE_UP | number), call)
    }

    fn make(&mut self, id: SocketId, call: &Call) -> Place {
        let place = u32::try_from(self.sockets.all.len()).unwrap_or(u32::MAX);
        self.by_id.insert(id, place);
        self.sockets.all.push(Socket {
            id,
            protocol: Protocol::Other,
            role: Role::Unknown,
            local: None,
            peer: None,
            listener: None,
            pid: call.pid,
            began: call.entered,
            calls: Vec::new(),
            ending: None,
        });
        place
    }

    /// A call goes in: its descriptor means what it means now. A closed one is free from here on.
    fn entered(&mut self, number: usize, call: &Call) {
        if matches!(call.name, CallName::Socket | CallName::Socketpair) {
            return;
        }
        let on = if is_maker(call.name) { None } else { call.socket };
        let Some(place) = self.socket_of(call, on, call.fd) else {
            return self.close_range(number, call);
        };
        self.note(number, place);
        if call.name == CallName::Close {
            let fd = call.fd.unwrap_or_default();
            if let Some((place, true)) = self.tables.close(call.pid, fd) {
                self.ended(place, Ending::Call(call_no(number)));
            }
        }
        self.close_range(number, call);
    }

    fn close_range(&mut self, number: usize, call: &Call) {
        if call.name != CallName::CloseRange || call.arguments.flags & CLOSE_RANGE_CLOEXEC != 0 {
            return;
        }
        let last = call.arguments.number.and_then(|last| i32::try_from(last).ok());
        let (first, last) = (call.fd.unwrap_or_default(), Fd(last.unwrap_or(i32::MAX)));
        for place in self.tables.close_range(call.pid, first, last) {
            self.ended(place, Ending::Call(call_no(number)));
        }
    }

    /// The call is one of the socket's.
    fn note(&mut self, number: usize, place: Place) {
        if let Some(slot) = self.sockets.of_call.get_mut(number) {
            *slot = Some(place);
        }
        if let Some(socket) = self.sockets.all.get_mut(place as usize) {
            socket.calls.push(call_no(number));
        }
    }

    /// A call comes back: what it made is there from now on.
    #[allow(clippy::wildcard_enum_match_arm, reason = "of some forty calls few make descriptors")]
    fn left(&mut self, number: usize, call: &Call) {
        let Outcome::Value(value) = call.outcome else {
            if call.name == CallName::Socket {
                // A socket that could not be made belongs nowhere else.
                let place = self.make_up(call);
                self.describe(place, call.arguments.made);
                self.note(number, place);
            }
            return;
        };
        let fresh = i32::try_from(value).ok().map(Fd);
        match call.name {
            CallName::Socket => {
                let flags = call.arguments.made.map_or(0, |made| made.kind.cast_unsigned());
                self.made(number, call, fresh, flags);
            }
            CallName::Accept | CallName::Accept4 => {
                let listener = self.sockets.of_call.get(number).copied().flatten();
                let flags = call.arguments.flags;
                let Some(place) = self.made(number, call, fresh, flags) else { return };
                if let Some(socket) = self.sockets.all.get_mut(place as usize) {
                    socket.role = Role::Server;
                    socket.listener = listener;
                }
            }
            CallName::Socketpair => {
                let flags = call.arguments.made.map_or(0, |made| made.kind.cast_unsigned());
                for fd in call.arguments.descriptors.iter().take(2) {
                    let place = self.make_up(call);
                    self.describe(place, call.arguments.made);
                    self.tables.open(call.pid, *fd, place, flags & CLOEXEC != 0);
                    self.note(number, place);
                }
            }
            CallName::Dup | CallName::Dup2 | CallName::Dup3 => {
                self.duplicated(number, call, fresh, call.arguments.flags & CLOEXEC != 0);
            }
            CallName::Fcntl => match call.arguments.command {
                Some(F_DUPFD) => self.duplicated(number, call, fresh, false),
                Some(F_DUPFD_CLOEXEC) => self.duplicated(number, call, fresh, true),
                Some(F_SETFD) => {
                    let closes = call.arguments.number.is_some_and(|flags| flags & 1 != 0);
                    self.tables.set_closes_at_exec(call.pid, call.fd.unwrap_or_default(), closes);
                }
                _ => {}
            },
            name if name.purpose() == Purpose::Wait => {
                let ready = call.arguments.descriptors.iter();
                let ready = ready.filter_map(|fd| self.tables.meaning(call.pid, *fd)).collect();
                self.sockets.ready.insert(call_no(number), ready);
            }
            _ => {}
        }
    }

    fn made(&mut self, number: usize, call: &Call, fd: Option<Fd>, flags: u32) -> Option<Place> {
        let fd = fd?;
        let place = match call.socket {
            Some(id) => match self.by_id.get(&id) {
                Some(place) => *place,
                None => self.make(id, call),
            },
            None => self.make_up(call),
        };
        if let Some(socket) = self.sockets.all.get_mut(place as usize) {
            socket.began = socket.began.min(call.entered);
        }
        self.describe(place, call.arguments.made);
        self.tables.open(call.pid, fd, place, flags & CLOEXEC != 0);
        self.note(number, place);
        Some(place)
    }

    /// A descriptor came to mean what another does. dup2 over an open socket closes that.
    fn duplicated(&mut self, number: usize, call: &Call, fresh: Option<Fd>, closes_at_exec: bool) {
        let (Some(fresh), Some(old)) = (fresh, call.fd) else { return };
        if fresh == old {
            return;
        }
        let Some(place) = self.sockets.of_call.get(number).copied().flatten() else {
            if let Some((gone, true)) = self.tables.close(call.pid, fresh) {
                self.ended(gone, Ending::Call(call_no(number)));
            }
            return;
        };
        if let Some(gone) = self.tables.open(call.pid, fresh, place, closes_at_exec) {
            self.ended(gone, Ending::Call(call_no(number)));
        }
    }

    fn describe(&mut self, place: Place, made: Option<Made>) {
        let (Some(made), Some(socket)) = (made, self.sockets.all.get_mut(place as usize)) else {
            return;
        };
        socket.protocol = match (made.domain, made.kind & SOCK_TYPE_MASK) {
            (AF_UNIX, _) => Protocol::Unix,
            (AF_INET | AF_INET6, SOCK_STREAM) => Protocol::Tcp,
            (AF_INET | AF_INET6, SOCK_DGRAM) => Protocol::Udp,
            _ => Protocol::Other,
        };
    }

    /// Reads roles and addresses off the calls, then off the snapshots, which know better.
    fn learn_addresses(&mut self) {
        let record = self.record;
        for place in 0..self.sockets.all.len() {
            let Some(mut socket) = self.sockets.all.get(place).cloned() else { continue };
            for number in &socket.calls {
                let Some(call) = record.calls.get(number.index()) else { continue };
                let about = self.sockets.of_call.get(number.index()).copied().flatten();
                let made = about.is_some_and(|about| about as usize == place);
                learn(&mut socket.role, &mut socket.local, &mut socket.peer, call, made);
            }
            if let Some(slot) = self.sockets.all.get_mut(place) {
                *slot = socket;
            }
        }
        self.learn_from_listeners();
        for snapshot in &record.snapshots {
            let place = snapshot.socket.and_then(|id| self.by_id.get(&id));
            let Some(socket) = place.and_then(|place| self.sockets.all.get_mut(*place as usize))
            else {
                continue;
            };
            socket.local =
                snapshot.local.map(plain).filter(|local| local.port() != 0).or(socket.local);
            socket.peer = snapshot.peer.map(plain).or(socket.peer);
            if snapshot.state.is_some() {
                socket.protocol = Protocol::Tcp;
            }
        }
    }

    /// An accepted socket has its listener's port, and its address unless that is any.
    fn learn_from_listeners(&mut self) {
        for place in 0..self.sockets.all.len() {
            let Some(listener) = self.sockets.all.get(place).and_then(|socket| socket.listener)
            else {
                continue;
            };
            let Some((local, protocol)) =
                self.sockets.at(listener).map(|socket| (socket.local, socket.protocol))
            else {
                continue;
            };
            if let Some(socket) = self.sockets.all.get_mut(place) {
                socket.local = socket.local.or(local);
                socket.protocol = protocol;
            }
        }
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "of some forty calls few tell addresses")]
/// What one call tells of its socket. For accept, `made` says that the socket is the one it made.
fn learn(
    role: &mut Role,
    local: &mut Option<SocketAddr>,
    peer: &mut Option<SocketAddr>,
    call: &Call,
    made: bool,
) {
    let address = match &call.arguments.address {
        Some(Address::Inet(address)) => Some(plain(*address)),
        Some(Address::Unix(_) | Address::Other(_)) | None => None,
    };
    let worked = matches!(call.outcome, Outcome::Value(_));
    match call.name {
        CallName::Bind if worked && local.is_none() => {
            *local = address.filter(|address| address.port() != 0);
        }
        CallName::Getsockname if worked => *local = address.or(*local),
        CallName::Getpeername if worked => *peer = address.or(*peer),
        CallName::Listen if worked => *role = Role::Listening,
        CallName::Connect => {
            *role = Role::Client;
            *peer = address.or(*peer);
        }
        CallName::Accept | CallName::Accept4 if worked && made && *role == Role::Server => {
            *peer = address.or(*peer);
        }
        _ => {
            if *role == Role::Unknown {
                match call.name.purpose() {
                    Purpose::Send => *role = Role::Client,
                    Purpose::Receive => *role = Role::Server,
                    Purpose::Control | Purpose::Wait | Purpose::Descriptors => {}
                }
            }
        }
    }
}

fn is_death(life: &Life) -> bool {
    matches!(life, Life::Exited { .. } | Life::Killed { .. })
}

/// Whether [`Call::socket`] is the one it made and not the one it was called on.
fn is_maker(name: CallName) -> bool {
    matches!(name, CallName::Socket | CallName::Accept | CallName::Accept4)
}

/// Whether a call means nothing but on a socket: reads and closes may be of anything.
fn only_for_sockets(name: CallName) -> bool {
    use CallName::*;
    matches!(
        name,
        Bind | Listen
            | Connect
            | Accept
            | Accept4
            | Shutdown
            | Getsockname
            | Getpeername
            | Setsockopt
            | Getsockopt
            | Sendto
            | Sendmsg
            | Sendmmsg
            | Recvfrom
            | Recvmsg
            | Recvmmsg
    )
}

fn call_no(number: usize) -> CallNo {
    CallNo(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
