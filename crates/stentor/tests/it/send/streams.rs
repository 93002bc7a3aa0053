//! What a stream must do: every byte, in any segments, and each way an answer can be less.

use super::*;

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
        let _ = stream.read(&mut [0]).unwrap();
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
    send(&server, &["-w", "2s", "hello"]).is(
        1,
        "HE\n",
        "stentor: no answer from tcp SERVER within 2s: 2 of 5 bytes owed. It may wait for a \
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
    send(&server, &["hello"]).is(
        0,
        "HELLO\n",
        "stentor: the server had not closed its side after 1s\n",
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
