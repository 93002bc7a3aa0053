//! A closed loop: many clients on one thread, each with one question under way at a time, every
//! byte of every answer checked.
//!
//! Closed means that a slow server is asked less: the rate is what clients of this kind see, and
//! latencies leave out whoever would have come meanwhile.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::client;
use crate::figures::Latencies;

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    /// Between an answer and the next question.
    pub(crate) pause: Duration,
    /// Questions of each client; `None`: until the server closes.
    pub(crate) rounds: Option<u32>,
    /// When to give up.
    pub(crate) limit: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    /// Answers with a wrong byte, or bytes that nobody asked for.
    pub(crate) wrong: u64,
    /// Questions not or not wholly answered, of connections that ended with a FIN: it was on its
    /// way before the question came, or a reset would have been the answer.
    pub(crate) crossed: u64,
    /// Questions not or not wholly answered, of connections that ended with a reset.
    pub(crate) lost: u64,
    /// Connections that ended with a reset, not with a FIN.
    pub(crate) resets: u64,
    /// Connections that the server ended with a FIN.
    pub(crate) fins: u64,
    pub(crate) latencies: Latencies,
    /// From the first question to the last answer.
    pub(crate) took: Duration,
}

struct Client {
    stream: TcpStream,
    expected: Vec<u8>,
    /// Bytes of the answer that have come.
    come: usize,
    asked_at: Option<Instant>,
    asked: u32,
    over: bool,
}

struct Loop<'a> {
    load: &'a Load,
    clients: Vec<Client>,
    left: usize,
    /// Who asks again when, in order: the pause is the same for all.
    pausing: VecDeque<(Instant, usize)>,
    outcome: Outcome,
}

/// Connects all clients and has them ask.
///
/// # Errors
/// A client cannot connect, or the load is not done within its limit.
pub(crate) fn run(address: SocketAddr, load: &Load) -> Result<Outcome, String> {
    let failed = |error: io::Error| format!("the load's loop: {error}");
    let mut poll = Poll::new().map_err(failed)?;
    let mut clients = Vec::with_capacity(load.clients);
    for number in 0..load.clients {
        let stream = client::connect(address)?;
        stream.set_nonblocking(true).map_err(failed)?;
        let mut stream = TcpStream::from_std(stream);
        let interest = Interest::READABLE;
        poll.registry().register(&mut stream, Token(number), interest).map_err(failed)?;
        let expected = Vec::with_capacity(64);
        clients.push(Client { stream, expected, come: 0, asked_at: None, asked: 0, over: false });
    }
    let left = clients.len();
    let outcome = Outcome::default();
    let mut driven = Loop { load, clients, left, pausing: VecDeque::new(), outcome };
    let from = Instant::now();
    for number in 0..load.clients {
        // Spread over the pause, or all would ask at once and then all be silent.
        let share = number as f64 / load.clients as f64;
        driven.pausing.push_back((from + load.pause.mul_f64(share), number));
    }
    let mut events = Events::with_capacity(1024);
    while driven.left > 0 {
        let wait = driven.go_on();
        match poll.poll(&mut events, Some(wait.min(Duration::from_secs(1)))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other.map_err(failed)?,
        }
        for event in &events {
            driven.hear(event.token().0, event.is_read_closed());
        }
        if from.elapsed() > load.limit {
            let left = driven.left;
            return Err(format!("{left} clients are not done within {:?}", load.limit));
        }
    }
    driven.outcome.took = from.elapsed();
    Ok(driven.outcome)
}

impl Loop<'_> {
    /// Lets those ask whose pause is over; how long until the next.
    fn go_on(&mut self) -> Duration {
        while let Some(&(at, number)) = self.pausing.front() {
            let wait = at.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                return wait;
            }
            self.pausing.pop_front();
            self.ask(number);
        }
        Duration::MAX
    }

    fn ask(&mut self, number: usize) {
        let Some(client) = self.clients.get_mut(number).filter(|client| !client.over) else {
            return;
        };
        // Every question differs from every other: an answer cannot be right by mistake.
        client.expected.clear();
        let _ = writeln!(client.expected, "client {number:05} asks {:010}", client.asked);
        let now = Instant::now();
        let sent = client.stream.write(&client.expected);
        client.expected.make_ascii_uppercase();
        client.come = 0;
        match sent {
            Ok(count) if count == client.expected.len() => {
                client.asked += 1;
                client.asked_at = Some(now);
                self.outcome.asked += 1;
            }
            // A buffer that was empty took less than 32 bytes, or the connection is no more:
            // the next event says so.
            Ok(_) => self.outcome.wrong += 1,
            Err(_) => {}
        }
    }

    fn hear(&mut self, number: usize, read_closed: bool) {
        let mut buffer = [0; 256];
        let mut asks = false;
        while let Some(client) = self.clients.get_mut(number).filter(|client| !client.over) {
            match client.stream.read(&mut buffer) {
                Ok(0) => {
                    self.outcome.fins += 1;
                    self.outcome.crossed += u64::from(client.asked_at.is_some());
                    return self.over(number);
                }
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    asks |= self.take(number, bytes);
                    // Where the server may close, the next question waits until it is sure that
                    // no FIN is there.
                    if count < buffer.len() && !read_closed && self.load.rounds.is_some() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.outcome.resets += 1;
                    self.outcome.lost += u64::from(client.asked_at.is_some());
                    return self.over(number);
                }
            }
        }
        if asks {
            self.ask(number);
        }
    }

    /// Checks bytes of an answer; whether the next question is due.
    fn take(&mut self, number: usize, bytes: &[u8]) -> bool {
        let Some(client) = self.clients.get_mut(number) else { return false };
        let owed = client.expected.get(client.come..).unwrap_or_default();
        let Some(asked_at) = client.asked_at.filter(|_| owed.starts_with(bytes)) else {
            self.outcome.wrong += 1;
            return false;
        };
        client.come += bytes.len();
        if client.come < client.expected.len() {
            return false;
        }
        let now = Instant::now();
        client.asked_at = None;
        self.outcome.answered += 1;
        self.outcome.latencies.record(now - asked_at);
        if self.load.rounds.is_some_and(|rounds| client.asked >= rounds) {
            self.over(number);
        } else if self.load.pause.is_zero() {
            return true;
        } else {
            self.pausing.push_back((now + self.load.pause, number));
        }
        false
    }

    /// Counts the end of a client. Its socket stays open until all are done, so that closing is
    /// no part of the load; but one that the server ended is closed at once, to let it go.
    fn over(&mut self, number: usize) {
        let Some(client) = self.clients.get_mut(number) else { return };
        client.over = true;
        self.left -= 1;
        if self.load.rounds.is_none() {
            // ENOTCONN after a reset.
            let _ = client.stream.shutdown(std::net::Shutdown::Both);
        }
    }
}
