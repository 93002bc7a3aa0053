//! Links are read, refused with a reason, and written so that they read back.

use proptest::prelude::*;

use super::*;

fn check(written: &str, expected: &str) {
    let read = match written.parse::<Spec>() {
        Ok(spec) => {
            let again = spec.to_string();
            assert_eq!(again.parse(), Ok(spec), "{written} -> {again}");
            again
        }
        Err(error) => error.to_string(),
    };
    assert!(
        read == expected || read.starts_with(expected.trim_end_matches('*')),
        "{written}: {read}"
    );
    assert!(expected.ends_with('*') || read == expected, "{written}: {read}");
}

#[test]
fn links_are_read_and_written() {
    check("", "");
    check("delay=20ms,jitter=5ms,loss=1%,rate=2Mbit", "delay=20ms,jitter=5ms,rate=2Mbit,loss=1%");
    check("jitter=5ms:normal,delay=1s", "delay=1s,jitter=5ms:normal");
    check("jitter=5ms:uniform", "jitter=5ms");
    check("jitter=0s,loss=0%,order=free,delay=0s", "");
    check("up:rate=1Mbit,down:rate=10Mbit,delay=20ms", "delay=20ms,up:rate=1Mbit,down:rate=10Mbit");
    check("up:loss=1%,down:loss=1%", "loss=1%");
    check("rate=250k,queue=64KiB", "rate=2Mbit,queue=64KiB");
    check("rate=1Mbit,queue=100p", "rate=1Mbit,queue=100p");
    check("burst=1%/25%", "burst=1%/25%");
    check("burst=1%/25%/100%/0%", "burst=1%/25%");
    check("burst=1%/25%/50%", "burst=1%/25%/50%");
    check("burst=1%/25%/100%/0.1%", "burst=1%/25%/100%/0.1%");
    check("every=10,duplicate=2%,corrupt=0.5%", "every=10,duplicate=2%,corrupt=0.5%");
    check("delay=1ms,reorder=25%", "delay=1ms,reorder=25%");
    check("slots=20ms,order=keep", "order=keep,slots=20ms");
    check("trace=lte/up.trace,queue=50p", "queue=50p,trace=lte/up.trace");
    check("down:trace=a,up:rate=8kbit", "up:rate=8kbit,down:trace=a");
    check("stall=1s/4s,reset=5s,refuse", "stall=1s/4s,reset=5s,refuse");
    check("refuse=10%,slice=100/50/10us", "refuse=10%,slice=100/50/10us");
    check("loss-as-delay=1%,slow-close=2s", "slow-close=2s,loss-as-delay=1%");
    check("loss-as-delay=1%/1s,half-close=2s", "half-close=2s,loss-as-delay=1%/1s");
    check("truncate=10k", "truncate=10k");
}

#[test]
fn presets_come_first_and_may_be_changed() {
    check("dsl", "delay=25ms,up:rate=384kbit,down:rate=1500kbit*");
    check("3g,rate=none,queue=none,loss=2%", "delay=150ms,loss=2%");
    check("up:edge", "up:delay=420ms,up:rate=200kbit*");
    check("up:edge,down:dsl", "up:delay=420ms,down:delay=25ms*");
    check("loss=1%,dsl", "dsl stands after words that it would overwrite: write it first");
    for preset in PRESETS {
        let spec: Spec = preset.name.parse().unwrap();
        assert_eq!(preset.words.parse(), Ok(spec), "{}", preset.name);
        assert!(!preset.source.is_empty());
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    check("lag=3ms", "\"lag=3ms\" is not known: write delay, jitter, order, rate, *");
    check("delay=20ms,,loss=1%", "\"\" is not known*");
    check("up:5g", "\"5g\" is not known: write delay*");
    check("delay", "delay takes a time such as 20ms, not \"\"");
    check("delay=20", "delay: \"20\" is not a time with its unit*");
    check("loss=burst", "loss: \"burst\" is not a probability*");
    check("loss=1%,loss=2%", "loss is given twice for one direction*");
    check("up:loss=1%,loss=2%", "loss is given twice for one direction*");
    check("up:loss=1%,down:loss=2%", "up:loss=1%,down:loss=2%");
    check("rate=0", "rate=0bit would deliver nothing, ever: for a dead link write loss=100%");
    check("rate=2Tbit", "rate: \"2Tbit\" is not a rate*");
    check("rate=2000Gbit", "rate=2000Gbit is beyond 1000Gbit*");
    check("up:rate=0", "up: rate=0bit would deliver nothing*");
    check("delay=1000000000s", "delay=1000000000s is longer than an hour*");
    check("jitter=2h", "jitter=7200s is longer than an hour*");
    check("jitter=5ms:gauss", "jitter takes SPREAD[:uniform|normal|pareto]*");
    check("queue=10p", "queue without rate or trace*");
    check("rate=1M,queue=lots", "queue takes bytes or packets*");
    check("rate=1M,trace=x", "rate and trace both say how fast*");
    check("every=1", "every=1: every nth unit is lost, n from 2*");
    check("every=0", "every=0: every nth unit is lost, n from 2*");
    check("reorder=1%", "reorder without delay*");
    check("delay=1ms,reorder=1%,order=keep", "reorder and order=keep contradict*");
    check("slots=0s", "slots=0s: a slot needs a length*");
    check("burst=1%", "burst takes P/R*");
    check("burst=1%/2%/3%/4%/5%", "burst takes P/R*");
    check("burst=1%/0%", "burst=1%/0%: P and R must be above 0*");
    check("order=loose", "order takes keep*");
    check("stall=4s/1s", "stall=4s/1s: SILENT/EVERY with SILENT shorter than EVERY*");
    check("slice=0", "slice=0: AVERAGE*");
    check("slice=10/10", "slice=10/10: AVERAGE*");
    check("trace=", "trace=: the name of a file*");
}

#[test]
fn each_tier_refuses_what_it_cannot_do() {
    let knobs = |words: &str| words.parse::<Spec>().unwrap().up;
    let stream = |words: &str| knobs(words).check_stream().map_err(|error| error.to_string());
    let units = |words: &str| knobs(words).check_units().map_err(|error| error.to_string());
    assert!(stream("delay=1ms,jitter=1ms,rate=1M,corrupt=1%,stall=1s/2s,order=keep").is_ok());
    assert!(stream("trace=x").is_ok());
    assert!(units("delay=1ms,loss=1%,burst=1%/2%,every=3,rate=1M,queue=3p,slots=1ms").is_ok());
    let refusal = stream("loss=1%").unwrap_err();
    assert!(refusal.starts_with("loss has no meaning on streams: a proxy of TCP"), "{refusal}");
    for words in ["every=2", "burst=1%/2%", "duplicate=1%", "rate=1M,queue=3p", "slots=1ms"] {
        assert!(stream(words).is_err(), "{words}");
    }
    let refusal = units("loss-as-delay=1%").unwrap_err();
    assert!(refusal.ends_with("they can really be lost: write loss=1%"), "{refusal}");
    for words in ["reset=1s", "refuse", "slice=9", "truncate=1", "half-close=1s", "slow-close=1s"] {
        assert!(units(words).is_err(), "{words}");
    }
}

#[test]
fn words_turn_only_the_knobs_they_name() {
    let base: Spec = "delay=20ms,loss=1%,rate=1Mbit".parse().unwrap();
    let turned = base.with("down:loss=0%,up:rate=none").unwrap();
    assert_eq!(turned.to_string(), "delay=20ms,down:rate=1Mbit,up:loss=1%");
    assert!(base.with("rate=0").is_err());
    assert_eq!(base.with("wifi").unwrap(), "wifi".parse().unwrap());
    assert_eq!(base.with("").unwrap(), base);
}

#[test]
fn traces_are_named_with_their_directions() {
    let spec: Spec = "up:trace=a,down:trace=b".parse().unwrap();
    let named: Vec<_> = spec.traces().collect();
    assert_eq!(named, [(Direction::Up, "a"), (Direction::Down, "b")]);
}

proptest! {
    #[test]
    fn reading_never_panics(written in "\\PC{0,40}") {
        let _ = written.parse::<Spec>();
    }

    #[test]
    fn what_is_read_reads_back(
        written in proptest::collection::vec(
            "(up:|down:|)((delay|slots|reset)=[0-9]{1,3}(ns|us|ms|s|m)|jitter=[0-9]{1,3}us(:normal|)\
             |(loss|duplicate|corrupt|refuse)=[0-9]{1,2}(\\.[0-9]{1,3})?%|rate=[1-9]{1,4}(k|Mbit)\
             |burst=[1-9]%/[1-9]%(/[0-9]%){0,2}|every=[2-9]|3g|slice=9/[0-8](/[0-9]ms)?\
             |queue=[0-9](p|KiB)|stall=[1-3]s/[4-9]s|loss-as-delay=[0-9]%(/[0-9]s)?)", 0..6),
    ) {
        if let Ok(spec) = written.join(",").parse::<Spec>() {
            prop_assert_eq!(spec.to_string().parse::<Spec>(), Ok(spec));
        }
    }
}
