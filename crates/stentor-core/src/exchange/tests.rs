//! Questions in virtual time, on networks that lose, double, delay and reorder.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test shows whatever else comes")]

use super::*;
use crate::seed::{Dice, Seed};

const POLICY: Policy = Policy { retries: 2, limit: Duration::from_millis(700) };

fn ms(milliseconds: u64) -> Moment {
    Moment::START + Duration::from_millis(milliseconds)
}

/// A network of two directions, each datagram with its own luck.
struct Network {
    dice: Dice,
    loss: f64,
    double: f64,
    delay_max_ms: u64,
    /// Answers under way, by time of arrival and a number that keeps them apart.
    flying: BTreeMap<(Moment, u64), Vec<u8>>,
    count: u64,
}

impl Network {
    fn send(&mut self, now: Moment, answer: &[u8]) {
        let copies = 1 + usize::from(self.dice.chance(self.double));
        for _ in 0..copies {
            if !self.dice.chance(self.loss) {
                let delay = Duration::from_millis(self.dice.below(self.delay_max_ms + 1));
                self.count += 1;
                self.flying.insert((now + delay, self.count), answer.to_vec());
            }
        }
    }
}

#[derive(Debug, Default, PartialEq)]
struct Tally {
    answered: usize,
    gave_up: usize,
    late: usize,
    duplicate: usize,
    wrong: usize,
    unasked: usize,
    sent: usize,
    delivered: usize,
}

/// Asks every question in turn, then lets what is still under way arrive.
fn run(questions: &[String], network: &mut Network, policy: Policy) -> Tally {
    let (mut now, mut tally) = (ms(0), Tally::default());
    let mut exchange = Exchange::new(policy, now);
    let mut asked = 0;
    for _ in 0..100_000 {
        match exchange.poll() {
            Output::Send(_) => {
                tally.sent += 1;
                network.send(now, questions[asked - 1].as_bytes());
            }
            Output::Answered(took) => {
                assert!(took <= policy.limit);
                tally.answered += 1;
            }
            Output::GaveUp => tally.gave_up += 1,
            Output::Late => tally.late += 1,
            Output::Duplicate => tally.duplicate += 1,
            Output::Wrong(_) => tally.wrong += 1,
            Output::Unasked => tally.unasked += 1,
            Output::Wait(until) => {
                assert!(until > now, "a wait that does not wait");
                match network.flying.first_entry().filter(|next| next.key().0 <= until) {
                    Some(next) => {
                        now = now.max(next.key().0);
                        tally.delivered += 1;
                        exchange.handle(now, Input::Datagram(&next.remove()));
                    }
                    None => {
                        now = until;
                        exchange.handle(now, Input::Time);
                    }
                }
            }
            Output::Idle if asked < questions.len() => {
                exchange.handle(now, Input::Ask(Some(questions[asked].as_bytes())));
                asked += 1;
            }
            Output::Idle => match network.flying.pop_first() {
                Some(((at, _), datagram)) => {
                    tally.delivered += 1;
                    exchange.handle(at, Input::Datagram(&datagram));
                }
                None => return tally,
            },
        }
    }
    panic!("it does not end: {tally:?}");
}

fn network(seed: u64, loss: f64, double: f64, delay_max_ms: u64) -> Network {
    let dice = Dice::new(Seed(seed), "network");
    Network { dice, loss, double, delay_max_ms, flying: BTreeMap::new(), count: 0 }
}

fn lines(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("LINE {number}")).collect()
}

#[test]
fn a_good_network_answers_each_question_once() {
    let tally = run(&lines(50), &mut network(1, 0.0, 0.0, 50), POLICY);
    let expected = Tally { answered: 50, sent: 50, delivered: 50, ..Tally::default() };
    assert_eq!(tally, expected);
}

#[test]
fn a_dead_network_is_asked_thrice_with_doubling_waits_and_given_up_at_the_limit() {
    let mut exchange = Exchange::new(POLICY, ms(0));
    exchange.handle(ms(0), Input::Ask(Some(b"HELLO")));
    let mut log = Vec::new();
    loop {
        match exchange.poll() {
            Output::Wait(until) => {
                log.push(format!("wait {}", until.since(ms(0)).as_millis()));
                exchange.handle(until, Input::Time);
            }
            Output::Idle => break,
            other => log.push(format!("{other:?}")),
        }
    }
    let expected = "Send(1), wait 100, Send(2), wait 300, Send(3), wait 700, GaveUp";
    assert_eq!(log.join(", "), expected);
}

#[test]
fn without_retries_a_question_is_sent_once() {
    let policy = Policy { retries: 0, ..POLICY };
    let tally = run(&lines(3), &mut network(1, 1.0, 0.0, 0), policy);
    assert_eq!(tally, Tally { gave_up: 3, sent: 3, ..Tally::default() });
}

#[test]
fn wrong_late_duplicate_and_unasked_are_told_apart() {
    let mut exchange = Exchange::new(POLICY, ms(0));
    let mut hear = |at: u64, input: Input<'_>| {
        exchange.handle(ms(at), input);
        let mut outputs = Vec::new();
        loop {
            match exchange.poll() {
                Output::Wait(_) | Output::Idle => return outputs,
                other => outputs.push(other),
            }
        }
    };
    assert_eq!(hear(0, Input::Datagram(b"X")), [Output::Unasked]);
    assert_eq!(hear(0, Input::Ask(Some(b"ONE"))), [Output::Send(1)]);
    assert_eq!(hear(900, Input::Time), [Output::GaveUp]);
    assert_eq!(hear(900, Input::Ask(Some(b"TWO"))), [Output::Send(1)]);
    assert_eq!(hear(901, Input::Datagram(b"ONE")), [Output::Late]);
    assert_eq!(hear(902, Input::Datagram(b"ONE")), [Output::Duplicate]);
    let took = Duration::from_millis(5);
    assert_eq!(hear(905, Input::Datagram(b"TWO")), [Output::Answered(took)]);
    assert_eq!(hear(906, Input::Datagram(b"TWO")), [Output::Duplicate]);
    assert_eq!(hear(910, Input::Ask(Some(b"THREE"))), [Output::Send(1)]);
    assert_eq!(hear(911, Input::Datagram(b"THRee")), [Output::Wrong(3)]);
    assert_eq!(hear(912, Input::Datagram(b"THREE")), [Output::Duplicate]);
    assert_eq!(hear(920, Input::Ask(None)), [Output::Send(1)]);
    assert_eq!(hear(921, Input::Datagram(b"anything")), [Output::Answered(took / 5)]);
    assert_eq!(hear(930, Input::Ask(Some(b""))), [Output::Send(1)]);
    assert_eq!(hear(931, Input::Datagram(b"")), [Output::Answered(took / 5)]);
}

#[test]
fn any_network_is_told_apart_and_the_counts_add_up() {
    for seed in 0..3000 {
        let mut dice = Dice::new(Seed(seed), "case");
        let questions = if dice.chance(0.5) {
            lines(20)
        } else {
            // The same few answers again and again.
            (0..20).map(|_| format!("{}", dice.below(3))).collect()
        };
        let (loss, double) = (dice.unit() * 0.8, dice.unit());
        let mut net = network(seed, loss, double, 1 + dice.below(2000));
        let policy = Policy { retries: u32::try_from(dice.below(5)).unwrap(), ..POLICY };
        let tally = run(&questions, &mut net, policy);
        assert_eq!((tally.wrong, tally.unasked), (0, 0), "seed {seed}");
        assert_eq!(tally.answered + tally.gave_up, questions.len(), "seed {seed}");
        let told = tally.answered + tally.late + tally.duplicate;
        assert_eq!(told, tally.delivered, "seed {seed}: {tally:?}");
        assert!(tally.late <= tally.gave_up, "seed {seed}: {tally:?}");
        let most = questions.len() * (1 + policy.retries as usize);
        assert!((questions.len()..=most).contains(&tally.sent), "seed {seed}");
    }
}

#[test]
fn memory_is_bounded_and_the_oldest_is_forgotten() {
    let mut exchange = Exchange::new(POLICY, ms(0));
    for number in 0..=REMEMBERED {
        exchange.handle(ms(0), Input::Ask(Some(number.to_string().as_bytes())));
    }
    exchange.handle(ms(0), Input::Ask(None));
    assert_eq!(exchange.earlier.len(), REMEMBERED);
    assert_eq!(exchange.order.len(), REMEMBERED);
    assert!(!exchange.earlier.contains_key(&digest(b"0")));
}
