//! How runs end, and what they leave: signals, conditions, files, and logs added up.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{load, told};
use crate::program::{Said, Server, run, stentor};

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("stentor-load-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs `load` until it has shown a line of its course, then sends it `signals`.
fn interrupted(target: &str, more: &[&str], signals: usize) -> super::Told {
    let mut child = stentor()
        .args(["load", target, "--json", "-v", "--interval", "50ms", "-d", "1h"])
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut notices = BufReader::new(child.stderr.take().unwrap());
    let mut err = String::new();
    // What is about to be done, then the first interval.
    notices.read_line(&mut err).unwrap();
    notices.read_line(&mut err).unwrap();
    for _ in 0..signals {
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }
    let reader = std::thread::spawn(move || {
        let mut rest = String::new();
        notices.read_to_string(&mut rest).map(|_| rest)
    });
    let output = child.wait_with_output().unwrap();
    err += &reader.join().unwrap().unwrap();
    told(Said { code: output.status.code(), out: output.stdout, err })
}

#[test]
fn an_interrupted_run_reports_what_it_has() {
    let server = Server::start(&[]);
    let told = interrupted(&format!("tcp://{}", server.v4), &["-r", "500"], 1);
    assert_eq!(told.said.code, Some(130), "{}", told.said.err);
    assert_eq!(told.json["result"]["interrupted"], true);
    assert!(told.requests("verified") > 0);
    assert_eq!(told.requests("verified"), told.requests("sent"), "{:#}", told.json);
    assert!(told.json["warnings"].to_string().contains("interrupted"), "{:#}", told.json);
}

#[test]
fn a_second_signal_does_not_wait_for_replies() {
    let server = Server::start(&["--fault", "silent"]);
    let more = ["-r", "500", "-w", "1h", "-c", "5"];
    let told = interrupted(&format!("tcp://{}", server.v4), &more, 2);
    assert_eq!(told.said.code, Some(130), "{}", told.said.err);
    assert_eq!(told.requests("error"), 5, "{:#}", told.json);
    assert_eq!(told.number(&["result", "errors", "stopped"]), 5, "{:#}", told.json);
}

#[test]
fn conditions_decide_how_it_ends() {
    let server = Server::start(&[]);
    let target = format!("tcp://{}", server.v4);
    load(&target, &["-n", "50", "--fail-if", "p99>1h", "--fail-if", "loss>0"]).is_good(50);
    load(&target, &["-n", "50", "--fail-if", "p50>1ns"]).is_bad("p50>1ns: it was ");
    load(&target, &["-n", "50", "--fail-if", "p50>1h", "--fail-if", "max>=1ns"]).is_bad("max>=1ns");
    // What a person allows is no failure.
    let faulty = Server::start(&["--fault", "truncate:20%", "--seed", "3"]);
    let target = format!("udp://{}", faulty.v4);
    load(&target, &["-n", "50"]).is_bad("wrong");
    let allowed = load(&target, &["-n", "50", "--fail-if", "wrong>90%"]);
    assert_eq!(allowed.said.code, Some(0), "{:#}", allowed.json);
}

#[test]
fn a_rate_that_is_not_reached_is_said() {
    // Each answer takes 100 ms at least, so one connection has at most ten a second.
    let server = Server::start(&["--fault", "late=100ms"]);
    let arguments = ["-c", "1", "-r", "1000", "-d", "300ms", "-w", "500ms"];
    let told = load(&format!("tcp://{}", server.v4), &arguments);
    assert_eq!(told.requests("offered"), 300, "{:#}", told.json);
    assert!(told.requests("unsent") > 200, "{:#}", told.json);
    assert!(told.json["warnings"].to_string().contains("the rate was not reached"));
}

#[test]
fn a_stall_is_in_the_percentiles_of_a_rate_and_hidden_by_the_closed_loop() {
    let server = Server::start(&["--fault", "stall=500ms/1s"]);
    let target = format!("tcp://{}", server.v4);
    let p90 = |told: &super::Told| told.number(&["result", "latency", "p90_ns"]);
    let open = load(&target, &["-r", "200", "-d", "2s", "-c", "4"]);
    let closed = load(&target, &["-r", "max", "-d", "2s", "-c", "4"]);
    assert!(p90(&open) > p90(&closed), "{:#} {:#}", open.json, closed.json);
    assert!(closed.json["warnings"].to_string().contains("hides waiting"));
}

#[test]
fn every_form_is_written_and_logs_add_up() {
    let folder = folder("forms");
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let server = Server::start(&[]);
    let target = format!("tcp://{}", server.v4);
    let mut arguments = vec!["load".to_owned(), target, "-n".into(), "300".into(), "-q".into()];
    for name in ["r.txt", "r.json", "r.csv", "r.html", "r.svg", "one.hdr"] {
        arguments.extend(["-o".to_owned(), file(name)]);
    }
    arguments.extend(["--hdr".into(), file("two.log"), "--html".into(), file("page")]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = run(&arguments, b"");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out());
    assert!(said.out().contains("verified 300 of 300 replies"), "{}", said.out());
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(read("r.txt").contains("verified 300 of 300 replies"));
    let json: serde_json::Value = serde_json::from_str(&read("r.json")).unwrap();
    assert_eq!(json["result"]["requests"]["verified"], 300);
    assert!(read("r.csv").starts_with("from_ns,"));
    assert!(read("r.html").starts_with("<!DOCTYPE html>") && read("page") == read("r.html"));
    assert!(read("r.svg").starts_with("<svg") && read("one.hdr") == read("two.log"));
    let merged = told(run(&["load", "--json", "--merge", &file("one.hdr"), &file("two.log")], b""));
    merged.is_merged(600);
    let bad = ["load", "--json", "--fail-if", "p50>1ns", "--merge", &file("one.hdr")];
    told(run(&bad, b"")).is_bad("p50>1ns");
    std::fs::remove_dir_all(&folder).unwrap();
}

impl super::Told {
    fn is_merged(&self, sent: u64) {
        assert_eq!(self.said.code, Some(0), "{:#}", self.json);
        assert_eq!((self.requests("sent"), self.requests("verified")), (sent, sent));
        assert_eq!(self.number(&["result", "latency", "count"]), sent);
    }
}
