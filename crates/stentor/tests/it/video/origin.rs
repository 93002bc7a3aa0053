//! An origin under test and clients of it: sockets that speak HTTP by hand.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::program::stentor;

/// A `stentor video serve` on a free port, killed when dropped.
pub(super) struct Origin {
    child: Child,
    out: BufReader<ChildStdout>,
    /// What it says on standard error, line by line.
    pub(super) log: Receiver<String>,
    pub(super) address: SocketAddr,
}

impl Origin {
    /// Starts it with more arguments, and waits until it has said its addresses.
    pub(super) fn start(arguments: &[&str]) -> Origin {
        let mut child = Origin::command(arguments);
        let (sender, log) = channel();
        let err = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in err.lines().map_while(Result::ok) {
                // The test may have had enough of them.
                let _ = sender.send(line);
            }
        });
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        out.read_line(&mut ready).unwrap();
        let address = ready.strip_prefix("http://").and_then(|rest| rest.split('/').next());
        let address = address.and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| {
            panic!("no address but {ready:?}: {:?}", log.iter().collect::<Vec<_>>())
        });
        Origin { child, out, log, address }
    }

    /// Starts the program, and leaves what it says to the test.
    pub(super) fn command(arguments: &[&str]) -> Child {
        let mut command = stentor();
        command.args(["video", "serve", "-p", "0"]).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// The answer to one request on a connection of its own.
    pub(super) fn get(&self, path: &str) -> Reply {
        self.client().get(path)
    }

    pub(super) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits for its end: how it ended, and the rest of standard output.
    pub(super) fn wait(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }

    /// Ends it in order.
    pub(super) fn end(self) -> (ExitStatus, String) {
        self.signal("-INT");
        self.wait()
    }

    /// The next line of its log that holds `text`.
    pub(super) fn logged(&self, text: &str) -> String {
        let mut others = Vec::new();
        loop {
            match self.log.recv_timeout(Duration::from_secs(30)) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => others.push(line),
                Err(error) => panic!("{error}: no {text:?} in {others:#?}"),
            }
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection to an origin.
pub(super) struct Client {
    pub(super) stream: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// By names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// A field; empty if it is not there.
    pub(super) fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Client { stream: BufReader::new(stream) }
    }

    pub(super) fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Sends a request with more fields, each with its line end.
    pub(super) fn ask(&mut self, method: &str, path: &str, fields: &str) -> Reply {
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
        let head = self.head();
        self.body(head, method)
    }

    pub(super) fn get(&mut self, path: &str) -> Reply {
        self.ask("GET", path, "")
    }

    /// Reads the head of an answer.
    pub(super) fn head(&mut self) -> Reply {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line but {line:?}"));
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        Reply { status, headers, body: Vec::new() }
    }

    /// Reads the body that a head announces.
    pub(super) fn body(&mut self, mut head: Reply, method: &str) -> Reply {
        let none = method == "HEAD" || matches!(head.status, 204 | 304);
        let length = if none { 0 } else { head.field("content-length").parse().unwrap() };
        head.body.resize(length, 0);
        self.stream.read_exact(&mut head.body).unwrap();
        head
    }

    /// Whatever still comes until the other end closes; and whether it was reset.
    pub(super) fn rest(&mut self) -> (Vec<u8>, bool) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => (rest, false),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => (rest, true),
            Err(error) => panic!("{error} after {} bytes", rest.len()),
        }
    }
}
