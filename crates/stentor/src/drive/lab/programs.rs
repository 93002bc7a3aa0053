//! Programs on a lab link, untraced: the server at one end, clients at the other.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use stentor_os::clock;
use stentor_os::failure::Failure;
use stentor_os::namespace::Network;
use stentor_os::net::poll::{Watch, wait};
use stentor_os::net::socket_table::{self, Table};
use stentor_os::process;
use stentor_os::signal::Interrupts;

use super::carrier::Running;
use super::ends::Lab;
use super::passage::Carried;
use super::settings::Settings;
use crate::complaint::{Complaint, Exit};

/// What is run on a link.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    /// The server, in the server's network. Its standard input is empty if there are clients.
    pub server: Vec<OsString>,
    /// The clients, in the client's network, started when the server listens; the first has our
    /// standard input.
    pub clients: Vec<Vec<OsString>>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// What the link did.
    pub carried: Carried,
    /// The exit code to pass on: the server's; if it was ended by us after its clients, the first
    /// of theirs that is not 0.
    pub code: u8,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// Whether the server listened, and the clients were started.
    pub clients_started: bool,
}

/// Between two looks at the programs: nothing in the kernel tells of a listening socket.
const LOOK: Duration = Duration::from_millis(5);
/// A server whose clients have ended, and a link that is silent for so long, have no more to say.
pub(in crate::drive) const QUIET: Duration = Duration::from_millis(300);
/// It is given no longer than this, all the same: a segment that is lost five times in a row is
/// sent again after 6 s (RFC 6298).
pub(in crate::drive) const CLOSING: Duration = Duration::from_secs(10);
/// A SIGINT that the terminal sent to all of us needs no other signal for so long.
const RECENT: Duration = Duration::from_millis(200);
/// How long programs may take to end after a signal.
const ENDING: Duration = Duration::from_secs(2);

/// Runs programs on a link, to their end.
///
/// The process must have one thread, as for [`Lab::enter`]. The programs' output passes through.
///
/// # Errors
/// What the system refuses, with its remedy; a program that cannot be started.
pub fn run(
    settings: Settings,
    programs: &Programs,
    bytes_max: Option<usize>,
) -> Result<Outcome, Complaint> {
    let lab = Lab::enter()?;
    let interrupts = Interrupts::install()
        .map_err(|error| Failure::new("sigaction", "SIGINT and SIGTERM", error))?;
    let link = lab.begin(settings, clock::stamp(), bytes_max)?;
    let mut show = Show::default();
    let shown = show.run(programs, &link, &interrupts);
    show.end();
    let carried = link.stop();
    shown?;
    let code = show.code();
    let Show { interrupted, clients_started, .. } = show;
    Ok(Outcome { carried: carried?, code, interrupted, clients_started })
}

/// A program under way.
struct Program {
    child: Child,
    ended: Option<ExitStatus>,
}

#[derive(Default)]
struct Show {
    server: Option<Program>,
    clients: Vec<Program>,
    clients_started: bool,
    interrupted: bool,
    /// Whether what the server ended with is our doing.
    told: bool,
}

impl Show {
    fn run(
        &mut self,
        programs: &Programs,
        link: &Running,
        interrupts: &Interrupts,
    ) -> Result<(), Complaint> {
        let silent = !programs.clients.is_empty();
        self.server = Some(start(&programs.server, link.server(), silent)?);
        let mut clients_ended = None;
        loop {
            let failed = |error| Failure::new("wait", "the programs on the link", error);
            let mut watches = [Watch::new(interrupts.as_fd(), true, false)];
            wait(&mut watches, Some(LOOK)).map_err(failed)?;
            if interrupts.taken() > 0 {
                self.interrupted = true;
                return Ok(());
            }
            self.look().map_err(failed)?;
            let served = self.server.as_ref().is_some_and(|server| server.ended.is_some());
            if !self.clients_started && !served && self.listens() {
                self.clients_started = true;
                for (number, words) in programs.clients.iter().enumerate() {
                    self.clients.push(start(words, link.client(), number > 0)?);
                }
            }
            let waits = self.clients.iter().any(|client| client.ended.is_none());
            if served && !waits {
                return Ok(());
            }
            if silent && self.clients_started && !waits {
                let since: &mut Instant = clients_ended.get_or_insert_with(Instant::now);
                let silent = link.activity().silence() >= QUIET && since.elapsed() >= QUIET;
                if silent && link.settled() || since.elapsed() >= CLOSING {
                    return Ok(());
                }
            }
        }
    }

    /// Sees who has ended.
    fn look(&mut self) -> io::Result<()> {
        for program in self.server.iter_mut().chain(&mut self.clients) {
            if program.ended.is_none() {
                program.ended = program.child.try_wait()?;
            }
        }
        Ok(())
    }

    /// Whether anyone in the server's network can be reached: a listening TCP socket, or one of UDP
    /// that is bound.
    fn listens(&self) -> bool {
        let Some(server) = &self.server else { return false };
        let rows = |table| socket_table::read_of(server.child.id(), table).unwrap_or_default();
        let [tcp, tcp6] = [Table::Tcp, Table::Tcp6].map(rows);
        let [udp, udp6] = [Table::Udp, Table::Udp6].map(rows);
        tcp.iter().chain(&tcp6).any(|row| row.state == "LISTEN")
            || udp.iter().chain(&udp6).any(|row| row.local.port() > 0 && row.remote.port() == 0)
    }

    /// Tells whoever still runs to end, and waits for them.
    fn end(&mut self) {
        let since = Instant::now();
        // After ^C at a terminal they know already, and may be ending.
        let grace = if self.interrupted { RECENT } else { Duration::ZERO };
        let (mut told, mut killed) = (false, false);
        loop {
            // Whoever cannot be waited for is not ours any more.
            if self.look().is_err() {
                return;
            }
            let programs = self.server.iter_mut().chain(&mut self.clients);
            let left: Vec<&mut Program> = programs.filter(|it| it.ended.is_none()).collect();
            if left.is_empty() {
                return;
            }
            let tell = since.elapsed() >= grace;
            let kill = since.elapsed() >= grace + ENDING;
            for program in left {
                // It may have ended in the meantime, and then there is nobody to tell.
                if tell && !told {
                    let _ = process::terminate(program.child.id());
                } else if kill && !killed {
                    let _ = program.child.kill();
                }
            }
            (told, killed) = (tell, kill);
            self.told |= told;
            std::thread::sleep(LOOK);
        }
    }

    /// The code to pass on, as a shell would say it.
    fn code(&self) -> u8 {
        if self.interrupted {
            return Exit::Interrupted.code();
        }
        let code = |program: &Program| program.ended.map_or(0, shell_code);
        match self.told {
            false => self.server.as_ref().map_or(0, code),
            true => self.clients.iter().map(code).find(|code| *code != 0).unwrap_or(0),
        }
    }
}

fn shell_code(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    u8::try_from(status.code().or(signal).unwrap_or(1)).unwrap_or(1)
}

fn start(words: &[OsString], network: &Arc<Network>, silent: bool) -> Result<Program, Complaint> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Complaint::usage("no program to run on the link", "Give one after --."));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    if silent {
        command.stdin(Stdio::null());
    }
    network.host(&mut command);
    let child = command.spawn().map_err(|error| {
        let failure = Failure::new("execve", program.display(), error);
        Complaint::not_executed(program, failure.to_string(), &failure.error)
    })?;
    Ok(Program { child, ended: None })
}
