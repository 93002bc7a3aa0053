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
