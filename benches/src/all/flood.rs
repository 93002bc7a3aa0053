//! The clients of datagrams: plain ones, each sent by itself, and bursts that the kernel cuts up
//! (UDP_SEGMENT, udp(7)). Every datagram differs from every other, every answer is compared.
//!
//! As many are under way as fit a socket's buffer, so that none is lost unless a server loses it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use nix::sys::socket::{setsockopt, sockopt};

use super::meter::Meter;

/// Sockets that ask, in turn.
const SOCKETS: usize = 4;
/// Plain datagrams under way of each socket.
const WINDOW: usize = 32;
/// Segments of a burst at most (UDP_MAX_SEGMENTS of most kernels), and its bytes.
const SEGMENTS: usize = 64;
const BURST: usize = 65_000;
/// Without an answer for so long, what is under way is lost.
const LOST: Duration = Duration::from_millis(100);
/// Letters of each datagram that number it.
const NUMBER: usize = 7;

/// How datagrams are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sending {
    /// One by one, of 32 bytes.
    Plain,
    /// In bursts of datagrams of so many bytes.
    Burst(usize),
}

/// A socket and what is under way on it: a row of datagrams that are sent and checked in order.
struct Asker {
    socket: UdpSocket,
    asked: Vec<u8>,
    due: Vec<u8>,
    /// Bytes of the row that have been answered, and that have been sent.
    come: usize,
    sent: usize,
    number: u64,
}

struct Flood<'a> {
    length: usize,
    burst: bool,
    meter: &'a mut Meter,
    askers: Vec<Asker>,
    buffer: Vec<u8>,
    done: u64,
}

/// Asks until the meter says that it is enough.
///
/// # Errors
/// A wrong answer, or nothing but losses.
pub(crate) fn drive(
    address: SocketAddr,
    sending: Sending,
    meter: &mut Meter,
) -> Result<(), String> {
    let failed = |error: io::Error| format!("the client's loop: {error}");
    let (length, count, burst) = match sending {
        Sending::Plain => (32, WINDOW, false),
        Sending::Burst(length) => (length, SEGMENTS.min(BURST / length), true),
    };
    let mut poll = Poll::new().map_err(failed)?;
    let mut askers = Vec::with_capacity(SOCKETS);
    for token in 0..SOCKETS {
        let mut socket = open(address, burst.then_some(length)).map_err(failed)?;
        poll.registry().register(&mut socket, Token(token), Interest::READABLE).map_err(failed)?;
        askers.push(Asker::new(socket, token, length, count));
    }
    let mut flood = Flood { length, burst, meter, askers, buffer: vec![0; 1 << 16], done: 0 };
    (0..SOCKETS).try_for_each(|token| flood.ask(token))?;
    let mut events = Events::with_capacity(SOCKETS);
    let mut silences = 0;
    while flood.askers.iter().any(|asker| asker.come < asker.sent) {
        match poll.poll(&mut events, Some(LOST)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other.map_err(failed)?,
        }
        silences = if events.is_empty() { silences + 1 } else { 0 };
        if silences > 20 {
            return Err("no datagram is answered any more".to_owned());
        }
        if events.is_empty() {
            flood.give_up()?;
        }
        for event in &events {
            flood.hear(event.token().0)?;
        }
        flood.meter.turn(flood.done)?;
    }
    Ok(())
}

fn open(address: SocketAddr, segment: Option<usize>) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    // As much as the system allows anybody (net.core.rmem_max): a burst comes back at once.
    setsockopt(&socket.as_fd(), sockopt::RcvBuf, &(1 << 22))?;
    if let Some(length) = segment {
        let length = i32::try_from(length).unwrap_or(i32::MAX);
        setsockopt(&socket.as_fd(), sockopt::UdpGsoSegment, &length)?;
        setsockopt(&socket.as_fd(), sockopt::UdpGroSegment, &true)?;
    }
    socket.connect(address)?;
    socket.set_nonblocking(true)?;
    Ok(UdpSocket::from_std(socket))
}

impl Asker {
    fn new(socket: UdpSocket, token: usize, length: usize, count: usize) -> Asker {
        let mut asked = Vec::with_capacity(length * count);
        for place in 0..count {
            let head = format!("{}n{place:02}s{token} ", "a".repeat(NUMBER));
            let body = b"stentor calls across the water ".iter().copied().cycle();
            asked.extend(head.bytes().chain(body).take(length));
        }
        let due = asked.to_ascii_uppercase();
        Asker { socket, asked, due, come: 0, sent: 0, number: 0 }
    }

    /// Makes every datagram of the row one that was never sent before.
    fn renew(&mut self, length: usize) {
        self.number += 1;
        let mut rest = self.number;
        let letters: [u8; NUMBER] = std::array::from_fn(|_| {
            let letter = b'a' + u8::try_from(rest % 26).unwrap_or_default();
            rest /= 26;
            letter
        });
        let capitals = letters.map(|letter| letter.to_ascii_uppercase());
        for (row, number) in [(&mut self.asked, letters), (&mut self.due, capitals)] {
            for datagram in row.chunks_exact_mut(length) {
                if let Some(place) = datagram.get_mut(..NUMBER) {
                    place.copy_from_slice(&number);
                }
            }
        }
        (self.come, self.sent) = (0, 0);
    }

    /// Bytes of the row that are missing before what has come.
    fn lost_before(&self, come: &[u8], length: usize) -> Result<usize, String> {
        let due = self.due.get(self.come..self.sent).unwrap_or_default();
        let whole = !come.is_empty() && come.len().is_multiple_of(length);
        let ways = (0..due.len()).step_by(length);
        let fits = |from: &usize| due.get(*from..).is_some_and(|due| due.starts_with(come));
        ways.into_iter().find(fits).filter(|_| whole).ok_or_else(|| {
            let head =
                |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(40).collect::<String>();
            format!("a wrong answer: {:?} where {:?} is due", head(come), head(due))
        })
    }
}

impl Flood<'_> {
    /// Sends a new row, once the last one is answered.
    fn ask(&mut self, token: usize) -> Result<(), String> {
        let Some(asker) = self.askers.get_mut(token) else { return Ok(()) };
        asker.renew(self.length);
        if !self.meter.allows((asker.asked.len() / self.length) as u64) {
            return Ok(());
        }
        let each = if self.burst { asker.asked.len() } else { self.length };
        for datagrams in asker.asked.chunks(each) {
            match asker.socket.send(datagrams) {
                Ok(count) => asker.sent += count,
                Err(error) => return Err(format!("send: {error}")),
            }
        }
        Ok(())
    }

    fn hear(&mut self, token: usize) -> Result<(), String> {
        loop {
            let Some(asker) = self.askers.get_mut(token) else { return Ok(()) };
            let count = match asker.socket.recv(&mut self.buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("receive: {error}")),
            };
            let come = self.buffer.get(..count).unwrap_or_default();
            if asker.due.get(..NUMBER) != come.get(..NUMBER) && self.meter.lost > 0 {
                // Of a row that was given up: late, not wrong.
                continue;
            }
            let lost = asker.lost_before(come, self.length)?;
            self.meter.lost += (lost / self.length) as u64;
            asker.come += lost;
            if !self.burst && count != self.length {
                return Err(format!("{count} bytes in one datagram of {}", self.length));
            }
            asker.come += count;
            self.done += (count / self.length) as u64;
            if asker.come == asker.sent {
                self.ask(token)?;
            }
        }
    }

    /// Counts what is under way as lost and asks anew.
    fn give_up(&mut self) -> Result<(), String> {
        for token in 0..self.askers.len() {
            let Some(asker) = self.askers.get(token) else { continue };
            if asker.come < asker.sent {
                self.meter.lost += ((asker.sent - asker.come) / self.length) as u64;
                self.ask(token)?;
            }
        }
        Ok(())
    }
}
