//! What a lane makes of bytes that came: which request they answer, and whether they are right.

use super::{Input, Lane, State, Way, settle, stamp};
use crate::load::account::{Failure, Mistake, Outcome, Tally};
use crate::load::framing::FramingError;
use crate::load::outstanding::{Found, Request, Ring};
use crate::load::{Plan, Share};
use crate::moment::Moment;

/// Among how many waiting requests the owner of a damaged reply is looked for.
const OWNERS_MAX: u64 = 4096;

impl Lane {
    pub(super) fn received(&mut self, now: Moment, bytes: &[u8], tally: &mut Tally) {
        tally.bytes_received += if self.plan.is_warmup(now) { 0 } else { bytes.len() as u64 };
        self.busy_at = now;
        if matches!(self.way, Way::Datagram(_)) {
            self.datagram_came(now, bytes, tally);
        } else if self.stream_came(now, bytes, tally).is_err() {
            // No later reply can be found, so the connection is of no use.
            tally.connections.refused += u64::from(self.greeting_since.is_some());
            let mut head = true;
            self.settle_all(now, tally, |_| {
                let of_head = std::mem::take(&mut head);
                if of_head { Outcome::Wrong } else { Outcome::Error(Failure::Unframed) }
            });
            let until = self.back_off(now);
            self.state = State::Leaving { until };
        }
    }

    fn stream_came(
        &mut self,
        now: Moment,
        bytes: &[u8],
        tally: &mut Tally,
    ) -> Result<(), FramingError> {
        let Way::Stream { queue, splitter } = &mut self.way else { return Ok(()) };
        let mut rest = bytes;
        while !rest.is_empty() {
            let (taken, reply) = splitter.feed(rest)?;
            if let Some(reply) = reply {
                match queue.pop_front() {
                    None if self.greeting_since.is_some() => {
                        self.greeting_since = None;
                        self.room_since = now;
                    }
                    Some(request) => {
                        if queue.len() + 1 == self.depth {
                            self.room_since = now;
                        }
                        let outcome = judge(&self.plan, self.share, request, now, reply, tally);
                        settle(request, outcome, now, tally);
                        self.replies_here += 1;
                        self.failures = 0;
                    }
                    None => tally.unasked += 1,
                }
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    fn datagram_came(&mut self, now: Moment, reply: &[u8], tally: &mut Tally) {
        let Way::Datagram(ring) = &mut self.way else { return };
        // What is late is so by its own time, not by when somebody looked.
        if ring.expire(now, self.plan.timeout) > 0 {
            self.room_since = now;
        }
        let full = ring.waiting() >= self.depth;
        match owner(&self.plan, self.share, ring, reply) {
            Owner::Request { request, guessed } => {
                let outcome = judge(&self.plan, self.share, request, now, reply, tally);
                let reordered = ring.answer(request.number);
                settle(request, outcome, now, tally);
                tally.guessed += u64::from(guessed);
                tally.reordered += u64::from(reordered && !guessed);
                if full && ring.waiting() < self.depth {
                    self.room_since = now;
                }
                self.replies_here += 1;
                self.failures = 0;
            }
            Owner::Answered => tally.duplicates += 1,
            Owner::Nobody => tally.unasked += 1,
        }
    }

    /// ICMP said that nobody listens. It carries part of the datagram, but the socket tells only
    /// that it came: the oldest is taken for it.
    pub(super) fn refused_one(&mut self, now: Moment, tally: &mut Tally) {
        if matches!(self.state, State::Connecting { .. }) {
            return self.handle(now, Input::Refused, tally);
        }
        let Way::Datagram(ring) = &mut self.way else { return };
        let full = ring.waiting() >= self.depth;
        if let Some(request) = ring.oldest_waiting() {
            ring.drop(request.number);
            settle(request, Outcome::Error(Failure::Refused), now, tally);
            if full {
                self.room_since = now;
            }
        }
    }
}

/// What became of a request to which `reply` came; the first that is wrong is kept.
fn judge(
    plan: &Plan,
    share: Share,
    request: Request,
    now: Moment,
    reply: &[u8],
    tally: &mut Tally,
) -> Outcome {
    if !plan.payload.is_right(stamp(share, request), reply) {
        if !request.warm && tally.first_wrong.is_none() {
            let right = plan.payload.right(stamp(share, request));
            tally.first_wrong = Some(Mistake::new(now, right.as_deref(), reply));
        }
        Outcome::Wrong
    } else if now.since(request.sent) >= plan.timeout {
        Outcome::Late
    } else {
        Outcome::Verified
    }
}

enum Owner {
    Request {
        request: Request,
        /// Whether there was no number to tell.
        guessed: bool,
    },
    /// One that has its reply.
    Answered,
    Nobody,
}

/// Whose reply a datagram is.
///
/// By its number, if it is right for that request or nothing is nearer. A damaged reply may show
/// another number, or none: then it is that of the waiting request whose right reply differs in
/// the fewest bytes, and in no more than half. (Letters differ from request to request.)
fn owner(plan: &Plan, share: Share, ring: &mut Ring, reply: &[u8]) -> Owner {
    let payload = &plan.payload;
    let newest = ring.newest();
    let shown = payload.number_in(reply, newest).map_or(Found::Unknown, |n| ring.find(n));
    let known = match shown {
        Found::Open(request) | Found::Answered(request) => Some(request),
        Found::Unknown => None,
    };
    let as_shown = match shown {
        Found::Open(request) => Owner::Request { request, guessed: false },
        Found::Answered(_) => Owner::Answered,
        Found::Unknown => Owner::Nobody,
    };
    let right = |request| payload.is_right(stamp(share, request), reply);
    if known.is_some_and(right) {
        return as_shown;
    }
    if !payload.is_exact() || !payload.is_numbered() {
        return match ring.oldest_open() {
            _ if known.is_some() => as_shown,
            Some(request) => Owner::Request { request, guessed: true },
            None => Owner::Nobody,
        };
    }
    let differences = |request: &Request| payload.differences(stamp(share, *request), reply);
    let at_most = known.as_ref().map_or(reply.len() / 2 + 1, differences);
    let nearest = ring.first_waiting(OWNERS_MAX).map(|request| (differences(&request), request));
    match nearest.min_by_key(|(differences, _)| *differences) {
        Some((differences, request)) if differences < at_most => {
            Owner::Request { request, guessed: false }
        }
        _ => as_shown,
    }
}
