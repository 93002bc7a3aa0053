//! One datagram at a time, in every size and for every service.

use super::*;
use crate::casing::Case;
use crate::seed::Seed;
use crate::service::counters::Counters;
use proptest::prelude::*;

/// The answer of `service` to one datagram: its bytes and whether it was cut, or why not.
fn answer(service: Service, case: Case, payload: &[u8]) -> Result<(Vec<u8>, bool), Dropped> {
    let (mut payload, mut spill) = (payload.to_vec(), vec![1, 2, 3]);
    let source = SocketAddr::from(([127, 0, 0, 1], 40_000));
    let mut desk = Desk::new(Contract { service, case }, None, [12000]);
    let reply = desk.handle(Moment::START, source, &mut payload, &mut spill)?;
    Ok((reply.bytes.to_vec(), reply.cut))
}

#[test]
fn each_service_answers_one_datagram() {
    let check = |service: Service, payload: &str, expected: Result<&str, Dropped>| {
        let answer = answer(service, Case::Unicode, payload.as_bytes());
        let expected = expected.map(|text| (text.as_bytes().to_vec(), false));
        assert_eq!(answer, expected, "{service} {payload:?}");
    };
    check(Service::Upper, "hello", Ok("HELLO"));
    check(Service::Sentence, "hello", Ok("HELLO"));
    check(Service::Half, "hello", Ok("he"));
    check(Service::Echo, "hello", Ok("hello"));
    check(Service::Discard, "hello", Err(Dropped::Discarded));
    for service in [Service::Upper, Service::Sentence, Service::Half, Service::Echo] {
        check(service, "", Ok(""));
    }
}

#[test]
fn every_size_up_to_the_largest_is_taken_and_a_cut_is_said() {
    let check = |service: Service, len: usize, expected: Result<(usize, bool), Dropped>| {
        let answer = answer(service, Case::Unicode, &vec![b'a'; len]);
        assert_eq!(answer.map(|(bytes, cut)| (bytes.len(), cut)), expected, "{service} {len}");
    };
    check(Service::Upper, 65_507, Ok((65_507, false)));
    check(Service::Upper, 65_508, Err(Dropped::TooLarge));
    check(Service::Echo, 65_507, Ok((65_507, false)));
    check(Service::Half, 65_507, Ok((32_753, false)));
    check(Service::Sentence, 2048, Ok((2048, false)));
    check(Service::Sentence, 2049, Ok((2048, true)));
    check(Service::Sentence, 65_507, Ok((2048, true)));
}

#[test]
fn an_answer_that_outgrew_a_datagram_is_dropped_whole() {
    for count in [1, 10_917, 10_918, 10_919, 32_753] {
        let text = "\u{390}".repeat(count).into_bytes();
        // What a stream answers to the same bytes.
        let mut session = crate::service::Session::new(Contract::default());
        let (mut input, mut spill, mut streamed) = (text.clone(), Vec::new(), Vec::new());
        let mut rest = input.as_mut_slice();
        while !rest.is_empty() {
            let answer = session.feed(rest, &mut spill);
            streamed.extend_from_slice(answer.bytes);
            let taken = answer.taken;
            rest = &mut rest[taken..];
        }
        let fits = streamed.len() <= PAYLOAD_MAX;
        let expected = if fits { Ok((streamed, false)) } else { Err(Dropped::TooLarge) };
        assert_eq!(answer(Service::Upper, Case::Unicode, &text), expected, "{count}");
    }
}

#[test]
fn counters_tell_each_reason() {
    let mut counters = Counters::default();
    for (index, reason) in Dropped::ALL.into_iter().enumerate() {
        counters.dropped(10, reason);
        assert_eq!(reason as usize, index, "{}", reason.name());
    }
    assert_eq!(counters.dropped, [1; Dropped::ALL.len()]);
}

proptest! {
    #[test]
    fn an_answer_has_at_most_three_bytes_for_one_and_in_ascii_exactly_one(
        payload in proptest::collection::vec(any::<u8>(), 0..3000),
        text in "[a-zßŉΐΰżж ]{0,300}",
    ) {
        for told in [&payload[..], text.as_bytes()] {
            let (unicode, _) = answer(Service::Upper, Case::Unicode, told).unwrap();
            prop_assert!(unicode.len() <= 3 * told.len());
            let (ascii, _) = answer(Service::Upper, Case::Ascii, told).unwrap();
            prop_assert_eq!(ascii, told.to_ascii_uppercase());
        }
    }

    #[test]
    fn half_of_a_datagram_is_its_first_half(payload in "\\PC{0,300}") {
        let payload = payload.as_bytes();
        let (half, _) = answer(Service::Half, Case::Unicode, payload).unwrap();
        prop_assert_eq!(&half[..], &payload[..payload.len() / 2]);
    }

    #[test]
    fn every_datagram_is_a_reply_or_a_drop(
        told in proptest::collection::vec(("[a-zA-Z]{0,3}", any::<u16>(), 0..2_000_u64), 0..60),
        service in 0..Service::ALL.len(),
    ) {
        let contract = Contract { service: Service::ALL[service], case: Case::Unicode };
        let guard = guard::Settings { seed: Seed(1) };
        let mut desk = Desk::new(contract, Some(guard), [500]);
        let (mut counters, mut spill) = (Counters::default(), Vec::new());
        let (mut now, mut count) = (Moment::START, 0);
        for (text, port, wait_us) in told {
            now = now + std::time::Duration::from_micros(wait_us);
            let source = SocketAddr::from(([10, 0, 0, 1], port % 1100));
            let mut payload = text.into_bytes();
            match desk.handle(now, source, &mut payload, &mut spill) {
                Ok(reply) => counters.replied(3, reply.bytes.len(), reply.cut),
                Err(reason) => counters.dropped(3, reason),
            }
            count += 1;
        }
        prop_assert_eq!(counters.datagrams_in, count);
        prop_assert_eq!(counters.check(), Ok(()));
    }
}

/// A desk with a guard, and what becomes of a train there.
fn whole(contract: Contract, source: SocketAddr, train: &[u8], stride: usize) -> Option<Vec<u8>> {
    let guard = guard::Settings { seed: Seed(1) };
    let mut desk = Desk::new(contract, Some(guard), [12000]);
    let (mut bytes, mut spill) = (train.to_vec(), Vec::new());
    match desk.handle_train(Moment::START, source, &mut bytes, stride, &mut spill) {
        Ok(answer) => Some(answer.to_vec()),
        Err(bytes) => {
            assert_eq!(bytes, train, "what is not answered is as it came");
            None
        }
    }
}

#[test]
fn a_train_is_answered_at_once_only_where_each_of_it_would_be() {
    let client = SocketAddr::from(([127, 0, 0, 1], 40_000));
    let check = |service, case, source, train: &str, stride, expected: Option<&str>| {
        let answer = whole(Contract { service, case }, source, train.as_bytes(), stride);
        assert_eq!(answer.as_deref(), expected.map(str::as_bytes), "{service} {train:?} {stride}");
    };
    let upper = |train, stride, expected| {
        check(Service::Upper, Case::Unicode, client, train, stride, expected);
    };
    upper("onetwosix", 3, Some("ONETWOSIX"));
    upper("one, two, x", 5, Some("ONE, TWO, X"));
    // One alone; one that is its own answer; one that is not ASCII.
    upper("one", 3, None);
    upper("one", 0, None);
    upper("oneTWOsix", 3, None);
    upper("onetwo\u{df}x", 3, None);
    check(Service::Upper, Case::Ascii, client, "onetwo\u{df}x", 3, Some("ONETWO\u{df}X"));
    for service in [Service::Sentence, Service::Half, Service::Echo, Service::Discard] {
        check(service, Case::Unicode, client, "onetwosix", 3, None);
    }
    for port in [0, 7, 12000] {
        let source = SocketAddr::from(([127, 0, 0, 1], port));
        check(Service::Upper, Case::Unicode, source, "onetwosix", 3, None);
    }
}

proptest! {
    #[test]
    fn a_train_has_the_answers_of_its_datagrams(
        train in "[a-zA-Z ]{0,400}|(\\PC){0,100}",
        stride in 1..60_usize,
        case in prop_oneof![Just(Case::Unicode), Just(Case::Ascii)],
    ) {
        let contract = Contract { service: Service::Upper, case };
        let source = SocketAddr::from(([127, 0, 0, 1], 40_000));
        if let Some(together) = whole(contract, source, train.as_bytes(), stride) {
            let each = train.as_bytes().chunks(stride);
            let each = each.map(|datagram| answer(Service::Upper, case, datagram).unwrap().0);
            prop_assert_eq!(together, each.collect::<Vec<_>>().concat());
        }
    }
}
