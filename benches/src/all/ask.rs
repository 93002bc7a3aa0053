//! The client of all requests over TCP: connections in a closed loop on one thread, each with
//! `depth` lines under way, every byte of every answer checked. The same for every server.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::meter::Meter;
use super::script::Script;
use crate::client::{self, PATIENCE};

/// How many ask, and how many lines each sends before it waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) depth: usize,
}

struct Client {
    stream: TcpStream,
    place: usize,
    /// Bytes of the answers that have come, of those that are due.
    come: usize,
    due: usize,
    asked_at: Instant,
}

struct Loop<'a> {
    shape: Shape,
    script: &'a Script,
    meter: &'a mut Meter,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    done: u64,
    under_way: usize,
}

/// Asks until the meter says that it is enough, and then until everything is answered.
///
/// # Errors
/// A wrong byte, a connection that ends, or no answer for [`PATIENCE`].
pub(crate) fn drive(
    address: SocketAddr,
    script: &Script,
    shape: Shape,
    meter: &mut Meter,
) -> Result<(), String> {
    let failed = |error: io::Error| format!("the client's loop: {error}");
    let mut poll = Poll::new().map_err(failed)?;
    let mut clients = Vec::with_capacity(shape.connections);
    for number in 0..shape.connections {
        let stream = client::connect(address)?;
        stream.set_nonblocking(true).map_err(failed)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(number), Interest::READABLE).map_err(failed)?;
        // Each begins somewhere else, so that no two ask the same at the same time.
        let place = number * 37;
        clients.push(Client { stream, place, come: 0, due: 0, asked_at: Instant::now() });
    }
    let buffer = vec![0; 64 * 1024];
    let mut driven = Loop { shape, script, meter, clients, buffer, done: 0, under_way: 0 };
    for number in 0..shape.connections {
        driven.ask(number)?;
    }
    let mut events = Events::with_capacity(1024);
    while driven.under_way > 0 {
        match poll.poll(&mut events, Some(PATIENCE)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other.map_err(failed)?,
        }
        if events.is_empty() {
            return Err(format!("no answer for {PATIENCE:?}"));
        }
        for event in &events {
            driven.hear(event.token().0)?;
        }
        driven.meter.turn(driven.done)?;
    }
    Ok(())
}

impl Loop<'_> {
    fn ask(&mut self, number: usize) -> Result<(), String> {
        let depth = self.shape.depth;
        let Some(client) = self.clients.get_mut(number) else { return Ok(()) };
        if !self.meter.allows(depth as u64) {
            return Ok(());
        }
        let questions = self.script.questions(client.place, depth);
        client.due = self.script.answers(client.place, depth).len();
        client.come = 0;
        if self.shape.connections == 1 {
            client.asked_at = Instant::now();
        }
        let sent = client.stream.write(questions).map_err(|error| format!("send: {error}"))?;
        if sent < questions.len() {
            return Err(format!("an empty send buffer took {sent} of {} bytes", questions.len()));
        }
        self.under_way += 1;
        Ok(())
    }

    fn hear(&mut self, number: usize) -> Result<(), String> {
        loop {
            let Some(client) = self.clients.get_mut(number) else { return Ok(()) };
            let count = match client.stream.read(&mut self.buffer) {
                Ok(0) => return Err("the server closed".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("receive: {error}")),
            };
            let come = self.buffer.get(..count).unwrap_or_default();
            let answers = self.script.answers(client.place, self.shape.depth);
            let due = answers.get(client.come..client.due).unwrap_or_default();
            if !due.starts_with(come) {
                let (come, due) = (String::from_utf8_lossy(come), String::from_utf8_lossy(due));
                return Err(format!("a wrong answer: {come:?} where {due:?} is due"));
            }
            client.come += count;
            if client.come == client.due {
                if self.shape.connections == 1 {
                    self.meter.round_trip(client.asked_at.elapsed());
                }
                client.place += self.shape.depth;
                client.due = 0;
                self.under_way -= 1;
                self.done += self.shape.depth as u64;
                self.ask(number)?;
            }
            // What came did not fill the buffer: there was no more.
            if count < self.buffer.len() {
                return Ok(());
            }
        }
    }
}
