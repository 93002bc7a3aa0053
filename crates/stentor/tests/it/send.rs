//! `stentor send` against servers that behave, and against servers that do not.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

/// No server waits longer than this for a client that has gone astray.
const ASTRAY: Duration = Duration::from_secs(60);

/// How a run of the program ended, with the server's address written as `SERVER`.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    out: Vec<u8>,
    err: String,
}

impl Run {
    fn of(output: Output, server: &str) -> Run {
        let port = server.rsplit(':').next().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        let err = err.replace(server, "SERVER").replace(port, "PORT");
        Run { code: output.status.code(), out: output.stdout, err }
    }

    #[track_caller]
    fn is(&self, code: i32, out: &str, err: &str) {
        let shown = String::from_utf8_lossy(&self.out);
        assert_eq!((self.code, shown.as_ref(), self.err.as_str()), (Some(code), out, err));
    }
}

fn stentor(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stentor"));
    command.arg("send").args(words).env_remove("NO_COLOR");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `send SERVER words...`.
fn send(server: &str, words: &[&str]) -> Run {
    Run::of(stentor(&[&[server], words].concat()).output().unwrap(), server)
}

/// Runs `send SERVER words... < input`.
fn pipe(server: &str, words: &[&str], input: &[u8]) -> Run {
    let mut child = start(server, words);
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = thread::spawn(move || {
        // The program may stop reading when the server fails.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Run::of(output, server)
}

fn start(server: &str, words: &[&str]) -> Child {
    stentor(&[&[server], words].concat()).stdin(Stdio::piped()).spawn().unwrap()
}

/// A TCP server for one client.
fn tcp<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (String, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let handle = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(ASTRAY)).unwrap();
        serve(stream)
    });
    (address, handle)
}

/// A UDP server that answers each datagram with those that `answer` gives, `count` times.
fn udp(
    count: usize,
    mut answer: impl FnMut(usize, &[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> (String, JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(ASTRAY)).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let handle = thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        for number in 0..count {
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            for answer in answer(number, &buffer[..length]) {
                socket.send_to(&answer, from).unwrap();
            }
        }
    });
    (address, handle)
}

fn upper(bytes: &[u8]) -> Vec<u8> {
    bytes.to_ascii_uppercase()
}

/// Upper case to the end, as the service of this project answers; gives back what it read.
fn good(mut stream: TcpStream) -> Vec<u8> {
    let (mut read, mut buffer) = (Vec::new(), vec![0; 65_536]);
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => return read,
            count => {
                stream.write_all(&upper(&buffer[..count])).unwrap();
                read.extend_from_slice(&buffer[..count]);
            }
        }
    }
}

/// Reads exactly five bytes.
fn five(stream: &mut TcpStream) -> [u8; 5] {
    let mut bytes = [0; 5];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Letters and bytes that are no text, never the same 64 KiB twice.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..count.div_ceil(8)).flat_map(|_| step()).take(count).collect()
}

/// An address of TCP that refuses, held so that nobody else gets it.
fn refusing() -> (socket2::Socket, String) {
    let held = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    held.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = held.local_addr().unwrap().as_socket().unwrap().to_string();
    (held, address)
}

#[test]
fn a_message_is_sent_without_a_newline_and_its_answer_printed_with_one() {
    let (server, handle) = tcp(good);
    send(&server, &["hello", "wide", "world"]).is(0, "HELLO WIDE WORLD\n", "");
    assert_eq!(handle.join().unwrap(), b"hello wide world");
    let (server, _handle) = tcp(good);
    send(&server, &["hello\n"]).is(0, "HELLO\n", "");
    let (server, _handle) = tcp(good);
    send(&server, &[""]).is(0, "", "");
}

#[test]
fn the_lectures_server_that_reads_once_is_enough() {
    let (server, _handle) = tcp(|mut stream| {
        let mut sentence = [0; 1024];
        let count = stream.read(&mut sentence).unwrap();
        stream.write_all(&upper(&sentence[..count])).unwrap();
    });
    send(&server, &["hello"]).is(0, "HELLO\n", "");
}

#[test]
fn the_server_is_told_that_no_more_comes_before_it_has_answered() {
    let late = |mut stream: TcpStream| {
        let mut read = Vec::new();
        stream.read_to_end(&mut read).unwrap();
        stream.write_all(&upper(&read)).unwrap();
    };
    let (server, _handle) = tcp(late);
    send(&server, &["hello"]).is(0, "HELLO\n", "");
    let (server, handle) = tcp(|mut stream| {
        let mut read = Vec::new();
        stream.read_to_end(&mut read).unwrap();
        read
    });
    let run = send(&server, &["--no-half-close", "-w", "200ms", "hello"]);
    run.is(
        1,
        "",
        "stentor: no answer from tcp SERVER within 200ms: 0 of 5 bytes owed. It may wait for a \
         newline or for the end of the input, or be busy with another client; -w waits longer.\n",
    );
    assert_eq!(handle.join().unwrap(), b"hello");
}

#[test]
fn bytes_of_any_kind_pass_through_unaltered() {
    let input = noise(3_000_017);
    let (server, handle) = tcp(good);
    let run = pipe(&server, &["--case", "ascii"], &input);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert!(run.out == upper(&input), "the answer was altered");
    assert!(handle.join().unwrap() == input, "the question was altered");
}

#[test]
fn small_buffers_do_not_deadlock() {
    let input = noise(100_000);
    let (server, _handle) = tcp(|stream| {
        let socket = socket2::SockRef::from(&stream);
        socket.set_recv_buffer_size(4096).unwrap();
        socket.set_send_buffer_size(4096).unwrap();
        good(stream);
    });
    let run = pipe(&server, &["--case", "ascii"], &input);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert!(run.out == upper(&input));
}

#[test]
fn more_than_all_buffers_hold_does_not_deadlock() {
    // Linux lets a connection queue at most 4 MiB to send and 6 MiB to read at either end.
    let input = noise(1 << 20).repeat(32);
    let (server, _handle) = tcp(good);
    let run = pipe(&server, &["--case", "ascii"], &input);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert!(run.out == upper(&input));
}

#[test]
fn a_server_may_read_everything_before_it_answers() {
    // More is owed than is kept byte for byte.
    let input = noise(4_000_000);
    let (server, _handle) = tcp(|mut stream| {
        let mut read = Vec::new();
        stream.read_to_end(&mut read).unwrap();
        stream.write_all(&upper(&read)).unwrap();
    });
    let run = pipe(&server, &["--case", "ascii"], &input);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert!(run.out == upper(&input));
}

#[test]
fn half_an_answer_is_noticed() {
    let half = |mut stream: TcpStream| {
        let bytes = five(&mut stream);
        stream.write_all(&upper(&bytes[..2])).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let _ = stream.read(&mut [0]);
    };
    let (server, _handle) = tcp(half);
    send(&server, &["hello"]).is(
        1,
        "HE\n",
        "stentor: half an answer from tcp SERVER: it closed after 2 of 5 bytes owed. The server \
         reads once, or stops early; --no-verify takes any answer.\n",
    );
    let (server, _handle) = tcp(half);
    send(&server, &["--no-verify", "hello"]).is(0, "HE\n", "");
}

#[test]
fn no_answer_is_never_a_success() {
    let mute = |mut stream: TcpStream| {
        five(&mut stream);
    };
    let (server, _handle) = tcp(mute);
    send(&server, &["hello"]).is(
        1,
        "",
        "stentor: no answer from tcp SERVER: it closed after 0 of 5 bytes owed. The server reads \
         once, or stops early; --no-verify takes any answer.\n",
    );
    let (server, _handle) = tcp(mute);
    send(&server, &["--no-verify", "hello"]).is(
        1,
        "",
        "stentor: tcp SERVER: nothing was answered\n",
    );
}

#[test]
fn a_wrong_answer_is_shown_from_its_first_wrong_byte() {
    let (server, _handle) = tcp(|mut stream| {
        five(&mut stream);
        stream.write_all(b"HElLO").unwrap();
    });
    send(&server, &["hello"]).is(
        1,
        "HElLO\n",
        "stentor: the answer of tcp SERVER is not the upper case of what was sent: from byte 2 on \
         (the first is 0) \"lLO\" came instead of \"LLO\". --case ascii if only a-z get capitals \
         there; --no-verify takes any answer.\n",
    );
    let (server, _handle) = tcp(|mut stream| {
        five(&mut stream);
        stream.write_all(b"HELLO!").unwrap();
    });
    send(&server, &["hello"]).is(
        1,
        "HELLO!\n",
        "stentor: the answer of tcp SERVER is longer than is owed: after 5 bytes came \"!\". \
         --case ascii if only a-z get capitals there; --no-verify takes any answer.\n",
    );
}

#[test]
fn a_server_that_talks_for_ever_is_left() {
    let (server, _handle) = tcp(|mut stream| {
        // Ends when the client has gone.
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let run = send(&server, &["hello"]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.err.contains("from byte 0 on"), "{}", run.err);
}

#[test]
fn a_reset_says_how_much_had_come() {
    let (server, _handle) = tcp(|mut stream| {
        five(&mut stream);
        stream.write_all(b"HEL").unwrap();
        // The client has the three bytes and has ended its side before the reset.
        stream.read(&mut [0]).unwrap();
        let socket = socket2::SockRef::from(&stream);
        while stentor_os::net::queues::unacknowledged(&stream).unwrap() > 0 {
            thread::yield_now();
        }
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    });
    send(&server, &["hello"]).is(
        1,
        "HEL\n",
        "stentor: recv tcp SERVER: connection reset by peer (ECONNRESET), after 3 of 5 bytes \
         owed. The server ended the connection with something of ours unread, or crashed: it \
         reads once, or takes less than was sent.\n",
    );
}

#[test]
fn a_silent_server_is_given_up() {
    // The thread's result holds the connection open.
    let (server, _handle) = tcp(|mut stream| {
        five(&mut stream);
        stream.write_all(b"HE").unwrap();
        stream
    });
    send(&server, &["-w", "300ms", "hello"]).is(
        1,
        "HE\n",
        "stentor: no answer from tcp SERVER within 300ms: 2 of 5 bytes owed. It may wait for a \
         newline or for the end of the input, or be busy with another client; -w waits longer.\n",
    );
}

#[test]
fn a_server_that_never_closes_is_left_once_all_is_answered() {
    let (server, _handle) = tcp(|mut stream| {
        let bytes = five(&mut stream);
        stream.write_all(&upper(&bytes)).unwrap();
        stream
    });
    send(&server, &["-w", "100ms", "hello"]).is(
        0,
        "HELLO\n",
        "stentor: the server had not closed its side after 100ms\n",
    );
    let (server, _handle) = tcp(|mut stream| {
        let bytes = five(&mut stream);
        stream.write_all(&upper(&bytes)).unwrap();
        stream
    });
    send(&server, &["--no-half-close", "hello"]).is(0, "HELLO\n", "");
}

#[test]
fn a_server_that_closes_while_the_input_is_open_has_answered_all_it_was_asked() {
    let (server, _handle) = tcp(|mut stream| {
        let bytes = five(&mut stream);
        stream.write_all(&upper(&bytes)).unwrap();
    });
    let mut child = start(&server, &[]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hello").unwrap();
    let output = child.wait_with_output().unwrap();
    Run::of(output, &server).is(0, "HELLO", "");
    drop(stdin);
}

#[test]
fn more_input_than_the_server_reads_is_a_failure() {
    let (server, _handle) = tcp(|mut stream| {
        let bytes = five(&mut stream);
        stream.write_all(&upper(&bytes)).unwrap();
    });
    let run = pipe(&server, &[], &vec![b'a'; 20_000_000]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.out.starts_with(b"AAAAA"));
    assert!(run.err.contains("(ECONNRESET)") || run.err.contains("(EPIPE)"), "{}", run.err);
}

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
    let run = pipe(&server, &["-u", "-J", "-w", "700ms"], b"one\ntwo\n");
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
    let words = ["-u", "-J", "-w", "300ms", "--retry", "0"];
    let run = pipe(&server, &words, b"one\ntwo\nthree\nfour\n");
    assert_eq!(run.code, Some(1));
    let json: Value = serde_json::from_slice(&run.out).unwrap();
    assert_eq!((&json["ok"], &json["exit_code"]), (&Value::Bool(false), &Value::from(1)));
    let count = |name: &str| json["result"]["questions"][name].as_u64().unwrap();
    assert_eq!(count("asked"), 4);
    let kinds = ["verified", "wrong", "late", "lost", "error"].map(count);
    assert_eq!(kinds, [1, 1, 1, 1, 0], "{}", run.err);
    let lines: Vec<&str> = run.err.lines().collect();
    let silent = "no answer from udp SERVER within 300ms, sent once";
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
    send(&server, &["-u", "-w", "210ms", "hello"]).is(
        1,
        "",
        "stentor: no answer from udp SERVER within 210ms, sent 3 times. Datagrams may be lost, or \
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
fn json_is_one_valid_object_also_on_failure() {
    let keys = [
        "argv",
        "config",
        "error",
        "exit_code",
        "host",
        "ok",
        "result",
        "schema",
        "started",
        "version",
        "warnings",
    ];
    let check = |run: Run, code: i32| -> Value {
        assert_eq!(run.code, Some(code), "{}", run.err);
        let json: Value = serde_json::from_slice(&run.out).unwrap();
        let object = json.as_object().unwrap();
        let mut found: Vec<&String> = object.keys().collect();
        found.sort();
        assert_eq!(found, keys);
        assert_eq!(json["schema"], "stentor.send/1");
        assert_eq!((&json["ok"], &json["exit_code"]), (&Value::Bool(code == 0), &code.into()));
        assert_eq!(json["error"].is_null(), code == 0);
        json
    };
    let (server, _handle) = tcp(good);
    let json = check(send(&server, &["-J", "hello"]), 0);
    let result = &json["result"];
    assert_eq!((&result["sent_bytes"], &result["received_bytes"]), (&5.into(), &5.into()));
    assert_eq!((&result["owed_bytes"], &result["verified_bytes"]), (&5.into(), &5.into()));
    assert_eq!((&result["answer"], &result["closed_first"]), (&"HELLO".into(), &"client".into()));
    assert_eq!(result["attempts"][0]["outcome"], "connected");
    assert!(result["phases"]["first_byte_ns"].as_u64().unwrap() > 0);
    assert!(result["tcp"]["segments_out"].as_u64().unwrap() >= 4);

    let (server, _handle) = tcp(|mut stream| {
        five(&mut stream);
        stream.write_all(b"HE").unwrap();
    });
    let json = check(send(&server, &["-J", "hello"]), 1);
    assert_eq!(
        (&json["result"]["owed_bytes"], &json["result"]["verified_bytes"]),
        (&5.into(), &2.into())
    );
    let (_held, server) = refusing();
    assert!(check(send(&server, &["-J", "hello"]), 3)["result"].is_null());
    assert!(check(send(&server, &["-J", "-w", "0s", "hello"]), 2)["config"].is_null());
}

#[test]
fn a_reader_who_has_gone_ends_it_quietly() {
    let (server, _handle) = tcp(|stream| {
        let mut writer = stream.try_clone().unwrap();
        thread::spawn(move || while writer.write_all(&[b'X'; 65_536]).is_ok() {});
        let mut reader = stream;
        while reader.read(&mut [0; 65_536]).is_ok_and(|count| count > 0) {}
    });
    let mut child = start(&server, &["--no-verify"]);
    let mut first = [0; 5];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut first).unwrap();
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert_eq!(&first, b"XXXXX");
    Run::of(output, &server).is(0, "", "");
}

/// Sends SIGINT, as ^C does.
fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn an_interrupt_ends_it_with_what_is_known() {
    let (tell, told) = std::sync::mpsc::channel();
    let (server, _handle) = tcp(move |mut stream| {
        five(&mut stream);
        tell.send(()).unwrap();
        stream
    });
    let child = start(&server, &["-J", "hello"]);
    told.recv().unwrap();
    interrupt(&child);
    let run = Run::of(child.wait_with_output().unwrap(), &server);
    let words = "interrupted: 5 bytes sent to tcp SERVER, 0 of 5 bytes owed came";
    assert_eq!((run.code, run.err), (Some(130), format!("stentor: {words}\n")));
    let json: Value = serde_json::from_slice(&run.out).unwrap();
    assert_eq!((&json["exit_code"], &json["result"]["sent_bytes"]), (&130.into(), &5.into()));
}

#[test]
fn an_interrupt_ends_a_write_that_nobody_reads() {
    let (server, handle) = tcp(|mut stream| {
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        // Until the client, whose output nobody reads, takes no more.
        while stream.write_all(&[b'X'; 65_536]).is_ok() {}
        stream
    });
    let mut child = start(&server, &["--no-verify"]);
    let stream = handle.join().unwrap();
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stream);
}

#[test]
fn an_interrupt_ends_the_wait_for_a_datagram_and_for_standard_input() {
    let (tell, told) = std::sync::mpsc::channel();
    let (server, handle) = udp(1, move |_, _| {
        tell.send(()).unwrap();
        vec![]
    });
    let mut child = start(&server, &["-u", "--retry", "0", "-w", "60s"]);
    child.stdin.as_mut().unwrap().write_all(b"one\n").unwrap();
    told.recv().unwrap();
    interrupt(&child);
    let run = Run::of(child.wait_with_output().unwrap(), &server);
    run.is(130, "", "stentor: interrupted: 0 of 1 questions answered rightly\n");
    handle.join().unwrap();

    let (server, handle) = udp(1, |_, question| vec![upper(question)]);
    let mut child = start(&server, &["-u"]);
    child.stdin.as_mut().unwrap().write_all(b"one\n").unwrap();
    let mut answer = [0; 4];
    child.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ONE\n");
    interrupt(&child);
    let run = Run::of(child.wait_with_output().unwrap(), &server);
    run.is(130, "", "stentor: interrupted while waiting for standard input\n");
    handle.join().unwrap();
}

#[test]
fn segments_are_cut_where_asked_and_the_calls_are_drawn() {
    let (server, handle) = tcp(good);
    let run = send(&server, &["--split", "3@1ms", "--chunk", "2", "-v", "hello"]);
    assert_eq!((run.code, run.out.as_slice()), (Some(0), b"HELLO\n".as_slice()));
    assert_eq!(handle.join().unwrap(), b"hello");
    let calls: Vec<&str> = run.err.lines().filter(|line| line.contains(" send(")).collect();
    let sizes: Vec<&str> = calls
        .iter()
        .map(|call| call.rsplit("= ").next().unwrap().trim_end_matches(" │").trim())
        .collect();
    assert_eq!(sizes, ["2", "1", "2"], "{}", run.err);
    for part in ["connect(SERVER) = 0", "─── 2 bytes \"he\"", "─── FIN ──", "* the answer is the"]
    {
        assert!(run.err.contains(part), "{part}: {}", run.err);
    }
}

#[test]
fn the_source_port_is_chosen_and_a_reset_is_a_reset() {
    let (free, address) = refusing();
    drop(free);
    let port = address.rsplit(':').next().unwrap();
    let (server, handle) = tcp(|mut stream| {
        let bytes = five(&mut stream);
        stream.write_all(&upper(&bytes)).unwrap();
        let error = stream.read(&mut [0]).unwrap_err();
        (stream.peer_addr().map(|peer| peer.port()), error.raw_os_error())
    });
    send(&server, &["--rst", "--source-port", port, "hello"]).is(0, "HELLO\n", "");
    let (_, error) = handle.join().unwrap();
    assert_eq!(error, Some(104), "ECONNRESET");
    let (server, handle) = tcp(|stream| {
        let port = stream.peer_addr().unwrap().port();
        good(stream);
        port
    });
    send(&server, &["--source-port", port, "hello"]).is(0, "HELLO\n", "");
    assert_eq!(handle.join().unwrap().to_string(), port);
}

#[test]
fn a_dump_and_the_phases_are_printed() {
    let (server, _handle) = tcp(good);
    let run = send(&server, &["--hex", "--timing", "hello"]);
    let row = "00000000  48 45 4c 4c 4f                                    |HELLO|\n";
    assert_eq!((run.code, String::from_utf8(run.out).unwrap().as_str()), (Some(0), row));
    let names: Vec<&str> = run.err.lines().map(|line| line[..10].trim()).collect();
    assert_eq!(names, ["resolve", "connect", "first byte", "total"]);
    assert!(run.err.lines().all(|line| line.ends_with(" ms")), "{}", run.err);
}

/// A directory for one test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("stentor-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_unix_socket_is_a_stream_like_any_other() {
    let folder = Folder::new("send");
    let path = folder.0.join("s");
    let target = format!("unix:{}", path.display());
    let run = send(&target, &["hello"]);
    assert_eq!(run.code, Some(3));
    assert!(
        run.err.ends_with("(ENOENT). No such socket: start the server first.\n"),
        "{}",
        run.err
    );
    let listener = UnixListener::bind(&path).unwrap();
    let handle = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).unwrap();
        stream.write_all(&upper(&read)).unwrap();
    });
    send(&target, &["hello"]).is(0, "HELLO\n", "");
    handle.join().unwrap();
    let run = send(&target, &["hello"]);
    assert_eq!(run.code, Some(3));
    assert!(run.err.contains("(ECONNREFUSED). The file is there"), "{}", run.err);
}

#[test]
fn at_a_terminal_it_prompts_in_the_lectures_words() {
    // script(1) of util-linux gives a program a terminal.
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("SKIPPED: script(1) is not installed, the prompt was not tested");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let handle = thread::spawn(move || {
        let mut ports = Vec::new();
        for _ in 0..2 {
            let (stream, peer) = listener.accept().unwrap();
            stream.set_read_timeout(Some(ASTRAY)).unwrap();
            good(stream);
            ports.push(peer.port());
        }
        ports
    });
    let command = format!("{} send {server}", env!("CARGO_BIN_EXE_stentor"));
    let mut child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("NO_COLOR", "1")
        .env("TERM", "dumb")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hello\rworld\r\x04").unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert_eq!(output.status.code(), Some(0), "{shown}");
    for part in [
        "Input lowercase sentence: ",
        "From Server: HELLO\n5 bytes there, 5 bytes back; ",
        "From Server: WORLD\n5 bytes there, 5 bytes back; ",
        "; the client closed first\n",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let ports = handle.join().unwrap();
    assert_ne!(ports[0], ports[1], "a new connection for each sentence");
}
