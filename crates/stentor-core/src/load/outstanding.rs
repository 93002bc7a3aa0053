//! Requests under way as datagrams, in a ring of fixed size, found by number.
//!
//! A request waits; when it times out its place stays, so that a late reply is known, until a
//! later request needs the place. A number whose place holds a waiting request is skipped, so no
//! request is given up before its time. (On a stream replies come in order, and a queue does.)

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::measure::Order;
use crate::moment::Moment;

/// The fewest and the most places of a ring.
const PLACES_MIN: usize = 1024;
const PLACES_MAX: usize = 1 << 18;

/// A request that was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) number: u64,
    pub(super) intended: Moment,
    pub(super) sent: Moment,
    /// Whether it belongs to the warm-up.
    pub(super) warm: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Free,
    Waiting,
    Expired,
    Answered,
}

/// What a number is known as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It waits for its reply, or would still take a late one.
    Open(Request),
    /// It had its reply.
    Answered(Request),
    /// It was never sent, or was forgotten.
    Unknown,
}

/// The requests of one socket.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    /// A power of two of places; a number's place is its rest.
    places: Vec<(State, Request)>,
    /// The number of the next request.
    next: u64,
    /// No smaller number waits.
    oldest: u64,
    waiting: usize,
    /// Waiting or expired.
    open: u64,
    order: Order,
}

impl Ring {
    /// With room for `depth` requests that wait, and four times as many places.
    pub(super) fn new(depth: usize) -> Ring {
        let places = depth.saturating_mul(4).next_power_of_two().clamp(PLACES_MIN, PLACES_MAX);
        let places = vec![Default::default(); places];
        Ring { places, next: 0, oldest: 0, waiting: 0, open: 0, order: Order::default() }
    }

    /// How many wait and have not timed out.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many are not settled: those that wait, and those that may still be late.
    pub(super) fn open(&self) -> u64 {
        self.open
    }

    /// The newest number.
    pub(super) fn newest(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// The number that the next request will have: the first whose place nobody waits in. At most
    /// a quarter of the places are waited in, so there is one.
    pub(super) fn next_number(&mut self) -> u64 {
        for _ in 0..self.places.len() {
            if !matches!(self.place(self.next), Some((State::Waiting, _))) {
                break;
            }
            self.next += 1;
        }
        self.next
    }

    /// Takes a request with the number of [`Ring::next_number`]. Gives back the expired one whose
    /// place it took: that is lost.
    pub(super) fn push(&mut self, request: Request) -> Option<Request> {
        let place = self.place(request.number)?;
        let (state, before) = std::mem::replace(place, (State::Waiting, request));
        self.next = request.number + 1;
        self.waiting += 1;
        if state != State::Expired {
            self.open += 1;
            return None;
        }
        Some(before)
    }

    /// Lets those time out that were sent `timeout` before `now` or earlier. Returns how many.
    pub(super) fn expire(&mut self, now: Moment, timeout: Duration) -> usize {
        let mut expired = 0;
        while let Some(request) = self.oldest_waiting()
            && request.sent + timeout <= now
        {
            if let Some((state, _)) = self.place(request.number) {
                *state = State::Expired;
            }
            self.waiting -= 1;
            expired += 1;
        }
        expired
    }

    /// The request that has waited longest. Those in between are passed once each.
    pub(super) fn oldest_waiting(&mut self) -> Option<Request> {
        while self.waiting > 0 && self.oldest < self.next {
            let number = self.oldest;
            if let Some((State::Waiting, request)) = self.place(number)
                && request.number == number
            {
                return Some(*request);
            }
            self.oldest += 1;
        }
        None
    }

    /// The oldest that is not settled, for replies that show no number: one that waits, else one
    /// that has timed out.
    pub(super) fn oldest_open(&mut self) -> Option<Request> {
        self.oldest_waiting().or_else(|| self.all_open().min_by_key(|request| request.number))
    }

    /// What is known of `number`.
    pub(super) fn find(&mut self, number: u64) -> Found {
        match self.place(number) {
            Some((state, request)) if request.number == number => match state {
                State::Free => Found::Unknown,
                State::Waiting | State::Expired => Found::Open(*request),
                State::Answered => Found::Answered(*request),
            },
            _ => Found::Unknown,
        }
    }

    /// Settles an open request that a reply came for; says whether the reply is reordered.
    pub(super) fn answer(&mut self, number: u64) -> bool {
        self.settle(number, State::Answered);
        self.order.feed(number)
    }

    /// Settles an open request that no reply can come for.
    pub(super) fn drop(&mut self, number: u64) {
        self.settle(number, State::Answered);
    }

    /// All that are not settled, in no order.
    pub(super) fn all_open(&self) -> impl Iterator<Item = Request> + '_ {
        let open =
            |(state, _): &&(State, Request)| matches!(state, State::Waiting | State::Expired);
        self.places.iter().filter(open).map(|(_, request)| *request)
    }

    /// Those that wait, the oldest first, at most `limit` numbers from it.
    pub(super) fn first_waiting(&mut self, limit: u64) -> impl Iterator<Item = Request> + '_ {
        let from = self.oldest_waiting().map_or(self.next, |request| request.number);
        let to = self.next.min(from.saturating_add(limit));
        let mask = self.places.len() as u64 - 1;
        (from..to).filter_map(move |number| {
            let place = usize::try_from(number & mask).ok()?;
            let (state, request) = self.places.get(place)?;
            (*state == State::Waiting && request.number == number).then_some(*request)
        })
    }

    /// Forgets all requests (their numbers are not used again).
    pub(super) fn clear(&mut self) {
        self.places.fill(Default::default());
        (self.waiting, self.open, self.oldest) = (0, 0, self.next);
    }

    fn settle(&mut self, number: u64, to: State) {
        let Some((state, _)) = self.place(number) else { return };
        match std::mem::replace(state, to) {
            State::Waiting => {
                self.waiting -= 1;
                self.open -= 1;
            }
            State::Expired => self.open -= 1,
            State::Free | State::Answered => {}
        }
    }

    fn place(&mut self, number: u64) -> Option<&mut (State, Request)> {
        let mask = self.places.len() as u64 - 1;
        self.places.get_mut(usize::try_from(number & mask).ok()?)
    }
}
