//! `impair -- COMMAND`: run with the proxy's address, its exit code passed on.

use super::checked;
use crate::program::{Server, run, stentor};

#[test]
fn a_command_is_run_through_the_proxy() {
    let server = Server::start(&[]);
    let program = stentor().get_program().to_str().unwrap().to_owned();
    let target = server.v4.to_string();
    let through = |arguments: &[&str], command: &[&str]| {
        run(&[&["impair", &target], arguments, &["--"], command].concat(), b"")
    };
    let said = through(&["--link", "delay=1ms"], &[&program, "send", "{}", "hello"]);
    assert_eq!((said.code, said.out().as_str()), (Some(0), "HELLO\n"), "{}", said.err);
    assert!(said.err.contains("connections  1 = 1 in order"), "{}", said.err);

    let said = through(&["--json", "-u"], &[&program, "send", "-q", "udp://{}"]);
    assert_eq!(said.code, Some(2), "send has no -q: its own code");
    let said = through(
        &["-q", "--link", "loss=100%"],
        &[&program, "send", "-w", "50ms", "--retry", "0", "udp://{}", "lost"],
    );
    assert_eq!(said.code, Some(1), "{}", said.err);
}

#[test]
fn codes_of_the_command_are_its_own() {
    let check = |command: &[&str], expected: i32| {
        let said = run(&[&["impair", "127.0.0.1:9", "-q", "--"], command].concat(), b"");
        assert_eq!(said.code, Some(expected), "{command:?}: {}", said.err);
    };
    check(&["true"], 0);
    check(&["sh", "-c", "exit 7"], 7);
    check(&["sh", "-c", "kill -9 $$"], 137);
    check(&["no-such-program-here"], 127);
    check(&["/etc/passwd"], 126);
    check(&["sh", "-c", "case $1 in 127.0.0.1:?*) exit 0; esac; exit 1", "sh", "{}"], 0);
}

#[test]
fn its_json_adds_up_and_repeats_the_seed() {
    let server = Server::start(&[]);
    let program = stentor().get_program().to_str().unwrap().to_owned();
    let target = server.v4.to_string();
    let arguments =
        ["impair", &target, "--json", "--seed", "42", "--link", "3g,delay=1ms", "--", &program];
    let said = run(&[&arguments[..], &["send", "tcp://{}", "--json", "hi"]].concat(), b"");
    // Two objects: the command's own, then the report.
    let at = said.out().find("\n{").unwrap() + 1;
    let object = checked(&said.out[at..]);
    assert_eq!(object["schema"], "stentor.impair/1");
    assert_eq!(object["config"]["seed"], 42);
    assert_eq!(object["result"]["streams"][0]["accepted"], 1);
    assert_eq!(object["result"]["streams"][0]["up_sent_bytes"], 2);
}
