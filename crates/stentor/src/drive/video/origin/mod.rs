//! The origin: HTTP/1.1 of a film or a folder, paced, and faulty on demand.
//!
//! `server` accepts and keeps the bounds, `connection` speaks HTTP with hyper, `answer` decides
//! what a request gets, from `film` or `folder`; `content` makes the bytes as they are sent, and
//! `wire` counts those that the kernel took. What is shown of it is left to the report: pages and
//! texts come with the plan.

mod answer;
mod connection;
mod content;
mod entity;
mod exchange;
mod film;
mod folder;
mod path;
mod range;
mod server;
mod shared;
mod watch;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::body::Bytes;
use stentor_core::moment::Moment;
use stentor_core::seed::Seed;
use stentor_core::units::BitRate;
use stentor_core::video::fault::Fault;
use stentor_os::failure::Failure;

pub use exchange::{Ended, Exchange, Totals};
pub use film::Catalogue;
pub use folder::{Folder, Listing};
pub use watch::{Queue, Sample};

use crate::complaint::{Complaint, Exit};
use crate::drive::serve::bind::{self, Bound, Tuning};
use crate::drive::serve::{Address, Wanted};
use shared::{Shared, Stage};

/// What is served, to whom, and how well.
#[derive(Debug)]
pub struct Plan {
    /// Where it listens: TCP addresses.
    pub addresses: Vec<Wanted>,
    /// What it serves.
    pub source: Source,
    /// Texts of its own, by their path; they come before what the source has there.
    pub pages: BTreeMap<String, Page>,
    /// Writes what `/requests` shows: the latest exchanges, the oldest first.
    pub requests: fn(&mut dyn Iterator<Item = &Exchange>) -> String,
    /// Writes what `/queues` shows: long answers, the oldest first.
    pub queues: fn(&[Queue]) -> String,
    /// Writes the page of a folder: its path without escapes, and its manifests.
    pub listing: fn(&[u8], &Listing) -> String,
    /// The rate of every connection, without the heads of its answers.
    pub rate: Option<BitRate>,
    /// What goes wrong on request.
    pub faults: Vec<Fault>,
    /// From which their chance follows.
    pub seed: Seed,
    /// Times and numbers that bound what a client can cost.
    pub limits: Limits,
    /// Is told of every exchange that has ended; what it has no room for is counted as lost.
    pub log: SyncSender<Exchange>,
}

/// Where the films are.
#[derive(Clone, Debug)]
pub enum Source {
    /// A generated film.
    Film(Arc<Catalogue>),
    /// A folder that other tools have made.
    Folder(Folder),
}

/// A text of the origin's own.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its media type.
    pub content: &'static str,
    /// The text.
    pub body: Bytes,
}

/// What bounds the cost of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once; the others wait in the backlog.
    pub connections: usize,
    /// How long a connection may be quiet between two requests.
    pub idle: Duration,
    /// How long the head of a request may take, from its first byte.
    pub head: Duration,
    /// How long a client may take nothing of its answer.
    pub write_stall: Duration,
    /// How long answers that were begun may go on after the first signal.
    pub drain: Duration,
}

impl Limits {
    /// The usual limits for a process that may have so many descriptors.
    pub fn new(descriptors: u64) -> Limits {
        let connections = usize::try_from(descriptors.saturating_sub(64)).unwrap_or(usize::MAX);
        Limits {
            connections: connections.max(1),
            idle: Duration::from_secs(75),
            head: Duration::from_secs(15),
            write_stall: Duration::from_secs(300),
            drain: Duration::from_secs(5),
        }
    }
}

/// Finished connections that may wait for accept, all threads together.
const BACKLOG: u32 = 1024;

/// An origin that is up.
#[derive(Debug)]
pub struct Running {
    /// Where it is to be had, with the ports that were got.
    pub addresses: Vec<SocketAddr>,
    /// Addresses that this system does not have, and were not insisted on.
    pub missing: Vec<Failure>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Every thread holds the other end: closed when the last one has ended.
    over: UnixStream,
}

/// Binds everything and starts to serve.
///
/// # Errors
/// The first address that cannot be had, or no room for the loops.
pub fn start(plan: Plan) -> Result<Running, Failure> {
    let count = thread::available_parallelism().map_or(1, usize::from);
    let tuning = Tuning { backlog: BACKLOG, congestion: None, busy_poll: false };
    let Bound { sets, addresses, missing, .. } = bind::bind(&plan.addresses, count, &tuning)?;
    let failed = |error: io::Error| Failure::new("epoll_create", "the origin's loop", error);
    let shared = Arc::new(Shared::new(plan));
    let (over, serving) = UnixStream::pair().map_err(failed)?;
    let mut threads = Vec::new();
    for set in sets {
        let serving = serving.try_clone().map_err(failed)?;
        let run = server::prepare(set.listeners, Arc::clone(&shared)).map_err(failed)?;
        let run = move || {
            run();
            drop(serving);
        };
        let builder = thread::Builder::new().name("origin".to_owned());
        threads.push(builder.spawn(run).map_err(failed)?);
    }
    let inet = |address: &Address| match address {
        Address::Tcp(address) => Some(*address),
        Address::Udp(_) | Address::Unix(_) => None,
    };
    let addresses = addresses.iter().filter_map(inet).collect();
    Ok(Running { addresses, missing, shared, threads, over })
}

impl Running {
    /// Begins the orderly end: no new connections, and answers that were begun may go on a while.
    pub fn drain(&self) {
        self.shared.advance(Stage::Draining);
    }

    /// Ends without waiting for anybody.
    pub fn abort(&self) {
        self.shared.advance(Stage::Ended);
    }

    /// Whether every thread has ended.
    pub fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Readable when every thread has ended, or is about to: for poll(2).
    pub fn over(&self) -> BorrowedFd<'_> {
        self.over.as_fd()
    }

    /// Waits until every thread has ended, and says what they did.
    ///
    /// # Errors
    /// A thread that panicked.
    pub fn finish(self) -> Result<Totals, Complaint> {
        let mut whole = true;
        for thread in self.threads {
            whole &= thread.join().is_ok();
        }
        let what = "a thread of the origin panicked; the report above says where";
        let failed = || Complaint::new(Exit::Environment, what, "");
        whole.then(|| self.shared.totals()).ok_or_else(failed)
    }
}

/// The present, on the clock of this process.
fn now() -> Moment {
    Moment::from_nanos(stentor_os::clock::nanoseconds())
}
