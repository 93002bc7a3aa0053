//! From what the kernel showed to the record's own words: no decision, only names and clocks.

use std::collections::BTreeSet;

use stentor_core::moment::Moment;
use stentor_core::timeline::call::{CallName, Errno};
use stentor_core::timeline::record::{
    Address, Arguments, Call, CallId, Crossing, Direction, Entry, Fd, Life, Link, Made, Message,
    Note, Outcome, Packet, Pid, Process, Remark, Snapshot, SocketId, SocketOption, TcpState, Tid,
};
use stentor_os::capture;
use stentor_os::clock::Stamp;
use stentor_os::net::tcp_info::State;
use stentor_os::tracee;

use crate::drive::lab::Passage;

/// The clocks of one run, and the numbers of its calls.
#[derive(Debug)]
pub(super) struct Translator {
    began: Stamp,
    calls: u64,
    /// Processes whose io_uring has been remarked on: some try again and again.
    rings: BTreeSet<i32>,
}

fn pid(number: i32) -> Pid {
    Pid(u32::try_from(number).unwrap_or(0))
}

fn tid(number: i32) -> Tid {
    Tid(u32::try_from(number).unwrap_or(0))
}

impl Translator {
    /// Moments count from `began`.
    pub(super) fn new(began: Stamp) -> Translator {
        Translator { began, calls: 0, rings: BTreeSet::new() }
    }

    pub(super) fn moment(&self, stamp: Stamp) -> Moment {
        Moment::from_nanos(stamp.monotonic_ns.saturating_sub(self.began.monotonic_ns))
    }

    /// A captured packet: its stamp is of the other clock.
    pub(super) fn packet(&self, packet: capture::Packet) -> Entry {
        let at = packet.realtime_ns.saturating_sub(self.began.realtime_ns);
        Entry::Packet(Packet {
            at: Moment::from_nanos(at),
            direction: match packet.direction {
                capture::Direction::In | capture::Direction::Passing => Direction::In,
                capture::Direction::Out => Direction::Out,
            },
            link: Link::Ethernet,
            bytes: packet.bytes.into(),
            length: packet.length,
            crossing: None,
        })
    }

    /// A packet that a lab link took, and what it did with it: on the clock of the run.
    pub(super) fn passage(&self, passage: Passage) -> Entry {
        let knob = passage.dropped.filter(|_| passage.arrivals.is_empty());
        Entry::Packet(Packet {
            at: passage.at,
            direction: Direction::Unknown,
            link: Link::Ip,
            bytes: passage.bytes,
            length: passage.length,
            crossing: Some(Box::new(Crossing {
                arrivals: passage.arrivals.into(),
                dropped: knob.map(|knob| knob.name().into()),
                flipped: passage.flipped,
            })),
        })
    }

    /// What one event adds to the record: nothing, or up to three entries.
    pub(super) fn entries(&mut self, event: tracee::Event) -> Vec<Entry> {
        use tracee::Event;
        match event {
            Event::Forked { at, parent, pid: child, tid: thread } => {
                let life = match child == parent {
                    true => Life::Thread,
                    false => Life::Forked { parent: pid(parent), shares_files: false },
                };
                vec![self.process(at, child, thread, life)]
            }
            Event::Executed { at, pid: who, path, file } => {
                let life = Life::Execed { command: command_of(who, &path) };
                let mut entries = vec![self.process(at, who, who, life)];
                if file.bits_32 {
                    let words = "a 32-bit program: its calls are not seen".to_owned();
                    entries.push(self.note(at, who, Remark::NotTraced(words)));
                }
                if file.set_id {
                    let words = "its set-user-ID bit has no effect while it is traced".to_owned();
                    entries.push(self.note(at, who, Remark::Text(words)));
                }
                entries
            }
            Event::ThreadEnded { at, pid, tid } => {
                vec![self.process(at, pid, tid, Life::ThreadExited)]
            }
            Event::Ended { at, pid, how } => {
                let life = match how {
                    tracee::Ending::Exited(status) => Life::Exited { status },
                    tracee::Ending::Killed { signal, .. } => Life::Killed { signal },
                };
                vec![self.process(at, pid, pid, life)]
            }
            Event::Call(call) => self.call(*call),
            Event::Foreign { at, pid } => {
                let words = "calls of another instruction set are not seen".to_owned();
                vec![self.note(at, pid, Remark::NotTraced(words))]
            }
            Event::IoUring { pid, .. } if !self.rings.insert(pid) => Vec::new(),
            Event::IoUring { at, pid, refused } => {
                let remark = if refused { Remark::IoUringRefused } else { Remark::IoUringAllowed };
                vec![self.note(at, pid, remark)]
            }
            Event::Released { at, pid } => vec![self.note(at, pid, Remark::LeftBehind)],
            Event::Signal { .. } | Event::Rung => Vec::new(),
        }
    }

    /// A process that the tracer started.
    pub(super) fn started(&self, at: Stamp, root: i32, command: Vec<String>) -> Entry {
        self.process(at, root, root, Life::Started { command })
    }

    /// A remark about a process.
    pub(super) fn note(&self, at: Stamp, about: i32, remark: Remark) -> Entry {
        Entry::Note(Note { at: self.moment(at), pid: Some(pid(about)), remark })
    }

    fn process(&self, at: Stamp, who: i32, thread: i32, life: Life) -> Entry {
        Entry::Process(Process { at: self.moment(at), pid: pid(who), tid: tid(thread), life })
    }

    fn call(&mut self, call: tracee::Call) -> Vec<Entry> {
        let Some(name) = CallName::parse(call.name) else { return Vec::new() };
        let id = CallId(self.calls);
        self.calls += 1;
        let mut entries = Vec::new();
        entries.extend(call.before.as_ref().map(|before| self.snapshot(before, None)));
        let after = call.after.as_ref().map(|after| self.snapshot(after, Some(id)));
        entries.push(Entry::Call(self.words(call, name, id)));
        entries.extend(after);
        entries
    }

    fn words(&self, call: tracee::Call, name: CallName, id: CallId) -> Call {
        let made = call.made.first().and_then(|(_, identity)| *identity);
        let behind = made.or(call.socket);
        let (arguments, payload, messages) = arguments(&call, name);
        let fd = match (&call.arguments, call.descriptor) {
            (tracee::Arguments::CloseRange { first, .. }, _) => {
                Some(Fd(i32::try_from(*first).unwrap_or(i32::MAX)))
            }
            (_, descriptor) => descriptor.map(Fd),
        };
        Call {
            id,
            pid: pid(call.pid),
            tid: tid(call.tid),
            entered: self.moment(call.entered),
            left: call.left.map(|left| self.moment(left)),
            name,
            fd,
            socket: behind.map(|identity| SocketId(identity.inode)),
            arguments,
            outcome: match call.outcome {
                tracee::Outcome::Returned(value) => Outcome::Value(value),
                tracee::Outcome::Failed(errno) | tracee::Outcome::Interrupted(errno) => {
                    Outcome::Failed(Errno(errno))
                }
                tracee::Outcome::Unfinished => Outcome::Unfinished,
            },
            payload,
            messages,
        }
    }

    fn snapshot(&self, seen: &tracee::Snapshot, call: Option<CallId>) -> Entry {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let tcp = seen.tcp;
        Entry::Snapshot(Snapshot {
            at: self.moment(seen.at),
            socket: Some(SocketId(seen.identity.inode)),
            call,
            local: seen.local.as_ref().and_then(inet),
            peer: seen.peer.as_ref().and_then(inet),
            state: tcp.and_then(|tcp| state(tcp.state)),
            unread: seen.unread.map(number),
            unsent: seen.unacknowledged.map(number),
            rtt_us: tcp.map(|tcp| u32::try_from(tcp.rtt.as_micros()).unwrap_or(u32::MAX)),
            congestion_window: tcp.map(|tcp| tcp.congestion_window),
            send_window: None,
            receive_buffer: seen.memory.map(|memory| memory.receive_max),
            send_buffer: seen.memory.map(|memory| memory.send_max),
            dropped: seen.memory.map(|memory| memory.drops),
            retransmitted: tcp.map(|tcp| tcp.retransmitted),
        })
    }
}

/// The command line of a process that has just executed it; its path where /proc says nothing.
fn command_of(pid: i32, path: &std::path::Path) -> Vec<String> {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = words
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    if words.is_empty() { vec![path.display().to_string()] } else { words }
}

fn inet(address: &tracee::Address) -> Option<std::net::SocketAddr> {
    match address {
        tracee::Address::Ip(address) => Some(*address),
        tracee::Address::Unix(_) | tracee::Address::Other { .. } => None,
    }
}

fn address(address: &tracee::Address) -> Address {
    match address {
        tracee::Address::Ip(address) => Address::Inet(*address),
        tracee::Address::Unix(name) => Address::Unix(match name.split_first() {
            Some((0, name)) => format!("@{}", String::from_utf8_lossy(name)),
            _ => String::from_utf8_lossy(name).into_owned(),
        }),
        tracee::Address::Other { family, .. } => Address::Other(*family),
    }
}

fn state(state: State) -> Option<TcpState> {
    Some(match state {
        State::Established => TcpState::Established,
        State::SynSent => TcpState::SynSent,
        State::SynReceived => TcpState::SynReceived,
        State::FinWait1 => TcpState::FinWait1,
        State::FinWait2 => TcpState::FinWait2,
        State::TimeWait => TcpState::TimeWait,
        State::Closed => TcpState::Close,
        State::CloseWait => TcpState::CloseWait,
        State::LastAck => TcpState::LastAck,
        State::Listen => TcpState::Listen,
        State::Closing => TcpState::Closing,
        State::Other(_) => return None,
    })
}

/// The flags of a call: the same 32 bits, without a sign.
fn flags(flags: i32) -> u32 {
    u32::from_ne_bytes(flags.to_ne_bytes())
}

/// A register that holds an `int`: its low 32 bits.
fn register(call: &tracee::Call, index: usize) -> Option<u32> {
    call.registers.get(index).and_then(|value| u32::try_from(value & 0xffff_ffff).ok())
}

type Told = (Arguments, Box<[u8]>, Box<[Message]>);

fn arguments(call: &tracee::Call, name: CallName) -> Told {
    use tracee::Arguments as Seen;
    let mut told = Arguments::default();
    match &call.arguments {
        Seen::Socket { domain, kind, protocol } => {
            told.made = Some(Made { domain: *domain, kind: *kind, protocol: *protocol });
            if name == CallName::Socketpair {
                told.descriptors = call.made.iter().map(|(fd, _)| Fd(*fd)).collect();
            }
        }
        Seen::Address { address: given, flags: bits } => {
            told.address = given.as_ref().map(address);
            told.flags = flags(*bits);
        }
        Seen::Listen { backlog } => told.number = Some((*backlog).into()),
        Seen::Shutdown { how } => told.number = Some((*how).into()),
        Seen::Data { flags: bits, asked, messages, .. } => {
            told.length = Some(*asked);
            told.flags = flags(*bits);
            return data(told, messages, name);
        }
        Seen::CloseRange { last, .. } => {
            told.number = i64::try_from(*last).ok();
            told.flags = register(call, 2).unwrap_or(0);
        }
        Seen::Duplicate { to } => {
            told.number = to.map(i64::from);
            if name == CallName::Fcntl {
                told.command = register(call, 1);
            }
            if name == CallName::Dup3 {
                told.flags = register(call, 2).unwrap_or(0);
            }
        }
        Seen::Control { command, value } => {
            told.command = u32::try_from(command & 0xffff_ffff).ok();
            told.number = Some(*value);
        }
        Seen::Option { level, name, value } => {
            let value = value.iter().copied().take(16).collect();
            told.option = Some(Box::new(SocketOption { level: *level, name: *name, value }));
        }
        Seen::Poll { watched } => {
            let found = watched.iter().filter(|(_, _, found)| *found != 0);
            told.descriptors = found.map(|(fd, _, _)| Fd(*fd)).collect();
        }
        Seen::EpollControl { operation, descriptor, .. } => {
            told.number = Some((*operation).into());
            told.descriptors = [Fd(*descriptor)].into();
        }
        // What epoll found is named by the program's own data, which need not be a descriptor.
        Seen::Close | Seen::EpollWait { .. } | Seen::None => {}
    }
    (told, Box::default(), Box::default())
}

fn data(mut told: Arguments, messages: &[tracee::Message], name: CallName) -> Told {
    if matches!(name, CallName::Sendmmsg | CallName::Recvmmsg) {
        let several = messages.iter().map(|message| Message {
            address: message.address.as_ref().map(address),
            length: message.length,
            payload: message.bytes.clone().into(),
        });
        return (told, Box::default(), several.collect());
    }
    let Some(message) = messages.first() else { return (told, Box::default(), Box::default()) };
    told.address = message.address.as_ref().map(address);
    told.flags_back = flags(message.flags);
    (told, message.bytes.clone().into(), Box::default())
}
