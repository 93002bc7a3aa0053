//! What the threads and connections of one origin share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stentor_core::moment::Moment;
use stentor_core::video::fault::{Faults, Struck};
use tokio::sync::{Semaphore, watch};

use super::exchange::{Exchange, Totals};
use super::watch::Watches;
use super::{Plan, now};

/// How many of the latest exchanges `/requests` shows.
const RECENT_MAX: usize = 10_000;
/// The pieces of a paced answer follow each other this closely, if few are sent.
const PIECE_MIN: Duration = Duration::from_millis(5);
/// And never less closely than this.
const PIECE_MAX: Duration = Duration::from_millis(50);
/// By how much each open connection stretches that: at most 20,000 pieces a second for all of them.
const PIECE_EACH: Duration = Duration::from_micros(50);
/// Between two lines of the log about the same lack.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// How far an origin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// It serves.
    Serving,
    /// No new connections; what was begun goes on.
    Draining,
    /// At once.
    Ended,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) plan: Plan,
    stage: watch::Sender<Stage>,
    /// A place for each connection that may be open.
    pub(super) places: Arc<Semaphore>,
    open: AtomicU64,
    connections: AtomicU64,
    requests: AtomicU64,
    warned_ns: AtomicU64,
    record: Mutex<Record>,
    faults: Mutex<Faults>,
    pub(super) watches: Watches,
}

#[derive(Debug, Default)]
struct Record {
    totals: Totals,
    recent: VecDeque<Exchange>,
}

impl Shared {
    pub(super) fn new(plan: Plan) -> Shared {
        let places = plan.limits.connections.min(Semaphore::MAX_PERMITS);
        Shared {
            faults: Mutex::new(Faults::new(plan.faults.clone(), plan.seed)),
            watches: Watches::default(),
            plan,
            stage: watch::Sender::new(Stage::Serving),
            places: Arc::new(Semaphore::new(places)),
            open: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            warned_ns: AtomicU64::new(0),
            record: Mutex::default(),
        }
    }

    /// Goes on to `stage`, never back, and tells everybody.
    pub(super) fn advance(&self, stage: Stage) {
        self.stage.send_if_modified(|now| {
            let later = stage > *now;
            *now = stage.max(*now);
            later
        });
    }

    pub(super) fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// Counts a connection in; its number.
    pub(super) fn arrived(&self) -> u64 {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.record().totals.connections += 1;
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts a connection out.
    pub(super) fn left(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether the log has had no line about a lack of places or descriptors for a while.
    pub(super) fn may_warn(&self) -> bool {
        let now = now();
        let last = Moment::from_nanos(self.warned_ns.load(Ordering::Relaxed));
        let may = last == Moment::START || now.since(last) >= WARN_EVERY;
        if may {
            self.warned_ns.store(now.as_nanos().max(1), Ordering::Relaxed);
        }
        may
    }

    /// A number for a request.
    pub(super) fn number(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// In pieces of how much time paced answers are sent: the more there are, the coarser.
    pub(super) fn piece(&self) -> Duration {
        let open = u32::try_from(self.open.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        PIECE_EACH.saturating_mul(open).clamp(PIECE_MIN, PIECE_MAX)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides what goes wrong with an answer.
    pub(super) fn strike(&self, path: &str, is_media: bool) -> Struck {
        if self.plan.faults.is_empty() {
            return Struck::default();
        }
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).strike(path, is_media)
    }

    /// An exchange has ended.
    pub(super) fn ended(&self, mut exchange: Exchange) {
        exchange.duration = now().since(exchange.at);
        let lost = self.plan.log.try_send(exchange.clone()).is_err();
        let mut record = self.record();
        record.totals.count(&exchange);
        record.totals.unlogged += u64::from(lost);
        if record.recent.len() >= RECENT_MAX {
            record.recent.pop_front();
        }
        record.recent.push_back(exchange);
    }

    /// What came was no request.
    pub(super) fn bad(&self) {
        self.record().totals.bad += 1;
    }

    /// A request did not come in time.
    pub(super) fn slow(&self) {
        self.record().totals.slow += 1;
    }

    /// The latest exchanges as text.
    pub(super) fn recent(&self) -> String {
        let record = self.record();
        (self.plan.requests)(&mut record.recent.iter())
    }

    /// The queues of long answers as text.
    pub(super) fn queues(&self) -> String {
        (self.plan.queues)(&self.watches.all())
    }

    pub(super) fn totals(&self) -> Totals {
        self.record().totals.clone()
    }
}
