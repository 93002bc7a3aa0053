//! Runs programs under the tracer, with the capture beside it, and gathers their record.
//!
//! The kernel's facts come from `stentor-os`; causes are found by `stentor_core::timeline`. All
//! requests to the tracer come from the thread that calls [`run`], and namespaces are entered
//! before any other thread exists.

mod packets;
mod possible;
mod translate;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stentor_core::timeline::record::{Entry, Header, Mode, Record, Remark, VERSION, Wire};
use stentor_os::clock::{self, Stamp};
use stentor_os::failure::Failure;
use stentor_os::namespace::Network;
use stentor_os::signal::Interrupts;
use stentor_os::tracee::{self, Alarm, Command, Ending, Event, Tracer};

use crate::complaint::{Complaint, Exit};
use crate::drive::lab;
use packets::Witness;
use translate::Translator;

pub use possible::{no_link, remedy, settle};

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The first program: the server, or the only one.
    pub first: Vec<OsString>,
    /// The others, started when the first one listens.
    pub with: Vec<Vec<OsString>>,
    /// Where.
    pub mode: Mode,
    /// What the private network's wire is like.
    pub wire: Wire,
    /// A lab link between the first program and the others, in words and as settings; in
    /// [`Mode::Lab`] only.
    pub link: Option<Link>,
    /// The interface whose packets are captured in the real network.
    pub interface: String,
    /// Bytes kept of each payload.
    pub payload_bytes: u32,
    /// Whether programs may use io_uring.
    pub io_uring: bool,
}

/// A lab link, and what it is called.
#[derive(Clone, Debug)]
pub struct Link {
    /// As it was written.
    pub words: String,
    /// What it is set to.
    pub settings: lab::Settings,
}

/// `delay=20ms,loss=1%, seed 7`.
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, seed {}", self.words, self.settings.seed.0)
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    /// What was seen, in the order of time.
    pub record: Record,
    /// The exit code to pass on: the first program's; if it was ended by us after the others had
    /// finished, the first of theirs that is not 0.
    pub code: u8,
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// What a person should know.
    pub notices: Vec<String>,
}

/// Numbers of signals (signal(7)), the same on every Linux.
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// Headers before a payload: Ethernet 14, IPv6 40, TCP 60 with all options.
const HEADERS: u32 = 114;
/// Without an event for so long after the clients have ended, the server has nothing more to say.
const QUIET: Duration = Duration::from_millis(300);
/// A server that never falls silent is given no longer than this after the clients have ended.
const CLOSING: Duration = Duration::from_secs(3);
/// How long a signal from the terminal may take to be seen at the programs it was sent to as well.
const ARRIVING: Duration = Duration::from_millis(50);
/// A SIGINT that a program took no longer ago than this is the one that we took.
const RECENT: Duration = Duration::from_secs(1);
/// How long programs may take to end after a signal.
const ENDING: Duration = Duration::from_secs(2);

/// Whoever keeps a record while it grows.
pub trait Keeper {
    /// Before the first entry.
    ///
    /// # Errors
    /// It cannot be kept, and the run is not begun.
    fn begin(&mut self, header: &Header) -> Result<(), Complaint>;

    /// Every entry as it comes.
    ///
    /// # Errors
    /// It cannot be kept, and the run ends.
    fn keep(&mut self, entry: &Entry) -> Result<(), Complaint>;
}

/// Runs the programs to their end, watching; the keeper is given every entry as it comes.
///
/// # Errors
/// The step that the system refuses, with its remedy; a program that cannot be started; or the
/// keeper's own complaint.
pub fn run(plan: &Plan, keeper: &mut dyn Keeper) -> Result<Ran, Complaint> {
    let witness = Witness::enter(plan)?;
    let interrupts = Interrupts::install()
        .map_err(|error| Failure::new("sigaction", "SIGINT and SIGTERM", error))?;
    let began = clock::stamp();
    let record = Record::new(header(plan, began));
    keeper.begin(&record.header)?;
    let witness = witness.begin(plan, began)?;
    let mut run = Run::new(plan, began, record, keeper, &interrupts, witness)?;
    let told = run.start_first().and_then(|()| run.watch());
    let code = run.code();
    let Run { translator, keeper, witness, mut record, mut notices, interrupted, .. } = run;
    let (packets, words) = witness.end(&translator)?;
    notices.extend(words);
    for entry in packets {
        keeper.keep(&entry)?;
        record.push(entry);
    }
    told?;
    record.sort();
    Ok(Ran { record, code, interrupted, notices })
}

fn header(plan: &Plan, began: Stamp) -> Header {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Header {
        version: VERSION,
        stentor: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: kernel.trim().to_owned(),
        machine: std::env::consts::ARCH.to_owned(),
        mode: plan.mode,
        wire: plan.wire,
        snaplen: plan.payload_bytes.saturating_add(HEADERS),
        began_unix_ns: began.realtime_ns,
        link: plan.link.as_ref().map(|link| link.to_string()),
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Programs run.
    Running,
    /// The others have ended; the first one is given time to finish.
    Closing,
    /// A signal came; from a terminal, the programs have it, too.
    Interrupted,
    /// They have been told to end.
    Told,
    /// They have been told so in the words that nobody can ignore.
    Killed,
}

struct Run<'a> {
    plan: &'a Plan,
    translator: Translator,
    record: Record,
    keeper: &'a mut dyn Keeper,
    witness: Witness,
    tracer: Tracer,
    interrupts: &'a Interrupts,
    alarm: Option<Alarm>,
    first: i32,
    /// The processes we started, and how they ended.
    roots: BTreeMap<i32, Option<Ending>>,
    with_started: bool,
    stage: Stage,
    /// When the clients had ended, and when something happened last since.
    closing: Option<(Instant, Instant)>,
    interrupted: bool,
    /// When a process took a SIGINT last.
    struck: BTreeMap<i32, Instant>,
    notices: Vec<String>,
}

impl<'a> Run<'a> {
    fn new(
        plan: &'a Plan,
        began: Stamp,
        record: Record,
        keeper: &'a mut dyn Keeper,
        interrupts: &'a Interrupts,
        witness: Witness,
    ) -> Result<Run<'a>, Complaint> {
        let options = tracee::Options {
            filter: true,
            snapshots: true,
            payload_bytes_max: plan.payload_bytes,
            waiting_calls: true,
            io_uring: plan.io_uring,
        };
        let tracer = Tracer::new(options).map_err(|error| {
            let failure = Failure::new("make a tracer", std::env::consts::ARCH, error);
            Complaint { exit: Exit::Impossible, ..failure.into() }
        })?;
        Ok(Run {
            plan,
            translator: Translator::new(began),
            record,
            keeper,
            witness,
            tracer,
            interrupts,
            alarm: None,
            first: 0,
            roots: BTreeMap::new(),
            with_started: plan.with.is_empty(),
            stage: Stage::Running,
            closing: None,
            interrupted: false,
            struck: BTreeMap::new(),
            notices: Vec::new(),
        })
    }

    fn keep(&mut self, entry: Entry) -> Result<(), Complaint> {
        self.keeper.keep(&entry)?;
        self.record.push(entry);
        Ok(())
    }

    /// Standard input goes to the client if there is one: the lecture's reads its sentence there.
    fn start_first(&mut self) -> Result<(), Complaint> {
        let silent = !self.plan.with.is_empty();
        self.first = self.start(&self.plan.first, silent, self.witness.server())?;
        self.set_alarm(None)
    }

    /// Starts a program, in another network than ours if one is given.
    fn start(
        &mut self,
        words: &[OsString],
        silent: bool,
        network: Option<Arc<Network>>,
    ) -> Result<i32, Complaint> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(Complaint::usage("no program to trace", "Give one after --."));
        };
        let null = || std::fs::File::open("/dev/null").map(Into::into);
        let stdin = silent.then(null).transpose();
        let stdin = stdin.map_err(|error| Failure::new("open", "/dev/null", error))?;
        let command = Command {
            program: program.clone(),
            arguments: arguments.to_vec(),
            stdin,
            network,
            ..Command::default()
        };
        let at = clock::stamp();
        let pid = self.tracer.start(&command).map_err(possible::not_started)?;
        self.roots.insert(pid, None);
        let words = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let entry = self.translator.started(at, pid, words);
        self.keep(entry)?;
        Ok(pid)
    }

    /// Everything that happens until nobody is left.
    fn watch(&mut self) -> Result<(), Complaint> {
        let failed = |error| Failure::new("waitpid", "the traced programs", error);
        while let Some(event) = self.tracer.next_event().map_err(failed)? {
            if event == Event::Rung {
                self.rung()?;
                continue;
            }
            if let Event::Call(call) = &event
                && !self.with_started
                && possible::now_serves(call)
            {
                self.start_with()?;
            }
            if let Event::Ended { pid, how, .. } = &event
                && let Some(ending) = self.roots.get_mut(pid)
            {
                *ending = Some(*how);
            }
            if let Event::Signal { pid, number: SIGINT, .. } = &event {
                self.struck.insert(*pid, Instant::now());
            }
            let idle = possible::idle(&event);
            for entry in self.translator.entries(event) {
                self.keep(entry)?;
            }
            self.consider_ending(idle)?;
        }
        if !self.with_started {
            self.notices.push(format!(
                "{} ended before it listened: the programs of --with were not started",
                name(&self.plan.first)
            ));
        }
        Ok(())
    }

    fn start_with(&mut self) -> Result<(), Complaint> {
        self.with_started = true;
        let plan = self.plan;
        for (index, words) in plan.with.iter().enumerate() {
            self.start(words, index > 0, None)?;
        }
        Ok(())
    }

    /// When the clients have ended, a server that would go on for ever is not waited for.
    fn consider_ending(&mut self, idle: bool) -> Result<(), Complaint> {
        if let Some((_, last)) = &mut self.closing {
            // Something still happens: the silence begins anew.
            if !idle {
                *last = Instant::now();
            }
            return Ok(());
        }
        let others = self.roots.iter().filter(|(pid, _)| **pid != self.first);
        let clients_done = self.with_started
            && others.clone().count() > 0
            && others.clone().all(|(_, ending)| ending.is_some());
        let all_done = self.roots.values().all(Option::is_some);
        if self.stage == Stage::Running && (clients_done || all_done) {
            self.stage = Stage::Closing;
            let now = Instant::now();
            self.closing = Some((now, now));
            return self.set_alarm(Some(QUIET));
        }
        Ok(())
    }

    /// How much longer the programs may go on after the clients; none if their time is up.
    fn patience(&self) -> Option<Duration> {
        let (began, last) = self.closing?;
        let Some(link) = self.witness.link() else {
            let quiet = QUIET.checked_sub(last.elapsed())?;
            let closing = CLOSING.checked_sub(began.elapsed())?;
            return Some(quiet.min(closing)).filter(|left| !left.is_zero());
        };
        // What is on its way, or lost and not yet sent again, may still wake the server.
        let closing = lab::CLOSING.checked_sub(began.elapsed()).filter(|left| !left.is_zero())?;
        let silence = last.elapsed().min(link.activity().silence());
        match QUIET.checked_sub(silence).filter(|left| !left.is_zero()) {
            Some(quiet) => Some(quiet.min(closing)),
            None if link.settled() => None,
            None => Some(QUIET.min(closing)),
        }
    }

    /// The bell: a signal, or the time is up.
    fn rung(&mut self) -> Result<(), Complaint> {
        let signals = self.interrupts.taken();
        if signals > 0 {
            self.interrupted = true;
        }
        if self.stage == Stage::Closing
            && signals == 0
            && let Some(left) = self.patience()
        {
            return self.set_alarm(Some(left));
        }
        let (next, signal) = match (self.stage, signals > 0) {
            (Stage::Running, true) => {
                self.stage = Stage::Interrupted;
                return self.set_alarm(Some(ARRIVING));
            }
            (Stage::Interrupted, false) => (Stage::Told, SIGINT),
            (Stage::Running, false) => return self.set_alarm(None),
            (Stage::Closing, _) => (Stage::Told, SIGTERM),
            (Stage::Interrupted | Stage::Told | Stage::Killed, _) => (Stage::Killed, SIGKILL),
        };
        self.stage = next;
        let at = clock::stamp();
        for pid in self.tracer.processes() {
            if !self.roots.contains_key(&pid) && self.roots.values().all(Option::is_some) {
                let words = "it outlived the program that started it, and was ended with the trace";
                let note = self.translator.note(at, pid, Remark::Text(words.to_owned()));
                self.keep(note)?;
            }
            // ^C reaches all programs of the terminal: to them a second one may mean another thing.
            let knows =
                signal == SIGINT && self.struck.get(&pid).is_some_and(|at| at.elapsed() < RECENT);
            if !knows {
                // It may have ended in the meantime, and then there is nobody to tell.
                let _ = self.tracer.signal(pid, signal);
            }
        }
        self.set_alarm(Some(ENDING))
    }

    /// Rings at the next signal, and after `timeout`.
    fn set_alarm(&mut self, timeout: Option<Duration>) -> Result<(), Complaint> {
        self.alarm = None;
        let alarm = self.tracer.bell().ring_when(self.interrupts.as_fd(), timeout);
        self.alarm = Some(alarm.map_err(|error| Failure::new("poll", "signals", error))?);
        Ok(())
    }

    /// The code to pass on, as a shell would say it.
    fn code(&self) -> u8 {
        let code = |ending: &Ending| match ending {
            Ending::Exited(status) => u8::try_from(*status & 0xff).unwrap_or(1),
            Ending::Killed { signal, .. } => u8::try_from(128 + *signal).unwrap_or(128),
        };
        let first = self.roots.get(&self.first).and_then(Option::as_ref).map_or(0, code);
        if self.interrupted {
            return Exit::Interrupted.code();
        }
        if self.stage == Stage::Running || self.stage == Stage::Closing {
            return first;
        }
        // We ended it: what it says of itself is our doing.
        let others = self.roots.iter().filter(|(pid, _)| **pid != self.first);
        others
            .filter_map(|(_, ending)| ending.as_ref().map(code))
            .find(|code| *code != 0)
            .unwrap_or(0)
    }
}

fn name(words: &[OsString]) -> String {
    words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
}
