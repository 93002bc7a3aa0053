//! The server of the lesson: one client, one film, and what its kernel says of the sending.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;
use stentor_os::failure::Failure;
use stentor_os::net::queues;
use stentor_os::net::tcp_info::tcp_info;

use super::super::stage::Stop;

/// How long it waits for its client, each time.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest request that it reads.
const REQUEST_MAX: u64 = 16 << 10;

/// A server that runs on a thread of its own.
pub(super) struct FilmServer {
    address: SocketAddr,
    /// Its connected socket, once it has one.
    socket: Arc<OnceLock<TcpStream>>,
    thread: JoinHandle<io::Result<Served>>,
}

/// What it did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    /// Bytes of film that the kernel took.
    pub(super) written: u64,
    /// How long the client's window kept the kernel from sending.
    pub(super) held_back: Duration,
}

impl FilmServer {
    /// Serves a film of so many bytes on a free port of loopback; the kernel may keep
    /// `send_buffer_bytes` of it (SO_SNDBUF).
    pub(super) fn start(film_bytes: u64, send_buffer_bytes: usize) -> Result<FilmServer, Stop> {
        let failed = |call| move |error| Failure::new(call, "tcp 127.0.0.1:0", error);
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed("bind"))?;
        let address = listener.local_addr().map_err(failed("getsockname"))?;
        // accept(2) gives up after it, too.
        let set = SockRef::from(&listener).set_read_timeout(Some(PATIENCE));
        set.map_err(failed("setsockopt"))?;
        let socket = Arc::new(OnceLock::new());
        let known = Arc::clone(&socket);
        let run = move || serve(&listener, &known, film_bytes, send_buffer_bytes);
        let thread = std::thread::Builder::new().name("film".to_owned()).spawn(run);
        Ok(FilmServer { address, socket, thread: thread.map_err(failed("clone"))? })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its kernel holds of what it wrote (SIOCOUTQ).
    pub(super) fn unsent(&self) -> Option<u64> {
        Some(queues::unacknowledged(self.socket.get()?).ok()? as u64)
    }

    /// Waits for its end.
    pub(super) fn finish(self) -> Result<Served, Stop> {
        let refused = |error| Failure::new("send", format!("tcp {}", self.address), error);
        let ended = self.thread.join().map_err(|_| Stop::Contradicted {
            what: "the thread of the server panicked".to_owned(),
            next: String::new(),
        })?;
        Ok(ended.map_err(refused)?)
    }
}

fn serve(
    listener: &TcpListener,
    known: &OnceLock<TcpStream>,
    film_bytes: u64,
    send_buffer_bytes: usize,
) -> io::Result<Served> {
    let (mut stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    SockRef::from(&stream).set_send_buffer_size(send_buffer_bytes)?;
    if let Ok(second) = stream.try_clone() {
        // Nobody else sets it.
        let _ = known.set(second);
    }
    request(&stream)?;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {film_bytes}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let written = io::copy(&mut io::repeat(0).take(film_bytes), &mut stream)?;
    let windows = tcp_info(&stream)?.windows;
    let held_back = windows.map_or(Duration::ZERO, |windows| windows.held_back);
    Ok(Served { written, held_back })
}

/// Reads a request up to its empty line, whatever it asks for.
fn request(stream: &TcpStream) -> io::Result<()> {
    let mut end = [0; 4];
    for byte in BufReader::new(stream.take(REQUEST_MAX)).bytes() {
        end.rotate_left(1);
        if let Some(last) = end.last_mut() {
            *last = byte?;
        }
        if end == *b"\r\n\r\n" {
            return Ok(());
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}
