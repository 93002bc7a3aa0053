//! Proxies that make the network worse: TCP streams and UDP datagrams through the links of core.
//!
//! One thread carries all proxies on one readiness loop; a [`Handle`] opens, changes and closes
//! them from outside. What happens to bytes and datagrams is decided by [`stentor_core::link`], what
//! was meant by words or by an API is left to the verbs.

mod beside;
pub mod control;
mod datagrams;
mod engine;
mod lateness;
mod recorded;
mod stream;
mod tally;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::{Poll, Waker};
use socket2::Socket;
use stentor_core::link::stream::{Named, toxics};
use stentor_core::link::{Decision, Direction, KnobError, Knobs, Spec, Trace};
use stentor_core::seed::Seed;
use stentor_core::units::Probability;
use stentor_os::failure::Failure;
use stentor_os::net::datagrams::Datagrams;
use stentor_os::net::listener::{self, Listen};

pub use beside::{Beside, beside};
pub use lateness::Lateness;
pub use recorded::{Recorded, traces};
pub use tally::{Counts, StreamCounts, UnitCounts};

use datagrams::Exchange;
use engine::{Engine, WAKER};
use stream::Door;

/// Finished connections that may wait for accept(2) at a proxy.
const BACKLOG: u32 = 1024;

/// What the socket of all clients may hold for us to read, in bytes with the kernel's overhead.
const RECEIVE_BUFFER: usize = 4 << 20;

/// What one proxy does to what passes.
#[derive(Clone, Debug)]
pub enum Rules {
    /// To TCP streams, each direction in the order of its list.
    Stream {
        /// From the client.
        up: Vec<Named>,
        /// To the client.
        down: Vec<Named>,
        /// What happens before any byte flows.
        before: Before,
    },
    /// To UDP datagrams.
    Units {
        /// From the clients.
        up: Box<Way>,
        /// To the clients.
        down: Box<Way>,
    },
}

/// What happens to a connection before any byte of it flows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Before {
    /// How likely it is reset instead of being led on.
    pub refuse: Option<Probability>,
    /// How long it waits before the upstream is called.
    pub delay: Duration,
}

/// One direction of a path for datagrams.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// What it is set to.
    pub knobs: Knobs,
    /// The recorded link that the knobs name, if they do.
    pub trace: Option<Trace>,
}

impl Rules {
    /// What a link's words mean for streams; `traces` are those that the words name, up and down.
    ///
    /// # Errors
    /// A setting that makes no sense, or only for datagrams.
    pub fn stream(spec: &Spec, [up, down]: [Option<Trace>; 2]) -> Result<Rules, KnobError> {
        let refuse = spec.up.stream.refuse.or(spec.down.stream.refuse);
        let before = Before { refuse, ..Before::default() };
        let up = toxics(&spec.up, up.as_ref())?;
        Ok(Rules::Stream { up, down: toxics(&spec.down, down.as_ref())?, before })
    }

    /// What of a whole link, such as a preset describes, streams can carry; and the words of what
    /// they cannot.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub fn stream_of(
        spec: &Spec,
        traces: [Option<Trace>; 2],
    ) -> Result<(Rules, Vec<&'static str>), KnobError> {
        let ((up, mut left_out), (down, more)) = (spec.up.on_streams(), spec.down.on_streams());
        left_out.extend(more);
        left_out.sort_unstable();
        left_out.dedup();
        Ok((Rules::stream(&Spec { up, down }, traces)?, left_out))
    }

    /// What a link's words mean for datagrams; `traces` are those that the words name, up and down.
    ///
    /// # Errors
    /// A setting that makes no sense, or only for streams.
    pub fn units(spec: &Spec, [up, down]: [Option<Trace>; 2]) -> Result<Rules, KnobError> {
        spec.up.check_units()?;
        spec.down.check_units()?;
        let way = |knobs: &Knobs, trace| Box::new(Way { knobs: knobs.clone(), trace });
        Ok(Rules::Units { up: way(&spec.up, up), down: way(&spec.down, down) })
    }
}

/// A proxy to open: its rules say whether it carries streams or datagrams.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Names its dice and its lines in the decision log.
    pub name: String,
    /// Where clients find it; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where it leads: tried in this order by streams, the first by datagrams.
    pub upstream: Vec<SocketAddr>,
    /// What it does.
    pub rules: Rules,
    /// Finds the upstream's addresses when a client comes, for an upstream that is a name.
    pub lookup: Option<Lookup>,
}

/// Begins to find the addresses of a proxy's upstream, without waiting; [`Handle::lead`] hands them
/// in, also when there are none. What was found serves clients that come within a second.
#[derive(Clone)]
pub struct Lookup(pub Arc<dyn Fn(Id) + Send + Sync>);

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lookup")
    }
}

/// An open proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u64);

/// Why a proxy could not be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The system's.
    #[error("{0}")]
    System(Failure),
    /// A setting that makes no sense.
    #[error("{0}")]
    Knob(#[from] KnobError),
    /// The thread has ended.
    #[error("the proxies have ended")]
    Over,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal::System(failure)
    }
}

/// Hears each decision about a datagram: of which proxy, which way.
pub type Log = Box<dyn FnMut(&str, Direction, &Decision) + Send>;

/// What the thread is told.
enum Command {
    Open(Id, String, Opened),
    Set(Id, Box<Rules>, Sender<Result<(), KnobError>>),
    Upstream(Id, Vec<SocketAddr>),
    Close(Id, Sender<Option<Counts>>),
    Count(Id, Sender<Option<Counts>>),
    Stop,
}

/// A proxy whose socket is bound.
enum Opened {
    Door(Box<Door>),
    Exchange(Box<Exchange>),
}

/// Opens, changes and closes proxies from any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
    seed: Seed,
    ids: Arc<AtomicU64>,
}

impl Handle {
    fn tell(&self, command: Command) -> Result<(), Refusal> {
        self.commands.send(command).map_err(|_| Refusal::Over)?;
        self.waker.wake().map_err(|error| Failure::new("write", "the loop's eventfd", error))?;
        Ok(())
    }

    /// Opens a proxy and says where it listens.
    ///
    /// # Errors
    /// The address cannot be had, or a rule makes no sense.
    pub fn open(&self, proxy: Proxy) -> Result<(Id, SocketAddr), Refusal> {
        let Proxy { name, listen, upstream, rules, lookup } = proxy;
        let (opened, address) = match rules {
            Rules::Stream { up, down, before } => {
                let socket = listener::tcp(
                    listen,
                    Listen { backlog: BACKLOG, shared: false, congestion: None },
                )?;
                let address = local(&socket, listen)?;
                let rules = (up, down, before);
                let door = Door::new(socket, (upstream, lookup), self.seed, &name, rules);
                (Opened::Door(Box::new(door)), address)
            }
            Rules::Units { up, down } => {
                let socket = Datagrams::bind(listen, false)?;
                // As much as the system grants: a burst should be lost by the link, not before it.
                // Less room is no reason not to serve.
                let _ = socket.ask_room(RECEIVE_BUFFER);
                let address = socket
                    .local()
                    .map_err(|error| Failure::new("getsockname", listen.to_string(), error))?;
                let upstream = (upstream.first().copied(), lookup);
                let exchange = Exchange::new(socket, upstream, (&up, &down), self.seed, &name)?;
                (Opened::Exchange(Box::new(exchange)), address)
            }
        };
        let id = Id(self.ids.fetch_add(1, Ordering::Relaxed));
        self.tell(Command::Open(id, name, opened))?;
        Ok((id, address))
    }

    /// Changes what a proxy does, also to what is under way. Rules for the other transport are
    /// refused as settings that make no sense there.
    ///
    /// # Errors
    /// A rule makes no sense; the proxy then goes on as it was.
    pub fn set(&self, id: Id, rules: Rules) -> Result<(), Refusal> {
        let (reply, answer) = mpsc::channel();
        self.tell(Command::Set(id, Box::new(rules), reply))?;
        Ok(answer.recv().map_err(|_| Refusal::Over)??)
    }

    /// Leads what comes from now on elsewhere; what is open stays.
    ///
    /// # Errors
    /// The thread has ended.
    pub fn lead(&self, id: Id, upstream: Vec<SocketAddr>) -> Result<(), Refusal> {
        self.tell(Command::Upstream(id, upstream))
    }

    /// Closes a proxy with all its connections; its address is free on return. `None`: it was not
    /// open.
    ///
    /// # Errors
    /// The thread has ended.
    pub fn close(&self, id: Id) -> Result<Option<Counts>, Refusal> {
        let (reply, answer) = mpsc::channel();
        self.tell(Command::Close(id, reply))?;
        answer.recv().map_err(|_| Refusal::Over)
    }

    /// What a proxy has done so far. `None`: it is not open.
    ///
    /// # Errors
    /// The thread has ended.
    pub fn counts(&self, id: Id) -> Result<Option<Counts>, Refusal> {
        let (reply, answer) = mpsc::channel();
        self.tell(Command::Count(id, reply))?;
        answer.recv().map_err(|_| Refusal::Over)
    }
}

fn local(socket: &Socket, wanted: SocketAddr) -> Result<SocketAddr, Failure> {
    let named = |error| Failure::new("getsockname", format!("tcp {wanted}"), error);
    listener::local(socket).map_err(named)
}

/// The thread of all proxies; dropping it ends them.
#[derive(Debug)]
pub struct Running {
    handle: Handle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// Starts the thread, without any proxy. All chance follows from `seed`; `log` hears what is
/// decided about datagrams.
///
/// # Errors
/// The system has no room for a loop or a thread.
pub fn start(seed: Seed, log: Option<Log>) -> Result<Running, Failure> {
    let failed = |error| Failure::new("epoll_create", "the loop of the proxies", error);
    let poll = Poll::new().map_err(failed)?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(failed)?);
    let (commands, received) = mpsc::channel();
    let engine = Engine::new(poll, received, log).map_err(failed)?;
    let builder = thread::Builder::new().name("impair".to_owned());
    let thread = builder.spawn(move || engine.run()).map_err(failed)?;
    let handle = Handle { commands, waker, seed, ids: Arc::default() };
    Ok(Running { handle, thread: Some(thread) })
}

impl Running {
    /// What opens and changes proxies.
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends every proxy and waits for the thread.
    ///
    /// # Errors
    /// The loop itself had failed.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        // If nobody hears it, the thread has ended by itself, and says how.
        let _ = self.handle.tell(Command::Stop);
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread of the proxies panicked")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Who did not ask by `stop` does not want to know.
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests;
