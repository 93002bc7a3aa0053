//! The readiness loop of one thread: its lanes, their sockets, and the moments they wait for.
//!
//! The clock is read once a turn, sockets are registered once (edge-triggered, epoll(7)), and once
//! buffers have grown a request costs a read, a write, and its share of a wait. What to send and
//! what became of it is decided by the lanes of core.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use stentor_core::load::{Failure, Input, Lane, Output, Plan, Tally};
use stentor_core::moment::Moment;
use stentor_os::net::datagrams::Batch;
use stentor_os::net::dial;
use stentor_os::timer::Timer;

use super::alarms::Alarms;
use super::course::{Course, Report};
use super::open::{self, Opened, Peer, Way};
use super::troubles::Troubles;
use super::way::{Channel, Written};
use crate::drive::race;

/// Rung by whoever wants a worker to look at the stage.
pub(super) const WAKER: Token = Token(0);
const TIMER: Token = Token(1);
const FIRST_LANE: usize = 2;
/// Events taken from the kernel at a time: the moment of the last one is off by what the others
/// took, some 10 us each.
const EVENTS: usize = 64;
/// Bytes read at a time.
const READ: usize = 64 * 1024;
/// Reads of one lane before the others have their turn.
const READS_PER_TURN: usize = 8;
/// A timer rings late by about as much as it takes to wake a processor; the rest is waited for
/// without sleeping.
const SPIN: Duration = Duration::from_micros(50);

/// How far a run is; every worker looks at it when it is woken.
#[derive(Debug, Default)]
pub(super) struct Stage(AtomicU8);

impl Stage {
    /// Asks for the end: the first time in order, the second at once.
    pub(super) fn advance(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// What a worker starts with.
pub(super) struct Start {
    pub(super) plan: Arc<Plan>,
    pub(super) peer: Peer,
    pub(super) stage: Arc<Stage>,
    /// Made with the waker of [`WAKER`].
    pub(super) poll: Poll,
    /// The lanes of this thread with their open sockets.
    pub(super) lanes: Vec<(Lane, Opened)>,
    /// Whether requests are so far apart that waiting for them without sleeping costs little.
    pub(super) spin: bool,
    pub(super) course: Course,
}

/// One lane and its socket.
struct Place {
    lane: Lane,
    channel: Option<Channel>,
    /// An open socket for the first connection that the lane asks for.
    first: Option<Way>,
    done: bool,
}

/// What stands between the lanes and the kernel; apart from them, so that both can be lent.
struct Link {
    peer: Peer,
    /// Requests that a lane has just made.
    out: Vec<u8>,
    /// Of datagrams: the length of each of them.
    lengths: Vec<usize>,
    tally: Tally,
    troubles: Troubles,
    last_sent: Moment,
    /// Lanes that had more to read when their share was used up.
    unfinished: Vec<usize>,
}

/// One thread's loop.
pub(super) struct Worker {
    stage: Arc<Stage>,
    seen: u8,
    poll: Poll,
    timer: Option<Timer>,
    /// When the timer rings, if it has not.
    armed: Option<Moment>,
    spin: bool,
    places: Vec<Place>,
    left: usize,
    alarms: Alarms,
    link: Link,
    input: Vec<u8>,
    batch: Batch,
    course: Course,
}

impl Worker {
    /// Takes over the lanes and their sockets.
    ///
    /// # Errors
    /// The system lets no timer or socket be registered.
    pub(super) fn new(start: Start) -> io::Result<Worker> {
        let timer = match Timer::new() {
            Ok(timer) => Some(timer),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
            Err(error) => return Err(error),
        };
        if let Some(timer) = &timer {
            let fd = timer.as_raw_fd();
            start.poll.registry().register(&mut SourceFd(&fd), TIMER, Interest::READABLE)?;
        }
        let count = start.lanes.len();
        let mut places = Vec::with_capacity(count);
        let mut connecting = Vec::with_capacity(count);
        for (lane, (way, took)) in start.lanes {
            connecting.push(took);
            places.push(Place { lane, channel: None, first: Some(way), done: false });
        }
        let began = race::now();
        let link = Link {
            peer: start.peer,
            out: Vec::with_capacity(READ),
            lengths: Vec::new(),
            tally: Tally::new(),
            troubles: Troubles::default(),
            last_sent: start.plan.start,
            unfinished: Vec::with_capacity(count),
        };
        let mut worker = Worker {
            stage: start.stage,
            seen: 0,
            poll: start.poll,
            timer,
            armed: None,
            spin: start.spin,
            alarms: Alarms::new(count),
            left: count,
            places,
            link,
            input: vec![0; READ],
            batch: Batch::default(),
            course: start.course,
        };
        for index in 0..count {
            worker.turn(index, began);
        }
        // The lanes were given sockets that were open: how long that took is known from before.
        worker.link.tally.connect.clear();
        for took in connecting {
            worker.link.tally.connect.record(took);
        }
        Ok(worker)
    }

    /// Runs until every lane is done, and hands over what was counted.
    pub(super) fn run(mut self) -> io::Result<Report> {
        let mut events = Events::with_capacity(EVENTS);
        let mut now = race::now();
        loop {
            self.ring(now);
            self.course.look(now, &mut self.link.tally);
            if self.left == 0 {
                let Link { tally, troubles, last_sent, .. } = self.link;
                let tally = self.course.end(now, tally);
                return Ok(Report { tally, troubles, ended: now, last_sent });
            }
            let timeout = self.timeout(now)?;
            match self.poll.poll(&mut events, timeout) {
                // Then there are no events.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
                other => other?,
            }
            now = race::now();
            for event in &events {
                match event.token() {
                    WAKER => self.look_at_stage(now),
                    TIMER => self.armed = None,
                    Token(token) => self.hear(token.saturating_sub(FIRST_LANE), event, now),
                }
            }
            self.finish_reading(now);
        }
    }

    /// Asks every lane whose moment has come.
    fn ring(&mut self, now: Moment) {
        while let Some((at, index)) = self.alarms.first()
            && at <= now
        {
            self.alarms.set(index, None);
            self.turn(index, now);
        }
    }

    /// How long the kernel may keep us: until the timer rings that is set here.
    fn timeout(&mut self, now: Moment) -> io::Result<Option<Duration>> {
        if !self.link.unfinished.is_empty() {
            return Ok(Some(Duration::ZERO));
        }
        let next =
            self.alarms.first().map_or(self.course.next(), |(at, _)| at.min(self.course.next()));
        let left = next.since(now);
        let Some(timer) = &self.timer else { return Ok(Some(left)) };
        if self.spin && left <= SPIN {
            return Ok(Some(Duration::ZERO));
        }
        // Requests that are closer together than a wait is exact go out together.
        let wanted = if self.spin { now + (left - SPIN) } else { next.max(now + SPIN) };
        if self.armed.is_none_or(|armed| wanted < armed) {
            timer.set(wanted.as_nanos())?;
            self.armed = Some(wanted);
        }
        Ok(None)
    }

    /// A person wants the end: the first time in order, then at once.
    fn look_at_stage(&mut self, now: Moment) {
        let stage = self.stage.0.load(Ordering::Acquire);
        if stage == self.seen {
            return;
        }
        self.seen = stage;
        for index in 0..self.places.len() {
            if let Some(place) = self.places.get_mut(index) {
                let input = if stage > 1 { Input::Abort } else { Input::Stop };
                place.lane.handle(now, input, &mut self.link.tally);
            }
            self.turn(index, now);
        }
    }

    /// An event of a lane's socket.
    fn hear(&mut self, index: usize, event: &Event, now: Moment) {
        let Some(place) = self.places.get_mut(index) else { return };
        let Some(channel) = &mut place.channel else { return };
        if !channel.open {
            match connected(channel) {
                Ok(false) => return,
                Ok(true) => {
                    channel.open = true;
                    place.lane.handle(now, Input::Connected, &mut self.link.tally);
                }
                Err(error) => {
                    self.link.troubles.note("connect", &error);
                    place.channel = None;
                    place.lane.handle(now, Input::Refused, &mut self.link.tally);
                }
            }
            return self.turn(index, now);
        }
        if event.is_writable() && channel.is_blocked() {
            self.link.go_on(place, now);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(index, now, event.is_read_closed() || event.is_error());
        }
        self.turn(index, now);
    }

    /// Takes what has come for a lane. A read that did not fill the buffer has emptied the socket,
    /// unless the event said that there is an end behind it (`to_the_end`).
    fn read(&mut self, index: usize, now: Moment, to_the_end: bool) {
        let Some(place) = self.places.get_mut(index) else { return };
        for _ in 0..READS_PER_TURN {
            let more = match &place.channel {
                Some(Channel { way: Way::Stream(_), .. }) => {
                    self.link.read_stream(place, &mut self.input, now, to_the_end)
                }
                Some(Channel { way: Way::Packets(_), .. }) => {
                    self.link.read_packets(place, &mut self.batch, now, to_the_end)
                }
                None => false,
            };
            if !more {
                return;
            }
        }
        if !self.link.unfinished.contains(&index) {
            self.link.unfinished.push(index);
        }
    }

    /// Gives those their turn again that had more to read.
    fn finish_reading(&mut self, now: Moment) {
        for _ in 0..self.link.unfinished.len() {
            // Whoever has still more stands at the end again.
            let index = self.link.unfinished.remove(0);
            self.read(index, now, true);
            self.turn(index, now);
        }
    }

    /// Does what a lane wants, until it waits.
    fn turn(&mut self, index: usize, now: Moment) {
        let Some(place) = self.places.get_mut(index) else { return };
        if place.done {
            return;
        }
        loop {
            let before = self.link.out.len();
            match place.lane.poll(now, &mut self.link.out, &mut self.link.tally) {
                Output::Send => self.link.lengths.push(self.link.out.len() - before),
                Output::Wait(at) => {
                    // What could not be sent changes what the lane wants.
                    if self.link.flush(place, now) {
                        return self.alarms.no_later(index, at);
                    }
                }
                Output::Connect => self.link.connect(place, index, &self.poll, now),
                Output::Close => {
                    self.link.flush(place, now);
                    place.channel = None;
                }
                Output::Done => {
                    self.link.flush(place, now);
                    place.channel = None;
                    place.done = true;
                    self.left -= 1;
                    return self.alarms.set(index, None);
                }
            }
        }
    }
}

/// How an attempt to connect stands.
fn connected(channel: &Channel) -> io::Result<bool> {
    match &channel.way {
        Way::Stream(socket) => dial::outcome(socket),
        Way::Packets(_) => Ok(true),
    }
}

impl Link {
    /// Opens a connection for a lane, or takes the one that waits for it.
    fn connect(&mut self, place: &mut Place, index: usize, poll: &Poll, now: Moment) {
        let (way, open) = match place.first.take() {
            Some(way) => (Ok(way), true),
            None => (open::begin(&self.peer), matches!(self.peer, Peer::Udp(_))),
        };
        let registered =
            way.map_err(|failure| (failure.operation, failure.error)).and_then(|way| {
                let fd = way.as_raw_fd();
                let interest = Interest::READABLE | Interest::WRITABLE;
                let token = Token(FIRST_LANE + index);
                let done = poll.registry().register(&mut SourceFd(&fd), token, interest);
                done.map(|()| way).map_err(|error| ("epoll_ctl", error))
            });
        match registered {
            Ok(way) => {
                place.channel = Some(Channel::new(way, open));
                if open {
                    place.lane.handle(now, Input::Connected, &mut self.tally);
                }
            }
            Err((operation, error)) => {
                self.troubles.note(operation, &error);
                place.lane.handle(now, Input::Refused, &mut self.tally);
            }
        }
    }

    /// Writes what a lane has made. `false`: something went wrong that the lane was told of.
    fn flush(&mut self, place: &mut Place, now: Moment) -> bool {
        if self.lengths.is_empty() {
            return true;
        }
        self.last_sent = now;
        let written = match (&mut place.channel, self.peer.packets()) {
            (Some(channel), Some(peer)) => channel.send(peer, &self.out, &self.lengths),
            (Some(channel), None) => channel.write(&self.out),
            (None, _) => Written::All,
        };
        self.out.clear();
        self.lengths.clear();
        self.settle(place, written, now)
    }

    /// Goes on with what the kernel did not take before.
    fn go_on(&mut self, place: &mut Place, now: Moment) {
        let written = match (&mut place.channel, self.peer.packets()) {
            (Some(channel), Some(peer)) => channel.go_on_sending(peer),
            (Some(channel), None) => channel.go_on(),
            (None, _) => Written::All,
        };
        self.settle(place, written, now);
    }

    /// Tells the lane of a write that was refused, and sends again what a refused datagram kept
    /// back.
    fn settle(&mut self, place: &mut Place, mut written: Written, now: Moment) -> bool {
        let mut well = true;
        while let Written::Refused(error) = written {
            well = false;
            self.refused(place, "send", &error, now);
            written = match (&mut place.channel, self.peer.packets()) {
                (Some(channel), Some(peer)) => channel.go_on_sending(peer),
                (Some(_) | None, _) => Written::All,
            };
        }
        well
    }

    /// Notes an error of a socket; of a stream it is the end, of datagrams only if it says so.
    fn refused(&mut self, place: &mut Place, call: &'static str, error: &io::Error, now: Moment) {
        self.troubles.note(call, error);
        let datagrams = self.peer.packets().is_some();
        let is = |kind| error.kind() == kind;
        let failure = if datagrams {
            if !is(io::ErrorKind::ConnectionRefused) {
                // The kernel would not take this datagram; it is lost like any other.
                return;
            }
            Failure::Refused
        } else if is(io::ErrorKind::ConnectionReset) || is(io::ErrorKind::BrokenPipe) {
            Failure::Reset
        } else {
            Failure::System
        };
        if !datagrams {
            place.channel = None;
        }
        place.lane.handle(now, Input::Failed(failure), &mut self.tally);
    }

    /// Reads once from a stream; whether there may be more.
    fn read_stream(
        &mut self,
        place: &mut Place,
        input: &mut [u8],
        now: Moment,
        to_the_end: bool,
    ) -> bool {
        let Some(channel) = &place.channel else { return false };
        match channel.read(input) {
            Ok(0) => {
                place.channel = None;
                place.lane.handle(now, Input::Closed, &mut self.tally);
                false
            }
            Ok(count) => {
                let came = input.get(..count).unwrap_or_default();
                place.lane.handle(now, Input::Received(came), &mut self.tally);
                to_the_end || count == input.len()
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(error) => {
                self.refused(place, "recv", &error, now);
                false
            }
        }
    }

    /// Receives a batch of datagrams; whether there may be more.
    fn read_packets(
        &mut self,
        place: &mut Place,
        batch: &mut Batch,
        now: Moment,
        to_the_end: bool,
    ) -> bool {
        let Some(Channel { way: Way::Packets(datagrams), .. }) = &place.channel else {
            return false;
        };
        match datagrams.receive(batch) {
            Ok(()) => {
                for mut received in batch.received() {
                    for datagram in received.datagrams() {
                        place.lane.handle(now, Input::Received(datagram), &mut self.tally);
                    }
                }
                to_the_end || batch.is_full()
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => {
                self.refused(place, "recv", &error, now);
                true
            }
        }
    }
}

impl Peer {
    /// The address of a peer that is sent datagrams.
    fn packets(&self) -> Option<SocketAddr> {
        match self {
            Peer::Udp(address) => Some(*address),
            Peer::Tcp(_) | Peer::Unix(_) => None,
        }
    }
}
