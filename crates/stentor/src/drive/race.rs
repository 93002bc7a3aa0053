//! Connects to the first of several addresses that answers, each attempt on a socket of its own.
//!
//! The rules of the race are in `stentor_core::connect`; here are its sockets and its clock.
//! Names become addresses in [`crate::drive::reach`].

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use stentor_core::connect::{self, Input, Output, Race};
use stentor_core::moment::Moment;
use stentor_os::clock;
use stentor_os::failure::Failure;
use stentor_os::net::poll::{self, Watch};
use stentor_os::signal::Interrupts;

use crate::complaint::{Complaint, Exit};

/// How to race.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// All attempts together get this long.
    pub timeout: Duration,
    /// The local port, if not the kernel's choice.
    pub source_port: Option<u16>,
    /// What ends the race early; `None` leaves signals to their default.
    pub interrupts: Option<&'a Interrupts>,
}

/// A connection, and how it was come by.
#[derive(Debug)]
pub struct Raced {
    /// Connected over TCP, blocking.
    pub socket: Socket,
    /// The address that answered first.
    pub peer: SocketAddr,
    /// Every attempt, in the order of the beginnings; one of them is [`Outcome::Connected`].
    pub attempts: Vec<Attempt>,
}

/// One attempt to connect.
#[derive(Debug)]
pub struct Attempt {
    /// Where to.
    pub address: SocketAddr,
    /// When `connect` was called.
    pub began: Moment,
    /// When its outcome was known.
    pub ended: Moment,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an attempt ended.
#[derive(Debug)]
pub enum Outcome {
    /// It won the race.
    Connected,
    /// The kernel refused a call.
    Failed(Failure),
    /// It was still unanswered when another won or the time was up; its socket was closed.
    Abandoned,
}

/// The moment now, on the clock of the whole run.
pub fn now() -> Moment {
    Moment::from_nanos(clock::nanoseconds())
}

/// Whether a signal has come.
pub fn interrupted(interrupts: Option<&Interrupts>) -> bool {
    interrupts.is_some_and(|interrupts| interrupts.taken() > 0)
}

/// Connects over TCP to the first of `addresses` that answers (RFC 8305).
///
/// The addresses are put in order here. When all fail, one complaint (exit 3) names every address
/// with its errno; a signal ends with exit 130.
pub fn connect(addresses: &[SocketAddr], options: Options<'_>) -> Result<Raced, Complaint> {
    connect_with(addresses, options, &|_| Ok(()))
}

/// The same on sockets that `prepare` has set up before they connect; what it fails with is the
/// attempt's own failure (`setsockopt`).
pub fn connect_with(
    addresses: &[SocketAddr],
    options: Options<'_>,
    prepare: &dyn Fn(&Socket) -> io::Result<()>,
) -> Result<Raced, Complaint> {
    let mut field = Field::new(connect::order(addresses), options, prepare);
    let mut race = Race::new(field.order.len(), now(), options.timeout);
    loop {
        match race.poll() {
            Output::Begin(number) => match field.begin(number) {
                Some(input) => race.handle(now(), input),
                None => continue,
            },
            Output::Abandon(number) => field.end(number, Outcome::Abandoned),
            Output::Wait(until) => {
                let inputs = field.wait(until)?;
                race.handle(now(), Input::Time);
                for input in inputs {
                    race.handle(now(), input);
                }
            }
            Output::Won(number) => return field.won(number),
            Output::Lost => return Err(field.lost()),
        }
    }
}

/// The sockets of a race: a slot for each address, filled while its attempt runs.
struct Field<'a> {
    order: Vec<SocketAddr>,
    options: Options<'a>,
    prepare: &'a dyn Fn(&Socket) -> io::Result<()>,
    sockets: Vec<Option<Socket>>,
    /// The number of the address of each attempt is its place in `order`.
    attempts: Vec<(usize, Attempt)>,
}

impl<'a> Field<'a> {
    fn new(
        order: Vec<SocketAddr>,
        options: Options<'a>,
        prepare: &'a dyn Fn(&Socket) -> io::Result<()>,
    ) -> Field<'a> {
        let sockets = order.iter().map(|_| None).collect();
        Field { order, options, prepare, sockets, attempts: Vec::new() }
    }

    /// Starts an attempt; an outcome known at once is returned.
    fn begin(&mut self, number: usize) -> Option<Input> {
        let address = *self.order.get(number)?;
        let began = now();
        let attempt = Attempt { address, began, ended: began, outcome: Outcome::Abandoned };
        self.attempts.push((number, attempt));
        match start(address, self.options.source_port, self.prepare) {
            Ok((socket, connected)) => {
                *self.sockets.get_mut(number)? = Some(socket);
                connected.then(|| {
                    self.end(number, Outcome::Connected);
                    Input::Connected(number)
                })
            }
            Err(failure) => {
                self.end(number, Outcome::Failed(failure));
                Some(Input::Failed(number))
            }
        }
    }

    /// Notes how an attempt ended; the socket of one that did not connect is closed.
    fn end(&mut self, number: usize, outcome: Outcome) {
        if !matches!(outcome, Outcome::Connected)
            && let Some(socket) = self.sockets.get_mut(number)
        {
            *socket = None;
        }
        if let Some((_, attempt)) = self.attempts.iter_mut().find(|(n, _)| *n == number) {
            attempt.ended = now();
            attempt.outcome = outcome;
        }
    }

    /// Waits for an attempt to end, until `until` at the latest.
    fn wait(&mut self, until: Moment) -> Result<Vec<Input>, Complaint> {
        let running: Vec<(usize, &Socket)> = self
            .sockets
            .iter()
            .enumerate()
            .filter_map(|(number, socket)| Some((number, socket.as_ref()?)))
            .collect();
        let mut watches: Vec<Watch<'_>> =
            running.iter().map(|(_, socket)| Watch::new(socket.as_fd(), false, true)).collect();
        watches.extend(self.options.interrupts.map(|i| Watch::new(i.as_fd(), true, false)));
        poll::wait(&mut watches, Some(until.since(now())))
            .map_err(|error| Failure::new("poll", "connecting sockets", error))?;
        if interrupted(self.options.interrupts) {
            let what = format!("interrupted while connecting to {}", self.list());
            return Err(Complaint::new(Exit::Interrupted, what, ""));
        }
        let mut ended = Vec::new();
        for ((number, socket), watch) in running.iter().zip(&watches) {
            if watch.writable {
                ended.push((*number, socket.take_error()));
            }
        }
        let mut inputs = Vec::new();
        for (number, error) in ended {
            match error {
                Ok(None) => {
                    self.end(number, Outcome::Connected);
                    inputs.push(Input::Connected(number));
                }
                Ok(Some(error)) | Err(error) => {
                    let failure = self.failure(number, error);
                    self.end(number, Outcome::Failed(failure));
                    inputs.push(Input::Failed(number));
                }
            }
        }
        Ok(inputs)
    }

    fn failure(&self, number: usize, error: io::Error) -> Failure {
        let address = self.order.get(number).map(ToString::to_string).unwrap_or_default();
        Failure::new("connect", format!("tcp {address}"), error)
    }

    fn won(mut self, number: usize) -> Result<Raced, Complaint> {
        let socket = self.sockets.get_mut(number).and_then(Option::take);
        let (Some(socket), Some(&peer)) = (socket, self.order.get(number)) else {
            return Err(self.lost());
        };
        // Two may have connected in the same turn; only one is the connection.
        for (other, attempt) in &mut self.attempts {
            if *other != number && matches!(attempt.outcome, Outcome::Connected) {
                attempt.outcome = Outcome::Abandoned;
            }
        }
        let shown = format!("tcp {peer}");
        let fail = |error| Complaint::from(Failure::new("fcntl", &shown, error));
        socket.set_nonblocking(false).map_err(fail)?;
        let attempts = self.attempts.into_iter().map(|(_, attempt)| attempt).collect();
        Ok(Raced { socket, peer, attempts })
    }

    fn list(&self) -> String {
        let shown: Vec<String> = self.order.iter().map(|a| format!("tcp {a}")).collect();
        shown.join(", ")
    }

    /// One complaint for all: the words of each attempt, the next step of the most telling one.
    fn lost(&mut self) -> Complaint {
        let waited = format!("no answer within {:?}", self.options.timeout);
        let mut whats = Vec::new();
        let mut next = String::new();
        for (_, attempt) in self.attempts.drain(..) {
            let complaint = match attempt.outcome {
                Outcome::Failed(failure) => Complaint::from(failure),
                Outcome::Connected | Outcome::Abandoned => Complaint::new(
                    Exit::Environment,
                    format!("connect tcp {}: {waited}", attempt.address),
                    "A firewall may drop it, or the machine is off; -w waits longer.",
                ),
            };
            if next.is_empty() {
                next = complaint.next;
            }
            whats.push(complaint.what);
        }
        if whats.is_empty() {
            return Complaint::new(Exit::Environment, "connect: no address to connect to", "");
        }
        Complaint::new(Exit::Environment, whats.join("; "), next)
    }
}

/// Makes a socket and calls connect on it without waiting; says whether it is connected already.
fn start(
    address: SocketAddr,
    source_port: Option<u16>,
    prepare: &dyn Fn(&Socket) -> io::Result<()>,
) -> Result<(Socket, bool), Failure> {
    let shown = format!("tcp {address}");
    let domain = Domain::for_address(address);
    let socket =
        Socket::new(domain, Type::STREAM, None).map_err(|e| Failure::new("socket", &shown, e))?;
    socket.set_nonblocking(true).map_err(|e| Failure::new("fcntl", &shown, e))?;
    prepare(&socket).map_err(|e| Failure::new("setsockopt", &shown, e))?;
    if let Some(port) = source_port {
        let local = match address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        };
        // The last connection from this port may still be in TIME_WAIT (RFC 9293, section 3.6.1).
        socket
            .set_reuse_address(true)
            .and_then(|()| socket.bind(&local.into()))
            .map_err(|e| Failure::new("bind", format!("tcp {local}"), e))?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => Ok((socket, true)),
        Err(error) if in_progress(&error) => Ok((socket, false)),
        Err(error) => Err(Failure::new("connect", &shown, error)),
    }
}

/// EINPROGRESS of a non-blocking connect (connect(2)).
fn in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || stentor_os::failure::errno_name(error).is_some_and(|name| name == "EINPROGRESS")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    const OPTIONS: Options<'_> =
        Options { timeout: Duration::from_secs(20), source_port: None, interrupts: None };

    /// A port of 127.0.0.1 on which nothing listens; bound and held, so that nobody else gets it.
    fn refusing() -> (Socket, SocketAddr) {
        let held = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        held.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = held.local_addr().unwrap().as_socket().unwrap();
        (held, address)
    }

    #[test]
    fn the_second_address_is_taken_when_the_first_refuses() {
        let (_held, closed) = refusing();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let raced = connect(&[closed, open], OPTIONS).unwrap();
        assert_eq!(raced.peer, open);
        assert_eq!(raced.attempts.len(), 2);
        assert!(matches!(raced.attempts[0].outcome, Outcome::Failed(_)));
        assert!(matches!(raced.attempts[1].outcome, Outcome::Connected));
        assert!(raced.attempts[1].began >= raced.attempts[0].ended);
        let (accepted, peer) = listener.accept().unwrap();
        assert_eq!(raced.socket.local_addr().unwrap().as_socket(), Some(peer));
        drop(accepted);
        drop(TcpStream::from(raced.socket));
    }

    #[test]
    fn when_all_refuse_every_address_is_named() {
        let (_one, first) = refusing();
        let (_two, second) = refusing();
        let complaint = connect(&[first, second], OPTIONS).unwrap_err();
        assert_eq!(complaint.exit, Exit::Environment);
        let expected = format!(
            "connect tcp {first}: connection refused (ECONNREFUSED); \
             connect tcp {second}: connection refused (ECONNREFUSED)"
        );
        assert_eq!(complaint.what, expected);
        assert!(complaint.next.contains(&first.port().to_string()), "{}", complaint.next);
    }

    #[test]
    fn a_listener_whose_backlog_is_full_is_given_up_in_time() {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let brief = Options { timeout: Duration::from_millis(300), ..OPTIONS };
        let mut held = Vec::new();
        // Linux queues backlog + 1 connections, then drops the SYN of the next.
        let complaint = (0..8).find_map(|_| match connect(&[address], brief) {
            Ok(raced) => {
                held.push(raced.socket);
                None
            }
            Err(complaint) => Some(complaint),
        });
        let complaint = complaint.unwrap();
        assert_eq!(complaint.what, format!("connect tcp {address}: no answer within 300ms"));
        assert_eq!(complaint.exit, Exit::Environment);
    }

    #[test]
    fn the_source_port_is_the_one_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (held, free) = refusing();
        drop(held);
        let options = Options { source_port: Some(free.port()), ..OPTIONS };
        let raced = connect(&[listener.local_addr().unwrap()], options).unwrap();
        let local = raced.socket.local_addr().unwrap().as_socket().unwrap();
        assert_eq!(local.port(), free.port());
    }
}
