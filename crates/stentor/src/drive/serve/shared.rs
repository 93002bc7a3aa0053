//! What the threads of one service share: whether it is ending, and how many connections there are.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use mio::Waker;
use stentor_core::moment::Moment;
use stentor_core::service::counters::Counters;
use stentor_os::failure::{describe, errno_name};

/// How far a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It serves.
    Serving,
    /// No new connections; what arrived is answered.
    Draining,
    /// At once.
    Ended,
}

/// What accept(2) said instead of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nobody waits.
    Empty,
    /// That client has gone again; the next one may be there.
    ThatOneOnly,
    /// Out of descriptors or memory: later.
    Exhausted,
}

/// Between two log lines about a failing accept.
const WARN_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Shared {
    stage: AtomicU8,
    open: AtomicUsize,
    serial: AtomicU64,
    warned_ns: AtomicU64,
    /// Bytes of all connections that wait for slow readers.
    pub(super) stalled: AtomicU64,
    wakers: Vec<Waker>,
}

impl Shared {
    pub(super) fn new(wakers: Vec<Waker>) -> Shared {
        Shared {
            stage: AtomicU8::new(Stage::Serving as u8),
            open: AtomicUsize::new(0),
            serial: AtomicU64::new(0),
            warned_ns: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            wakers,
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Serving,
            1 => Stage::Draining,
            _ => Stage::Ended,
        }
    }

    /// Goes on to `stage`, never back, and tells every thread.
    pub(super) fn advance(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
        self.wake();
    }

    /// Makes every thread look at the stage.
    pub(super) fn wake(&self) {
        for waker in &self.wakers {
            // A waker fails only when its poll is gone, and then nobody needs waking.
            let _ = waker.wake();
        }
    }

    /// Takes one of `most` places for a connection, if one is free.
    pub(super) fn admit(&self, most: usize) -> bool {
        let free = |open| (open < most).then_some(open + 1);
        self.open.fetch_update(Ordering::AcqRel, Ordering::Relaxed, free).is_ok()
    }

    /// Gives a place back.
    pub(super) fn release(&self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// A number for each conversation, from 0, so that its luck can be repeated.
    pub(super) fn serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Sorts and counts what accept(2) said; at most one line a second is logged.
    pub(super) fn refusal(
        &self,
        error: &io::Error,
        counters: &mut Counters,
        now: Moment,
    ) -> Refusal {
        if error.kind() == io::ErrorKind::WouldBlock {
            return Refusal::Empty;
        }
        counters.accept_errors += 1;
        // accept(2), "Error handling": these concern the connection, not the listener.
        let gone = matches!(
            errno_name(error).as_deref(),
            Some(
                "ECONNABORTED"
                    | "EINTR"
                    | "EPROTO"
                    | "EPERM"
                    | "ENETDOWN"
                    | "ENOPROTOOPT"
                    | "EHOSTDOWN"
                    | "ENONET"
                    | "EHOSTUNREACH"
                    | "EOPNOTSUPP"
                    | "ENETUNREACH"
            )
        );
        if gone {
            return Refusal::ThatOneOnly;
        }
        let last = Moment::from_nanos(self.warned_ns.load(Ordering::Relaxed));
        if last == Moment::START || now.since(last) >= WARN_EVERY {
            self.warned_ns.store(now.as_nanos().max(1), Ordering::Relaxed);
            tracing::warn!("accept: {}; trying again", describe(error));
        }
        Refusal::Exhausted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let shared = Shared::new(Vec::new());
        assert!(shared.admit(2) && shared.admit(2) && !shared.admit(2));
        shared.release();
        assert!(shared.admit(2) && !shared.admit(2));
    }

    #[test]
    fn a_stage_never_goes_back() {
        let shared = Shared::new(Vec::new());
        shared.advance(Stage::Ended);
        shared.advance(Stage::Draining);
        assert_eq!(shared.stage(), Stage::Ended);
    }

    #[test]
    fn accept_errors_are_sorted_as_the_man_page_says() {
        let check = |errno: i32, expected: Refusal| {
            let (shared, mut counters) = (Shared::new(Vec::new()), Counters::default());
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(shared.refusal(&error, &mut counters, Moment::START), expected, "{errno}");
            assert_eq!(counters.accept_errors, u64::from(expected != Refusal::Empty));
        };
        // By number on Linux: EAGAIN, ECONNABORTED, EINTR, EPROTO, EPERM.
        check(11, Refusal::Empty);
        check(103, Refusal::ThatOneOnly);
        check(4, Refusal::ThatOneOnly);
        check(71, Refusal::ThatOneOnly);
        check(1, Refusal::ThatOneOnly);
        // EMFILE, ENFILE, ENOBUFS, ENOMEM.
        check(24, Refusal::Exhausted);
        check(23, Refusal::Exhausted);
        check(105, Refusal::Exhausted);
        check(12, Refusal::Exhausted);
    }
}
