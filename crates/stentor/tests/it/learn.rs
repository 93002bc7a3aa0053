//! `learn`: every lesson on real sockets, the list, the words, and what happens when it cannot be.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::program::{run, stentor, traceable};

const LESSONS: [&str; 23] = [
    "socket",
    "udp",
    "tcp",
    "calls",
    "errors",
    "bytestream",
    "half",
    "byte-order",
    "udp-header",
    "checksum",
    "ports",
    "concurrency",
    "nonblocking",
    "backlog",
    "close",
    "overhead",
    "loss",
    "latency",
    "qualify",
    "fetch",
    "peer",
    "buffer",
    "manifest",
];

/// Where the lecture notes are inexact, and what the lesson must say about it.
const INEXACT: [(&str, &str); 8] = [
    ("tcp", "the connection is made when the client creates its socket"),
    ("close", "close() frees the port"),
    ("ports", "source port numbers tell clients apart"),
    ("ports", "ports 1-1024 are reserved"),
    ("backlog", "the next one is rejected"),
    ("checksum", "error checked (simple checksum)"),
    ("loss", "lost or out of order"),
    ("buffer", "there will be packet drop"),
];

const LIST: &str = "\
Lessons: each runs on real sockets and proves what it says.

1  Sockets and their calls
   1  socket       A socket is a door between a process and the transport
   2  udp          Datagrams: no handshake, whole or not at all, each with its source
   3  tcp          The upper-case application, call by call
   4  calls        Which call made which packet leave
   5  errors       Every call can fail: what it says, and what to do then

2  What travels
   6  bytestream   A stream of bytes: one send is not one receive
   7  half         Half an answer, and how a client can know
   8  byte-order   Byte order: how the port 12000 travels
   9  udp-header   Eight bytes before the data: the header of UDP
  10  checksum     A flipped bit: who notices, and who does something about it

3  Servers and their limits
  11  ports        What tells two clients apart, and which ports may be used
  12  concurrency  One client after the other, or all at once
  13  nonblocking  Not now: what a non-blocking socket says instead of waiting
  14  backlog      A full accept queue keeps clients waiting; it does not reject them
  15  close        What remains of a connection after close

4  What a transport costs
  16  overhead     What one sentence costs: UDP, TCP, TCP with a connection kept open
  17  loss         A link that loses: what TCP repairs, and what UDP leaves to you
  18  latency      The same server, two very different delays
  19  qualify      What a path is worth, and for which application

5  Applications
  21  fetch        Fetching a page: resolve, connect, ask, read in pieces, close
  22  peer         Peer to peer: each is client and server
  23  buffer       Two buffers: what a slow and a fast network do to stored video
  24  manifest     The manifest: where the chunks are, in which qualities, and who chooses

stentor learn NAME (or its number) runs one; stentor learn --all runs all.
";

fn lesson_texts() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lessons")
}

#[test]
fn the_list_is_numbered_as_the_lecture_is() {
    let said = run(&["learn"], b"");
    assert_eq!((said.code, said.out()), (Some(0), LIST.to_owned()), "{}", said.out());
}

#[test]
fn every_lesson_holds_and_its_json_says_so() {
    // Where nothing can be traced one lesson is not possible, and so not all hold.
    if !traceable() {
        return;
    }
    let said = run(&["learn", "--all", "--json"], b"");
    let report: Value = serde_json::from_slice(&said.out).unwrap();
    assert_eq!(said.code, Some(0), "{}\n{}", said.out(), said.err);
    assert_eq!(report["schema"], "stentor.learn/1");
    assert_eq!((&report["ok"], &report["exit_code"]), (&Value::Bool(true), &Value::from(0)));
    let lessons = report["result"]["lessons"].as_array().unwrap();
    let names: Vec<_> = lessons.iter().map(|lesson| lesson["lesson"].as_str().unwrap()).collect();
    assert_eq!(names, LESSONS);
    for lesson in lessons {
        let name = &lesson["lesson"];
        let claims = lesson["claims"].as_array().unwrap();
        assert!(claims.len() >= 4, "{name}: {claims:?}");
        assert!(claims.iter().all(|claim| claim["held"] == true), "{name}: {claims:?}");
        assert!(!lesson["evidence"].as_array().unwrap().is_empty(), "{name}");
        let steps = lesson["steps"].as_array().unwrap();
        assert!(steps.iter().any(|step| !step["calls"].as_array().unwrap().is_empty()), "{name}");
        for step in steps {
            assert!(step["reason"].as_str().unwrap().ends_with('.'), "{name}: {step}");
        }
    }
}

#[test]
fn every_lesson_can_be_read_in_a_terminal() {
    let traceable = traceable();
    for name in LESSONS.into_iter().filter(|name| traceable || *name != "calls") {
        let said = run(&["learn", name], b"");
        let shown = said.out();
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{name}: {shown}");
        assert!(shown.contains("\n   Lesson: ") && shown.contains("\n   holds: "), "{shown}");
        assert!(!shown.contains("FAILS") && !shown.contains('\x1b'), "{shown}");
        let verdict = shown.lines().last().unwrap();
        assert!(verdict.starts_with(&format!("{name}: holds, ")), "{verdict}");
        let widest = shown.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 100, "{name}: {widest} columns\n{shown}");
        for (_, quote) in INEXACT.iter().filter(|(lesson, _)| *lesson == name) {
            assert!(shown.replace("\n   ", " ").contains(quote), "{name}: {quote}");
        }
    }
}

/// Runs a lesson where no private network can be had: in a user namespace that allows none.
#[test]
fn without_packets_the_calls_are_claimed_and_the_rest_is_said() {
    if !traceable() {
        return;
    }
    let refuse = "echo 0 > /proc/sys/user/max_net_namespaces && exec \"$0\" \"$@\"";
    let apart = |words: &[&str]| {
        Command::new("unshare").args(["-Ur", "sh", "-c", refuse]).args(words).output()
    };
    if !apart(&["true"]).is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: this system gives no user namespace to try it in (unshare -Ur)");
        return;
    }
    let program = stentor().get_program().to_str().unwrap().to_owned();
    for (name, said) in [
        ("calls", "packets and their causes     not to be had here"),
        ("udp-header", "The header, not captured but put together from what the sockets say."),
        ("byte-order", "the packet itself            not visible here: EPERM"),
        ("checksum", "not to be had here           a link between private networks"),
        ("loss", "loss, order and copies       cannot be shown here: they would not be TCP's"),
    ] {
        let output = apart(&[&program, "learn", name]).unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{name}: {shown}");
        assert!(shown.contains(said) && shown.contains("user.max_user_namespaces"), "{shown}");
        assert!(!shown.contains("SYN,ACK") && !shown.contains("FAILS"), "{shown}");
    }
}

/// On a link of packets the kernels' own counters are the evidence; without one no word is said of
/// them.
#[test]
fn damage_and_loss_are_the_kernels_own_where_a_link_can_be_had() {
    let possible = run(&["impair", "-q", "--lab", "--", "true", "--with", "true"], b"");
    let linked = possible.code == Some(0);
    if !linked {
        eprintln!("SKIPPED in part: no lab link here: {}", possible.err);
    }
    for (name, evidence) in [
        ("checksum", &["UdpInCsumErrors", "TcpInCsumErrors", "sent again (TCP_INFO)"][..]),
        ("loss", &[]),
    ] {
        let said = run(&["learn", "--json", name], b"");
        let report: Value = serde_json::from_slice(&said.out).unwrap();
        assert_eq!(said.code, Some(0), "{name}: {report}");
        let lesson = &report["result"]["lessons"][0];
        let found = lesson["evidence"].as_array().unwrap();
        for wanted in evidence {
            let there = found.iter().any(|fact| fact["name"] == *wanted);
            assert_eq!(there, linked, "{name}: {wanted}: {report}");
        }
        let words = lesson.to_string();
        assert_eq!(words.contains("not to be had here"), !linked, "{words}");
        assert_eq!(words.contains("cannot be shown here"), !linked && name == "loss", "{words}");
        // What was played in another process is recorded as if it were played here.
        let steps = lesson["steps"].as_array().unwrap();
        for (place, step) in steps.iter().enumerate() {
            assert_eq!(step["step"], place + 1);
        }
    }
}

#[test]
fn all_ends_with_a_table() {
    if !traceable() {
        return;
    }
    let said = run(&["learn", "--all", "-q"], b"");
    let shown = said.out();
    assert_eq!(said.code, Some(0), "{shown}\n{}", said.err);
    let (_, table) = shown.split_once("\nAll lessons\n").unwrap();
    assert_eq!(table.lines().filter(|line| line.ends_with("  holds")).count(), LESSONS.len());
}

#[test]
fn a_number_is_as_good_as_a_name_and_quiet_is_one_line() {
    for lesson in ["half", "7"] {
        let said = run(&["learn", "-q", lesson], b"");
        let shown = said.out();
        assert_eq!((said.code, shown.lines().count()), (Some(0), 1), "{shown}");
        assert!(shown.starts_with("half: holds, "), "{shown}");
    }
}

#[test]
fn explain_adds_the_reason_of_each_step() {
    let reason = "TCP knows no lines. Whoever waits for a newline that never comes";
    assert!(!run(&["learn", "tcp"], b"").out().contains(reason));
    assert!(run(&["learn", "tcp", "--explain"], b"").out().contains(reason));
}

#[test]
fn an_unknown_lesson_names_the_nearest() {
    let said = run(&["learn", "bakclog"], b"");
    let expected = "\
error: invalid value 'bakclog' for '[LESSON]'
  [possible values: socket, udp, tcp, calls, errors, bytestream, half, byte-order, udp-header, \
checksum, ports, concurrency, nonblocking, backlog, close, overhead, loss, latency, qualify, fetch, \
peer, buffer, manifest]

  tip: a similar value exists: 'backlog'

For more information, try '--help'.
";
    assert_eq!((said.code, said.err.as_str(), said.out().as_str()), (Some(2), expected, ""));
    // A lesson of the lecture that does not exist yet.
    assert_eq!(run(&["learn", "tls"], b"").code, Some(2));
    assert_eq!(run(&["learn", "20"], b"").code, Some(2));
}

#[test]
fn without_a_loopback_it_says_what_to_do() {
    let apart = |program: &mut Command| program.output();
    let able = apart(Command::new("unshare").args(["-rn", "true"]));
    if !able.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: this system gives no network namespace to try it in (unshare -rn)");
        return;
    }
    let program = stentor().get_program().to_owned();
    let output = apart(Command::new("unshare").arg("-rn").arg(program).args(["learn", "tcp"]));
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "stentor: no interface of this machine has the address 127.0.0.1. Bring the loopback up: \
         ip link set lo up.\n"
    );
}

#[test]
fn the_words_of_every_lesson_are_complete() {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(lesson_texts()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# ") && text.ends_with('\n'), "{name}");
        let part = |heading: &str| {
            let (_, rest) = text.split_once(&format!("\n## {heading}\n\n"))?;
            Some(rest.split("\n\n## ").next().unwrap().trim().replace('\n', " "))
        };
        let question = text.split("\n\n").nth(1).unwrap();
        assert!(!question.starts_with('#'), "{name} has no question");
        let lesson = part("Lesson").unwrap_or_else(|| panic!("{name} has no lesson"));
        assert!(lesson.ends_with('.') && !lesson.contains(". "), "{name}: not one sentence");
        assert!(part("Try it").is_some_and(|go| go.ends_with('.')), "{name}: nothing to try");
        for (_, quote) in INEXACT.iter().filter(|(lesson, _)| *lesson == name) {
            let notes = part("The notes").unwrap_or_else(|| panic!("{name} quotes no notes"));
            assert!(notes.contains(&format!("> {quote}")), "{name}: {quote}");
        }
        found.insert(name);
    }
    assert_eq!(found, LESSONS.map(str::to_owned).into());
}
