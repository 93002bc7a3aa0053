//! The ring: numbers, timeouts and places that are needed again.

use super::*;

fn request(ring: &mut Ring, ms: u64) -> Request {
    let moment = Moment::START + Duration::from_millis(ms);
    Request { number: ring.next_number(), intended: moment, sent: moment, warm: false }
}

fn push(ring: &mut Ring, ms: u64) -> (u64, Option<u64>) {
    let request = request(ring, ms);
    (request.number, ring.push(request).map(|lost| lost.number))
}

#[test]
fn replies_settle_by_number_and_duplicates_are_known() {
    let mut ring = Ring::new(4);
    (0..4).for_each(|ms| assert_eq!(push(&mut ring, ms), (ms, None)));
    assert_eq!((ring.waiting(), ring.open(), ring.newest()), (4, 4, 3));
    assert!(!ring.answer(1) && ring.answer(0) && !ring.answer(3));
    assert!(matches!(ring.find(1), Found::Answered(_)));
    assert!(matches!(ring.find(2), Found::Open(_)));
    assert_eq!(ring.find(4), Found::Unknown);
    assert_eq!((ring.waiting(), ring.open()), (1, 1));
}

#[test]
fn the_expired_can_still_be_late_until_their_place_is_needed() {
    let mut ring = Ring::new(4);
    (0..3).for_each(|ms| _ = push(&mut ring, ms));
    let timeout = Duration::from_millis(10);
    assert_eq!(ring.expire(Moment::START + Duration::from_millis(11), timeout), 2);
    assert_eq!((ring.waiting(), ring.open()), (1, 3));
    assert!(matches!(ring.find(0), Found::Open(_)));
    ring.drop(2);
    for _ in 3..1024 {
        let (number, lost) = push(&mut ring, 20);
        ring.answer(number);
        assert_eq!(lost, None);
    }
    assert_eq!(push(&mut ring, 20), (1024, Some(0)));
    assert_eq!(ring.find(0), Found::Unknown);
    assert_eq!((ring.waiting(), ring.open()), (1, 2));
}

#[test]
fn a_place_that_is_waited_in_is_passed_over() {
    let mut ring = Ring::new(4);
    push(&mut ring, 0);
    for expected in 1..1024 {
        assert_eq!(push(&mut ring, 1), (expected, None));
        ring.answer(expected);
    }
    // Number 1024 would need the place of 0, which still waits.
    assert_eq!(push(&mut ring, 1), (1025, None));
    assert!(matches!(ring.find(0), Found::Open(_)));
    assert_eq!(ring.find(1024), Found::Unknown);
    assert_eq!(ring.oldest_waiting().map(|request| request.number), Some(0));
    ring.drop(0);
    assert_eq!(ring.oldest_waiting().map(|request| request.number), Some(1025));
}
