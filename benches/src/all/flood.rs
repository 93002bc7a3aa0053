//! The clients of datagrams: plain ones, each sent by itself, and bursts that the kernel cuts up
//! (UDP_SEGMENT, udp(7)). Every datagram differs from every other, every answer is compared.
//!
//! As many are under way as fit a socket's buffer, so that none is lost unless a server loses it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use nix::sys::socket::{setsockopt, sockopt};

use super::meter::Meter;

/// Sockets that ask, in turn.
const SOCKETS: usize = 4;
/// Plain datagrams under way of each socket; all of them fit the default receive buffer.
const WINDOW: usize = 48;
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

/// A socket and what is under way on it: a ring of datagrams and of their answers, which come in
/// order.
struct Asker {
    socket: UdpSocket,
    length: usize,
    asked: Vec<u8>,
    due: Vec<u8>,
    /// How many were sent, and the number of the next to be answered.
    sent: u64,
    next: u64,
    /// When something was last sent or answered.
    moved: Instant,
}

/// What has come, beside what is due.
enum Come {
    /// The answer that is due, after so many that never came.
    After(u64),
    /// Of what was given up.
    Late,
}

struct Flood<'a> {
    burst: bool,
    meter: &'a mut Meter,
    askers: Vec<Asker>,
    buffer: Vec<u8>,
    done: u64,
    /// The time of this turn of the loop.
    now: Instant,
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
        askers.push(Asker::new(socket, length, count));
    }
    let (buffer, now) = (vec![0; 1 << 16], Instant::now());
    let mut flood = Flood { burst, meter, askers, buffer, done: 0, now };
    (0..SOCKETS).try_for_each(|token| flood.ask(token))?;
    let mut events = Events::with_capacity(SOCKETS);
    let mut silences = 0;
    while flood.askers.iter().any(|asker| asker.next < asker.sent) {
        match poll.poll(&mut events, Some(LOST)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other.map_err(failed)?,
        }
        silences = if events.is_empty() { silences + 1 } else { 0 };
        if silences > 20 {
            return Err("no datagram is answered any more".to_owned());
        }
        flood.now = Instant::now();
        for event in &events {
            flood.hear(event.token().0)?;
        }
        flood.give_up()?;
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
    fn new(socket: UdpSocket, length: usize, count: usize) -> Asker {
        let body = b"stentor calls across the water ".iter().copied().cycle();
        let asked: Vec<u8> = body.take(length).collect::<Vec<u8>>().repeat(count);
        let due = asked.to_ascii_uppercase();
        Asker { socket, length, asked, due, sent: 0, next: 0, moved: Instant::now() }
    }

    fn count(&self) -> u64 {
        (self.asked.len() / self.length) as u64
    }

    /// Where a datagram of this number lies in the ring.
    fn place(&self, number: u64) -> usize {
        usize::try_from(number % self.count()).unwrap_or_default() * self.length
    }

    /// Gives the datagram at a place its number, as no other was ever sent with.
    fn number(&mut self, number: u64) {
        let place = self.place(number);
        let mut rest = number;
        let letters: [u8; NUMBER] = std::array::from_fn(|_| {
            let letter = b'a' + u8::try_from(rest % 26).unwrap_or_default();
            rest /= 26;
            letter
        });
        let capitals = letters.map(|letter| letter.to_ascii_uppercase());
        for (ring, number) in [(&mut self.asked, letters), (&mut self.due, capitals)] {
            if let Some(place) = ring.get_mut(place..place + NUMBER) {
                place.copy_from_slice(&number);
            }
        }
    }

    /// Sends one call's worth: a burst of the whole ring, or one datagram.
    fn send(&mut self, count: u64) -> Result<(), String> {
        (self.sent..self.sent + count).for_each(|number| self.number(number));
        let from = self.place(self.sent);
        let length = usize::try_from(count).unwrap_or_default() * self.length;
        let datagrams = self.asked.get(from..from + length).unwrap_or_default();
        self.socket.send(datagrams).map_err(|error| format!("send: {error}"))?;
        self.sent += count;
        Ok(())
    }

    /// Finds what has come, one datagram or several in a row, among what is under way.
    fn find(&self, come: &[u8]) -> Result<Come, String> {
        let whole = !come.is_empty() && come.len().is_multiple_of(self.length);
        let fits = |number: &u64| {
            let due = self.due.get(self.place(*number)..).unwrap_or_default();
            whole && due.starts_with(come)
        };
        if let Some(number) = (self.next..self.sent).find(fits) {
            return Ok(Come::After(number - self.next));
        }
        let letters = come.iter().take(NUMBER).rev();
        let number = letters.fold(0, |sum, &c| sum * 26 + u64::from(c.wrapping_sub(b'A')));
        if whole && number < self.next {
            return Ok(Come::Late);
        }
        let head =
            |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(40).collect::<String>();
        let due = self.due.get(self.place(self.next)..).unwrap_or_default();
        Err(format!("a wrong answer: {:?} where {:?} is due", head(come), head(due)))
    }
}

impl Flood<'_> {
    /// Sends as much as may be under way.
    fn ask(&mut self, token: usize) -> Result<(), String> {
        let Some(asker) = self.askers.get_mut(token) else { return Ok(()) };
        let each = if self.burst { asker.count() } else { 1 };
        while asker.sent - asker.next + each <= asker.count() && self.meter.allows(each) {
            asker.send(each)?;
            asker.moved = self.now;
        }
        Ok(())
    }

    /// Takes everything that has come to a socket.
    fn hear(&mut self, token: usize) -> Result<(), String> {
        while let Some(asker) = self.askers.get_mut(token) {
            let count = match asker.socket.recv(&mut self.buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("receive: {error}")),
            };
            let come = self.buffer.get(..count).unwrap_or_default();
            let Come::After(lost) = asker.find(come)? else {
                // A doubled answer, where nothing was ever lost, is wrong.
                match self.meter.lost {
                    0 => return Err("an answer has come twice".to_owned()),
                    _ => continue,
                }
            };
            if !self.burst && count != asker.length {
                return Err(format!("{count} bytes in one datagram of {}", asker.length));
            }
            let answered = (count / asker.length) as u64;
            asker.next += lost + answered;
            asker.moved = self.now;
            self.meter.lost += lost;
            self.done += answered;
        }
        self.ask(token)
    }

    /// Counts what has been under way for too long as lost, and asks anew.
    fn give_up(&mut self) -> Result<(), String> {
        for token in 0..self.askers.len() {
            let Some(asker) = self.askers.get_mut(token) else { continue };
            if asker.next == asker.sent || self.now - asker.moved < LOST {
                continue;
            }
            self.meter.lost += asker.sent - asker.next;
            asker.next = asker.sent;
            self.ask(token)?;
        }
        Ok(())
    }
}
