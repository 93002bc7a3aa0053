//! The verdict flips at each printed threshold, and says which figure decided.

use super::*;

/// A path on which everything passes.
fn good() -> Path {
    let figures = Figures {
        loss: Some(0.0),
        delay_s: Some(0.001),
        jitter_s: Some(0.0001),
        throughput_bps: Some(1e9),
        transaction_s: Some(0.01),
    };
    Path { udp: figures, tcp: figures }
}

fn set(path: &mut Path, transport: Transport, quantity: Quantity, value: Option<f64>) {
    let figures = match transport {
        Transport::Udp => &mut path.udp,
        Transport::Tcp => &mut path.tcp,
    };
    match quantity {
        Quantity::Loss => figures.loss = value,
        Quantity::Delay => figures.delay_s = value,
        Quantity::Jitter => figures.jitter_s = value,
        Quantity::Throughput => figures.throughput_bps = value,
        Quantity::Transaction => figures.transaction_s = value,
    }
}

/// The next number beyond a limit, on the side that is not allowed.
fn beyond(threshold: &Threshold) -> f64 {
    match threshold.bound {
        Bound::AtMost => threshold.limit.next_up(),
        Bound::AtLeast => threshold.limit.next_down(),
    }
}

#[test]
fn every_application_has_a_transport_and_thresholds_and_passes_on_a_good_path() {
    for application in Application::ALL {
        let verdict = judge(&good(), application, &[]);
        assert!(verdict.passed && verdict.checks.len() >= 2, "{verdict:?}");
        assert_eq!(verdict.transport, application.preferred().0);
        assert_eq!(application.name().parse(), Ok(application));
    }
}

#[test]
fn each_verdict_flips_at_its_printed_threshold() {
    for application in Application::ALL {
        let transports = [Some(application.preferred()), application.otherwise()];
        for (transport, _) in transports.into_iter().flatten() {
            for threshold in application.thresholds(transport) {
                let judged = |value| {
                    let mut path = good();
                    // Only this transport is there to choose.
                    for other in [Transport::Udp, Transport::Tcp] {
                        if other != transport {
                            set(&mut path, other, Quantity::Loss, None);
                        }
                    }
                    set(&mut path, transport, threshold.quantity, value);
                    judge(&path, application, &[])
                };
                let on = judged(Some(threshold.limit));
                assert!(on.passed, "{on:?}");
                assert_eq!(on.transport, transport);
                let past = judged(Some(beyond(threshold)));
                assert!(!past.passed, "{past:?}");
                assert!(!judged(None).passed, "what was not measured holds: {threshold:?}");
                if past.transport == transport {
                    assert_eq!(past.decisive().unwrap().threshold, *threshold);
                }
            }
        }
    }
}

#[test]
fn a_conversation_takes_the_stream_where_datagrams_are_stopped() {
    let mut path = good();
    path.udp = Figures::default();
    let verdict = judge(&path, Application::Voip, &[]);
    assert!(verdict.passed);
    assert_eq!(verdict.transport, Transport::Tcp);
    path.tcp.delay_s = Some(0.4);
    let verdict = judge(&path, Application::Voip, &[]);
    assert!(!verdict.passed);
    assert_eq!(verdict.transport, Transport::Udp, "the one it would prefer");
}

#[test]
fn the_figure_nearest_to_its_limit_decides() {
    let mut path = good();
    path.udp.delay_s = Some(0.140);
    path.udp.jitter_s = Some(0.010);
    let verdict = judge(&path, Application::Voip, &[]);
    let decisive = verdict.decisive().unwrap();
    assert_eq!(decisive.threshold.quantity, Quantity::Delay);
    assert!(decisive.strain() > 0.9 && decisive.strain() < 1.0);
}

#[test]
fn a_person_moves_a_limit_for_one_or_for_all() {
    let mut path = good();
    path.udp.delay_s = Some(0.180);
    path.tcp = Figures::default();
    let passes = |application, written: &[&str]| {
        let overrides: Vec<Override> = written.iter().map(|text| text.parse().unwrap()).collect();
        judge(&path, application, &overrides).passed
    };
    assert!(!passes(Application::Voip, &[]));
    assert!(passes(Application::Voip, &["voip:delay=400ms"]));
    assert!(!passes(Application::Voip, &["game:delay=400ms"]));
    assert!(passes(Application::Game, &[]));
    assert!(!passes(Application::Game, &["delay=100ms"]));
    // The last word counts.
    assert!(passes(Application::Game, &["delay=100ms", "game:delay=300ms"]));
}

#[test]
fn limits_are_read_and_refused() {
    let check = |written: &str, expected: Result<f64, &str>| {
        let read = written.parse::<Override>().map(|read| read.limit);
        assert_eq!(read.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
    };
    check("loss=1%", Ok(0.01));
    check("throughput=2.5Mbit", Ok(2.5e6));
    check("web:transaction=2s", Ok(2.0));
    check("jitter=30ms", Ok(0.03));
    check(
        "delay",
        Err("\"delay\" is no limit: write QUANTITY=VALUE, or APPLICATION:QUANTITY=VALUE"),
    );
    check(
        "fax:delay=1s",
        Err("\"fax\" is no application: file, mail, web, voip, video, game, chat are known"),
    );
    check(
        "speed=1s",
        Err("\"speed\" is no quantity: loss, delay, jitter, throughput and transaction are known"),
    );
    check("throughput=5M", Err("\"5M\" is no limit for throughput: write it as 64kbit or 2.5Mbit"));
    check("delay=150", Err("\"150\" is no limit for delay: write it as 150ms or 2s"));
}

#[test]
fn values_are_shown_as_people_write_them() {
    let check = |quantity: Quantity, value: f64, expected: &str| {
        assert_eq!(quantity.show(value), expected);
    };
    check(Quantity::Loss, 0.0, "0%");
    check(Quantity::Loss, 0.0123, "1.23%");
    check(Quantity::Delay, 0.15, "150 ms");
    check(Quantity::Delay, 0.0002, "0.2 ms");
    check(Quantity::Transaction, 4.0, "4 s");
    check(Quantity::Throughput, 64e3, "64 kbit/s");
    check(Quantity::Throughput, 1.333e6, "1.33 Mbit/s");
    check(Quantity::Throughput, 2.5e9, "2.5 Gbit/s");
}
