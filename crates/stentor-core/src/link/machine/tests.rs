//! Links in virtual time: what each knob does, that nothing is lost uncounted, and that the figures
//! are those that were asked for.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers of tests are small"
)]

use proptest::prelude::*;

use super::*;
use crate::link::{Jitter, Shape, Spec};

const MS: u64 = 1_000_000;

fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * MS)
}

fn link(words: &str, seed: u64) -> Link<u64> {
    let spec: Spec = words.parse().unwrap_or_else(|error| panic!("{words}: {error}"));
    Link::new(&spec.up, None, Seed(seed), "up").unwrap()
}

/// Hands in units of so many bytes at these times, and tells what comes out: `ms:seq`, with a `'`
/// behind copies; polls at the very moments that the link asks for.
fn run(link: &mut Link<u64>, units: &[(u64, usize)]) -> String {
    let mut out = Vec::new();
    let mut drain = |link: &mut Link<u64>, until: Option<Moment>| {
        let mut now = Moment::START;
        loop {
            match link.poll(now) {
                Output::Deliver(unit) => {
                    let copy = if unit.copy { "'" } else { "" };
                    out.push(format!("{}:{}{copy}", unit.due.as_nanos() as f64 / 1e6, unit.seq));
                }
                Output::Wait(next) if until.is_none_or(|until| next < until) => {
                    assert!(next > now, "a link that waits for the past");
                    now = next;
                }
                Output::Wait(_) | Output::Idle => break,
            }
        }
    };
    for (when, bytes) in units {
        drain(link, Some(at(*when)));
        link.handle(at(*when), Unit::new(*when, *bytes), &mut |_| {});
    }
    drain(link, None);
    out.join(" ")
}

fn check(words: &str, units: &[(u64, usize)], expected: &str) {
    assert_eq!(run(&mut link(words, 1), units), expected, "{words}");
}

#[test]
fn each_knob_does_what_it_says() {
    let three = [(0, 1000), (0, 1000), (5, 1000)];
    check("", &three, "0:1 0:2 5:3");
    check("delay=20ms", &three, "20:1 20:2 25:3");
    check("loss=100%", &three, "");
    check("every=2", &three, "0:1 5:3");
    check("duplicate=100%", &three, "0:1 0:1' 0:2 0:2' 5:3 5:3'");
    // 8 Mbit/s: a byte takes a microsecond.
    check("rate=8Mbit", &three, "1:1 2:2 6:3");
    check("rate=8Mbit,delay=3ms", &three, "4:1 5:2 9:3");
    check("rate=8Mbit,duplicate=100%", &three, "1:1 2:1' 3:2 4:2' 6:3 7:3'");
    check("rate=80kbit,queue=1p", &three, "100:1 200:2");
    check("rate=80kbit,queue=0p", &three, "100:1");
    check("rate=80kbit,queue=1999B", &three, "100:1 200:2");
    check("rate=80kbit,queue=2000B", &three, "100:1 200:2 300:3");
    check("slots=20ms", &[(0, 1), (1, 1), (20, 1), (21, 1)], "0:1 20:2 20:3 40:4");
    check("delay=1ms,slots=20ms", &[(0, 1), (1, 1)], "20:1 20:2");
    check("burst=100%/100%", &three, "0:2");
    check("rate=none", &[(0, 0)], "0:1");
}

#[test]
fn a_unit_that_overtakes_skips_the_delay_but_not_the_transmitter() {
    let units = [(0, 1000), (0, 1000)];
    check("delay=20ms,reorder=100%", &units, "0:1 0:2");
    check("delay=20ms,rate=8Mbit,reorder=100%", &units, "1:1 2:2");
    let mut link = link("delay=20ms,reorder=50%", 3);
    let units: Vec<(u64, usize)> = (0..100).map(|ms| (ms, 100)).collect();
    let out = run(&mut link, &units);
    assert!(out.starts_with("0:1 ") || out.contains(" 20:1 "), "{out}");
    assert!((30..70).contains(&link.counters().reordered), "{out}");
}

#[test]
fn jitter_reorders_unless_order_is_kept() {
    let sorted = |words: &str| {
        let mut link = link(words, 5);
        let units: Vec<(u64, usize)> = (0..200).map(|ms| (ms, 100)).collect();
        let out = run(&mut link, &units);
        let seqs = out.split(' ').map(|unit| unit.split(':').nth(1).unwrap().parse::<u32>());
        let seqs: Vec<u32> = seqs.map(Result::unwrap).collect();
        assert_eq!(seqs.len(), 200);
        seqs.is_sorted()
    };
    assert!(sorted("delay=20ms"));
    for shape in ["", ":normal", ":pareto"] {
        assert!(!sorted(&format!("delay=20ms,jitter=9ms{shape}")), "{shape}");
        assert!(sorted(&format!("delay=20ms,jitter=9ms{shape},order=keep")), "{shape}");
    }
}

#[test]
fn a_flipped_bit_is_where_it_may_be() {
    let mut link: Link<Vec<u8>> =
        Link::new(&"corrupt=100%".parse::<Spec>().unwrap().up, None, Seed(1), "up").unwrap();
    let mut struck = [0_u32; 8];
    for _ in 0..1000 {
        let unit = Unit { payload: vec![0; 8], bytes: 36, corruptible: 2..6 };
        link.handle(at(0), unit, &mut |_| {});
        let Output::Deliver(mut unit) = link.poll(at(0)) else { panic!() };
        unit.flip();
        assert_eq!(unit.payload.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        struck[unit.payload.iter().position(|byte| *byte > 0).unwrap()] += 1;
    }
    assert!(struck[2..6].iter().all(|count| *count > 150), "{struck:?}");
    assert_eq!(link.counters().corrupted, 1000);
    let unit = Unit { payload: vec![], bytes: 28, corruptible: 0..0 };
    link.handle(at(0), unit, &mut |decision| panic!("{decision}"));
}

#[test]
fn traces_carry_units() {
    let knobs = "trace=x,delay=1ms".parse::<Spec>().unwrap().up;
    let trace: Trace = "2\n5\n5\n10".parse().unwrap();
    assert!(Link::<u64>::new(&knobs, None, Seed(1), "up").is_err());
    let mut link = Link::new(&knobs, Some(&trace), Seed(1), "up").unwrap();
    let units = [(0, 1500), (0, 1500), (3, 700), (3, 700), (3, 700), (11, 10)];
    assert_eq!(run(&mut link, &units), "3:1 6:2 6:3 6:4 11:5 13:6");
}

#[test]
fn knobs_are_turned_while_units_are_inside() {
    let mut link = link("rate=8kbit,delay=10ms", 1);
    for _ in 0..3 {
        link.handle(at(0), Unit::new(0, 1000), &mut |_| {});
    }
    // The first is being sent until 1 s; the others leave at the new rate.
    let faster = "rate=8Mbit,delay=20ms".parse::<Spec>().unwrap().up;
    link.set(at(500), &faster, None).unwrap();
    assert_eq!(link.queued(at(500)), (2, 2000));
    assert_eq!(run(&mut link, &[]), "1020:1 1021:2 1022:3");
    link.handle(at(2000), Unit::new(0, 1000), &mut |_| {});
    link.set(at(2001), &Knobs::default(), None).unwrap();
    assert_eq!(run(&mut link, &[(2002, 1)]), "2002:5 2021:4");
    let wrong = Knobs { every: Some(1), ..Knobs::default() };
    assert!(link.set(at(3000), &wrong, None).is_err());
}

/// The decision log of a run of `count` units, one each millisecond.
fn log(words: &str, seed: u64, count: u64) -> Vec<Decision> {
    let mut link = link(words, seed);
    let mut log = Vec::new();
    for ms in 0..count {
        link.handle(at(ms), Unit::new(ms, 1200), &mut |decision| log.push(decision));
        while let Output::Deliver(_) = link.poll(at(ms)) {}
    }
    log
}

const EVERYTHING: &str = "delay=20ms,jitter=5ms:normal,rate=9Mbit,queue=20p,loss=3%,burst=1%/25%,\
                          every=50,duplicate=2%,reorder=2%,corrupt=2%";

#[test]
fn the_same_seed_decides_the_same_byte_for_byte() {
    let text = |seed: u64| {
        let lines = log(EVERYTHING, seed, 5000).into_iter().map(|line| format!("{line}\n"));
        lines.collect::<String>()
    };
    assert_eq!(text(7), text(7));
    assert_ne!(text(7), text(8));
    assert!(text(7).lines().count() > 5000);
}

#[test]
fn a_late_driver_decides_the_same() {
    let mut prompt = Vec::new();
    let mut late = Vec::new();
    let (mut one, mut two) = (link(EVERYTHING, 9), link(EVERYTHING, 9));
    let mut delivered = (Vec::new(), Vec::new());
    for ms in 0..3000 {
        one.handle(at(ms), Unit::new(ms, 1200), &mut |decision| prompt.push(decision));
        two.handle(at(ms), Unit::new(ms, 1200), &mut |decision| late.push(decision));
        while let Output::Deliver(unit) = one.poll(at(ms)) {
            delivered.0.push((unit.due, unit.seq, unit.copy));
        }
        while ms % 100 == 99
            && let Output::Deliver(unit) = two.poll(at(ms))
        {
            delivered.1.push((unit.due, unit.seq, unit.copy));
        }
    }
    assert_eq!(prompt, late);
    assert_eq!(delivered.0, delivered.1);
}

#[test]
fn turning_one_knob_leaves_the_luck_of_the_others_alone() {
    let only = |words: &str, knob: Knob| -> Vec<(u64, What)> {
        let log = log(words, 11, 20_000).into_iter().filter(|line| line.knob == knob && !line.copy);
        log.map(|line| (line.seq, line.what)).collect()
    };
    let base = "delay=20ms,jitter=5ms,loss=1%,duplicate=1%,corrupt=1%";
    let turned = "delay=20ms,jitter=5ms,loss=30%,burst=1%/9%,duplicate=9%,corrupt=1%,reorder=1%";
    for knob in [Knob::Jitter, Knob::Corrupt] {
        let (base, turned) = (only(base, knob), only(turned, knob));
        assert!(turned.len() > 50 && turned.iter().all(|line| base.contains(line)), "{knob:?}");
    }
    // What was lost at 1 % is lost at 30 %, too.
    let (base, turned) = (only(base, Knob::Loss), only(turned, Knob::Loss));
    assert!(base.len() > 100 && base.iter().all(|line| turned.contains(line)));
}

/// Sends `count` units and says which arrive.
fn arrivals(words: &str, seed: u64, count: u64) -> Vec<bool> {
    let mut link = link(words, seed);
    let mut there = vec![false; usize::try_from(count).unwrap()];
    for (seq, there) in (0..count).zip(&mut there) {
        link.handle(Moment::from_nanos(seq), Unit::new(seq, 100), &mut |_| {});
        while let Output::Deliver(unit) = link.poll(Moment::from_nanos(seq)) {
            *there |= unit.payload == seq;
        }
    }
    there
}

#[test]
fn losses_are_as_many_as_were_asked_for() {
    let count = 1_000_000;
    for (words, p) in [("loss=1%", 0.01), ("loss=30%", 0.3), ("loss=0.1%", 0.001)] {
        let lost = arrivals(words, 21, count).iter().filter(|there| !**there).count() as f64;
        // 99.9 % of all runs are within 3.29 standard deviations (binomial, nearly normal).
        let deviation = (count as f64 * p * (1.0 - p)).sqrt();
        assert!((lost - count as f64 * p).abs() < 3.29 * deviation, "{words}: {lost}");
    }
    let lost = arrivals("every=10", 21, count).iter().filter(|there| !**there).count();
    assert_eq!(lost, 100_000);
}

#[test]
fn bursts_are_as_long_and_as_frequent_as_were_asked_for() {
    for (words, p, r) in [("burst=1%/25%", 0.01, 0.25), ("burst=2%/10%", 0.02, 0.1)] {
        let there = arrivals(words, 22, 1_000_000);
        let lost = there.iter().filter(|there| !**there).count() as f64;
        let bursts = there.windows(2).filter(|pair| pair[0] && !pair[1]).count() as f64;
        let (length, share) = (lost / bursts, lost / there.len() as f64);
        assert!((length * r - 1.0).abs() < 0.05, "{words}: {length}");
        assert!((share / (p / (p + r)) - 1.0).abs() < 0.05, "{words}: {share}");
        let burst = words.parse::<Spec>().unwrap().up.burst.unwrap();
        assert!((burst.mean_loss() - p / (p + r)).abs() < 1e-12);
    }
}

/// The largest distance between what was seen and its distribution function, times the root of the
/// number of samples: above 1.95 in 0.1 % of all runs (Kolmogorov-Smirnov).
fn kolmogorov(mut seen: Vec<f64>, below: impl Fn(f64) -> f64) -> f64 {
    seen.sort_by(f64::total_cmp);
    let n = seen.len() as f64;
    let distance = seen.iter().enumerate().map(|(index, x)| {
        let f = below(*x);
        (f - index as f64 / n).abs().max((f - (index + 1) as f64 / n).abs())
    });
    distance.fold(0.0, f64::max) * n.sqrt()
}

/// Abramowitz and Stegun 26.2.17, to 7.5e-8.
fn normal_below(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let terms = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let tail = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t) * (-x * x / 2.0).exp()
        / (2.0 * std::f64::consts::PI).sqrt();
    if x < 0.0 { tail } else { 1.0 - tail }
}

fn delays(words: &str, count: u64) -> Vec<f64> {
    let mut link = link(words, 23);
    let mut delays = Vec::new();
    for seq in 0..count {
        link.handle(Moment::from_nanos(seq * 1000), Unit::new(seq, 100), &mut |_| {});
    }
    while let Output::Deliver(unit) = link.poll(at(3_600_000)) {
        delays.push(unit.due.since(unit.sent).as_nanos() as f64 / 1e6);
    }
    delays
}

#[test]
fn jitter_is_distributed_as_it_says() {
    let count = 200_000;
    let uniform = delays("delay=200ms,jitter=10ms", count);
    assert_eq!(uniform.len() as u64, count);
    assert!(kolmogorov(uniform, |ms| (ms - 190.0) / 20.0) < 1.95);
    let normal = delays("delay=200ms,jitter=10ms:normal", count);
    assert!(kolmogorov(normal, |ms| normal_below((ms - 200.0) / 10.0)) < 1.95);
    let pareto = delays("delay=200ms,jitter=10ms:pareto", count);
    let below = |ms: f64| {
        let x = (ms - 200.0) / 10.0 * 0.75_f64.sqrt() + 1.5;
        if x < 1.0 { 0.0 } else { 1.0 - x.powi(-3) }
    };
    assert!(kolmogorov(pareto, below) < 1.95);
}

#[test]
fn no_delay_is_below_zero() {
    let none = delays("jitter=10ms:normal", 100_000);
    let zero = none.iter().filter(|ms| **ms == 0.0).count() as f64;
    assert!(none.iter().all(|ms| *ms >= 0.0));
    assert!((zero / 100_000.0 - 0.5).abs() < 0.01, "half of them would have been early: {zero}");
}

#[test]
fn rates_hold_over_ten_seconds() {
    for (rate, bytes) in [("2Mbit", 1500), ("100Mbit", 1472), ("56kbit", 100), ("1Gbit", 60)] {
        let mut link = link(&format!("rate={rate},queue=50p"), 24);
        let bps = rate.parse::<crate::units::BitRate>().unwrap().0 as f64;
        // One and a half times as much as fits.
        let gap = bytes as f64 * 8e9 / bps / 1.5;
        let (mut now, mut sent, mut delivered) = (0.0, 0_u64, 0_u64);
        while now < 10e9 {
            let moment = Moment::from_nanos((now as u64).min(10_000_000_000));
            link.handle(moment, Unit::new(sent, bytes), &mut |_| {});
            while let Output::Deliver(unit) = link.poll(moment) {
                delivered += unit.bytes as u64;
            }
            sent += 1;
            now += gap;
        }
        let seen = delivered as f64 * 8.0 / 10.0;
        assert!((seen / bps - 1.0).abs() < 0.01, "{rate}: {seen}");
        assert!(link.counters().queue_full > sent / 4);
    }
}

#[test]
fn nothing_inside_is_without_bounds() {
    let mut link = link("delay=1h", 1);
    for seq in 0..UNITS_MAX as u64 + 10 {
        link.handle(at(0), Unit::new(seq, 1), &mut |_| {});
    }
    assert_eq!(link.counters().flight_full, 10);
    let mut link = self::link("delay=1h", 1);
    for seq in 0..300 {
        link.handle(at(0), Unit::new(seq, 1 << 20), &mut |_| {});
    }
    assert_eq!(link.counters().flight_full, 300 - (BYTES_MAX >> 20));
}

#[test]
fn shapes_are_named() {
    for shape in Shape::ALL {
        let jitter = Jitter { spread: Duration::from_millis(5), shape };
        let read = format!("jitter={jitter}").parse::<Spec>().unwrap().up.jitter;
        assert_eq!(read, Some(jitter));
    }
}

proptest! {
    #[test]
    fn any_trace_carries_units_in_their_order(
        text in "([0-9]{1,3}\n){1,5}|([0-9]{1,2}(\\.[0-9])? [0-9]{1,2}(\\.[0-9])?\n){2,5}|0 0\n\
                 3155760000 0\n3155760000.000000001 1",
        first in proptest::sample::select(vec![0, 7, u64::MAX / 2, u64::MAX]),
    ) {
        let mut text = text;
        if !text.contains(' ') {
            let mut stamps: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
            stamps.sort_unstable();
            text = stamps.iter().map(|stamp| format!("{stamp}\n")).collect();
        }
        if let Ok(trace) = text.parse::<Trace>() {
            let knobs = Knobs { trace: Some("x".to_owned()), ..Knobs::default() };
            let mut link = Link::new(&knobs, Some(&trace), Seed(1), "up").unwrap();
            for (number, bytes) in [0_usize, 1, 1499, 1500, 1501, 65_535].into_iter().enumerate() {
                let now = Moment::from_nanos(first.saturating_add(number as u64 * 700_000));
                link.handle(now, Unit::new(number, bytes), &mut |_| {});
            }
            let mut before = Moment::START;
            for number in 0..6 {
                let next = link.poll(Moment::from_nanos(u64::MAX));
                let Output::Deliver(unit) = next else { panic!("{next:?}") };
                prop_assert_eq!(unit.payload, number);
                prop_assert!(unit.due >= unit.sent && unit.due >= before);
                before = unit.due;
            }
        }
    }

    #[test]
    fn every_unit_is_accounted_for(
        words in proptest::sample::select(vec![
            EVERYTHING, "", "loss=20%,duplicate=20%", "rate=1Mbit,queue=3p,duplicate=50%",
            "rate=1Mbit,queue=4KiB,delay=3ms,jitter=9ms:pareto", "slots=7ms,order=keep,jitter=3ms",
            "burst=20%/30%/50%/5%,every=3,delay=1ms,reorder=30%,corrupt=30%",
        ]),
        other in proptest::sample::select(vec!["", "rate=64kbit", "delay=9ms,loss=50%", EVERYTHING]),
        seed: u64,
        units in proptest::collection::vec((0_u64..5, 0_usize..3000, proptest::bool::ANY), 1..80),
        turn in 0_usize..80,
    ) {
        let mut link = link(words, seed);
        let mut now = 0;
        let mut delivered = 0;
        let mut noted = 0;
        let turned = other.parse::<Spec>().unwrap().up;
        for (index, (gap, bytes, poll)) in units.iter().enumerate() {
            now += gap;
            if index == turn {
                link.set(at(now), &turned, None).unwrap();
            }
            link.handle(at(now), Unit::new(0, *bytes), &mut |decision| {
                noted += u64::from(decision.what == What::Dropped);
            });
            while *poll && let Output::Deliver(unit) = link.poll(at(now)) {
                prop_assert!(unit.due >= unit.sent && unit.due <= at(now));
                delivered += 1;
            }
            let seen = link.counters();
            prop_assert_eq!(seen.taken, index as u64 + 1);
            prop_assert_eq!(seen.delivered, delivered);
            prop_assert_eq!(seen.dropped(), noted);
            let ends = seen.delivered + seen.dropped() + link.waiting();
            prop_assert_eq!(seen.taken + seen.duplicated, ends);
        }
        while let Output::Deliver(_) = link.poll(at(100_000_000)) {}
        prop_assert_eq!(link.waiting(), 0);
        prop_assert_eq!(link.inside_bytes, 0);
        prop_assert_eq!(link.queued_bytes, 0);
        prop_assert_eq!(link.poll(at(100_000_000)), Output::Idle);
    }
}
