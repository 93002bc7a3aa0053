//! Load on real sockets: a plan becomes open connections, a thread for each core, and an outcome.
//!
//! When to send what, and what became of it, is decided by the lanes of core; `worker` carries it,
//! `open` opens the connections, `course` puts together what the threads counted. Showing it is
//! left to the report.

mod alarms;
mod course;
mod open;
pub mod outcome;
mod troubles;
mod way;
mod worker;

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use mio::{Poll, Waker};
use stentor_core::load::payload::Matching;
use stentor_core::load::{Condition, Lane, Pace, Share, Tally, verdict};
use stentor_core::moment::Moment;
use stentor_os::failure::Failure;
use stentor_os::net::poll::{self, Watch};
use stentor_os::signal::Interrupts;

pub use open::Peer;

use crate::complaint::{Complaint, Exit};
use crate::drive::race::{interrupted, now};
use course::{Collector, Course, Part, Report};
use open::Opened;
use outcome::{Config, Interval, Outcome};
use troubles::Troubles;
use worker::{Stage, Start, WAKER, Worker};

/// From the last preparation to the first request: threads are made in it.
const LEAD: Duration = Duration::from_millis(10);
/// The share of a processor that may be spent on waiting exactly.
const SPIN_SHARE: f64 = 0.25;
/// What waiting exactly costs for each request, in seconds.
const SPIN_S: f64 = 50e-6;

/// Everything a run is started with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who is asked.
    pub peer: Peer,
    /// What is asked and how answers are judged; its `start` is set when connections are open.
    pub load: stentor_core::load::Plan,
    /// For how long requests are due, from the start; `None`: until the count.
    pub duration: Option<Duration>,
    /// Conditions that make the run bad.
    pub conditions: Vec<Condition>,
    /// The same, as the reports tell it.
    pub config: Config,
}

/// Runs `plan` to its end or a signal; `progress` is shown each interval when it is over.
///
/// # Errors
/// Connections that cannot be opened before the run (exit 3, or 4 for want of descriptors); a
/// signal before it (130); a thread that the kernel let down.
pub fn run(
    plan: &Plan,
    interrupts: &Interrupts,
    progress: &mut dyn FnMut(&Interval),
) -> Result<Outcome, Complaint> {
    let config = &plan.config;
    open::allow(config.connections)?;
    let opened = open::all(&plan.peer, config.connections, plan.load.timeout, interrupts)?;
    let mut running = start(plan, opened)?;
    let started = SystemTime::now();
    let stopped = running.watch(interrupts, progress)?;
    let intervals = running.collector.end();
    let reports: Result<Vec<Report>, Complaint> = running.threads.into_iter().map(joined).collect();
    Ok(told(plan, started, running.start, intervals, reports?, stopped))
}

/// A run under way.
struct Running {
    start: Moment,
    stage: Arc<Stage>,
    wakers: Vec<Waker>,
    threads: Vec<JoinHandle<io::Result<Report>>>,
    parts: Receiver<Part>,
    /// Readable when parts have come; closed when every thread has ended.
    bell: UnixStream,
    collector: Collector,
}

/// Divides the connections over threads, and starts them.
fn start(plan: &Plan, opened: Vec<Opened>) -> Result<Running, Complaint> {
    let fail = |error| Failure::new("epoll_create", "the readiness loop", error);
    let threads = plan.config.threads.clamp(1, opened.len().max(1));
    let mut shared = plan.load.clone();
    shared.start = now() + LEAD;
    shared.limit.until = plan.duration.map(|duration| shared.start + duration);
    let (start, of) = (shared.start, u64::try_from(opened.len()).unwrap_or(u64::MAX));
    let shared = Arc::new(shared);
    let mut lanes: Vec<Vec<(Lane, Opened)>> = (0..threads).map(|_| Vec::new()).collect();
    // In turn, so that each thread has its share of every moment.
    for (index, opened) in opened.into_iter().enumerate() {
        let share = Share { index: u64::try_from(index).unwrap_or(u64::MAX), of };
        if let Some(lanes) = lanes.get_mut(index % threads) {
            lanes.push((Lane::new(Arc::clone(&shared), share), opened));
        }
    }
    let stage = Arc::new(Stage::default());
    let (sender, parts) = mpsc::channel();
    let (bell, ringer) = UnixStream::pair().map_err(fail)?;
    // A bell that nobody has heard yet need not be rung again.
    bell.set_nonblocking(true).and_then(|()| ringer.set_nonblocking(true)).map_err(fail)?;
    let (mut wakers, mut handles) = (Vec::new(), Vec::new());
    for lanes in lanes {
        let poll = Poll::new().map_err(fail)?;
        wakers.push(Waker::new(poll.registry(), WAKER).map_err(fail)?);
        let ringer = ringer.try_clone().map_err(fail)?;
        let begin = Start {
            plan: Arc::clone(&shared),
            peer: plan.peer.clone(),
            stage: Arc::clone(&stage),
            poll,
            lanes,
            spin: spins(shared.pace, threads),
            course: Course::new(start, plan.config.interval, sender.clone(), ringer),
        };
        let work = move || Worker::new(begin).and_then(Worker::run);
        handles.push(thread::Builder::new().name("load".to_owned()).spawn(work).map_err(fail)?);
    }
    let collector = Collector::new(start, plan.config.interval, threads);
    Ok(Running { start, stage, wakers, threads: handles, parts, bell, collector })
}

/// Whether requests are rare enough to wait for each of them without sleeping at the end.
fn spins(pace: Pace, threads: usize) -> bool {
    let rate = match pace {
        Pace::Constant(rate) | Pace::Poisson(rate) => rate,
        Pace::Ramp { from, to, .. } => from.max(to),
        Pace::Max => return false,
    };
    rate / threads as f64 * SPIN_S <= SPIN_SHARE
}

impl Running {
    /// Shows the course until every thread has ended, and passes signals on; says when the first
    /// came.
    fn watch(
        &mut self,
        interrupts: &Interrupts,
        progress: &mut dyn FnMut(&Interval),
    ) -> Result<Option<Moment>, Complaint> {
        let mut stopped = None;
        loop {
            let mut watches = [
                Watch::new(self.bell.as_fd(), true, false),
                Watch::new(interrupts.as_fd(), true, false),
            ];
            poll::wait(&mut watches, None)
                .map_err(|error| Failure::new("poll", "the threads", error))?;
            let over = heard(&self.bell);
            while let Ok(part) = self.parts.try_recv() {
                self.collector.take(part);
            }
            while let Some(interval) = self.collector.ready() {
                progress(interval);
            }
            if over {
                return Ok(stopped);
            }
            if interrupted(Some(interrupts)) {
                stopped = stopped.or(Some(now()));
                self.stage.advance();
                for waker in &self.wakers {
                    let woken = waker.wake();
                    woken.map_err(|error| Failure::new("write", "a waker", error))?;
                }
            }
        }
    }
}

/// Empties the bell; whether everybody who could ring it has gone.
fn heard(mut bell: &UnixStream) -> bool {
    let mut rings = [0; 256];
    loop {
        match bell.read(&mut rings) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
}

fn joined(thread: JoinHandle<io::Result<Report>>) -> Result<Report, Complaint> {
    match thread.join() {
        Ok(Ok(report)) => Ok(report),
        Ok(Err(error)) => Err(Failure::new("epoll_wait", "the readiness loop", error).into()),
        Err(_) => {
            let what = "a thread of the load panicked; the report above says where";
            Err(Complaint::new(Exit::Environment, what, ""))
        }
    }
}

/// Adds up what the threads counted.
fn told(
    plan: &Plan,
    started: SystemTime,
    start: Moment,
    intervals: Vec<Interval>,
    reports: Vec<Report>,
    stopped: Option<Moment>,
) -> Outcome {
    let (mut tally, mut troubles) = (Tally::new(), Troubles::default());
    let (mut ended, mut last_sent) = (start, start);
    for report in reports {
        tally.merge(&report.tally);
        troubles.merge(&report.troubles);
        ended = ended.max(report.ended);
        last_sent = last_sent.max(report.last_sent);
    }
    let nominal = stopped.or_else(|| nominal_end(plan, start)).unwrap_or(last_sent);
    let scheduled = nominal.since(start).saturating_sub(plan.load.warmup);
    let sending = nominal.max(last_sent).since(start).saturating_sub(plan.load.warmup);
    let failing = verdict::judge(&tally, sending, &plan.conditions);
    let warnings = warnings(plan, &tally, scheduled);
    Outcome {
        started,
        took: ended.since(start),
        scheduled,
        sending,
        tally,
        intervals,
        troubles: troubles.told(),
        failing,
        warnings,
        interrupted: stopped.is_some(),
    }
}

/// When no more requests are due, if that depends on nothing but the plan.
fn nominal_end(plan: &Plan, start: Moment) -> Option<Moment> {
    let by_time = plan.duration.map(|duration| start + duration);
    match (plan.load.pace, plan.load.limit.count) {
        (_, None) => by_time,
        (Pace::Constant(rate), Some(count)) => {
            let by_count = Duration::try_from_secs_f64(count as f64 / rate).ok()?;
            by_time.into_iter().chain([start + by_count]).min()
        }
        (Pace::Poisson(_) | Pace::Ramp { .. } | Pace::Max, Some(_)) => None,
    }
}

/// What a reader should know besides the figures.
fn warnings(plan: &Plan, tally: &Tally, sending: Duration) -> Vec<String> {
    let mut warnings = Vec::new();
    let seconds = sending.as_secs_f64();
    let (offered, sent) = (tally.offered() as f64 / seconds, tally.counts.sent as f64 / seconds);
    if !plan.load.pace.is_closed() && seconds > 0.0 && sent < 0.99 * offered {
        warnings.push(format!(
            "the rate was not reached: {offered:.0} requests/s were due and {sent:.0} were sent; \
             {} were never sent, and their waiting is in no figure. More connections (-c) or \
             requests under way (--depth) may help; else it is more than the service does",
            tally.unsent
        ));
    }
    if plan.load.payload.matching() == Matching::ByGuess {
        warnings.push(
            "the datagrams have no number that a reply shows, so replies are taken for those to \
             the oldest requests: after a loss latencies are those of others, and duplicates and \
             reordering cannot be told. A longer -l, or {seq} in --template, gives them one"
                .to_owned(),
        );
    }
    warnings
}
