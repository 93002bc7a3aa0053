//! The thread that carries packets: out of one TUN device, through the link, into the other.
//!
//! It sleeps until a packet comes or shortly before one is due, waits for the rest of the time
//! without sleeping, and says how late it was all the same.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use stentor_core::link::{Decision, Direction, Link, Output, Scenario, Turn, Unit};
use stentor_core::moment::Moment;
use stentor_os::clock::{self, Stamp};
use stentor_os::failure::Failure;
use stentor_os::namespace::Network;
use stentor_os::net::socket_table::{self, Table};
use stentor_os::priority;
use stentor_os::timer::Timer;

use super::ends::{End, Lab, MTU_BYTES};
use super::passage::{Carried, Passage, Witness};
use super::settings::Settings;
use crate::complaint::Complaint;

/// So long before a delivery is due the thread stops sleeping: a timer wakes it some 50 us late.
const SPIN: Duration = Duration::from_micros(50);
/// The shortest slice that the scheduler gives.
const SLICE_NS: u64 = 100_000;
/// Packets taken from one end before the other has its turn.
const BATCH: usize = 64;
/// How long what is inside may take to arrive after the link was told to stop.
const ENDING: Duration = Duration::from_secs(3);

const TIMER: Token = Token(0);
const WAKER: Token = Token(1);
const UP: Token = Token(2);
const DOWN: Token = Token(3);

/// What a link is doing, for those who wait for it to fall silent.
#[derive(Debug, Default)]
pub struct Activity {
    inside: AtomicU64,
    last_ns: AtomicU64,
    stop: AtomicBool,
}

impl Activity {
    /// Packets on their way.
    pub fn inside(&self) -> u64 {
        self.inside.load(Ordering::Acquire)
    }

    /// For how long nothing has gone in or come out; nothing while something is inside.
    pub fn silence(&self) -> Duration {
        if self.inside() > 0 {
            return Duration::ZERO;
        }
        let last = self.last_ns.load(Ordering::Acquire);
        Duration::from_nanos(clock::nanoseconds().saturating_sub(last))
    }
}

/// A link at work; dropped, it ends without a word.
#[derive(Debug)]
pub struct Running {
    networks: [Arc<Network>; 2],
    activity: Arc<Activity>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<io::Result<Carried>>>,
}

impl Lab {
    /// Starts the link between the two ends. Moments count from `began`; of each packet
    /// `bytes_max` bytes are kept, of none if that is none.
    ///
    /// # Errors
    /// What makes no sense for packets, and a thread that cannot be started.
    pub fn begin(
        self,
        settings: Settings,
        began: Stamp,
        bytes_max: Option<usize>,
    ) -> Result<Running, Complaint> {
        let networks = [self.server().clone(), self.client().clone()];
        let activity = Arc::new(Activity::default());
        let up = settings.link(Direction::Up)?;
        let down = settings.link(Direction::Down)?;
        let failed = |error| Failure::new("make", "a loop of readiness and a timer", error);
        let poll = Poll::new().map_err(failed)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(failed)?);
        let timer = Timer::new().map_err(failed)?;
        let carrier = Carrier {
            ways: [
                Way { direction: Direction::Up, link: up, refused: 0 },
                Way { direction: Direction::Down, link: down, refused: 0 },
            ],
            ends: [self.client, self.server],
            scenario: settings.scenario.clone(),
            settings,
            clock: Clock { began_ns: began.monotonic_ns },
            timer,
            activity: activity.clone(),
            witness: Witness::new(bytes_max),
            decisions: Vec::new(),
            packet: vec![0; 1 << 16],
        };
        carrier.register(&poll).map_err(failed)?;
        let thread = std::thread::Builder::new().name("link".to_owned());
        let thread = thread.spawn(move || carrier.run(poll));
        let thread =
            thread.map_err(|error| Failure::new("start", "the thread of the link", error))?;
        Ok(Running { networks, activity, waker, thread: Some(thread) })
    }
}

impl Running {
    /// The network of the server: for programs and threads that shall be there.
    pub fn server(&self) -> &Arc<Network> {
        let [server, _] = &self.networks;
        server
    }

    /// The network of the client.
    pub fn client(&self) -> &Arc<Network> {
        let [_, client] = &self.networks;
        client
    }

    /// What the link is doing.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Whether neither end owes the other anything: no byte and no FIN that is not acknowledged. True
    /// also where the tables of sockets cannot be read.
    pub fn settled(&self) -> bool {
        self.networks.iter().all(|network| {
            let network = network.clone();
            // A thread of its own: the table is that of the network it is in.
            let look = std::thread::spawn(move || network.enter().is_err() || nothing_owed());
            look.join().unwrap_or(true)
        })
    }

    /// Stops the link once what is inside has arrived, after three seconds at the latest.
    ///
    /// # Errors
    /// What the kernel refused while it ran.
    pub fn stop(mut self) -> Result<Carried, Complaint> {
        self.tell();
        let Some(thread) = self.thread.take() else { return Ok(Carried::default()) };
        let panicked = |_| io::Error::other("the thread of the link panicked");
        let carried = thread.join().map_err(panicked).and_then(|carried| carried);
        carried.map_err(|error| Failure::new("carry packets", "the lab link", error).into())
    }

    fn tell(&self) {
        self.activity.stop.store(true, Ordering::Release);
        // It can only fail when the thread has gone.
        let _ = self.waker.wake();
    }
}

/// Looks at the sockets of this thread's network.
fn nothing_owed() -> bool {
    let rows = [Table::Tcp, Table::Tcp6].map(socket_table::read_here);
    rows.into_iter().flatten().flatten().all(|row| {
        let waits = ["SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "CLOSING", "LAST-ACK"];
        row.send_queue_bytes == 0 && !waits.contains(&row.state)
    })
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tell();
    }
}

/// One direction.
#[derive(Debug)]
struct Way {
    direction: Direction,
    link: Link<Vec<u8>>,
    refused: u64,
}

/// The clock of the link's moments, which began when its caller says.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// On CLOCK_MONOTONIC.
    began_ns: u64,
}

impl Clock {
    fn now(self) -> Moment {
        let monotonic = clock::nanoseconds().saturating_add(clock::began_ns());
        Moment::from_nanos(monotonic.saturating_sub(self.began_ns))
    }

    /// The moment on the clock of [`clock::nanoseconds`].
    fn alarm(self, at: Moment) -> u64 {
        at.as_nanos().saturating_add(self.began_ns).saturating_sub(clock::began_ns())
    }
}

struct Carrier {
    /// Up, down.
    ways: [Way; 2],
    /// The client's and the server's: where each way begins.
    ends: [End; 2],
    scenario: Scenario,
    settings: Settings,
    clock: Clock,
    timer: Timer,
    activity: Arc<Activity>,
    witness: Witness,
    decisions: Vec<Decision>,
    packet: Vec<u8>,
}

impl Carrier {
    fn register(&self, poll: &Poll) -> io::Result<()> {
        let [client, server] = &self.ends;
        let watched = [
            (client.tun.as_raw_fd(), UP),
            (server.tun.as_raw_fd(), DOWN),
            (self.timer.as_raw_fd(), TIMER),
        ];
        for (fd, token) in watched {
            poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        }
        Ok(())
    }

    fn run(mut self, mut poll: Poll) -> io::Result<Carried> {
        // On a busy machine a thread that was woken waits for milliseconds, unless it may go before
        // others. Where neither is allowed, the lateness says what came of it.
        if priority::real_time().is_err() {
            let _ = priority::slices_of(SLICE_NS);
        }
        let mut events = Events::with_capacity(8);
        let mut until = None;
        loop {
            let turned = self.turn_knobs();
            let more = self.take(0)? | self.take(1)?;
            let due = self.deliver();
            let now = self.clock.now();
            if self.activity.stop.load(Ordering::Acquire) {
                let until = *until.get_or_insert(now + ENDING);
                if !more && self.activity.inside() == 0 || now >= until {
                    return self.finish();
                }
            }
            if more {
                continue;
            }
            // What stops is looked at again while it stops.
            let stopping = until.map(|_| now + Duration::from_millis(10));
            let next = [turned, due, stopping].into_iter().flatten().min();
            if !self.sleep(now, next)? {
                std::hint::spin_loop();
                continue;
            }
            match poll.poll(&mut events, None) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Sets the timer; false if there is no time to sleep until `next`.
    fn sleep(&self, now: Moment, next: Option<Moment>) -> io::Result<bool> {
        let Some(next) = next else {
            self.timer.unset()?;
            return Ok(true);
        };
        if next.since(now) <= SPIN {
            return Ok(false);
        }
        let spin = u64::try_from(SPIN.as_nanos()).unwrap_or(0);
        self.timer.set(self.clock.alarm(next).saturating_sub(spin))?;
        Ok(true)
    }

    /// Turns the knobs whose time has come; gives when the next are turned.
    fn turn_knobs(&mut self) -> Option<Moment> {
        loop {
            let now = self.clock.now();
            match self.scenario.poll(now) {
                Turn::Wait(next) => return Some(next),
                Turn::Over => return None,
                Turn::Set(at, spec) => {
                    for way in &mut self.ways {
                        let knobs = spec.direction(way.direction);
                        // Every setting was checked before the run, and its trace read.
                        let set = way.link.set(at.max(now), knobs, self.settings.trace(knobs));
                        debug_assert!(set.is_ok(), "{set:?}");
                    }
                }
            }
        }
    }

    /// Hands the link what waits at the beginning of a way; says whether there may be more.
    fn take(&mut self, way: usize) -> io::Result<bool> {
        for _ in 0..BATCH {
            if !self.take_one(way)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// False if nothing waits there.
    fn take_one(&mut self, number: usize) -> io::Result<bool> {
        let (Some(way), Some(end)) = (self.ways.get_mut(number), self.ends.get(number)) else {
            return Ok(false);
        };
        let length = match end.tun.read(&mut self.packet) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            read => read?,
        };
        let now = self.clock.now();
        let packet = self.packet.get(..length).unwrap_or_default();
        let corruptible = self.settings.strikes.within(packet);
        let excerpt = self.witness.excerpt(packet);
        let unit = Unit { payload: packet.to_vec(), bytes: length, corruptible };
        let (decisions, witness) = (&mut self.decisions, &mut self.witness);
        decisions.clear();
        let direction = way.direction;
        way.link.handle(now, unit, &mut |decision| {
            decisions.push(decision);
            witness.decided(direction, decision);
        });
        match excerpt {
            Some(bytes) => {
                let passage = Passage {
                    direction,
                    seq: way.link.counters().taken,
                    at: now,
                    bytes,
                    length: u32::try_from(length).unwrap_or(u32::MAX),
                    arrivals: Vec::new(),
                    dropped: None,
                    flipped: None,
                    overtook: false,
                };
                witness.took(passage, decisions);
            }
            None => witness.passed_over(),
        }
        self.busy();
        Ok(true)
    }

    /// Delivers what is due; gives when the next is.
    fn deliver(&mut self) -> Option<Moment> {
        let mut next = None;
        for number in [0, 1] {
            loop {
                let now = self.clock.now();
                // A way ends where the other begins.
                let end = self.ends.get(1 - number);
                let (Some(way), Some(end)) = (self.ways.get_mut(number), end) else { break };
                match way.link.poll(now) {
                    Output::Deliver(mut delivery) => {
                        delivery.flip();
                        // Before the kernel has it: the program that it wakes is never earlier.
                        self.witness.delivered(way.direction, delivery.seq, delivery.due, now);
                        // What a struck header made of it may be no packet at all.
                        way.refused += u64::from(end.tun.write(&delivery.payload).is_err());
                        self.busy();
                    }
                    Output::Wait(at) => {
                        next = Some(next.map_or(at, |next: Moment| next.min(at)));
                        break;
                    }
                    Output::Idle => break,
                }
            }
        }
        next
    }

    fn busy(&self) {
        let inside = self.ways.iter().map(|way| way.link.waiting()).sum();
        self.activity.last_ns.store(clock::nanoseconds(), Ordering::Release);
        self.activity.inside.store(inside, Ordering::Release);
    }

    fn finish(self) -> io::Result<Carried> {
        let mut carried = self.witness.finish();
        for (way, end) in self.ways.iter().zip(&self.ends) {
            let totals = match way.direction {
                Direction::Up => &mut carried.up,
                Direction::Down => &mut carried.down,
            };
            totals.link = way.link.counters();
            totals.inside = way.link.waiting();
            totals.refused = way.refused;
            totals.missed = end.tables.counters(end.tun.index())?.send_dropped;
        }
        Ok(carried)
    }
}

const _: () = assert!(MTU_BYTES < 1 << 16, "the buffer holds any packet of the link");
