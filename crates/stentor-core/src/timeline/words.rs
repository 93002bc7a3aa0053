//! Calls in words: `connect(3, 127.0.0.1:12000)`, shorter than strace and in the same names.
//!
//! Where the words stand is left to the renderers.

use std::fmt::Write;
use std::time::Duration;

use super::call::{CallName, Errno, Purpose};
use super::record::{Call, Made, Outcome, SocketOption};

/// What a call was given, without its payload: `3, 127.0.0.1:12000`.
#[allow(clippy::wildcard_enum_match_arm, reason = "calls of one purpose are written alike")]
pub fn arguments(call: &Call) -> String {
    let mut words = List::default();
    let given = &call.arguments;
    if let Some(fd) = call.fd {
        words.add(fd);
    }
    match call.name {
        CallName::Socket | CallName::Socketpair => {
            if let Some(made) = given.made {
                words.add(socket_type(made));
            }
        }
        CallName::Bind | CallName::Connect => words.maybe(given.address.as_ref()),
        CallName::Shutdown => match given.number {
            Some(0) => words.add("SHUT_RD"),
            Some(1) => words.add("SHUT_WR"),
            Some(2) => words.add("SHUT_RDWR"),
            other => words.maybe(other),
        },
        CallName::Setsockopt | CallName::Getsockopt => {
            if let Some(option) = given.option.as_deref() {
                words.add(option_name(option));
                if call.name == CallName::Setsockopt {
                    words.add(option_value(option));
                }
            }
        }
        CallName::Fcntl => {
            words.maybe(given.command.map(fcntl_command));
            match (given.command, given.number) {
                (Some(F_SETFL), Some(flags)) => words.add(file_flags(flags)),
                (_, number) => words.maybe(number),
            }
        }
        CallName::Ioctl => words.maybe(given.command.map(|request| format!("{request:#x}"))),
        name => match name.purpose() {
            Purpose::Send | Purpose::Receive => data(&mut words, call),
            Purpose::Wait => match given.number {
                Some(-1) | None => {}
                Some(timeout) => words.add(format_args!("timeout {timeout} ms")),
            },
            Purpose::Control | Purpose::Descriptors => words.maybe(given.number),
        },
    }
    words.0
}

fn data(words: &mut List, call: &Call) {
    let given = &call.arguments;
    if call.messages.is_empty() {
        words.maybe(given.length);
    } else {
        words.add(format_args!("{} messages", call.messages.len()));
    }
    let flags = message_flags(given.flags);
    if !flags.is_empty() {
        words.add(flags);
    }
    if call.name.purpose() == Purpose::Send {
        words.maybe(given.address.as_ref());
    }
}

/// What a call gave back: `5`, `4, 127.0.0.1:51234`, `ECONNREFUSED`; `interrupted` by a signal,
/// to be begun anew or to end with its program; `...` if it never came back.
pub fn outcome(call: &Call) -> String {
    let value = match call.outcome {
        Outcome::Value(value) => value,
        // The kernel's own code, which no program ever sees.
        Outcome::Failed(errno) if errno.is_restart() => return "interrupted".to_owned(),
        Outcome::Failed(errno) => return errno.to_string(),
        Outcome::Unfinished => return "...".to_owned(),
    };
    let mut words = List::default();
    words.add(value);
    let told = matches!(
        call.name,
        CallName::Accept | CallName::Accept4 | CallName::Getsockname | CallName::Getpeername
    );
    if told || call.name.purpose() == Purpose::Receive {
        words.maybe(call.arguments.address.as_ref());
    }
    if call.name == CallName::Socketpair {
        call.arguments.descriptors.iter().for_each(|fd| words.add(fd));
    }
    if call.name == CallName::Getsockopt
        && let Some(option) = call.arguments.option.as_deref()
    {
        words.add(option_value(option));
    }
    words.0
}

/// A span of time as findings tell it: `20 us`, `0.2 ms`, `80 ms`, `1.5 s`.
pub fn span(span: Duration) -> String {
    let us = span.as_micros();
    match us {
        0..100 => format!("{us} us"),
        100..10_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        10_000..1_000_000 => format!("{} ms", us / 1000),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

/// `1 byte`, `5 bytes`.
pub fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Words with commas between them.
#[derive(Default)]
struct List(String);

impl List {
    fn add(&mut self, word: impl std::fmt::Display) {
        let comma = if self.0.is_empty() { "" } else { ", " };
        // Writing to a String does not fail.
        let _ = write!(self.0, "{comma}{word}");
    }

    fn maybe(&mut self, word: Option<impl std::fmt::Display>) {
        if let Some(word) = word {
            self.add(word);
        }
    }
}

/// socket(2): `AF_INET, SOCK_STREAM|SOCK_NONBLOCK`.
fn socket_type(made: Made) -> String {
    let domain = match made.domain {
        1 => "AF_UNIX".to_owned(),
        2 => "AF_INET".to_owned(),
        10 => "AF_INET6".to_owned(),
        16 => "AF_NETLINK".to_owned(),
        17 => "AF_PACKET".to_owned(),
        40 => "AF_VSOCK".to_owned(),
        other => format!("AF {other}"),
    };
    let kind = match made.kind & 0xf {
        1 => "SOCK_STREAM".to_owned(),
        2 => "SOCK_DGRAM".to_owned(),
        3 => "SOCK_RAW".to_owned(),
        5 => "SOCK_SEQPACKET".to_owned(),
        other => format!("SOCK {other}"),
    };
    // SOCK_CLOEXEC says nothing about the network, and is everywhere.
    let waits = if made.kind & 0o4000 == 0 { "" } else { "|SOCK_NONBLOCK" };
    format!("{domain}, {kind}{waits}")
}

/// send(2) and recv(2); MSG_NOSIGNAL is left out, since every runtime sets it.
fn message_flags(flags: u32) -> String {
    const NAMES: [(u32, &str); 9] = [
        (0x1, "MSG_OOB"),
        (0x2, "MSG_PEEK"),
        (0x20, "MSG_TRUNC"),
        (0x40, "MSG_DONTWAIT"),
        (0x100, "MSG_WAITALL"),
        (0x2000, "MSG_ERRQUEUE"),
        (0x8000, "MSG_MORE"),
        (0x0400_0000, "MSG_ZEROCOPY"),
        (0x2000_0000, "MSG_FASTOPEN"),
    ];
    let set = NAMES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name);
    set.collect::<Vec<_>>().join("|")
}

/// fcntl(2).
const F_SETFL: u32 = 4;

/// The flags of F_SETFL that sockets know (open(2), asm-generic/fcntl.h).
fn file_flags(flags: i64) -> String {
    const NAMED: [(i64, &str); 2] = [(0o4000, "O_NONBLOCK"), (0o20000, "O_ASYNC")];
    const ACCESS: i64 = 3;
    let named: Vec<&str> =
        NAMED.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    let known: i64 = NAMED.iter().map(|(bit, _)| bit).sum::<i64>() | ACCESS;
    match (named.is_empty(), flags & !known) {
        (true, 0) => "0".to_owned(),
        (false, 0) => named.join("|"),
        (true, other) => format!("{other:#o}"),
        (false, other) => format!("{}|{other:#o}", named.join("|")),
    }
}

/// fcntl(2).
fn fcntl_command(command: u32) -> String {
    match command {
        0 => "F_DUPFD".to_owned(),
        1 => "F_GETFD".to_owned(),
        2 => "F_SETFD".to_owned(),
        3 => "F_GETFL".to_owned(),
        4 => "F_SETFL".to_owned(),
        1030 => "F_DUPFD_CLOEXEC".to_owned(),
        other => format!("command {other}"),
    }
}

/// socket(7), tcp(7), udp(7), ip(7), ipv6(7).
fn option_name(option: &SocketOption) -> String {
    const NAMES: [(i32, i32, &str); 33] = [
        (1, 2, "SO_REUSEADDR"),
        (1, 3, "SO_TYPE"),
        (1, 4, "SO_ERROR"),
        (1, 6, "SO_BROADCAST"),
        (1, 7, "SO_SNDBUF"),
        (1, 8, "SO_RCVBUF"),
        (1, 9, "SO_KEEPALIVE"),
        (1, 13, "SO_LINGER"),
        (1, 15, "SO_REUSEPORT"),
        (1, 18, "SO_RCVLOWAT"),
        (1, 20, "SO_RCVTIMEO"),
        (1, 21, "SO_SNDTIMEO"),
        (1, 30, "SO_ACCEPTCONN"),
        (1, 38, "SO_PROTOCOL"),
        (1, 39, "SO_DOMAIN"),
        (6, 1, "TCP_NODELAY"),
        (6, 2, "TCP_MAXSEG"),
        (6, 3, "TCP_CORK"),
        (6, 4, "TCP_KEEPIDLE"),
        (6, 5, "TCP_KEEPINTVL"),
        (6, 6, "TCP_KEEPCNT"),
        (6, 9, "TCP_DEFER_ACCEPT"),
        (6, 11, "TCP_INFO"),
        (6, 12, "TCP_QUICKACK"),
        (6, 13, "TCP_CONGESTION"),
        (6, 18, "TCP_USER_TIMEOUT"),
        (6, 23, "TCP_FASTOPEN"),
        (6, 30, "TCP_FASTOPEN_CONNECT"),
        (6, 31, "TCP_ULP"),
        (0, 11, "IP_RECVERR"),
        (41, 26, "IPV6_V6ONLY"),
        (17, 1, "UDP_CORK"),
        (17, 103, "UDP_SEGMENT"),
    ];
    let same =
        |(level, name, _): &&(i32, i32, &str)| (*level, *name) == (option.level, option.name);
    match NAMES.iter().find(same) {
        Some((.., name)) => (*name).to_owned(),
        None => format!("level {} option {}", option.level, option.name),
    }
}

/// The value: as the integers it is made of, as all but a few are.
fn option_value(option: &SocketOption) -> String {
    // SO_ERROR tells an errno; 0 is none.
    if let (1, 4, Some(errno)) = (option.level, option.name, option.value.first_chunk::<4>()) {
        return match i32::from_ne_bytes(*errno) {
            0 => "no error".to_owned(),
            errno => Errno(errno).to_string(),
        };
    }
    let mut words = List::default();
    let (integers, rest) = option.value.as_chunks::<4>();
    integers.iter().for_each(|bytes| words.add(i32::from_ne_bytes(*bytes)));
    rest.iter().for_each(|byte| words.add(byte));
    if integers.len() + rest.len() > 1 { format!("{{{}}}", words.0) } else { words.0 }
}
