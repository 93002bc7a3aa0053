//! How runs end and what they leave: files, signals, refusals.

use std::io::Read;
use std::process::{Command, Stdio};

use super::told;
use crate::program::{Said, Server, run, stentor};

#[test]
fn every_form_is_written_and_well_formed() {
    let server = Server::start(&[]);
    let folder = std::env::temp_dir().join(format!("stentor-qualify-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let files = ["r.txt", "r.json", "r.svg", "r.html"].map(file);
    let target = server.v4.to_string();
    let mut arguments = vec!["qualify", target.as_str(), "-d", "1s", "--cap", "1Mbit"];
    for file in &files {
        arguments.extend(["-o", file.as_str()]);
    }
    let said = run(&arguments, b"");
    assert_eq!(said.code, Some(0), "{}{}", said.out(), said.err);
    let [text, json, svg, html] = files.map(|file| std::fs::read_to_string(file).unwrap());
    assert_eq!(text, said.out());
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 80 && !text.contains('\x1b'), "{widest}\n{text}");
    for title in ["file transfer", "e-mail", "Web documents", "real-time audio/video"] {
        assert!(text.contains(title) && html.contains(title), "{title}\n{text}");
    }
    serde_json::from_str::<serde_json::Value>(&json).unwrap();
    roxmltree::Document::parse(&svg).unwrap();
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    roxmltree::Document::parse_with_options(&html, options).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_interrupt_leaves_the_report_so_far() {
    let server = Server::start(&[]);
    let mut child = stentor()
        .args(["qualify", &server.v4.to_string(), "--json", "-d", "600s", "--cap", "1Mbit"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Once the service has been asked, the signals are taken over.
    while !busy(server.v4.port()) {
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = told(Said { code: output.status.code(), out, err });
    assert_eq!(told.said.code, Some(130), "{:#}", told.json);
    assert_eq!(told.at("result.interrupted"), true);
}

/// Whether somebody is connected to a port over TCP (/proc/net/tcp, proc_net(5)).
fn busy(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let remote = format!(":{port:04X}");
    table.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(2);
        let (peer, state) = (words.next().unwrap(), words.next().unwrap());
        peer.ends_with(&remote) && state == "01"
    })
}

#[test]
fn what_cannot_be_asked_for() {
    for (arguments, expected) in [
        (&["--for", "fax"][..], "\"fax\" is no application: file, mail, web"),
        (&["--limit", "speed=1"], "\"speed\" is no quantity: loss, delay"),
        (&["-d", "10ms"], "-d 10ms. From 1s to 600s."),
        (&["-w", "0s"], "-w 0s. From 10ms to 60s."),
        (&["--cap", "1"], "--cap 8bit. From 10kbit to 10Gbit."),
        (&["-t", "-u"], "cannot be used with"),
        (&["--seed", "1"], "--link <SPEC>"),
        (&["unix:/tmp/s"], "a unix socket is no path through a network"),
        (&["-t", "udp://127.0.0.1:7"], "the flags ask for tcp, and the target for udp"),
        (&["-p", "1", "127.0.0.1:1"], "-p beside a target that has its port"),
        (&["127.0.0.1:0"], "port 0: nothing can be reached there"),
        (&["-o", "report.doc"], "-o report.doc: its name does not say its form. One of .txt"),
    ] {
        let said = run(&[&["qualify"], arguments].concat(), b"");
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(expected), "{arguments:?}: {}", said.err);
        assert_eq!(said.out(), "");
    }
    let told = told(run(&["qualify", "--json", "-d", "1h"], b""));
    assert_eq!(told.said.code, Some(2));
    assert!(told.json["result"].is_null() && told.json["config"].is_null());
}

fn folder(name: &str) -> std::path::PathBuf {
    let folder =
        std::env::temp_dir().join(format!("stentor-qualify-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// What a quick run of one transport is asked for.
const QUICK: [&str; 6] = ["-q", "-u", "-d", "1s", "--cap", "1Mbit"];

#[test]
fn a_file_that_cannot_be_written_costs_no_other() {
    let server = Server::start(&[]);
    let target = server.v4.to_string();
    let folder = folder("full");
    // One of the forms at least is written after the one that fails, whatever the order.
    let full = folder.join("full.svg");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let [json, text, page] = ["r.json", "r.txt", "r.html"].map(|name| folder.join(name));
    let files = [&json, &full, &text, &page].map(|path| path.to_str().unwrap());
    let mut arguments = [&["qualify", target.as_str()][..], &QUICK].concat();
    arguments.extend(files.iter().flat_map(|file| ["-o", file]));
    let said = run(&arguments, b"");
    assert_eq!(said.code, Some(3), "{}{}", said.out(), said.err);
    let refusal = format!("write {}: no space left on device (ENOSPC)", full.display());
    assert!(said.err.contains(&refusal), "{}", said.err);
    assert!(said.out().contains("real-time audio/video"), "{}", said.out());
    let read = |path| std::fs::read_to_string(path).unwrap();
    assert_eq!(read(&text), said.out());
    assert!(read(&page).trim_end().ends_with("</html>"));
    let object = Said { out: read(&json).into_bytes(), ..said };
    assert!(told(object).error().contains(&refusal), "{}", read(&json));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_was_in_a_file_stays_until_there_is_a_report() {
    let folder = folder("kept");
    let [page, json] = ["old.html", "old.json"].map(|name| folder.join(name));
    let files = ["-o", page.to_str().unwrap(), "-o", json.to_str().unwrap()];
    let old = "old".repeat(100_000);
    let restore = || [&page, &json].map(|path| std::fs::write(path, &old).unwrap());
    restore();
    let said = run(&[&["qualify", "nobody.invalid:1", "-q"][..], &files].concat(), b"");
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(std::fs::read_to_string(&page).unwrap() == old, "the old page is gone");
    // The object tells how the run ended, however it ended.
    let object = Said { out: std::fs::read(&json).unwrap(), ..said };
    assert!(told(object).json["result"].is_null());
    restore();
    let server = Server::start(&[]);
    let target = server.v4.to_string();
    let said = run(&[&["qualify", target.as_str()][..], &QUICK, &files].concat(), b"");
    assert_eq!(said.code, Some(0), "{}{}", said.out(), said.err);
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.starts_with("<!DOCTYPE html>") && text.trim_end().ends_with("</html>"));
    let object = Said { out: std::fs::read(&json).unwrap(), ..said };
    told(object);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_reader_who_has_gone_changes_no_verdict() {
    let server = Server::start(&[]);
    let target = server.v4.to_string();
    for json in [&[][..], &["--json"]] {
        let mut child = stentor()
            .args(["qualify", &target, "--limit", "delay=0ms", "--for", "game"])
            .args(QUICK)
            .args(json)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(1), "no path is without delay");
    }
}
