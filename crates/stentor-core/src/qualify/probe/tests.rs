//! The probes on simulated paths, in virtual time, over many seeds.

use std::time::Duration;

use super::*;
use crate::link::stream::{self, Pipe, toxics};
use crate::link::{Link, Output as Out, Spec, Unit};
use crate::seed::{Dice, Seed};

const SEEDS: u64 = 25;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

/// A path of datagrams with a service at its end.
struct Path {
    up: Link<Vec<u8>>,
    down: Link<Vec<u8>>,
    capitals: bool,
}

impl Path {
    fn new(words: &str, seed: u64) -> Path {
        let spec: Spec = words.parse().unwrap();
        let link = |knobs, way| Link::new(knobs, None, Seed(seed), way).unwrap();
        Path { up: link(&spec.up, "up"), down: link(&spec.down, "down"), capitals: seed % 2 == 1 }
    }

    fn send(&mut self, now: Moment, bytes: Vec<u8>) {
        let length = bytes.len();
        self.up.handle(now, Unit::new(bytes, length), &mut |_| {});
    }

    /// What has come back by `now`, and when something moves next.
    fn turn(&mut self, now: Moment) -> (Vec<Vec<u8>>, Option<Moment>) {
        let up = loop {
            match self.up.poll(now) {
                Out::Deliver(mut unit) => {
                    unit.flip();
                    let mut bytes = unit.payload;
                    if self.capitals {
                        bytes.make_ascii_uppercase();
                    }
                    let length = bytes.len();
                    self.down.handle(now, Unit::new(bytes, length), &mut |_| {});
                }
                Out::Wait(moment) => break Some(moment),
                Out::Idle => break None,
            }
        };
        let mut back = Vec::new();
        let down = loop {
            match self.down.poll(now) {
                Out::Deliver(mut unit) => {
                    unit.flip();
                    back.push(unit.payload);
                }
                Out::Wait(moment) => break Some(moment),
                Out::Idle => break None,
            }
        };
        (back, [up, down].into_iter().flatten().min())
    }
}

/// Lets a machine of datagrams run to its end; when that was.
fn drive<M>(
    machine: &mut M,
    path: &mut Path,
    text: &Text,
    poll: fn(&mut M, Moment) -> Output,
    handle: fn(&mut M, Moment, &[u8]),
) -> Moment {
    let mut now = Moment::START;
    loop {
        let (back, moves) = path.turn(now);
        for bytes in back {
            handle(machine, now, &bytes);
        }
        let wait = match poll(machine, now) {
            Output::Send { number, length, .. } => {
                path.send(now, text.write(number, length));
                continue;
            }
            Output::Wait(moment) => moment,
            Output::Over => return now,
        };
        now = moves.map_or(wait, |moves| moves.min(wait)).max(now);
        assert!(now < at(600_000), "it never ends");
    }
}

fn train(words: &str, seed: u64, count: u64) -> (Trained, Path) {
    let mut path = Path::new(words, seed);
    let text = Text::new(Seed(seed));
    let plan = TrainPlan {
        interval: ms(2),
        until: at(60_000),
        count,
        length: 64,
        patience: ms(2000),
        one_is_enough: false,
    };
    let mut train = Train::new(Moment::START, plan, text.clone(), 100);
    drive(&mut train, &mut path, &text, Train::poll, Train::handle);
    let trained = train.report();
    assert_eq!(trained.sent, count, "seed {seed}");
    assert_eq!(trained.sent, trained.answered + trained.late + trained.lost, "seed {seed}");
    assert_eq!(trained.course.round_trips.len(), trained.answered, "seed {seed}");
    (trained, path)
}

#[test]
fn loss_of_either_direction_lies_in_its_interval() {
    let mut outside = 0;
    for seed in 0..SEEDS * 4 {
        for (words, loss) in [
            ("up:loss=2%", 0.02),
            ("down:loss=2%", 0.02),
            ("loss=5%,delay=10ms", 1.0 - 0.95 * 0.95),
            ("loss=0%", 0.0),
        ] {
            let (trained, path) = train(words, seed, 1000);
            outside += u32::from(!trained.loss_interval().contains(loss));
            let dropped = path.up.counters().dropped() + path.down.counters().dropped();
            assert_eq!(trained.lost, dropped, "{words}, seed {seed}");
        }
    }
    // 400 intervals, each of which holds the truth with 99 % or more.
    assert!(outside <= 10, "{outside} of 400");
}

#[test]
fn delay_is_exact_and_jitter_is_that_of_the_path() {
    for seed in 0..SEEDS {
        let (trained, _) = train("up:delay=20ms,down:delay=5ms", seed, 500);
        let round_trips = &trained.course.round_trips;
        assert_eq!(round_trips.min(), Some(ms(25)));
        assert_eq!(round_trips.max(), Some(ms(25)));
        assert_eq!(trained.course.jitter_mean(), Some((Duration::ZERO, 499)));
        assert_eq!(trained.reordered, 0);
        // Uniform in ±5 ms, one way: the mean of |D| is a third of the width.
        let (trained, _) = train("delay=20ms,down:jitter=5ms", seed, 4000);
        let (jitter, _) = trained.course.jitter_mean().unwrap();
        let share = jitter.as_secs_f64() / (0.010 / 3.0);
        assert!((0.95..1.05).contains(&share), "seed {seed}: {share}");
        assert!(trained.reordered > 0, "seed {seed}: 2 ms apart and ±5 ms");
    }
}

#[test]
fn copies_and_flipped_bits_are_told() {
    for seed in 0..SEEDS {
        let (trained, path) = train("duplicate=3%,delay=1ms", seed, 1000);
        let copies = path.up.counters().duplicated;
        assert!(trained.duplicates >= copies && copies > 0, "seed {seed}");
        assert_eq!((trained.lost, trained.corrupted), (0, 0), "seed {seed}");
        let (trained, _) = train("up:corrupt=10%", seed, 1000);
        assert_eq!(trained.lost, trained.corrupted + trained.strangers, "seed {seed}");
        assert!(trained.lost > 50 && trained.cut == 0, "seed {seed}");
    }
}

#[test]
fn late_is_not_lost_and_a_dead_path_ends() {
    let (trained, _) = train("delay=1500ms", 1, 10);
    assert_eq!((trained.late, trained.answered, trained.lost), (0, 0, 10), "waited for 2 s");
    let (trained, _) = train("loss=100%", 1, 10);
    assert_eq!((trained.lost, trained.loss()), (10, Some(1.0)));
    let mut path = Path::new("delay=40ms", 3);
    let text = Text::new(Seed(3));
    let plan = TrainPlan {
        interval: ms(250),
        until: at(5000),
        count: 4,
        length: 64,
        patience: ms(1000),
        one_is_enough: true,
    };
    let mut hello = Train::new(Moment::START, plan, text.clone(), 0);
    let end = drive(&mut hello, &mut path, &text, Train::poll, Train::handle);
    assert_eq!((end, hello.progress()), (at(80), (1, 1)), "one answer is enough");
}

#[test]
fn answers_to_another_train_are_strangers() {
    let text = Text::new(Seed(1));
    let plan = TrainPlan {
        interval: ms(1),
        until: at(10),
        count: 1,
        length: 64,
        patience: ms(10),
        one_is_enough: false,
    };
    let mut train = Train::new(Moment::START, plan, text.clone(), 50);
    assert!(matches!(train.poll(Moment::START), Output::Send { number: 50, .. }));
    for number in [49, 51, 9_999_999_999] {
        train.handle(at(1), &text.write(number, 64));
    }
    train.handle(at(1), &text.write(50, 64)[..20]);
    let trained = train.report();
    assert_eq!((trained.strangers, trained.cut, trained.answered), (3, 1, 0));
}

fn climb(words: &str, seed: u64, cap_bps: f64) -> (Climbed, u64) {
    let mut path = Path::new(words, seed);
    let text = Text::new(Seed(seed));
    let plan = ClimbPlan {
        length: 1200,
        from_bps: 256e3,
        cap_bps,
        round_trip: ms(40),
        hold: ms(1500),
        until: at(4000),
    };
    let mut climb = Climb::new(Moment::START, plan, text.clone(), 0);
    drive(&mut climb, &mut path, &text, Climb::poll, Climb::handle);
    (climb.report(), path.up.counters().taken)
}

#[test]
fn the_rate_of_the_slower_direction_is_found() {
    for seed in 0..SEEDS {
        for (words, rate) in [
            ("up:rate=1Mbit", 1e6),
            ("down:rate=1Mbit", 1e6),
            ("rate=300kbit", 300e3),
            ("up:rate=3Mbit,down:rate=20Mbit,delay=20ms", 3e6),
            ("rate=12Mbit,queue=10p", 12e6),
            ("down:rate=2Mbit,loss=1%,delay=20ms,jitter=3ms,order=keep", 2e6),
            ("down:rate=40Mbit,down:queue=1p", 40e6),
            ("rate=64kbit", 64e3),
        ] {
            let (climbed, sent) = climb(words, seed, 100e6);
            let found = climbed.rate_bps.unwrap() / rate;
            assert!((0.95..1.05).contains(&found), "{words}, seed {seed}: {found} {climbed:?}");
            assert_eq!((climbed.limit, climbed.sent), (Limit::Path, sent), "{words} {climbed:?}");
        }
    }
}

#[test]
fn the_cap_is_kept_and_told() {
    for seed in 0..SEEDS {
        let (climbed, sent) = climb("delay=20ms", seed, 10e6);
        let found = climbed.rate_bps.unwrap() / 10e6;
        assert!((0.99..1.01).contains(&found), "seed {seed}: {found}");
        assert_eq!(climbed.limit, Limit::Cap);
        // At most 4 s at 10 Mbit/s.
        assert!(sent * 1200 * 8 <= 40_000_000, "seed {seed}: {sent}");
    }
    let (dead, sent) = climb("loss=100%", 1, 100e6);
    assert_eq!((dead.rate_bps, dead.limit), (None, Limit::Path));
    assert_eq!(sent, 10, "nobody answers: one row and no more");
}

/// A path of a stream with a service at its end.
struct Pipes {
    up: Pipe,
    down: Pipe,
    capitals: bool,
}

impl Pipes {
    fn new(words: &str, seed: u64) -> Pipes {
        let spec: Spec = words.parse().unwrap();
        let pipe = |knobs, way| {
            let toxics = toxics(knobs, None).unwrap();
            Pipe::new(Moment::START, &toxics, Seed(seed), way, 4 << 20)
        };
        Pipes { up: pipe(&spec.up, "up"), down: pipe(&spec.down, "down"), capitals: seed % 2 == 1 }
    }

    fn turn(&mut self, now: Moment) -> (Vec<Vec<u8>>, Option<Moment>) {
        let capitals = self.capitals;
        let (through, up) = drain(&mut self.up, now);
        for mut bytes in through {
            if capitals {
                bytes.make_ascii_uppercase();
            }
            self.down.handle(now, &bytes);
        }
        let (back, down) = drain(&mut self.down, now);
        (back, [up, down].into_iter().flatten().min())
    }
}

fn drain(pipe: &mut Pipe, now: Moment) -> (Vec<Vec<u8>>, Option<Moment>) {
    let mut came = Vec::new();
    loop {
        let sent = match pipe.poll(now) {
            stream::Output::Send(_, bytes) => {
                came.push(bytes.to_vec());
                bytes.len()
            }
            stream::Output::Wait(moment) => return (came, Some(moment)),
            stream::Output::Idle
            | stream::Output::Finish
            | stream::Output::Close
            | stream::Output::Reset => return (came, None),
        };
        pipe.sent(sent);
    }
}

#[test]
fn questions_take_a_round_trip_each() {
    for seed in 0..SEEDS {
        let stream = Stream::new(Seed(seed));
        let mut pipes = Pipes::new("up:delay=20ms,down:delay=5ms,slice=10", seed);
        let plan = QuestionsPlan {
            length: 64,
            interval: ms(10),
            until: at(1000),
            count: u64::MAX,
            patience: ms(500),
        };
        let mut questions = Questions::new(Moment::START, plan, &stream);
        let mut now = Moment::START;
        loop {
            let (back, moves) = pipes.turn(now);
            for bytes in back {
                questions.handle(now, &bytes).unwrap();
            }
            let wait = match questions.poll(now) {
                Output::Send { number, length, .. } => {
                    let mut bytes = Vec::new();
                    stream.write(number, length, &mut bytes);
                    pipes.up.handle(now, &bytes);
                    continue;
                }
                Output::Wait(moment) => moment,
                Output::Over => break,
            };
            now = moves.map_or(wait, |moves| moves.min(wait)).max(now);
        }
        let round_trips = &questions.course().round_trips;
        assert_eq!((round_trips.min(), round_trips.max()), (Some(ms(25)), Some(ms(25))));
        assert_eq!((round_trips.len(), questions.missing_bytes()), (40, 0), "seed {seed}");
        let form = if seed % 2 == 1 { Form::Upper } else { Form::Echo };
        assert_eq!(questions.form(), Some(form));
    }
}

#[test]
fn what_nobody_asked_for_and_silence_are_told() {
    let stream = Stream::new(Seed(1));
    let plan =
        QuestionsPlan { length: 64, interval: ms(10), until: at(100), count: 5, patience: ms(50) };
    let mut questions = Questions::new(Moment::START, plan, &stream);
    assert_eq!(questions.handle(at(0), b"WELCOME\n"), Err(Wrong { at: 0 }));
    assert!(matches!(questions.poll(at(0)), Output::Send { number: 0, .. }));
    let mut answer = Vec::new();
    stream.write(0, 32, &mut answer);
    questions.handle(at(1), &answer).unwrap();
    assert_eq!(questions.poll(at(1)), Output::Wait(at(50)));
    assert_eq!(questions.poll(at(50)), Output::Over);
    assert!(questions.has_given_up());
    assert_eq!((questions.verified_bytes(), questions.missing_bytes()), (32, 32));
}

#[test]
fn bulk_is_as_fast_as_the_slower_direction() {
    for seed in 0..SEEDS {
        for (words, rate) in [
            ("up:rate=1Mbit", 1e6),
            ("down:rate=3Mbit,delay=20ms", 3e6),
            ("up:rate=2540kbit,down:rate=19300kbit,delay=279ms", 2.54e6),
            ("rate=20Mbit,jitter=5ms,delay=20ms", 20e6),
            ("delay=10ms", 50e6),
        ] {
            let stream = Stream::new(Seed(seed));
            let mut pipes = Pipes::new(words, seed);
            let plan = BulkPlan { cap_bps: 50e6, counted_from: at(900), until: at(3000) };
            let mut bulk = Bulk::new(Moment::START, plan, &stream);
            let mut now = Moment::START;
            let mut dice = Dice::new(Seed(seed), "kernel");
            loop {
                let (back, moves) = pipes.turn(now);
                for bytes in back {
                    bulk.handle(now, &bytes).unwrap();
                }
                let wait = match bulk.poll(now) {
                    Output::Send { number, length, .. } if pipes.up.room() > 0 => {
                        // The kernel takes what it likes.
                        let taken = usize::try_from(1 + dice.below(length as u64)).unwrap();
                        let taken = taken.min(pipes.up.room());
                        let mut bytes = Vec::new();
                        stream.write(number, taken, &mut bytes);
                        pipes.up.handle(now, &bytes);
                        bulk.sent(taken);
                        continue;
                    }
                    Output::Send { .. } => plan.until,
                    Output::Wait(moment) => moment,
                    Output::Over => break,
                };
                now = moves.map_or(wait, |moves| moves.min(wait)).max(now);
            }
            let found = bulk.rate_bps().unwrap() / rate;
            assert!((0.95..1.05).contains(&found), "{words}, seed {seed}: {found}");
            assert_eq!(bulk.is_capped(), words == "delay=10ms", "{words}, seed {seed}");
            assert!(bulk.verified_bytes() <= bulk.sent_bytes());
        }
    }
}
