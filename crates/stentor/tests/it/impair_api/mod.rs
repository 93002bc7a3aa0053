//! `impair --control`: Toxiproxy's API, row by row, what it must not get wrong, and its clients.
//!
//! `table` is every method, path and refusal; `bodies` what nobody should send; `defects` what
//! Toxiproxy does and we must not; `datagrams` and `faults` what ours adds; `many` is 10,000
//! proxies and many clients at once; `foreign` runs clients of others, unmodified.

mod bodies;
mod datagrams;
mod defects;
mod faults;
mod foreign;
mod many;
mod table;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::program;

/// Longer than anything takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `stentor impair --control` on a free port, killed when dropped.
struct Api {
    child: Child,
    /// Keeps the pipe open: the report goes there.
    out: BufReader<ChildStdout>,
    /// What it said before it was ready.
    ready: String,
    address: SocketAddr,
}

/// An answer.
#[derive(Debug)]
struct Reply {
    status: u16,
    /// As it came, names in lower case.
    head: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// A connection to the API that is kept open.
struct Line(BufReader<TcpStream>);

impl Line {
    fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: api\r\ncontent-length: {length}\r\n{headers}\r\n"
        );
        let stream = self.0.get_mut();
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        self.receive()
    }

    fn receive(&mut self) -> Reply {
        let mut line = || {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        };
        let status = line();
        let status = status.split(' ').nth(1).unwrap_or_else(|| panic!("no status but {status:?}"));
        let status = status.parse().unwrap();
        let mut head = Vec::new();
        loop {
            let line = line();
            let Some((name, value)) = line.split_once(": ") else { break };
            head.push((name.to_lowercase(), value.to_owned()));
        }
        let mut reply = Reply { status, head, body: Vec::new() };
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        reply.body = vec![0; length];
        self.0.read_exact(&mut reply.body).unwrap();
        reply
    }
}

impl Api {
    fn start(arguments: &[&str]) -> Api {
        Api::start_by(program::stentor().args(["impair", "--control=127.0.0.1:0"]).args(arguments))
    }

    fn start_by(command: &mut Command) -> Api {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        let address = loop {
            let mut line = String::new();
            if out.read_line(&mut line).unwrap() == 0 {
                let mut said = String::new();
                child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("it did not begin: {said}");
            }
            let address = line.strip_prefix("http://").and_then(|rest| rest.split(' ').next());
            ready.push_str(&line);
            if let Some(address) = address {
                break address.parse().unwrap();
            }
        };
        Api { child, out, ready, address }
    }

    fn line(&self) -> Line {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Line(BufReader::new(stream))
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.line().send(method, path, "", body.as_bytes())
    }

    /// Sends what must succeed.
    fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let reply = self.send(method, path, &body);
        assert!((200..300).contains(&reply.status), "{method} {path} {body}: {reply:?}");
        if reply.body.is_empty() { Value::Null } else { reply.json() }
    }

    /// Makes a proxy, and says where clients come in.
    fn proxy(&self, name: &str, upstream: impl ToString) -> SocketAddr {
        let body = json!({"name": name, "listen": "127.0.0.1:0", "upstream": upstream.to_string()});
        listen(&self.done("POST", "/proxies", body))
    }

    /// A counter of GET /metrics.
    fn counted(&self, what: &str, direction: &str, proxy: &str) -> u64 {
        let text = self.send("GET", "/metrics", &Value::Null).text();
        let name = format!("toxiproxy_proxy_{what}_bytes_total{{direction=\"{direction}\",");
        let label = format!("proxy=\"{proxy}\"");
        let mut lines = text.lines();
        let line = lines.find(|line| line.starts_with(&name) && line.contains(&label));
        let line = line.unwrap_or_else(|| panic!("no counter {name}{label}:\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Ends it in order; its report.
    fn end(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let mut report = String::new();
        self.out.read_to_string(&mut report).unwrap();
        report
    }

    /// How many descriptors it has open.
    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(proxy: &Value) -> SocketAddr {
    proxy["listen"].as_str().unwrap().parse().unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Answers every connection with its own bytes, until its end.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let (mut from, mut to) = (stream.try_clone().unwrap(), stream);
                // Whoever is cut off in a test is not this one's matter.
                let _ = std::io::copy(&mut from, &mut to);
            });
        }
    });
    address
}

/// Sends a word through a connection, and gets it back.
fn say(stream: &mut TcpStream, word: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(word)?;
    let mut answer = vec![0; word.len()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
