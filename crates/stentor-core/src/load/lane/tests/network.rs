//! A service and the way to it, in virtual time.

use std::collections::BTreeMap;

use super::super::*;
use crate::seed::{Dice, Seed};

/// What the service does about a request.
pub(super) enum Reaction {
    Bytes(Vec<u8>),
    /// Bytes that had come before.
    Duplicate(Vec<u8>),
    Closed,
    Reset,
    IcmpRefused,
}

/// The right reply, framed as the request.
pub(super) fn reply(request: &[u8]) -> Vec<u8> {
    request.to_ascii_uppercase()
}

pub(super) type Answers = Vec<(Duration, Reaction)>;

/// In which order first replies arrived, by the definition itself: RFC 4737, section 3.3.
#[derive(Default)]
pub(super) struct Arrivals {
    next_expected: u64,
    pub(super) reordered: u64,
}

struct Event {
    lane: usize,
    connection: u64,
    number: u64,
    what: Option<Reaction>,
}

pub(super) struct Network {
    lanes: Vec<Lane>,
    /// By time, and by order within it.
    events: BTreeMap<(Moment, u64), Event>,
    order: u64,
    connection: Vec<u64>,
    /// When each stream delivers next at the earliest.
    free: Vec<Moment>,
    is_datagram: bool,
    pub(super) refuse_percent: u64,
    pub(super) arrivals: Option<Arrivals>,
    dice: Dice,
}

impl Network {
    pub(super) fn new(plan: Plan, lanes: u64) -> Network {
        let plan = Arc::new(plan);
        let lane = |index| Lane::new(Arc::clone(&plan), Share { index, of: lanes });
        let count = usize::try_from(lanes).unwrap();
        Network {
            lanes: (0..lanes).map(lane).collect(),
            events: BTreeMap::new(),
            order: 0,
            connection: vec![0; count],
            free: vec![Moment::START; count],
            is_datagram: plan.is_datagram(),
            refuse_percent: 0,
            arrivals: None,
            dice: Dice::new(Seed(plan.seed.0), "network"),
        }
    }

    pub(super) fn run(mut self, service: impl FnMut(Moment, &[u8], &mut Answers)) -> Tally {
        self.run_through(service)
    }

    /// Runs until every lane is done; the numbers add up at every step.
    pub(super) fn run_through(
        &mut self,
        mut service: impl FnMut(Moment, &[u8], &mut Answers),
    ) -> Tally {
        let (mut tally, mut out) = (Tally::new(), Vec::new());
        let mut wakes = vec![Some(Moment::START); self.lanes.len()];
        let mut numbers = 0;
        while let Some(now) =
            wakes.iter().flatten().copied().chain(self.events.keys().map(|key| key.0).take(1)).min()
        {
            while let Some(first) = self.events.first_entry()
                && first.key().0 <= now
            {
                let event = first.remove();
                let lane = event.lane;
                self.deliver(now, event, &mut tally);
                wakes[lane] = Some(now);
            }
            for (index, wake) in wakes.iter_mut().enumerate() {
                if wake.is_some_and(|wake| wake <= now) {
                    let mut answers = Answers::new();
                    *wake = loop {
                        out.clear();
                        match self.lanes[index].poll(now, &mut out, &mut tally) {
                            Output::Wait(until) => {
                                assert!(until > now, "waits for what is past: {until}, {now}");
                                break Some(until);
                            }
                            Output::Done => break None,
                            Output::Connect => self.connect(now, index),
                            Output::Close => self.connection[index] += 1,
                            Output::Send => {
                                service(now, &out, &mut answers);
                                self.answer(now, index, numbers, &mut answers);
                                numbers += 1;
                            }
                        }
                    };
                }
            }
            let under_way = self.lanes.iter().map(Lane::under_way).sum();
            assert!(tally.adds_up(under_way), "{under_way} under way of {tally:?}");
        }
        assert!(tally.adds_up(0));
        tally
    }

    fn connect(&mut self, now: Moment, lane: usize) {
        self.connection[lane] += 1;
        self.free[lane] = now;
        self.post(now + Duration::from_micros(300), lane, 0, None);
    }

    fn answer(&mut self, now: Moment, lane: usize, number: u64, answers: &mut Answers) {
        for (delay, what) in answers.drain(..) {
            let mut then = now + delay;
            if !self.is_datagram {
                then = then.max(self.free[lane]);
                self.free[lane] = then;
            }
            self.post(then, lane, number, Some(what));
        }
    }

    fn post(&mut self, then: Moment, lane: usize, number: u64, what: Option<Reaction>) {
        self.order += 1;
        let connection = self.connection[lane];
        self.events.insert((then, self.order), Event { lane, connection, number, what });
    }

    fn deliver(&mut self, now: Moment, event: Event, tally: &mut Tally) {
        if self.connection[event.lane] != event.connection {
            return;
        }
        let lane = &mut self.lanes[event.lane];
        let input = match &event.what {
            None if self.dice.below(100) < self.refuse_percent => Input::Refused,
            None => Input::Connected,
            Some(Reaction::Bytes(bytes)) => {
                if let Some(arrivals) = &mut self.arrivals {
                    let reordered = event.number < arrivals.next_expected;
                    arrivals.reordered += u64::from(reordered);
                    arrivals.next_expected = arrivals.next_expected.max(event.number + 1);
                }
                Input::Received(bytes)
            }
            Some(Reaction::Duplicate(bytes)) => Input::Received(bytes),
            Some(Reaction::Closed) => Input::Closed,
            Some(Reaction::Reset) => Input::Failed(Failure::Reset),
            Some(Reaction::IcmpRefused) => Input::Failed(Failure::Refused),
        };
        lane.handle(now, input, tally);
    }
}
