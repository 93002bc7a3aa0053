//! Lanes against services in virtual time: what was injected is what is reported.

mod network;

use network::{Arrivals, Network, Reaction, reply};
use proptest::prelude::*;

use super::*;
use crate::casing::Case;
use crate::load::{Framing, Limit, Pace, Payload, Source, Verify};
use crate::seed::{Dice, Seed};

const MS: Duration = Duration::from_millis(1);

fn at(ms: u64) -> Moment {
    Moment::START + Duration::from_millis(ms)
}

/// 1,000 requests of 32 letters, 1,000 a second, upper-cased, as lines.
fn plan(seed: u64, framing: Framing, depth: usize) -> Plan {
    let verify = Verify::Upper(Case::Unicode);
    let source = Source::Letters(32);
    Plan {
        pace: Pace::Constant(1000.0),
        limit: Limit { count: Some(1000), until: None },
        start: at(10),
        warmup: Duration::ZERO,
        payload: Payload::new(&source, &framing, &verify, depth, Seed(seed)).unwrap(),
        framing,
        depth,
        timeout: 100 * MS,
        reconnect_every: None,
        reply_max: 1024,
        seed: Seed(seed),
    }
}

fn near(time: Option<Duration>, ms: u64) {
    let time = time.unwrap();
    let (low, high) = (Duration::from_millis(ms - 10), Duration::from_millis(ms + 10));
    assert!((low..=high).contains(&time), "{time:?}, not {ms} ms");
}

#[test]
fn a_stalling_service_has_the_percentiles_of_arithmetic() {
    // A quarter of the requests waits, evenly between nothing and a second: more than x seconds
    // wait (1 - x) / 4 of all, which is a tenth at 0.6 s and a hundredth at 0.96 s.
    for framing in [Framing::Line, Framing::Datagram] {
        for (lanes, depth) in [(1, 1), (4, 1), (4, 64), (1, 256)] {
            let mut plan = plan(1, framing.clone(), depth);
            plan.pace = Pace::Constant(200.0);
            plan.limit = Limit { count: None, until: Some(at(10 + 40_000)) };
            plan.timeout = 3000 * MS;
            let tally = Network::new(plan, lanes).run(|now, request, answers| {
                let in_stall = now.as_nanos() % 4_000_000_000;
                let stalled = Duration::from_nanos(1_000_000_000_u64.saturating_sub(in_stall));
                let delay = stalled + Duration::from_micros(20);
                answers.push((delay, Reaction::Bytes(reply(request))));
            });
            assert_eq!((tally.counts.sent, tally.counts.verified, tally.unsent), (8000, 8000, 0));
            near(tally.latency.percentile(90.0), 600);
            near(tally.latency.percentile(99.0), 960);
            // It was the service that did not keep up, and not we.
            assert_eq!(tally.lateness.max(), Some(Duration::from_nanos(1)));
            assert_eq!(tally.waited > 1000, depth == 1, "{}", tally.waited);
        }
    }
}

#[test]
fn the_closed_loop_hides_the_stall() {
    let mut plan = plan(1, Framing::Line, 1);
    plan.pace = Pace::Max;
    plan.limit = Limit { count: None, until: Some(at(10 + 8_000)) };
    plan.timeout = 3000 * MS;
    let tally = Network::new(plan, 1).run(|now, request, answers| {
        let in_stall = now.as_nanos() % 4_000_000_000;
        let stalled = Duration::from_nanos(1_000_000_000_u64.saturating_sub(in_stall));
        answers.push((stalled + MS, Reaction::Bytes(reply(request))));
    });
    assert!(tally.latency.percentile(99.0).unwrap() < 2 * MS);
    assert!(tally.counts.sent > 5000 && tally.lateness.is_empty());
}

#[test]
fn faults_of_datagrams_are_reported_exactly_as_injected() {
    for seed in 0..60 {
        let plan = plan(seed, Framing::Datagram, 64);
        let mut dice = Dice::new(Seed(seed), "service");
        let (mut lost, mut wrong, mut late, mut doubled) = (0, 0, 0, 0);
        let mut network = Network::new(plan, 1);
        network.arrivals = Some(Arrivals::default());
        let tally = network.run_through(|_, request, answers| {
            let mut right = reply(request);
            let mut delay = Duration::from_micros(50 + dice.below(100));
            match dice.below(100) {
                0..=2 => {
                    lost += 1;
                    return;
                }
                3..=5 => {
                    doubled += 1;
                    answers.push((delay + MS * 2, Reaction::Duplicate(right.clone())));
                }
                6..=8 => {
                    wrong += 1;
                    let place = usize::try_from(dice.below(32)).unwrap();
                    right[place] ^= 1 << dice.below(8);
                }
                9..=10 => {
                    late += 1;
                    delay += 120 * MS;
                }
                11..=15 => delay += 5 * MS,
                _ => {}
            }
            answers.push((delay, Reaction::Bytes(right)));
        });
        let counts = tally.counts;
        assert_eq!(
            (counts.lost, counts.wrong, counts.late, tally.duplicates),
            (lost, wrong, late, doubled),
            "seed {seed}"
        );
        assert_eq!(counts.verified, 1000 - lost - wrong - late, "seed {seed}");
        let reordered = network.arrivals.as_ref().unwrap().reordered;
        assert_eq!((tally.reordered, tally.unasked, tally.guessed), (reordered, 0, 0), "{seed}");
        assert!(reordered > 0 && lost > 0 && wrong > 0 && late > 0 && doubled > 0, "{seed}");
    }
}

#[test]
fn faults_of_streams_are_reported_exactly_as_injected() {
    for seed in 0..60 {
        let framing = match seed % 3 {
            0 => Framing::Line,
            1 => Framing::Length16,
            _ => Framing::Length32,
        };
        let mut plan = plan(seed, framing, 1);
        if seed % 2 == 1 {
            plan.pace = Pace::Max;
        }
        let mut dice = Dice::new(Seed(seed), "service");
        let (mut cut, mut closed, mut reset, mut wrong, mut late, mut silent) = (0, 0, 0, 0, 0, 0);
        let mut network = Network::new(plan, 1 + seed % 3);
        network.refuse_percent = seed % 8;
        let tally = network.run(|_, request, answers| {
            let mut right = reply(request);
            let mut delay = Duration::from_micros(50 + dice.below(400));
            match dice.below(100) {
                0 => {
                    cut += 1;
                    right.truncate(1);
                    answers.push((delay, Reaction::Bytes(right)));
                    answers.push((delay, Reaction::Closed));
                    return;
                }
                1 => {
                    closed += 1;
                    answers.push((delay, Reaction::Closed));
                    return;
                }
                2 => {
                    reset += 1;
                    answers.push((delay, Reaction::Reset));
                    return;
                }
                3 => {
                    wrong += 1;
                    right[7] ^= 0x20;
                }
                4 => {
                    late += 1;
                    delay += 120 * MS;
                }
                5 => {
                    silent += 1;
                    return;
                }
                _ => {}
            }
            // In as many pieces as luck wills.
            let mut rest = right.as_slice();
            while !rest.is_empty() {
                let more = usize::try_from(dice.below(rest.len() as u64)).unwrap();
                let (piece, after) = rest.split_at(1 + more);
                answers.push((delay, Reaction::Bytes(piece.to_vec())));
                rest = after;
            }
        });
        let failure = |failure: Failure| {
            tally.failures[Failure::ALL.iter().position(|one| *one == failure).unwrap()]
        };
        assert_eq!(
            (failure(Failure::Cut), failure(Failure::Closed), failure(Failure::Reset)),
            (cut, closed, reset),
            "seed {seed}"
        );
        let counts = tally.counts;
        assert_eq!((counts.wrong, counts.late, counts.lost), (wrong, late, silent), "seed {seed}");
        assert_eq!((counts.sent, tally.unsent, tally.unasked), (1000, 0, 0), "seed {seed}");
        assert_eq!(tally.connections.lost, cut + closed + reset, "seed {seed}");
    }
}

#[test]
fn what_is_under_way_when_a_deep_connection_fails_is_an_error() {
    let mut plan = plan(1, Framing::Line, 16);
    plan.pace = Pace::Max;
    let mut seen = 0;
    let tally = Network::new(plan, 1).run(|_, request, answers| {
        seen += 1;
        if seen % 100 == 0 {
            answers.push((MS, Reaction::Reset));
        } else {
            answers.push((MS, Reaction::Bytes(reply(request))));
        }
    });
    assert_eq!((tally.counts.sent, tally.connections.opened), (1000, 10));
    assert!(tally.counts.error >= 10 && tally.counts.error <= 160, "{:?}", tally.counts);
}

#[test]
fn a_silent_stream_is_given_up_and_its_younger_requests_are_abandoned() {
    let mut plan = plan(1, Framing::Line, 4);
    plan.limit.count = Some(8);
    let tally = Network::new(plan, 1).run(|_, _, _| {});
    let counts = tally.counts;
    // All of a connection are sent within 4 ms, so all have timed out when it is given up.
    assert_eq!((counts.sent, counts.lost, counts.error), (8, 8, 0));
    assert_eq!((tally.connections.opened, tally.connections.lost), (2, 0));
}

#[test]
fn warm_up_is_verified_and_counted_apart() {
    let mut plan = plan(1, Framing::Line, 4);
    plan.warmup = 300 * MS;
    let mut seen = 0;
    let tally = Network::new(plan, 1).run(|_, request, answers| {
        let mut right = reply(request);
        seen += 1;
        if seen == 7 {
            right[0] = b'?';
        }
        answers.push((MS, Reaction::Bytes(right)));
    });
    assert_eq!((tally.warmup.sent, tally.warmup.wrong, tally.warmup.verified), (300, 1, 299));
    assert_eq!((tally.counts.sent, tally.counts.verified, tally.latency.len()), (700, 700, 700));
}

#[test]
fn connections_are_renewed_in_order() {
    let mut plan = plan(1, Framing::Line, 4);
    plan.reconnect_every = Some(50);
    plan.pace = Pace::Max;
    let tally = Network::new(plan, 1)
        .run(|_, request, answers| answers.push((MS, Reaction::Bytes(reply(request)))));
    assert_eq!((tally.counts.verified, tally.connections.opened), (1000, 20));
    assert_eq!((tally.connections.lost, tally.connect.len()), (0, 20));
}

#[test]
fn where_nobody_listens_everything_is_unsent() {
    for pace in [Pace::Max, Pace::Constant(1000.0), Pace::Poisson(500.0)] {
        let mut plan = plan(1, Framing::Line, 4);
        plan.pace = pace;
        let mut network = Network::new(plan.clone(), 3);
        network.refuse_percent = 100;
        let tally = network.run(|_, _, _| unreachable!());
        assert_eq!((tally.counts.sent, tally.unsent), (0, 1000), "{pace:?}");
        assert!(tally.connections.refused >= 3 && tally.connections.opened == 0);

        plan.limit = Limit { count: None, until: Some(at(510)) };
        let mut network = Network::new(plan, 1);
        network.refuse_percent = 100;
        let tally = network.run(|_, _, _| unreachable!());
        assert_eq!(tally.counts.sent, 0);
        assert_eq!(tally.unsent > 100, pace != Pace::Max, "{pace:?}: {}", tally.unsent);
    }
}

#[test]
fn an_overloaded_service_leaves_requests_unsent_and_it_is_told() {
    let mut plan = plan(1, Framing::Line, 1);
    plan.limit = Limit { count: None, until: Some(at(1010)) };
    let tally = Network::new(plan, 1)
        .run(|_, request, answers| answers.push((9 * MS, Reaction::Bytes(reply(request)))));
    assert_eq!(tally.offered(), 1000);
    assert!(tally.unsent > 800 && tally.waited > 80, "{} {}", tally.unsent, tally.waited);
    assert!(tally.latency.max().unwrap() > 500 * MS);
}

#[test]
fn endless_and_unasked_replies_do_not_hang() {
    let mut plan = plan(1, Framing::Line, 2);
    plan.limit.count = Some(20);
    let tally = Network::new(plan.clone(), 1)
        .run(|_, _, answers| answers.push((MS, Reaction::Bytes(vec![b'A'; 5000]))));
    assert_eq!(tally.counts.sent, tally.counts.wrong + tally.counts.error);
    assert_eq!(tally.offered(), 20, "it gives up, and says what it left");
    assert!(tally.counts.wrong >= 3, "{:?}", tally.counts);

    let tally = Network::new(plan, 1).run(|_, request, answers| {
        let right = reply(request);
        answers
            .push((Duration::from_micros(100), Reaction::Bytes([right, b"X\n".to_vec()].concat())));
    });
    assert_eq!((tally.counts.verified, tally.unasked), (20, 20));
}

#[test]
fn refused_datagrams_are_errors_and_the_socket_stays() {
    let mut plan = plan(1, Framing::Datagram, 8);
    plan.limit.count = Some(50);
    let tally =
        Network::new(plan, 1).run(|_, _, answers| answers.push((MS / 10, Reaction::IcmpRefused)));
    assert_eq!((tally.counts.sent, tally.counts.error, tally.connections.opened), (50, 50, 1));
}

#[test]
fn datagrams_without_a_number_are_matched_by_guess_and_it_is_told() {
    let mut plan = plan(1, Framing::Datagram, 8);
    let source = Source::Fixed(b"hello".to_vec());
    let verify = Verify::Upper(Case::Unicode);
    plan.payload = Payload::new(&source, &Framing::Datagram, &verify, 8, Seed(1)).unwrap();
    let mut seen = 0;
    let tally = Network::new(plan, 1).run(|_, request, answers| {
        seen += 1;
        if seen != 500 {
            answers.push((MS / 2, Reaction::Bytes(reply(request))));
        }
    });
    assert_eq!((tally.counts.verified, tally.counts.lost, tally.guessed), (999, 1, 999));
}

#[test]
fn stop_waits_for_what_is_owed_and_abort_does_not() {
    for (input, verified, error) in [(Input::Stop, 1, 0), (Input::Abort, 0, 1)] {
        let (mut tally, mut out) = (Tally::new(), Vec::new());
        let mut lane = Lane::new(Arc::new(plan(1, Framing::Line, 1)), Share::WHOLE);
        assert_eq!(lane.poll(at(0), &mut out, &mut tally), Output::Connect);
        lane.handle(at(1), Input::Connected, &mut tally);
        assert_eq!(lane.poll(at(1), &mut out, &mut tally), Output::Wait(at(10)));
        assert_eq!(lane.poll(at(10), &mut out, &mut tally), Output::Send);
        lane.handle(at(13), input, &mut tally);
        assert_eq!(tally.unsent, 3, "{input:?}: those of 11, 12 and 13 ms");
        lane.handle(at(14), Input::Received(&out.to_ascii_uppercase()), &mut tally);
        assert_eq!(lane.poll(at(14), &mut out, &mut tally), Output::Close);
        assert_eq!(lane.poll(at(14), &mut out, &mut tally), Output::Done);
        assert_eq!((tally.counts.verified, tally.counts.error), (verified, error));
        assert!(tally.adds_up(0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever happens, in whatever order, the numbers add up and the lane comes to its end.
    #[test]
    fn the_numbers_add_up_whatever_happens(
        seed in any::<u64>(),
        is_datagram in any::<bool>(),
        depth in 1_usize..20,
        steps in proptest::collection::vec((0_u64..40, 0_u8..12), 0..200),
    ) {
        let framing = if is_datagram { Framing::Datagram } else { Framing::Line };
        let mut lane = Lane::new(Arc::new(plan(seed, framing, depth)), Share { index: 1, of: 3 });
        let (mut tally, mut out, mut owed) = (Tally::new(), Vec::new(), VecDeque::new());
        let mut now = Moment::START;
        for (ms, what) in steps {
            now = now + Duration::from_millis(ms);
            let first: Vec<u8> = owed.front().cloned().unwrap_or_default();
            match what {
                0..=2 => lane.handle(now, Input::Connected, &mut tally),
                3 => lane.handle(now, Input::Refused, &mut tally),
                4 => lane.handle(now, Input::Closed, &mut tally),
                5 => lane.handle(now, Input::Failed(Failure::Reset), &mut tally),
                6 => lane.handle(now, Input::Failed(Failure::Refused), &mut tally),
                7 => lane.handle(now, Input::Received(b"?\n"), &mut tally),
                8 => lane.handle(now, Input::Received(first.get(..3).unwrap_or(&first)), &mut tally),
                _ => {
                    owed.pop_front();
                    lane.handle(now, Input::Received(&first), &mut tally);
                }
            }
            prop_assert!(tally.adds_up(lane.under_way()));
            for _ in 0..100 {
                out.clear();
                match lane.poll(now, &mut out, &mut tally) {
                    Output::Send => owed.push_back(out.to_ascii_uppercase()),
                    Output::Close => owed.clear(),
                    Output::Connect => {}
                    Output::Wait(_) | Output::Done => break,
                }
            }
            prop_assert!(tally.adds_up(lane.under_way()));
        }
        lane.handle(now, Input::Abort, &mut tally);
        let mut left = 10;
        while lane.poll(now, &mut out, &mut tally) != Output::Done {
            left -= 1;
            prop_assert!(left > 0);
        }
        prop_assert!(tally.adds_up(0) && lane.under_way() == 0);
        prop_assert_eq!(tally.latency.len(), tally.counts.verified + tally.counts.late);
    }
}
