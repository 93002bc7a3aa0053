//! One thread on mio, edge-triggered: what a careful program makes of the readiness loop that
//! stentor is built on. One buffer for all; a connection owns memory only while it is owed bytes.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);
const BUFFER: usize = 256 * 1024;

struct Connection {
    stream: TcpStream,
    owed: Vec<u8>,
}

fn main() -> io::Result<()> {
    let mut poll = Poll::new()?;
    let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(socket);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("The server is ready to receive on port {}", listener.local_addr()?.port());
    let (mut events, mut buffer) = (Events::with_capacity(512), vec![0; BUFFER]);
    let (mut connections, mut free): (Vec<Option<Connection>>, Vec<usize>) = Default::default();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let _ = stream.set_nodelay(true);
                    let place = free.pop().unwrap_or(connections.len());
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(place), both)?;
                    let connection = Some(Connection { stream, owed: Vec::new() });
                    match connections.get_mut(place) {
                        Some(slot) => *slot = connection,
                        None => connections.push(connection),
                    }
                }
                continue;
            }
            let place = event.token().0;
            let Some(slot) = connections.get_mut(place) else { continue };
            let Some(connection) = slot else { continue };
            if advance(connection, &mut buffer, event.is_read_closed()).is_err() {
                *slot = None;
                free.push(place);
            }
        }
    }
}

/// Writes what is owed, then reads and answers until the kernel has no more; an error at the end.
fn advance(connection: &mut Connection, buffer: &mut [u8], ended: bool) -> io::Result<()> {
    loop {
        while !connection.owed.is_empty() {
            match connection.stream.write(&connection.owed) {
                Ok(sent) => drop(connection.owed.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        connection.owed = Vec::new();
        let count = match connection.stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let full = count == buffer.len();
        let answer = &mut buffer[..count];
        answer.make_ascii_uppercase();
        let sent = match connection.stream.write(answer) {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        connection.owed.extend_from_slice(&answer[sent..]);
        // A read that did not fill the buffer has emptied the socket, unless the end came with it.
        if connection.owed.is_empty() && !full && !ended {
            return Ok(());
        }
    }
}
