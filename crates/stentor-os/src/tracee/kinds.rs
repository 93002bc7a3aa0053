//! Which calls stop, what they are called, and what their arguments are (syscalls(2)).

use libc::c_long;

use super::filter::Rules;

/// What a call does, as far as its arguments are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Socket,
    SocketPair,
    Bind,
    Connect,
    Listen,
    Accept,
    /// sendto, and recvfrom: buffer, length, flags, address.
    SendTo,
    ReceiveFrom,
    /// A msghdr.
    SendMessage,
    ReceiveMessage,
    /// Several.
    SendMessages,
    ReceiveMessages,
    /// One buffer, or several, with neither flags nor address.
    Write,
    Read,
    WriteVector,
    ReadVector,
    /// From another descriptor, without a buffer; the socket may be at either end of splice.
    SendFile,
    Splice,
    Shutdown,
    Close,
    CloseRange,
    Duplicate,
    DuplicateTo,
    Control,
    Ioctl,
    LocalName,
    PeerName,
    SetOption,
    GetOption,
    Poll,
    Select,
    EpollControl,
    EpollWait,
    IoUring,
    /// A call the kernel takes up again by itself (restart_syscall(2)).
    Restart,
}

pub(super) struct Entry {
    number: c_long,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

const fn entry(number: c_long, name: &'static str, kind: Kind) -> Entry {
    Entry { number, name, kind }
}

/// The calls on every architecture.
const CALLS: &[Entry] = &[
    entry(libc::SYS_read, "read", Kind::Read),
    entry(libc::SYS_write, "write", Kind::Write),
    entry(libc::SYS_sendto, "sendto", Kind::SendTo),
    entry(libc::SYS_recvfrom, "recvfrom", Kind::ReceiveFrom),
    entry(libc::SYS_sendmsg, "sendmsg", Kind::SendMessage),
    entry(libc::SYS_recvmsg, "recvmsg", Kind::ReceiveMessage),
    entry(libc::SYS_readv, "readv", Kind::ReadVector),
    entry(libc::SYS_writev, "writev", Kind::WriteVector),
    entry(libc::SYS_sendmmsg, "sendmmsg", Kind::SendMessages),
    entry(libc::SYS_recvmmsg, "recvmmsg", Kind::ReceiveMessages),
    entry(libc::SYS_sendfile, "sendfile", Kind::SendFile),
    entry(libc::SYS_splice, "splice", Kind::Splice),
    entry(libc::SYS_socket, "socket", Kind::Socket),
    entry(libc::SYS_socketpair, "socketpair", Kind::SocketPair),
    entry(libc::SYS_bind, "bind", Kind::Bind),
    entry(libc::SYS_connect, "connect", Kind::Connect),
    entry(libc::SYS_listen, "listen", Kind::Listen),
    entry(libc::SYS_accept, "accept", Kind::Accept),
    entry(libc::SYS_accept4, "accept4", Kind::Accept),
    entry(libc::SYS_shutdown, "shutdown", Kind::Shutdown),
    entry(libc::SYS_close, "close", Kind::Close),
    entry(libc::SYS_close_range, "close_range", Kind::CloseRange),
    entry(libc::SYS_dup, "dup", Kind::Duplicate),
    entry(libc::SYS_dup3, "dup3", Kind::DuplicateTo),
    entry(libc::SYS_getsockname, "getsockname", Kind::LocalName),
    entry(libc::SYS_getpeername, "getpeername", Kind::PeerName),
    entry(libc::SYS_setsockopt, "setsockopt", Kind::SetOption),
    entry(libc::SYS_getsockopt, "getsockopt", Kind::GetOption),
    #[cfg(target_arch = "x86_64")]
    entry(libc::SYS_dup2, "dup2", Kind::DuplicateTo),
];

/// asm-generic/ioctls.h; the type of libc's constants differs between C libraries.
const FIONBIO: c_long = 0x5421;
const FIONREAD: c_long = 0x541b;
const TIOCOUTQ: c_long = 0x5411;

/// Calls that stop for some values of their second argument only.
const SOME: &[(Entry, &[c_long])] = &[
    (
        entry(libc::SYS_fcntl, "fcntl", Kind::Control),
        &[libc::F_DUPFD as c_long, libc::F_DUPFD_CLOEXEC as c_long, libc::F_SETFL as c_long],
    ),
    (entry(libc::SYS_ioctl, "ioctl", Kind::Ioctl), &[FIONBIO, FIONREAD, TIOCOUTQ]),
];

/// Calls that wait for several descriptors.
const WAITING: &[Entry] = &[
    entry(libc::SYS_ppoll, "ppoll", Kind::Poll),
    entry(libc::SYS_pselect6, "pselect6", Kind::Select),
    entry(libc::SYS_epoll_ctl, "epoll_ctl", Kind::EpollControl),
    entry(libc::SYS_epoll_pwait, "epoll_pwait", Kind::EpollWait),
    entry(libc::SYS_epoll_pwait2, "epoll_pwait2", Kind::EpollWait),
    entry(libc::SYS_restart_syscall, "restart_syscall", Kind::Restart),
    #[cfg(target_arch = "x86_64")]
    entry(libc::SYS_poll, "poll", Kind::Poll),
    #[cfg(target_arch = "x86_64")]
    entry(libc::SYS_select, "select", Kind::Select),
    #[cfg(target_arch = "x86_64")]
    entry(libc::SYS_epoll_wait, "epoll_wait", Kind::EpollWait),
];

const IO_URING: Entry = entry(libc::SYS_io_uring_setup, "io_uring_setup", Kind::IoUring);

/// The calls by number: what one run traces.
pub(super) struct Table {
    known: Vec<Option<&'static Entry>>,
    rules: Rules,
}

impl Table {
    pub(super) fn new(waiting: bool, io_uring: bool) -> Table {
        let mut rules = Rules { stop: vec![], stop_if: vec![], refuse: vec![] };
        let mut known = Vec::new();
        let mut add = |entry: &'static Entry| -> u32 {
            let number = usize::try_from(entry.number).unwrap_or(0);
            if known.len() <= number {
                known.resize_with(number + 1, || None);
            }
            if let Some(place) = known.get_mut(number) {
                *place = Some(entry);
            }
            u32::try_from(number).unwrap_or(0)
        };
        for entry in CALLS {
            rules.stop.push(add(entry));
        }
        if waiting {
            rules.stop.extend(WAITING.iter().map(&mut add));
        }
        for (entry, values) in SOME {
            let values = values.iter().filter_map(|value| u32::try_from(*value).ok()).collect();
            rules.stop_if.push((add(entry), values));
        }
        let uring = add(&IO_URING);
        // Where the tracer can refuse it, it stops, so that it is told of.
        if io_uring || cfg!(target_arch = "x86_64") {
            rules.stop.push(uring);
        } else {
            // Programs fall back to epoll; its operations would cause no stop.
            rules.refuse.push((uring, u16::try_from(libc::ENOSYS).unwrap_or(38)));
        }
        Table { known, rules }
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The call of this number, if it is traced with this second argument.
    pub(super) fn find(&self, number: u64, second: u64) -> Option<&'static Entry> {
        let place = usize::try_from(number).ok()?;
        let entry = (*self.known.get(place)?)?;
        let some = SOME.iter().find(|(known, _)| known.number == entry.number);
        let low = c_long::try_from(second & 0xffff_ffff).ok()?;
        match some {
            Some((_, values)) => values.contains(&low).then_some(entry),
            None => Some(entry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_by_its_number_and_second_argument() {
        let table = Table::new(true, false);
        let number = |number: c_long| u64::try_from(number).unwrap();
        assert_eq!(table.find(number(libc::SYS_connect), 0).unwrap().name, "connect");
        assert!(table.find(number(libc::SYS_openat), 0).is_none());
        assert!(table.find(number(libc::SYS_ioctl), 0x5421).is_some());
        assert!(table.find(number(libc::SYS_ioctl), 0x5401).is_none());
        assert!(table.find(u64::MAX, 0).is_none());
        assert!(Table::new(false, false).find(number(libc::SYS_ppoll), 0).is_none());
        assert!(super::super::filter::assemble(table.rules()).is_ok());
    }
}
