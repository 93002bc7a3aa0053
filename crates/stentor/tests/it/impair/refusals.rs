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
    check(&["8000", "127.0.0.1:8000"], 2, &["lead to itself"]);
    check(&["0.0.0.0:8000", "127.0.0.1:8000"], 2, &["lead to itself"]);
    check(&["-d", "1s", "9", "--", "true"], 2, &["--duration", "COMMAND"]);
    check(&["0", "no-such-host.invalid:1"], 3, &["no-such-host.invalid"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    check(&["-t", &port, "9"], 3, &["EADDRINUSE", &port]);
}

#[test]
fn files_that_are_no_traces_are_named_and_pipes_are_read_once() {
    let trace = |path: &str, code, words: &[&str]| {
        check(&["0", "9", "-d", "1ms", "--link", &format!("trace={path}")], code, words);
    };
    trace("/dev/zero", 2, &["/dev/zero is longer than 64 MiB"]);
    trace("/", 3, &["EISDIR"]);
    trace("/dev/null", 2, &["/dev/null: the trace lasts no time"]);
    let folder = std::env::temp_dir().join(format!("stentor-traces-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (equal, pipe) = (folder.join("equal"), folder.join("pipe"));
    std::fs::write(&equal, "7\n7\n7\n").unwrap();
    trace(equal.to_str().unwrap(), 0, &[]);
    // A pipe, as `trace=<(command)` makes one: named for two directions of two transports.
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if made.is_ok_and(|status| status.success()) {
        let path = pipe.clone();
        let writer = std::thread::spawn(move || std::fs::write(path, "5\n10\n").unwrap());
        trace(pipe.to_str().unwrap(), 0, &[]);
        writer.join().unwrap();
    } else {
        eprintln!("SKIPPED: this system has no mkfifo");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_preset_is_one_wherever_it_is_named() {
    let file = std::env::temp_dir().join(format!("stentor-preset-{}", std::process::id()));
    std::fs::write(&file, "link = 'delay=1ms'\n[[step]]\nat='1h'\nlink='loss=1%'\n").unwrap();
    let path = file.to_str().unwrap();
    check(&["0", "9", "-t", "-d", "1ms", "--scenario", path], 2, &["loss", "stream"]);
    check(&["0", "9", "-t", "-d", "1ms", "--up", "wifi"], 0, &["TCP cannot carry"]);
    std::fs::write(&file, "link = 'wifi'\n").unwrap();
    check(&["0", "9", "-t", "-d", "1ms", "--scenario", path], 0, &["TCP cannot carry"]);
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn decisions_that_cannot_be_written_are_told() {
    if !std::path::Path::new("/dev/full").exists() {
        eprintln!("SKIPPED: this system has no /dev/full");
        return;
    }
    let nobody =
        std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let program = crate::program::stentor().get_program().to_str().unwrap().to_owned();
    let arguments =
        ["impair", "-u", &nobody, "--link", "loss=100%", "--decisions", "/dev/full", "--"];
    let send = [&program, "send", "-u", "{}", "-w", "10ms", "--retry", "0", "lost"];
    let said = run(&[&arguments[..], &send].concat(), b"");
    assert_eq!(said.code, Some(125), "{}", said.err);
    assert!(said.err.contains("ENOSPC"), "{}", said.err);
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
