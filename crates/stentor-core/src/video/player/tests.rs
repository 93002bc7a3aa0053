//! The machine by hand, and in virtual time against networks that do anything.

use super::*;
use crate::seed::{Dice, Seed};
use crate::units::BitRate;
use crate::video::abr::NAMES;
use crate::video::film::Plan;

const RETRIES: Retries = Retries { times: 2, pause: Duration::from_millis(500) };

fn ms(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

fn span(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Four chunks of 1 s at 80, 160 and 320 kbit/s.
fn film() -> Film {
    Film::even(&[80_000, 160_000, 320_000].map(BitRate), span(1000), 4).unwrap()
}

fn policy() -> Policy {
    Policy::new(span(3000), span(1000), span(1000)).unwrap()
}

/// What a player asks for at `now`, up to the next wait: events but requests are left out.
fn told(player: &mut Player<&Film>, now: u64) -> String {
    let mut said = Vec::new();
    loop {
        match player.poll(ms(now)) {
            Output::Event(Event { at, what: What::Buffer(what) }) => {
                said.push(format!("{what:?}@{}", at.as_nanos() / 1_000_000));
            }
            Output::Event(Event { what: What::Failed { to, .. }, .. }) => {
                said.push(format!("failed, then {to:?}"));
            }
            Output::Event(_) => {}
            Output::Request { chunk, quality } => said.push(format!("get {chunk}/{quality}")),
            Output::Wait(until) => {
                said.push(format!("wait {}", until.as_nanos() / 1_000_000));
                return said.join(" ");
            }
            other => {
                said.push(format!("{other:?}"));
                if matches!(other, Output::Idle | Output::Ended | Output::GaveUp) {
                    return said.join(" ");
                }
            }
        }
    }
}

#[test]
fn a_download_that_fails_is_repeated_and_then_another_quality_is_tried() {
    let film = film();
    let mut player = Player::new(&film, policy(), Chooser::Rule(Rule::Fixed(1)), RETRIES);
    let mut check = |at: u64, input: Option<Input>, expected: &str| {
        if let Some(input) = input {
            player.handle(ms(at), input);
        }
        assert_eq!(told(&mut player, at), expected, "at {at}");
    };
    check(0, None, "Room@0 get 0/1 Idle");
    check(100, Some(Input::Failed), "failed, then Some(1) wait 600");
    check(600, None, "get 0/1 Idle");
    check(700, Some(Input::Failed), "failed, then Some(1) wait 1700");
    check(1700, None, "get 0/1 Idle");
    check(1800, Some(Input::Failed), "failed, then Some(0) get 0/0 Idle");
    // The lower quality comes; the next chunk is tried as chosen.
    check(
        1900,
        Some(Input::Complete { bytes: 10_000 }),
        "Started@1900 Room@1900 get 1/1 wait 2900",
    );
    check(2000, Some(Input::Failed), "failed, then Some(1) wait 2500");
    check(2500, None, "get 1/1 wait 2900");
    check(2500, Some(Input::Failed), "failed, then Some(1) wait 2900");
    check(3500, None, "Stalled@2900 get 1/1 Idle");
    check(3500, Some(Input::Failed), "failed, then Some(0) get 1/0 Idle");
    // Two chunks in a row could not be had in quality 1: it is gone.
    check(
        3600,
        Some(Input::Complete { bytes: 10_000 }),
        "Resumed@3600 Room@3600 get 2/0 wait 4600",
    );
    // Nor in the others: three qualities are tried, three times each.
    for at in [3700, 5000, 7000] {
        player.handle(ms(at), Input::Failed);
        told(&mut player, at + 1000);
    }
    assert_eq!(told(&mut player, 8000), "Idle", "quality 2 was asked for");
    for at in [8100, 9200] {
        player.handle(ms(at), Input::Failed);
        told(&mut player, at + 1000);
    }
    player.handle(ms(12_000), Input::Failed);
    assert_eq!(told(&mut player, 12_000), "failed, then None GaveUp");
    assert_eq!(told(&mut player, 12_000), "GaveUp", "and it stays so");
}

#[test]
fn somebody_outside_is_asked_once_and_the_buffer_plays_on() {
    let film = film();
    let mut player = Player::new(&film, policy(), Chooser::Outside, RETRIES);
    assert_eq!(told(&mut player, 0), "Room@0 Ask Idle");
    assert_eq!(told(&mut player, 50), "Idle");
    player.handle(ms(60), Input::Complete { bytes: 1 });
    assert_eq!(told(&mut player, 60), "Idle", "nothing was on its way");
    let choice = |quality, wait| Input::Choice(Choice { quality, wait: span(wait) });
    player.handle(ms(100), choice(9, 50));
    assert_eq!(told(&mut player, 100), "wait 150");
    assert_eq!(told(&mut player, 150), "get 0/2 Idle", "there is no quality 9");
    player.handle(ms(160), choice(0, 0));
    player.handle(ms(1000), Input::Begins { size_bytes: None });
    player.handle(ms(2000), Input::Complete { bytes: 40_000 });
    assert_eq!(told(&mut player, 2000), "Started@2000 Room@2000 Ask wait 3000");
    let download = player.last_download().unwrap();
    assert_eq!((download.latency, download.total), (span(850), span(1850)));
    assert_eq!((player.view(ms(2500)).level, player.view(ms(2500)).last), (span(500), Some(2)));
    // Nobody looked for a while: it happened all the same, and when it did.
    assert_eq!(told(&mut player, 4000), "Stalled@3000 Idle");
}

#[test]
fn bytes_in_the_buffer_are_those_of_what_is_left_to_play() {
    let film = film();
    let mut player = Player::new(&film, policy(), Chooser::Rule(Rule::Fixed(0)), RETRIES);
    for (at, bytes) in [(0, 1000), (500, 3000)] {
        told(&mut player, at);
        player.handle(ms(at), Input::Complete { bytes });
    }
    assert_eq!(player.buffered_bytes(ms(500)), 3500);
    assert_eq!(player.buffered_bytes(ms(1000)), 3000);
    assert_eq!(player.buffered_bytes(ms(1750)), 750);
    assert_eq!(player.buffered_bytes(ms(2000)), 0);
}

/// What a network that does anything comes to.
struct Seen {
    received: Vec<usize>,
    failures: u64,
    last: Moment,
    end: Output,
}

/// Drives a player by chance: downloads that take any time, break off, come late, are announced with
/// wrong lengths; polls that come too late; inputs that nobody waits for.
fn by_chance(player: &mut Player<&Film>, dice: &mut Dice, failing: u64) -> Seen {
    let mut seen = Seen { received: vec![], failures: 0, last: Moment::START, end: Output::Idle };
    let mut now = Moment::START;
    let mut due: Option<Moment> = None;
    for _ in 0..100_000 {
        let next = match player.poll(now) {
            Output::Event(Event { at, what }) => {
                assert!(at >= seen.last && at <= now, "{at} after {} at {now}", seen.last);
                seen.last = at;
                match what {
                    What::Received(download) => seen.received.push(download.chunk),
                    What::Failed { .. } => seen.failures += 1,
                    _ => {}
                }
                continue;
            }
            Output::Request { .. } => {
                assert!(due.is_none(), "one download at a time");
                due = Some(now + Duration::from_micros(dice.below(4_000_000)));
                continue;
            }
            Output::Cancel => {
                assert!(due.take().is_some());
                continue;
            }
            Output::Ask => {
                let quality = usize::try_from(dice.below(9)).unwrap();
                let wait = Duration::from_micros(dice.below(3) * dice.below(900_000));
                player.handle(now, Input::Choice(Choice { quality, wait }));
                continue;
            }
            Output::Wait(until) => Some(until),
            Output::Idle => None,
            end => {
                seen.end = end;
                return seen;
            }
        };
        let late = Duration::from_micros(dice.below(4) * dice.below(50_000));
        let step = now + Duration::from_micros(1 + dice.below(700_000));
        let input = match dice.below(12) {
            0 => Some(Input::Begins { size_bytes: Some(dice.below(1 << 40)) }),
            1 => Some(Input::Begins { size_bytes: None }),
            2..5 => Some(Input::Progress { bytes: dice.below(1 << 20) }),
            5 => Some(Input::Choice(Choice { quality: 7, wait: Duration::ZERO })),
            _ => None,
        };
        if let Some(at) = due.filter(|at| *at <= step || next.is_none_or(|next| *at <= next)) {
            now = now.max(at);
            due = None;
            let failed = dice.below(100) < failing;
            let input = match failed {
                true => Input::Failed,
                false => Input::Complete { bytes: 1 + dice.below(1 << 20) },
            };
            player.handle(now, input);
        } else if let Some(input) = input {
            now = next.map_or(step, |next| step.min(next + late));
            player.handle(now, input);
        } else if let Some(next) = next {
            now = now.max(next) + late;
        }
    }
    panic!("it never ends");
}

#[test]
fn whatever_a_network_does_it_ends_and_its_events_are_in_order() {
    let mut ends = [0; 2];
    for seed in 0..2000 {
        let mut dice = Dice::new(Seed(seed), "player");
        let plan = Plan::preset(["short", "ladder", "lecture"][seed as usize % 3]).unwrap();
        let film = plan.generate(&mut dice).unwrap();
        let capacity = 500 + dice.below(20_000);
        let (start, resume) = (span(dice.below(capacity)), span(dice.below(capacity)));
        let policy = Policy::new(span(capacity), start, resume).unwrap();
        let (name, _) = NAMES[usize::try_from(dice.below(NAMES.len() as u64)).unwrap()];
        let rule = Rule::named(&name.replace(":N", ":0"), &film);
        let chooser = rule.map_or(Chooser::Outside, Chooser::Rule);
        let failing = [0, 10, 60, 100][usize::try_from(dice.below(4)).unwrap()];
        let retries = Retries { times: u32::try_from(dice.below(4)).unwrap(), ..RETRIES };
        let mut player = Player::new(&film, policy, chooser, retries);
        let seen = by_chance(&mut player, &mut dice, failing);
        let all = film.chunks().len();
        let said = format!("seed {seed}, {name}, {failing} %");
        assert!(seen.received.iter().copied().eq(0..seen.received.len()), "{said}");
        match seen.end {
            Output::Ended => {
                assert_eq!(seen.received.len(), all, "{said}");
                ends[0] += 1;
            }
            end => {
                assert_eq!(end, Output::GaveUp, "{said}");
                assert!(seen.received.len() < all, "{said}");
                let tries = u64::from(retries.times) + 1;
                assert!(seen.failures >= tries, "{said}: {} failures", seen.failures);
                ends[1] += 1;
            }
        }
        if failing == 0 {
            assert_eq!((seen.failures, seen.end), (0, Output::Ended), "{said}");
        }
        if failing == 100 {
            let most = (u64::from(retries.times) + 1) * QUALITIES_TRIED_MAX as u64;
            assert!(seen.failures <= most, "{said}: {} failures", seen.failures);
        }
        assert_eq!(player.poll(ms(1 << 40)), seen.end, "{said}: and it stays so");
    }
    assert!(ends.iter().all(|count| *count > 200), "{ends:?}");
}
