//! The ways of the lecture: one connection after the other, a thread each, or a process each.
//!
//! They exist to be compared with the reactor, and so are honest: blocking reads and writes, the
//! same session in core, the same limits. UDP is answered by the thread that accepts.

mod conversation;

use std::cell::Cell;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::Socket;
use stentor_core::moment::Moment;
use stentor_core::service::Session;
use stentor_core::service::counters::Counters;
use stentor_core::service::fault::FaultyStream;
use stentor_os::net::listener;
use stentor_os::process::{self, Child};

use super::bind::Sockets;
use super::connection::Hot;
use super::mailbox::Mailbox;
use super::shared::{Refusal, Shared, Stage};
use super::{Mode, Plan, now};
use conversation::{Conversation, Line, Report};

/// Connections accepted before datagrams and ended conversations have their turn.
const ACCEPTS_PER_TURN: usize = 64;
/// How long to wait before the next accept when places, descriptors or memory are exhausted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often children are looked after whose last word is missing.
const REAP_EVERY: Duration = Duration::from_secs(1);

/// The thread that accepts, and answers datagrams.
pub(super) struct Acceptor {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    poll: Poll,
    doors: Vec<Socket>,
    mailboxes: Vec<Mailbox>,
    hot: Hot,
    counters: Counters,
    accept_again: Option<Moment>,
    drain_until: Option<Moment>,
    threads: (Sender<Report>, Receiver<Report>),
    family: Family,
}

/// Child processes and the two ways to talk with them.
struct Family {
    children: Vec<Child>,
    reaped: Moment,
    /// Each child's last word, one datagram each.
    reports: (UnixDatagram, UnixDatagram),
    /// Closed when the server ends: children read the end of this stream.
    stop: (Option<UnixStream>, UnixStream),
}

impl Family {
    fn new() -> io::Result<Family> {
        let reports = UnixDatagram::pair()?;
        reports.0.set_nonblocking(true)?;
        let stop = UnixStream::pair()?;
        stop.1.set_nonblocking(true)?;
        let stop = (Some(stop.0), stop.1);
        Ok(Family { children: Vec::new(), reaped: Moment::START, reports, stop })
    }

    /// The next last word that has come.
    fn report(&self) -> Option<Report> {
        let mut bytes = [0; Report::SIZE];
        let size = self.reports.0.recv(&mut bytes).ok()?;
        (size == Report::SIZE).then(|| Report::from_bytes(bytes))
    }
}

impl Acceptor {
    pub(super) fn new(
        plan: Arc<Plan>,
        shared: Arc<Shared>,
        poll: Poll,
        sockets: Sockets,
        own_ports: &[u16],
    ) -> io::Result<Acceptor> {
        let doors = sockets.listeners;
        let open = |socket| Mailbox::new(socket, &plan, own_ports);
        let mailboxes: Vec<Mailbox> = sockets.datagrams.into_iter().map(open).collect();
        let family = Family::new()?;
        let sources = doors.iter().map(AsRawFd::as_raw_fd);
        let sources = sources.chain(mailboxes.iter().map(AsRawFd::as_raw_fd));
        let sources = sources.chain([family.reports.0.as_raw_fd()]);
        for (index, fd) in sources.enumerate() {
            poll.registry().register(&mut SourceFd(&fd), Token(1 + index), Interest::READABLE)?;
        }
        Ok(Acceptor {
            plan,
            shared,
            poll,
            doors,
            mailboxes,
            hot: Hot::default(),
            counters: Counters::default(),
            accept_again: None,
            drain_until: None,
            threads: channel(),
            family,
        })
    }

    /// Serves until told to stop, and every conversation is over or the deadline has passed.
    pub(super) fn run(mut self) -> io::Result<Counters> {
        let mut events = Events::with_capacity(64);
        loop {
            match self.poll.poll(&mut events, self.timeout(now())) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => other?,
            }
            // Which source an event is of does not matter: each turn looks at all of them.
            self.receive();
            self.accept(ACCEPTS_PER_TURN, Stage::Serving);
            self.collect();
            if self.ended() {
                break;
            }
        }
        for child in self.family.children.drain(..) {
            // It may have ended by itself in the meantime, and then there is nothing to kill.
            let _ = child.kill();
        }
        while self.counters.open > 0 {
            Report::DRAINED.count(&mut self.counters);
        }
        Ok(self.counters)
    }

    fn timeout(&self, now: Moment) -> Option<Duration> {
        let mail = self.mailboxes.iter().filter_map(Mailbox::due).min();
        let children = !self.family.children.is_empty();
        let reap = children.then(|| self.family.reaped + REAP_EVERY);
        let next = [mail, self.accept_again, self.drain_until, reap];
        next.into_iter().flatten().min().map(|moment| moment.since(now))
    }

    fn receive(&mut self) {
        for mailbox in &mut self.mailboxes {
            mailbox.receive(now(), &mut self.hot, &mut self.counters);
        }
        if self.plan.once && self.counters.replies > 0 {
            self.shared.advance(Stage::Draining);
        }
    }

    /// Accepts and carries those who wait, at most `share` of them and as long as it is `stage`.
    fn accept(&mut self, share: usize, stage: Stage) {
        self.accept_again = None;
        let mut index = 0;
        for _ in 0..share {
            let Some(door) = self.doors.get(index) else { return };
            let late = self.drain_until.is_some_and(|deadline| deadline <= now());
            if late || self.shared.stage() != stage {
                return;
            }
            if !self.shared.admit(self.plan.limits.connections) {
                self.accept_again = Some(now() + ACCEPT_PAUSE);
                return;
            }
            match listener::accept(door) {
                Ok(socket) => self.welcome(socket),
                Err(error) => {
                    self.shared.release();
                    match self.shared.refusal(&error, &mut self.counters, now()) {
                        Refusal::Empty => index += 1,
                        Refusal::ThatOneOnly => {}
                        Refusal::Exhausted => {
                            self.accept_again = Some(now() + ACCEPT_PAUSE);
                            return;
                        }
                    }
                }
            }
        }
        self.accept_again = Some(now());
    }

    fn welcome(&mut self, socket: Socket) {
        self.counters.opened();
        if self.plan.once {
            self.doors.clear();
        }
        let faults = &self.plan.faults;
        let armed = || FaultyStream::new(faults, self.plan.seed, self.shared.serial());
        let faulty = (!faults.is_empty()).then(armed);
        let session = Session::new(self.plan.contract);
        let carried = match self.plan.mode {
            Mode::Threads => self.carry_by_thread(socket, session, faulty),
            Mode::Processes => self.carry_by_process(socket, session, faulty),
            Mode::Iterative | Mode::Reactor => {
                self.carry_here(socket, session, faulty);
                Ok(())
            }
        };
        if let Err(error) = carried {
            tracing::warn!("no {:?} for a connection: {error}", self.plan.mode);
            self.over(Report::LOST);
        }
    }

    /// The drain's deadline is kept here, since this thread is not in its loop meanwhile.
    fn carry_here(&mut self, socket: Socket, session: Session, faulty: Option<FaultyStream>) {
        let limits = &self.plan.limits;
        let drain_until = Cell::new(self.drain_until);
        let stage = || match self.shared.stage() {
            Stage::Draining => {
                let deadline = drain_until.get().unwrap_or_else(|| now() + limits.drain);
                drain_until.set(Some(deadline));
                if deadline <= now() { Stage::Ended } else { Stage::Draining }
            }
            stage @ (Stage::Serving | Stage::Ended) => stage,
        };
        let line = Line { socket, limits, stage: &stage };
        let report = Conversation { line, session, faulty }.run();
        self.drain_until = drain_until.get();
        self.over(report);
    }

    fn carry_by_thread(
        &self,
        socket: Socket,
        session: Session,
        faulty: Option<FaultyStream>,
    ) -> io::Result<()> {
        let (plan, shared) = (Arc::clone(&self.plan), Arc::clone(&self.shared));
        let reports = self.threads.0.clone();
        let work = move || {
            let stage = || shared.stage();
            let line = Line { socket, limits: &plan.limits, stage: &stage };
            let report = Conversation { line, session, faulty }.run();
            // Nobody listens any more once the deadline has passed.
            let _ = reports.send(report);
            shared.wake();
        };
        thread::Builder::new().name("conversation".to_owned()).spawn(work).map(drop)
    }

    fn carry_by_process(
        &mut self,
        socket: Socket,
        session: Session,
        faulty: Option<FaultyStream>,
    ) -> io::Result<()> {
        let ours = self.doors.iter().map(AsRawFd::as_raw_fd);
        let ours = ours.chain(self.mailboxes.iter().map(AsRawFd::as_raw_fd));
        let ours = ours.chain(self.family.stop.0.iter().map(AsRawFd::as_raw_fd));
        // Else children whose parent was killed would wait for ever for a reader of their reports.
        let ours = ours.chain([self.family.reports.0.as_raw_fd()]);
        let ours: Vec<RawFd> = ours.collect();
        let family = &self.family;
        let limits = &self.plan.limits;
        let child = process::fork_into(&ours, || {
            let stage = || match (&family.stop.1).read(&mut [0]) {
                Ok(0) => Stage::Draining,
                Ok(_) | Err(_) => Stage::Serving,
            };
            let line = Line { socket, limits, stage: &stage };
            let report = Conversation { line, session, faulty }.run();
            i32::from(family.reports.1.send(&report.to_bytes()).is_err())
        })?;
        self.family.children.push(child);
        Ok(())
    }

    /// Takes the last words of threads and children.
    fn collect(&mut self) {
        while let Ok(report) = self.threads.1.try_recv() {
            self.over(report);
        }
        while let Some(report) = self.family.report() {
            self.over(report);
        }
        let now = now();
        if !self.family.children.is_empty() && now.since(self.family.reaped) >= REAP_EVERY {
            self.family.reaped = now;
            self.reap();
        }
    }

    /// Takes ended children from the process table; whoever died without a last word is lost.
    fn reap(&mut self) {
        let mut living = Vec::new();
        for child in self.family.children.drain(..) {
            // Where our own parent had us ignore SIGCHLD, ended children are gone by themselves
            // (ECHILD, waitpid(2)); their last words, or what stands for them, are counted below.
            if !child.ended().unwrap_or(true) {
                living.push(child);
            }
        }
        self.family.children = living;
        while let Some(report) = self.family.report() {
            self.over(report);
        }
        while self.plan.mode == Mode::Processes
            && self.counters.open > self.family.children.len() as u64
        {
            self.over(Report::LOST);
        }
    }

    fn over(&mut self, report: Report) {
        report.count(&mut self.counters);
        self.shared.release();
        tracing::debug!(?report, "connection closed");
        if self.plan.once {
            self.shared.advance(Stage::Draining);
        }
    }

    /// Looks at the stage; true when there is nothing left to do.
    fn ended(&mut self) -> bool {
        match self.shared.stage() {
            Stage::Serving => false,
            Stage::Ended => true,
            Stage::Draining => {
                let deadline = now() + self.plan.limits.drain;
                self.drain_until.get_or_insert(deadline);
                // Closed once, with the doors.
                if self.family.stop.0.take().is_some() {
                    self.shut_doors();
                }
                let over = self.drain_until.is_some_and(|deadline| deadline <= now());
                let owed = self.mailboxes.iter().any(|mailbox| mailbox.due().is_some());
                over || (self.counters.open == 0 && !owed)
            }
        }
    }

    /// Takes in who and what is already there, then no more.
    fn shut_doors(&mut self) {
        let backlog = usize::try_from(self.plan.limits.backlog).unwrap_or(usize::MAX);
        let most = backlog.saturating_add(1).saturating_mul(self.doors.len());
        self.accept(most, Stage::Draining);
        self.doors.clear();
        self.accept_again = None;
        for mailbox in &mut self.mailboxes {
            mailbox.close(now(), &mut self.hot, &mut self.counters);
        }
    }
}
