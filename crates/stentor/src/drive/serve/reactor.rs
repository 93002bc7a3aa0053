//! The readiness loop of one thread: listeners, UDP sockets and all its connections.
//!
//! Edge-triggered (epoll(7)): each connection is registered once, for both directions, and a turn
//! ends only when the kernel has said that there is no more. What a turn does is in `connection`.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::Socket;
use stentor_core::moment::Moment;
use stentor_core::service::Session;
use stentor_core::service::counters::{CloseReason, Counters};
use stentor_core::service::fault::FaultyStream;
use stentor_os::net::listener;

use super::Plan;
use super::bind::Sockets;
use super::connection::{After, Connection, Hot, Turn};
use super::mailbox::Mailbox;
use super::shared::{Refusal, Shared, Stage};

/// Tokens: the waker, then doors, then mailboxes, then connections.
pub(super) const WAKER: Token = Token(0);
/// Events taken from the kernel at a time.
const EVENTS: usize = 1024;
/// Connections accepted before the others have their turn.
const ACCEPTS_PER_TURN: usize = 64;
/// How long to wait before the next accept when descriptors or memory are exhausted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// While draining, a connection that was silent this long has said all it had to say.
const QUIET: Duration = Duration::from_millis(200);

/// How long a client may take to answer our FIN while draining.
const LINGER_DRAINING: Duration = Duration::from_secs(1);
/// Between two looks at the connections while draining.
const SWEEP_DRAINING: Duration = Duration::from_millis(20);

/// Whether a listener has more connections for us at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Queue {
    /// None, or none that we could take.
    Done,
    /// The share of one turn was used up before the end.
    MaybeMore,
}

/// One thread's loop.
pub(super) struct Reactor {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    poll: Poll,
    doors: Vec<Socket>,
    /// How many there were: tokens are counted from it, also when the doors are shut.
    doors_made: usize,
    first_connection: usize,
    /// Whether accepting waits: until this moment, or for a connection to close.
    accept_again: Option<Moment>,
    mailboxes: Vec<Mailbox>,
    connections: Slab<Connection>,
    /// Connections that had more to read when their share was used up; each stands here once,
    /// however many events it has meanwhile.
    unfinished: BTreeSet<usize>,
    /// Connections whose fault lets them go on at a moment. One that has closed may be left here;
    /// whoever has its key by then gets a turn for nothing.
    timers: BTreeSet<(Moment, usize)>,
    hot: Hot,
    counters: Counters,
    /// When all connections are looked through next.
    sweep_at: Moment,
    /// The first moment at which something is due that no event announces.
    due: Option<Moment>,
    /// Whether more has happened since than that bytes were answered.
    disturbed: bool,
    drain_until: Option<Moment>,
}

impl Reactor {
    /// Registers a thread's sockets with its poll.
    pub(super) fn new(
        plan: Arc<Plan>,
        shared: Arc<Shared>,
        poll: Poll,
        sockets: Sockets,
        own_ports: &[u16],
    ) -> io::Result<Reactor> {
        let doors = sockets.listeners;
        let open = |socket| Mailbox::new(socket, &plan, own_ports);
        let mailboxes: Vec<Mailbox> = sockets.datagrams.into_iter().map(open).collect();
        let sources = doors.iter().map(AsRawFd::as_raw_fd);
        for (index, fd) in sources.chain(mailboxes.iter().map(AsRawFd::as_raw_fd)).enumerate() {
            poll.registry().register(&mut SourceFd(&fd), Token(1 + index), Interest::READABLE)?;
        }
        Ok(Reactor {
            plan,
            shared,
            poll,
            doors_made: doors.len(),
            first_connection: 1 + doors.len() + mailboxes.len(),
            doors,
            accept_again: None,
            mailboxes,
            connections: Slab::new(),
            unfinished: BTreeSet::new(),
            timers: BTreeSet::new(),
            hot: Hot::default(),
            counters: Counters::default(),
            sweep_at: Moment::START,
            due: None,
            disturbed: false,
            drain_until: None,
        })
    }

    /// Serves until told to stop and everything owed is sent, or the deadline has passed.
    pub(super) fn run(mut self) -> io::Result<Counters> {
        let mut events = Events::with_capacity(EVENTS);
        let mut now = super::now();
        loop {
            match self.poll.poll(&mut events, self.patience(now)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => other?,
            }
            // Read once: what falls due during a turn has its own in the next one.
            now = super::now();
            for event in &events {
                match event.token().0.checked_sub(self.first_connection) {
                    // Its turn comes below, and is to come once.
                    Some(key) if self.unfinished.contains(&key) => {}
                    Some(key) => self.turn(key, read_on(event), now),
                    None => self.knock(event.token(), now),
                }
            }
            if !self.disturbed && self.due.is_none_or(|due| now < due) {
                continue;
            }
            self.go_on(now);
            if self.ended(now) {
                break;
            }
            self.sweep(now);
            self.disturbed = false;
            self.due = self.next_due();
        }
        let left: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
        for key in left {
            self.close(key, CloseReason::Drained, now);
        }
        Ok(self.counters)
    }

    /// How long the kernel may keep us.
    #[inline]
    fn patience(&self, now: Moment) -> Option<Duration> {
        if self.plan.spin {
            return Some(Duration::ZERO);
        }
        self.due.map(|due| due.since(now))
    }

    /// When the next thing is due that no event announces.
    fn next_due(&self) -> Option<Moment> {
        let at_once = (!self.unfinished.is_empty()).then_some(Moment::START);
        let timer = self.timers.first().map(|(moment, _)| *moment);
        let mail = self.mailboxes.iter().filter_map(Mailbox::due).min();
        let watching = !self.connections.is_empty() || self.drain_until.is_some();
        let sweep = watching.then_some(self.sweep_at);
        [at_once, timer, mail, sweep, self.accept_again].into_iter().flatten().min()
    }

    fn sweep_every(&self) -> Duration {
        let limits = &self.plan.limits;
        match self.drain_until {
            Some(_) => SWEEP_DRAINING,
            None => (limits.idle.min(limits.after_fin).min(limits.write_stall) / 4)
                .clamp(Duration::from_millis(10), Duration::from_secs(1)),
        }
    }

    /// A door or a mailbox has something, or another thread called.
    fn knock(&mut self, token: Token, now: Moment) {
        self.disturbed = true;
        let Some(index) = token.0.checked_sub(1) else { return };
        match index.checked_sub(self.doors_made) {
            None => {
                self.accept(index, now);
            }
            Some(mailbox) => self.receive(mailbox, now),
        }
    }

    fn receive(&mut self, index: usize, now: Moment) {
        if let Some(mailbox) = self.mailboxes.get_mut(index) {
            mailbox.receive(now, &mut self.hot, &mut self.counters);
        }
        if self.plan.once && self.counters.replies > 0 {
            self.shared.advance(Stage::Draining);
        }
    }

    /// What was left undone because its share was used up, or until now.
    fn go_on(&mut self, now: Moment) {
        if !self.unfinished.is_empty() {
            for key in std::mem::take(&mut self.unfinished) {
                self.turn(key, true, now);
            }
        }
        while let Some((moment, key)) = self.timers.first().copied() {
            if moment > now {
                break;
            }
            self.timers.pop_first();
            self.turn(key, true, now);
        }
        for index in 0..self.mailboxes.len() {
            if self.mailboxes.get(index).and_then(Mailbox::due).is_some_and(|due| due <= now) {
                self.receive(index, now);
            }
        }
        if self.accept_again.is_some_and(|moment| moment <= now) {
            self.accept_again = None;
            for index in 0..self.doors.len() {
                self.accept(index, now);
            }
        }
    }

    fn accept(&mut self, index: usize, now: Moment) -> Queue {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(door) = self.doors.get(index) else { return Queue::Done };
            if !self.shared.admit(self.plan.limits.connections) {
                self.accept_again = Some(now + ACCEPT_PAUSE);
                return Queue::Done;
            }
            match listener::accept(door) {
                Ok(socket) => self.welcome(socket, now),
                Err(error) => {
                    self.shared.release();
                    match self.shared.refusal(&error, &mut self.counters, now) {
                        Refusal::Empty => return Queue::Done,
                        Refusal::ThatOneOnly => {}
                        Refusal::Exhausted => {
                            self.accept_again = Some(now + ACCEPT_PAUSE);
                            return Queue::Done;
                        }
                    }
                }
            }
        }
        self.accept_again = Some(now);
        Queue::MaybeMore
    }

    fn welcome(&mut self, socket: Socket, now: Moment) {
        self.counters.opened();
        let faulty = self.faulty();
        let session = Session::new(self.plan.contract);
        let fd = socket.as_raw_fd();
        let key = self.connections.insert(Connection::new(socket, session, faulty, now));
        // What has already arrived is an event at once: registering looks.
        let registered = self.poll.registry().register(
            &mut SourceFd(&fd),
            Token(self.first_connection + key),
            interest(),
        );
        if registered.is_err() {
            self.close(key, CloseReason::Error, now);
        }
        if self.plan.once {
            self.doors.clear();
        }
    }

    fn faulty(&self) -> Option<FaultyStream> {
        let faults = &self.plan.faults;
        let armed = || FaultyStream::new(faults, self.plan.seed, self.shared.serial());
        (!faults.is_empty()).then(armed)
    }

    fn turn(&mut self, key: usize, read_on: bool, now: Moment) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let mut turn =
            Turn { counters: &mut self.counters, stalled: &self.shared.stalled, now, read_on };
        match connection.turn(&mut self.hot, &mut turn) {
            After::Wait => return,
            After::At(moment) => {
                self.timers.insert((moment, key));
            }
            After::More => {
                self.unfinished.insert(key);
            }
            After::Closed(reason) => self.close(key, reason, now),
        }
        self.disturbed = true;
    }

    fn close(&mut self, key: usize, reason: CloseReason, now: Moment) {
        let Some(connection) = self.connections.try_remove(key) else { return };
        self.shared.stalled.fetch_sub(connection.stalled(), Ordering::Relaxed);
        self.counters.closed(reason);
        self.shared.release();
        tracing::debug!(reason = reason.name(), "connection closed");
        // A place and a descriptor are free again.
        if self.accept_again.is_some() {
            self.accept_again = Some(now);
        }
        if self.plan.once {
            self.shared.advance(Stage::Draining);
        }
    }

    /// Closes what has been silent for too long, and moves a drain along.
    fn sweep(&mut self, now: Moment) {
        if now < self.sweep_at {
            return;
        }
        self.sweep_at = now + self.sweep_every();
        let mut limits = self.plan.limits;
        if self.drain_until.is_some() {
            limits.after_fin = limits.after_fin.min(LINGER_DRAINING);
        }
        let quiet_after = self.quiet_after(now);
        let (mut over, mut quiet, mut blocked) = (Vec::new(), Vec::new(), Vec::new());
        for (key, connection) in &mut self.connections {
            if let Some(reason) = connection.expired(now, &limits) {
                over.push((key, reason));
            } else if quiet_after.is_some_and(|after| connection.is_quiet(now, after)) {
                quiet.push(key);
            } else if connection.stalled() > 0 {
                blocked.push(key);
            }
        }
        for (key, reason) in over {
            self.close(key, reason, now);
        }
        for key in quiet {
            // Bytes may have come whose event is still in the kernel: they were in time.
            self.turn(key, true, now);
            let after = quiet_after.unwrap_or(QUIET);
            let drains = |connection: &mut Connection| connection.drain(now, after);
            if self.connections.get_mut(key).is_some_and(drains) {
                self.turn(key, true, now);
            }
        }
        for key in blocked {
            // An edge tells of room in the socket's buffer; when it was the kernel's memory that
            // was short (tcp_mem, tcp(7)), nothing tells of its return.
            self.turn(key, true, now);
        }
    }

    /// While draining: the silence after which a connection has said all it had to say. Shortly
    /// before the deadline none is needed, so that everyone gets a FIN and nobody a reset.
    fn quiet_after(&self, now: Moment) -> Option<Duration> {
        let left = self.drain_until?.since(now);
        let last_call = LINGER_DRAINING.min(self.plan.limits.drain / 4);
        Some(if left <= last_call { Duration::ZERO } else { QUIET })
    }

    /// Looks at the stage; true when there is nothing left to do.
    fn ended(&mut self, now: Moment) -> bool {
        match self.shared.stage() {
            Stage::Serving => false,
            Stage::Ended => true,
            Stage::Draining => {
                if self.drain_until.is_none() {
                    self.shut_doors(now);
                }
                let over = self.drain_until.is_some_and(|deadline| deadline <= now);
                let owed = self.mailboxes.iter().any(|mailbox| mailbox.due().is_some());
                over || (self.connections.is_empty() && !owed)
            }
        }
    }

    /// Takes in who and what is already there, then no more.
    fn shut_doors(&mut self, now: Moment) {
        self.drain_until = Some(now + self.plan.limits.drain);
        // From here on connections are looked through more often.
        self.sweep_at = now;
        for index in 0..self.doors.len() {
            // Whoever waits has been told by the kernel that the connection stands.
            while self.accept(index, now) == Queue::MaybeMore {}
        }
        self.doors.clear();
        self.accept_again = None;
        for mailbox in &mut self.mailboxes {
            mailbox.close(now, &mut self.hot, &mut self.counters);
        }
    }
}

/// Whether a short read does not mean that the socket is empty: a FIN came with the bytes, or a
/// read stops before urgent data (RFC 9293, section 3.8.5; tcp(7)).
fn read_on(event: &Event) -> bool {
    event.is_read_closed() || event.is_priority()
}

fn interest() -> Interest {
    let both = Interest::READABLE | Interest::WRITABLE;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let both = both | Interest::PRIORITY;
    both
}
