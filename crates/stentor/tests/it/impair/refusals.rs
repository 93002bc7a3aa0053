//! What `impair` refuses, and with which words.

use crate::program::run;

/// Runs `impair` and expects it to refuse with `code` and all of these words.
fn check(arguments: &[&str], code: i32, words: &[&str]) {
    let said = run(&[&["impair"], arguments].concat(), b"");
    assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
    for word in words {
        assert!(said.err.contains(word), "{arguments:?}: {word} in {}", said.err);
    }
}

#[test]
fn words_that_mean_nothing_are_named() {
    let link = |words, expected: &[&str]| check(&["1", "2", "--link", words], 2, expected);
    link("dealy=5ms", &["dealy", "delay"]);
    link("delay=5", &["\"5\" is not a time"]);
    link("rate=0bit", &["deliver nothing"]);
    link("loss=120%", &["probability"]);
    link("delay=2h", &["longer than an hour"]);
    link("delay=1ms,delay=2ms", &["given twice"]);
    link("loss=1%,3g", &["write it first"]);
    link("queue=5p", &["rate"]);
    check(&["1", "2", "--up", "nothing=1"], 2, &["--up", "nothing"]);
    check(&["1", "2", "-t", "--link", "loss=1%"], 2, &["loss", "stream"]);
    check(&["1", "2", "-u", "--link", "stall=1s/4s"], 2, &["stall", "datagram"]);
    check(
        &["1", "2", "--link", "loss=1%,stall=1s/4s"],
        2,
        &["without TCP: loss", "without UDP: stall"],
    );
    check(&["1", "2", "--link", "trace=/no/such/file"], 3, &["/no/such/file", "ENOENT"]);
}

#[test]
fn addresses_that_do_not_fit_are_named() {
    check(&[], 2, &["two addresses"]);
    check(&["8000"], 2, &["two addresses"]);
    check(&["8000", "nowhere"], 2, &["TARGET nowhere", "no port"]);
    check(&["unix:/tmp/x", "1"], 2, &["LISTEN", "TCP and UDP"]);
    check(&["tcp://127.0.0.1:1", "udp://127.0.0.1:2"], 2, &["contradict"]);
    check(&["0", "no-such-host.invalid:1"], 3, &["no-such-host.invalid"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    check(&["-t", &port, "9"], 3, &["EADDRINUSE", &port]);
}

#[test]
fn a_scenario_that_is_none_is_named_by_line() {
    let file = std::env::temp_dir().join(format!("stentor-scenario-{}", std::process::id()));
    let path = file.to_str().unwrap();
    let check = |text: &str, words: &[&str]| {
        std::fs::write(&file, text).unwrap();
        check(&["0", "9", "--scenario", path], 2, words);
    };
    check("[[step]]\nat = 5\n", &["line 2", path]);
    check("[[step]]\nat = '5s'\nlink = 'loss=2'\n", &["step 1", "loss"]);
    check("[[step]]\nat='5s'\nlink='loss=2%'\n[[step]]\nat='1s'\nlink='loss=0%'", &["step 2"]);
    std::fs::remove_file(&file).unwrap();
}
