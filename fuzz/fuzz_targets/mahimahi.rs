//! Whatever a trace holds (Mahimahi's stamps, or a table), it is refused or carries units: each
//! leaves after it came, and none before the one it waited for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stentor_core::link::{Knobs, Link, Output, Trace, Unit};
use stentor_core::moment::Moment;
use stentor_core::seed::Seed;

fuzz_target!(|text: &str| {
    let trace = match text.parse::<Trace>() {
        Ok(trace) => trace,
        Err(refusal) => return assert!(!refusal.to_string().is_empty()),
    };
    assert!(trace.period_ns() > 0 && trace.mean_bps() > 0.0);
    let knobs = Knobs { trace: Some("fuzz".to_owned()), ..Knobs::default() };
    let Ok(mut link) = Link::new(&knobs, Some(&trace), Seed(1), "up") else { return };
    for (number, bytes) in [0_usize, 1, 1499, 1500, 1501, 65_535].into_iter().enumerate() {
        let now = Moment::from_nanos(number as u64 * 700_000);
        link.handle(now, Unit::new(number, bytes), &mut |decision| panic!("{decision}"));
    }
    let mut before = Moment::START;
    for number in 0..6 {
        let Output::Deliver(unit) = link.poll(Moment::from_nanos(u64::MAX)) else { panic!() };
        assert!(unit.payload == number && unit.due >= unit.sent && unit.due >= before);
        before = unit.due;
    }
    assert_eq!(link.waiting(), 0);
});
