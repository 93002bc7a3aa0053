//! Two that meet: by address, both at once, leaving in each order, at a terminal.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Barrier;

use serde_json::Value;
use stentor::drive::peer::{self, Plan, Source};
use stentor_core::peer::{End, Id, Name, Parting, Settings};

use super::*;
use crate::program::run;

#[test]
fn lines_go_both_ways_and_both_say_who_dialled_whom() {
    let (mut ann, mut bob, address) = pair(&[]);
    ann.say("one\n\ntwo\x1b[31m\n");
    bob.say("eins");
    ann.end();
    bob.until("ann has no more lines");
    bob.end();
    let (ann, bob) = (ann.wait(), bob.wait());
    assert_eq!((ann.code, ann.out.as_str()), (Some(0), "eins\n"), "{}", ann.err);
    assert_eq!((bob.code, bob.out.as_str()), (Some(0), "one\n\ntwo\\u{1b}[31m\n"), "{}", bob.err);
    for said in [&ann.err, &bob.err] {
        let line = said.lines().find(|line| line.starts_with("connected with ")).unwrap();
        assert!(line.contains("bob 127.0.0.1:") && line.contains(&format!(" -> ann {address} ")));
        assert!(line.contains("(bob dialled; "), "{line}");
        assert!(said.ends_with("is over: both had said all"), "{said}");
    }
    let chose = |said: &str| said.split("dialled; ").nth(1).unwrap()[..3].to_owned();
    assert_eq!(chose(&ann.err), chose(&bob.err));
}

/// Two peers in this process whose doors are open before either dials.
#[test]
fn a_hundred_simultaneous_opens_end_in_one_conversation_each() {
    let mut doubled = 0;
    for round in 0..100 {
        let doors = || peer::listen(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 0))]).unwrap();
        let (one, two) = (doors(), doors());
        let places = [one.addresses[0], two.addresses[0]];
        let barrier = Barrier::new(2);
        let talk = |doors: peer::Doors, name: &str, id, target| {
            let name = Name::parse(name).unwrap();
            let settings =
                Settings { id: Id(id), name, keep: false, patience: ASTRAY, wanted: None };
            let plan = Plan { settings, target: vec![target], listen: vec![], scope: None };
            let lines: Vec<Vec<u8>> = (0..round).map(|n| format!("{id} {n}").into()).collect();
            let mut heard = 0;
            barrier.wait();
            let outcome =
                peer::run(&plan, doors, Source::Known(lines.into()), None, None, &mut |told| {
                    if let peer::Told::Event { event: stentor_core::peer::Event::Line(_), .. } =
                        told
                    {
                        heard += 1;
                    }
                    Ok(())
                });
            (outcome.unwrap(), heard)
        };
        // The greater id is once the first to start, once the second.
        let ids = if round % 2 == 0 { (1, 2) } else { (2, 1) };
        let (one, two) = thread::scope(|scope| {
            let other = scope.spawn(|| talk(two, "bob", ids.1, places[0]));
            let one = talk(one, "ann", ids.0, places[1]);
            (one, other.join().unwrap())
        });
        for (outcome, heard) in [one, two] {
            assert_eq!(outcome.end, End::Parted(Parting::BothEnded), "round {round}");
            assert_eq!((outcome.counters.conversations, heard), (1, round), "round {round}");
            assert!(outcome.counters.check(), "{:?}", outcome.counters);
            doubled += outcome.counters.doubled;
        }
    }
    assert!(doubled > 0, "never did both dial at once");
    eprintln!("of 100 rounds both had dialled in {}", doubled / 2);
}

#[test]
fn two_programs_that_dial_each_other_have_one_conversation() {
    for round in 0..20 {
        // Addresses of our own: no other test can take these ports.
        let [pid, _] = [std::process::id() % 250, 0];
        let at = |port: u16| format!("127.77.{pid}.{}:{port}", round + 1);
        let host = format!("127.77.{pid}.{}", round + 1);
        let start = |name: &str, port: u16, other: u16| {
            let (port, target) = (port.to_string(), at(other));
            let mut peer =
                Running::start(&["-J", "-n", name, "-l", &host, "-p", &port, "-w", "60s", &target]);
            peer.say(&format!("from {name}\n"));
            peer.end();
            peer
        };
        let (ann, bob) = (start("ann", 14_701, 14_702), start("bob", 14_702, 14_701));
        for (came, other) in [(ann.wait(), "bob"), (bob.wait(), "ann")] {
            assert_eq!(came.code, Some(0), "{}", came.err);
            let report: Value = serde_json::from_str(&came.out).unwrap();
            let result = &report["result"];
            assert_eq!(
                result["received"],
                serde_json::json!([format!("from {other}")]),
                "{report}"
            );
            assert_eq!(result["conversations"].as_array().unwrap().len(), 1, "{report}");
            assert_eq!(result["conversations"][0]["peer"], other);
            adds_up(result);
        }
    }
}

/// Every connection came to exactly one thing.
fn adds_up(result: &Value) {
    let connections = &result["connections"];
    let count = |key: &str| connections[key].as_u64().unwrap();
    let ways =
        ["unreached", "conversations", "doubled", "busy", "violations", "ourselves", "unfinished"];
    let sum: u64 = ways.into_iter().map(count).sum();
    assert_eq!(count("dialled") + count("accepted"), sum, "{connections}");
}

#[test]
fn whoever_leaves_first_the_other_ends_in_order() {
    for first in [true, false] {
        let (ann, bob, _) = pair(&[]);
        let (leaver, stays) = if first { (ann, bob) } else { (bob, ann) };
        leaver.signal("-INT");
        let (left, stayed) = (leaver.wait(), stays.wait());
        assert_eq!(left.code, Some(130), "{}", left.err);
        assert!(left.err.ends_with("is over: we left"), "{}", left.err);
        assert_eq!(stayed.code, Some(0), "{}", stayed.err);
        assert!(stayed.err.ends_with("is over: the other left"), "{}", stayed.err);
    }
}

#[test]
fn lines_that_were_taken_arrive_before_the_farewell() {
    let (mut ann, mut bob, _) = pair(&[]);
    let text: String = (0..5000).map(|number| format!("line {number}\n")).collect();
    ann.say(&text);
    ann.end();
    bob.end();
    assert_eq!(bob.wait().out, text);
    assert_eq!(ann.wait().code, Some(0));
}

#[test]
fn when_one_is_killed_the_other_says_so_and_ends() {
    let (ann, mut bob, _) = pair(&[]);
    bob.child.kill().unwrap();
    let came = ann.wait();
    assert_eq!(came.code, Some(1), "{}", came.err);
    assert!(
        came.err.contains("broke off: the connection ended without a farewell"),
        "{}",
        came.err
    );
}

#[test]
fn with_keep_it_waits_for_the_next() {
    let (mut ann, mut bob, address) = pair(&["-k"]);
    bob.child.kill().unwrap();
    ann.until("ended without a farewell");
    for name in ["cid", "dan"] {
        let mut next = Running::start(&["-n", name, &address.to_string()]);
        ann.until(&format!("connected with {name}"));
        next.until("connected with ann");
        next.signal("-TERM");
        ann.until("the other left");
        assert_eq!(next.wait().code, Some(130));
    }
    ann.signal("-INT");
    assert_eq!(ann.wait().code, Some(130));
}

#[test]
fn a_line_that_is_too_long_is_said_and_not_sent() {
    let (mut ann, mut bob, _) = pair(&[]);
    ann.say(&format!("before\n{}\nafter\n", "x".repeat(20_000)));
    ann.end();
    bob.end();
    let (ann, bob) = (ann.wait(), bob.wait());
    assert_eq!((bob.code, bob.out.as_str()), (Some(0), "before\nafter\n"), "{}", bob.err);
    assert_eq!(ann.code, Some(1), "{}", ann.err);
    assert!(ann.err.contains("a line of more than 8192 bytes was not sent"), "{}", ann.err);
}

#[test]
fn at_a_terminal_it_prompts_and_leaves_with_control_d() {
    // script(1) of util-linux gives a program a terminal.
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("SKIPPED: script(1) is not installed, the prompt was not tested");
        return;
    }
    let (mut ann, address) = Running::waiting("ann", &[]);
    let command = format!("{} peer -n bob {address}", env!("CARGO_BIN_EXE_stentor"));
    let mut terminal = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = terminal.stdin.take().unwrap();
    ann.until("connected with bob");
    ann.say("greetings\n");
    let mut shown = terminal.stdout.take().unwrap();
    let mut all = String::new();
    // A prompt that stands is one that takes keys: before, ^D would belong to the terminal.
    let mut prompt_after = |words: &str| {
        let mut room = [0; 1024];
        while !all.split(words).nth(1).is_some_and(|rest| rest.contains("bob> ")) {
            let count = shown.read(&mut room).unwrap();
            assert!(count > 0, "never a prompt after {words:?}: {all}");
            all.push_str(&String::from_utf8_lossy(&room[..count]));
        }
    };
    prompt_after("ann: greetings");
    keys.write_all(b"typed\r").unwrap();
    prompt_after("typed");
    keys.write_all(b"\x04").unwrap();
    let came = ann.wait();
    assert_eq!((came.code, came.out.as_str()), (Some(0), "typed\n"), "{}", came.err);
    assert!(terminal.wait().unwrap().success());
    shown.read_to_string(&mut all).unwrap();
    assert!(all.contains("bob> ") && all.contains("connected with ann"), "{all}");
}

#[test]
fn the_json_is_valid_also_when_nobody_came() {
    let said = run(&["peer", "-J", "-w", "200ms", "127.0.0.1:9"], b"");
    let report: Value = serde_json::from_slice(&said.out).unwrap();
    assert_eq!((said.code, &report["schema"]), (Some(3), &"stentor.peer/1".into()), "{}", said.err);
    assert_eq!(report["result"]["conversations"], serde_json::json!([]));
    assert!(report["error"].as_str().unwrap().contains("ECONNREFUSED"), "{report}");
    adds_up(&report["result"]);
}
