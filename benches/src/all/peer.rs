//! Who is compared: how each server is started, and how it is spoken to.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::cores;
use super::script::Dialect;
use super::workshop::{Source, Workshop};
use crate::program::{self, Running};
use crate::watch;

/// What a program that knows no sockets answers with: GNU sed, line by line.
/// No backslash in it, which socat, ncat and xinetd would each take for their own.
const SED: [&str; 3] = ["sed", "-u", "y/abcdefghijklmnopqrstuvwxyz/ABCDEFGHIJKLMNOPQRSTUVWXYZ/"];

/// How a server says that it is ready, and where it listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    /// By a line: `... ready to receive on port N`, or on an address.
    Line,
    /// Not at all: it is given a port that was free, and looked for in the kernel's table.
    Table,
}

/// A server to measure.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) source: Source,
    pub(crate) dialect: Dialect,
    /// Whether its process is all there is: what others do for it is not in its account.
    pub(crate) alone: bool,
    arguments: &'static [&'static str],
    ready: Ready,
}

const fn peer(name: &'static str, source: Source, arguments: &'static [&'static str]) -> Peer {
    Peer { name, source, dialect: Dialect::Capitals, alone: true, arguments, ready: Ready::Line }
}

/// A program of the system that is given a port: `{port}`, `{file}` (its configuration), `{sed}`.
const fn foreign(name: &'static str, arguments: &'static [&'static str]) -> Peer {
    let (source, dialect) = (Source::System(name), Dialect::Capitals);
    Peer { name, source, dialect, alone: false, arguments, ready: Ready::Table }
}

pub(crate) const OURS: Peer = peer("stentor", Source::Stentor, &["serve", "-p", "0"]);
pub(crate) const SPINNING: Peer =
    peer("stentor --spin", Source::Stentor, &["serve", "-p", "0", "--spin"]);
pub(crate) const EPOLL: Peer = peer("C epoll", Source::C("epoll"), &["upper"]);
pub(crate) const ECHO: Peer = peer("C epoll, unchecked echo", Source::C("epoll"), &["echo"]);
pub(crate) const SINK: Peer = peer("C epoll, one-way sink", Source::C("epoll"), &["sink"]);
pub(crate) const RECVFROM: Peer = peer("C recvfrom", Source::C("datagrams"), &["plain"]);
pub(crate) const RECVMMSG: Peer = peer("C recvmmsg", Source::C("datagrams"), &["batch"]);
pub(crate) const OFFLOAD: Peer = peer("C, GRO and GSO", Source::C("datagrams"), &["offload"]);
pub(crate) const MIO: Peer = peer("mio", Source::Rust("mio_peer"), &[]);
pub(crate) const TOKIO: Peer = peer("tokio", Source::Rust("tokio_peer"), &["multi"]);
pub(crate) const TOKIO_ONE: Peer =
    peer("tokio, current thread", Source::Rust("tokio_peer"), &["current"]);
pub(crate) const TOKIO_BULK: Peer =
    peer("tokio, 256 KiB buffer", Source::Rust("tokio_peer"), &["multi", "262144"]);
pub(crate) const GO: Peer = peer("Go", Source::Go, &[]);
const ASYNCIO: Source = Source::Python("benches/peers/asyncio_server.py");
pub(crate) const PROTOCOL: Peer = peer("asyncio Protocol", ASYNCIO, &["protocol"]);
pub(crate) const STREAMS: Peer = peer("asyncio streams", ASYNCIO, &["streams"]);
pub(crate) const LECTURE: Peer =
    peer("the lecture's Python, looping", Source::Python("benches/peers/lecture_loop.py"), &[]);
pub(crate) const LECTURE_UDP: Peer =
    peer("the lecture's Python", Source::Python("lecture/python/udp_server.py"), &["0"]);
const REDIS_ARGUMENTS: &[&str] =
    &["--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
pub(crate) const REDIS: Peer = Peer {
    name: "redis ECHO",
    dialect: Dialect::Redis,
    alone: true,
    ..foreign("redis-server", REDIS_ARGUMENTS)
};
pub(crate) const SOCAT: Peer = foreign(
    "socat",
    &["TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,backlog=1024", "EXEC:{sed}"],
);
pub(crate) const NCAT: Peer =
    foreign("ncat", &["-l", "-k", "-m", "1024", "127.0.0.1", "{port}", "--sh-exec", "exec {sed}"]);
pub(crate) const XINETD: Peer = foreign("xinetd", &["-dontfork", "-f", "{file}"]);

/// A server that runs, killed and awaited when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    running: Running,
    pub(crate) address: SocketAddr,
    /// Kept open: a last word must not break its pipe.
    _out: Option<BufReader<ChildStdout>>,
}

impl Peer {
    /// Starts it on one processor, `through` another program with its arguments or by itself;
    /// `None` if it is not there.
    ///
    /// # Errors
    /// It does not become ready.
    pub(crate) fn start(
        &self,
        workshop: &Workshop,
        core: usize,
        through: &[OsString],
    ) -> Result<Option<Server>, String> {
        let Some(mut argv) = workshop.program(self.source)? else { return Ok(None) };
        let port = match self.ready {
            Ready::Table => program::free_port()?.port(),
            Ready::Line => 0,
        };
        let file = workshop.file(&format!("{}.conf", self.name));
        if self.arguments.contains(&"{file}") {
            configure(&file, port)?;
        }
        argv.extend(self.arguments.iter().map(|argument| {
            argument
                .replace("{port}", &port.to_string())
                .replace("{file}", &file.to_string_lossy())
                .replace("{sed}", &SED.join(" "))
                .into()
        }));
        let argv = [through, &argv].concat();
        let named = |error: String| format!("{}: {error}", self.name);
        let mut command = self.command(&argv);
        let mut running = cores::on(core, || Running::start(&mut command)).map_err(named)?;
        let mut out = running.child.stdout.take().map(BufReader::new);
        let address = match &mut out {
            Some(out) => listens_on(out).map_err(named)?,
            None => {
                let address = SocketAddr::from(([127, 0, 0, 1], port));
                program::await_listener(address).map_err(named)?;
                address
            }
        };
        Ok(Some(Server { running, address, _out: out }))
    }

    fn command(&self, argv: &[OsString]) -> Command {
        let (program, arguments) = argv
            .split_first()
            .map_or((OsStr::new(""), argv), |(first, rest)| (first.as_os_str(), rest));
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).env("NO_COLOR", "1").env_remove("RUST_LOG");
        // A server of the system is found where Debian keeps it.
        if let Some(path) = std::env::var_os("PATH") {
            let mut path = path;
            path.push(":/usr/sbin");
            command.env("PATH", path);
        }
        match self.ready {
            Ready::Line => command.stdout(Stdio::piped()),
            // They remark on every client that leaves without a word.
            Ready::Table => command.stdout(Stdio::null()).stderr(Stdio::null()),
        };
        command
    }
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Ends it in order, so that what watches it can report.
    ///
    /// # Errors
    /// It does not end.
    pub(crate) fn end(mut self) -> Result<(), String> {
        self.running.signal(Signal::SIGTERM)?;
        self.running.wait(Duration::from_secs(30)).map(drop)
    }

    /// Resident memory in bytes, by smaps_rollup: VmRSS is rounded by up to 64 pages a thread.
    pub(crate) fn resident(&self) -> Result<u64, String> {
        watch::memory(self.pid(), "Pss")
    }
}

fn listens_on(out: &mut BufReader<ChildStdout>) -> Result<SocketAddr, String> {
    let mut line = String::new();
    out.read_line(&mut line).map_err(|error| format!("read the ready line: {error}"))?;
    let (_, listed) = line
        .split_once("ready to receive on ")
        .ok_or_else(|| format!("did not become ready: {line:?}"))?;
    let loopback = |port: &str| Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?)));
    let address = match listed.trim().strip_prefix("port ") {
        Some(port) => loopback(port),
        None => listed.split_whitespace().next().and_then(|word| word.parse().ok()),
    };
    address.ok_or_else(|| format!("names no address: {line:?}"))
}

/// xinetd takes a file alone. Its own limits are out of the way: what is measured is the fork.
fn configure(file: &PathBuf, port: u16) -> Result<(), String> {
    let [program, arguments @ ..] = SED;
    let text = format!(
        "defaults\n{{\n instances = UNLIMITED\n per_source = UNLIMITED\n cps = 100000 1\n}}\n\
         service upper\n{{\n type = UNLISTED\n port = {port}\n bind = 127.0.0.1\n \
         socket_type = stream\n protocol = tcp\n wait = no\n user = root\n disable = no\n \
         server = /usr/bin/{program}\n server_args = {}\n}}\n",
        arguments.join(" ")
    );
    std::fs::write(file, text).map_err(|error| format!("write {}: {error}", file.display()))
}
