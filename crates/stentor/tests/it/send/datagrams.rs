//! What datagrams must do: lines and sizes, retries, and each kind of answer told apart.

use super::*;

#[test]
fn the_whole_range_of_datagrams_is_answered() {
    let sizes = [0, 1, 1472, 1473, 9000, 65_507];
    let (server, handle) = udp(sizes.len(), |_, question| vec![upper(question)]);
    let server = format!("udp://{server}");
    for size in sizes {
        let run = send(&server, &["a".repeat(size).as_str()]);
        let newline = if size == 0 { "" } else { "\n" };
        run.is(0, &("A".repeat(size) + newline), "");
    }
    handle.join().unwrap();
}

#[test]
fn each_line_is_a_datagram_and_each_answer_a_line() {
    let (server, handle) = udp(4, |_, question| {
        assert!(!question.contains(&b'\n'));
        vec![upper(question)]
    });
    let run = pipe(&server, &["-u", "--case", "ascii"], b"one\n\ntw\xff\nthree");
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert_eq!(run.out, b"ONE\n\nTW\xff\nTHREE");
    handle.join().unwrap();
}

#[test]
fn a_line_that_no_datagram_holds_is_refused_and_those_before_are_answered() {
    let (server, handle) = udp(1, |_, question| vec![upper(question)]);
    let input = [b"one\n".as_slice(), &[b'a'; 200_000]].concat();
    pipe(&server, &["-u"], &input).is(
        2,
        "ONE\n",
        "stentor: line 2 is too long, and a datagram holds at most 65507 (65,535 of an IPv4 \
         packet, less 20 of its header and 8 of the UDP header). Send it in pieces, or over TCP, \
         which has no such limit: leave out -u.\n",
    );
    handle.join().unwrap();
}

#[test]
fn a_lost_datagram_is_sent_again_and_every_answer_is_told_apart() {
    // The first question is answered at its third coming, and twice; the second at once.
    let (server, handle) = udp(4, |number, question| match number {
        0 | 1 => vec![],
        2 => vec![upper(question), upper(question)],
        _ => vec![upper(question)],
    });
    let run = pipe(&server, &["-u", "-J", "-w", "7s"], b"one\ntwo\n");
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let json: Value = serde_json::from_slice(&run.out).unwrap();
    let result = &json["result"];
    assert_eq!(result["answer"], "ONE\nTWO\n");
    assert_eq!(result["questions"]["verified"], 2);
    assert_eq!(result["datagrams"]["sent"], 4);
    assert_eq!(result["datagrams"]["received"], 3);
    assert_eq!(result["datagrams"]["duplicate"], 1);
    handle.join().unwrap();
}

#[test]
fn silent_late_and_wrong_datagrams_add_up() {
    let (server, handle) = udp(4, |number, question| match number {
        0 => vec![],
        1 => vec![b"ONE".to_vec(), upper(question)],
        2 => vec![b"THRee".to_vec()],
        _ => vec![],
    });
    let words = ["-u", "-J", "-w", "1500ms", "--retry", "0"];
    let run = pipe(&server, &words, b"one\ntwo\nthree\nfour\n");
    assert_eq!(run.code, Some(1));
    let json: Value = serde_json::from_slice(&run.out).unwrap();
    assert_eq!((&json["ok"], &json["exit_code"]), (&Value::Bool(false), &Value::from(1)));
    let count = |name: &str| json["result"]["questions"][name].as_u64().unwrap();
    assert_eq!(count("asked"), 4);
    let kinds = ["verified", "wrong", "late", "lost", "error"].map(count);
    assert_eq!(kinds, [1, 1, 1, 1, 0], "{}", run.err);
    let lines: Vec<&str> = run.err.lines().collect();
    let silent = "no answer from udp SERVER within 1.5s, sent once";
    assert_eq!(lines[0], format!("stentor: line 1: {silent}"));
    assert!(
        lines[1].starts_with("stentor: line 3: the answer of udp SERVER is not"),
        "{}",
        lines[1]
    );
    assert!(lines[1].ends_with("from byte 3 on (the first is 0) \"ee\" came instead of \"EE\""));
    assert_eq!(lines[2], format!("stentor: line 4: {silent}"));
    let total = "stentor: 3 of 4 questions to udp SERVER were not answered rightly in time: 1 \
                 silent, 1 late, 1 wrong.";
    assert!(lines[3].starts_with(total), "{}", lines[3]);
    handle.join().unwrap();
}

#[test]
fn a_silent_udp_server_is_a_failure() {
    let (server, handle) = udp(3, |_, _| vec![]);
    send(&server, &["-u", "-w", "1400ms", "hello"]).is(
        1,
        "",
        "stentor: no answer from udp SERVER within 1.4s, sent 3 times. Datagrams may be lost, or \
         dropped by a firewall: --retry sends more often, -w waits longer.\n",
    );
    handle.join().unwrap();
}

#[test]
fn a_port_where_nobody_takes_datagrams_is_reported_by_icmp() {
    // A connected socket takes datagrams from its peer alone: for others the port is closed.
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    held.connect(held.local_addr().unwrap()).unwrap();
    let server = held.local_addr().unwrap().to_string();
    let run = send(&server, &["-u", "hello"]);
    assert_eq!((run.code, run.out.as_slice()), (Some(3), b"".as_slice()));
    let expected = "udp SERVER: connection refused (ECONNREFUSED). An ICMP \"port unreachable\" \
                    came back: nothing listens on UDP port PORT there; start the server first \
                    (stentor serve), or check the port.\n";
    assert!(run.err.ends_with(expected), "{}", run.err);
}

#[test]
fn a_server_that_goes_in_the_middle_is_a_failure_of_its_own() {
    let (server, handle) = udp(1, |_, question| vec![upper(question)]);
    let mut child = start(&server, &["-u"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\n").unwrap();
    let mut answer = [0; 4];
    child.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ONE\n");
    // The server's socket is closed with its thread.
    handle.join().unwrap();
    stdin.write_all(b"two\n").unwrap();
    let run = Run::of(child.wait_with_output().unwrap(), &server);
    assert_eq!(run.code, Some(1), "{}", run.err);
    let expected = "udp SERVER: connection refused (ECONNREFUSED). The server was there and has \
                    gone: it ended, or was started again.\n";
    assert!(run.err.ends_with(expected), "{}", run.err);
}
