//! The proxies that are measured: ours, the relay in C, and Toxiproxy.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::said;
use crate::program::{self, Running};
use crate::{client, notice};

/// A `stentor impair --json`.
#[derive(Debug)]
pub(super) struct Impair {
    running: Running,
    out: ChildStdout,
    /// Kept open: notices have to go somewhere.
    _err: BufReader<ChildStderr>,
    pub(super) address: SocketAddr,
}

impl Impair {
    pub(super) fn start(arguments: &[&str]) -> Result<Impair, String> {
        let mut command = Command::new(program::stentor()?);
        command.args(["impair", "--json"]).args(arguments).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::start(&mut command)?;
        let (out, err) = (running.child.stdout.take(), running.child.stderr.take());
        let (Some(out), Some(err)) = (out, err) else { return Err("no pipes".to_owned()) };
        let mut err = BufReader::new(err);
        let mut line = String::new();
        err.read_line(&mut line).map_err(said)?;
        let address = line.split("://").nth(1).and_then(|rest| rest.split(' ').next());
        let address = address.and_then(|address| address.parse().ok());
        let address = address.ok_or_else(|| format!("impair {arguments:?}: {line}"))?;
        Ok(Impair { running, out, _err: err, address })
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Ends it as ^C does; its report.
    pub(super) fn end(mut self) -> Result<Value, String> {
        self.running.signal(Signal::SIGINT)?;
        let mut object = String::new();
        self.out.read_to_string(&mut object).map_err(said)?;
        self.running.wait(client::PATIENCE)?;
        serde_json::from_str(&object).map_err(|error| format!("report of impair: {error}"))
    }
}

/// benches/peers/relay.c.
#[derive(Debug)]
pub(super) struct Relay {
    _running: Running,
    pub(super) address: SocketAddr,
}

impl Relay {
    /// `None` without a compiler, loudly.
    pub(super) fn start(target: SocketAddr) -> Result<Option<Relay>, String> {
        let bench = std::env::current_exe().map_err(said)?;
        let built = bench.with_file_name("relay");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/relay.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O3", "-Wall", "-Wextra", "-o"]).args([&built, &source]);
        match compiler.status() {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(format!("cc {}: {status}", source.display())),
            Err(error) => {
                notice(&format!("SKIPPED: no relay to compare with: cc: {error}"));
                return Ok(None);
            }
        }
        let mut command = Command::new(built);
        command.args([target.ip().to_string(), target.port().to_string()]);
        let mut running = Running::start(command.stdout(Stdio::piped()))?;
        let mut line = String::new();
        let out = running.child.stdout.take().ok_or("no pipe")?;
        BufReader::new(out).read_line(&mut line).map_err(said)?;
        let port = line.split_whitespace().last().and_then(|port| port.parse::<u16>().ok());
        let port = port.ok_or_else(|| format!("the relay did not become ready: {line:?}"))?;
        Ok(Some(Relay { _running: running, address: SocketAddr::from(([127, 0, 0, 1], port)) }))
    }
}

/// The real one, with one proxy and no toxic.
#[derive(Debug)]
pub(super) struct Toxiproxy {
    _running: Running,
    pub(super) address: SocketAddr,
}

impl Toxiproxy {
    /// `None` where it is not on PATH, loudly.
    pub(super) fn start(target: SocketAddr) -> Result<Option<Toxiproxy>, String> {
        // A port that was free; it has no way to say which it took.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let control = free.map_err(said)?;
        let mut command = Command::new("toxiproxy-server");
        command.args(["-host", "127.0.0.1", "-port", &control.port().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = match Running::start(&mut command) {
            Ok(running) => running,
            Err(error) => {
                notice(&format!("SKIPPED: no Toxiproxy to compare with: {error}"));
                return Ok(None);
            }
        };
        let body = format!(
            r#"{{"name":"bench","listen":"127.0.0.1:0","upstream":"{target}","enabled":true}}"#
        );
        let answer = post(control, &body)?;
        let listen =
            answer.split_once("\"listen\":\"").and_then(|(_, rest)| rest.split('"').next());
        let address = listen.and_then(|listen| listen.parse().ok());
        let address = address.ok_or_else(|| format!("Toxiproxy answered {answer:?}"))?;
        Ok(Some(Toxiproxy { _running: running, address }))
    }
}

/// Creates a proxy over Toxiproxy's API as soon as it listens.
fn post(control: SocketAddr, body: &str) -> Result<String, String> {
    let from = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(control) {
            Ok(stream) => break stream,
            Err(error) if from.elapsed() > client::PATIENCE => return Err(said(error)),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let length = body.len();
    let request = format!(
        "POST /proxies HTTP/1.0\r\nHost: {control}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).map_err(said)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(said)?;
    Ok(answer)
}
