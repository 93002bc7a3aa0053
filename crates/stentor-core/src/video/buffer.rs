//! A player's buffer: what is in it, when playing begins, freezes and ends, to the nanosecond.
//!
//! There is no tick. Between two arrivals everything that will happen is known, so `poll` says when
//! to come back, and an event carries the moment at which it happened, however late it is asked for.
//! Fetching is left to the driver.

use std::collections::VecDeque;
use std::time::Duration;

use thiserror::Error;

use crate::moment::Moment;

/// How much is kept, and how much it takes to begin; in playing time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    capacity: Duration,
    start: Duration,
    resume: Duration,
}

/// Why a policy is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// Playing would never begin.
    #[error("{what} wants {wanted:?} of film, and the buffer holds {capacity:?}")]
    Never {
        /// Start or resumption.
        what: &'static str,
        /// What it waits for.
        wanted: Duration,
        /// What there is room for.
        capacity: Duration,
    },
    /// A buffer of nothing.
    #[error("a buffer of 0 s holds nothing")]
    Nothing,
}

impl Policy {
    /// A buffer that holds `capacity` (the book's B), begins to play at `start` (Q), and after a
    /// freeze at `resume`; 0 means with whatever comes first.
    ///
    /// # Errors
    /// When playing could never begin.
    pub fn new(
        capacity: Duration,
        start: Duration,
        resume: Duration,
    ) -> Result<Policy, PolicyError> {
        for (what, wanted) in [("the start", start), ("going on after a freeze", resume)] {
            if wanted > capacity {
                return Err(PolicyError::Never { what, wanted, capacity });
            }
        }
        match capacity.is_zero() {
            true => Err(PolicyError::Nothing),
            false => Ok(Policy { capacity, start, resume }),
        }
    }

    /// How much the buffer holds.
    pub fn capacity(&self) -> Duration {
        self.capacity
    }

    /// With how much playing begins.
    pub fn start(&self) -> Duration {
        self.start
    }

    /// With how much it goes on after a freeze.
    pub fn resume(&self) -> Duration {
        self.resume
    }
}

/// What happens to a buffer from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// So much film has arrived.
    Media(Duration),
    /// The driver would put in so much, and waits until it fits.
    Wants(Duration),
    /// The film's last part has arrived.
    End,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// What.
    pub what: What,
}

/// What can happen to a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Playing began.
    Started,
    /// There was nothing left to play.
    Stalled,
    /// Playing went on.
    Resumed,
    /// What the driver wants to put in does not fit.
    Full,
    /// It fits.
    Room,
    /// The last picture was shown.
    Ended,
}

/// What a buffer asks of its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Take this.
    Event(Event),
    /// Come back then, or with an input.
    Wait(Moment),
    /// Nothing happens without an input.
    Idle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Playing,
    Frozen,
    Ended,
}

/// The machine. The driver polls until it is told to wait, so that at most a handful of events are
/// held.
#[derive(Clone, Debug)]
pub struct Buffer {
    policy: Policy,
    phase: Phase,
    /// Up to when everything has been accounted for.
    now: Moment,
    level: Duration,
    played: Duration,
    wanted: Option<Duration>,
    complete: bool,
    events: VecDeque<Event>,
}

impl Buffer {
    /// An empty buffer.
    pub fn new(policy: Policy) -> Buffer {
        Buffer {
            policy,
            phase: Phase::Starting,
            now: Moment::START,
            level: Duration::ZERO,
            played: Duration::ZERO,
            wanted: None,
            complete: false,
            events: VecDeque::new(),
        }
    }

    /// How much is in it at `now`.
    pub fn level(&self, now: Moment) -> Duration {
        match self.phase {
            Phase::Playing => self.level.saturating_sub(now.since(self.now)),
            Phase::Starting | Phase::Frozen | Phase::Ended => self.level,
        }
    }

    /// How much has been played at `now`.
    pub fn played(&self, now: Moment) -> Duration {
        self.played + (self.level - self.level(now))
    }

    /// Whether it is playing, as of the last call.
    pub fn is_playing(&self) -> bool {
        self.phase == Phase::Playing
    }

    /// Takes an input. Film that arrives in the very moment in which the buffer runs dry comes in
    /// time: no freeze.
    pub fn handle(&mut self, now: Moment, input: Input) {
        while let Some(next) = self.next().filter(|next| *next < now) {
            self.advance(next);
        }
        self.play_until(now);
        match input {
            Input::Media(duration) => {
                self.wanted = None;
                self.level += duration;
            }
            Input::Wants(duration) => {
                self.wanted = Some(duration);
                if self.room_in(duration) > Duration::ZERO {
                    self.say(What::Full);
                }
            }
            Input::End => self.complete = true,
        }
        self.begin();
    }

    /// Says what happened up to `now`, and then when to come back.
    pub fn poll(&mut self, now: Moment) -> Output {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Output::Event(event);
            }
            match self.next() {
                None => return Output::Idle,
                Some(next) if next > now => return Output::Wait(next),
                Some(next) => self.advance(next),
            }
        }
    }

    /// Begins or goes on to play, if there is enough or no more can come.
    fn begin(&mut self) {
        let (threshold, what) = match self.phase {
            Phase::Starting => (self.policy.start, What::Started),
            Phase::Frozen => (self.policy.resume, What::Resumed),
            Phase::Playing | Phase::Ended => return,
        };
        let blocked = self.wanted.is_some_and(|wanted| self.room_in(wanted) > Duration::ZERO);
        let enough = self.level >= threshold || self.complete || blocked;
        if self.level > Duration::ZERO && enough {
            self.phase = Phase::Playing;
            self.say(what);
        } else if self.complete && self.level.is_zero() {
            self.phase = Phase::Ended;
            self.say(What::Ended);
        }
    }

    /// How long must be played until `wanted` fits; what is larger than the buffer fits an empty one.
    fn room_in(&self, wanted: Duration) -> Duration {
        (self.level + wanted).saturating_sub(self.policy.capacity).min(self.level)
    }

    /// When something happens next without an input.
    fn next(&self) -> Option<Moment> {
        let room = self.wanted.map(|wanted| self.room_in(wanted));
        match (self.phase, room) {
            (_, Some(Duration::ZERO)) => Some(self.now),
            (Phase::Playing, Some(room)) => Some(self.now + room.min(self.level)),
            (Phase::Playing, None) => Some(self.now + self.level),
            (Phase::Starting | Phase::Frozen | Phase::Ended, _) => None,
        }
    }

    /// Goes to the next moment at which something happens, and says it.
    fn advance(&mut self, next: Moment) {
        self.play_until(next);
        if self.wanted.is_some_and(|wanted| self.room_in(wanted).is_zero()) {
            self.wanted = None;
            self.say(What::Room);
        } else if self.level.is_zero() && self.phase == Phase::Playing {
            let (phase, what) = match self.complete {
                true => (Phase::Ended, What::Ended),
                false => (Phase::Frozen, What::Stalled),
            };
            self.phase = phase;
            self.say(what);
        }
    }

    fn play_until(&mut self, now: Moment) {
        if self.phase == Phase::Playing {
            let played = now.since(self.now).min(self.level);
            self.level -= played;
            self.played += played;
        }
        self.now = self.now.max(now);
    }

    fn say(&mut self, what: What) {
        self.events.push_back(Event { at: self.now, what });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Dice, Seed};

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn policy(capacity: u64, start: u64, resume: u64) -> Policy {
        Policy::new(ms(capacity), ms(start), ms(resume)).unwrap()
    }

    /// Runs a script of inputs with their milliseconds, then to the end; what happened when.
    fn told(policy: Policy, script: &[(u64, Input)]) -> String {
        let mut buffer = Buffer::new(policy);
        let mut said = Vec::new();
        let mut drain = |buffer: &mut Buffer, until: Moment| {
            let mut now = Moment::START;
            loop {
                match buffer.poll(now) {
                    Output::Event(Event { at, what }) => {
                        said.push(format!("{}:{what:?}", at.as_nanos() / 1_000_000));
                    }
                    Output::Wait(next) if next < until => now = next,
                    Output::Wait(_) | Output::Idle => break,
                }
            }
        };
        for (at, input) in script {
            let at = Moment::START + ms(*at);
            drain(&mut buffer, at);
            buffer.handle(at, *input);
        }
        drain(&mut buffer, Moment::from_nanos(u64::MAX));
        said.join(" ")
    }

    #[test]
    fn events_come_at_their_moments() {
        use Input::{End, Media, Wants};
        let check = |policy, script: &[(u64, Input)], expected: &str| {
            assert_eq!(told(policy, script), expected);
        };
        // Begins at Q, freezes when dry, goes on at Q, ends.
        let script = [
            (1000, Media(ms(2000))),
            (4000, Media(ms(1000))),
            (5000, Media(ms(1000))),
            (6000, End),
        ];
        check(
            policy(9000, 2000, 2000),
            &script,
            "1000:Started 3000:Stalled 5000:Resumed 7000:Ended",
        );
        // Goes on with the first piece; the next one comes just in time.
        let expected = "1000:Started 3000:Stalled 4000:Resumed 6000:Ended";
        check(policy(9000, 2000, 0), &script, expected);
        // Full: the wait is exactly the excess.
        let script =
            [(0, Media(ms(3000))), (0, Wants(ms(2000))), (1500, Media(ms(2000))), (1500, End)];
        check(policy(4000, 2000, 0), &script, "0:Started 0:Full 1000:Room 5000:Ended");
        // It fits at once.
        let script = [(0, Media(ms(1000))), (0, Wants(ms(2000))), (10, End)];
        check(policy(4000, 0, 0), &script, "0:Started 0:Room 1000:Ended");
        // Less than Q, and no more fits: playing begins rather than never.
        let script =
            [(0, Media(ms(3000))), (0, Wants(ms(3000))), (2500, Media(ms(3000))), (2500, End)];
        check(policy(4000, 4000, 4000), &script, "0:Full 0:Started 2000:Room 6000:Ended");
        // A chunk that is larger than the buffer waits until it is empty.
        let script = [(0, Media(ms(1000))), (0, Wants(ms(9000)))];
        check(policy(4000, 0, 0), &script, "0:Started 0:Full 1000:Room 1000:Stalled");
        // The whole film is shorter than Q.
        check(policy(9000, 5000, 0), &[(0, Media(ms(1000))), (100, End)], "100:Started 1100:Ended");
        // Nothing at all.
        check(policy(9000, 5000, 0), &[(7, End)], "7:Ended");
    }

    #[test]
    fn film_in_the_last_moment_is_in_time() {
        let mut buffer = Buffer::new(policy(9000, 0, 0));
        buffer.handle(Moment::START, Input::Media(ms(1000)));
        buffer.handle(Moment::START + ms(1000), Input::Media(ms(1000)));
        let started = Event { at: Moment::START, what: What::Started };
        assert_eq!(buffer.poll(Moment::START + ms(1000)), Output::Event(started));
        assert_eq!(buffer.poll(Moment::START + ms(1000)), Output::Wait(Moment::START + ms(2000)));
    }

    #[test]
    fn a_policy_can_be_met() {
        assert!(Policy::new(ms(10), ms(11), ms(0)).is_err());
        assert!(Policy::new(ms(10), ms(0), ms(11)).is_err());
        assert_eq!(Policy::new(ms(0), ms(0), ms(0)), Err(PolicyError::Nothing));
    }

    #[test]
    fn what_came_is_played_or_held_and_time_is_played_or_frozen() {
        for seed in 0..500 {
            let mut dice = Dice::new(Seed(seed), "buffer");
            let (start, resume) = (dice.below(3000), dice.below(3000));
            let mut buffer = Buffer::new(policy(3000 + dice.below(9000), start, resume));
            let (mut now, mut came) = (Moment::START, Duration::ZERO);
            let (mut begun, mut frozen, mut frozen_ns) = (None, None::<Moment>, 0);
            for _ in 0..40 {
                now = now + ms(dice.below(2500));
                let piece = ms(dice.below(2000));
                let input = match dice.below(4) {
                    0 => Input::Wants(piece),
                    _ => Input::Media(piece),
                };
                if let Input::Media(piece) = input {
                    came += piece;
                }
                buffer.handle(now, input);
                while let Output::Event(Event { at, what }) = buffer.poll(now) {
                    assert!(at <= now, "seed {seed}");
                    match what {
                        What::Started => begun = Some(at),
                        What::Stalled => frozen = Some(at),
                        What::Resumed => {
                            let since = frozen.take().unwrap();
                            frozen_ns += at.since(since).as_nanos();
                        }
                        What::Full | What::Room => {}
                        What::Ended => panic!("seed {seed}: not complete"),
                    }
                }
                assert_eq!(buffer.played(now) + buffer.level(now), came, "seed {seed}");
                let open = frozen.map_or(0, |since| now.since(since).as_nanos());
                let since = begun.map_or(0, |begun| now.since(begun).as_nanos());
                assert_eq!(buffer.played(now).as_nanos() + frozen_ns + open, since, "seed {seed}");
            }
        }
    }
}
