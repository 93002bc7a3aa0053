//! Paths that work, alone and behind links.

use super::qualify;
use crate::program::{Server, run};

/// Limits so wide that a busy machine keeps them.
const WIDE: [&str; 8] = [
    "--limit",
    "delay=60s",
    "--limit",
    "jitter=60s",
    "--limit",
    "transaction=60s",
    "--limit",
    "throughput=1kbit",
];

const ALL: [&str; 14] = [
    "--for", "file", "--for", "mail", "--for", "web", "--for", "voip", "--for", "video", "--for",
    "game", "--for", "chat",
];

#[test]
fn a_good_path_does_for_everything() {
    for service in ["upper", "echo"] {
        // A guard against loops would ration echoes.
        let server = Server::start(&["--service", service, "--udp-mute", "off"]);
        let target = server.v4.to_string();
        let wide =
            [&WIDE[..], &["--limit", "loss=100%", "--cap", "5Mbit", "-d", "3s"], &ALL].concat();
        let told = qualify(&target, &wide);
        assert_eq!(told.said.code, Some(0), "{:#}", told.json);
        assert_eq!(told.at("result.tcp.form"), service);
        assert!(told.number("result.udp.train.answered") > 0);
        assert_eq!(told.number("result.udp.train.corrupted"), 0);
        assert_eq!(told.number("result.udp.train.strangers"), 0);
        assert!(told.number("result.tcp.transactions.count") > 0);
        assert!(told.number("result.tcp.messages.round_trips.count") > 0);
        assert_eq!(told.at("result.tcp.loss").as_f64(), Some(0.0));
        assert!(told.at("result.tcp.throughput_bps").as_f64().unwrap() > 0.0, "{:#}", told.json);
        assert_eq!(told.verdict("file")["transport"], "TCP");
        assert_eq!(told.verdict("voip")["transport"], "UDP");
    }
}

#[test]
fn one_transport_is_measured_where_one_is_asked_for() {
    let server = Server::start(&[]);
    let udp = qualify(&format!("udp://{}", server.v4), &["--cap", "1Mbit"]);
    assert_eq!(udp.said.code, Some(0), "{:#}", udp.json);
    assert!(udp.at("result.tcp").is_null() && udp.at("result.udp.train").is_object());
    let file = udp.verdict("file");
    assert_eq!((&file["passed"], &file["checks"][0]["value"]), (&false.into(), &().into()));
    let tcp = qualify(&server.v4.to_string(), &["-t", "--cap", "1Mbit", "--for", "file"]);
    assert!(tcp.at("result.udp").is_null() && tcp.at("result.tcp.messages").is_object());
    assert_eq!(tcp.said.code, Some(1), "1 Mbit/s is less than 10 MB in 60 s: {:#}", tcp.json);
    assert_eq!(tcp.error(), "this path does not do for file");
}

#[test]
fn verdicts_flip_at_the_limit_that_is_given() {
    let server = Server::start(&[]);
    let target = server.v4.to_string();
    let check = |limits: &[&str], passes: bool| {
        let words = [limits, &["-t", "--for", "chat"]].concat();
        let told = qualify(&target, &words);
        assert_eq!(told.said.code, Some(i32::from(!passes)), "{limits:?}: {:#}", told.json);
        assert_eq!(told.verdict("chat")["passed"], passes);
    };
    check(&["--limit", "delay=1h"], true);
    check(&["--limit", "chat:delay=1ns"], false);
    check(&["--limit", "delay=1ns", "--limit", "chat:delay=1h"], true);
}

#[test]
fn each_direction_of_a_link_is_seen() {
    let server = Server::start(&[]);
    let target = server.v4.to_string();
    for link in ["up:loss=30%", "down:loss=30%"] {
        let words = ["--link", link, "--seed", "7", "--cap", "500kbit", "-u", "-d", "2s"];
        let told = qualify(&target, &words);
        let lost = told.number("result.udp.train.lost");
        assert!(lost > 0, "{link}: {:#}", told.json);
        assert_eq!(told.verdict("voip")["passed"], false, "{link}");
        assert_eq!(told.number("config.seed"), 7);
    }
    for link in ["up:delay=100ms", "down:delay=100ms"] {
        let told = qualify(&target, &["--link", link, "--cap", "500kbit", "-d", "2s"]);
        // A delay is never shorter than it is set to.
        for shortest in ["udp.train", "tcp.messages"] {
            let shortest = told.number(&format!("result.{shortest}.round_trips.min_ns"));
            assert!(shortest >= 100_000_000, "{link}: {shortest}");
        }
    }
}

#[test]
fn what_a_link_cannot_do_to_streams_is_said() {
    let server = Server::start(&[]);
    let told = qualify(&server.v4.to_string(), &["--link", "loss=1%", "--cap", "500kbit"]);
    let notes = told.at("warnings").to_string();
    assert!(notes.contains("a proxy of TCP cannot lose or reorder segments"), "{notes}");
    let said = run(
        &["qualify", &server.v4.to_string(), "-d", "1s", "-u", "--link", "reset=1s,delay=1ms"],
        b"",
    );
    assert!(said.out().contains("the rest is for streams alone"), "{}", said.out());
}
