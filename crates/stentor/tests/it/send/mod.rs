//! `stentor send` against servers that behave, and against servers that do not.

mod datagrams;
mod person;
mod refusals;
mod streams;

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
