//! The client of new connections: each connects, asks one line, checks the answer and leaves;
//! some at a time, on one thread.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Socket, Type};

use super::meter::Meter;
use super::script::{LINE, Script};
use crate::client::PATIENCE;

/// Under way at the same time.
const AT_ONCE: usize = 16;
/// Addresses of loopback that clients come from, in turn: of one alone the ports would run out,
/// as each stays in TIME_WAIT for a while.
const SOURCES: u64 = 64;

/// Connects again and again until the meter says that it is enough.
///
/// # Errors
/// A wrong answer, a connection that fails, or no answer for [`PATIENCE`].
pub(crate) fn drive(address: SocketAddr, script: &Script, meter: &mut Meter) -> Result<(), String> {
    let failed = |error: io::Error| format!("the client's loop: {error}");
    let mut poll = Poll::new().map_err(failed)?;
    let mut clients: Vec<Option<(TcpStream, usize)>> = (0..AT_ONCE).map(|_| None).collect();
    let (mut begun, mut done) = (0_u64, 0_u64);
    let mut events = Events::with_capacity(AT_ONCE);
    let mut buffer = [0; 2 * LINE];
    loop {
        for (number, slot) in clients.iter_mut().enumerate() {
            if slot.is_none() && meter.allows(1) {
                let place = usize::try_from(begun % 1000).unwrap_or_default();
                let mut stream = connect(address, begun)?;
                poll.registry()
                    .register(&mut stream, Token(number), Interest::READABLE)
                    .map_err(failed)?;
                let sent = stream.write(script.questions(place, 1));
                sent.map_err(|error| format!("send: {error}"))?;
                *slot = Some((stream, place));
                begun += 1;
            }
        }
        if begun == done {
            return Ok(());
        }
        match poll.poll(&mut events, Some(PATIENCE)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other.map_err(failed)?,
        }
        if events.is_empty() {
            return Err(format!("no answer for {PATIENCE:?}"));
        }
        for event in &events {
            let Some(slot) = clients.get_mut(event.token().0) else { continue };
            let Some((stream, place)) = slot else { continue };
            // An answer of 32 bytes comes in one piece, as every server here sends it.
            match stream.read(&mut buffer) {
                Ok(count) if buffer.get(..count) == Some(script.answers(*place, 1)) => {}
                Ok(count) => {
                    let come = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
                    return Err(format!("a wrong answer: {come:?}"));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(format!("receive: {error}")),
            }
            // Dropped: closed, before the server closes.
            *slot = None;
            done += 1;
        }
        meter.turn(done)?;
    }
}

/// Connects from the next address; over loopback that is done at once, unless the server's queue
/// is full.
fn connect(address: SocketAddr, number: u64) -> Result<TcpStream, String> {
    let last = u8::try_from(number % SOURCES).unwrap_or_default() + 2;
    let source = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
    let open = || -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        // The port is chosen by connect(2), which may use one twice for two destinations.
        setsockopt(&socket.as_fd(), sockopt::IpBindAddressNoPort, &true)?;
        socket.bind(&source.into())?;
        socket.connect(&address.into())?;
        socket.set_nonblocking(true)?;
        Ok(TcpStream::from_std(socket.into()))
    };
    open().map_err(|error| format!("connect {address} from {source}: {error}"))
}
