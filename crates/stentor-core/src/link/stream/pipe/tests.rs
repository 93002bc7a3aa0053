//! Pipes in virtual time: what each toxic does, and that every other byte comes out as it went in.

#![allow(clippy::cast_possible_truncation, reason = "the numbers of tests are small")]

use std::time::Duration;

use super::*;
use crate::link::stream::{Since, Slice, Stall, Toxic, toxics};
use crate::link::{Jitter, Shape, Spec};
use crate::seed::Dice;
use crate::units::{BitRate, Probability};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(after: u64) -> Moment {
    Moment::START + ms(after)
}

fn named(name: &str, toxic: Toxic) -> Named {
    Named { name: name.to_owned(), toxic, toxicity: Probability(1.0) }
}

fn latency(delay: u64) -> Toxic {
    Toxic::Latency { delay: ms(delay), jitter: None }
}

fn pipe(toxics: &[Toxic]) -> Pipe {
    let toxics: Vec<Named> =
        toxics.iter().enumerate().map(|(n, toxic)| named(&n.to_string(), toxic.clone())).collect();
    Pipe::new(at(0), &toxics, Seed(1), "web/down/1", BUFFER_MAX)
}

/// Everything that comes out up to `until`, as `ms:bytes` and the words of the end, at the moments
/// that the pipe asks for; `kept` gets the bytes.
fn drain(pipe: &mut Pipe, until: Moment, kept: &mut Vec<u8>) -> String {
    let mut out = Vec::new();
    let mut now = Moment::START;
    loop {
        match pipe.poll(now) {
            Output::Send(at, bytes) => {
                assert!(at <= now.max(until));
                out.push(format!("{}:{}", at.as_nanos() as f64 / 1e6, bytes.len()));
                kept.extend_from_slice(bytes);
                let len = bytes.len();
                pipe.sent(len);
            }
            Output::Wait(next) if next <= until => {
                assert!(next > now, "a pipe that waits for the past");
                now = next;
            }
            Output::Wait(_) | Output::Idle => break,
            Output::Finish => out.push("finish".to_owned()),
            Output::Close => return out.join(" ") + " close",
            Output::Reset => return out.join(" ") + " reset",
        }
    }
    out.join(" ")
}

/// Hands in pieces of so many bytes at these times, the end at `end`, and tells what comes out.
fn check(toxics: &[Toxic], pieces: &[(u64, usize)], end: u64, expected: &str) {
    let mut pipe = pipe(toxics);
    let (mut sent, mut kept) = (Vec::new(), Vec::new());
    let mut out = Vec::new();
    for (when, len) in pieces {
        out.push(drain(&mut pipe, at(*when), &mut kept));
        let bytes: Vec<u8> = (0..*len).map(|n| (sent.len() + n) as u8).collect();
        pipe.handle(at(*when), &bytes);
        sent.extend(bytes);
    }
    out.push(drain(&mut pipe, at(end), &mut kept));
    pipe.finish(at(end));
    out.push(drain(&mut pipe, at(10_000_000), &mut kept));
    out.retain(|part| !part.is_empty());
    // A connection that is over says so for ever.
    let over = out.iter().position(|part| part.ends_with("close") || part.ends_with("reset"));
    out.truncate(over.map_or(out.len(), |over| over + 1));
    assert_eq!(out.join(" ").trim(), expected, "{toxics:?}");
    if toxics.iter().all(Toxic::keeps_bytes) {
        assert_eq!(kept, sent, "{toxics:?}");
    }
}

#[test]
fn each_toxic_does_what_it_says() {
    let two = [(0, 10), (5, 10)];
    check(&[], &two, 6, "0:10 5:10 finish");
    check(&[Toxic::Noop], &two, 6, "0:10 5:10 finish");
    check(&[latency(20)], &two, 6, "20:10 25:10 finish");
    // 8 kbit/s is a byte in a millisecond, ten in 10 ms.
    check(&[Toxic::Bandwidth(BitRate(8000))], &two, 6, "10:10 20:10 finish");
    check(&[Toxic::Bandwidth(BitRate(8000))], &[(0, 25)], 6, "10:10 20:10 25:5 finish");
    // 4 Mbit/s is 5000 bytes in 10 ms: segments leave one by one. 80 Mbit/s is 10,000 in each.
    let lots = |rate| [Toxic::Bandwidth(BitRate(rate))];
    check(&lots(4_000_000), &[(0, 5000)], 6, "2.92:1460 5.84:1460 8.76:1460 10:620 finish");
    check(&lots(80_000_000), &[(0, 25_000)], 6, "1:10000 2:10000 2.5:5000 finish");
    check(&[Toxic::SlowClose(ms(100))], &two, 6, "0:10 5:10 finish");
    check(&[Toxic::LimitData(15)], &two, 6, "0:10 5:5 close");
    check(&[Toxic::LimitData(10)], &two, 6, "0:10 close");
    check(&[Toxic::LimitData(0)], &[], 6, "close");
    check(&[Toxic::LimitData(30)], &two, 6, "0:10 5:10 finish");
    check(&[Toxic::HalfClose(ms(3))], &two, 6, "0:10 finish");
    check(&[Toxic::Timeout(Some(ms(3)))], &two, 6, "close");
    check(&[Toxic::Timeout(None)], &two, 6, "finish");
    let reset = |since| Toxic::ResetPeer { after: ms(4), since };
    check(&[reset(Since::Begin)], &[], 6, "reset");
    check(&[reset(Since::Data)], &[(5, 1)], 6, "reset");
    let slice = Slice { average: 4, variation: 0, pause: ms(1) };
    check(&[Toxic::Slicer(slice)], &[(0, 10)], 6, "0:4 1:4 2:2 finish");
    let stall = Stall { silent: ms(10), every: ms(40) };
    check(&[Toxic::Stall(stall)], &[(5, 1), (20, 1), (45, 1)], 46, "10:1 20:1 50:1 finish");
    check(&[Toxic::Corrupt(Probability(1.0))], &[(0, 3000)], 6, "0:1460 0:1460 0:80 finish");
    let always = Toxic::LossAsDelay { probability: Probability(1.0), timeout: ms(1) };
    check(&[always], &[(0, 2000)], 6, "63:1460 63:540 finish");
    let trace = Toxic::Recorded("2\n5".parse().unwrap());
    check(&[trace], &[(0, 3000), (0, 10)], 6, "2:1500 5:1500 7:10 finish");
}

#[test]
fn a_reset_by_the_source_comes_behind_its_bytes_and_as_late() {
    let mut pipe = pipe(&[latency(50)]);
    pipe.handle(at(0), b"answer");
    pipe.reset(at(10));
    assert_eq!(pipe.room(), 0);
    assert_eq!(drain(&mut pipe, at(100), &mut Vec::new()), "50:6 reset");
    // What the receiver did not take until then is gone.
    let mut pipe = self::pipe(&[latency(50)]);
    pipe.handle(at(0), b"answer");
    pipe.finish(at(1));
    pipe.reset(at(10));
    assert!(matches!(pipe.poll(at(55)), Output::Send(..)));
    assert!(!pipe.is_reset());
    // A late driver sends it all the same; one whose socket is full asks.
    assert!(matches!(pipe.poll(at(99)), Output::Send(..)));
    assert!(pipe.is_reset());
    pipe.sent(6);
    while pipe.poll(at(99)) == Output::Finish {}
    assert_eq!(pipe.poll(at(99)), Output::Reset);
}

#[test]
fn a_reader_that_takes_nothing_leaves_no_room_and_an_idle_pipe_keeps_none() {
    let mut pipe = pipe(&[]);
    let mut taken = 0;
    while pipe.room() > 0 {
        let bytes = vec![0; pipe.room().min(1000)];
        pipe.handle(at(0), &bytes);
        taken += bytes.len();
    }
    assert!(taken <= DUE_MAX + 1000, "{taken}");
    while let Output::Send(_, bytes) = pipe.poll(at(0)) {
        let len = bytes.len();
        pipe.sent(len);
    }
    assert!(pipe.room() > 0);
    assert!(pipe.out.capacity() <= 2 * PLACES_KEPT, "{}", pipe.out.capacity());
}

/// A reader that is slower than the link slows the sender down: what waits for the rate is bounded, and
/// so is what waits for the reader behind it.
#[test]
fn a_link_s_queue_is_a_queue_and_not_a_store() {
    let check = |rate, queue: usize| {
        let mut pipe = pipe(&[Toxic::Bandwidth(BitRate(rate))]);
        let (mut taken, mut now) = (0, 0);
        let mut fill = |pipe: &mut Pipe, now| {
            while pipe.room() > 0 {
                let bytes = vec![0; pipe.room().min(1000)];
                pipe.handle(at(now), &bytes);
                taken += bytes.len();
            }
            taken
        };
        assert_eq!(fill(&mut pipe, now), queue);
        // Nobody reads for a long time.
        for _ in 0..1000 {
            now += 100;
            let _ = pipe.poll(at(now));
            fill(&mut pipe, now);
        }
        assert!(fill(&mut pipe, now) <= DUE_MAX + 2 * queue, "{rate}");
        // All of it comes out, and there is room again.
        let mut kept = Vec::new();
        drain(&mut pipe, at(now + 100_000), &mut kept);
        assert_eq!(kept.len(), fill(&mut pipe, now) - pipe.holds());
        assert!(kept.len() >= DUE_MAX);
    };
    check(1_000_000, 64 << 10);
    check(80_000_000, 1_000_000);
}

#[test]
fn the_end_comes_behind_all_bytes_and_as_late() {
    let mut pipe = pipe(&[latency(50), Toxic::SlowClose(ms(100))]);
    pipe.handle(at(0), b"reply");
    pipe.finish(at(0));
    assert_eq!(pipe.room(), 0);
    assert_eq!(pipe.poll(at(49)), Output::Wait(at(50)));
    assert_eq!(pipe.poll(at(50)), Output::Send(at(50), b"reply"));
    pipe.sent(5);
    assert_eq!(pipe.poll(at(50)), Output::Wait(at(150)));
    assert_eq!(pipe.poll(at(150)), Output::Finish);
    assert_eq!(pipe.poll(at(150)), Output::Idle);
}

#[test]
fn a_chain_adds_up() {
    check(&[latency(20), latency(30)], &[(0, 1)], 1, "50:1 finish");
    let rate = Toxic::Bandwidth(BitRate(8000));
    check(&[rate.clone(), latency(5)], &[(0, 20)], 1, "15:10 25:10 finish");
    check(&[latency(5), rate], &[(0, 20)], 1, "15:10 25:10 finish");
}

#[test]
fn what_is_sent_in_parts_is_lent_again() {
    let mut pipe = pipe(&[]);
    pipe.handle(at(1), b"abcdef");
    pipe.sent(0);
    assert_eq!(pipe.poll(at(1)), Output::Send(at(1), b"abcdef"));
    pipe.sent(2);
    assert_eq!(pipe.poll(at(2)), Output::Send(at(1), b"cdef"));
    assert_eq!(pipe.holds(), 4);
    pipe.sent(99);
    assert_eq!(pipe.poll(at(2)), Output::Idle);
    assert_eq!(pipe.holds(), 0);
    assert!(pipe.is_plain());
}

#[test]
fn what_a_removed_toxic_held_passes_on_in_order() {
    let (slow, far) = (named("slow", Toxic::Bandwidth(BitRate(8000))), named("far", latency(100)));
    let mut pipe = Pipe::new(at(0), &[slow.clone(), far.clone()], Seed(1), "x", BUFFER_MAX);
    let sent: Vec<u8> = (0..50).collect();
    pipe.handle(at(0), &sent);
    pipe.finish(at(0));
    let mut kept = Vec::new();
    // At 25 ms two pieces are in `far`, the rest in `slow`; without `slow` it moves there at once.
    assert_eq!(drain(&mut pipe, at(25), &mut kept), "");
    pipe.set(at(25), std::slice::from_ref(&far));
    assert_eq!(drain(&mut pipe, at(110), &mut kept), "110:10");
    let more = [far, named("more", latency(7))];
    pipe.set(at(111), &more);
    assert_eq!(drain(&mut pipe, at(121), &mut kept), "");
    pipe.set(at(122), &[]);
    assert_eq!(drain(&mut pipe, at(122), &mut kept), "122:10 122:30 finish");
    assert_eq!(kept, sent);
}

#[test]
fn a_changed_toxic_times_anew_what_it_holds() {
    let mut pipe = Pipe::new(at(0), &[named("far", latency(3_600_000))], Seed(1), "x", BUFFER_MAX);
    pipe.handle(at(0), b"abc");
    assert_eq!(pipe.poll(at(10)), Output::Wait(at(3_600_000)));
    pipe.set(at(10), &[named("far", latency(30))]);
    assert_eq!(pipe.poll(at(10)), Output::Wait(at(30)));
    pipe.set(at(20), &[named("far", latency(5))]);
    assert_eq!(pipe.poll(at(20)), Output::Send(at(20), b"abc"));
    // A neighbour that is added leaves it alone.
    let mut pipe = self::pipe(&[latency(30)]);
    pipe.handle(at(0), b"abc");
    pipe.set(at(10), &[named("0", latency(30)), named("1", Toxic::Noop)]);
    assert_eq!(pipe.poll(at(10)), Output::Wait(at(30)));
}

#[test]
fn a_removed_toxic_that_threw_bytes_away_ends_the_connection() {
    let ends = |toxic: Toxic, bytes: &[u8]| {
        let mut pipe = Pipe::new(at(0), &[named("x", toxic)], Seed(1), "x", BUFFER_MAX);
        pipe.handle(at(1), bytes);
        pipe.set(at(2), &[]);
        format!("{:?}", pipe.poll(at(2)))
    };
    assert_eq!(ends(Toxic::Timeout(None), b"lost"), "Close");
    let reset = Toxic::ResetPeer { after: ms(500), since: Since::Begin };
    assert_eq!(ends(reset.clone(), b"lost"), "Reset");
    assert_eq!(ends(reset, b""), "Idle");
    assert_eq!(
        ends(Toxic::LimitData(100), b"kept"),
        "Send(Moment(2000000), [107, 101, 112, 116])".replace("2000000", "1000000")
    );
}

#[test]
fn a_reset_overtakes_bytes_that_nobody_reads() {
    let reset = Toxic::ResetPeer { after: ms(50), since: Since::Begin };
    let mut pipe = Pipe::new(at(0), &[], Seed(1), "x", BUFFER_MAX);
    pipe.handle(at(0), b"unread");
    pipe.set(at(1), &[named("reset", reset)]);
    assert!(matches!(pipe.poll(at(1)), Output::Send(_, b"unread")));
    assert_eq!(pipe.due(), Some(at(51)));
    assert_eq!(pipe.poll(at(51)), Output::Reset);
    assert_eq!(pipe.poll(at(52)), Output::Reset);
    assert_eq!((pipe.holds(), pipe.room()), (0, 0));
}

#[test]
fn toxicity_is_drawn_once_for_a_connection() {
    let strikes = |toxicity: f64, connection: u64| {
        let toxic = Named { toxicity: Probability(toxicity), ..named("far", latency(9)) };
        let name = format!("web/down/{connection}");
        Pipe::new(at(0), &[toxic], Seed(1), &name, BUFFER_MAX).struck_by().count() == 1
    };
    let struck = (0..10_000).filter(|connection| strikes(0.3, *connection)).count();
    assert!((2_850..3_150).contains(&struck), "{struck}");
    assert!((0..1000).all(|c| strikes(1.0, c) && !strikes(0.0, c)));
    assert!((0..1000).all(|c| !strikes(0.3, c) || strikes(0.6, c)));
    // A toxic that passes this connection by is as good as none.
    let spared = Named { toxicity: Probability(0.0), ..named("far", latency(9)) };
    let mut pipe = Pipe::new(at(0), &[spared], Seed(1), "x", BUFFER_MAX);
    assert!(pipe.is_plain());
    pipe.handle(at(3), b"abc");
    assert_eq!(pipe.poll(at(3)), Output::Send(at(3), b"abc"));
}

#[test]
fn latency_is_uniform_around_its_mean() {
    let jitter = Some(Jitter { spread: ms(10), shape: Shape::Uniform });
    let toxic = [named("far", Toxic::Latency { delay: ms(50), jitter })];
    let mut delays = Vec::new();
    for connection in 0..2000 {
        let mut pipe = Pipe::new(at(0), &toxic, Seed(1), &connection.to_string(), BUFFER_MAX);
        pipe.handle(at(0), b"x");
        let Output::Wait(due) = pipe.poll(at(0)) else { panic!() };
        delays.push(due.as_nanos() as f64 / 1e6);
    }
    assert!(delays.iter().all(|delay| (40.0..=60.0).contains(delay)));
    let mean = delays.iter().sum::<f64>() / 2000.0;
    assert!((mean - 50.0).abs() < 0.5, "{mean}");
}

#[test]
fn a_rate_holds_over_ten_seconds() {
    let mut pipe = pipe(&[Toxic::Bandwidth(BitRate(2_000_000))]);
    let mut passed = 0;
    for now in 0..=10_000 {
        let room = pipe.room().min(4096);
        pipe.handle(at(now), &vec![7; room]);
        while let Output::Send(_, bytes) = pipe.poll(at(now)) {
            let len = bytes.len();
            passed += len;
            pipe.sent(len);
        }
        assert!(pipe.holds() <= BUFFER_MAX);
    }
    assert!((passed as f64 / 2_500_000.0 - 1.0).abs() < 0.01, "{passed}");
}

#[test]
fn small_pieces_are_bounded_as_bytes_are() {
    let slice = Slice { average: 1, variation: 0, pause: Duration::ZERO };
    let mut pipe = pipe(&[Toxic::Slicer(slice), latency(1000), latency(1000)]);
    let sent: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    pipe.handle(at(0), &sent);
    assert_eq!(pipe.room(), BUFFER_MAX - 100_000);
    let mut kept = Vec::new();
    let out = drain(&mut pipe, at(5000), &mut kept);
    assert!(out.split(' ').count() <= PIECES_MAX, "{}", out.split(' ').count());
    assert_eq!(kept, sent);
}

#[test]
fn words_of_a_link_become_toxics() {
    let chain = |words: &str| {
        let made = toxics(&words.parse::<Spec>().unwrap().up, None).map_err(|e| e.to_string());
        made.map(|made| made.iter().map(|named| named.name.clone()).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(chain(""), Ok(String::new()));
    assert_eq!(chain("delay=1ms,rate=1M,stall=1s/2s").as_deref(), Ok("rate delay stall"));
    assert_eq!(
        chain("slice=9,truncate=9,reset=1s,corrupt=1%,half-close=1s,slow-close=1s,jitter=1ms")
            .as_deref(),
        Ok("corrupt truncate slice delay slow-close half-close reset")
    );
    assert_eq!(chain("loss-as-delay=1%,refuse").as_deref(), Ok("loss-as-delay"));
    assert!(chain("loss=1%").unwrap_err().contains("loss-as-delay=1%"));
    assert!(chain("trace=x").unwrap_err().contains("not handed in"));
    let knobs = "refuse=20%".parse::<Spec>().unwrap().up.stream;
    let luck = |seed: u64, name: &str| -> Vec<bool> {
        (0..10_000).map(|connection| knobs.refuses(Seed(seed), name, connection)).collect()
    };
    let refused = |luck: &[bool]| luck.iter().filter(|refused| **refused).count();
    let (one, other) = (luck(3, "web"), luck(3, "mail"));
    assert_eq!(luck(3, "web"), one);
    // A fifth each, and a twenty-fifth of both, within five standard deviations.
    for luck in [&one, &other, &luck(4, "web")] {
        assert!((1_800..2_200).contains(&refused(luck)), "{}", refused(luck));
    }
    let both: Vec<bool> = one.iter().zip(&other).map(|(one, other)| *one && *other).collect();
    assert!((302..498).contains(&refused(&both)), "{}", refused(&both));
}

/// A toxic that keeps all bytes, by chance.
fn gentle(dice: &mut Dice) -> Toxic {
    let span = |dice: &mut Dice| ms(dice.below(300));
    match dice.below(8) {
        0 => Toxic::Noop,
        1 => Toxic::Latency { delay: span(dice), jitter: None },
        2 => {
            let shape = Shape::ALL[dice.below(3) as usize];
            let jitter = Some(Jitter { spread: span(dice), shape });
            Toxic::Latency { delay: span(dice), jitter }
        }
        3 => Toxic::Bandwidth(BitRate(8_000 + dice.below(8_000_000))),
        4 => Toxic::SlowClose(span(dice)),
        5 => {
            let average = 1 + dice.below(500);
            let variation = dice.below(average);
            Toxic::Slicer(Slice {
                average,
                variation,
                pause: Duration::from_micros(dice.below(500)),
            })
        }
        6 => {
            let silent = 1 + dice.below(200);
            Toxic::Stall(Stall { silent: ms(silent), every: ms(silent + 1 + dice.below(200)) })
        }
        _ => {
            Toxic::LossAsDelay { probability: Probability(dice.unit() / 4.0), timeout: span(dice) }
        }
    }
}

fn gentle_chain(dice: &mut Dice) -> Vec<Named> {
    let count = dice.below(5);
    let mut chain = Vec::new();
    for n in 0..count {
        // Names come again, now and then with another kind, and some are left out.
        if dice.chance(0.7) {
            let toxicity = Probability(dice.unit().mul_add(1.5, 0.0).min(1.0));
            chain.push(Named { toxicity, ..named(&n.to_string(), gentle(dice)) });
        }
    }
    if dice.chance(0.1) {
        chain.reverse();
    }
    chain
}

#[test]
fn what_comes_out_is_what_went_in_whatever_gentle_toxics_do() {
    for seed in 0..2000 {
        let mut dice = Dice::new(Seed(seed), "stream");
        let buffer = 1 + dice.below(40_000) as usize;
        let mut pipe = Pipe::new(at(0), &gentle_chain(&mut dice), Seed(seed), "x", buffer);
        let (mut sent, mut kept) = (Vec::new(), Vec::new());
        let (mut now, total) = (0_u64, dice.below(60_000) as usize);
        let mut finished = false;
        for step in 0.. {
            assert!(step < 200_000, "seed {seed}: {} of {total}", kept.len());
            if !finished && sent.len() == total {
                pipe.finish(at(now));
                finished = true;
            }
            let len = (dice.below(9000) as usize).min(pipe.room()).min(total - sent.len());
            let bytes: Vec<u8> = (0..len).map(|_| dice.bits() as u8).collect();
            pipe.handle(at(now), &bytes);
            sent.extend(bytes);
            assert!(pipe.holds() <= buffer, "seed {seed}");
            if dice.chance(0.05) && step < 500 {
                pipe.set(at(now), &gentle_chain(&mut dice));
            }
            let mut over = false;
            loop {
                match pipe.poll(at(now)) {
                    Output::Send(_, bytes) => {
                        let taken = 1 + dice.below(bytes.len() as u64) as usize;
                        kept.extend_from_slice(&bytes[..taken]);
                        pipe.sent(taken);
                        if dice.chance(0.02) {
                            break;
                        }
                    }
                    Output::Finish => over = true,
                    Output::Wait(_) | Output::Idle => break,
                    word @ (Output::Close | Output::Reset) => panic!("seed {seed}: {word:?}"),
                }
            }
            if over {
                assert_eq!(pipe.poll(at(now + 10_000_000)), Output::Idle, "seed {seed}");
                break;
            }
            now += dice.below(60);
        }
        assert!(kept == sent, "seed {seed}: {} of {} bytes", kept.len(), sent.len());
    }
}
