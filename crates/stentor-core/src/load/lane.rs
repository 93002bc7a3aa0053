//! One connection of a load run.
//!
//! What to do next comes from [`Lane::poll`], called until it says to wait; what happened goes to
//! [`Lane::handle`]. Neither allocates for a request once buffers have grown. Sockets are left to
//! the driver: it opens and closes them, keeps what the kernel did not take of a write, and says
//! what it read.

mod reply;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::account::{Failure, Outcome, Tally};
use super::framing::Splitter;
use super::outstanding::{Request, Ring};
use super::payload::Stamp;
use super::schedule::{Schedule, Share};
use super::{DEPTH_MAX, Plan};
use crate::moment::Moment;

/// How long a lane waits before it connects again after a failure; twice as long each time, up to
/// the second value. Only so that a dead service is not flooded.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How long a lane of datagrams listens for further replies once it has all.
const LINGER: Duration = Duration::from_millis(100);

/// What happened on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// The connection that was asked for is open. (A datagram socket: it is bound.)
    Connected,
    /// It could not be opened.
    Refused,
    /// These bytes came (any piece of a stream; exactly one datagram).
    Received(&'a [u8]),
    /// The service closed its side in order (FIN). The driver closes the socket.
    Closed,
    /// The connection failed: [`Failure::Reset`], [`Failure::System`]. The driver closes the
    /// socket. On datagrams [`Failure::Refused`] concerns one request, and the socket stays; the
    /// send(2) that reported it sent nothing and is to be repeated.
    Failed(Failure),
    /// Send nothing more; wait for the replies that are owed. Give it to every lane.
    Stop,
    /// Settle everything now.
    Abort,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Open a connection; then `Connected` or `Refused`.
    Connect,
    /// A request was appended to the buffer: the bytes from where it ended before. Write them (a
    /// stream may write those of several calls at once; a datagram is one call's).
    Send,
    /// Close the connection.
    Close,
    /// Nothing until this moment, or until something happens.
    Wait(Moment),
    /// Nothing more, ever: everything is settled and the connection closed.
    Done,
}

/// Requests under way.
#[derive(Debug)]
enum Way {
    /// Replies come in order, cut out of a stream.
    Stream { queue: VecDeque<Request>, splitter: Splitter },
    /// Each reply is a datagram.
    Datagram(Ring),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No connection; not before this moment.
    Absent { until: Moment },
    /// One is being opened, since.
    Connecting { since: Moment },
    /// One is open.
    Open,
    /// One is to be closed, and the next opened not before this moment.
    Leaving { until: Moment },
    /// Nothing more.
    Done,
}

/// One connection: what it sends when, and what became of it.
#[derive(Debug)]
pub struct Lane {
    plan: Arc<Plan>,
    share: Share,
    schedule: Schedule,
    way: Way,
    state: State,
    depth: usize,
    /// The number of the next request of a stream.
    next_number: u64,
    /// Requests sent on this connection, and replies that came.
    sent_here: u64,
    replies_here: u64,
    /// Since when there is room for a request.
    room_since: Moment,
    /// When something was last sent, came or timed out.
    busy_at: Moment,
    /// When the run is over whatever is still owed.
    ending: Option<Moment>,
    /// Failures of connections since the last reply.
    failures: u32,
    /// Since when nothing could be sent, for want of a connection.
    unreachable_since: Option<Moment>,
}

impl Lane {
    /// The lane `share` of `plan`. It asks for its connection at once, also before the start.
    pub fn new(plan: Arc<Plan>, share: Share) -> Lane {
        let schedule = Schedule::new(plan.pace, plan.limit, share, plan.start, plan.seed);
        let depth = plan.depth.clamp(1, DEPTH_MAX);
        let way = if plan.is_datagram() {
            Way::Datagram(Ring::new(depth))
        } else {
            let splitter = Splitter::new(plan.framing.clone(), plan.reply_max);
            Way::Stream { queue: VecDeque::with_capacity(depth), splitter }
        };
        let ending = plan.limit.until.map(|until| until + plan.timeout);
        Lane {
            plan,
            share,
            schedule,
            way,
            state: State::Absent { until: Moment::START },
            depth,
            next_number: 0,
            sent_here: 0,
            replies_here: 0,
            room_since: Moment::START,
            busy_at: Moment::START,
            ending,
            failures: 0,
            unreachable_since: None,
        }
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: Moment, input: Input<'_>, tally: &mut Tally) {
        match input {
            Input::Connected => self.connected(now, tally),
            Input::Refused => {
                if matches!(self.state, State::Connecting { .. }) {
                    tally.connections.refused += 1;
                    self.state = State::Absent { until: self.back_off(now) };
                }
            }
            Input::Received(bytes) if self.state == State::Open => {
                self.received(now, bytes, tally);
            }
            Input::Received(_) => {}
            Input::Closed => self.failed(now, Failure::Closed, tally),
            Input::Failed(Failure::Refused) if self.plan.is_datagram() => {
                self.refused_one(now, tally);
            }
            Input::Failed(failure) => self.failed(now, failure, tally),
            Input::Stop => {
                tally.unsent += self.schedule.give_up(now);
                let ending = now + self.plan.timeout;
                self.ending = Some(self.ending.map_or(ending, |earlier| earlier.min(ending)));
            }
            Input::Abort => {
                self.settle_all(now, tally, |_| Outcome::Error(Failure::Stopped));
                tally.unsent += self.schedule.give_up(now);
                self.ending = Some(now);
            }
        }
    }

    /// Says what to do at `now`; appends requests to `out`, which is the driver's to empty.
    pub fn poll(&mut self, now: Moment, out: &mut Vec<u8>, tally: &mut Tally) -> Output {
        match self.state {
            State::Done => Output::Done,
            State::Leaving { until } => {
                self.state = State::Absent { until };
                Output::Close
            }
            State::Absent { until } => self.poll_absent(now, until, tally),
            State::Connecting { since } => {
                let deadline = self.no_later_than_the_end(since + self.plan.timeout);
                if now < deadline {
                    return Output::Wait(deadline);
                }
                // At the end of the run it is we who do not wait any longer.
                tally.connections.refused += u64::from(now >= since + self.plan.timeout);
                self.state = State::Absent { until: self.back_off(now) };
                Output::Close
            }
            State::Open => self.poll_open(now, out, tally),
        }
    }

    /// How many requests are under way: sent, and not settled.
    pub fn under_way(&self) -> u64 {
        match &self.way {
            Way::Stream { queue, .. } => queue.len() as u64,
            Way::Datagram(ring) => ring.open(),
        }
    }

    fn poll_absent(&mut self, now: Moment, until: Moment, tally: &mut Tally) -> Output {
        let over = self.schedule.peek(now).is_none();
        let ended = self.ending.is_some_and(|ending| ending <= now);
        // With an end in time it goes on trying; a number of requests alone has no other end.
        let in_vain = self.plan.limit.until.is_none()
            && self.plan.limit.count.is_some()
            && self.unreachable_since.is_some_and(|since| since + self.plan.timeout <= now);
        if over || ended || in_vain {
            tally.unsent += if in_vain { self.schedule.give_up_count() } else { 0 };
            tally.unsent += self.schedule.give_up(now);
            self.state = State::Done;
            return Output::Done;
        }
        if now < until {
            return Output::Wait(self.no_later_than_the_end(until));
        }
        self.state = State::Connecting { since: now };
        Output::Connect
    }

    fn poll_open(&mut self, now: Moment, out: &mut Vec<u8>, tally: &mut Tally) -> Output {
        let timeout = self.plan.timeout;
        if self.ending.is_some_and(|ending| ending <= now) {
            self.settle_all(now, tally, |_| Outcome::Lost);
            return self.leave(now);
        }
        let mut wake = match &mut self.way {
            Way::Stream { queue, .. } => queue.front().map(|head| head.sent + timeout + timeout),
            Way::Datagram(ring) => {
                if ring.expire(now, timeout) > 0 {
                    (self.room_since, self.busy_at) = (now, now);
                }
                ring.oldest_waiting().map(|oldest| oldest.sent + timeout)
            }
        };
        if wake.is_some_and(|wake| wake <= now) {
            // Only a stream can be here: its head has waited twice the timeout.
            self.settle_all(now, tally, |request| {
                let expired = request.sent + timeout <= now;
                if expired { Outcome::Lost } else { Outcome::Error(Failure::Abandoned) }
            });
            return self.leave(now);
        }
        let renewed = self.plan.reconnect_every.is_some_and(|every| self.sent_here >= every.max(1));
        let next = self.schedule.peek(now);
        if self.waiting() == 0 && (renewed || next.is_none()) {
            let quiet_at = self.busy_at + LINGER;
            if !self.plan.is_datagram() || next.is_some() || now >= quiet_at {
                self.settle_all(now, tally, |_| Outcome::Lost);
                return self.leave(now);
            }
            wake = Some(quiet_at);
        } else if !renewed && self.waiting() < self.depth {
            if let Some(intended) = next.filter(|next| *next <= now) {
                return self.send(now, intended, out, tally);
            }
            wake = next.into_iter().chain(wake).min();
        }
        // Something is always due: a request, a timeout or the end of the silence.
        Output::Wait(self.no_later_than_the_end(wake.unwrap_or(now + timeout)))
    }

    fn send(
        &mut self,
        now: Moment,
        intended: Moment,
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Output {
        self.schedule.advance();
        let number = match &mut self.way {
            Way::Stream { .. } => self.next_number,
            Way::Datagram(ring) => ring.next_number(),
        };
        let request = Request { number, intended, sent: now, warm: self.plan.is_warmup(intended) };
        let (plan, from) = (&self.plan, out.len());
        let stamp = stamp(self.share, request);
        plan.framing.write(out, |out| plan.payload.write(stamp, out));
        tally.sent(request.warm, out.len() - from);
        if !plan.pace.is_closed() && !request.warm {
            tally.waited += u64::from(self.room_since > intended);
            tally.lateness.record(now.since(intended.max(self.room_since)));
        }
        match &mut self.way {
            Way::Stream { queue, .. } => queue.push_back(request),
            Way::Datagram(ring) => {
                if let Some(lost) = ring.push(request) {
                    settle(lost, Outcome::Lost, now, tally);
                }
            }
        }
        self.next_number = number + 1;
        self.sent_here += 1;
        self.unreachable_since = None;
        self.busy_at = now;
        Output::Send
    }

    fn connected(&mut self, now: Moment, tally: &mut Tally) {
        let State::Connecting { since } = self.state else { return };
        self.state = State::Open;
        tally.connections.opened += 1;
        tally.connect.record(now.since(since));
        (self.sent_here, self.replies_here) = (0, 0);
        (self.room_since, self.busy_at) = (now, now);
        if let Way::Stream { splitter, .. } = &mut self.way {
            splitter.clear();
        }
    }

    /// The connection ended, and not by us.
    fn failed(&mut self, now: Moment, failure: Failure, tally: &mut Tally) {
        match self.state {
            State::Open => {}
            State::Leaving { until } => {
                self.state = State::Absent { until };
                return;
            }
            // An open that fails in another way than refusal is one that failed.
            State::Connecting { .. } => return self.handle(now, Input::Refused, tally),
            State::Absent { .. } | State::Done => return,
        }
        tally.connections.lost += 1;
        tally.connections.lost_in_use += u64::from(self.under_way() > 0);
        let mut cut = matches!(&self.way, Way::Stream { splitter, .. } if splitter.is_within());
        self.settle_all(now, tally, |_| {
            let of_head = std::mem::take(&mut cut);
            Outcome::Error(if of_head { Failure::Cut } else { failure })
        });
        // A service that takes connections and answers nothing is not asked in a tight loop.
        let until = if self.replies_here > 0 { now } else { self.back_off(now) };
        self.state = State::Absent { until };
    }

    /// Settles everything under way, the oldest of a stream first.
    fn settle_all(
        &mut self,
        now: Moment,
        tally: &mut Tally,
        mut outcome: impl FnMut(&Request) -> Outcome,
    ) {
        match &mut self.way {
            Way::Stream { queue, .. } => {
                for request in queue.drain(..) {
                    settle(request, outcome(&request), now, tally);
                }
            }
            Way::Datagram(ring) => {
                for request in ring.all_open() {
                    settle(request, outcome(&request), now, tally);
                }
                ring.clear();
            }
        }
    }

    /// Ends the connection in order; poll says what comes then.
    fn leave(&mut self, now: Moment) -> Output {
        self.state = State::Absent { until: now };
        Output::Close
    }

    /// When to connect again after one more failure.
    fn back_off(&mut self, now: Moment) -> Moment {
        self.unreachable_since.get_or_insert(now);
        let (first, longest) = BACK_OFF;
        let wait = first.saturating_mul(2_u32.saturating_pow(self.failures)).min(longest);
        self.failures = self.failures.saturating_add(1);
        now + wait
    }

    /// How many count against the depth.
    fn waiting(&self) -> usize {
        match &self.way {
            Way::Stream { queue, .. } => queue.len(),
            Way::Datagram(ring) => ring.waiting(),
        }
    }

    fn no_later_than_the_end(&self, moment: Moment) -> Moment {
        self.ending.map_or(moment, |ending| moment.min(ending))
    }
}

/// What the payload of a request depends on.
fn stamp(share: Share, request: Request) -> Stamp {
    Stamp { lane: share.index, number: request.number, sent: request.sent }
}

fn settle(request: Request, outcome: Outcome, now: Moment, tally: &mut Tally) {
    tally.settle(request.warm, outcome, now.since(request.intended));
}
