//! Runs the lecture's programs as processes over real sockets on loopback: each server against each
//! client, then each alone against a peer of the test's own. What their text promises is in
//! `sources.rs`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step of a test panics")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Longer than any step takes on a loaded machine; only a program that hangs meets it.
const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Language {
    Rust,
    Python,
}
use Language::{Python, Rust};

/// The command of a program of the lecture, or nothing, said aloud, where it needs a Python that is
/// not there.
fn program(language: Language, name: &str) -> Option<Command> {
    if language == Rust {
        return Some(Command::new(match name {
            "tcp_server" => env!("CARGO_BIN_EXE_tcp_server"),
            "tcp_client" => env!("CARGO_BIN_EXE_tcp_client"),
            "udp_server" => env!("CARGO_BIN_EXE_udp_server"),
            "udp_client" => env!("CARGO_BIN_EXE_udp_client"),
            _ => panic!("no Rust program is called {name}"),
        }));
    }
    let found = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        // Not eprintln: the test runner would keep it to itself when the test passes.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {name}.py not tested, python3 is missing");
        return None;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(format!("{name}.py"));
    let mut command = Command::new("python3");
    // UTF-8 whatever the locale of the machine that runs the tests.
    command.env("PYTHONUTF8", "1").arg(file);
    Some(command)
}

/// A process that does not outlive its test, however the test ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server of the lecture on a free port, ready to receive.
struct Server {
    process: Process,
    stdout: BufReader<ChildStdout>,
    port: u16,
}

impl Server {
    fn start(language: Language, name: &str) -> Option<Self> {
        let mut command = program(language, name)?;
        let child = command.arg("0").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut process = Process(child);
        let mut stdout = BufReader::new(process.0.stdout.take().unwrap());
        let (ready, stdout) = within_deadline("the ready line", move || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            (line, stdout)
        });
        let port = ready.strip_prefix("The server is ready to receive on port ");
        let port = port.and_then(|port| port.trim_end().parse().ok());
        let port = port.unwrap_or_else(|| panic!("not the ready line: {ready:?}"));
        Some(Server { process, stdout, port })
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

/// Runs blocking `work` on a thread of its own, so that one that hangs fails the test.
fn within_deadline<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(DEADLINE).unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// What a program that has ended left behind.
struct Ended {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

/// Starts a program with `input`, which must fit into a pipe, on its standard input.
fn start(mut command: Command, arguments: &[&str], input: &[u8]) -> Process {
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process(command.spawn().unwrap());
    // A program that ended before it read has closed the pipe; its exit status says the rest.
    let _ = process.0.stdin.take().unwrap().write_all(input);
    process
}

/// Awaits the end of a program from [`start`].
fn finish(mut process: Process) -> Ended {
    let mut stdout = process.0.stdout.take().unwrap();
    let mut stderr = process.0.stderr.take().unwrap();
    // Each program writes less than a pipe holds, so one stream can be read after the other.
    let (stdout, stderr) = within_deadline("the end of a program", move || {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        stdout.read_to_end(&mut out).unwrap();
        stderr.read_to_end(&mut err).unwrap();
        (out, err)
    });
    Ended {
        status: process.0.wait().unwrap(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

fn run(command: Command, arguments: &[&str], input: &[u8]) -> Ended {
    finish(start(command, arguments, input))
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn udp_socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

// Each server against each client.

/// Four clients in turn against one server: plain, with blanks to keep, not ASCII and without a
/// newline at the end of the input, and not UTF-8.
fn pair(protocol: &str, server: Language, client: Language) {
    let Some(server) = Server::start(server, &format!("{protocol}_server")) else { return };
    let port = server.port.to_string();
    let cases: [(&[u8], &str); 4] = [
        (b"hello\n", "HELLO"),
        (b"  two words, 3 commas,, \n", "  TWO WORDS, 3 COMMAS,, "),
        ("gr\u{fc}\u{df} not utf-8: ".as_bytes(), "GR\u{fc}\u{df} NOT UTF-8: "),
        (b"a\xff\xc3z\n", "A\u{fffd}\u{fffd}Z"),
    ];
    for (input, capitals) in cases {
        let Some(command) = program(client, &format!("{protocol}_client")) else { return };
        let ended = run(command, &["127.0.0.1", &port], input);
        assert_eq!(
            ended.stdout,
            format!("Input lowercase sentence:From Server: {capitals}\n"),
            "standard error: {}",
            ended.stderr
        );
        assert!(ended.status.success(), "{}", ended.status);
    }
}

#[test]
fn tcp_rust_server_rust_client() {
    pair("tcp", Rust, Rust);
}

#[test]
fn tcp_rust_server_python_client() {
    pair("tcp", Rust, Python);
}

#[test]
fn tcp_python_server_rust_client() {
    pair("tcp", Python, Rust);
}

#[test]
fn tcp_python_server_python_client() {
    pair("tcp", Python, Python);
}

#[test]
fn udp_rust_server_rust_client() {
    pair("udp", Rust, Rust);
}

#[test]
fn udp_rust_server_python_client() {
    pair("udp", Rust, Python);
}

#[test]
fn udp_python_server_rust_client() {
    pair("udp", Python, Rust);
}

#[test]
fn udp_python_server_python_client() {
    pair("udp", Python, Python);
}

/// The name localhost must do as well as 127.0.0.1, whichever address it finds first.
#[test]
fn clients_find_localhost_by_name() {
    for (protocol, client) in [("tcp", Rust), ("tcp", Python), ("udp", Rust), ("udp", Python)] {
        let server = Server::start(Rust, &format!("{protocol}_server")).unwrap();
        let Some(command) = program(client, &format!("{protocol}_client")) else { continue };
        let ended = run(command, &["localhost", &server.port.to_string()], b"hello\n");
        assert!(ended.stdout.ends_with("From Server: HELLO\n"), "{protocol} {client:?}");
    }
}

// The clients against a server of the test's own.

#[test]
fn tcp_clients_send_the_line_without_its_newline_and_close() {
    for language in [Rust, Python] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let Some(command) = program(language, "tcp_client") else { continue };
        let client = start(command, &["127.0.0.1", &port], b"hello\nmore\n");
        let (mut connection, _) = within_deadline("a client", move || listener.accept().unwrap());
        connection.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut sentence = [0; 5];
        connection.read_exact(&mut sentence).unwrap();
        assert_eq!(&sentence, b"hello", "{language:?}");
        connection.write_all(b"From far").unwrap();
        // Nothing follows, not even the newline; the client closes although we have not.
        let mut rest = Vec::new();
        connection.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"", "{language:?}");
        let ended = finish(client);
        assert_eq!(ended.stdout, "Input lowercase sentence:From Server: From far\n");
    }
}

#[test]
fn tcp_clients_refuse_an_empty_sentence_and_do_not_wait_for_ever() {
    for language in [Rust, Python] {
        for input in [b"\n".as_slice(), b""] {
            let server = Server::start(Rust, "tcp_server").unwrap();
            let Some(command) = program(language, "tcp_client") else { continue };
            let ended = run(command, &["127.0.0.1", &server.port.to_string()], input);
            assert_eq!(ended.status.code(), Some(1), "{language:?}");
            assert!(ended.stderr.contains("nothing to send()"), "{language:?}: {}", ended.stderr);
        }
    }
}

#[test]
fn udp_clients_send_one_datagram_without_newline_even_if_empty() {
    for language in [Rust, Python] {
        for (input, expected) in [(b"hello\nmore\n".as_slice(), b"hello".as_slice()), (b"\n", b"")]
        {
            let socket = udp_socket();
            let port = socket.local_addr().unwrap().port().to_string();
            let Some(command) = program(language, "udp_client") else { continue };
            let client = start(command, &["127.0.0.1", &port], input);
            let mut datagram = vec![0; 64];
            let (length, from) = socket.recv_from(&mut datagram).unwrap();
            datagram.truncate(length);
            assert_eq!(datagram, expected, "{language:?}");
            // 2048 of the 2049 bytes are taken.
            socket.send_to(&[b'x'; 2049], from).unwrap();
            let ended = finish(client);
            let reply = "x".repeat(2048);
            assert_eq!(ended.stdout, format!("Input lowercase sentence:From Server: {reply}\n"));
        }
    }
}

// The servers against a client of the test's own.

#[test]
fn tcp_servers_answer_without_a_newline_and_close_that_connection_only() {
    for language in [Rust, Python] {
        let Some(server) = Server::start(language, "tcp_server") else { continue };
        drop(connect(&server)); // a client that says nothing harms nobody
        for _ in 0..2 {
            let mut connection = connect(&server);
            connection.write_all(b"hello").unwrap();
            let mut answer = Vec::new();
            connection.read_to_end(&mut answer).unwrap(); // ends because the server closes
            assert_eq!(answer, b"HELLO", "{language:?}");
        }
    }
}

#[test]
fn tcp_servers_take_at_most_1024_bytes() {
    for language in [Rust, Python] {
        let Some(server) = Server::start(language, "tcp_server") else { continue };
        let mut connection = connect(&server);
        connection.write_all(&[b'a'; 3000]).unwrap();
        let (mut answer, mut piece) = (Vec::<u8>::new(), [0; 4096]);
        loop {
            match connection.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => answer.extend(piece.iter().take(length)),
                // Closing with bytes unread sends a reset; what was answered came before it.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{language:?}: {error}"),
            }
        }
        assert!((1..=1024).contains(&answer.len()), "{language:?}: {} bytes", answer.len());
        assert!(answer.iter().all(|byte| *byte == b'A'), "{language:?}");
    }
}

/// The accept queue holds clients that the server has not yet come to: an iterative server.
#[test]
fn tcp_servers_serve_one_client_at_a_time() {
    for language in [Rust, Python] {
        let Some(server) = Server::start(language, "tcp_server") else { continue };
        let mut first = connect(&server);
        let mut second = connect(&server);
        second.write_all(b"second").unwrap();
        first.write_all(b"first").unwrap();
        for (mut client, expected) in [(first, "FIRST"), (second, "SECOND")] {
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, expected, "{language:?}");
        }
    }
}

#[test]
fn udp_servers_answer_each_sender_with_at_most_2048_bytes() {
    for language in [Rust, Python] {
        let Some(server) = Server::start(language, "udp_server") else { continue };
        let (one, two) = (udp_socket(), udp_socket());
        one.send_to(&[b'a'; 3000], server.address()).unwrap();
        two.send_to(b"", server.address()).unwrap();
        two.send_to(b"\xffz", server.address()).unwrap();
        let mut datagram = [0; 4096];
        assert_eq!(one.recv_from(&mut datagram).unwrap(), (2048, server.address()));
        assert_eq!(two.recv_from(&mut datagram).unwrap(), (0, server.address()));
        assert_eq!(two.recv_from(&mut datagram).unwrap(), (2, server.address()));
        assert!(datagram.starts_with(b"\xffZ"), "{language:?}");
    }
}

/// '' means every interface: on Linux all of 127.0.0.0/8 is this machine, and a server that had
/// bound 127.0.0.1 would not be found at 127.0.0.2.
#[cfg(target_os = "linux")]
#[test]
fn servers_listen_on_every_interface() {
    for language in [Rust, Python] {
        let address = Ipv4Addr::new(127, 0, 0, 2);
        let Some(server) = Server::start(language, "tcp_server") else { continue };
        TcpStream::connect((address, server.port)).unwrap();
        let Some(server) = Server::start(language, "udp_server") else { continue };
        let socket = udp_socket();
        socket.send_to(b"hello", (address, server.port)).unwrap();
        assert_eq!(socket.recv_from(&mut [0; 16]).unwrap().0, 5, "{language:?}");
    }
}

// The two that the lecture has besides, in Python only.

#[test]
fn half_server_answers_half_of_one_read_and_ends() {
    for (sent, half) in [("abcd", "ab"), ("abcde", "ab"), ("a", "")] {
        let Some(server) = Server::start(Python, "half_server") else { return };
        let mut connection = connect(&server);
        connection.write_all(sent.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, half, "{sent}");
        // Its standard output ends when it does; it had no more to say.
        let Server { mut stdout, mut process, .. } = server;
        let more = within_deadline("the end of half_server", move || {
            let mut more = String::new();
            stdout.read_to_string(&mut more).map(|_| more)
        });
        assert_eq!(more.unwrap(), "");
        assert!(process.0.wait().unwrap().success());
    }
}

#[test]
fn web_client_asks_for_the_root_and_prints_the_reply() {
    let Some(command) = program(Python, "web_client") else { return };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let client = start(command, &["localhost", &port], b"");
    let (mut connection, _) = within_deadline("a client", move || listener.accept().unwrap());
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut received = vec![0; request.len()];
    connection.read_exact(&mut received).unwrap();
    assert_eq!(received, request);
    connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    let ended = finish(client);
    assert_eq!(ended.stdout, "HTTP/1.1 204 No Content\r\n\r\n\n");
}

// Errors name the call and the address.

#[test]
fn errors_name_the_call_and_the_address() {
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let tcp_port = taken.local_addr().unwrap().port().to_string();
    let taken = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let udp_port = taken.local_addr().unwrap().port().to_string();
    let cases: [(&str, &[&str], String); 7] = [
        ("tcp_server", &[&tcp_port], format!("bind() to 0.0.0.0:{tcp_port}: ")),
        ("udp_server", &[&udp_port], format!("bind() to 0.0.0.0:{udp_port}: ")),
        ("tcp_server", &["99999"], "bind() to 0.0.0.0:99999: invalid port value".into()),
        ("udp_server", &["door"], "bind() to 0.0.0.0:door: invalid port value".into()),
        // No program can listen on port 0, so that nothing else can be there.
        ("tcp_client", &["127.0.0.1", "0"], "connect() to 127.0.0.1:0: ".into()),
        ("tcp_client", &["127.0.0.1", "door"], "127.0.0.1:door: invalid port value".into()),
        ("udp_client", &["::1", "12000"], "::1:12000 has no IPv4 address".into()),
    ];
    for (name, arguments, message) in cases {
        let ended = run(program(Rust, name).unwrap(), arguments, b"hello\n");
        assert_eq!(ended.status.code(), Some(1), "{name} {arguments:?}");
        assert!(ended.stderr.contains(&message), "{name} {arguments:?}: {}", ended.stderr);
    }
}
