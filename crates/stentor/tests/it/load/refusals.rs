//! What cannot be asked for, and what cannot be reached: said before anything is sent.

use std::net::TcpListener;

use super::told;
use crate::program::{run, stentor};

fn check(arguments: &[&str], code: i32, expected: &str) {
    let mut all = vec!["load"];
    all.extend(arguments);
    let said = run(&all, b"");
    assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
    assert!(said.err.contains(expected), "{arguments:?}: {}", said.err);
    assert_eq!(said.out(), "", "{arguments:?}");
}

#[test]
fn nobody_listens() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    check(&[&gone, "-q"], 3, "connection refused (ECONNREFUSED). The machine answers, but nothing");
    check(&["unix:/nowhere/at/all", "-q"], 3, "no such file or directory (ENOENT)");
    check(&["unix:/", "-q"], 3, "(ECONNREFUSED). The path is there, but nobody listens on it");
    check(&["nobody.invalid:1", "-q"], 3, "stentor: resolve nobody.invalid: ");
    // The JSON of a run that came to nothing says why, and what was asked for.
    let told = told(run(&["load", &gone, "--json"], b""));
    assert_eq!(told.said.code, Some(3));
    assert!(told.json["result"].is_null() && told.error().contains("ECONNREFUSED"));
    assert_eq!(told.number(&["config", "connections"]), 10);
}

#[test]
fn numbers_that_mean_nothing() {
    for (arguments, expected) in [
        (&["-n", "0"][..], "-n 0: no request has no result"),
        (&["-c", "0"], "-c 0. The least is 1."),
        (&["-c", "1G"], "-c 1000000000. At most 10M."),
        (&["--threads", "0"], "--threads 0. The least is 1."),
        (&["-r", "0"], "no requests a second never ends"),
        (&["-r", "fast"], "requests per second such as 250, 10k or 1M, or max"),
        (&["-r", "10G"], "1G, is the most that can be told apart"),
        (&["-d", "0s"], "-d 0s. More than nothing, and at most a week"),
        (&["-d", "100000h"], "at most a week (168h)"),
        (&["-d", "10"], "\"10\" is not a time with its unit"),
        (&["-w", "0s"], "-w 0s. More than nothing"),
        (&["-d", "1s", "--warmup", "1s"], "--warmup 1s: the run ends after 1s"),
        (&["-n", "100", "--warmup", "2s"], "--warmup 2s: the run ends after 100ms"),
        (&["--depth", "0"], "--depth 0. The least is 1."),
        (&["--depth", "1M"], "At most 65536 requests are under way on one connection"),
        (&["--depth", "60k", "-c", "1k"], "and 4194304 on all of them"),
        (&["--reconnect", "0"], "--reconnect 0: a connection for no request"),
        (&["-l", "1"], "-l 1: a request has 2 to"),
        (&["-l", "1G"], "-l 1000000000: a request has 2 to"),
        (&["--framing", "length16", "-l", "70000"], "a request has 3 to 65537 bytes here"),
        (&["-u", "--greeting"], "--greeting over UDP, where nobody can speak before"),
        (&["-u", "-l", "65508"], "A datagram holds at most 65,507"),
        (&["--interval", "1ms"], "At least 10 ms"),
        (&["-d", "1h", "--interval", "20ms"], "at most 2000 in a run"),
    ] {
        check(arguments, 2, expected);
    }
}

#[test]
fn words_that_mean_nothing() {
    for (arguments, expected) in [
        (&["--framing", "lines"][..], "--framing lines: no such framing. One of line, length16"),
        (&["--framing", "regex:("], "--framing: the pattern \"(\""),
        (&["--framing", "regex:a*"], "it matches the empty string"),
        (&["--framing", "datagram"], "over tcp, which has no datagrams"),
        (&["-u", "--framing", "line"], "--framing line over UDP"),
        (&["--verify", "lower"], "--verify lower: no such check. One of upper, echo"),
        (&["--verify", "regex:["], "--verify: the pattern \"[\""),
        (&["--template", "{what}"], "the template, at byte"),
        (&["--template", "two\nlines"], "the payload has a line feed at byte 3"),
        (&["--fail-if", "p99"], "--fail-if: the condition \"p99\", at byte"),
        (&["--fail-if", "p98>5"], "--fail-if: the condition"),
        (&["--fail-if", "loss>0.1"], "a share is written 0.1%"),
        (&["--fail-if", ""], "--fail-if: the condition \"\", at byte 0"),
        (&["--payload", "/dev/zero"], "--payload /dev/zero: too long for a request"),
        (&["-r", "max", "--poisson"], "--poisson with -r max, which has no rate"),
        (&["-r", "max", "--ramp", "1s"], "--ramp with -r max"),
        (&["--ramp", "1s", "--poisson"], "--ramp with --poisson"),
        (&["-u", "tcp://127.0.0.1:1"], "-u asks for UDP, and tcp://127.0.0.1:1 for tcp"),
        (&["-p", "1", "127.0.0.1:1"], "-p beside a target that has its port"),
        (&["127.0.0.1:0"], "port 0: nothing can be reached there"),
        (&["-o", "report.doc"], "-o report.doc: its name does not say its form. One of .txt"),
    ] {
        check(arguments, 2, expected);
    }
    check(&["--payload", "/"], 3, "read /: is a directory (EISDIR)");
    check(&["--payload", "/nowhere"], 3, "read /nowhere: no such file or directory (ENOENT)");
    check(&["-o", "/nowhere/r.json"], 3, "open /nowhere/r.json: no such file");
    check(&["--merge", "/nowhere"], 3, "open /nowhere: no such file");
    check(&["--merge", "/dev/null"], 3, "/dev/null: no interval is in it");
    for beside in ["-r=5", "-c=5", "-d=5s", "-u", "--verify=off", "--link=delay=1ms", "--seed=1"] {
        check(&["--merge", "/dev/null", beside], 2, "cannot be used with");
    }
}

#[test]
fn more_connections_than_descriptors() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let program = stentor().get_program().to_owned();
    let script = "ulimit -n 200 && exec \"$0\" load \"$1\" -c 500 -q";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .args([program.as_os_str(), target.as_ref()])
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{err}");
    assert!(err.contains("this process may have 200 descriptors, and needs 564"), "{err}");
}

#[test]
fn the_soft_limit_is_raised_to_the_hard_one() {
    let server = crate::program::Server::start(&[]);
    let program = stentor().get_program().to_owned();
    let script = "ulimit -Sn 40 && exec \"$0\" load \"$1\" -c 100 -n 200 -r max --json -q";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .args([program.as_os_str(), server.v4.to_string().as_ref()])
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["result"]["requests"]["verified"], 200, "{json:#}");
}
