//! Small servers for `fetch`: each connection is answered by a function, on a thread of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// No test waits longer than this for the other end.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// A server on 127.0.0.1, until dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Hands each accepted connection to `serve`, one after the other.
    pub(super) fn of_connections(mut serve: impl FnMut(TcpStream) + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                stream.set_write_timeout(Some(LIMIT)).unwrap();
                serve(stream);
            }
        });
        Server { address, requests: Arc::default(), over, thread: Some(thread) }
    }

    /// Reads the head of each request, keeps it, and lets `answer` answer.
    pub(super) fn of_requests(
        mut answer: impl FnMut(&str, &mut TcpStream) + Send + 'static,
    ) -> Server {
        let kept: Arc<Mutex<Vec<String>>> = Arc::default();
        let requests = Arc::clone(&kept);
        let mut server = Server::of_connections(move |mut stream| {
            let request = read_head(&mut stream);
            requests.lock().unwrap().push(request.clone());
            answer(&request, &mut stream);
        });
        server.requests = kept;
        server
    }

    /// Answers every request with these bytes and closes.
    pub(super) fn of_bytes(reply: impl Into<Vec<u8>>) -> Server {
        let reply = reply.into();
        Server::of_requests(move |_, stream| {
            // A client that has seen enough may be gone already.
            let _ = stream.write_all(&reply);
        })
    }

    /// The heads of the requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the accept; if it has ended by itself there is nothing to wake.
        let _ = TcpStream::connect(self.address);
        let outcome = self.thread.take().unwrap().join();
        assert!(outcome.is_ok() || std::thread::panicking(), "the server's thread panicked");
    }
}

/// Everything up to the empty line; less if the client ends first.
pub(super) fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Waits until the client has closed.
pub(super) fn await_close(stream: &mut impl Read) {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).is_ok_and(|count| count > 0) {}
}

/// What a run of the program gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) out: Vec<u8>,
    pub(super) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            out: output.stdout,
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }
}

pub(super) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stentor"));
    command.arg("fetch").args(args).stdin(Stdio::null());
    command
}

/// Runs `stentor fetch` to its end.
pub(super) fn fetch(args: &[&str]) -> Ran {
    command(args).output().unwrap().into()
}

/// A folder for one test, removed with it.
pub(super) struct Folder(pub(super) std::path::PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Folder {
        let path =
            std::env::temp_dir().join(format!("stentor-fetch-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(super) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
