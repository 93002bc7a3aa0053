//! The machine beside the book's formulae, beside the buffer of chunks, and in virtual time.

use super::*;
use crate::seed::{Dice, Seed};
use crate::video::predict::{self, Course, SawTooth};

const NEVER: Moment = Moment::from_nanos(u64::MAX);

fn seconds(moment: Moment) -> f64 {
    moment.as_nanos() as f64 / 1e9
}

/// All that happens before `until`.
fn drain(buffer: &mut Buffer, until: Moment) -> Vec<Event> {
    let (mut now, mut events) = (Moment::START, Vec::new());
    loop {
        match buffer.poll(now) {
            Output::Event(event) => events.push(event),
            Output::Wait(next) if next < until => now = next,
            Output::Wait(_) | Output::Idle => return events,
        }
    }
}

/// Film of R bit/s of which B and Q bytes are kept.
fn policy(playout_bps: u64, capacity: u64, start: u64) -> Policy {
    let playout = Playout::of(playout_bps, Duration::from_secs(8)).unwrap();
    Policy::new(playout, capacity, start, start).unwrap()
}

fn formula(x: u64, r: u64, q: u64, b: u64) -> predict::Fluid {
    predict::Fluid {
        arrival_bps: x as f64,
        playout_bps: r as f64,
        start_bits: q as f64 * 8.0,
        buffer_bits: b as f64 * 8.0,
    }
}

/// A moment is a whole nanosecond.
fn close(seed: u64, left: f64, right: f64) {
    assert!((left - right).abs() < 1.5e-9 + right * 1e-12, "seed {seed}: {left} is not {right}");
}

#[test]
fn at_a_steady_rate_it_does_what_the_book_says() {
    for seed in 0..1000 {
        let mut dice = Dice::new(Seed(seed), "fluid");
        let (x, r) = (10_000 + dice.below(5_000_000), 10_000 + dice.below(5_000_000));
        let q = 1 + dice.below(2_000_000);
        let b = q + dice.below(4_000_000);
        let mut buffer = Buffer::new(policy(r, b, q));
        buffer.handle(Moment::START, Input::Rate(BitRate(x)));
        let formula = formula(x, r, q, b);
        let course = formula.course();
        let cycles = 20.0;
        let until_s = match course {
            Course::Freezes { plays_s, freezes_s } => cycles * (plays_s + freezes_s),
            Course::Fills { full_s } => full_s + 1.0,
            Course::Even => continue,
        };
        let until = Moment::START + Duration::from_secs_f64(until_s.min(1e8));
        let events = drain(&mut buffer, until);
        close(seed, seconds(events[0].at), formula.start_up_s());
        assert_eq!(events[0].what, What::Started);
        match course {
            Course::Fills { full_s } => {
                assert_eq!(events.len(), 2, "seed {seed}");
                assert_eq!(events[1].what, What::Full, "seed {seed}");
                close(seed, seconds(events[1].at), full_s);
                // Then the sender is held to R.
                let later = until + Duration::from_secs(1000);
                buffer.handle(until, Input::Rate(BitRate(x)));
                let before = buffer.received_bytes();
                buffer.handle(later, Input::Rate(BitRate(x)));
                let came = buffer.received_bytes() - before;
                assert!(came.abs_diff(r * 125) <= 1, "seed {seed}: {came} of {}", r * 125);
                assert_eq!(buffer.level_bytes(later), b, "seed {seed}");
            }
            Course::Freezes { plays_s, freezes_s } => {
                // Lateness does not add up over twenty freezes.
                for (index, pair) in events.chunks(2).enumerate() {
                    let begins = formula.start_up_s() + index as f64 * (plays_s + freezes_s);
                    close(seed, seconds(pair[0].at), begins);
                    let Some(stalled) = pair.get(1) else { continue };
                    assert_eq!(stalled.what, What::Stalled, "seed {seed}");
                    close(seed, seconds(stalled.at), begins + plays_s);
                }
            }
            Course::Even => {}
        }
    }
}

#[test]
fn the_end_of_the_film_ends_the_freezes_as_predicted() {
    // x = 0.8 and R = 1 Mbit/s, Q = 4 s, a film of 120 s: it has arrived after 150 s.
    let formula = formula(800_000, 1_000_000, 500_000, 7_500_000);
    let mut buffer = Buffer::new(policy(1_000_000, 7_500_000, 500_000));
    buffer.handle(Moment::START, Input::Rate(BitRate(800_000)));
    let all = Moment::START + Duration::from_secs(150);
    let mut events = drain(&mut buffer, all);
    buffer.handle(all, Input::End);
    assert_eq!(buffer.received_bytes(), 15_000_000);
    events.extend(drain(&mut buffer, NEVER));
    let at = |what| events.iter().filter(move |event| event.what == what).map(|event| event.at);
    let freezes = formula.freezes(120.0);
    assert_eq!(at(What::Stalled).count(), freezes.len());
    for ((stalled, resumed), freeze) in at(What::Stalled).zip(at(What::Resumed)).zip(&freezes) {
        close(0, seconds(stalled), freeze.at_s);
        close(0, resumed.since(stalled).as_secs_f64(), freeze.length_s);
    }
    let end = at(What::Ended).next().unwrap();
    close(0, seconds(end), 5.0 + 120.0 + freezes.iter().map(|freeze| freeze.length_s).sum::<f64>());
    assert_eq!(buffer.played(end), Duration::from_secs(120));
    assert!(buffer.has_ended());
}

#[test]
fn a_saw_tooth_starts_at_the_root() {
    // Pieces of 20 us, each at the rate in its middle: between two of them less than 1e-10 is off.
    const PIECES: u64 = 100_000;
    let (peak, period) = (4_000_000_000_u64, Duration::from_secs(2));
    let saw = SawTooth { peak_bps: peak as f64, period_s: 2.0 };
    for q in [1_000_000, 125_000_001, 400_000_000, 500_000_000, 600_000_000, 1_234_567_891] {
        let playout = Playout::of(1, Duration::from_secs(1)).unwrap();
        let mut buffer = Buffer::new(Policy::new(playout, u64::MAX, q, q).unwrap());
        let piece = period / u32::try_from(PIECES).unwrap();
        let mut started = None;
        for number in 0_u32.. {
            let now = Moment::START + piece * number;
            let within = u64::from(number) % PIECES;
            let rate = peak / PIECES * within + peak / PIECES / 2;
            if let Output::Event(event) = buffer.poll(now) {
                started = Some(event);
                break;
            }
            buffer.handle(now, Input::Rate(BitRate(rate)));
        }
        let started = seconds(started.unwrap().at);
        let expected = saw.start_up_s(q as f64 * 8.0);
        assert!((started - expected).abs() < 1e-9, "{q}: {started} is not {expected}");
    }
}

#[test]
fn bytes_do_what_chunks_of_the_same_time_do() {
    for seed in 0..1000 {
        let mut dice = Dice::new(Seed(seed), "both");
        // A byte plays for exactly 8 us.
        let playout = Playout::of(125_000, Duration::from_secs(1)).unwrap();
        let time = |bytes: u64| Duration::from_micros(8 * bytes);
        let capacity = 50_000 + dice.below(1_000_000);
        let (start, resume) = (1 + dice.below(50_000), 1 + dice.below(50_000));
        let mut fluid = Buffer::new(Policy::new(playout, capacity, start, resume).unwrap());
        let times = buffer::Policy::new(time(capacity), time(start), time(resume)).unwrap();
        let mut chunks = buffer::Buffer::new(times);
        assert_eq!(Policy::of(&times, playout), fluid.policy);
        let (mut now, mut came) = (Moment::START, 0);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut look = |fluid: &mut Buffer, chunks: &mut buffer::Buffer, now| {
            while let Output::Event(event) = fluid.poll(now) {
                ours.push(event);
            }
            while let Output::Event(event) = chunks.poll(now) {
                theirs.push(event);
            }
        };
        for _ in 0..60 {
            now = now + Duration::from_nanos(dice.below(400_000_000));
            look(&mut fluid, &mut chunks, now);
            let bytes = dice.below(60_000).min(fluid.room_bytes(now));
            came += bytes;
            fluid.handle(now, Input::Bytes(bytes));
            chunks.handle(now, buffer::Input::Media(time(bytes)));
            assert_eq!(fluid.level(now), chunks.level(now), "seed {seed}");
            assert_eq!(fluid.played(now), chunks.played(now), "seed {seed}");
            assert_eq!(fluid.played(now) + fluid.level(now), time(came), "seed {seed}");
            assert_eq!(fluid.received_bytes(), came, "seed {seed}");
            assert!(fluid.level_bytes(now) <= capacity, "seed {seed}");
        }
        fluid.handle(now, Input::End);
        chunks.handle(now, buffer::Input::End);
        look(&mut fluid, &mut chunks, NEVER);
        ours.retain(|event| !matches!(event.what, What::Full | What::Room));
        assert_eq!(ours, theirs, "seed {seed}");
        assert_eq!(fluid.played(NEVER), time(came), "seed {seed}");
    }
}

#[test]
fn any_film_adds_up_and_its_events_are_in_order() {
    for seed in 0..500 {
        let mut dice = Dice::new(Seed(seed), "odd numbers");
        let length = Duration::from_nanos(1 + dice.below(1 << 44));
        let playout = Playout::of(1 + dice.below(1 << 36), length).unwrap();
        let capacity = 1 + dice.below(1 << 30);
        let start = dice.below(capacity + 1);
        let policy = Policy::new(playout, capacity, start, dice.below(capacity + 1)).unwrap();
        let mut buffer = Buffer::new(policy);
        let (mut now, mut last, mut turns) = (Moment::START, Moment::START, 0_u32);
        let (mut since, mut playing) = (None, Duration::ZERO);
        for _ in 0..60 {
            let wait = playout.time_of(1 + dice.below(capacity));
            now = now + wait.min(Duration::from_secs(1 << 22));
            let input = match dice.below(3) {
                0 => Input::Rate(BitRate(dice.below(1 << 40))),
                _ => Input::Bytes(dice.below(buffer.room_bytes(now) + 1)),
            };
            buffer.handle(now, input);
            let mut budget = 10_000;
            while let Output::Event(Event { at, what }) = buffer.poll(now) {
                assert!(last <= at && at <= now, "seed {seed}: {what:?} {at} after {last}");
                last = at;
                match what {
                    What::Started | What::Resumed => since = Some(at),
                    What::Stalled => {
                        turns += 1;
                        playing += at.since(since.take().unwrap());
                    }
                    What::Full | What::Room => {}
                    What::Ended => panic!("seed {seed}: not complete"),
                }
                budget -= 1;
                if budget == 0 {
                    break;
                }
            }
            // What was played follows from the events alone, up to a nanosecond of each.
            let events = playing + since.map_or(Duration::ZERO, |since| now.since(since));
            let played = buffer.played(now);
            let slack = Duration::from_nanos(u64::from(2 * turns + 4));
            if budget > 0 {
                assert!(played <= events + slack && events <= played + slack, "seed {seed}");
            } else {
                break;
            }
            assert!(buffer.level_bytes(now) <= capacity, "seed {seed}");
        }
    }
}

#[test]
fn full_is_said_once_while_the_sender_is_held_back() {
    let mut buffer = Buffer::new(policy(8_000_000, 1000, 100));
    buffer.handle(Moment::START, Input::Bytes(1000));
    let ms = |ms| Moment::START + Duration::from_micros(ms);
    // A byte a microsecond is played, and another one comes.
    assert_eq!((buffer.room_bytes(ms(0)), buffer.fits(7)), (0, Some(ms(7))));
    for at in 1..100 {
        assert_eq!(buffer.room_bytes(ms(at)), 1);
        buffer.handle(ms(at), Input::Bytes(1));
        assert!(buffer.is_full());
    }
    buffer.handle(ms(100), Input::End);
    let told: Vec<_> = drain(&mut buffer, NEVER).into_iter().map(|e| (e.at, e.what)).collect();
    // 1099 bytes came: the last is played at 1099 us; an eighth is free 124 us after 100.
    let expected = [
        (ms(0), What::Full),
        (ms(0), What::Started),
        (ms(99 + 125), What::Room),
        (ms(1099), What::Ended),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_is_left_behind_makes_it_full() {
    let mut buffer = Buffer::new(policy(8_000_000, 1000, 100));
    let us = |us| Moment::START + Duration::from_micros(us);
    buffer.handle(us(0), Input::Bytes(900));
    // There was room for 100 when a read began that took 3 us.
    buffer.handle(us(3), Input::Bytes(100));
    buffer.handle(us(3), Input::Refused);
    buffer.handle(us(4), Input::Refused);
    assert_eq!((buffer.is_full(), buffer.room_bytes(us(4))), (true, 4));
    let told: Vec<_> = drain(&mut buffer, NEVER).into_iter().map(|e| (e.at, e.what)).collect();
    let expected = [
        (us(0), What::Started),
        (us(3), What::Full),
        (us(125), What::Room),
        (us(1000), What::Stalled),
    ];
    assert_eq!(told, expected);
}

#[test]
fn film_that_can_never_begin_or_is_none_is_refused() {
    let playout = Playout::of(1000, Duration::from_secs(1)).unwrap();
    assert!(Policy::new(playout, 10, 11, 0).is_err());
    assert!(Policy::new(playout, 10, 0, 11).is_err());
    assert_eq!(Policy::new(playout, 0, 0, 0), Err(PolicyError::Nothing));
    assert_eq!(Playout::of(0, Duration::from_secs(1)), None);
    assert_eq!(Playout::of(1, Duration::ZERO), None);
    assert_eq!(Playout::of(1, Duration::MAX), None);
    // Nothing came: it ends; with Q = 0 nothing begins before the first byte.
    let mut buffer = Buffer::new(Policy::new(playout, 10, 0, 0).unwrap());
    buffer.handle(Moment::START, Input::Rate(BitRate(0)));
    assert_eq!(buffer.poll(NEVER), Output::Idle);
    buffer.handle(Moment::START, Input::End);
    assert!(buffer.has_ended());
    // Nothing comes after the end.
    buffer.handle(Moment::START, Input::Bytes(5));
    assert_eq!((buffer.received_bytes(), buffer.level_bytes(Moment::START)), (0, 0));
}

#[test]
fn an_hour_in_a_huge_film_does_not_overflow() {
    let playout = Playout::of((1 << 52) - 1, Duration::from_nanos((1 << 52) - 2)).unwrap();
    let mut buffer = Buffer::new(Policy::new(playout, u64::MAX, 1 << 39, 1 << 39).unwrap());
    buffer.handle(Moment::START, Input::Rate(BitRate(u64::MAX)));
    let told = drain(&mut buffer, NEVER);
    assert_eq!(
        told.iter().map(|event| event.what).collect::<Vec<_>>(),
        [What::Started, What::Full]
    );
    assert_eq!(buffer.level_bytes(NEVER), CAPACITY_MAX);
}
