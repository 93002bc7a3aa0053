//! Faults in virtual time: what arrives, when, and how it ends.

use proptest::prelude::*;

use super::stream::{PARTS_MAX, QUEUE_MAX};
use super::*;

fn faults(written: &str) -> Faults {
    written.parse().unwrap()
}

fn at_ms(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

#[test]
fn faults_are_read_and_written() {
    let check = |written: &str, expected: &str| {
        let read = match written.parse::<Faults>() {
            Ok(faults) => faults.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(read, expected, "{written}");
    };
    check("", "");
    check("split", "split=200ms");
    check("drip=1ms", "drip=1ms");
    check("late", "late=300ms");
    check("stall", "stall=1s/4s");
    check("stall=20ms/1.5s", "stall=20ms/1.5s");
    check("silent", "silent");
    check("rst:10%", "rst:10%");
    check("rst:0.1", "rst:10%");
    check("dup:7%,truncate:0.5%,late=1s:50%", "dup:7%,truncate:0.5%,late=1s:50%");
    check(
        "lost",
        "\"lost\" is not a fault: split=200ms, drip=10ms, stall=1s/4s, silent, rst, dup, \
         late=300ms or truncate, each with an optional probability such as rst:10%",
    );
    check(
        "split=200",
        "fault split: \"200\" is not a time with its unit, such as 250us, 20ms, 3s, 2m or 1h",
    );
    check("rst:10", "fault rst: \"10\" is not a probability such as 1%, 0.5% or 0.01");
    check("dup=2", "fault dup takes no value, not \"2\": write dup or dup:10%");
    check(
        "stall=4s/4s",
        "fault stall takes SILENT/EVERY with SILENT shorter than EVERY, such as 1s/4s (silent for \
         the first second of every four), not \"4s/4s\"",
    );
    check(
        "late=1s,late=2s",
        "fault late is given twice: which of the two is meant cannot be guessed",
    );
}

/// What a client saw of a connection.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    sends: Vec<(u64, Vec<u8>)>,
    reset: bool,
    closed: bool,
}

impl Seen {
    fn bytes(&self) -> Vec<u8> {
        self.sends.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
    }

    fn times_ms(&self) -> Vec<u64> {
        self.sends.iter().map(|(at, _)| at / 1_000_000).collect()
    }
}

/// Hands over each answer at its time in ms, then the end, and does all that is due; a kernel
/// that takes at most `kernel` bytes at once stands behind.
fn run(mut faulty: FaultyStream, answers: &[(u64, &[u8])], kernel: usize) -> Seen {
    let mut seen = Seen::default();
    let mut answers = answers.iter().peekable();
    let mut now = Moment::START;
    for _ in 0..1_000_000 {
        while let Some((_, answer)) = answers.next_if(|(at, _)| at_ms(*at) <= now) {
            faulty.handle(now, answer);
        }
        if answers.peek().is_none() {
            faulty.end();
        }
        let next = answers.peek().map(|(at, _)| at_ms(*at));
        now = match faulty.poll(now) {
            Due::Send(bytes) => {
                assert!(!bytes.is_empty());
                let taken = bytes[..bytes.len().min(kernel)].to_vec();
                faulty.sent(now, taken.len());
                seen.sends.push((now.as_nanos(), taken));
                now
            }
            Due::Wait(until) => {
                assert!(until > now, "waiting for what has come");
                next.map_or(until, |next| until.min(next))
            }
            Due::Idle => match next {
                Some(next) => next,
                None => return seen,
            },
            Due::Reset => {
                seen.reset = true;
                return seen;
            }
            Due::Close => {
                seen.closed = true;
                return seen;
            }
        };
    }
    panic!("no end in sight: {seen:?}");
}

fn one(written: &str, answers: &[(u64, &[u8])]) -> Seen {
    run(FaultyStream::new(&faults(written), Seed(1), 0), answers, usize::MAX)
}

#[test]
fn each_fault_does_what_it_says() {
    let check = |written: &str, expected: &str| {
        let seen = one(written, &[(0, b"HELLO"), (500, b"YOU")]);
        let sends = seen
            .sends
            .iter()
            .map(|(at, bytes)| format!("{}:{} ", at / 1_000_000, String::from_utf8_lossy(bytes)));
        let end = match (seen.reset, seen.closed) {
            (true, _) => "reset",
            (_, true) => "close",
            (false, false) => "open",
        };
        assert_eq!(sends.collect::<String>() + end, expected, "{written}");
    };
    check("", "0:HELLO 500:YOU close");
    check("split", "0:HE 200:LLO 500:Y 700:OU close");
    check("drip", "0:H 10:E 20:L 30:L 40:O 500:Y 510:O 520:U close");
    check("stall=100ms/400ms", "100:HELLO 500:YOU close");
    check("stall=100ms/490ms", "100:HELLO 590:YOU close");
    check("silent", "open");
    check("rst", "0:HE reset");
    check("truncate", "0:HE close");
    check("dup", "0:HELLO 0:HELLO 500:YOU 500:YOU close");
    check("late", "300:HELLO 800:YOU close");
    check("rst,late=600ms", "600:HE reset");
    check("truncate,split=20ms", "0:H 20:E close");
    check("dup,split=20ms", "0:HE 20:LLO 20:HE 40:LLO 500:Y 520:OU 520:Y 540:OU close");
    check("split=600ms", "0:HE 600:LLO 600:Y 1200:OU close");
    check("rst:0%,dup:0%", "0:HELLO 500:YOU close");
}

#[test]
fn an_answer_of_one_byte_has_no_half() {
    let check = |written: &str, expected: (&[u64], bool, bool)| {
        let seen = one(written, &[(0, b"A")]);
        assert_eq!((&seen.times_ms()[..], seen.reset, seen.closed), expected, "{written}");
    };
    check("split", (&[0], false, true));
    check("rst", (&[], true, false));
    check("truncate", (&[], false, true));
}

#[test]
fn a_reset_is_late_where_its_answer_is() {
    let mut faulty = FaultyStream::new(&faults("rst,late=300ms"), Seed(1), 0);
    faulty.handle(at_ms(5), b"A");
    assert_eq!(faulty.poll(at_ms(5)), Due::Wait(at_ms(305)));
    assert_eq!(faulty.poll(at_ms(305)), Due::Reset);
    assert!(faulty.is_cut());
}

#[test]
fn luck_follows_the_probability_the_seed_and_nothing_else() {
    let struck = |written: &str, seed: u64| -> Vec<bool> {
        let faults = faults(written);
        let connections = 0..10_000;
        let reset = |connection| {
            let mut faulty = FaultyStream::new(&faults, Seed(seed), connection);
            faulty.handle(Moment::START, b"HELLO");
            faulty.sent(Moment::START, 2);
            faulty.poll(Moment::START) == Due::Reset
        };
        connections.map(reset).collect()
    };
    let alone = struck("rst:10%", 1);
    let resets = alone.iter().filter(|&&reset| reset).count();
    // Four standard deviations of a binomial distribution: 4 * sqrt(10,000 * 0.1 * 0.9) = 120.
    assert!((880..=1_120).contains(&resets), "{resets}");
    assert_eq!(struck("rst:10%", 1), alone);
    assert_ne!(struck("rst:10%", 2), alone);
    assert_eq!(struck("truncate:0%,silent:0%,rst:10%", 1), alone, "another die changed its luck");
}

#[test]
fn datagrams_are_spoiled_likewise() {
    let check = |written: &str, now_ms: u64, expected: &str| {
        let mut faulty = FaultyDatagrams::new(&faults(written), Seed(1));
        let portions = faulty.handle(at_ms(now_ms), 5).into_iter();
        let portions = portions.map(|portion| format!("{:?}+{:?} ", portion.bytes, portion.delay));
        assert_eq!(portions.collect::<String>().trim_end(), expected, "{written}");
    };
    check("", 0, "0..5+0ns");
    check("split", 0, "0..2+0ns 2..5+200ms");
    check("drip,rst", 0, "0..5+0ns");
    check("silent", 0, "");
    check("silent:0%", 0, "0..5+0ns");
    check("dup", 0, "0..5+0ns 0..5+0ns");
    check("late=7ms", 0, "0..5+7ms");
    check("truncate", 0, "0..2+0ns");
    check("stall", 300, "0..5+700ms");
    check("stall", 3_999, "0..5+0ns");
    check("stall,late=2ms", 3_999, "0..5+1.001s");
    check("stall", 4_000, "0..5+1s");
    check("dup,split=1ms,truncate", 0, "0..1+0ns 1..2+1ms 0..1+0ns 1..2+1ms");
}

#[test]
fn an_outbox_gives_up_what_is_due_in_order_and_is_bounded() {
    let mut outbox = Outbox::new();
    assert_eq!(outbox.poll(at_ms(0)), Outgoing::Idle);
    for (due, to) in [(5, 'c'), (1, 'a'), (5, 'd'), (3, 'b')] {
        assert!(outbox.handle(at_ms(due), to, b"HELLO"));
    }
    assert_eq!(outbox.poll(at_ms(0)), Outgoing::Wait(at_ms(1)));
    for to in ['a', 'b', 'c', 'd'] {
        assert_eq!(outbox.poll(at_ms(5)), Outgoing::Send(to, b"HELLO".to_vec()));
    }
    assert_eq!(outbox.poll(at_ms(5)), Outgoing::Idle);
    let kept = (0..1_000).filter(|_| outbox.handle(at_ms(1), 'e', &[0; 65_507])).count();
    assert_eq!(kept, (4 << 20) / (65_507 + 64));
    while outbox.poll(at_ms(1)) != Outgoing::Idle {}
    assert!(outbox.handle(at_ms(1), 'f', b""), "room again");
}

/// Faults that lose nothing, in any combination.
fn harmless() -> impl Strategy<Value = String> {
    let words = vec!["split=20ms", "drip=1ms", "late=30ms", "stall=50ms/70ms"];
    proptest::sample::subsequence(words, 0..=4).prop_flat_map(move |some| {
        let chances = proptest::collection::vec(0..=100_u8, some.len());
        chances.prop_map(move |chances| {
            let some = some.iter().zip(chances).map(|(word, chance)| format!("{word}:{chance}%"));
            some.collect::<Vec<_>>().join(",")
        })
    })
}

fn answers() -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
    let answer = (0..100_u64, proptest::collection::vec(any::<u8>(), 0..40));
    proptest::collection::vec(answer, 0..12).prop_map(|mut answers| {
        answers.sort_by_key(|(at, _)| *at);
        answers
    })
}

fn borrowed(answers: &[(u64, Vec<u8>)]) -> Vec<(u64, &[u8])> {
    answers.iter().map(|(at, bytes)| (*at, bytes.as_slice())).collect()
}

proptest! {
    #[test]
    fn delays_lose_nothing_and_keep_the_order(
        written in harmless(), answers in answers(), seed: u64, kernel in 1..20_usize,
    ) {
        let faulty = FaultyStream::new(&faults(&written), Seed(seed), 3);
        let seen = run(faulty, &borrowed(&answers), kernel);
        let said: Vec<u8> = answers.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        prop_assert_eq!(seen.bytes(), said);
        prop_assert!(seen.closed && !seen.reset);
    }

    #[test]
    fn a_duplicate_is_each_answer_twice(
        written in harmless(), answers in answers(), seed: u64, kernel in 1..20_usize,
    ) {
        let comma = if written.is_empty() { "" } else { "," };
        let faulty = FaultyStream::new(&faults(&format!("dup{comma}{written}")), Seed(seed), 3);
        let seen = run(faulty, &borrowed(&answers), kernel);
        let twice: Vec<u8> = answers.iter().flat_map(|(_, bytes)| bytes.repeat(2)).collect();
        prop_assert_eq!(seen.bytes(), twice);
    }

    #[test]
    fn what_is_cut_short_is_a_beginning(
        written in harmless(), answers in answers(), seed: u64,
        cut in prop_oneof![Just("rst:30%"), Just("truncate:30%")],
    ) {
        let comma = if written.is_empty() { "" } else { "," };
        let faulty = FaultyStream::new(&faults(&format!("{cut}{comma}{written}")), Seed(seed), 3);
        let seen = run(faulty, &borrowed(&answers), usize::MAX);
        let said: Vec<u8> = answers.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let bytes = seen.bytes();
        prop_assert!(said.starts_with(&bytes));
        prop_assert!(seen.closed != seen.reset);
        prop_assert!(seen.reset || cut.starts_with("truncate") || bytes == said);
    }

    #[test]
    fn dripping_leaves_its_gap_and_stalling_its_silence(answers in answers(), seed: u64) {
        let faulty = FaultyStream::new(&faults("drip=3ms"), Seed(seed), 3);
        let seen = run(faulty, &borrowed(&answers), usize::MAX);
        prop_assert!(seen.sends.iter().all(|(_, bytes)| bytes.len() == 1));
        let mut at = 0;
        for answer in answers.iter().filter(|(_, bytes)| !bytes.is_empty()) {
            let times = &seen.times_ms()[at..at + answer.1.len()];
            prop_assert!(times.windows(2).all(|pair| pair[1] >= pair[0] + 3));
            at += answer.1.len();
        }
        let faulty = FaultyStream::new(&faults("stall=5ms/8ms"), Seed(seed), 3);
        let seen = run(faulty, &borrowed(&answers), usize::MAX);
        prop_assert!(seen.times_ms().iter().all(|ms| ms % 8 >= 5));
    }

    #[test]
    fn a_driver_that_reads_no_more_than_it_may_fills_no_more_than_the_queue(
        written in harmless(), seed: u64,
        turns in proptest::collection::vec((any::<u16>(), 1..3_usize, any::<u16>()), 1..400),
    ) {
        let comma = if written.is_empty() { "" } else { "," };
        let faults = faults(&format!("dup:50%{comma}{written}"));
        let mut faulty = FaultyStream::new(&faults, Seed(seed), 3);
        let mut now = Moment::START;
        for (read, pieces, taken) in turns {
            now = now + Duration::from_micros(500);
            let read = usize::from(read).min(faulty.read_max());
            if read > 0 {
                // The worst that upper case can do, in as many pieces.
                let answer = vec![b'x'; 3 * (read + 3)];
                for piece in answer.chunks(answer.len().div_ceil(pieces)) {
                    faulty.handle(now, piece);
                }
            }
            prop_assert!(faulty.queued() <= QUEUE_MAX, "{}", faulty.queued());
            prop_assert!(faulty.parts() <= PARTS_MAX, "{}", faulty.parts());
            if let Due::Send(bytes) = faulty.poll(now) {
                let taken = bytes.len().min(taken.into());
                faulty.sent(now, taken);
            }
        }
    }

    #[test]
    fn any_words_are_read_or_refused(written in "[a-z=:/,%0-9.]{0,30}") {
        if let Ok(faults) = written.parse::<Faults>() {
            prop_assert!(faults.to_string().parse::<Faults>().is_ok());
        }
    }

    #[test]
    fn every_fault_reads_back(written in harmless()) {
        let faults = faults(&written);
        prop_assert_eq!(faults.to_string().parse::<Faults>(), Ok(faults));
    }
}
