//! `impair --lab`: programs in two private networks, real packets between them; and what is said where
//! the system allows none.

use super::checked;
use crate::program::{Said, run, stentor};

const EXE: &str = env!("CARGO_BIN_EXE_stentor");

/// Runs a server and a client on a lab link.
fn lab(arguments: &[&str], server: &[&str], client: &str) -> Said {
    run(&[&["impair", "--lab"], arguments, &["--"], server, &["--with", client]].concat(), b"")
}

/// A service for one connection, and a sentence to it, over a link.
fn sentence(arguments: &[&str]) -> Said {
    let server = [EXE, "serve", "-q", "-1", "-t", "-b", "127.0.0.1", "-p", "12000"];
    lab(arguments, &server, &format!("{EXE} send hello"))
}

/// Whether this system lets us join two networks.
fn possible() -> bool {
    let said = lab(&["-q"], &["true"], "true");
    if said.code != Some(0) {
        eprintln!("SKIPPED: no lab link here: {}", said.err);
    }
    said.code == Some(0)
}

#[test]
fn a_sentence_crosses_and_what_was_done_to_its_packets_is_told() {
    if !possible() {
        return;
    }
    // The client's third packet is its sentence: the kernel sends it again.
    let said = sentence(&["--link", "delay=2ms,up:every=3", "--seed", "7"]);
    assert_eq!((said.code, said.out().as_str()), (Some(0), "HELLO\n"), "{}", said.err);
    for words in ["packet tier", "10.0.0.1", "up:every=3", "--seed 7", "lost (every)", "later than"]
    {
        assert!(said.err.contains(words), "{words} in {}", said.err);
    }
    let said = sentence(&["-q"]);
    assert_eq!((said.out().as_str(), said.err.as_str()), ("HELLO\n", ""));
}

#[test]
fn its_json_adds_up_and_agrees_with_the_decisions() {
    if !possible() {
        return;
    }
    let file = std::env::temp_dir().join(format!("stentor-lab-{}", std::process::id()));
    let link = ["--json", "--link", "delay=1ms,every=4", "--decisions", file.to_str().unwrap()];
    let said = sentence(&link);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let at = said.out().find("\n{").unwrap() + 1;
    let object = checked(&said.out[at..]);
    let packets = &object["result"]["packets"];
    let count = |way: &str, key: &str| packets[way][key].as_u64().unwrap();
    assert!(count("up", "taken") >= 4 && count("up", "lost_by_count") >= 1, "{packets}");
    assert_eq!(object["config"]["programs"][1], serde_json::json!([EXE, "send", "hello"]));
    let log = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    for way in ["up", "down"] {
        let of_way = log.lines().filter(|line| line.starts_with(&format!("lab {way} ")));
        let numbers: Vec<u64> = of_way
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                assert_eq!(words[4..], ["every", "dropped"], "{line}");
                words[3].parse().unwrap()
            })
            .collect();
        let expected: Vec<u64> = (1..=count(way, "taken") / 4).map(|nth| 4 * nth).collect();
        assert_eq!(numbers, expected, "{way}");
    }
}

#[test]
fn codes_are_passed_on_and_our_own_are_others() {
    if !possible() {
        return;
    }
    let check = |server: &[&str], client: &str, expected: i32| {
        let said = lab(&["-q"], server, client);
        assert_eq!(said.code, Some(expected), "{server:?}, {client}: {}", said.err);
        said.err
    };
    let warned = check(&["sh", "-c", "exit 7"], "false", 7);
    assert!(warned.contains("no client was started"), "{warned}");
    check(&["no-such-program-here"], "true", 127);
    check(&["/etc/passwd"], "true", 126);
    // Told to end after its clients: what they ended with counts.
    check(&[EXE, "serve", "-q", "-b", "127.0.0.1"], "sh -c 'exit 3'", 3);
    check(&[EXE, "serve", "-q", "-b", "127.0.0.1"], "no-such-program-here", 127);
}

#[test]
fn what_makes_no_sense_on_packets_is_refused() {
    let check = |arguments: &[&str], words: &str| {
        let said = run(&[&["impair", "--lab"], arguments].concat(), b"");
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(words), "{arguments:?}: {}", said.err);
    };
    let programs = ["--", "true", "--with", "true"];
    check(&[&["--link", "stall=1s/4s"], &programs[..]].concat(), "stall");
    check(&[&["8000", "12000"], &programs[..]].concat(), "--lab");
    check(&[&["-u"], &programs[..]].concat(), "--lab");
    check(&["--", "true"], "two ends");
    check(&["--", "true", "--with"], "--with");
    check(&[], "COMMAND");
    let said = run(&["impair", "1", "2", "--with", "true"], b"");
    assert!(said.code == Some(2) && said.err.contains("--lab"), "{}", said.err);
}

#[test]
fn a_system_that_refuses_is_named_with_the_remedy_and_the_proxies() {
    // setns(2) on x86-64; elsewhere the number is another.
    const SETNS: i64 = 308;
    const EPERM: i32 = 1;
    let mut command = stentor();
    command.args(["impair", "--lab", "--link", "loss=1%", "--", "true", "--with", "true"]);
    if possible() {
        if !cfg!(target_arch = "x86_64") {
            return eprintln!("SKIPPED: numbers of calls are those of x86-64");
        }
        stentor_os::privilege::deny(&mut command, &[(SETNS, EPERM)]).unwrap();
    }
    let output = command.output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{err}");
    assert!(err.contains("a link between private networks: "), "the step: {err}");
    assert!(err.contains("A lab link needs") || err.contains("User namespaces"), "{err}");
    assert!(err.contains("stentor impair TARGET --link SPEC -- CLIENT"), "{err}");
    assert!(!err.contains("--mode calls"), "{err}");
}
