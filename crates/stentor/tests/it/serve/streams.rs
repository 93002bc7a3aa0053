//! Conversations over TCP and unix sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

use super::{MODES, ask};
use crate::program::{Server, run, stentor};

#[test]
fn a_sentence_without_newline_is_answered_at_once_in_every_mode() {
    for mode in MODES {
        let server = Server::start(&["--mode", mode]);
        let mut stream = TcpStream::connect(server.v4).unwrap();
        let mut answer = [0; 5];
        for _ in 0..3 {
            stream.write_all(b"hello").unwrap();
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HELLO", "{mode}");
        }
        drop(stream);
        let (status, summary) = server.end();
        assert_eq!(status.code(), Some(0), "{mode}");
        let expected =
            "connections  1 accepted = 1 closed (by_client 1) + 0 open; 15 bytes in, 15 out";
        assert!(summary.contains(expected), "{mode}: {summary}");
    }
}

#[test]
fn both_addresses_of_loopback_answer() {
    let server = Server::start(&[]);
    assert_eq!(ask(server.v4, b"four"), b"FOUR");
    match server.v6 {
        Some(v6) => assert_eq!(ask(v6, b"six"), b"SIX"),
        None => eprintln!("skipped: no IPv6 here"),
    }
}

#[test]
fn a_character_cut_in_two_is_answered_whole() {
    let server = Server::start(&[]);
    let mut stream = TcpStream::connect(server.v4).unwrap();
    let mut answer = [0; 3];
    // "aä": the first byte of ä is held back until its second comes.
    stream.write_all(b"a\xc3").unwrap();
    stream.read_exact(&mut answer[..1]).unwrap();
    stream.write_all(b"\xa4").unwrap();
    stream.read_exact(&mut answer[1..]).unwrap();
    assert_eq!(&answer, "AÄ".as_bytes());
}

#[test]
fn half_close_after_every_size_brings_every_byte_back() {
    let sizes = [0, 1, 2, 1023, 1024, 1025, 65_535, 65_536, 65_537, 300_000, 1 << 20];
    for mode in MODES {
        let server = Server::start(&["--mode", mode]);
        for size in sizes {
            // Every byte differs from its neighbours, and a character straddles each power of two.
            let text: Vec<u8> = "aßc·źΐ한x".bytes().cycle().skip(size % 7).take(size).collect();
            let expected: Vec<u8> = text
                .utf8_chunks()
                .flat_map(|chunk| {
                    [chunk.valid().to_uppercase().as_bytes(), chunk.invalid()].concat()
                })
                .collect();
            assert!(ask(server.v4, &text) == expected, "{mode}, {size} bytes");
        }
        let (status, summary) = server.end();
        assert_eq!(status.code(), Some(0), "{mode}: {summary}");
        let expected = format!("{0} accepted = {0} closed (by_client {0}) + 0 open", sizes.len());
        assert!(summary.contains(&expected), "{mode}: {summary}");
    }
}

#[test]
fn a_thousand_clients_at_once_each_get_their_own_bytes() {
    let server = Server::start(&[]);
    let mut clients: Vec<TcpStream> =
        (0..1000).map(|_| TcpStream::connect(server.v4).unwrap()).collect();
    for round in 0..3 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.write_all(format!("client {number} says {round}\n").as_bytes()).unwrap();
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let expected = format!("CLIENT {number} SAYS {round}\n");
            let mut answer = vec![0; expected.len()];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(String::from_utf8_lossy(&answer), expected);
        }
    }
    for client in &mut clients {
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
    let (_, summary) = server.end();
    assert!(summary.contains("1000 accepted = 1000 closed (by_client 1000) + 0 open"), "{summary}");
}

#[test]
fn a_client_that_never_reads_hinders_nobody_and_gets_everything_later() {
    let server = Server::start(&["--threads", "1"]);
    let mut greedy = TcpStream::connect(server.v4).unwrap();
    greedy.set_nonblocking(true).unwrap();
    // Write until the buffers of both ends are full.
    let block = [b'x'; 65_536];
    let mut written = 0;
    let mut refused = 0;
    while refused < 50 {
        match greedy.write(&block) {
            Ok(count) => (written, refused) = (written + count, 0),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                // Another client's whole exchange: the server has had its turn.
                assert_eq!(ask(server.v4, b"still there"), b"STILL THERE");
                refused += 1;
            }
        }
    }
    greedy.set_nonblocking(false).unwrap();
    greedy.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    greedy.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.len(), written);
    assert!(answer.iter().all(|byte| *byte == b'X'));
}

#[test]
fn sentence_and_half_read_once_answer_and_close() {
    let sentence = Server::start(&["--service", "sentence"]);
    let half = Server::start(&["--service", "half", "--mode", "threads"]);
    let check = |server: &Server, told: &[u8], expected: &[u8]| {
        let mut stream = TcpStream::connect(server.v4).unwrap();
        stream.write_all(told).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, expected);
    };
    check(&sentence, b"read once", b"READ ONCE");
    check(&half, b"hello", b"he");
    check(&half, b"hellos", b"hel");
    // More than is read: the answer still arrives, not a reset.
    check(&sentence, &[b'a'; 5000], &[b'A'; 1024]);
    let (_, summary) = sentence.end();
    assert!(summary.contains("closed (by_service 2)"), "{summary}");
}

#[test]
fn echo_and_discard() {
    let echo = Server::start(&["--service", "echo"]);
    assert_eq!(ask(echo.v4, b"as it is"), b"as it is");
    let discard = Server::start(&["--service", "discard"]);
    assert_eq!(ask(discard.v4, &[b'x'; 100_000]), b"");
}

#[test]
fn ascii_leaves_other_letters_alone() {
    let server = Server::start(&["--case", "ascii"]);
    assert_eq!(ask(server.v4, "straße é".as_bytes()), "STRAßE é".as_bytes());
}

#[test]
#[cfg(target_os = "linux")]
fn urgent_data_in_between_loses_and_delays_nothing() {
    let server = Server::start(&["--threads", "1"]);
    let stream = socket2::Socket::from(TcpStream::connect(server.v4).unwrap());
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    // While it is stopped all of it arrives; a read then ends before the urgent byte.
    server.signal("-STOP");
    stream.send(b"abc").unwrap();
    stream.send_out_of_band(b"!").unwrap();
    stream.send(b"def").unwrap();
    server.signal("-CONT");
    let mut answer = [0; 6];
    (&stream).read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ABCDEF");
}

#[test]
fn a_log_that_nobody_can_read_ends_nothing() {
    for mode in MODES {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = stentor();
        command.args(["serve", "-p", "0", "-vv", "--mode", mode]).stderr(writer);
        let server = Server::start_by(&mut command);
        for _ in 0..3 {
            assert_eq!(ask(server.v4, b"still there"), b"STILL THERE", "{mode}");
        }
        assert_eq!(server.end().0.code(), Some(0), "{mode}");
    }
}

#[test]
fn a_unix_socket_answers_and_leaves_no_path_behind() {
    let folder = std::env::temp_dir().join(format!("stentor-it-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let server = Server::start(&["-b", "127.0.0.1", "-b", &format!("unix:{}", path.display())]);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"by path").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "BY PATH");
    assert_eq!(server.end().0.code(), Some(0));
    assert!(!path.exists());
    std::fs::remove_dir(&folder).unwrap();
}

#[test]
fn a_path_left_by_a_killed_server_is_taken_over_and_any_other_is_not() {
    let folder = std::env::temp_dir().join(format!("stentor-it-left-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let written = format!("unix:{}", path.display());
    // A listener that ends without removing its file, as a killed server does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = Server::start(&["-b", "127.0.0.1", "-b", &written]);
    let said = run(&["serve", "-b", &written], b"");
    assert_eq!(said.code, Some(3));
    assert!(said.err.contains("ss -lxp"), "{}", said.err);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    drop(stream);
    server.end();
    // A start that fails later leaves nothing behind.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap().to_string();
    assert_eq!(run(&["serve", "-b", &written, "-b", &taken], b"").code, Some(3));
    assert!(!path.exists());
    // A plain file is nobody's to remove.
    std::fs::write(&path, "letters").unwrap();
    assert_eq!(run(&["serve", "-b", &written], b"").code, Some(3));
    assert_eq!(std::fs::read(&path).unwrap(), b"letters");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn beyond_max_conns_the_backlog_waits() {
    for mode in ["reactor", "threads"] {
        // One listener: between two of them nobody promises the order of arrival.
        let server = Server::start(&["--max-conns", "2", "--threads", "1", "--mode", mode]);
        let mut first = TcpStream::connect(server.v4).unwrap();
        let mut second = TcpStream::connect(server.v4).unwrap();
        let mut third = TcpStream::connect(server.v4).unwrap();
        let mut answer = [0; 1];
        for client in [&mut first, &mut second] {
            client.write_all(b"x").unwrap();
            client.read_exact(&mut answer).unwrap();
        }
        third.write_all(b"x").unwrap();
        // The first leaves; only then is there a place for the third.
        drop(first);
        third.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *b"X");
    }
}

#[test]
fn faults_do_what_they_say() {
    let check = |fault: &str, mode: &str, expected: &[u8], summary_has: &str| {
        let server = Server::start(&["--fault", fault, "--mode", mode]);
        let mut stream = TcpStream::connect(server.v4).unwrap();
        stream.write_all(b"hello").unwrap();
        // Refused if the fault's reset was quicker.
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        assert_eq!(ended.is_err(), fault == "rst", "{fault}: {ended:?}");
        assert_eq!(answer, expected, "{fault}, {mode}");
        let (_, summary) = server.end();
        assert!(summary.contains(summary_has), "{fault}, {mode}: {summary}");
    };
    for mode in ["reactor", "threads"] {
        check("split=20ms", mode, b"HELLO", "by_client 1");
        check("drip=1ms", mode, b"HELLO", "by_client 1");
        check("late=20ms", mode, b"HELLO", "by_client 1");
        check("stall=10ms/20ms", mode, b"HELLO", "by_client 1");
        check("dup", mode, b"HELLOHELLO", "by_client 1");
        check("truncate", mode, b"HE", "fault 1");
        check("rst", mode, b"HE", "fault 1");
    }
}

#[test]
fn a_truncated_answer_ends_with_a_fin_although_the_client_has_sent_none() {
    for mode in ["reactor", "threads"] {
        let server = Server::start(&["--fault", "truncate", "--mode", mode]);
        let mut stream = TcpStream::connect(server.v4).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        stream.write_all(b"hello").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"HE", "{mode}");
    }
}

#[test]
fn a_client_that_sends_no_fin_after_ours_is_counted_as_such() {
    let server = Server::start(&["--service", "sentence", "--after-fin", "50ms"]);
    let mut stream = TcpStream::connect(server.v4).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    // A write is answered with a reset once the server has closed.
    while stream.write_all(b"more").is_ok() {}
    let (_, summary) = server.end();
    assert!(summary.contains("closed (after_fin 1)"), "{summary}");
}

#[test]
fn an_idle_connection_is_closed_and_counted() {
    for mode in ["reactor", "threads"] {
        let server = Server::start(&["--idle", "50ms", "--mode", mode]);
        let mut stream = TcpStream::connect(server.v4).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{mode}");
        let (_, summary) = server.end();
        assert!(summary.contains("closed (idle 1)"), "{mode}: {summary}");
    }
}

#[test]
fn a_client_that_takes_nothing_is_closed_when_its_time_is_up() {
    let server = Server::start(&["--write-stall", "100ms"]);
    let mut greedy = TcpStream::connect(server.v4).unwrap();
    // Writing goes on until the server closes, because nothing is ever read here.
    let ended = loop {
        if let Err(error) = greedy.write_all(&[b'x'; 65_536]) {
            break error;
        }
    };
    assert_eq!(ended.kind(), std::io::ErrorKind::ConnectionReset, "{ended}");
    let (_, summary) = server.end();
    assert!(summary.contains("closed (write_stall 1)"), "{summary}");
}
