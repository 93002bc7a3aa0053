//! A session on a virtual clock: the player of a real one, over a recorded network.
//!
//! Unlike [`super::sabre`], a quality that is suggested when a download is given up is the one that is
//! asked for next, start-up includes latency, and a freeze of no length is none.

use std::time::Duration;

use super::abr::{Choice, Rule, View};
use super::buffer::Policy;
use super::film::Film;
use super::metrics::Metrics;
use super::network::Network;
use super::player::{Chooser, Input, Output, Player, Retries};
use super::session::{Download, Event};
use crate::moment::Moment;

/// Nothing fails on a recorded network.
const RETRIES: Retries = Retries { times: 0, pause: Duration::ZERO };

/// A session that was played to the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// What happened, in order of time.
    pub events: Vec<Event>,
    /// When the last picture was shown.
    pub end: Moment,
    /// How good it was.
    pub metrics: Metrics,
}

/// Plays `film` over `network` as `rule` says.
pub fn play(film: &Film, network: &Network, policy: Policy, rule: Rule) -> Played {
    let player = Player::new(film, policy, Chooser::Rule(rule), RETRIES);
    drive(player, network, &mut |_, _| None, &mut |_, _| {})
}

/// Plays `film` over `network` as somebody outside says, who sees what a rule would, and the last
/// download; `None` ends the session.
pub fn play_asking(
    film: &Film,
    network: &Network,
    policy: Policy,
    ask: &mut dyn FnMut(&View<'_>, Option<&Download>) -> Option<Choice>,
) -> Played {
    drive(Player::new(film, policy, Chooser::Outside, RETRIES), network, ask, &mut |_, _| {})
}

/// A download on its way.
struct Flight {
    /// When its first byte comes.
    begins: Moment,
    size_bytes: u64,
    ends: Moment,
    begun: bool,
}

impl Flight {
    fn next(&self) -> Moment {
        if self.begun { self.ends } else { self.begins }
    }
}

/// Drives a player over a recorded network to its end. `watch` sees the player after each event.
pub fn drive<'a>(
    mut player: Player<&'a Film>,
    network: &Network,
    ask: &mut dyn FnMut(&View<'_>, Option<&Download>) -> Option<Choice>,
    watch: &mut dyn FnMut(&Player<&'a Film>, &Event),
) -> Played {
    let film = player.shared();
    let mut events = Vec::with_capacity(film.chunks().len() * 4);
    let mut now = Moment::START;
    let mut flight: Option<Flight> = None;
    loop {
        let next = match player.poll(now) {
            Output::Event(event) => {
                watch(&player, &event);
                events.push(event);
                continue;
            }
            Output::Request { chunk, quality } => {
                let size_bytes = film.bytes(chunk, quality);
                let begins = network.begins(now);
                let ends = network.arrives(begins, size_bytes);
                flight = Some(Flight { begins, size_bytes, ends, begun: false });
                continue;
            }
            Output::Cancel => {
                flight = None;
                continue;
            }
            Output::Ask => match ask(&player.view(now), player.last_download()) {
                Some(choice) => {
                    player.handle(now, Input::Choice(choice));
                    continue;
                }
                None => break,
            },
            Output::Wait(next) => Some(next),
            Output::Idle => None,
            Output::Ended | Output::GaveUp => break,
        };
        // What arrives in the moment of an alarm comes before it.
        match &mut flight {
            Some(one) if next.is_none_or(|next| one.next() <= next) => {
                now = one.next();
                let size_bytes = Some(one.size_bytes);
                match std::mem::replace(&mut one.begun, true) {
                    false => player.handle(now, Input::Begins { size_bytes }),
                    true => {
                        player.handle(now, Input::Complete { bytes: one.size_bytes });
                        flight = None;
                    }
                }
            }
            Some(one) => {
                now = next.unwrap_or(now);
                if one.begun {
                    let bytes = network.arrived(one.begins, now, one.size_bytes);
                    player.handle(now, Input::Progress { bytes });
                }
            }
            None => match next {
                Some(next) => now = next,
                None => break,
            },
        }
    }
    let metrics = Metrics::of(film, &events, now);
    Played { events, end: now, metrics }
}
