//! Runs programs under the tracer, with the capture beside it, and gathers their record.
//!
//! The kernel's facts come from `stentor-os`; causes are found by `stentor_core::timeline`. All
//! requests to the tracer come from the thread that calls [`run`], and namespaces are entered
//! before any other thread exists.

mod possible;
mod translate;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use stentor_core::timeline::record::{
    Entry, Header, Loss, Mode, Place, Record, Remark, VERSION, Wire,
};
use stentor_os::capture::{self, Capture};
use stentor_os::clock::{self, Stamp};
use stentor_os::failure::Failure;
use stentor_os::namespace::{self, Kind};
use stentor_os::privilege;
use stentor_os::signal::Interrupts;
use stentor_os::tracee::{self, Alarm, Command, Ending, Event, Tracer};

use crate::complaint::{Complaint, Exit};
use translate::Translator;

pub use possible::{remedy, settle};

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
    /// The interface whose packets are captured in the real network.
    pub interface: String,
    /// Bytes kept of each payload.
    pub payload_bytes: u32,
    /// Whether programs may use io_uring.
    pub io_uring: bool,
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
/// The ring shared with the kernel.
const RING: usize = 16 << 20;
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
    if plan.mode == Mode::Lab {
        enter(plan.wire)?;
    }
    let (packets, capture) = match plan.mode {
        Mode::Lab => begin_capture("lo", plan)?,
        Mode::Host => begin_capture(&plan.interface, plan)?,
        Mode::Calls => (channel().1, None),
    };
    let interrupts = Interrupts::install()
        .map_err(|error| Failure::new("sigaction", "SIGINT and SIGTERM", error))?;
    let began = clock::stamp();
    let record = Record::new(header(plan, began));
    keeper.begin(&record.header)?;
    let mut run = Run::new(plan, began, record, keeper, &interrupts)?;
    let told = run.start_first().and_then(|()| run.watch());
    let lost = capture.map(|capture| capture.stop());
    for packet in packets {
        run.keep(run.translator.packet(packet))?;
    }
    if let Some(Ok(totals)) = lost
        && totals.dropped > 0
    {
        let at = run.translator.moment(clock::stamp());
        run.keep(Entry::Loss(Loss { at, place: Place::Capture, count: totals.dropped }))?;
    }
    told?;
    let code = run.code();
    let Run { mut record, notices, interrupted, .. } = run;
    record.sort();
    Ok(Ran { record, code, interrupted, notices })
}

fn enter(wire: Wire) -> Result<(), Complaint> {
    let kind = if privilege::may_unshare() { Kind::Network } else { Kind::UserAndNetwork };
    let wire = match wire {
        Wire::Ethernet => namespace::Wire::Ethernet,
        Wire::Raw => namespace::Wire::Raw,
    };
    namespace::enter(kind, wire).map_err(|refusal| {
        let next = remedy(refusal.step.name());
        Complaint::new(Exit::Impossible, format!("a private network: {refusal}"), next)
    })
}

fn begin_capture(
    interface: &str,
    plan: &Plan,
) -> Result<(Receiver<capture::Packet>, Option<Capture>), Complaint> {
    let options = capture::Options {
        interface: interface.to_owned(),
        bytes_max: plan.payload_bytes.saturating_add(HEADERS),
        ring_bytes: RING,
    };
    let (send, packets) = channel();
    // The receiver lives until the capture has stopped.
    let capture = Capture::start(&options, move |packet| drop(send.send(packet)));
    let capture = capture.map_err(|refusal| {
        let what = format!("capture packets of {}: {refusal}", options.interface);
        Complaint::new(Exit::Impossible, what, remedy("socket(AF_PACKET)"))
    })?;
    Ok((packets, Some(capture)))
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
        self.first = self.start(&self.plan.first, silent)?;
        self.set_alarm(None)
    }

    fn start(&mut self, words: &[OsString], silent: bool) -> Result<i32, Complaint> {
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
            self.start(words, index > 0)?;
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
        let quiet = QUIET.checked_sub(last.elapsed())?;
        let closing = CLOSING.checked_sub(began.elapsed())?;
        Some(quiet.min(closing)).filter(|left| !left.is_zero())
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
