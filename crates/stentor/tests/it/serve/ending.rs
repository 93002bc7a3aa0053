//! The orderly end, the quick end, and the end after one.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};

use super::MODES;
use crate::program::{Server, stentor};

#[test]
fn what_arrived_before_the_signal_is_answered() {
    for mode in ["reactor", "threads", "processes"] {
        let server = Server::start(&["--mode", mode]);
        let mut clients: Vec<TcpStream> =
            (0..20).map(|_| TcpStream::connect(server.v4).unwrap()).collect();
        let mut answer = [0; 6];
        for client in &mut clients {
            client.write_all(b"before").unwrap();
        }
        let address = server.v4;
        server.signal("-TERM");
        for client in &mut clients {
            client.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"BEFORE", "{mode}");
            // Then the server closes, in order: a FIN and not a reset.
            assert_eq!(client.read(&mut answer).unwrap(), 0, "{mode}");
        }
        let (status, summary) = server.wait();
        assert_eq!(status.code(), Some(0), "{mode}");
        assert!(summary.contains("20 accepted = 20 closed"), "{mode}: {summary}");
        assert!(summary.contains("+ 0 open; 120 bytes in, 120 out"), "{mode}: {summary}");
        assert!(TcpStream::connect(address).is_err(), "{mode}");
    }
}

#[test]
fn both_signals_end_it_in_order_in_every_mode() {
    for mode in MODES {
        for signal in ["-INT", "-TERM"] {
            let server = Server::start(&["--mode", mode]);
            server.signal(signal);
            let (status, summary) = server.wait();
            assert_eq!(status.code(), Some(0), "{mode} {signal}");
            assert!(summary.contains("0 accepted = 0 closed + 0 open"), "{mode}: {summary}");
        }
    }
}

#[test]
fn an_answer_that_a_fault_delays_is_still_sent_after_the_signal() {
    for mode in ["reactor", "threads", "processes", "iterative"] {
        let server = Server::start(&["--fault", "late=1500ms", "--mode", mode]);
        let mut client = TcpStream::connect(server.v4).unwrap();
        client.write_all(b"before").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        server.signal("-TERM");
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "BEFORE", "{mode}");
        assert_eq!(server.wait().0.code(), Some(0), "{mode}");
    }
}

#[test]
fn a_connection_that_is_silent_on_purpose_does_not_hold_up_the_end() {
    for mode in MODES {
        let server = Server::start(&["--fault", "silent", "--drain", "1h", "--mode", mode]);
        let mut client = TcpStream::connect(server.v4).unwrap();
        client.write_all(b"hello?").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        server.signal("-TERM");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"", "{mode}");
        assert_eq!(server.wait().0.code(), Some(0), "{mode}");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    // A fault keeps the connection silent, so that the drain has something to wait for.
    let server = Server::start(&["--fault", "late=1h", "--drain", "1h"]);
    let mut client = TcpStream::connect(server.v4).unwrap();
    client.write_all(b"wait for it").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    server.signal("-TERM");
    // The doors are shut once the first signal has been taken.
    while TcpStream::connect(server.v4).is_ok() {}
    server.signal("-TERM");
    assert_eq!(server.wait().0.code(), Some(130));
}

#[test]
fn whoever_was_in_the_backlog_at_the_signal_is_answered() {
    let server = Server::start(&["--threads", "1"]);
    // While it is stopped, connections and their bytes wait in the kernel.
    server.signal("-STOP");
    let mut clients: Vec<TcpStream> = (0..500)
        .map(|_| {
            let mut client = TcpStream::connect(server.v4).unwrap();
            client.write_all(b"x").unwrap();
            client
        })
        .collect();
    server.signal("-TERM");
    server.signal("-CONT");
    for client in &mut clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "X");
    }
    let (status, summary) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(summary.contains("500 accepted = 500 closed"), "{summary}");
}

#[test]
fn bytes_of_long_silent_clients_count_if_they_come_before_the_signal() {
    stentor_os::limits::raise_descriptors().unwrap();
    // More of them than events fit into one call, and silent for longer than a drain waits.
    let server = Server::start(&["--threads", "1"]);
    let mut clients: Vec<TcpStream> = (0..1500)
        .map(|_| {
            let mut client = TcpStream::connect(server.v4).unwrap();
            client.write_all(b"x").unwrap();
            client
        })
        .collect();
    let mut answer = [0];
    clients.iter_mut().for_each(|client| client.read_exact(&mut answer).unwrap());
    let silent = std::time::Instant::now();
    while silent.elapsed() < std::time::Duration::from_millis(300) {
        std::thread::yield_now();
    }
    server.signal("-STOP");
    clients.iter_mut().for_each(|client| client.write_all(b"y").unwrap());
    server.signal("-TERM");
    server.signal("-CONT");
    for client in &mut clients {
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *b"Y");
    }
    let (_, summary) = server.wait();
    assert!(summary.contains("3000 bytes in, 3000 out"), "{summary}");
}

/// Talks to a server without a pause until it closes.
fn chat(mut client: TcpStream) -> std::thread::JoinHandle<()> {
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    std::thread::spawn(move || {
        while client.write_all(b"x").is_ok() && client.read_exact(&mut [0]).is_ok() {}
    })
}

#[test]
fn a_client_that_never_falls_silent_does_not_outlast_the_deadline() {
    for mode in MODES {
        let server = Server::start(&["--mode", mode, "--drain", "300ms"]);
        let client = chat(TcpStream::connect(server.v4).unwrap());
        server.signal("-TERM");
        let (status, summary) = server.wait();
        assert_eq!(status.code(), Some(0), "{mode}");
        assert!(summary.contains("closed (drained 1)"), "{mode}: {summary}");
        client.join().unwrap();
    }
}

#[test]
fn a_second_signal_ends_a_conversation_in_every_mode() {
    for mode in MODES {
        let server = Server::start(&["--mode", mode, "--drain", "1h"]);
        let client = chat(TcpStream::connect(server.v4).unwrap());
        server.signal("-TERM");
        // One signal cannot be told from two that come at once.
        server.signal("-INT");
        assert_eq!(server.wait().0.code(), Some(130), "{mode}");
        client.join().unwrap();
    }
}

#[test]
fn one_at_a_time_still_hears_the_signal_while_clients_queue() {
    let server = Server::start(&["--mode", "iterative"]);
    let address = server.v4;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                while let Ok(mut client) = TcpStream::connect(address) {
                    let _ = client.write_all(b"x").and_then(|()| client.read_exact(&mut [0]));
                }
            })
        })
        .collect();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    drop(client);
    server.signal("-TERM");
    assert_eq!(server.wait().0.code(), Some(0));
    clients.into_iter().for_each(|client| client.join().unwrap());
}

#[test]
fn a_signal_to_the_whole_group_lets_every_process_answer() {
    for signal in ["-TERM", "-INT"] {
        let server = Server::start_in_group(&["--mode", "processes"]);
        let mut clients: Vec<TcpStream> =
            (0..5).map(|_| TcpStream::connect(server.v4).unwrap()).collect();
        let mut answer = [0; 6];
        for client in &mut clients {
            client.write_all(b"x").unwrap();
            client.read_exact(&mut answer[..1]).unwrap();
        }
        server.signal_group(signal);
        for client in &mut clients {
            client.write_all(b"before").unwrap();
            client.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"BEFORE");
        }
        drop(clients);
        let (status, summary) = server.wait();
        assert_eq!(status.code(), Some(0));
        assert!(summary.contains("5 accepted = 5 closed"), "{summary}");
        assert!(!summary.contains("error"), "{summary}");
    }
}

#[test]
fn a_parent_that_ignores_the_end_of_children_does_not_end_the_server() {
    let mut command = std::process::Command::new("sh");
    let program = stentor();
    command.args(["-c", "trap '' CHLD; exec \"$0\" serve -p 0 --mode processes"]);
    let server = Server::start_by(command.arg(program.get_program()));
    for _ in 0..2 {
        let mut client = TcpStream::connect(server.v4).unwrap();
        client.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
    }
    // This one answers no FIN, so that the end takes longer than until children are looked after.
    let held = TcpStream::connect(server.v4).unwrap();
    let (status, summary) = server.end();
    drop(held);
    assert_eq!(status.code(), Some(0));
    assert!(summary.contains("3 accepted = 3 closed (by_client 2, drained 1)"), "{summary}");
}

#[test]
fn once_ends_after_one_connection_or_one_answered_datagram() {
    for mode in MODES {
        let server = Server::start(&["-1", "--mode", mode]);
        let mut client = TcpStream::connect(server.v4).unwrap();
        client.write_all(b"only me").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "ONLY ME", "{mode}");
        let (status, summary) = server.wait();
        assert_eq!(status.code(), Some(0), "{mode}");
        assert!(summary.contains("1 accepted = 1 closed (by_client 1)"), "{mode}: {summary}");
    }
    let server = Server::start(&["-1"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"only me", server.v4).unwrap();
    assert_eq!(socket.recv(&mut [0; 10]).unwrap(), 7);
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn a_reader_of_the_ready_line_who_has_gone_ends_nothing() {
    // The port is known beforehand: nobody can read which one was got.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = stentor()
        .args(["serve", "--tcp", "-1", "-b", &address.to_string()])
        .stdout(writer)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut client = loop {
        match TcpStream::connect(address) {
            Ok(client) => break client,
            Err(_) => assert!(child.try_wait().unwrap().is_none(), "it has ended"),
        }
    };
    client.write_all(b"x").unwrap();
    let mut answer = [0];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"X");
    drop(client);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_summary_as_json_adds_up() {
    let (seed, address);
    let output = {
        let mut child = stentor()
            .args(["serve", "-p", "0", "-1", "--json", "--fault", "dup:0%"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // The ready line goes to standard error: standard output is the object alone.
        let mut ready = String::new();
        let mut err = std::io::BufReader::new(child.stderr.take().unwrap());
        std::io::BufRead::read_line(&mut err, &mut ready).unwrap();
        let port = ready.split(':').nth(1).unwrap().split(' ').next().unwrap();
        let mut client = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        client.write_all(b"json").unwrap();
        drop(client);
        let mut rest = String::new();
        err.read_to_string(&mut rest).unwrap();
        seed = rest.trim().rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        address = format!("tcp://127.0.0.1:{port}");
        child.wait_with_output().unwrap()
    };
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["schema"], "stentor.serve/1");
    assert_eq!(object["ok"], true);
    assert_eq!(object["exit_code"], 0);
    // What was really used, not what a second look at the arguments would come to.
    assert_eq!(object["config"]["seed"], seed);
    assert_eq!(object["config"]["addresses"][0], address);
    let connections = &object["result"]["connections"];
    let closed: u64 =
        connections["closed"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(connections["accepted"], closed + connections["open"].as_u64().unwrap());
    assert_eq!(connections["accepted"], 1);
}
