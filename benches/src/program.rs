//! The programs under measurement: found, started, watched through /proc, and ended whatever
//! happens.
//!
//! Every child stands in a list while it runs, so that a signal, or the time limit of a
//! measurement, ends them all: nothing started here outlives the bench.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stentor_os::signal::Interrupts;

use crate::watch;

/// How to build what is measured.
const BUILD: &str = "cargo build --release";

/// Process ids of the children that run now.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Ends every child that still runs.
pub(crate) fn end_all() {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    for &pid in running.iter() {
        // ESRCH: it ended by itself just now.
        let _ = kill(pid_of(pid), Signal::SIGKILL);
    }
}

/// Ends the bench and all its children at SIGINT, SIGTERM, or after `limit`.
///
/// # Errors
/// The handlers or the thread cannot be had.
pub(crate) fn watch_over(limit: Duration) -> Result<(), String> {
    let failed = |error: io::Error| format!("watch over signals: {error}");
    let interrupts = Interrupts::install().map_err(failed)?;
    // The other end stays with the thread below: nothing but a signal ends the wait.
    let (idle, _kept) = UnixStream::pair().map_err(failed)?;
    let timer = idle.try_clone().map_err(failed)?;
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        drop(timer.shutdown(std::net::Shutdown::Both));
    });
    std::thread::spawn(move || {
        let _kept = _kept;
        let signals = interrupts.wait(std::os::fd::AsFd::as_fd(&idle)).unwrap_or(1);
        end_all();
        if signals == 0 {
            crate::notice(&format!("not done within {} s: given up", limit.as_secs()));
        }
        std::process::exit(if signals == 0 { 1 } else { 130 });
    });
    Ok(())
}

/// The `stentor` beside this bench.
///
/// # Errors
/// It is not there, or older than its sources: measured would be something else.
pub(crate) fn stentor() -> Result<PathBuf, String> {
    if cfg!(debug_assertions) {
        return Err("a debug build measures nothing: run the bench with --release".to_owned());
    }
    stentor_of_any_build()
}

/// The same, a debug build, too: for what does not depend on speed.
///
/// # Errors
/// It is not there, or older than its sources.
pub(crate) fn stentor_of_any_build() -> Result<PathBuf, String> {
    let bench = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
    let path = bench.with_file_name("stentor");
    let Ok(built) = path.metadata().and_then(|data| data.modified()) else {
        return Err(format!("{} is not there: {BUILD} makes it", path.display()));
    };
    match newer(&path.with_extension("d"), built) {
        Some(source) => {
            let source = source.display();
            Err(format!("{} is older than {source}: {BUILD} makes it anew", path.display()))
        }
        None => Ok(path),
    }
}

/// A source that was changed after `built`, of those that cargo's list beside the program names:
/// `program: source source ...`, spaces within a name escaped. Without the list there is none.
fn newer(list: &Path, built: SystemTime) -> Option<PathBuf> {
    let list = fs::read_to_string(list).ok()?;
    let (_, sources) = list.lines().next()?.split_once(": ")?;
    let unescaped = sources.replace("\\ ", "\0");
    let paths = unescaped.split(' ').map(|path| PathBuf::from(path.replace('\0', " ")));
    let changed = |path: &PathBuf| path.metadata().and_then(|data| data.modified());
    paths.into_iter().find(|path| changed(path).is_ok_and(|at| at > built))
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
}

/// A child, killed and awaited when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    pub(crate) child: Child,
}

impl Running {
    /// Starts a program.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn start(command: &mut Command) -> Result<Running, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        // Held until the child is listed, or a signal in between would miss it.
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn().map_err(|error| format!("start {name}: {error}"))?;
        running.push(child.id());
        Ok(Running { name, child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), String> {
        kill(pid_of(self.pid()), signal)
            .map_err(|errno| format!("kill {} {}: {errno}", self.name, self.pid()))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It does not end within `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus, String> {
        let name = self.name.clone();
        let from = Instant::now();
        loop {
            // Not asked before it has ended, and then at once: wait(2) has no time limit.
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if from.elapsed() > limit => {
                    return Err(format!("{name} has not ended within {limit:?}"));
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => return Err(format!("wait for {name}: {error}")),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = self.pid();
        // Both fail if it has ended already, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|&known| known != pid);
    }
}

/// A port of 127.0.0.1 that was free a moment ago. Who takes it meanwhile makes the measurement
/// fail, loudly: one bind of two is refused, and a stranger's answer is wrong.
///
/// # Errors
/// No port is free.
pub(crate) fn free_port() -> Result<SocketAddr, String> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("bind 127.0.0.1:0: {error}"))
}

/// Waits for a listener without becoming its client: some serve only one.
///
/// # Errors
/// Nobody listens there within 5 s.
pub(crate) fn await_listener(address: SocketAddr) -> Result<(), String> {
    // A line of /proc/net/tcp: local address in hexadecimal, state 0A (LISTEN).
    let wanted = format!(":{:04X} 00000000:0000 0A", address.port());
    let from = Instant::now();
    while from.elapsed() < Duration::from_secs(5) {
        let table = fs::read_to_string("/proc/net/tcp")
            .map_err(|error| format!("read /proc/net/tcp: {error}"))?;
        if table.contains(&wanted) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Err(format!("nobody listens on {address}"))
}

/// A `stentor serve` on free ports.
#[derive(Debug)]
pub(crate) struct Server {
    running: Running,
    out: BufReader<ChildStdout>,
    log: Option<JoinHandle<()>>,
    /// When each line of the log came, and what it said.
    lines: Arc<Mutex<Vec<(Instant, String)>>>,
    /// What it says it listens on, in the order of its arguments.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Server {
    /// Starts `serve` with `arguments` and waits until it says that it is ready.
    ///
    /// # Errors
    /// It does not start or does not say so.
    pub(crate) fn start(arguments: &[&str]) -> Result<Server, String> {
        let mut command = Command::new(stentor()?);
        command.arg("serve").args(arguments).env("NO_COLOR", "1").env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::start(&mut command)?;
        let (out, err) = (running.child.stdout.take(), running.child.stderr.take());
        let (Some(out), Some(err)) = (out, err) else { return Err("no pipes".to_owned()) };
        let (mut out, mut err) = (BufReader::new(out), BufReader::new(err));
        let mut ready = String::new();
        let told = |error: io::Error| format!("read what serve says: {error}");
        if arguments.contains(&"--json") {
            // Standard output is promised to the summary.
            while !ready.contains("ready to receive")
                && err.read_line(&mut ready).map_err(told)? > 0
            {}
        } else {
            out.read_line(&mut ready).map_err(told)?;
        }
        let (_, listed) = ready
            .split_once("ready to receive on ")
            .ok_or_else(|| format!("serve {arguments:?} did not become ready: {ready:?}"))?;
        let addresses = listed
            .split(", ")
            .filter_map(|word| word.split_whitespace().next()?.parse().ok())
            .collect();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let log = std::thread::spawn(move || {
            for line in err.lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push((Instant::now(), line));
            }
        });
        Ok(Server { running, out, log: Some(log), lines, addresses })
    }

    /// Its first address.
    pub(crate) fn address(&self) -> Result<SocketAddr, String> {
        self.addresses.first().copied().ok_or_else(|| "serve names no address".to_owned())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Lines of its log since `from`.
    pub(crate) fn lines_since(&self, from: Instant) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|(at, _)| *at >= from).map(|(_, line)| line.clone()).collect()
    }

    /// Resident memory and its like, by the names of proc_pid_status(5), in bytes.
    pub(crate) fn memory(&self, name: &str) -> Result<u64, String> {
        watch::memory(self.pid(), name)
    }

    pub(crate) fn terminate(&self) -> Result<(), String> {
        self.running.signal(Signal::SIGTERM)
    }

    /// Waits for its end; the exit code (`None`: a signal) and what it said at the end.
    ///
    /// # Errors
    /// It does not end within `limit`.
    pub(crate) fn wait(mut self, limit: Duration) -> Result<(Option<i32>, String), String> {
        // The summary is short: it fits into the pipe, and the end need not be read for.
        let status = self.running.wait(limit)?;
        let mut said = String::new();
        self.out.read_to_string(&mut said).map_err(|error| format!("read summary: {error}"))?;
        if let Some(log) = self.log.take() {
            log.join().map_err(|_| "the reader of the log failed".to_owned())?;
        }
        Ok((status.code(), said))
    }

    /// Ends it in order, or at once where it takes its time.
    pub(crate) fn end(self) -> Result<String, String> {
        self.terminate()?;
        let (code, said) = self.wait(Duration::from_secs(40))?;
        if code != Some(0) {
            return Err(format!("serve ended with {code:?}: {said}"));
        }
        Ok(said)
    }
}
