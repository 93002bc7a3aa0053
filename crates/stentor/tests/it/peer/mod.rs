//! `peer`: two processes on the loopback that meet, talk and leave; strangers; a third.

mod equals;
#[cfg(target_os = "linux")]
mod network;
mod strangers;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::program::stentor;

/// Longer than anything takes: a test that waits for it has failed.
const ASTRAY: Duration = Duration::from_secs(60);

/// A `stentor peer` that runs, killed when dropped.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    notices: Receiver<String>,
    seen: Vec<String>,
    out: Option<JoinHandle<String>>,
}

/// What it came to.
#[derive(Debug)]
struct Came {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Running {
    /// Starts a peer with standard input open.
    fn start(arguments: &[&str]) -> Running {
        let mut child = stentor()
            .arg("peer")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let err = BufReader::new(child.stderr.take().unwrap());
        let (sender, notices) = channel();
        thread::spawn(move || {
            err.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok());
        });
        let mut stdout = child.stdout.take().unwrap();
        let out = thread::spawn(move || {
            let mut all = Vec::new();
            stdout.read_to_end(&mut all).unwrap();
            String::from_utf8(all).unwrap()
        });
        let stdin = child.stdin.take();
        Running { child, stdin, notices, seen: Vec::new(), out: Some(out) }
    }

    /// A peer called `name` that nobody finds by mDNS, and its address.
    fn waiting(name: &str, more: &[&str]) -> (Running, SocketAddr) {
        let mut running = Running::start(&[&["-n", name, "--no-mdns"], more].concat());
        let line = running.until("listening; to dial by hand: stentor peer ");
        let address = line.rsplit(' ').next().unwrap().parse().unwrap();
        (running, address)
    }

    /// Waits for a notice with these words.
    fn until(&mut self, words: &str) -> String {
        loop {
            let line = self.notices.recv_timeout(ASTRAY);
            let line = line.unwrap_or_else(|_| panic!("never {words:?}, only {:#?}", self.seen));
            self.seen.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
    }

    fn say(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Ends its input.
    fn end(&mut self) {
        drop(self.stdin.take());
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits for its end; its input stays open if it was.
    fn wait(mut self) -> Came {
        let out = self.out.take().unwrap().join().unwrap();
        let code = self.child.wait().unwrap().code();
        while let Ok(line) = self.notices.recv_timeout(ASTRAY) {
            self.seen.push(line);
        }
        Came { code, out, err: self.seen.join("\n") }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two peers in a conversation; the first was dialled.
fn pair(more: &[&str]) -> (Running, Running, SocketAddr) {
    let (mut ann, address) = Running::waiting("ann", more);
    let mut bob = Running::start(&["-n", "bob", &address.to_string()]);
    ann.until("connected with bob");
    bob.until("connected with ann");
    (ann, bob, address)
}
