//! What cannot be reached, and what cannot be asked for.

use super::*;

#[test]
fn a_refused_connection_says_what_to_do() {
    let (_held, server) = refusing();
    send(&server, &["hello"]).is(
        3,
        "",
        "stentor: connect tcp SERVER: connection refused (ECONNREFUSED). The machine answers, but \
         nothing listens on port PORT: start the server first (stentor serve), or check the \
         port.\n",
    );
}

#[test]
fn an_unknown_host_and_an_unreachable_one_say_what_to_do() {
    let run = send("nobody.invalid:12000", &["hello"]);
    assert_eq!((run.code, run.out.as_slice()), (Some(3), b"".as_slice()));
    assert!(run.err.starts_with("stentor: resolve nobody.invalid: "), "{}", run.err);
    assert!(run.err.ends_with("getent ahosts nobody.invalid\n"), "{}", run.err);
    // A TCP connection to a broadcast address has no route (Linux: ENETUNREACH).
    let run = send("255.255.255.255:12000", &["hello"]);
    assert_eq!((run.code, run.out.as_slice()), (Some(3), b"".as_slice()));
    assert!(run.err.contains("network is unreachable (ENETUNREACH). No route"), "{}", run.err);
}

#[test]
fn every_address_of_a_name_is_tried() {
    let (server, _handle) = tcp(good);
    let name = server.replace("127.0.0.1", "localhost");
    send(&name, &["hello"]).is(0, "HELLO\n", "");
}

#[test]
fn what_cannot_be_is_explained_before_anything_is_sent() {
    let check = |words: &[&str], err: &str| {
        let output = stentor(words).output().unwrap();
        Run::of(output, "127.0.0.1:0000000").is(2, "", &format!("stentor: {err}\n"));
    };
    let large = "a".repeat(65_508);
    check(
        &["-u", &large],
        "the message has 65508 bytes, and a datagram holds at most 65507 (65,535 of an IPv4 \
         packet, less 20 of its header and 8 of the UDP header). Send it in pieces, or over TCP, \
         which has no such limit: leave out -u.",
    );
    check(
        &["-u", "tcp://127.0.0.1:1", "x"],
        "-u asks for UDP, and tcp://127.0.0.1:1 for tcp. Leave one of them out.",
    );
    check(
        &["-p", "1", "h:1", "x"],
        "-p beside a target that has its port. -p is the port of the default host, 127.0.0.1: \
         write HOST:PORT, or -p.",
    );
    check(&["-w", "0s", "x"], "-w 0: nothing answers in no time. Say -w 5s.");
    check(&["--chunk", "0", "x"], "--chunk 0 would never send anything");
    check(
        &["-u", "--rst", "x"],
        "--rst over UDP: a datagram is sent whole, and has no connection. Leave out -u.",
    );
    check(
        &["tcp://127.0.0.1", "x"],
        "\"127.0.0.1\" has no port: write HOST:PORT, such as 127.0.0.1:12000. A target is \
         tcp://HOST:PORT, udp://HOST:PORT, unix:PATH or HOST:PORT.",
    );
    for (words, word) in [
        (["--frobnicate", "x"], "unexpected argument '--frobnicate'"),
        (["-w5", "x"], "\"5\" is not a time with its unit"),
        (["--split=5", "x"], "\"5\" is not N@TIME"),
        (["--chunk=5x", "x"], "\"5x\" is not an amount"),
    ] {
        let output = stentor(&words).output().unwrap();
        let run = Run::of(output, "127.0.0.1:0000000");
        assert_eq!(run.code, Some(2));
        assert!(run.err.contains(word), "{}", run.err);
    }
}
