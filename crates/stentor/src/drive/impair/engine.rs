//! The loop of all proxies: one thread, one poll, one timer.
//!
//! A turn handles what the kernel announced, then what is due by time. The timer wakes the loop a
//! little before something is due, and the rest is spun, because a sleep ends late by itself
//! (timerfd_create(2), some 50 us).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;
use stentor_core::link::KnobError;
use stentor_core::moment::Moment;
use stentor_os::net::datagrams::Batch;
use stentor_os::net::listener;
use stentor_os::timer::Timer;

use super::datagrams::Exchange;
use super::stream::{After, Connection, Door, Ended, PAUSE};
use super::tally::Counts;
use super::{Command, Id, Log, Opened, Rules};

pub(super) const WAKER: Token = Token(0);
const ALARM: Token = Token(1);
/// Tokens of sockets begin here.
const SOURCES: usize = 2;
const EVENTS: usize = 1024;
/// Connections accepted at one door before the others have their turn.
const ACCEPTS_PER_TURN: usize = 64;
/// So long before something is due the loop stops sleeping.
const SPIN: Duration = Duration::from_micros(60);
/// What one read may bring.
const BUFFER: usize = 64 * 1024;

/// Rules of the other tier.
const FOREIGN: KnobError = KnobError::Tier {
    knob: "this",
    tier: "on this proxy",
    instead: "streams and datagrams have rules of their own",
};

/// What a token stands for.
#[derive(Clone, Copy, Debug)]
enum Source {
    Door(Id),
    Clients(Id),
    Flow(Id, usize),
    Near(usize),
    Far(usize),
    /// Closed, and an event of it may still be among those at hand.
    Gone,
}

/// What is due at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Connection(usize),
    Exchange(Id),
    Accept(Id),
}

enum Kind {
    Door(Box<Door>),
    Exchange(Box<Exchange>),
}

struct Proxy {
    name: String,
    kind: Kind,
    source: usize,
    /// When the loop comes back to it.
    due: Option<Moment>,
}

/// A connection, whose it is, and how the loop knows it.
struct Seat {
    connection: Connection,
    proxy: Id,
    near: usize,
    far: Option<usize>,
    due: Option<Moment>,
}

pub(super) struct Engine {
    poll: Poll,
    timer: Timer,
    commands: Receiver<Command>,
    /// Kept beside `poll`, so that sockets can be registered while its events are looked at.
    registry: Registry,
    sources: Slab<Source>,
    proxies: BTreeMap<Id, Proxy>,
    seats: Slab<Seat>,
    due: BTreeSet<(Moment, Due)>,
    /// What of it is done in this turn.
    ripe: Vec<Due>,
    /// Keys of closed sources, which nobody else gets before this turn is over.
    gone: Vec<usize>,
    /// Connections that had more to do when their share was used up.
    unfinished: BTreeSet<usize>,
    batch: Batch,
    buffer: Vec<u8>,
    log: Option<Log>,
    /// What the timer is set to.
    alarm: Option<Moment>,
    over: bool,
}

fn now() -> Moment {
    Moment::from_nanos(stentor_os::clock::nanoseconds())
}

impl Engine {
    pub(super) fn new(
        poll: Poll,
        commands: Receiver<Command>,
        log: Option<Log>,
    ) -> io::Result<Engine> {
        let timer = Timer::new()?;
        let registry = poll.registry().try_clone()?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), ALARM, Interest::READABLE)?;
        Ok(Engine {
            poll,
            timer,
            commands,
            registry,
            sources: Slab::new(),
            proxies: BTreeMap::new(),
            seats: Slab::new(),
            due: BTreeSet::new(),
            ripe: Vec::new(),
            gone: Vec::new(),
            unfinished: BTreeSet::new(),
            batch: Batch::default(),
            buffer: vec![0; BUFFER],
            log,
            alarm: None,
            over: false,
        })
    }

    /// Carries everything until it is told to stop.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        while !self.over {
            let timeout = self.sleep()?;
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                // Read each time: a turn may carry a gigabyte, and what it makes late is to be told.
                match event.token() {
                    WAKER => self.obey(now()),
                    ALARM => self.alarm = None,
                    Token(token) => self.announce(token - SOURCES, event, now()),
                }
            }
            self.go_on();
            for key in self.gone.drain(..) {
                self.sources.try_remove(key);
            }
        }
        for (_, seat) in &self.seats {
            seat.connection.cut();
        }
        Ok(())
    }

    /// How long to wait for events: not at all when something is about to be due; else the timer
    /// will end it.
    fn sleep(&mut self) -> io::Result<Option<Duration>> {
        let Some((next, _)) = self.due.first().copied() else {
            return Ok((!self.unfinished.is_empty()).then_some(Duration::ZERO));
        };
        if !self.unfinished.is_empty() || next.since(now()) <= SPIN {
            return Ok(Some(Duration::ZERO));
        }
        if self.alarm != Some(next) {
            let early = u64::try_from(SPIN.as_nanos()).unwrap_or(0);
            self.timer.set(next.as_nanos().saturating_sub(early))?;
            self.alarm = Some(next);
        }
        Ok(None)
    }

    /// What was left undone because its share was used up, or until now. Each has one share: what
    /// is not done by then waits until the others, and whoever gives commands, were heard.
    fn go_on(&mut self) {
        for key in std::mem::take(&mut self.unfinished) {
            self.turn(key, now());
        }
        let until = now();
        let mut ripe = std::mem::take(&mut self.ripe);
        while let Some((moment, due)) = self.due.pop_first() {
            if moment > until {
                self.due.insert((moment, due));
                break;
            }
            if let Due::Connection(key) = due
                && let Some(seat) = self.seats.get_mut(key)
            {
                seat.due = None;
            }
            ripe.push(due);
        }
        // One that closed meanwhile is not found; a new one in its place has a turn for nothing.
        for due in ripe.drain(..) {
            match due {
                Due::Connection(key) => self.turn(key, now()),
                Due::Exchange(id) => self.deliver(id, now()),
                Due::Accept(id) => self.accept(id, now()),
            }
        }
        self.ripe = ripe;
    }

    fn forget(&mut self, key: usize) {
        if let Some(source) = self.sources.get_mut(key) {
            *source = Source::Gone;
            self.gone.push(key);
        }
    }

    fn announce(&mut self, key: usize, event: &Event, now: Moment) {
        match self.sources.get(key).copied() {
            // Closed in this turn, before its event was looked at.
            None | Some(Source::Gone) => {}
            Some(Source::Door(id)) => self.accept(id, now),
            Some(Source::Clients(id)) => {
                self.receive(id, None, now);
                self.deliver(id, now);
            }
            Some(Source::Flow(id, flow)) => {
                self.receive(id, Some(flow), now);
                self.deliver(id, now);
            }
            Some(Source::Near(seat)) => {
                if let Some(seat) = self.seats.get_mut(seat) {
                    seat.connection.near_ready(event);
                }
                self.turn(seat, now);
            }
            Some(Source::Far(seat)) => {
                if let Some(seat) = self.seats.get_mut(seat) {
                    seat.connection.far_ready(event);
                }
                self.turn(seat, now);
            }
        }
    }

    fn register(
        registry: &Registry,
        sources: &mut Slab<Source>,
        fd: RawFd,
        source: Source,
        interest: Interest,
    ) -> io::Result<usize> {
        let key = sources.insert(source);
        let registered = registry.register(&mut SourceFd(&fd), Token(SOURCES + key), interest);
        if let Err(error) = registered {
            sources.remove(key);
            return Err(error);
        }
        Ok(key)
    }

    fn accept(&mut self, id: Id, now: Moment) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(Proxy { kind: Kind::Door(door), .. }) = self.proxies.get_mut(&id) else {
                return;
            };
            match listener::accept(&door.socket) {
                Ok(near) => {
                    if let Some(connection) = door.admit(id, near, now) {
                        self.seat(id, connection, now);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if listener::is_exhausted(&error) => {
                    door.counts.exhausted += 1;
                    return self.accept_at(id, now + PAUSE);
                }
                // That client has gone again: accept(2) tells of it here.
                Err(_) => {}
            }
        }
        self.accept_at(id, now);
    }

    /// Comes back to a door once, however often that is asked for.
    fn accept_at(&mut self, id: Id, moment: Moment) {
        let Some(proxy) = self.proxies.get_mut(&id) else { return };
        if let Some(before) = proxy.due.replace(moment) {
            self.due.remove(&(before, Due::Accept(id)));
        }
        self.due.insert((moment, Due::Accept(id)));
    }

    fn seat(&mut self, id: Id, connection: Connection, now: Moment) {
        let both = Interest::READABLE | Interest::WRITABLE;
        let fd = connection.near_fd();
        let key = self.seats.vacant_key();
        let source = Source::Near(key);
        let near = Engine::register(&self.registry, &mut self.sources, fd, source, both);
        let near = match near {
            Ok(near) => near,
            Err(_) => {
                connection.cut();
                self.count(id, Ended::Cut);
                return;
            }
        };
        self.seats.insert(Seat { connection, proxy: id, near, far: None, due: None });
        self.turn(key, now);
    }

    /// Lets a connection do what it can, and notes what it waits for.
    fn turn(&mut self, key: usize, now: Moment) {
        loop {
            let Some(seat) = self.seats.get_mut(key) else { return };
            let Some(Proxy { kind: Kind::Door(door), .. }) = self.proxies.get_mut(&seat.proxy)
            else {
                return;
            };
            let mut turn = door.turn(now, &mut self.buffer);
            match seat.connection.turn(&mut turn) {
                After::Wait(moment) => {
                    if seat.due != moment {
                        if let Some(before) = std::mem::replace(&mut seat.due, moment) {
                            self.due.remove(&(before, Due::Connection(key)));
                        }
                        self.due.extend(moment.map(|moment| (moment, Due::Connection(key))));
                    }
                    return;
                }
                After::More => {
                    self.unfinished.insert(key);
                    return;
                }
                After::Ended(how) => return self.leave(key, how),
                After::Register => {
                    let Some(fd) = seat.connection.far_fd() else { return };
                    let before = seat.far.take();
                    before.into_iter().for_each(|before| self.forget(before));
                    let both = Interest::READABLE | Interest::WRITABLE;
                    let source = Source::Far(key);
                    let far = Engine::register(&self.registry, &mut self.sources, fd, source, both);
                    let Some(seat) = self.seats.get_mut(key) else { return };
                    match far {
                        Ok(far) => seat.far = Some(far),
                        Err(_) => {
                            seat.connection.cut();
                            return self.leave(key, Ended::Cut);
                        }
                    }
                }
            }
        }
    }

    fn leave(&mut self, key: usize, how: Ended) {
        let Some(seat) = self.seats.try_remove(key) else { return };
        self.forget(seat.near);
        seat.far.into_iter().for_each(|far| self.forget(far));
        if let Some(due) = seat.due {
            self.due.remove(&(due, Due::Connection(key)));
        }
        self.unfinished.remove(&key);
        self.count(seat.proxy, how);
    }

    fn count(&mut self, id: Id, how: Ended) {
        let Some(Proxy { kind: Kind::Door(door), .. }) = self.proxies.get_mut(&id) else { return };
        door.counts.open = door.counts.open.saturating_sub(1);
        match how {
            Ended::InOrder => door.counts.finished += 1,
            Ended::Cut => door.counts.cut += 1,
            Ended::Unreachable => door.counts.unreachable += 1,
        }
    }

    fn receive(&mut self, id: Id, flow: Option<usize>, now: Moment) {
        let Some(proxy) = self.proxies.get_mut(&id) else { return };
        let Proxy { name, kind: Kind::Exchange(exchange), .. } = proxy else { return };
        let log = &mut self.log;
        let mut hear = |direction, decision: &_| {
            if let Some(log) = log {
                log(name, direction, decision);
            }
        };
        match flow {
            Some(flow) => exchange.receive_upstream(flow, now, &mut self.batch, &mut hear),
            None => {
                let (registry, sources) = (&self.registry, &mut self.sources);
                let mut register = |fd, flow| {
                    let source = Source::Flow(id, flow);
                    Engine::register(registry, sources, fd, source, Interest::READABLE)
                };
                exchange.receive_clients(id, now, &mut self.batch, &mut register, &mut hear);
            }
        }
        for key in std::mem::take(&mut exchange.left) {
            self.forget(key);
        }
    }

    fn deliver(&mut self, id: Id, now: Moment) {
        let Some(Proxy { kind: Kind::Exchange(exchange), .. }) = self.proxies.get_mut(&id) else {
            return;
        };
        for flow in std::mem::take(&mut exchange.unread) {
            self.receive(id, flow, now);
        }
        let Some(proxy) = self.proxies.get_mut(&id) else { return };
        let Kind::Exchange(exchange) = &mut proxy.kind else { return };
        let mut next = exchange.deliver(now);
        if !exchange.unread.is_empty() {
            next = Some(now);
        }
        if let Some(before) = std::mem::replace(&mut proxy.due, next) {
            self.due.remove(&(before, Due::Exchange(id)));
        }
        self.due.extend(next.map(|moment| (moment, Due::Exchange(id))));
    }

    fn obey(&mut self, now: Moment) {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Open(id, name, opened)) => self.open(id, name, opened, now),
                // Whoever asked may have gone meanwhile: the answer is lost on nobody.
                Ok(Command::Set(id, rules, reply)) => {
                    let _ = reply.send(self.set(id, *rules, now));
                }
                Ok(Command::Upstream(id, upstream)) => self.lead(id, upstream, now),
                Ok(Command::Close(id, reply)) => {
                    let _ = reply.send(self.close(id));
                }
                Ok(Command::Count(id, reply)) => {
                    let _ = reply.send(self.proxies.get(&id).map(Proxy::counts));
                }
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => {
                    self.over = true;
                    return;
                }
                Err(TryRecvError::Empty) => return,
            }
        }
    }

    /// Leads a proxy elsewhere; connections that waited for that go on.
    fn lead(&mut self, id: Id, upstream: Vec<SocketAddr>, now: Moment) {
        match self.proxies.get_mut(&id) {
            Some(Proxy { kind: Kind::Door(door), .. }) => {
                door.lead(upstream, now);
                for key in self.seats_of(id) {
                    self.turn(key, now);
                }
            }
            Some(Proxy { kind: Kind::Exchange(exchange), .. }) => {
                exchange.lead(upstream.first().copied(), now);
            }
            None => {}
        }
    }

    fn seats_of(&self, id: Id) -> Vec<usize> {
        let own = self.seats.iter().filter(|(_, seat)| seat.proxy == id);
        own.map(|(key, _)| key).collect()
    }

    fn open(&mut self, id: Id, name: String, mut opened: Opened, now: Moment) {
        if let Opened::Exchange(exchange) = &mut opened {
            // The first datagram would be lost if its name were only then looked up.
            exchange.naming.ask(id, now);
        }
        let (fd, source, kind) = match opened {
            Opened::Door(door) => (door.socket.as_raw_fd(), Source::Door(id), Kind::Door(door)),
            Opened::Exchange(exchange) => {
                (exchange.as_raw_fd(), Source::Clients(id), Kind::Exchange(exchange))
            }
        };
        let interest = Interest::READABLE;
        match Engine::register(&self.registry, &mut self.sources, fd, source, interest) {
            Ok(source) => {
                self.proxies.insert(id, Proxy { name, kind, source, due: None });
            }
            // Its socket is closed: clients are refused, and counts say that it is not open.
            Err(error) => tracing::warn!("epoll_ctl: proxy {name} is closed: {error}"),
        }
    }

    fn set(&mut self, id: Id, rules: Rules, now: Moment) -> Result<(), KnobError> {
        let Some(proxy) = self.proxies.get_mut(&id) else { return Ok(()) };
        match (&mut proxy.kind, rules) {
            (Kind::Door(door), Rules::Stream { up, down, before }) => {
                door.rules = (up, down, before);
                let rules = door.rules.clone();
                let own: Vec<usize> = self
                    .seats
                    .iter_mut()
                    .filter(|(_, seat)| seat.proxy == id)
                    .map(|(key, seat)| {
                        seat.connection.set(now, &rules);
                        key
                    })
                    .collect();
                for key in own {
                    self.turn(key, now);
                }
                Ok(())
            }
            (Kind::Exchange(exchange), Rules::Units { up, down }) => {
                exchange.set(now, &up, &down)?;
                self.deliver(id, now);
                Ok(())
            }
            (Kind::Door(_), Rules::Units { .. }) => Err(FOREIGN),
            (Kind::Exchange(_), Rules::Stream { .. }) => Err(FOREIGN),
        }
    }

    /// Drops every connection and every client of a proxy that closes.
    fn drop_connections(&mut self, id: Id) {
        for key in self.seats_of(id) {
            if let Some(seat) = self.seats.get(key) {
                seat.connection.cut();
            }
            self.leave(key, Ended::Cut);
        }
        if let Some(Proxy { kind: Kind::Exchange(exchange), .. }) = self.proxies.get_mut(&id) {
            exchange.drop_flows();
            for key in std::mem::take(&mut exchange.left) {
                self.forget(key);
            }
        }
    }

    fn close(&mut self, id: Id) -> Option<Counts> {
        // Who is a client of datagrams is known only before they are all forgotten; streams that
        // were open are reset, and count as that.
        let before = self.proxies.get(&id).map(Proxy::counts);
        self.drop_connections(id);
        let proxy = self.proxies.remove(&id)?;
        self.forget(proxy.source);
        self.due
            .retain(|(_, due)| !matches!(due, Due::Exchange(of) | Due::Accept(of) if *of == id));
        match proxy.kind {
            Kind::Door(_) => Some(proxy.counts()),
            Kind::Exchange(_) => before,
        }
    }
}

impl Proxy {
    fn counts(&self) -> Counts {
        match &self.kind {
            Kind::Door(door) => Counts::Stream(door.counts),
            Kind::Exchange(exchange) => Counts::Units(exchange.counts()),
        }
    }
}
