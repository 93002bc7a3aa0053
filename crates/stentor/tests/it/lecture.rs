//! The lecture's programs at either end of ours, in Python and in Rust.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::program::{Server, run};

/// A program of the lecture, ended when dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lecture's `name` in every language that is here.
fn versions(name: &str) -> Vec<(String, Command)> {
    let mut versions = Vec::new();
    // Built beside the program under test when the whole workspace is.
    let rust = PathBuf::from(env!("CARGO_BIN_EXE_stentor")).with_file_name(name);
    if rust.exists() {
        versions.push((format!("{name} (Rust)"), Command::new(rust)));
    } else {
        eprintln!("SKIPPED: {name} in Rust is not built; cargo test --workspace builds it");
    }
    if Command::new("python3").arg("--version").output().is_ok() {
        let file = format!("{}/../../lecture/python/{name}.py", env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new("python3");
        command.arg("-u").arg(file);
        versions.push((format!("{name} (Python)"), command));
    } else {
        eprintln!("SKIPPED: python3 is missing, so {name}.py cannot run");
    }
    versions
}

/// The lecture's client, told a sentence on standard input; what it printed.
fn ask(mut client: Command, port: u16, sentence: &str) -> String {
    client.args(["127.0.0.1", &port.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = client.spawn().unwrap();
    child.stdin.take().unwrap().write_all(sentence.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn the_lectures_clients_are_answered_by_serve() {
    for service in ["upper", "sentence"] {
        for mode in ["reactor", "iterative"] {
            let server = Server::start(&["--service", service, "--mode", mode]);
            for name in ["tcp_client", "udp_client"] {
                for (called, client) in versions(name) {
                    let printed = ask(client, server.v4.port(), "hello lecture\n");
                    let expected = "From Server: HELLO LECTURE";
                    assert!(printed.contains(expected), "{called}, {service}, {mode}: {printed:?}");
                }
            }
        }
    }
}

#[test]
fn the_lectures_servers_answer_send() {
    for name in ["tcp_server", "udp_server"] {
        for (called, mut server) in versions(name) {
            let child = server.arg("0").stdout(Stdio::piped()).spawn().unwrap();
            let mut program = Program(child);
            let mut ready = String::new();
            let out = program.0.stdout.take().unwrap();
            BufReader::new(out).read_line(&mut ready).unwrap();
            let port = ready.split_whitespace().last().unwrap();
            let target = format!("{}://127.0.0.1:{port}", &name[..3]);
            for sentence in ["hello", "a second sentence"] {
                let said = run(&["send", &target, sentence], b"");
                assert_eq!(said.code, Some(0), "{called}: {}", said.err);
                assert_eq!(said.out().trim_end(), sentence.to_uppercase(), "{called}");
            }
        }
    }
}

#[test]
fn half_an_answer_from_the_lectures_half_server_is_noticed() {
    for (called, mut server) in versions("half_server") {
        let child = server.arg("0").stdout(Stdio::piped()).spawn().unwrap();
        let mut program = Program(child);
        let mut ready = String::new();
        let out = program.0.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut ready).unwrap();
        let port = ready.split_whitespace().last().unwrap();
        let said = run(&["send", &format!("127.0.0.1:{port}"), "hello"], b"");
        assert_eq!(said.code, Some(1), "{called}: {}", said.err);
    }
}
