//! Conversations fed as a driver would, in every segmentation.

use super::*;
use proptest::prelude::*;

fn session(service: Service) -> Session {
    Session::new(Contract { service, case: Case::Unicode })
}

/// Feeds `reads` as a driver would, then the FIN. Returns all answers and whether the service
/// closed before it.
fn converse(mut session: Session, reads: &[Vec<u8>]) -> (Vec<u8>, bool) {
    let (mut answers, mut spill) = (Vec::new(), Vec::new());
    for read in reads {
        let mut read = read.clone();
        let mut rest = read.as_mut_slice();
        while !rest.is_empty() {
            let answer = session.feed(rest, &mut spill);
            answers.extend_from_slice(answer.bytes);
            if answer.then == Then::Close {
                assert_eq!(session.feed(&mut [1], &mut spill).taken, 0);
                return (answers, true);
            }
            assert!(answer.taken > 0, "a driver would spin");
            let taken = answer.taken;
            rest = &mut rest[taken..];
        }
    }
    answers.extend_from_slice(session.finish());
    (answers, false)
}

#[test]
fn each_service_keeps_its_contract() {
    let check = |service: Service, reads: &[&str], expected: (&str, bool)| {
        let reads: Vec<Vec<u8>> = reads.iter().map(|read| read.as_bytes().to_vec()).collect();
        let (answers, closed) = converse(session(service), &reads);
        let answers = String::from_utf8(answers).unwrap();
        assert_eq!((answers.as_str(), closed), expected, "{service} {reads:?}");
    };
    check(Service::Upper, &["hello, ", "world 1"], ("HELLO, WORLD 1", false));
    check(Service::Upper, &[], ("", false));
    check(Service::Sentence, &["hello", "lost"], ("HELLO", true));
    check(Service::Sentence, &[], ("", false));
    check(Service::Half, &["hello", "lost"], ("he", true));
    check(Service::Half, &["h"], ("", true));
    check(Service::Echo, &["hello", " you"], ("hello you", false));
    check(Service::Discard, &["hello", " you"], ("", false));
}

#[test]
fn one_read_is_at_most_1024_bytes() {
    for service in Service::ALL {
        let expected = match service {
            Service::Sentence | Service::Half => Some(1024),
            Service::Upper | Service::Echo | Service::Discard => None,
        };
        assert_eq!(session(service).read_max(), expected, "{service}");
    }
    let long = [vec![b'a'; 3000]];
    assert_eq!(converse(session(Service::Sentence), &long), (vec![b'A'; 1024], true));
    assert_eq!(converse(session(Service::Half), &long), (vec![b'a'; 512], true));
}

fn cut(text: &[u8], mut places: Vec<usize>) -> Vec<Vec<u8>> {
    places.iter_mut().for_each(|place| *place %= text.len() + 1);
    places.extend([0, text.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| text[pair[0]..pair[1]].to_vec()).collect()
}

proptest! {
    #[test]
    fn streams_do_not_depend_on_their_segments(
        text in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "[a-zßŉΐжდ漢😀 ]{0,60}".prop_map(String::into_bytes),
        ],
        places in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        for service in [Service::Upper, Service::Echo, Service::Discard] {
            let whole = converse(session(service), std::slice::from_ref(&text));
            prop_assert_eq!(converse(session(service), &cut(&text, places.clone())), whole);
        }
        let (echoed, _) = converse(session(Service::Echo), &cut(&text, places));
        prop_assert_eq!(echoed, text);
    }

    #[test]
    fn ascii_becomes_what_the_standard_library_says(text in "[ -~]{0,200}") {
        for service in [Service::Upper, Service::Sentence] {
            let (answers, _) = converse(session(service), &[text.clone().into_bytes()]);
            prop_assert_eq!(String::from_utf8(answers), Ok(text.to_uppercase()));
        }
    }

    #[test]
    fn half_is_the_first_half_of_the_first_read(
        read in proptest::collection::vec(any::<u8>(), 1..2000),
    ) {
        let taken = read.len().min(1024);
        let (answers, closed) = converse(session(Service::Half), &[read.clone(), read.clone()]);
        prop_assert_eq!(&answers, &read[..taken / 2]);
        prop_assert!(closed);
    }
}
