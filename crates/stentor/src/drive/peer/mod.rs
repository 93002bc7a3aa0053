//! Drives a peer: its listening sockets, its connections, the person's lines and what mDNS finds,
//! in one loop on poll(2).
//!
//! What should happen is decided in `stentor_core::peer`; what a person sees of it is handed to
//! the caller as [`Told`].

mod connection;
mod find;
mod lines;
mod outlet;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use socket2::Socket;
use stentor_core::moment::Moment;
use stentor_core::peer::{
    Counters, End, Event, Input, LINES_MAX, Link, Name, Output, Peer, Settings, shown,
};
use stentor_os::failure::Failure;
use stentor_os::net::listener::{self, Listen};
use stentor_os::net::poll::{self, Watch};
use stentor_os::signal::Interrupts;

use self::connection::{Came, Connection};
use self::find::{Finder, Finding};
pub use self::find::{SERVICE, Scope};
use self::lines::{Lines, Next};
pub use self::lines::{Source, Typed};
pub use self::outlet::Outlet;
use crate::complaint::{Complaint, Exit};
use crate::drive::race::now;

/// Connections that may wait for accept(2).
const BACKLOG: u32 = 16;
/// Connections accepted in one turn of the loop.
const ACCEPTS: usize = 16;
/// Read at once.
const ROOM: usize = 16 * 1024;

/// A validated plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How the peer behaves.
    pub settings: Settings,
    /// Where to dial, in the order to try; empty: nowhere.
    pub target: Vec<SocketAddr>,
    /// Where to listen; port 0 takes a free one, the same for all. The first must be had.
    pub listen: Vec<SocketAddr>,
    /// Where to announce this peer and to look for others.
    pub scope: Option<Scope>,
}

/// What there is to show.
#[derive(Debug)]
pub enum Told<'a> {
    /// The peer listens on these addresses.
    Listening(&'a [SocketAddr]),
    /// Something happened on a connection with these ends.
    Event {
        /// What.
        event: &'a Event,
        /// Our address, once there is a connection.
        local: Option<SocketAddr>,
        /// The other's.
        remote: Option<SocketAddr>,
    },
    /// An attempt to connect failed.
    Unreached(&'a Failure),
    /// mDNS found a peer, or found it anew.
    Found(Option<&'a Name>, &'a [SocketAddr]),
    /// mDNS cannot do its work.
    NoDiscovery(&'a str),
    /// A line of the person is too long to be sent.
    LineTooLong,
    /// More lines were typed than wait for a listener.
    LineRefused,
}

/// Takes what there is to show; its complaint ends the run.
pub type Tell<'a> = dyn FnMut(Told<'_>) -> Result<(), Complaint> + 'a;

/// How it ended.
#[derive(Debug)]
pub struct Outcome {
    /// Why all is over.
    pub end: End,
    /// What became of connections and lines.
    pub counters: Counters,
    /// What the last attempt that came to no connection met.
    pub failure: Option<Failure>,
    /// A person ended it with ^C.
    pub interrupted: bool,
    /// Lines of the person that were too long.
    pub lines_too_long: u64,
}

/// Listening sockets that are bound before anything else happens.
#[derive(Debug)]
pub struct Doors {
    sockets: Vec<Socket>,
    /// Where they listen.
    pub addresses: Vec<SocketAddr>,
}

/// Binds every address of the plan, to the same port. Errors: the first cannot be had; of the
/// others those that this machine has not are passed over.
pub fn listen(addresses: &[SocketAddr]) -> Result<Doors, Failure> {
    let mut doors = Doors { sockets: Vec::new(), addresses: Vec::new() };
    for wanted in addresses {
        let mut wanted = *wanted;
        if let Some(first) = doors.addresses.first().filter(|_| wanted.port() == 0) {
            wanted.set_port(first.port());
        }
        let made =
            listener::tcp(wanted, Listen { backlog: BACKLOG, shared: false, congestion: None });
        let socket = match made {
            Ok(socket) => socket,
            Err(failure) if doors.sockets.is_empty() => return Err(failure),
            Err(_) => continue,
        };
        let named = |error| Failure::new("getsockname", format!("tcp {wanted}"), error);
        let address = socket.local_addr().map_err(named)?;
        doors.addresses.extend(address.as_socket());
        doors.sockets.push(socket);
    }
    Ok(doors)
}

/// Runs a peer to its end. With an `outlet` the other's lines go there, else to `tell`.
///
/// # Errors
/// Standard input or output failed, or `tell` complained.
pub fn run(
    plan: &Plan,
    doors: Doors,
    source: Source,
    outlet: Option<Outlet>,
    interrupts: Option<&Interrupts>,
    tell: &mut Tell<'_>,
) -> Result<Outcome, Complaint> {
    tell(Told::Listening(&doors.addresses))?;
    let port = doors.addresses.first().map_or(0, SocketAddr::port);
    let settings = &plan.settings;
    let finder = plan.scope.map(|scope| Finder::start(scope, settings.id, &settings.name, port));
    let finder = match finder.transpose() {
        Ok(finder) => finder,
        Err(error) => {
            tell(Told::NoDiscovery(&error.to_string()))?;
            None
        }
    };
    let runner = Runner {
        peer: Peer::new(settings.clone(), &plan.target, now()),
        connections: BTreeMap::new(),
        doors,
        finder,
        lines: Lines::new(source),
        typed: VecDeque::new(),
        outlet,
        interrupts,
        tell,
        outcome: Outcome {
            end: End::Left,
            counters: Counters::default(),
            failure: None,
            interrupted: false,
            lines_too_long: 0,
        },
    };
    runner.run()
}

struct Runner<'a, 't> {
    peer: Peer,
    connections: BTreeMap<Link, Connection>,
    doors: Doors,
    finder: Option<Finder>,
    lines: Lines,
    /// Lines typed at a prompt while nobody could hear them.
    typed: VecDeque<Vec<u8>>,
    outlet: Option<Outlet>,
    interrupts: Option<&'a Interrupts>,
    tell: &'a mut Tell<'t>,
    outcome: Outcome,
}

/// What a descriptor that is watched belongs to.
#[derive(Clone, Copy, Debug)]
enum Place {
    Interrupts,
    Finder,
    Lines,
    Outlet,
    Door(usize),
    Link(Link),
}

impl Runner<'_, '_> {
    fn run(mut self) -> Result<Outcome, Complaint> {
        let mut buffer = vec![0; ROOM];
        loop {
            let until = match self.obey()? {
                Pause::Over(end) => {
                    self.outcome.end = end;
                    break;
                }
                Pause::Until(moment) => moment,
            };
            // Lines that are here already are said before anything is waited for.
            if self.say()? {
                continue;
            }
            for (place, readable, writable) in self.wait(until)? {
                self.turn(place, readable, writable, &mut buffer)?;
            }
        }
        self.drain()?;
        self.outcome.counters = *self.peer.counters();
        self.outcome.counters.lines_left += self.typed.len() as u64;
        Ok(self.outcome)
    }

    /// Does what the machine says, until it waits.
    fn obey(&mut self) -> Result<Pause, Complaint> {
        loop {
            match self.peer.poll(now()) {
                Output::Dial(link, address) => self.dial(link, address)?,
                Output::Send(link, bytes) => {
                    if let Some(connection) = self.connections.get_mut(&link) {
                        connection.send(&bytes);
                        self.flush(link);
                    }
                }
                Output::Shut(link) => {
                    if let Some(connection) = self.connections.get_mut(&link) {
                        connection.shut();
                        self.flush(link);
                    }
                }
                Output::Close(link) => drop(self.connections.remove(&link)),
                Output::Tell(event) => self.show(&event)?,
                Output::Wait(moment) => return Ok(Pause::Until(Some(moment))),
                Output::Idle => return Ok(Pause::Until(None)),
                Output::Over(end) => return Ok(Pause::Over(end)),
            }
        }
    }

    fn show(&mut self, event: &Event) -> Result<(), Complaint> {
        if let (Event::Line(line), Some(outlet)) = (event, &mut self.outlet) {
            outlet.take(&shown(line));
            return Ok(());
        }
        let link = match event {
            Event::Began { link, .. } | Event::Doubled { link, .. } => Some(*link),
            Event::Refused(link, _) => Some(*link),
            Event::Line(_) | Event::TheirEnd | Event::Parted(_) => None,
        };
        let connection = link.and_then(|link| self.connections.get(&link));
        let local = connection.and_then(|connection| connection.local);
        let remote = connection.map(|connection| connection.remote);
        (self.tell)(Told::Event { event, local, remote })
    }

    fn dial(&mut self, link: Link, address: SocketAddr) -> Result<(), Complaint> {
        match Connection::dial(address) {
            Ok(connection) => {
                self.connections.insert(link, connection);
                Ok(())
            }
            Err(error) => self.unreached(link, address, error),
        }
    }

    fn unreached(
        &mut self,
        link: Link,
        address: SocketAddr,
        error: io::Error,
    ) -> Result<(), Complaint> {
        self.connections.remove(&link);
        let failure = Failure::new("connect", format!("tcp {address}"), error);
        (self.tell)(Told::Unreached(&failure))?;
        self.outcome.failure = Some(failure);
        self.peer.handle(now(), Input::Failed(link));
        Ok(())
    }

    fn flush(&mut self, link: Link) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        match connection.flush() {
            Ok(false) => {}
            Ok(true) => self.peer.handle(now(), Input::Written(link)),
            Err(_) => {
                connection.deaf = true;
                self.peer.handle(now(), Input::Broken(link));
            }
        }
    }

    /// Gives the machine the lines that are here and that it takes; whether there was one.
    fn say(&mut self) -> Result<bool, Complaint> {
        let mut said = false;
        while self.peer.takes_lines() {
            if let Some(line) = self.typed.pop_front() {
                self.peer.handle(now(), Input::Line(&line));
            } else if !self.lines.has_more() || !self.next()? {
                break;
            }
            said = true;
        }
        Ok(said)
    }

    /// Takes the next thing from the person; whether there was one.
    fn next(&mut self) -> Result<bool, Complaint> {
        match self.lines.next() {
            Next::Line(line) if self.peer.takes_lines() => {
                self.peer.handle(now(), Input::Line(&line));
            }
            Next::Line(line) if self.typed.len() < LINES_MAX => self.typed.push_back(line),
            Next::Line(_) => (self.tell)(Told::LineRefused)?,
            Next::TooLong => {
                self.outcome.lines_too_long += 1;
                (self.tell)(Told::LineTooLong)?;
            }
            Next::End => self.peer.handle(now(), Input::NoMoreLines),
            Next::Leave => self.peer.handle(now(), Input::Leave),
            Next::Interrupt => self.leave(),
            Next::Failed(what) => {
                return Err(Complaint::new(Exit::Environment, what, ""));
            }
            Next::Nothing => return Ok(false),
        }
        Ok(true)
    }

    fn leave(&mut self) {
        self.outcome.interrupted = true;
        self.peer.handle(now(), Input::Leave);
    }

    /// Waits, and says which places are readable and which are writable.
    fn wait(&self, until: Option<Moment>) -> Result<Vec<(Place, bool, bool)>, Complaint> {
        let mut places = Vec::new();
        let mut watches = Vec::new();
        let mut add = |place, fd, read, write| {
            places.push(place);
            watches.push(Watch::new(fd, read, write));
        };
        if let Some(interrupts) = self.interrupts {
            add(Place::Interrupts, interrupts.as_fd(), true, false);
        }
        if let Some(finder) = &self.finder {
            add(Place::Finder, finder.watch(), true, false);
        }
        if let Some(fd) = self.lines.watch(self.peer.takes_lines()) {
            add(Place::Lines, fd, true, false);
        }
        if let Some(fd) = self.outlet.as_ref().and_then(Outlet::watch) {
            add(Place::Outlet, fd, false, true);
        }
        for (number, socket) in self.doors.sockets.iter().enumerate() {
            add(Place::Door(number), socket.as_fd(), true, false);
        }
        let full = self.outlet.as_ref().is_some_and(Outlet::is_full);
        for (link, connection) in &self.connections {
            let read = !connection.connecting && !connection.deaf && !full;
            let write = connection.connecting || (connection.owes() && !connection.deaf);
            add(Place::Link(*link), connection.as_fd(), read, write);
        }
        let timeout = until.map(|moment| moment.since(now()));
        poll::wait(&mut watches, timeout)
            .map_err(|error| Failure::new("poll", "the peer's sockets", error))?;
        let ready = places.into_iter().zip(watches);
        let ready = ready.map(|(place, watch)| (place, watch.readable, watch.writable));
        Ok(ready.filter(|(_, readable, writable)| *readable || *writable).collect())
    }

    /// Takes what came at one place.
    fn turn(
        &mut self,
        place: Place,
        readable: bool,
        writable: bool,
        buffer: &mut [u8],
    ) -> Result<(), Complaint> {
        match place {
            Place::Interrupts => self.interrupted(),
            Place::Finder => self.found(),
            Place::Lines => {
                let failed = |error| Failure::new("read", "standard input", error);
                self.lines.fill().map_err(failed)?;
                while self.next()? {
                    if !self.peer.takes_lines() && self.lines.has_more() {
                        break;
                    }
                }
                Ok(())
            }
            Place::Outlet => match &mut self.outlet {
                Some(outlet) => Ok(outlet.flush_once()?),
                None => Ok(()),
            },
            Place::Door(number) => self.accept(number),
            Place::Link(link) => {
                if writable {
                    self.write(link)?;
                }
                if readable {
                    self.read(link, buffer);
                }
                Ok(())
            }
        }
    }

    /// The first signal leaves in order, the second at once.
    fn interrupted(&mut self) -> Result<(), Complaint> {
        let signals = self.interrupts.map_or(0, Interrupts::taken);
        if signals > 1 || (signals == 1 && self.outcome.interrupted) {
            return Err(Complaint::new(Exit::Interrupted, "ended by the second signal", ""));
        }
        if signals == 1 {
            self.leave();
        }
        Ok(())
    }

    fn found(&mut self) -> Result<(), Complaint> {
        let Some(finder) = &mut self.finder else { return Ok(()) };
        for finding in finder.findings() {
            match finding {
                Finding::Found { key, id, name, addresses } => {
                    if id != Some(self.peer.id()) {
                        (self.tell)(Told::Found(name.as_ref(), &addresses))?;
                    }
                    let input = Input::Found { key: &key, id, name, addresses: &addresses };
                    self.peer.handle(now(), input);
                }
                Finding::Gone(key) => self.peer.handle(now(), Input::Gone(&key)),
                Finding::Trouble(what) => (self.tell)(Told::NoDiscovery(&what))?,
            }
        }
        Ok(())
    }

    fn accept(&mut self, number: usize) -> Result<(), Complaint> {
        for _ in 0..ACCEPTS {
            let Some(door) = self.doors.sockets.get(number) else { return Ok(()) };
            let (socket, remote) = match door.accept() {
                Ok((socket, remote)) => (socket, remote.as_socket()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Whoever was there has gone: the next one.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let place = self.doors.addresses.get(number);
                    let place = place.map_or_else(String::new, |place| format!("tcp {place}"));
                    return Err(Failure::new("accept", place, error).into());
                }
            };
            let Some(remote) = remote else { continue };
            if let Ok(connection) = Connection::accepted(socket, remote) {
                let link = self.peer.next_link();
                self.connections.insert(link, connection);
                self.peer.handle(now(), Input::Accepted(link));
            }
        }
        Ok(())
    }

    fn write(&mut self, link: Link) -> Result<(), Complaint> {
        let Some(connection) = self.connections.get_mut(&link) else { return Ok(()) };
        if !connection.connecting {
            self.flush(link);
            return Ok(());
        }
        let remote = connection.remote;
        match connection.connected() {
            Ok(()) => self.peer.handle(now(), Input::Connected(link)),
            Err(error) => self.unreached(link, remote, error)?,
        }
        Ok(())
    }

    fn read(&mut self, link: Link, buffer: &mut [u8]) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let came = connection.read(buffer);
        let input = match came {
            Came::Bytes(count) => Input::Bytes(link, buffer.get(..count).unwrap_or_default()),
            Came::End => Input::Ended(link),
            Came::Broken => Input::Broken(link),
            Came::Nothing => return,
        };
        self.peer.handle(now(), input);
    }

    /// Writes out what the other said before it left; a signal ends the wait.
    fn drain(&mut self) -> Result<(), Complaint> {
        let Some(outlet) = &mut self.outlet else { return Ok(()) };
        while let Some(fd) = outlet.watch() {
            let mut watches = vec![Watch::new(fd, false, true)];
            watches.extend(self.interrupts.map(|held| Watch::new(held.as_fd(), true, false)));
            poll::wait(&mut watches, None)
                .map_err(|error| Failure::new("poll", "standard output", error))?;
            let writable = watches.first().is_some_and(|watch| watch.writable);
            if self.interrupts.is_some_and(|held| held.taken() > 0) {
                self.outcome.interrupted = true;
                return Ok(());
            }
            if writable {
                outlet.flush_once()?;
            }
        }
        Ok(())
    }
}

enum Pause {
    Until(Option<Moment>),
    Over(End),
}
