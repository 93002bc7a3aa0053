//! The order and the race of several addresses of one name (RFC 8305, "Happy Eyeballs").
//!
//! Resolving the name and making the sockets are left to the driver, which begins and abandons
//! attempts as it is told here, and reports how each ended.

use std::net::SocketAddr;
use std::time::Duration;

use crate::moment::Moment;

/// How long an attempt runs alone before the next begins (RFC 8305, section 5: 250 ms).
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Orders addresses for the race: families take turns, IPv6 first; within a family the
/// resolver's order (RFC 6724) stays (RFC 8305, section 4, First Address Family Count 1).
pub fn order(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut first = addresses.iter().filter(|address| address.is_ipv6());
    let mut second = addresses.iter().filter(|address| address.is_ipv4());
    let mut ordered = Vec::with_capacity(addresses.len());
    loop {
        match (first.next(), second.next()) {
            (None, None) => return ordered,
            (six, four) => ordered.extend(six.into_iter().chain(four).copied()),
        }
    }
}

/// What happened since the machine was last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing but time.
    Time,
    /// The attempt of this number is connected.
    Connected(usize),
    /// The attempt of this number has failed.
    Failed(usize),
}

/// What the driver has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Begin to connect to the address of this number.
    Begin(usize),
    /// Close the unfinished attempt of this number: another has won, or time is up.
    Abandon(usize),
    /// Wait for a socket, or until this moment, then `handle`.
    Wait(Moment),
    /// The attempt of this number is the connection; the race is over.
    Won(usize),
    /// No attempt is left; the race is over.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runner {
    Waiting,
    Running,
    Over,
}

/// A race between addresses that are already in order; the first to connect wins.
#[derive(Clone, Debug)]
pub struct Race {
    runners: Vec<Runner>,
    /// When the next attempt may begin even though the last one has not failed.
    next: Moment,
    deadline: Moment,
    now: Moment,
    winner: Option<usize>,
}

impl Race {
    /// Starts a race of `count` addresses that is given up `limit` after `now`.
    pub fn new(count: usize, now: Moment, limit: Duration) -> Race {
        let runners = vec![Runner::Waiting; count];
        Race { runners, next: now, deadline: now + limit, now, winner: None }
    }

    /// Takes what happened at `now`. Numbers that are not running are ignored.
    pub fn handle(&mut self, now: Moment, input: Input) {
        self.now = self.now.max(now);
        let (Input::Connected(number) | Input::Failed(number)) = input else { return };
        let Some(runner) = self.runners.get_mut(number) else { return };
        if *runner != Runner::Running {
            return;
        }
        *runner = Runner::Over;
        match input {
            Input::Connected(_) => self.winner = self.winner.or(Some(number)),
            // "If one fails, the next attempt can be started at once" (RFC 8305, section 5).
            Input::Failed(_) => self.next = self.now,
            Input::Time => {}
        }
    }

    /// Says what to do, until it says to wait or how the race ended.
    pub fn poll(&mut self) -> Output {
        let late = self.now >= self.deadline;
        let running = self.first(Runner::Running);
        if self.winner.is_some() || late {
            return match (running, self.winner) {
                (Some(number), _) => self.turn(number, Runner::Over, Output::Abandon(number)),
                (None, Some(winner)) => Output::Won(winner),
                (None, None) => Output::Lost,
            };
        }
        match (running, self.first(Runner::Waiting)) {
            (_, Some(number)) if self.now >= self.next => {
                self.next = self.now + ATTEMPT_DELAY;
                self.turn(number, Runner::Running, Output::Begin(number))
            }
            (_, Some(_)) => Output::Wait(self.next.min(self.deadline)),
            (Some(_), None) => Output::Wait(self.deadline),
            (None, None) => Output::Lost,
        }
    }

    fn first(&self, state: Runner) -> Option<usize> {
        self.runners.iter().position(|&runner| runner == state)
    }

    fn turn(&mut self, number: usize, state: Runner, output: Output) -> Output {
        if let Some(runner) = self.runners.get_mut(number) {
            *runner = state;
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Dice, Seed};

    fn ms(milliseconds: u64) -> Moment {
        Moment::START + Duration::from_millis(milliseconds)
    }

    /// Runs a race in virtual time. Each address has the time it takes and whether it connects;
    /// returns the log and the end.
    fn run(addresses: &[(u64, bool)], limit_ms: u64) -> (Vec<String>, Output) {
        let mut race = Race::new(addresses.len(), ms(0), Duration::from_millis(limit_ms));
        let (mut now, mut log) = (ms(0), Vec::new());
        let mut ends: Vec<Option<Moment>> = vec![None; addresses.len()];
        for _ in 0..10 * (addresses.len() + 1) {
            match race.poll() {
                Output::Begin(n) => {
                    log.push(format!("{} begin {n}", now.since(ms(0)).as_millis()));
                    ends[n] = Some(now + Duration::from_millis(addresses[n].0));
                }
                Output::Abandon(n) => {
                    log.push(format!("{} abandon {n}", now.since(ms(0)).as_millis()));
                    ends[n] = None;
                }
                Output::Wait(until) => {
                    assert!(until > now, "a wait that does not wait");
                    let due = (0..ends.len()).filter(|&n| ends[n].is_some());
                    match due.min_by_key(|&n| ends[n]).filter(|&n| ends[n] <= Some(until)) {
                        Some(n) => {
                            now = ends[n].take().unwrap();
                            let connects = addresses[n].1;
                            let input =
                                if connects { Input::Connected(n) } else { Input::Failed(n) };
                            race.handle(now, input);
                        }
                        None => {
                            now = until;
                            race.handle(now, Input::Time);
                        }
                    }
                }
                end @ (Output::Won(_) | Output::Lost) => {
                    assert_eq!(race.poll(), end, "the end stays the end");
                    assert!(now <= ms(limit_ms));
                    return (log, end);
                }
            }
        }
        panic!("the race does not end: {log:?}");
    }

    #[test]
    fn families_take_turns_and_v6_comes_first() {
        let check = |given: &str, expected: &str| {
            let given: Vec<SocketAddr> =
                given.split_whitespace().map(|address| address.parse().unwrap()).collect();
            let ordered: Vec<_> = order(&given).iter().map(ToString::to_string).collect();
            assert_eq!(ordered.join(" "), expected);
        };
        check("1.1.1.1:1 2.2.2.2:1 [::1]:1", "[::1]:1 1.1.1.1:1 2.2.2.2:1");
        check("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1", "[::1]:1 1.1.1.1:1 [::2]:1 [::3]:1");
        check("2.2.2.2:1 1.1.1.1:1", "2.2.2.2:1 1.1.1.1:1");
        check("", "");
    }

    #[test]
    fn the_first_to_connect_wins_and_the_others_are_abandoned() {
        let (log, end) = run(&[(10, true), (1, true)], 5000);
        assert_eq!((log.join(", ").as_str(), end), ("0 begin 0", Output::Won(0)));
        let (log, end) = run(&[(9000, true), (20, true), (1, true)], 5000);
        assert_eq!(log.join(", "), "0 begin 0, 250 begin 1, 270 abandon 0");
        assert_eq!(end, Output::Won(1));
        let (log, end) = run(&[(300, true), (200, true)], 5000);
        assert_eq!(log.join(", "), "0 begin 0, 250 begin 1, 300 abandon 1");
        assert_eq!(end, Output::Won(0));
    }

    #[test]
    fn a_failure_brings_the_next_at_once() {
        let (log, end) = run(&[(3, false), (4, false), (5, true)], 5000);
        assert_eq!(log.join(", "), "0 begin 0, 3 begin 1, 7 begin 2");
        assert_eq!(end, Output::Won(2));
    }

    #[test]
    fn all_failed_or_none_at_all_is_lost_and_silence_ends_at_the_limit() {
        assert_eq!(run(&[], 5000), (vec![], Output::Lost));
        let (log, end) = run(&[(1, false), (1, false)], 5000);
        assert_eq!((log.len(), end), (2, Output::Lost));
        let (log, end) = run(&[(9000, true), (9000, true)], 1000);
        assert_eq!(log.join(", "), "0 begin 0, 250 begin 1, 1000 abandon 0, 1000 abandon 1");
        assert_eq!(end, Output::Lost);
    }

    #[test]
    fn any_race_is_won_exactly_when_somebody_connects_in_time() {
        for seed in 0..2000 {
            let mut dice = Dice::new(Seed(seed), "race");
            let addresses: Vec<(u64, bool)> =
                (0..dice.below(6)).map(|_| (1 + dice.below(1500), dice.chance(0.4))).collect();
            let (log, end) = run(&addresses, 3000);
            let count = |word: &str| log.iter().filter(|line| line.contains(word)).count();
            if let Output::Won(winner) = end {
                assert!(addresses[winner].1, "seed {seed}");
            } else {
                // Attempt k begins by 250 k ms and ends 1,500 ms later: nobody is cut off.
                assert!(addresses.iter().all(|address| !address.1), "seed {seed}: {log:?}");
            }
            assert!(count("begin") <= addresses.len() && count("abandon") <= count("begin"));
        }
    }
}
