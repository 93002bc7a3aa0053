//! The socket calls of the lessons: each made once, recorded, shown with its outcome.
//!
//! Every socket made here waits at most three seconds (SO_RCVTIMEO, SO_SNDTIMEO), so that a
//! lesson ends whatever happens; that is the one thing done that is not shown.

use std::io::{self, Read};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use stentor_core::timeline::{What, excerpt};
use stentor_os::failure::{Failure, errno_name};
use stentor_os::net::poll;
use stentor_os::net::whole::{self, Datagram};

use super::stage::{Stage, now};

/// The longest any call of a lesson waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// The transports of the lecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// A stream of bytes.
    Tcp,
    /// Datagrams.
    Udp,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        }
    }
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// POLLIN.
    Read,
    /// POLLOUT.
    Write,
}

/// A socket and who holds it.
#[derive(Debug)]
pub(super) struct Door {
    who: &'static str,
    transport: Transport,
    socket: Socket,
}

impl Door {
    /// Who holds it.
    pub(super) fn who(&self) -> &'static str {
        self.who
    }

    /// The descriptor's number.
    pub(super) fn number(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Its own address; 0.0.0.0:0 while it has none.
    pub(super) fn local(&self) -> SocketAddr {
        let none = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        self.socket.local_addr().ok().and_then(|address| address.as_socket()).unwrap_or(none)
    }

    /// The other end's address, if it is connected.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.socket.peer_addr().ok().and_then(|address| address.as_socket())
    }

    /// The option itself, for what the lessons do not show as a call.
    pub(super) fn options(&self) -> &Socket {
        &self.socket
    }

    fn about(&self, address: SocketAddr) -> String {
        format!("{} {address}", self.transport.name())
    }

    /// What a failure of this socket is about: the other end, or its own address.
    fn end(&self) -> String {
        self.about(self.peer().unwrap_or_else(|| self.local()))
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Any free port of 127.0.0.1.
pub(super) fn anywhere() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

impl Stage<'_> {
    /// socket(2), over IPv4.
    pub(super) fn socket(
        &mut self,
        who: &'static str,
        transport: Transport,
    ) -> Result<Door, Failure> {
        self.socket_over(Domain::IPV4, who, transport)
    }

    /// socket(2), over IPv4 or IPv6.
    pub(super) fn socket_over(
        &mut self,
        domain: Domain,
        who: &'static str,
        transport: Transport,
    ) -> Result<Door, Failure> {
        let family = if domain == Domain::IPV6 { "AF_INET6" } else { "AF_INET" };
        let (kind, protocol, name) = match transport {
            Transport::Tcp => (Type::STREAM, Protocol::TCP, "SOCK_STREAM"),
            Transport::Udp => (Type::DGRAM, Protocol::UDP, "SOCK_DGRAM"),
        };
        let shown = format!("{family}, {name}");
        let made = Socket::new(domain, kind, Some(protocol)).and_then(patient);
        let number = |socket: &Socket| socket.as_raw_fd().to_string();
        let socket = self.call(who, "socket", shown, transport.name(), made, number)?;
        Ok(Door { who, transport, socket })
    }

    /// bind(2).
    pub(super) fn bind(&mut self, door: &Door, address: SocketAddr) -> Result<(), Failure> {
        let bound = door.socket.bind(&SockAddr::from(address));
        let given = format!("{}, {address}", door.number());
        self.call(door.who, "bind", given, door.about(address), bound, zero)
    }

    /// listen(2).
    pub(super) fn listen(&mut self, door: &Door, backlog: i32) -> Result<(), Failure> {
        let listening = door.socket.listen(backlog);
        let given = format!("{}, {backlog}", door.number());
        self.call(door.who, "listen", given, door.end(), listening, zero)
    }

    /// A listening TCP socket on a free port of 127.0.0.1.
    pub(super) fn listening(&mut self, backlog: i32) -> Result<Door, Failure> {
        let door = self.socket("server", Transport::Tcp)?;
        self.bind(&door, anywhere())?;
        self.listen(&door, backlog)?;
        Ok(door)
    }

    /// What TCP sends for a call of this end, for the picture.
    fn witness_signal(&mut self, door: &Door, signal: &str) {
        if door.transport == Transport::Tcp {
            self.witness_event(door.who, What::Signal(signal.to_owned()));
        }
    }

    /// connect(2).
    pub(super) fn connect(&mut self, door: &Door, address: SocketAddr) -> Result<(), Failure> {
        self.witness_signal(door, "SYN");
        let connected = door.socket.connect(&SockAddr::from(address));
        let given = format!("{}, {address}", door.number());
        self.call(door.who, "connect", given, door.about(address), connected, zero)
    }

    /// A new TCP socket of `who`, connected to `address`.
    pub(super) fn connected(
        &mut self,
        who: &'static str,
        address: SocketAddr,
    ) -> Result<Door, Failure> {
        let door = self.socket(who, Transport::Tcp)?;
        self.connect(&door, address)?;
        Ok(door)
    }

    /// accept(2): the new socket.
    pub(super) fn accept(&mut self, door: &Door) -> Result<Door, Failure> {
        let accepted = door
            .socket
            .accept()
            .and_then(|(socket, peer)| patient(socket).map(|socket| (socket, peer.as_socket())));
        let outcome = |(socket, peer): &(Socket, Option<SocketAddr>)| match peer {
            Some(peer) => format!("{}, {peer}", socket.as_raw_fd()),
            None => socket.as_raw_fd().to_string(),
        };
        let given = door.number().to_string();
        let accepted = self.call(door.who, "accept", given, door.end(), accepted, outcome)?;
        Ok(Door { who: door.who, transport: door.transport, socket: accepted.0 })
    }

    /// send(2): how many bytes the kernel took.
    pub(super) fn send(&mut self, door: &Door, bytes: &[u8]) -> Result<usize, Failure> {
        let at = now();
        let sent = door.socket.send(bytes);
        if let Ok(taken) = sent {
            self.witness_data(at, door.who, bytes.get(..taken).unwrap_or(bytes));
        }
        let given = format!("{}, {}", door.number(), quoted(bytes));
        self.call(door.who, "send", given, door.end(), sent, usize::to_string)
    }

    /// sendto(2).
    pub(super) fn send_to(
        &mut self,
        door: &Door,
        bytes: &[u8],
        address: SocketAddr,
    ) -> Result<usize, Failure> {
        let at = now();
        let sent = door.socket.send_to(bytes, &SockAddr::from(address));
        if sent.is_ok() {
            self.witness_data(at, door.who, bytes);
        }
        let given = format!("{}, {}, {address}", door.number(), quoted(bytes));
        self.call(door.who, "sendto", given, door.about(address), sent, usize::to_string)
    }

    /// recv(2) of at most `room` bytes; none: the other end has ended its stream.
    pub(super) fn recv(&mut self, door: &Door, room: usize) -> Result<Vec<u8>, Failure> {
        let mut bytes = vec![0; room];
        let received = (&door.socket).read(&mut bytes);
        if let Ok(count) = received {
            bytes.truncate(count);
        }
        let given = format!("{}, {room}", door.number());
        let outcome = |count: &usize| match count {
            0 => "0".to_owned(),
            count => format!("{count} {}", quoted(&bytes)),
        };
        self.call(door.who, "recv", given, door.end(), received, outcome)?;
        Ok(bytes)
    }

    /// recv(2) of at most 1024 bytes each time, until `length` have come or the stream has ended.
    pub(super) fn recv_all(&mut self, door: &Door, length: usize) -> Result<Vec<u8>, Failure> {
        let mut all = Vec::new();
        while all.len() < length {
            let part = self.recv(door, 1024)?;
            if part.is_empty() {
                break;
            }
            all.extend(part);
        }
        Ok(all)
    }

    /// recvfrom(2) of one datagram, of which at most `room` bytes are kept.
    pub(super) fn recv_from(
        &mut self,
        door: &Door,
        room: usize,
    ) -> Result<(Vec<u8>, Datagram), Failure> {
        let mut bytes = vec![0; room];
        let received = whole::datagram(door, &mut bytes);
        if let Ok(datagram) = &received {
            bytes.truncate(datagram.stored);
        }
        let given = format!("{}, {room}", door.number());
        let outcome = |datagram: &Datagram| {
            let from = datagram.source.map(|source| format!(" {source}"));
            format!("{} {}{}", datagram.stored, quoted(&bytes), from.unwrap_or_default())
        };
        let datagram = self.call(door.who, "recvfrom", given, door.end(), received, outcome)?;
        Ok((bytes, datagram))
    }

    /// shutdown(2) of the sending half: our FIN.
    pub(super) fn shut_down(&mut self, door: &Door) -> Result<(), Failure> {
        self.witness_signal(door, "FIN");
        let shut = door.socket.shutdown(Shutdown::Write);
        let given = format!("{}, SHUT_WR", door.number());
        self.call(door.who, "shutdown", given, door.end(), shut, zero)
    }

    /// close(2).
    pub(super) fn close(&mut self, door: Door) -> Result<(), Failure> {
        let (number, about, who) = (door.number().to_string(), door.end(), door.who);
        if door.peer().is_some() {
            self.witness_signal(&door, "FIN");
        }
        drop(door);
        self.call(who, "close", number, about, Ok(()), zero)
    }

    /// fcntl(2) with O_NONBLOCK.
    pub(super) fn nonblocking(&mut self, door: &Door) -> Result<(), Failure> {
        let set = door.socket.set_nonblocking(true);
        let given = format!("{}, F_SETFL, O_NONBLOCK", door.number());
        self.call(door.who, "fcntl", given, door.end(), set, zero)
    }

    /// setsockopt(2) with SO_REUSEADDR.
    pub(super) fn reuse_address(&mut self, door: &Door) -> Result<(), Failure> {
        let set = door.socket.set_reuse_address(true);
        let given = format!("{}, SO_REUSEADDR, 1", door.number());
        self.call(door.who, "setsockopt", given, door.end(), set, zero)
    }

    /// poll(2) on one socket for at most `limit`: whether it became ready (or broke).
    pub(super) fn poll(
        &mut self,
        door: &Door,
        interest: Interest,
        limit: Duration,
    ) -> Result<bool, Failure> {
        let ready = ready(door, interest, limit);
        let wanted = match interest {
            Interest::Read => "POLLIN",
            Interest::Write => "POLLOUT",
        };
        let given = format!("{}, {wanted}, {} ms", door.number(), limit.as_millis());
        let outcome = |ready: &bool| match ready {
            true => format!("1, {wanted}"),
            false => "0, time ran out".to_owned(),
        };
        self.call(door.who, "poll", given, door.end(), ready, outcome)
    }
}

/// Waits at most `limit` until `door` is ready, without showing it.
pub(super) fn ready(door: impl AsFd, interest: Interest, limit: Duration) -> io::Result<bool> {
    let (read, write) = (interest == Interest::Read, interest == Interest::Write);
    let mut watch = [poll::Watch::new(door.as_fd(), read, write)];
    poll::wait(&mut watch, Some(limit))?;
    let [watch] = watch;
    Ok(watch.readable || watch.writable)
}

/// Whether `result` is a refusal with this errno.
pub(super) fn refused_with<T>(result: &Result<T, Failure>, errno: &str) -> bool {
    match result {
        Ok(_) => false,
        Err(failure) => errno_name(&failure.error).as_deref() == Some(errno),
    }
}

/// How a call ended, as evidence: the errno's name, or that it succeeded.
pub(super) fn ending<T>(result: &Result<T, Failure>) -> String {
    match result {
        Ok(_) => "it succeeded".to_owned(),
        Err(failure) => errno_name(&failure.error).unwrap_or_else(|| failure.error.to_string()),
    }
}

/// Sets the limits that end every lesson.
fn patient(socket: Socket) -> io::Result<Socket> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn zero((): &()) -> String {
    "0".to_owned()
}

/// The beginning of some bytes in quotation marks, as strace shows them.
pub(super) fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", excerpt(bytes))
}
