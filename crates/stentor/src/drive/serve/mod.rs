//! The service on real sockets: a plan becomes bound sockets, threads, and in the end counters.
//!
//! What is answered is decided in core; `reactor` and `blocking` are the two ways to carry it.

pub(in crate::drive) mod bind;
mod blocking;
mod connection;
mod mailbox;
mod reactor;
mod shared;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use mio::{Poll, Waker};
use stentor_core::moment::Moment;
use stentor_core::seed::Seed;
use stentor_core::service::Contract;
use stentor_core::service::counters::Counters;
use stentor_core::service::fault::Faults;
use stentor_core::service::guard::Settings;
use stentor_core::service::limits::Limits;
use stentor_os::failure::Failure;

pub use bind::{Address, Wanted};

use crate::complaint::{Complaint, Exit};
use bind::{Bound, SocketFile, Sockets, Tuning};
use blocking::Acceptor;
use reactor::{Reactor, WAKER};
use shared::{Shared, Stage};

/// How connections are carried: the reactor to serve, the others to be compared with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// A readiness loop on every core
    #[default]
    Reactor,
    /// A thread for each connection
    Threads,
    /// A process for each connection (fork)
    Processes,
    /// One connection after the other, as the lecture's first server
    Iterative,
}

/// Everything a service is started with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to listen.
    pub addresses: Vec<Wanted>,
    /// What to answer.
    pub contract: Contract,
    /// What to do wrong on purpose.
    pub faults: Faults,
    /// From which the faults' chance follows.
    pub seed: Seed,
    /// How connections are carried.
    pub mode: Mode,
    /// Loops of the reactor, each with its own listening sockets; the other modes have one.
    pub threads: usize,
    /// Times and numbers that bound what a client can cost.
    pub limits: Limits,
    /// What keeps two services from answering each other for ever; `None`: nothing does.
    pub guard: Option<Settings>,
    /// Whether to end after the first connection or the first answered datagram.
    pub once: bool,
    /// Whether the reactor's threads never sleep: each takes a core for itself, and answers sooner.
    pub spin: bool,
    /// The congestion control of TCP connections; `None`: the system's.
    pub congestion: Option<String>,
}

impl Plan {
    /// The service as it is by default, on the loopback addresses at `port` (0: a free one).
    ///
    /// # Errors
    /// The system does not say how many descriptors there may be.
    pub fn loopback(port: u16) -> Result<Plan, Complaint> {
        let named = |error| Failure::new("getrlimit", "RLIMIT_NOFILE", error);
        let descriptors = stentor_os::limits::raise_descriptors().map_err(named)?;
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        Ok(Plan {
            addresses: vec![
                Wanted { address: Address::Tcp(v4), optional: false },
                Wanted { address: Address::Udp(v4), optional: false },
                Wanted { address: Address::Tcp(v6), optional: true },
                Wanted { address: Address::Udp(v6), optional: true },
            ],
            contract: Contract::default(),
            faults: Faults::default(),
            seed: Seed(0),
            mode: Mode::Reactor,
            threads: thread::available_parallelism().map_or(1, usize::from),
            limits: Limits::new(descriptors),
            guard: Some(Settings { seed: Seed(0) }),
            once: false,
            spin: false,
            congestion: None,
        })
    }
}

/// A service that is up.
#[derive(Debug)]
pub struct Running {
    /// Where it is to be had, with the ports that were got.
    pub addresses: Vec<Address>,
    /// Addresses that this system does not have, and were not insisted on.
    pub missing: Vec<Failure>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<io::Result<Counters>>>,
    /// Every thread holds the other end: closed when the last one has ended.
    over: UnixStream,
    /// Removed when the service has ended.
    files: Vec<SocketFile>,
}

/// Binds everything and starts to serve.
///
/// # Errors
/// The first address that cannot be had.
pub fn start(plan: Plan) -> Result<Running, Failure> {
    let alone = plan.mode != Mode::Reactor || plan.once;
    let count = if alone { 1 } else { plan.threads.max(1) };
    let tuning = Tuning {
        backlog: plan.limits.backlog,
        congestion: plan.congestion.as_deref(),
        busy_poll: plan.spin,
    };
    let mut bound = bind::bind(&plan.addresses, count, &tuning)?;
    let own_ports: Vec<u16> = bound.addresses.iter().filter_map(udp_port).collect();

    let failed = |error| Failure::new("epoll_create", "the readiness loop", error);
    let mut polls = Vec::new();
    let mut wakers = Vec::new();
    for _ in &bound.sets {
        let poll = Poll::new().map_err(failed)?;
        wakers.push(Waker::new(poll.registry(), WAKER).map_err(failed)?);
        polls.push(poll);
    }
    let (plan, shared) = (Arc::new(plan), Arc::new(Shared::new(wakers)));
    let (over, serving) = UnixStream::pair().map_err(failed)?;
    let mut threads = Vec::new();
    for (poll, sockets) in polls.into_iter().zip(std::mem::take(&mut bound.sets)) {
        let (plan, shared) = (Arc::clone(&plan), Arc::clone(&shared));
        let serving = serving.try_clone().map_err(failed)?;
        let work = prepare(plan, shared, poll, sockets, &own_ports).map_err(failed)?;
        let work = move || {
            let done = work();
            drop(serving);
            done
        };
        let builder = thread::Builder::new().name("serve".to_owned());
        threads.push(builder.spawn(work).map_err(failed)?);
    }
    let Bound { addresses, missing, files, .. } = bound;
    Ok(Running { addresses, missing, shared, threads, over, files })
}

/// What one thread does until it has drained.
type Work = Box<dyn FnOnce() -> io::Result<Counters> + Send>;

/// Makes a thread's loop, with its sockets registered.
fn prepare(
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    poll: Poll,
    sockets: Sockets,
    own_ports: &[u16],
) -> io::Result<Work> {
    match plan.mode {
        Mode::Reactor => {
            let reactor = Reactor::new(plan, shared, poll, sockets, own_ports)?;
            Ok(Box::new(move || reactor.run()))
        }
        Mode::Threads | Mode::Processes | Mode::Iterative => {
            let acceptor = Acceptor::new(plan, shared, poll, sockets, own_ports)?;
            Ok(Box::new(move || acceptor.run()))
        }
    }
}

fn udp_port(address: &Address) -> Option<u16> {
    match address {
        Address::Udp(address) => Some(address.port()),
        Address::Tcp(_) | Address::Unix(_) => None,
    }
}

impl Running {
    /// The TCP addresses, in the order of the plan.
    pub fn tcp(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses.iter().filter_map(|address| match address {
            Address::Tcp(address) => Some(*address),
            Address::Udp(_) | Address::Unix(_) => None,
        })
    }

    /// The UDP addresses, in the order of the plan.
    pub fn udp(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses.iter().filter_map(|address| match address {
            Address::Udp(address) => Some(*address),
            Address::Tcp(_) | Address::Unix(_) => None,
        })
    }

    /// Begins the orderly end: no new connections, what arrived is answered.
    pub fn drain(&self) {
        self.shared.advance(Stage::Draining);
    }

    /// Ends without waiting for anybody.
    pub fn abort(&self) {
        self.shared.advance(Stage::Ended);
    }

    /// Whether every thread has ended: after [`Running::drain`], or by itself with `once`.
    pub fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Readable when every thread has ended, or is about to: for poll(2).
    pub fn over(&self) -> BorrowedFd<'_> {
        self.over.as_fd()
    }

    /// Waits until every thread has ended, and adds up what they did.
    ///
    /// # Errors
    /// A thread that the kernel let down.
    pub fn finish(self) -> Result<Counters, Complaint> {
        let mut all = Counters::default();
        let mut failure = None;
        for thread in self.threads {
            match thread.join() {
                Ok(Ok(counters)) => all.merge(&counters),
                Ok(Err(error)) => {
                    failure = Some(Failure::new("epoll_wait", "the readiness loop", error).into());
                }
                Err(_) => {
                    let what = "a thread of the service panicked; the report above says where";
                    failure = Some(Complaint::new(Exit::Environment, what, ""));
                }
            }
        }
        drop(self.files);
        failure.map_or(Ok(all), Err)
    }

    /// [`Running::drain`], then [`Running::finish`].
    ///
    /// # Errors
    /// As [`Running::finish`].
    pub fn stop(self) -> Result<Counters, Complaint> {
        self.drain();
        self.finish()
    }
}

/// The present, on the clock of this process.
fn now() -> Moment {
    Moment::from_nanos(stentor_os::clock::nanoseconds())
}
