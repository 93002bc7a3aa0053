//! A small origin whose answers can be anything: two qualities of five chunks of 0.1 s over HLS.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// No test waits longer than this for the other end.
const LIMIT: Duration = Duration::from_secs(30);
/// The chunks of each quality.
pub(super) const CHUNKS: usize = 5;
/// The sizes of a chunk in each quality.
pub(super) const SIZES: [usize; 2] = [1000, 2000];

/// What is done with the connection after an answer.
pub(super) enum Then {
    /// The origin answers in its usual way.
    Usual,
    Keep,
    Close,
}

type Answer = dyn Fn(&Asked<'_>, &mut TcpStream) -> Then + Send + Sync;

/// A request.
pub(super) struct Asked<'a> {
    pub(super) path: &'a str,
    pub(super) head: &'a str,
}

/// The origin, until dropped.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Origin {
    /// An origin that asks `answer` first.
    pub(super) fn new(
        answer: impl Fn(&Asked<'_>, &mut TcpStream) -> Then + Send + Sync + 'static,
    ) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let connections: Arc<AtomicUsize> = Arc::default();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (ended, counted, kept) =
            (Arc::clone(&over), Arc::clone(&connections), Arc::clone(&requests));
        let answer: Arc<Answer> = Arc::new(answer);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                stream.set_write_timeout(Some(LIMIT)).unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
                thread::spawn(move || converse(stream, &*answer, &kept));
            }
        });
        Origin { address, connections, requests, over, thread: Some(thread) }
    }

    /// An origin without a fault.
    pub(super) fn usual() -> Origin {
        Origin::new(|_, _| Then::Usual)
    }

    /// An origin that answers the requests for one path by `answer`.
    pub(super) fn at(
        path: &'static str,
        answer: impl Fn(&Asked<'_>, &mut TcpStream) -> Then + Send + Sync + 'static,
    ) -> Origin {
        Origin::new(move |asked, stream| match asked.path == path {
            true => answer(asked, stream),
            false => Then::Usual,
        })
    }

    /// An origin that answers the requests for one path with these bytes, and closes.
    pub(super) fn with(path: &'static str, reply: impl Into<Vec<u8>>) -> Origin {
        let reply = reply.into();
        Origin::at(path, move |_, stream| {
            // A player that has seen enough may be gone already.
            let _ = stream.write_all(&reply);
            Then::Close
        })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often each path was asked for.
    pub(super) fn asked(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for path in self.requests.lock().unwrap().iter() {
            *counts.entry(path.clone()).or_default() += 1;
        }
        counts
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let outcome = self.thread.take().unwrap().join();
        assert!(outcome.is_ok() || thread::panicking(), "the origin's thread panicked");
    }
}

fn converse(mut stream: TcpStream, answer: &Answer, requests: &Mutex<Vec<String>>) {
    while let Some(head) = head(&mut stream) {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        requests.lock().unwrap().push(path.clone());
        let asked = Asked { path: &path, head: &head };
        match answer(&asked, &mut stream) {
            Then::Close => return,
            Then::Keep => {}
            Then::Usual => {
                if stream.write_all(&usual(&path)).is_err() {
                    return;
                }
            }
        }
    }
}

fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// A whole answer.
pub(super) fn reply(status: &str, body: &[u8]) -> Vec<u8> {
    let mut reply =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    reply.extend(body);
    reply
}

pub(super) fn master() -> String {
    let variant = |(quality, size): (usize, &usize)| {
        let bps = size * 80;
        format!("#EXT-X-STREAM-INF:BANDWIDTH={bps},AVERAGE-BANDWIDTH={bps}\n{quality}/list.m3u8\n")
    };
    let variants: String = SIZES.iter().enumerate().map(variant).collect();
    format!("#EXTM3U\n{variants}")
}

/// The playlist of a quality, without its end.
pub(super) fn begun() -> String {
    let chunks: String = (0..CHUNKS).map(|chunk| format!("#EXTINF:0.1,\n{chunk}.m4s\n")).collect();
    format!("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n{chunks}")
}

fn usual(path: &str) -> Vec<u8> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let size = |quality: &str| quality.parse().ok().and_then(|place: usize| SIZES.get(place));
    match parts.as_slice() {
        ["master.m3u8"] => reply("200 OK", master().as_bytes()),
        [_, "list.m3u8"] => reply("200 OK", format!("{}#EXT-X-ENDLIST\n", begun()).as_bytes()),
        [quality, chunk] if chunk.ends_with(".m4s") && size(quality).is_some() => {
            reply("200 OK", &vec![b'x'; *size(quality).unwrap()])
        }
        _ => reply("404 Not Found", b"not here"),
    }
}
