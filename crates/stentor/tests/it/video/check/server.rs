//! A small server of files that delivers them as a test wants them: well, or with one fault.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use super::folder::Files;

/// How a file is delivered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<&'static str, String>,
    pub(super) body: Vec<u8>,
    /// How many bytes of the body are sent, before the connection is closed.
    pub(super) cut: Option<usize>,
    /// Whether nothing is sent at all, and the connection is held.
    pub(super) stalls: bool,
}

impl Answer {
    pub(super) fn set(&mut self, header: &'static str, value: &str) {
        self.headers.insert(header, value.to_owned());
    }
}

/// Changes an answer, given the path that was asked for.
pub(super) type Change = fn(&str, &mut Answer);

/// Serves until the test ends; says where.
pub(super) fn serve(files: &Files, change: Change) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let files = Arc::new(files.0.clone());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let files = Arc::clone(&files);
            // A client that goes away ends its connection and nothing else.
            thread::spawn(move || _ = talk(&stream.unwrap(), &files, change));
        }
    });
    address
}

fn talk(
    stream: &TcpStream,
    files: &BTreeMap<String, Vec<u8>>,
    change: Change,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let mut out = stream;
    while let Some(request) = lines.next().transpose()? {
        let mut range = None;
        while let Some(line) = lines.next().transpose()?.filter(|line| !line.is_empty()) {
            let line = line.to_ascii_lowercase();
            range = line.strip_prefix("range: bytes=").map(str::to_owned).or(range);
        }
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut answer = answer(files, &path, range.as_deref());
        change(&path, &mut answer);
        if answer.stalls {
            // Held until the other end goes.
            _ = lines.next();
            return Ok(());
        }
        write!(out, "HTTP/1.1 {} So\r\n", answer.status)?;
        for (name, value) in &answer.headers {
            write!(out, "{name}: {value}\r\n")?;
        }
        write!(out, "Content-Length: {}\r\n\r\n", answer.body.len())?;
        if let Some(sent) = answer.cut {
            return out.write_all(&answer.body[..sent]);
        }
        out.write_all(&answer.body)?;
    }
    Ok(())
}

fn answer(files: &BTreeMap<String, Vec<u8>>, path: &str, range: Option<&str>) -> Answer {
    let path = path.split('?').next().unwrap();
    let Some(body) = files.get(path.trim_start_matches('/')) else {
        let (headers, body) = (BTreeMap::new(), b"not here".to_vec());
        return Answer { status: 404, headers, body, cut: None, stalls: false };
    };
    let kind = match path.rsplit('.').next().unwrap() {
        "m3u8" => "application/vnd.apple.mpegurl",
        "mpd" => "application/dash+xml",
        _ => "video/mp4",
    };
    let (mut status, mut body) = (200, body.clone());
    if let Some((begin, end)) = range.and_then(|range| range.split_once('-')) {
        let (begin, end): (usize, usize) = (begin.parse().unwrap(), end.parse().unwrap());
        (status, body) = match begin < body.len() {
            true => (206, body[begin..body.len().min(end + 1)].to_vec()),
            false => (416, Vec::new()),
        };
    }
    let headers = BTreeMap::from([
        ("Access-Control-Allow-Origin", "*".to_owned()),
        ("Content-Type", kind.to_owned()),
    ]);
    Answer { status, headers, body, cut: None, stalls: false }
}
