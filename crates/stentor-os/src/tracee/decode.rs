//! The arguments of a call: at its entry those the program passes, at its exit those it is given
//! (the man page of each call).

use super::event::{Arguments, Message, Outcome};
use super::kinds::Kind;
use super::memory::{Memory, int};

/// How much is kept of the bytes a program sends or receives, for each message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept(pub(super) u64);

/// Socket options are short; those that are not are cut.
const OPTION_BYTES_MAX: u64 = 64;

impl Kind {
    /// Whether its first argument is the descriptor it is about.
    pub(super) fn has_descriptor(self) -> bool {
        !matches!(
            self,
            Kind::Socket
                | Kind::SocketPair
                | Kind::CloseRange
                | Kind::Poll
                | Kind::Select
                | Kind::EpollControl
                | Kind::EpollWait
                | Kind::IoUring
                | Kind::Restart
        )
    }

    /// Whether a successful call changes the socket, so that its state is worth asking for.
    pub(super) fn changes_state(self) -> bool {
        matches!(
            self,
            Kind::Bind
                | Kind::Connect
                | Kind::Listen
                | Kind::Accept
                | Kind::SendTo
                | Kind::ReceiveFrom
                | Kind::SendMessage
                | Kind::ReceiveMessage
                | Kind::SendMessages
                | Kind::ReceiveMessages
                | Kind::Write
                | Kind::Read
                | Kind::WriteVector
                | Kind::ReadVector
                | Kind::SendFile
                | Kind::Splice
                | Kind::Shutdown
        )
    }

    /// Whether the state before it is worth asking for: afterwards it may be gone.
    pub(super) fn ends_something(self) -> bool {
        matches!(self, Kind::Close | Kind::Shutdown)
    }
}

fn data(out: bool, flags: i32, asked: u64, messages: Vec<Message>) -> Arguments {
    Arguments::Data { out, flags, asked, messages }
}

fn one(bytes: Vec<u8>, length: u64) -> Message {
    Message { bytes, length, ..Message::default() }
}

/// The arguments as the call is entered.
pub(super) fn at_entry(kind: Kind, words: &[u64; 6], memory: Memory, kept: Kept) -> Arguments {
    let [a, b, c, d, e, f] = *words;
    let max = kept.0;
    match kind {
        Kind::Socket | Kind::SocketPair => {
            Arguments::Socket { domain: int(a), kind: int(b), protocol: int(c) }
        }
        Kind::Bind | Kind::Connect => {
            Arguments::Address { address: memory.address(b, c & 0xffff_ffff), flags: 0 }
        }
        Kind::LocalName | Kind::PeerName => Arguments::Address { address: None, flags: 0 },
        // accept has no fourth argument: what the register holds is no flags.
        Kind::Accept => Arguments::Address { address: None, flags: 0 },
        Kind::Listen => Arguments::Listen { backlog: int(b) },
        Kind::SendTo => {
            let address = memory.address(e, f & 0xffff_ffff);
            let message = Message { address, ..one(memory.bytes(b, c.min(max)), c) };
            data(true, int(d), c, vec![message])
        }
        Kind::Write => data(true, 0, c, vec![one(memory.bytes(b, c.min(max)), c)]),
        Kind::WriteVector => {
            let (bytes, length) = memory.vector(b, c, u64::MAX, max);
            data(true, 0, length, vec![one(bytes, length)])
        }
        Kind::SendMessage => {
            let messages = Vec::from_iter(memory.message(b, u64::MAX, max));
            data(true, int(c), offered(&messages), messages)
        }
        Kind::SendMessages => {
            let messages = memory.messages(b, c & 0xffff_ffff, false, max);
            data(true, int(d), offered(&messages), messages)
        }
        Kind::ReceiveFrom => data(false, int(d), c, vec![]),
        Kind::Read => data(false, 0, c, vec![]),
        Kind::ReadVector => data(false, 0, memory.vector(b, c, u64::MAX, 0).1, vec![]),
        Kind::ReceiveMessage => {
            let messages = Vec::from_iter(memory.message(b, u64::MAX, 0));
            data(false, int(c), offered(&messages), vec![])
        }
        Kind::ReceiveMessages => {
            let messages = memory.messages(b, c & 0xffff_ffff, false, 0);
            data(false, int(d), offered(&messages), vec![])
        }
        Kind::SendFile => data(true, 0, d, vec![]),
        Kind::Splice => data(true, 0, e, vec![]),
        Kind::Shutdown => Arguments::Shutdown { how: int(b) },
        Kind::Close => Arguments::Close,
        Kind::CloseRange => Arguments::CloseRange { first: a & 0xffff_ffff, last: b & 0xffff_ffff },
        Kind::Duplicate => Arguments::Duplicate { to: None },
        Kind::DuplicateTo => Arguments::Duplicate { to: Some(int(b)) },
        Kind::Control => Arguments::Control { command: b, value: int(c).into() },
        Kind::Ioctl => Arguments::Control { command: b, value: memory.int(c).unwrap_or(0).into() },
        Kind::SetOption => {
            let value = memory.bytes(d, (e & 0xffff_ffff).min(OPTION_BYTES_MAX));
            Arguments::Option { level: int(b), name: int(c), value }
        }
        Kind::GetOption => Arguments::Option { level: int(b), name: int(c), value: vec![] },
        Kind::Poll => Arguments::Poll { watched: memory.polled(a, b) },
        Kind::Select => Arguments::Poll { watched: selected(words, memory) },
        Kind::EpollControl => {
            let (events, data) = memory.epoll_events(d, 1).pop().unwrap_or_default();
            let (epoll, operation, descriptor) = (int(a), int(b), int(c));
            Arguments::EpollControl { epoll, operation, descriptor, events, data }
        }
        Kind::EpollWait => Arguments::EpollWait { epoll: int(a), found: vec![] },
        Kind::IoUring | Kind::Restart => Arguments::None,
    }
}

fn offered(messages: &[Message]) -> u64 {
    messages.iter().fold(0, |sum, message| sum.saturating_add(message.length))
}

/// The three sets of a select(2) as poll(2) would be asked.
fn selected(words: &[u64; 6], memory: Memory) -> Vec<(i32, i16, i16)> {
    let [limit, read, write, except, ..] = *words;
    let limit = limit & 0xffff_ffff;
    let mut watched: Vec<(i32, i16, i16)> = Vec::new();
    let asked = [(read, libc::POLLIN), (write, libc::POLLOUT), (except, libc::POLLPRI)];
    for (set, event) in asked {
        for descriptor in memory.set(set, limit) {
            match watched.iter_mut().find(|(known, ..)| *known == descriptor) {
                Some((_, events, _)) => *events |= event,
                None => watched.push((descriptor, event, 0)),
            }
        }
    }
    watched
}

/// Fills in what the call gave the program.
pub(super) fn at_exit(
    kind: Kind,
    words: &[u64; 6],
    outcome: Outcome,
    arguments: &mut Arguments,
    memory: Memory,
    kept: Kept,
) {
    let Outcome::Returned(value) = outcome else { return };
    let returned = u64::try_from(value).unwrap_or(0);
    let [a, b, c, d, e, f] = *words;
    match arguments {
        Arguments::Address { address, .. }
            if matches!(kind, Kind::Accept | Kind::LocalName | Kind::PeerName) =>
        {
            *address = memory.address_by(b, c);
        }
        Arguments::Data { out: false, messages, .. } => {
            // With MSG_TRUNC the result is the datagram's length, not that of the buffer's bytes.
            let room = |room: u64| returned.min(room);
            let max = kept.0;
            *messages = match kind {
                Kind::ReceiveFrom => {
                    let bytes = memory.bytes(b, room(c).min(max));
                    vec![Message { address: memory.address_by(e, f), ..one(bytes, returned) }]
                }
                Kind::Read => vec![one(memory.bytes(b, room(c).min(max)), returned)],
                Kind::ReadVector => {
                    let (bytes, length) = memory.vector(b, c, returned, max);
                    vec![one(bytes, length)]
                }
                Kind::ReceiveMessage => memory
                    .message(b, returned, max)
                    .map(|message| Message { length: returned, ..message })
                    .into_iter()
                    .collect(),
                Kind::ReceiveMessages => memory.messages(b, returned, true, max),
                _ => vec![],
            };
        }
        Arguments::Control { value, .. } if kind == Kind::Ioctl => {
            *value = memory.int(c).unwrap_or(0).into();
        }
        Arguments::Option { value, .. } if kind == Kind::GetOption => {
            let length = memory.int(e).and_then(|length| u64::try_from(length).ok());
            *value = memory.bytes(d, length.unwrap_or(0).min(OPTION_BYTES_MAX));
        }
        Arguments::EpollWait { found, .. } => *found = memory.epoll_events(b, returned),
        Arguments::Poll { watched } => match kind {
            Kind::Poll => *watched = memory.polled(a, b),
            _ => {
                // What select leaves in its sets is what it found.
                for (descriptor, found, _) in selected(words, memory) {
                    let place = watched.iter_mut().find(|(known, ..)| *known == descriptor);
                    if let Some((_, _, events)) = place {
                        *events = found;
                    }
                }
            }
        },
        _ => {}
    }
}
