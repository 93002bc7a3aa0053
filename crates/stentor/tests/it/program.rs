//! Runs the program under test: to its end, or as a server that is ended whatever happens.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// The program under test, with a quiet environment.
pub(crate) fn stentor() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stentor"));
    command.env("NO_COLOR", "1").env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// What a finished run said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

/// Runs to the end with `input` on standard input.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Said {
    let mut child = stentor()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that ends early breaks the pipe, which is its good right.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    Said { code: output.status.code(), out: output.stdout, err }
}

/// Whether programs can be traced here; where not, it says so.
pub(crate) fn traceable() -> bool {
    let said = run(&["trace", "-q", "--mode", "calls", "--", "true"], b"");
    if said.code != Some(0) {
        eprintln!("SKIPPED: this system lets no program be traced: {}", said.err);
    }
    said.code == Some(0)
}

/// A `stentor serve` on free ports, killed when dropped.
pub(crate) struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    /// Its address on IPv4, for TCP and UDP.
    pub(crate) v4: SocketAddr,
    /// Its address on IPv6, where there is IPv6.
    pub(crate) v6: Option<SocketAddr>,
}

impl Server {
    /// Starts `serve -p 0` with more arguments, and waits for its ready line.
    pub(crate) fn start(arguments: &[&str]) -> Server {
        Server::start_by(
            stentor().args(["serve", "-p", "0"]).args(arguments).stderr(Stdio::piped()),
        )
    }

    /// As [`Server::start`], as the leader of a process group of its own.
    pub(crate) fn start_in_group(arguments: &[&str]) -> Server {
        let mut command = stentor();
        command.args(["serve", "-p", "0"]).args(arguments).stderr(Stdio::piped());
        Server::start_by(command.process_group(0))
    }

    /// Starts a command that serves, and waits for its ready line.
    pub(crate) fn start_by(command: &mut Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        out.read_line(&mut ready).unwrap();
        let addresses = ready.trim().strip_prefix("The server is ready to receive on ");
        let addresses = addresses.unwrap_or_else(|| panic!("no ready line but {ready:?}"));
        let found: Vec<SocketAddr> = addresses
            .split(", ")
            .filter_map(|word| word.split(' ').next().unwrap().parse().ok())
            .collect();
        let v4 = found.iter().copied().find(SocketAddr::is_ipv4).unwrap();
        let v6 = found.iter().copied().find(SocketAddr::is_ipv6);
        Server { child, out, v4, v6 }
    }

    /// Sends a signal to the server alone.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Sends a signal to the server and all its children; it leads their group.
    pub(crate) fn signal_group(&self, signal: &str) {
        let group = format!("-{}", self.child.id());
        assert!(Command::new("kill").args([signal, "--", &group]).status().unwrap().success());
    }

    /// Ends it in order, and returns how it ended and its summary.
    pub(crate) fn end(self) -> (ExitStatus, String) {
        self.signal("-TERM");
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let mut summary = String::new();
        self.out.read_to_string(&mut summary).unwrap();
        (self.child.wait().unwrap(), summary)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
