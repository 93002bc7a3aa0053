//! The lines of a record's file: mirror types, one for each kind of entry.
//!
//! A line is an object with one key, the kind of the entry. A key that is not known is counted and
//! left out; so is an entry whose kind, or a word that decides its meaning, is not known. Keys are
//! left out where they would say nothing. Lines become bytes in `writer` and come back in `reader`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use stentor_core::moment::Moment;
use stentor_core::timeline::record::{
    Call, CallId, Crossing, Direction, Entry, Header, Life, Link, Loss, Mode, Note, Packet, Pid,
    Place, Process, Remark, Snapshot, SocketId, TcpState, Tid, VERSION, Wire,
};

use super::address::Inet;
use super::call::CallLine;
use super::hex::Hex;

/// Why a line that is good JSON is no entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A word that this version does not know, where the meaning hangs on it.
    Unknown(String),
    /// A key that should be there and is not, or contradicts another.
    Wrong(&'static str),
}

pub(super) fn unknown(what: &str, word: &str) -> Refusal {
    Refusal::Unknown(format!("{what} {word:?}"))
}

/// Counts keys that no field takes.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Extra(pub(super) u64);

impl<'de> Deserialize<'de> for Extra {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Extra, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Extra;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Extra, M::Error> {
                let mut count = 0;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Extra(count))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HeaderLine<'a> {
    #[serde(borrow)]
    pub(super) schema: Cow<'a, str>,
    #[serde(borrow)]
    stentor: Cow<'a, str>,
    #[serde(borrow)]
    kernel: Cow<'a, str>,
    #[serde(borrow)]
    machine: Cow<'a, str>,
    #[serde(borrow)]
    mode: Cow<'a, str>,
    #[serde(borrow)]
    wire: Cow<'a, str>,
    snaplen: u32,
    began_unix_ns: u64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    lab_link: Option<Cow<'a, str>>,
    #[serde(flatten, skip_serializing)]
    pub(super) extra: Extra,
}

const MODES: [(Mode, &str); 3] = [(Mode::Lab, "lab"), (Mode::Host, "host"), (Mode::Calls, "calls")];
const WIRES: [(Wire, &str); 2] = [(Wire::Ethernet, "ethernet"), (Wire::Raw, "raw")];
const DIRECTIONS: [(Direction, &str); 2] = [(Direction::In, "in"), (Direction::Out, "out")];
const LINKS: [(Link, &str); 2] = [(Link::Ethernet, "ethernet"), (Link::Ip, "ip")];

fn word<T: PartialEq>(table: &[(T, &'static str)], value: &T) -> Option<&'static str> {
    table.iter().find(|(known, _)| known == value).map(|(_, word)| *word)
}

fn value<T: Copy>(table: &[(T, &str)], what: &str, word: &str) -> Result<T, Refusal> {
    let found = table.iter().find(|(_, known)| *known == word);
    found.map(|(value, _)| *value).ok_or_else(|| unknown(what, word))
}

impl<'a> From<&'a Header> for HeaderLine<'a> {
    fn from(header: &'a Header) -> HeaderLine<'a> {
        HeaderLine {
            schema: format!("{}/{}", super::SCHEMA, header.version).into(),
            stentor: (&header.stentor).into(),
            kernel: (&header.kernel).into(),
            machine: (&header.machine).into(),
            mode: word(&MODES, &header.mode).unwrap_or_default().into(),
            wire: word(&WIRES, &header.wire).unwrap_or_default().into(),
            snaplen: header.snaplen,
            began_unix_ns: header.began_unix_ns,
            lab_link: header.link.as_deref().map(Cow::Borrowed),
            extra: Extra::default(),
        }
    }
}

impl HeaderLine<'_> {
    /// The header, whose version the caller has seen to be ours.
    pub(super) fn into_header(self) -> Result<Header, Refusal> {
        Ok(Header {
            version: VERSION,
            stentor: self.stentor.into_owned(),
            kernel: self.kernel.into_owned(),
            machine: self.machine.into_owned(),
            mode: value(&MODES, "mode", &self.mode)?,
            wire: value(&WIRES, "wire", &self.wire)?,
            snaplen: self.snaplen,
            began_unix_ns: self.began_unix_ns,
            link: self.lab_link.map(Cow::into_owned),
        })
    }
}

/// A line after the first: at most one of its keys is there.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Line<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    process: Option<ProcessLine<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    call: Option<Box<CallLine<'a>>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    snapshot: Option<Box<SnapshotLine<'a>>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    packet: Option<PacketLine<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    loss: Option<LossLine<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    note: Option<NoteLine<'a>>,
    #[serde(flatten, skip_serializing)]
    extra: Extra,
}

/// What a line turned out to be.
#[derive(Debug)]
pub(super) enum Meaning {
    /// An entry, and how many of its keys are not known.
    Entry(Box<Entry>, u64),
    /// An entry of a kind that is not known, or with a word that is not.
    Skipped(String),
    /// No entry, and not because it is new.
    Wrong(&'static str),
}

impl<'a> Line<'a> {
    pub(super) fn process(process: &'a Process) -> Line<'a> {
        Line { process: Some(process.into()), ..Line::default() }
    }

    pub(super) fn call(call: &'a Call) -> Line<'a> {
        Line { call: Some(Box::new(call.into())), ..Line::default() }
    }

    pub(super) fn snapshot(snapshot: &'a Snapshot) -> Line<'a> {
        Line { snapshot: Some(Box::new(snapshot.into())), ..Line::default() }
    }

    pub(super) fn packet(packet: &'a Packet) -> Line<'a> {
        Line { packet: Some(packet.into()), ..Line::default() }
    }

    pub(super) fn loss(loss: &'a Loss) -> Line<'a> {
        Line { loss: Some(loss.into()), ..Line::default() }
    }

    pub(super) fn note(note: &'a Note) -> Line<'a> {
        Line { note: Some(note.into()), ..Line::default() }
    }

    pub(super) fn entry(entry: &'a Entry) -> Line<'a> {
        match entry {
            Entry::Process(process) => Line::process(process),
            Entry::Call(call) => Line::call(call),
            Entry::Snapshot(snapshot) => Line::snapshot(snapshot),
            Entry::Packet(packet) => Line::packet(packet),
            Entry::Loss(loss) => Line::loss(loss),
            Entry::Note(note) => Line::note(note),
        }
    }

    /// What it says.
    pub(super) fn meaning(self) -> Meaning {
        let mut found = Vec::with_capacity(1);
        let extra = self.extra.0;
        let known = |keys: u64, entry| (extra + keys, entry);
        found.extend(self.process.map(|line| known(line.extra.0, line.entry())));
        found.extend(self.call.map(|line| known(line.extras(), line.entry())));
        found.extend(self.snapshot.map(|line| known(line.extra.0, line.entry())));
        found.extend(self.packet.map(|line| known(line.extra.0, line.entry())));
        found.extend(self.loss.map(|line| known(line.extra.0, line.entry())));
        found.extend(self.note.map(|line| known(line.extra.0, line.entry())));
        let only = found.pop();
        match only {
            Some(_) if !found.is_empty() => Meaning::Wrong("two entries in one line"),
            Some((keys, Ok(entry))) => Meaning::Entry(Box::new(entry), keys),
            Some((_, Err(Refusal::Unknown(what)))) => Meaning::Skipped(what),
            Some((_, Err(Refusal::Wrong(what)))) => Meaning::Wrong(what),
            None if extra > 0 => Meaning::Skipped("a kind of entry".to_owned()),
            None => Meaning::Wrong("an object without an entry"),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct ProcessLine<'a> {
    at_ns: u64,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    #[serde(borrow)]
    life: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    command: Option<Vec<Cow<'a, str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<u32>,
    #[serde(default, skip_serializing_if = "is_default")]
    shares_files: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(flatten, skip_serializing)]
    extra: Extra,
}

/// The thread, left out where it is the first of its process.
pub(super) fn other_tid(pid: Pid, tid: Tid) -> Option<u32> {
    (pid.0 != tid.0).then_some(tid.0)
}

impl<'a> From<&'a Process> for ProcessLine<'a> {
    fn from(process: &'a Process) -> ProcessLine<'a> {
        let mut line = ProcessLine {
            at_ns: process.at.as_nanos(),
            pid: process.pid.0,
            tid: other_tid(process.pid, process.tid),
            life: Cow::Borrowed(""),
            command: None,
            parent: None,
            shares_files: false,
            status: None,
            signal: None,
            extra: Extra::default(),
        };
        let words = |command: &'a [String]| {
            Some(command.iter().map(|word| Cow::Borrowed(word.as_str())).collect())
        };
        line.life = Cow::Borrowed(match &process.life {
            Life::Started { command } => {
                line.command = words(command);
                "started"
            }
            Life::Forked { parent, shares_files } => {
                (line.parent, line.shares_files) = (Some(parent.0), *shares_files);
                "forked"
            }
            Life::Thread => "thread",
            Life::Execed { command } => {
                line.command = words(command);
                "execed"
            }
            Life::ThreadExited => "thread_exited",
            Life::Exited { status } => {
                line.status = Some(*status);
                "exited"
            }
            Life::Killed { signal } => {
                line.signal = Some(*signal);
                "killed"
            }
        });
        line
    }
}

impl ProcessLine<'_> {
    fn entry(self) -> Result<Entry, Refusal> {
        let command = |words: Option<Vec<Cow<'_, str>>>| {
            let words = words.ok_or(Refusal::Wrong("a program without its command"))?;
            Ok(words.into_iter().map(Cow::into_owned).collect())
        };
        let life = match &*self.life {
            "started" => Life::Started { command: command(self.command)? },
            "forked" => Life::Forked {
                parent: Pid(self.parent.ok_or(Refusal::Wrong("a fork without its parent"))?),
                shares_files: self.shares_files,
            },
            "thread" => Life::Thread,
            "execed" => Life::Execed { command: command(self.command)? },
            "thread_exited" => Life::ThreadExited,
            "exited" => Life::Exited {
                status: self.status.ok_or(Refusal::Wrong("an exit without its status"))?,
            },
            "killed" => Life::Killed {
                signal: self.signal.ok_or(Refusal::Wrong("a killing without its signal"))?,
            },
            other => return Err(unknown("process: life", other)),
        };
        Ok(Entry::Process(Process {
            at: Moment::from_nanos(self.at_ns),
            pid: Pid(self.pid),
            tid: Tid(self.tid.unwrap_or(self.pid)),
            life,
        }))
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct SnapshotLine<'a> {
    at_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    socket: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<Inet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Inet>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    state: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsent: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_us: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    congestion_window: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_window: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receive_buffer: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_buffer: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retransmitted: Option<u32>,
    #[serde(flatten, skip_serializing)]
    extra: Extra,
}

impl<'a> From<&'a Snapshot> for SnapshotLine<'a> {
    fn from(snapshot: &'a Snapshot) -> SnapshotLine<'a> {
        SnapshotLine {
            at_ns: snapshot.at.as_nanos(),
            socket: snapshot.socket.map(|socket| socket.0),
            call: snapshot.call.map(|call| call.0),
            local: snapshot.local.map(Inet),
            peer: snapshot.peer.map(Inet),
            state: snapshot.state.map(|state| state.name().into()),
            unread: snapshot.unread,
            unsent: snapshot.unsent,
            rtt_us: snapshot.rtt_us,
            congestion_window: snapshot.congestion_window,
            send_window: snapshot.send_window,
            receive_buffer: snapshot.receive_buffer,
            send_buffer: snapshot.send_buffer,
            dropped: snapshot.dropped,
            retransmitted: snapshot.retransmitted,
            extra: Extra::default(),
        }
    }
}

impl SnapshotLine<'_> {
    fn entry(self) -> Result<Entry, Refusal> {
        let known = |name: Cow<'_, str>| {
            TcpState::parse(&name).ok_or_else(|| unknown("snapshot: state", &name))
        };
        Ok(Entry::Snapshot(Snapshot {
            at: Moment::from_nanos(self.at_ns),
            socket: self.socket.map(SocketId),
            call: self.call.map(CallId),
            local: self.local.map(|address| address.0),
            peer: self.peer.map(|address| address.0),
            state: self.state.map(known).transpose()?,
            unread: self.unread,
            unsent: self.unsent,
            rtt_us: self.rtt_us,
            congestion_window: self.congestion_window,
            send_window: self.send_window,
            receive_buffer: self.receive_buffer,
            send_buffer: self.send_buffer,
            dropped: self.dropped,
            retransmitted: self.retransmitted,
        }))
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct PacketLine<'a> {
    at_ns: u64,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    direction: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    link: Option<Cow<'a, str>>,
    length: u32,
    #[serde(borrow, default, skip_serializing_if = "Hex::is_empty")]
    bytes: Hex<'a>,
    /// There if the packet crossed a lab link, empty if it never arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    arrived_ns: Option<Vec<u64>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    dropped: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flipped_bit: Option<u64>,
    #[serde(flatten, skip_serializing)]
    extra: Extra,
}

impl<'a> From<&'a Packet> for PacketLine<'a> {
    fn from(packet: &'a Packet) -> PacketLine<'a> {
        let link = (packet.link != Link::default()).then_some(&packet.link);
        let crossing = packet.crossing.as_deref();
        let nanos =
            |crossing: &Crossing| crossing.arrivals.iter().map(|at| at.as_nanos()).collect();
        PacketLine {
            at_ns: packet.at.as_nanos(),
            direction: word(&DIRECTIONS, &packet.direction).map(Cow::Borrowed),
            link: link.and_then(|link| word(&LINKS, link)).map(Cow::Borrowed),
            length: packet.length,
            bytes: Hex::from(&*packet.bytes),
            arrived_ns: crossing.map(nanos),
            dropped: crossing.and_then(|it| it.dropped.as_deref()).map(Cow::Borrowed),
            flipped_bit: crossing.and_then(|it| it.flipped),
            extra: Extra::default(),
        }
    }
}

impl PacketLine<'_> {
    fn entry(self) -> Result<Entry, Refusal> {
        let direction = |word: Cow<'_, str>| value(&DIRECTIONS, "packet: direction", &word);
        let link = |word: Cow<'_, str>| value(&LINKS, "packet: link", &word);
        let (dropped, flipped) = (self.dropped, self.flipped_bit);
        let crossing = |arrivals: Vec<u64>| Crossing {
            arrivals: arrivals.into_iter().map(Moment::from_nanos).collect(),
            dropped: dropped.map(|word| word.into_owned().into_boxed_str()),
            flipped,
        };
        Ok(Entry::Packet(Packet {
            at: Moment::from_nanos(self.at_ns),
            direction: self.direction.map(direction).transpose()?.unwrap_or_default(),
            link: self.link.map(link).transpose()?.unwrap_or_default(),
            bytes: self.bytes.into_box(),
            length: self.length,
            crossing: self.arrived_ns.map(crossing).map(Box::new),
        }))
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct LossLine<'a> {
    at_ns: u64,
    #[serde(borrow)]
    place: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    socket: Option<u64>,
    count: u64,
    #[serde(flatten, skip_serializing)]
    extra: Extra,
}

impl<'a> From<&'a Loss> for LossLine<'a> {
    fn from(loss: &'a Loss) -> LossLine<'a> {
        let (place, socket) = match loss.place {
            Place::Capture => ("capture", None),
            Place::ReceiveQueue(socket) => ("receive_queue", socket),
            Place::Record => ("record", None),
        };
        LossLine {
            at_ns: loss.at.as_nanos(),
            place: place.into(),
            socket: socket.map(|socket| socket.0),
            count: loss.count,
            extra: Extra::default(),
        }
    }
}

impl LossLine<'_> {
    fn entry(self) -> Result<Entry, Refusal> {
        let place = match &*self.place {
            "capture" => Place::Capture,
            "receive_queue" => Place::ReceiveQueue(self.socket.map(SocketId)),
            "record" => Place::Record,
            other => return Err(unknown("loss: place", other)),
        };
        Ok(Entry::Loss(Loss { at: Moment::from_nanos(self.at_ns), place, count: self.count }))
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct NoteLine<'a> {
    at_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(borrow)]
    remark: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    #[serde(flatten, skip_serializing)]
    extra: Extra,
}

impl<'a> From<&'a Note> for NoteLine<'a> {
    fn from(note: &'a Note) -> NoteLine<'a> {
        let (remark, text) = match &note.remark {
            Remark::IoUringRefused => ("io_uring_refused", None),
            Remark::IoUringAllowed => ("io_uring_allowed", None),
            Remark::LeftBehind => ("left_behind", None),
            Remark::NotTraced(why) => ("not_traced", Some(why)),
            Remark::Text(text) => ("text", Some(text)),
        };
        NoteLine {
            at_ns: note.at.as_nanos(),
            pid: note.pid.map(|pid| pid.0),
            remark: remark.into(),
            text: text.map(|text| text.as_str().into()),
            extra: Extra::default(),
        }
    }
}

impl NoteLine<'_> {
    fn entry(self) -> Result<Entry, Refusal> {
        let text = self.text.map(Cow::into_owned);
        let text = text.ok_or(Refusal::Wrong("a remark without its text"));
        let remark = match &*self.remark {
            "io_uring_refused" => Remark::IoUringRefused,
            "io_uring_allowed" => Remark::IoUringAllowed,
            "left_behind" => Remark::LeftBehind,
            "not_traced" => Remark::NotTraced(text?),
            "text" => Remark::Text(text?),
            other => return Err(unknown("note: remark", other)),
        };
        let at = Moment::from_nanos(self.at_ns);
        Ok(Entry::Note(Note { at, pid: self.pid.map(Pid), remark }))
    }
}
