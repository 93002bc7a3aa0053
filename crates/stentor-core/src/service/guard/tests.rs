//! Loops, floods and clients in virtual time, over many seeds.

use std::collections::BTreeMap;

use super::*;
use crate::casing::Case;
use crate::service::datagram::{Desk, Dropped};
use crate::service::{Contract, Service};

const SEEDS: u64 = 200;

fn at_ms(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

fn contract(service: Service) -> Contract {
    Contract { service, case: Case::Unicode }
}

fn desk(service: Service, seed: u64, ports: &[u16]) -> Desk {
    Desk::new(contract(service), Some(Settings { seed: Seed(seed) }), ports.iter().copied())
}

/// Whether `desk` answers this.
fn says(desk: &mut Desk, now: Moment, source: &str, payload: &[u8]) -> bool {
    let mut spill = Vec::new();
    match desk.handle(now, source.parse().unwrap(), &mut payload.to_vec(), &mut spill) {
        Ok(_) => true,
        Err(dropped) => {
            assert_eq!(dropped, Dropped::Muted);
            false
        }
    }
}

type Answering = fn(&[u8]) -> Vec<u8>;

/// A service at one end of a forged conversation.
enum End {
    Ours(Box<Desk>),
    /// Answers everything; knows no guard.
    Naive(Answering),
}

impl End {
    fn answer(&mut self, now: Moment, source: SocketAddr, payload: &[u8]) -> Option<Vec<u8>> {
        match self {
            End::Ours(desk) => {
                let (mut payload, mut spill) = (payload.to_vec(), Vec::new());
                let reply = desk.handle(now, source, &mut payload, &mut spill);
                reply.ok().map(|reply| reply.bytes.to_vec())
            }
            End::Naive(answer) => Some(answer(payload)),
        }
    }
}

/// Lets two ends talk after `forged` datagrams were sent to the first in the name of the second.
/// Returns how many datagrams there were, forged ones included; gives up at 2,000 for each of them.
fn talk(ends: &mut [End; 2], ports: [u16; 2], forged: &[&[u8]], dice: &mut Dice) -> usize {
    let address =
        |end: usize| SocketAddr::from(([10, 0, 0, u8::try_from(end).unwrap()], ports[end]));
    // Round trips from 20 us to just under the second in which a repetition is one.
    let latency_max = 10_000 << dice.below(16);
    let mut on_the_way = BTreeMap::new();
    for (nth, payload) in forged.iter().enumerate() {
        on_the_way.insert((Moment::from_nanos(dice.below(1_000_000)), nth), (0, payload.to_vec()));
    }
    let mut sent = forged.len();
    while let Some(((now, _), (to, payload))) = on_the_way.pop_first() {
        let Some(answer) = ends[to].answer(now, address(1 - to), &payload) else { continue };
        sent += 1;
        if sent >= 2_000 * forged.len() {
            break;
        }
        let latency = Duration::from_nanos(10_000 + dice.below(latency_max));
        on_the_way.insert((now + latency, sent), (1 - to, answer));
    }
    sent
}

const PAYLOADS: [&[u8]; 5] =
    [b"hello", b"HELLO", b"", "\u{390} stra\u{df}e".as_bytes(), &[7; 65_507]];

#[test]
fn a_loop_of_two_of_ours_ends_within_20_datagrams() {
    for seed in 0..SEEDS {
        let mut dice = Dice::new(Seed(seed), "loop");
        for one in Service::ALL {
            for other in Service::ALL {
                let payload = PAYLOADS[usize::try_from(dice.below(5)).unwrap()];
                let ports = [12000, 12001];
                let mut ends = [
                    End::Ours(desk(one, seed, &ports[..1]).into()),
                    End::Ours(desk(other, seed, &ports[1..]).into()),
                ];
                let sent = talk(&mut ends, ports, &[payload], &mut dice);
                // Two that halve come to repeat themselves only once nothing is left.
                let halving = one == Service::Half && other == Service::Half;
                let most = if halving { 20 + 17 } else { 20 };
                assert!(sent <= most, "seed {seed}: {one} and {other}: {sent} datagrams");
            }
        }
    }
}

#[test]
fn a_loop_with_a_naive_service_ends_within_20_datagrams() {
    let naive: [Answering; 5] = [
        |payload| payload.to_vec(),
        |payload| payload.to_ascii_uppercase(),
        |payload| payload.to_ascii_lowercase(),
        |_| b"error: not understood".to_vec(),
        |_| b"abcdefghijklmnopqrstuvwxyz".repeat(3),
    ];
    let mut naive_alone = 0;
    for seed in 0..SEEDS {
        let mut dice = Dice::new(Seed(seed), "naive");
        for (nth, answer) in naive.into_iter().enumerate() {
            for service in [Service::Upper, Service::Sentence, Service::Half, Service::Echo] {
                let payload = PAYLOADS[usize::try_from(dice.below(5)).unwrap()];
                let mut ends =
                    [End::Ours(desk(service, seed, &[12000]).into()), End::Naive(answer)];
                let sent = talk(&mut ends, [12000, 7777], &[payload], &mut dice);
                assert!(sent <= 20, "seed {seed}: {service} and naive {nth}: {sent} datagrams");
            }
        }
        let mut ends = [End::Naive(naive[1]), End::Naive(naive[0])];
        naive_alone = talk(&mut ends, [7000, 7777], &[b"hello"], &mut dice);
    }
    assert_eq!(naive_alone, 2_000, "without the guard it never ends");
}

#[test]
fn several_forged_datagrams_at_once_end_as_well() {
    for seed in 0..SEEDS {
        let mut dice = Dice::new(Seed(seed), "several");
        let forged: [&[u8]; 3] = [b"one", b"two", b"three"];
        let mut ends = [
            End::Ours(desk(Service::Upper, seed, &[12000]).into()),
            End::Naive(|payload| payload.to_ascii_lowercase()),
        ];
        let sent = talk(&mut ends, [12000, 7777], &forged, &mut dice);
        assert!(sent <= 60, "seed {seed}: {sent} datagrams");
    }
}

/// Our answers to `count` forged datagrams in the name of a service that writes small, after
/// `before` datagrams from there, each of its own.
fn answers_to_a_circle(seed: u64, count: usize, before: u64) -> usize {
    let mut dice = Dice::new(Seed(seed), "circle");
    let mut desk = desk(Service::Upper, seed, &[12000]);
    for nth in 0..before {
        let payload = format!("an honest question, number {nth}");
        let now = Moment::from_nanos(nth * 1_000_000_000 / before);
        assert!(says(&mut desk, now, "10.0.0.1:7777", payload.as_bytes()), "seed {seed}");
    }
    let forged: Vec<String> = (0..count).map(|nth| format!("{seed} forged {nth}")).collect();
    // Each end of the path shuffles what is on its way, more or less.
    let latency_max = 10_000 << dice.below(16);
    let began = Moment::from_nanos(1_000_000_000);
    let mut on_the_way: BTreeMap<(Moment, usize), &[u8]> = BTreeMap::new();
    for (nth, payload) in forged.iter().enumerate() {
        on_the_way
            .insert((began + Duration::from_nanos(dice.below(1_000_000)), nth), payload.as_bytes());
    }
    let mut answers = 0;
    while let Some(((now, _), payload)) = on_the_way.pop_first() {
        if says(&mut desk, now, "10.0.0.1:7777", payload) {
            answers += 1;
            assert!(answers <= 100 * count + 20_000, "seed {seed}: it does not end");
            let turn = Duration::from_nanos(20_000 + dice.below(latency_max));
            on_the_way.insert((now + turn, count + answers), payload);
        }
    }
    answers
}

#[test]
fn however_many_datagrams_go_round_they_end() {
    for (count, seeds, most) in [(1, 200, 8), (8, 200, 16 * 8), (64, 100, 16 * 64)] {
        for seed in 0..seeds {
            let answers = answers_to_a_circle(seed, count, 0);
            assert!(answers <= most, "seed {seed}: {count} forged: {answers} answers");
        }
    }
    for seed in 0..20 {
        let answers = answers_to_a_circle(seed, 512, 0);
        assert!(answers <= 16 * 512, "seed {seed}: 512 forged: {answers} answers");
    }
}

#[test]
fn a_circle_is_found_whatever_was_said_before() {
    for seed in 0..20 {
        for before in [1, 100, 5_000, 20_000] {
            let answers = answers_to_a_circle(seed, 64, before);
            // All patience for a datagram of before, and for the next.
            let most = 2 * 8_192 + 16 * 64;
            assert!(answers <= most, "seed {seed}: {before} before: {answers} answers");
        }
    }
}

#[test]
fn a_circle_in_trains_ends_as_well() {
    const LENGTH: usize = 12;
    for seed in 0..20 {
        for count in [64, 512] {
            let mut dice = Dice::new(Seed(seed), "trains");
            let mut desk = desk(Service::Upper, seed, &[12000]);
            let mut train: Vec<u8> =
                (0..count).flat_map(|n| format!("datagram {n:>3}").into_bytes()).collect();
            let (source, mut now) = (SocketAddr::from(([10, 0, 0, 9], 7777)), Moment::START);
            let mut sent = 0;
            while !train.is_empty() {
                // What comes at once is another part in every turn.
                let datagrams = train.len() / LENGTH;
                let first = usize::try_from(dice.below(datagrams as u64)).unwrap();
                train.rotate_left(first * LENGTH);
                let mut answers = Vec::new();
                let mut rest = train.as_mut_slice();
                while !rest.is_empty() {
                    now = now + Duration::from_micros(10);
                    let together = 1 + usize::try_from(dice.below(32)).unwrap();
                    let length = rest.len().min(together * LENGTH);
                    let (part, after) = rest.split_at_mut(length);
                    rest = after;
                    let mut spill = Vec::new();
                    match desk.handle_train(now, source, part, LENGTH, &mut spill) {
                        Ok(whole) => answers.extend_from_slice(whole),
                        Err(part) => {
                            for datagram in part.chunks_mut(LENGTH) {
                                let reply = desk.handle(now, source, datagram, &mut spill);
                                answers.extend_from_slice(reply.map_or(&[], |reply| reply.bytes));
                            }
                        }
                    }
                }
                train = answers.to_ascii_lowercase();
                sent += train.len() / LENGTH;
                assert!(sent <= 60 * count, "seed {seed}: {count} forged: {sent} answers");
            }
        }
    }
}

#[test]
fn who_asks_again_is_no_circle() {
    // Thousands of questions a second, some of them again after 200 ms, three times at most, and
    // "ping" between them every 50 ms.
    for seed in 0..20 {
        let mut dice = Dice::new(Seed(seed), "again");
        let mut desk = desk(Service::Upper, seed, &[12000]);
        let lost_percent = dice.below(60);
        let gap_ns = 20_000 << dice.below(5);
        let mut due = BTreeMap::new();
        let (mut number, mut asked) = (0_u64, 0_u64);
        due.insert((Moment::START, 0), (String::from("question 0"), 0));
        due.insert((Moment::START, u64::MAX), (String::from("ping"), 3));
        while let Some(((now, nth), (payload, tries))) = due.pop_first() {
            assert!(
                says(&mut desk, now, "10.0.0.9:5555", payload.as_bytes()),
                "seed {seed}: {payload:?} after {asked} at {now:?}, {lost_percent} % lost"
            );
            asked += 1;
            if nth == number && number < 40_000 {
                number += 1;
                let next = now + Duration::from_nanos(gap_ns);
                due.insert((next, number), (format!("question {number}"), 0));
            }
            if nth == u64::MAX && number < 40_000 {
                due.insert((now + Duration::from_millis(50), nth), (payload.clone(), 3));
            }
            if tries < 3 && dice.below(100) < lost_percent {
                due.insert((now + Duration::from_millis(200), nth), (payload, tries + 1));
            }
        }
    }
}

#[test]
fn a_window_that_is_sent_four_times_is_no_circle() {
    for window in [64, 512] {
        let mut desk = desk(Service::Upper, 12, &[12000]);
        for nth in 0..20_000_u64 {
            // 0 to 63 four times, then 64 to 127 four times, ...
            let question = nth / (4 * window) * window + nth % window;
            let now = Moment::from_nanos(nth * 200_000);
            let payload = format!("question {question}");
            assert!(
                says(&mut desk, now, "10.0.0.9:5555", payload.as_bytes()),
                "window {window}: {payload:?} of {nth}"
            );
        }
    }
}

/// Lets `count` datagrams go round between one of ours and a service that writes small, `together`
/// as one train or each by itself; returns how many datagrams there were, forged ones included.
fn go_round(seed: u64, count: usize, together: bool) -> usize {
    const LENGTH: usize = 12;
    let (source, mut now) = (SocketAddr::from(([10, 0, 0, 9], 7777)), Moment::START);
    let mut desk = desk(Service::Upper, seed, &[12000]);
    let mut train: Vec<u8> =
        (0..count).flat_map(|n| format!("datagram {n:>3}").into_bytes()).collect();
    let mut sent = count;
    while !train.is_empty() && sent < 2_000 {
        now = now + Duration::from_micros(200);
        let (mut spill, mut answers) = (Vec::new(), Vec::new());
        let whole =
            together.then(|| desk.handle_train(now, source, &mut train, LENGTH, &mut spill));
        if let Some(Ok(whole)) = whole {
            answers.extend_from_slice(whole);
        } else {
            for datagram in train.chunks_mut(LENGTH) {
                let reply = desk.handle(now, source, datagram, &mut spill);
                answers.extend_from_slice(reply.map_or(&[], |reply| reply.bytes));
            }
        }
        // Ours, and those of the other one.
        train = answers.to_ascii_lowercase();
        sent += 2 * train.len() / LENGTH;
    }
    sent
}

#[test]
fn datagrams_that_go_round_together_live_one_turn_longer_at_most() {
    for seed in 0..SEEDS {
        for count in [2, 3, 8] {
            let (singly, together) = (go_round(seed, count, false), go_round(seed, count, true));
            assert!(together <= singly + 2 * count, "seed {seed}: {count}: {together}, {singly}");
        }
    }
}

#[test]
fn a_train_is_answered_at_once_until_its_sender_repeats_itself() {
    let mut guard = Guard::new(Settings { seed: Seed(11) });
    let source: SocketAddr = "10.0.0.9:5555".parse().unwrap();
    let mut together = |ms: u64, told: u64| guard.handle_train(at_ms(ms), source, mix(told), told);
    assert!(together(0, 1) && together(0, 2) && together(1, 3));
    assert!(!together(2, 2), "said before");
    assert!(together(3, 4), "but not counted before each was looked at");
    let mut guard = Guard::new(Settings { seed: Seed(11) });
    assert!(guard.handle(at_ms(0), source, mix(1), 1) && guard.handle(at_ms(1), source, mix(1), 1));
    assert!(!guard.handle_train(at_ms(2), source, mix(2), 2), "under suspicion");
    assert!(!guard.handle_train(at_ms(1_000), source, mix(3), 3), "for a second");
    assert!(guard.handle_train(at_ms(1_001), source, mix(4), 4));
}

#[test]
fn our_own_ports_and_those_of_other_services_are_not_answered() {
    let mut desk = desk(Service::Upper, 1, &[12000, 12001]);
    let mut check = |port: u16, expected: Result<(), Dropped>| {
        let source = SocketAddr::from(([127, 0, 0, 1], port));
        let (mut payload, mut spill) = (b"hello".to_vec(), Vec::new());
        let reply = desk.handle(at_ms(0), source, &mut payload, &mut spill);
        assert_eq!(reply.map(|_| ()), expected, "{port}");
    };
    check(0, Err(Dropped::PortZero));
    check(7, Err(Dropped::LowPort));
    check(1023, Err(Dropped::LowPort));
    check(1024, Ok(()));
    check(12000, Err(Dropped::OwnPort));
    check(12001, Err(Dropped::OwnPort));
    check(12002, Ok(()));
}

#[test]
fn without_the_guard_only_ports_no_client_can_have_are_refused() {
    let mut desk = Desk::new(contract(Service::Upper), None, [12000]);
    let mut check = |port: u16, expected: Result<(), Dropped>| {
        let source = SocketAddr::from(([127, 0, 0, 1], port));
        for _ in 0..100 {
            let (mut payload, mut spill) = (b"HELLO".to_vec(), Vec::new());
            let reply = desk.handle(at_ms(0), source, &mut payload, &mut spill);
            assert_eq!(reply.map(|_| ()), expected, "{port}");
        }
    };
    check(0, Err(Dropped::PortZero));
    check(7, Ok(()));
    check(12000, Err(Dropped::OwnPort));
    check(40000, Ok(()));
}

#[test]
fn upper_case_from_a_client_is_answered_even_beside_a_loop() {
    for seed in 0..SEEDS {
        let mut desk = desk(Service::Upper, seed, &[12000]);
        // A sender without mercy on one port ...
        let flood = (0..5_000).filter(|&us| {
            says(&mut desk, Moment::from_nanos(us * 1_000), "127.0.0.1:7777", b"HELLO")
        });
        assert_eq!(flood.count(), 1 + usize::from(REPEATS), "seed {seed}");
        // ... and its neighbour of the same address, a few times.
        for _ in 0..5 {
            assert!(says(&mut desk, at_ms(6), "127.0.0.1:40000", b"HELLO"), "seed {seed}");
        }
    }
}

#[test]
fn many_clients_of_one_address_may_say_the_same() {
    let mut desk = desk(Service::Upper, 3, &[12000]);
    for port in 20_000..30_000 {
        assert!(says(&mut desk, at_ms(0), &format!("10.1.1.1:{port}"), b"hello"), "{port}");
    }
}

#[test]
fn numbered_datagrams_are_never_muted_at_any_rate() {
    for seed in 0..20 {
        let mut desk = desk(Service::Upper, seed, &[12000]);
        let mut dice = Dice::new(Seed(seed), "numbered");
        let gap_max = 1 << dice.below(24);
        let mut now = Moment::START;
        for number in 0..20_000 {
            now = now + Duration::from_nanos(dice.below(gap_max));
            let payload = format!("{number} sings of arms and the man");
            assert!(says(&mut desk, now, "10.0.0.9:5555", payload.as_bytes()), "seed {seed}");
            // The same source, misbehaving on another port, does not harm it.
            says(&mut desk, now, "10.0.0.9:6666", b"HELLO");
        }
    }
}

#[test]
fn unchanged_answers_have_a_burst_of_20_then_10_a_second() {
    let mut desk = desk(Service::Echo, 4, &[12000]);
    let mut answered = |now: Moment, count: u32| {
        let payloads = (0..count).map(|n| format!("{} {n}", now.as_nanos()));
        let heard = payloads.filter(|text| says(&mut desk, now, "10.0.0.9:5555", text.as_bytes()));
        heard.count()
    };
    assert_eq!(answered(at_ms(0), 21), 20);
    assert_eq!(answered(at_ms(99), 1), 0);
    assert_eq!(answered(at_ms(1_000), 11), 10);
    assert_eq!(answered(at_ms(60_000), 30), 20, "all is forgiven");
}

/// When, in steps of 10 ms, a source that never stops is answered.
fn answered_at(desk: &mut Desk, seconds: u64, payload: impl Fn(u64) -> Vec<u8>) -> Vec<u64> {
    let times = (0..seconds * 1_000).step_by(10);
    times.filter(|&ms| says(desk, at_ms(ms), "[2001:db8::1]:5555", &payload(ms))).collect()
}

#[test]
fn mutes_end_and_the_next_is_twice_as_long() {
    let silences = |answers: Vec<u64>| -> Vec<u64> {
        let gaps = answers.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000);
        gaps.filter(|&seconds| seconds > 0).collect()
    };
    let repeating = answered_at(&mut desk(Service::Upper, 5, &[1]), 400, |_| b"HELLO".to_vec());
    assert_eq!(silences(repeating), [1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 64]);
    let changing = |ms: u64| format!("{ms}").into_bytes();
    let changing = answered_at(&mut desk(Service::Upper, 5, &[1]), 400, changing);
    assert_eq!(silences(changing), [1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 64]);
}

#[test]
fn a_mute_is_forgotten_after_as_long_again() {
    let mut mute = Mute::default();
    assert!(!mute.is_on(at_ms(0)) && !mute.is_remembered(at_ms(0)));
    mute.strike(at_ms(0));
    assert!(mute.is_on(at_ms(999)) && !mute.is_on(at_ms(1_000)));
    mute.strike(at_ms(1_999));
    assert!(mute.is_on(at_ms(3_998)) && !mute.is_on(at_ms(3_999)));
    mute.strike(at_ms(5_999));
    assert!(!mute.is_on(at_ms(6_999)), "the first length again");
}

#[test]
fn a_network_of_ipv6_is_one_source_and_its_neighbour_another() {
    let mut desk = desk(Service::Upper, 6, &[12000]);
    let heard = (0..1_000).filter(|n| {
        let source = format!("[2001:db8:1:1::{n:x}]:5555");
        says(&mut desk, at_ms(0), &source, format!("HELLO {n}").as_bytes())
    });
    assert_eq!(heard.count(), 20);
    assert!(says(&mut desk, at_ms(0), "[2001:db8:1:2::1]:5555", b"HELLO"));
    // One IPv4 address, in either notation, and not all of ::/64.
    let heard = (0..50).filter(|n| {
        let mapped = if n % 2 == 0 { "[::ffff:10.0.0.1]:5555" } else { "10.0.0.1:5555" };
        says(&mut desk, at_ms(0), mapped, format!("HELLO {n}").as_bytes())
    });
    assert_eq!(heard.count(), 20);
    assert!(says(&mut desk, at_ms(0), "[::ffff:10.0.0.2]:5555", b"HELLO"));
}

#[test]
fn a_flood_of_forged_sources_neither_grows_memory_nor_unmutes_a_loop() {
    for seed in 0..10 {
        let mut guard = Guard::new(Settings { seed: Seed(seed) });
        let bytes = guard.buckets.bytes() + guard.flows.bytes() + guard.known.bytes();
        assert!(bytes < 640 << 10, "{bytes} bytes");
        let mut dice = Dice::new(Seed(seed), "flood");
        let hello = fingerprint(b"HELLO");
        let looping = "192.0.2.1:7777".parse().unwrap();
        let changing = |port: u16| SocketAddr::from(([192, 0, 2, 2], port));
        // One source muted for what it repeats, one for what it says unchanged from many ports.
        let heard = (0..100).filter(|_| guard.handle(at_ms(0), looping, hello, hello));
        assert_eq!(heard.count(), 1 + usize::from(REPEATS));
        let heard = (0..100).filter(|n| guard.handle(at_ms(0), changing(5000 + n), hello, hello));
        assert_eq!(heard.count(), 20);
        let client = "198.51.100.1:5555".parse().unwrap();
        for nth in 0..100_000_u64 {
            let now = Moment::from_nanos(nth * 9_900);
            let host = u32::try_from(dice.bits() >> 32).unwrap();
            guard.handle(now, SocketAddr::from((host.to_be_bytes(), 5555)), hello, hello);
            // Those whose datagrams change are served all the while.
            assert!(guard.handle(now, client, mix(nth), !mix(nth)), "seed {seed}");
        }
        assert!(!guard.handle(at_ms(995), looping, hello, hello), "seed {seed}");
        assert!(!guard.handle(at_ms(995), changing(6000), hello, hello), "seed {seed}");
        assert_eq!(bytes, guard.buckets.bytes() + guard.flows.bytes() + guard.known.bytes());
    }
}

#[test]
fn newcomers_to_a_full_table_share_a_ration() {
    let mut guard = Guard::new(Settings { seed: Seed(9) });
    let hello = fingerprint(b"HELLO");
    // In one instant, so that nothing is forgiven: 100 datagrams of each of 20,000 sources.
    let sources = (0..20_000_u32).map(|n| SocketAddr::from(((n << 8).to_be_bytes(), 5555)));
    let heard = sources
        .map(|source| (0..100).filter(|_| guard.handle(at_ms(1), source, hello, hello)).count());
    let heard: Vec<usize> = heard.collect();
    assert!(heard.iter().all(|&heard| heard <= 1 + usize::from(REPEATS)));
    let places = BUCKETS + BUCKETS / 4 + FLOWS + FLOWS / 4;
    assert!(heard.iter().sum::<usize>() <= places * 20, "memory bounds what is answered");
    assert_eq!(heard.last(), Some(&0));
}

#[test]
fn fingerprints_tell_payloads_apart() {
    let mut seen = BTreeMap::new();
    for len in 0..100_usize {
        for at in 0..len.max(1) {
            let mut payload = vec![b'a'; len];
            if let Some(byte) = payload.get_mut(at) {
                *byte = b'b';
            }
            let clash = seen.insert(tag(fingerprint(&payload)), payload.clone());
            assert!(clash.is_none(), "{clash:?} and {payload:?}");
        }
    }
}
