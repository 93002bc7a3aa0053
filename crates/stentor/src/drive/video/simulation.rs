//! A session on a virtual clock, as an outcome of the same shape as one over sockets.
//!
//! What happens is `stentor_core::video::simulator`'s; here is what both buffers of the drawing would
//! have held meanwhile, which follows from the events alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use stentor_core::moment::Moment;
use stentor_core::video::buffer::{self, Policy};
use stentor_core::video::film::Film;
use stentor_core::video::session::{Event, What};
use stentor_core::video::simulator::Played;

use super::outcome::{Account, Outcome, Sample, Trouble};

/// The outcome of a simulated session; `trouble` is why it did not come to its end.
pub fn outcome(
    film: Arc<Film>,
    policy: Policy,
    played: Played,
    trouble: Option<Trouble>,
) -> Outcome {
    let Played { events, end, metrics } = played;
    let samples = samples(&film, &events);
    let account = Account { found: "a simulation".to_owned(), exact: true, ..Account::default() };
    Outcome { film, policy, events, samples, end, metrics, interrupted: false, trouble, account }
}

/// What was buffered: a sample before and after each event, between which the level falls evenly or
/// stands still.
pub fn samples(film: &Film, events: &[Event]) -> Vec<Sample> {
    let mut course = Course::new(film);
    for event in events {
        course.pass_until(event.at);
        course.sample();
        course.take(&event.what);
        course.sample();
    }
    course.samples
}

/// A chunk in the buffer, or what is left of it.
struct Held {
    left: Duration,
    whole: Duration,
    bytes: u64,
}

/// The buffer, as the events tell of it.
struct Course<'a> {
    film: &'a Film,
    at: Moment,
    is_playing: bool,
    held: VecDeque<Held>,
    level: Duration,
    received_bytes: u64,
    samples: Vec<Sample>,
}

impl Course<'_> {
    fn new(film: &Film) -> Course<'_> {
        Course {
            film,
            at: Moment::START,
            is_playing: false,
            held: VecDeque::new(),
            level: Duration::ZERO,
            received_bytes: 0,
            samples: Vec::new(),
        }
    }

    /// Plays up to `now`.
    fn pass_until(&mut self, now: Moment) {
        let mut due = if self.is_playing { now.since(self.at) } else { Duration::ZERO };
        self.at = now;
        while let Some(held) = self.held.front_mut().filter(|_| !due.is_zero()) {
            let shown = due.min(held.left);
            held.left -= shown;
            self.level -= shown;
            due -= shown;
            if held.left.is_zero() {
                self.held.pop_front();
            }
        }
    }

    fn take(&mut self, what: &What) {
        match what {
            What::Received(download) => {
                let whole = self.film.duration(download.chunk);
                self.held.push_back(Held { left: whole, whole, bytes: download.bytes });
                self.level += whole;
                self.received_bytes += download.bytes;
            }
            What::Abandoned { download, .. } | What::Failed { download, .. } => {
                self.received_bytes += download.bytes;
            }
            What::Buffer(buffer::What::Started | buffer::What::Resumed) => self.is_playing = true,
            What::Buffer(buffer::What::Stalled | buffer::What::Ended) => self.is_playing = false,
            What::Requested { .. } | What::Buffer(buffer::What::Full | buffer::What::Room) => {}
        }
    }

    fn sample(&mut self) {
        let bytes = |held: &Held| {
            let share =
                held.left.as_nanos() * u128::from(held.bytes) / held.whole.as_nanos().max(1);
            u64::try_from(share).unwrap_or(held.bytes)
        };
        let sample = Sample {
            at: self.at,
            level: self.level,
            buffered_bytes: self.held.iter().map(bytes).sum(),
            received_bytes: self.received_bytes,
            ..Sample::default()
        };
        if self.samples.last() != Some(&sample) {
            self.samples.push(sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stentor_core::units::BitRate;
    use stentor_core::video::abr::Rule;
    use stentor_core::video::film::Plan;
    use stentor_core::video::network::Network;
    use stentor_core::video::player::{Chooser, Player, Retries};
    use stentor_core::video::simulator;

    /// Two chunks of 2 s and 1000 bytes at 4000 bit/s: they come after 2 s and 4 s; playing begins with
    /// the first.
    #[test]
    fn the_level_is_that_of_the_hand() {
        let film = Film::even(&[BitRate(4000)], Duration::from_secs(2), 2).unwrap();
        let network = Network::steady(BitRate(4000), Duration::ZERO).unwrap();
        let policy = Policy::new(Duration::from_secs(10), Duration::ZERO, Duration::ZERO).unwrap();
        let played = simulator::play(&film, &network, policy, Rule::Fixed(0));
        let outcome = outcome(Arc::new(film), policy, played, None);
        let seen: Vec<_> = outcome
            .samples
            .iter()
            .map(|one| (one.at.as_nanos() / 1_000_000, one.level.as_millis(), one.buffered_bytes))
            .collect();
        let expected = [
            (0, 0, 0),
            (2000, 0, 0),
            (2000, 2000, 1000),
            (4000, 0, 0),
            (4000, 2000, 1000),
            (6000, 0, 0),
        ];
        assert_eq!(seen, expected);
        assert_eq!(outcome.samples.last().map(|one| one.received_bytes), Some(2000));
    }

    #[test]
    fn samples_hold_what_the_player_holds() {
        let film = Plan::preset("ladder").unwrap();
        let film =
            film.generate(&mut stentor_core::seed::Dice::new(stentor_core::seed::Seed(5), "film"));
        let film = film.unwrap();
        let trace = "0 0.3\n7 0.3\n12 6\n20 0.05\n31 2.5".parse().unwrap();
        let network = Network::recorded(trace, Duration::from_millis(80)).unwrap();
        let seconds = Duration::from_secs;
        let policy = Policy::new(seconds(15), seconds(4), seconds(2)).unwrap();
        let mut stalls = 0;
        for rule in ["bola-e", "throughput", "mpc"] {
            let rule = Rule::named(rule, &film).unwrap();
            let retries = Retries { times: 0, pause: Duration::ZERO };
            let player = Player::new(&film, policy, Chooser::Rule(rule), retries);
            let mut held = Vec::new();
            let played =
                simulator::drive(player, &network, &mut |_, _| None, &mut |player, event| {
                    if let What::Requested { level, .. } = event.what {
                        held.push((event.at, level, player.buffered_bytes(event.at)));
                    }
                });
            let samples = samples(&film, &played.events);
            stalls += played.metrics.stalls;
            assert!(held.len() >= 60, "{}", held.len());
            for (at, level, bytes) in held {
                let found = samples.iter().rfind(|sample| sample.at == at).unwrap();
                assert_eq!(found.level, level, "at {at:?}");
                assert!(found.buffered_bytes.abs_diff(bytes) <= 20, "{found:?} {bytes}");
            }
        }
        assert!(stalls > 0, "also where it freezes");
    }
}
