//! Many players of one film at once, in one process on a few threads: what an origin carries.
//!
//! Each is a whole player with a machine and connections of its own; they share the film and what is
//! known of the way to the origin. Bodies are counted and their lengths checked, and of each player
//! only what its figures need is kept: what it received, and when it stood still.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use stentor_core::moment::Moment;
use stentor_core::video::abr::Rule;
use stentor_core::video::buffer::{self, Policy};
use stentor_core::video::metrics::Metrics;
use stentor_core::video::player::{Chooser, Player, Retries};
use stentor_core::video::session::{Event, What};
use stentor_os::failure::Failure;
use stentor_os::limits;
use stentor_os::signal::Interrupts;
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use super::script::Script;
use super::session::{self, End, Read, Witness};
use super::web::{Fault, Way, Web};
use crate::complaint::{Complaint, Exit};
use crate::drive::race::now;
use crate::drive::video::outcome::{self, Account, Outcome};

/// The most failures that are kept of a player.
const FAILURES_MAX: usize = 20;
/// The most threads, unless more are asked for: the origin needs some, too.
const THREADS_MAX: usize = 2;
/// Descriptors that are needed besides the players' own.
const DESCRIPTORS_BESIDES: u64 = 64;

/// What they play, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The film, shared by all.
    pub script: Arc<Script>,
    /// How the origin is reached.
    pub way: Way,
    /// How many play.
    pub clients: usize,
    /// Over how long their beginnings are spread.
    pub stagger: Duration,
    /// What each buffers, and when it plays.
    pub policy: Policy,
    /// What chooses, each with a memory of its own.
    pub rule: Rule,
    /// What is done about failures.
    pub retries: Retries,
    /// How many threads carry them; a few by default.
    pub threads: Option<usize>,
}

/// How they fared.
#[derive(Debug)]
pub struct Ran {
    /// Each player, in the order of their beginnings, with the events that its figures need; one that
    /// had not begun when all was ended is left out.
    pub players: Vec<Outcome>,
    /// From the first beginning to the last end.
    pub took: Duration,
}

/// How they fare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many there will be.
    pub clients: usize,
    /// How many have begun.
    pub begun: usize,
    /// How many have ended.
    pub ended: usize,
    /// What came, in bytes.
    pub bytes: u64,
}

#[derive(Debug, Default)]
struct Shared {
    begun: AtomicUsize,
    ended: AtomicUsize,
    bytes: AtomicU64,
}

/// Plays to the end of every player, or to a signal.
///
/// # Errors
/// More players than descriptors (exit 4), and what the system refuses before they begin.
pub fn run(
    plan: &Plan,
    interrupts: &Interrupts,
    tell: &mut dyn FnMut(Standing),
) -> Result<Ran, Complaint> {
    let wanted = plan.clients as u64 + DESCRIPTORS_BESIDES;
    let allowed = limits::raise_descriptors()
        .map_err(|error| Failure::new("setrlimit", "RLIMIT_NOFILE", error))?;
    if wanted > allowed {
        let what = format!(
            "{} players take {wanted} descriptors, and {allowed} are allowed",
            plan.clients
        );
        return Err(Complaint::new(
            Exit::Impossible,
            what,
            format!("ulimit -n {wanted} allows them."),
        ));
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = plan.threads.unwrap_or(THREADS_MAX.min(cores)).clamp(1, plan.clients.max(1));
    let shared = Arc::new(Shared::default());
    let begun = now();
    let (done, news) = std::sync::mpsc::channel();
    let mut parts: Vec<Result<Vec<(usize, Outcome)>, Complaint>> = Vec::new();
    thread::scope(|scope| {
        for number in 0..threads {
            let pipe = interrupts.as_fd().try_clone_to_owned();
            let (shared, done) = (&shared, done.clone());
            let work = move || {
                let part = pipe
                    .map_err(|error| Failure::new("watch", "the signals", error).into())
                    .and_then(|pipe| part(plan, number, threads, pipe, shared, begun));
                // The scope waits for everybody: somebody hears it.
                let _ = done.send(part);
            };
            let started =
                thread::Builder::new().name(format!("players {number}")).spawn_scoped(scope, work);
            if let Err(error) = started {
                parts.push(Err(Failure::new("start", "a thread of players", error).into()));
            }
        }
        drop(done);
        loop {
            match news.recv_timeout(Duration::from_millis(250)) {
                Ok(part) => parts.push(part),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => tell(standing(plan, &shared)),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    let took = now().since(begun);
    let mut players = Vec::with_capacity(plan.clients);
    for part in parts {
        players.extend(part?);
    }
    players.sort_by_key(|(number, _)| *number);
    Ok(Ran { players: players.into_iter().map(|(_, outcome)| outcome).collect(), took })
}

fn standing(plan: &Plan, shared: &Shared) -> Standing {
    Standing {
        clients: plan.clients,
        begun: shared.begun.load(Ordering::Relaxed),
        ended: shared.ended.load(Ordering::Relaxed),
        bytes: shared.bytes.load(Ordering::Relaxed),
    }
}

/// The players of one thread: every `threads`th of all.
fn part(
    plan: &Plan,
    number: usize,
    threads: usize,
    pipe: OwnedFd,
    shared: &Arc<Shared>,
    begun: Moment,
) -> Result<Vec<(usize, Outcome)>, Complaint> {
    let fail = |error| Failure::new("start", "the async runtime", error);
    let runtime = Builder::new_current_thread().enable_all().build().map_err(fail)?;
    let seats: Vec<(usize, Rc<RefCell<Seat>>)> = (number..plan.clients)
        .step_by(threads)
        .map(|place| (place, Rc::new(RefCell::new(Seat::new(plan, shared)))))
        .collect();
    let _entered = runtime.enter();
    let mut players = LocalSet::new();
    for (place, seat) in &seats {
        let (plan, seat) = (plan.clone(), Rc::clone(seat));
        let share = *place as f64 / plan.clients.max(1) as f64;
        let due = tokio::time::Instant::now() + (begun + plan.stagger.mul_f64(share)).since(now());
        players.spawn_local(async move {
            tokio::time::sleep_until(due).await;
            one(&plan, &seat).await;
        });
    }
    let fail = |error| Failure::new("watch", "the signals", error);
    let pipe = UnixStream::from_std(pipe.into()).map_err(fail)?;
    runtime.block_on(async {
        tokio::select! {
            biased;
            _ = pipe.readable() => {}
            () = &mut players => {}
        }
    });
    // With their tasks the players let go of their seats.
    drop(players);
    let outcome = |(place, seat): (usize, Rc<RefCell<Seat>>)| {
        let seat = Rc::into_inner(seat)?.into_inner();
        Some((place, seat.outcome(plan)?))
    };
    Ok(seats.into_iter().filter_map(outcome).collect())
}

/// One player, from its first request to its end.
async fn one(plan: &Plan, seat: &Rc<RefCell<Seat>>) {
    let web = Web::new(plan.way.clone(), false);
    let chooser = Chooser::Rule(plan.rule.clone());
    let mut player = Player::new(Arc::clone(&plan.script.film), plan.policy, chooser, plan.retries);
    let begun = now();
    seat.borrow_mut().begin(begun);
    let mut witness = Rc::clone(seat);
    let end = session::drive(&mut player, &plan.script, &web, None, &mut witness, begun).await;
    seat.borrow_mut().end(end, web.opened());
}

/// What is kept of a player.
struct Seat {
    script: Arc<Script>,
    shared: Arc<Shared>,
    begun: Option<Moment>,
    end: Option<(End, Moment)>,
    events: Vec<Event>,
    account: Account,
}

impl Seat {
    fn new(plan: &Plan, shared: &Arc<Shared>) -> Seat {
        let (script, shared) = (Arc::clone(&plan.script), Arc::clone(shared));
        let (events, account) = (Vec::new(), Account::default());
        Seat { script, shared, begun: None, end: None, events, account }
    }

    fn begin(&mut self, at: Moment) {
        self.begun = Some(at);
        self.shared.begun.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&mut self, end: (End, Moment), connections: u64) {
        self.end = Some(end);
        self.account.connections = connections;
        self.shared.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// `None` for one that has not begun.
    fn outcome(mut self, plan: &Plan) -> Option<Outcome> {
        let begun = self.begun?;
        let interrupted = self.end.is_none();
        let last = self.events.last().map(|event| event.at);
        let (trouble, end) = match self.end {
            Some((End::Played, at)) => (None, last.unwrap_or(at)),
            Some((End::Stopped(trouble), at)) => (Some(trouble), at),
            None => (None, Moment::START + now().since(begun)),
        };
        self.account.found.clone_from(&self.script.found);
        self.account.exact = self.script.exact;
        Some(Outcome {
            metrics: Metrics::of(&self.script.film, &self.events, end),
            film: Arc::clone(&self.script.film),
            policy: plan.policy,
            events: self.events,
            samples: Vec::new(),
            end,
            interrupted,
            trouble,
            account: self.account,
        })
    }
}

impl Witness for Rc<RefCell<Seat>> {
    fn event(&mut self, event: &Event) {
        let mut seat = self.borrow_mut();
        match &event.what {
            What::Received(download) => {
                seat.account.wrong_sizes += u64::from(seat.script.is_wrong_size(download));
            }
            What::Abandoned { .. } | What::Failed { .. } => {}
            What::Buffer(buffer::What::Full | buffer::What::Room) | What::Requested { .. } => {
                return;
            }
            What::Buffer(_) => {}
        }
        seat.events.push(*event);
    }

    fn read(&mut self, read: &Read<'_>) {
        self.borrow().shared.bytes.fetch_add(read.bytes, Ordering::Relaxed);
    }

    fn failed(&mut self, at: Moment, chunk: usize, quality: usize, fault: &Fault) {
        let failures = &mut self.borrow_mut().account.failures;
        if failures.len() < FAILURES_MAX {
            let what = fault.what.clone();
            failures.push(outcome::Failure { at, chunk, quality, what });
        }
    }
}
