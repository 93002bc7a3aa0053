//! One socket of a peer: connecting, bytes on their way out, the end of each side.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use stentor_os::failure::errno_name;

/// What a read gave.
#[derive(Debug)]
pub(super) enum Came {
    /// So many bytes are in the buffer.
    Bytes(usize),
    /// The other's FIN.
    End,
    /// Nothing yet.
    Nothing,
    /// The connection is no more.
    Broken,
}

/// A connection, or an attempt at one.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    pub(super) remote: SocketAddr,
    pub(super) local: Option<SocketAddr>,
    pub(super) connecting: bool,
    /// The other has ended its side, or it broke: there is nothing to read any more.
    pub(super) deaf: bool,
    out: Vec<u8>,
    written: usize,
    /// Our side ends once `out` is written.
    shut: bool,
    shut_done: bool,
}

impl Connection {
    /// Begins to connect; the error is what connect(2) says at once.
    pub(super) fn dial(remote: SocketAddr) -> io::Result<Connection> {
        let socket = Socket::new(Domain::for_address(remote), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&SockAddr::from(remote)) {
            Ok(()) => {}
            // EINPROGRESS: connect(2) goes on without us.
            Err(error) if errno_name(&error).is_some_and(|name| name == "EINPROGRESS") => {}
            Err(error) => return Err(error),
        }
        Ok(Connection::over(socket, remote, true))
    }

    /// A connection that accept(2) gave.
    pub(super) fn accepted(socket: Socket, remote: SocketAddr) -> io::Result<Connection> {
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        let mut connection = Connection::over(socket, remote, false);
        connection.local = connection.address();
        Ok(connection)
    }

    fn over(socket: Socket, remote: SocketAddr, connecting: bool) -> Connection {
        Connection {
            socket,
            remote,
            local: None,
            connecting,
            deaf: false,
            out: Vec::new(),
            written: 0,
            shut: false,
            shut_done: false,
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()?.as_socket()
    }

    /// The attempt has ended: whether with a connection.
    pub(super) fn connected(&mut self) -> io::Result<()> {
        self.connecting = false;
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        self.local = self.address();
        // A free port of this machine that nobody listens on may be the very one that the kernel
        // chose for us: then the socket is connected to itself (RFC 9293, section 3.5).
        if self.local == Some(self.remote) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(())
    }

    /// Adds bytes behind those on their way.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Ends our side behind the last byte.
    pub(super) fn shut(&mut self) {
        self.shut = true;
    }

    /// Whether something waits to be written.
    pub(super) fn owes(&self) -> bool {
        self.written < self.out.len() || (self.shut && !self.shut_done)
    }

    /// Writes what the kernel takes; `true` if bytes were owed and none is any more.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        let owed = self.written < self.out.len();
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match (&self.socket).write(rest) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        if self.shut && !self.shut_done {
            self.shut_done = true;
            // The other may have gone before: what it wanted to hear it has heard.
            let _ = self.socket.shutdown(Shutdown::Write);
        }
        Ok(owed)
    }

    /// Reads once.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Came {
        match (&self.socket).read(buffer) {
            Ok(0) => {
                self.deaf = true;
                Came::End
            }
            Ok(count) => Came::Bytes(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Came::Nothing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Came::Nothing,
            Err(_) => {
                self.deaf = true;
                Came::Broken
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
