//! The stage of a lesson: what was done, what was seen, and whether the lesson's claims held.
//!
//! Everything is recorded, and shown as it happens; how it looks is left to `page`, the socket
//! calls themselves to `calls`, and what to do to each lesson.

use std::fmt::Display;
use std::io;

use serde::{Deserialize, Serialize};
use stentor_core::moment::Moment;
use stentor_core::timeline::ladder::Ladder;
use stentor_core::timeline::{Conversation, Lane, What};
use stentor_os::clock;
use stentor_os::failure::{Failure, describe, errno_name};
use stentor_os::signal::Interrupts;

use super::page::{Page, View};
use super::text::Text;
use crate::complaint::{Complaint, Exit};

/// Why a lesson ended before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// A call that the lesson relies on failed.
    Failed(Failure),
    /// The system does not allow a step, with the way to allow it.
    Impossible {
        /// What was tried and refused.
        what: String,
        /// How to allow it.
        next: String,
    },
    /// Something that the lesson relies on went otherwise.
    Contradicted {
        /// What happened.
        what: String,
        /// What to do; may be empty.
        next: String,
    },
    /// A part of this program that the lesson uses could not do its work.
    Refused(Complaint),
    /// The person ended it.
    Interrupted,
    /// Our own output could not be written.
    Output(io::Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Output(error)
    }
}

/// A part of a lesson: a sentence on what is done, the calls, the evidence.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Step {
    /// What is done.
    pub(super) title: String,
    /// Why it is done, in a sentence.
    pub(super) reason: String,
    /// The socket calls, in order.
    pub(super) calls: Vec<Call>,
    /// What was read from the sockets.
    pub(super) facts: Vec<Fact>,
}

/// A system call as it happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Call {
    /// Who made it: `client`, `server`.
    pub(super) who: String,
    /// Its name, as in its man page.
    pub(super) name: String,
    /// What it was given.
    pub(super) arguments: String,
    /// What it gave back.
    pub(super) outcome: String,
}

/// Something read from the system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Fact {
    /// What it is.
    pub(super) name: String,
    /// Its value as read.
    pub(super) value: String,
}

/// What the lesson says, and whether the evidence agrees.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Claim {
    /// The number of the step it belongs to, from 1.
    pub(super) step: usize,
    /// What is claimed.
    pub(super) text: String,
    /// What was seen.
    pub(super) seen: String,
    /// Whether they agree.
    pub(super) held: bool,
}

/// All that a lesson did and saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    /// The steps.
    pub(super) steps: Vec<Step>,
    /// The claims of all steps.
    pub(super) claims: Vec<Claim>,
}

/// Where a lesson is played.
pub(super) struct Stage<'a> {
    pub(super) record: Record,
    pub(super) page: Page<'a>,
    pub(super) conversation: Option<Conversation>,
    pub(super) interrupts: Option<&'a Interrupts>,
}

impl<'a> Stage<'a> {
    /// An empty stage that shows what happens through `out`, as much as `view` wants, until one
    /// of `interrupts` comes.
    pub(super) fn new(
        view: View,
        out: &'a mut dyn FnMut(&str) -> io::Result<()>,
        interrupts: Option<&'a Interrupts>,
    ) -> Stage<'a> {
        Stage {
            record: Record::default(),
            page: Page::new(view, out),
            conversation: None,
            interrupts,
        }
    }

    /// Shows the number, the name and the question of the lesson.
    pub(super) fn open(&mut self, number: u8, name: &str, text: &Text) -> io::Result<()> {
        self.page.opening(number, name, text)
    }

    /// Shows where the notes are inexact, and the lesson.
    pub(super) fn end(&mut self, text: &Text) -> io::Result<()> {
        self.page.closing(text)
    }

    /// The signals that end the lesson, for what waits by itself.
    pub(super) const fn interrupts(&self) -> Option<&'a Interrupts> {
        self.interrupts
    }

    /// Begins a step: what is done, and why in one sentence.
    pub(super) fn step(&mut self, title: &str, reason: &str) -> Result<(), Stop> {
        self.go_on()?;
        let step = Step { title: title.into(), reason: reason.into(), ..Step::default() };
        self.record.steps.push(step);
        Ok(self.page.step(self.record.steps.len(), title, reason)?)
    }

    pub(super) fn go_on(&self) -> Result<(), Stop> {
        match self.interrupts.is_some_and(|interrupts| interrupts.taken() > 0) {
            true => Err(Stop::Interrupted),
            false => Ok(()),
        }
    }

    /// Runs a part of this program that ends at a signal.
    pub(super) fn interruptible<T>(
        &self,
        part: impl FnOnce(&Interrupts) -> Result<T, Complaint>,
    ) -> Result<T, Stop> {
        let refused = |error| Failure::new("sigaction", "SIGINT and SIGTERM", error);
        let outcome = match self.interrupts {
            Some(interrupts) => part(interrupts),
            None => part(&Interrupts::install().map_err(refused)?),
        };
        outcome.map_err(Stop::Refused)
    }

    /// Records and shows a call with its outcome, and hands its result on; `about` is the address
    /// that a failure names.
    pub(super) fn call<T>(
        &mut self,
        who: &str,
        name: &'static str,
        arguments: impl Into<String>,
        about: impl Display,
        result: io::Result<T>,
        outcome: impl FnOnce(&T) -> String,
    ) -> Result<T, Failure> {
        let outcome = match &result {
            Ok(value) => outcome(value),
            Err(error) => refused(error),
        };
        let call =
            Call { who: who.into(), name: name.into(), arguments: arguments.into(), outcome };
        // The arrow of its bytes says what a send did.
        let arrow = name.starts_with("send") && result.is_ok();
        if let Some(conversation) = self.conversation.as_mut().filter(|_| !arrow) {
            let (arguments, outcome) = (call.arguments.clone(), call.outcome.clone());
            conversation.call(now(), lane(who), name, arguments, outcome);
        }
        let shown = self.page.call(&call);
        if let Some(step) = self.record.steps.last_mut() {
            step.calls.push(call);
        }
        // A terminal that has gone shows itself at the next step; the call's own result goes on.
        self.page.keep(shown);
        result.map_err(|error| Failure::new(name, about, error))
    }

    /// Records and shows something read from the system.
    pub(super) fn fact(&mut self, name: &str, value: impl Display) -> Result<(), Stop> {
        let fact = Fact { name: name.into(), value: value.to_string() };
        self.page.fact(&fact)?;
        if let Some(step) = self.record.steps.last_mut() {
            step.facts.push(fact);
        }
        Ok(())
    }

    /// States what the lesson says, whether it `held`, and what was `seen` instead or in proof.
    pub(super) fn claim(&mut self, text: &str, held: bool, seen: impl Display) -> Result<(), Stop> {
        if !held {
            // A wait that a signal cut short proves nothing.
            self.go_on()?;
        }
        let step = self.record.steps.len();
        let claim = Claim { step, text: text.into(), seen: seen.to_string(), held };
        self.page.claim(&claim)?;
        self.record.claims.push(claim);
        Ok(())
    }

    /// From here on, what happens is kept for a picture of two ends.
    pub(super) fn witness(&mut self) {
        self.conversation = Some(Conversation::default());
    }

    /// Adds bytes that one end gave to the other to the picture.
    pub(super) fn witness_data(&mut self, at: Moment, who: &str, bytes: &[u8]) {
        if let Some(conversation) = &mut self.conversation {
            conversation.data(at, lane(who), bytes);
        }
    }

    /// Adds something else that one end did to the picture.
    pub(super) fn witness_event(&mut self, who: &str, what: What) {
        if let Some(conversation) = &mut self.conversation {
            conversation.witness(now(), lane(who), what);
        }
    }

    /// Shows the picture of what was witnessed between two ends, with its findings, and ends it.
    pub(super) fn picture(
        &mut self,
        client: &str,
        server: &str,
        verdicts: &[String],
    ) -> Result<(), Stop> {
        let Some(mut conversation) = self.conversation.take() else { return Ok(()) };
        (conversation.client, conversation.server) = (client.to_owned(), server.to_owned());
        conversation.verdicts = verdicts.to_vec();
        Ok(self.page.conversation(&conversation)?)
    }

    /// Shows a picture that was witnessed elsewhere.
    pub(super) fn show(&mut self, conversation: &Conversation) -> Result<(), Stop> {
        Ok(self.page.conversation(conversation)?)
    }

    /// Shows the ladder of a trace.
    pub(super) fn ladder(&mut self, ladder: &Ladder) -> Result<(), Stop> {
        Ok(self.page.ladder(ladder)?)
    }

    /// Shows a figure, line by line.
    pub(super) fn figure(&mut self, lines: &[String]) -> Result<(), Stop> {
        Ok(self.page.figure(lines)?)
    }

    /// The lesson is over: what was recorded.
    pub(super) fn into_record(self) -> Record {
        self.record
    }
}

/// The time since the run began.
pub(super) fn now() -> Moment {
    Moment::from_nanos(clock::nanoseconds())
}

fn lane(who: &str) -> Lane {
    if who.starts_with("server") { Lane::Server } else { Lane::Client }
}

/// `-1 EADDRINUSE (address already in use)`, much as strace shows a refusal.
fn refused(error: &io::Error) -> String {
    let words = describe(error);
    match errno_name(error) {
        Some(name) => format!("-1 {name} ({})", words.replace(&format!(" ({name})"), "")),
        // The resolver's words stand behind those of the library that asked it.
        None => format!("-1 {}", words.rsplit(": ").next().unwrap_or(&words)),
    }
}

/// How a played lesson ends: the exit code, and the complaint if it could not be played to its
/// end.
pub(super) fn verdict(record: &Record, ended: Result<(), Stop>) -> Result<Exit, Complaint> {
    match ended {
        Ok(()) if record.claims.is_empty() => {
            Err(Complaint::new(Exit::Bad, "the lesson proved nothing: it made no claim", ""))
        }
        Ok(()) if record.claims.iter().all(|claim| claim.held) => Ok(Exit::Good),
        Ok(()) => Ok(Exit::Bad),
        Err(Stop::Output(error)) => Err(Complaint::from(error)),
        Err(Stop::Impossible { what, next }) => Err(Complaint::new(Exit::Impossible, what, next)),
        Err(Stop::Interrupted) => Err(interrupted()),
        Err(Stop::Refused(complaint)) => Err(complaint),
        Err(Stop::Contradicted { what, next }) => Err(Complaint::new(Exit::Bad, what, next)),
        Err(Stop::Failed(failure)) => Err(broken(failure)),
    }
}

fn interrupted() -> Complaint {
    Complaint::new(Exit::Interrupted, "interrupted", "")
}

/// A call on which the lesson relies failed: forbidden here, or the evidence against the lesson.
fn broken(failure: Failure) -> Complaint {
    let kind = failure.error.kind();
    if kind == io::ErrorKind::Interrupted {
        return interrupted();
    }
    let waited = matches!(
        failure.operation,
        "accept" | "recv" | "recvfrom" | "read" | "send" | "sendto" | "poll" | "shutdown"
    );
    let mut complaint = Complaint::from(failure);
    if kind == io::ErrorKind::PermissionDenied {
        complaint.exit = Exit::Impossible;
        if complaint.next.is_empty() {
            complaint.next = "This system forbids the call: a sandbox or a firewall rule does it; \
                              run the lesson outside of it."
                .to_owned();
        }
    } else if waited {
        complaint.exit = Exit::Bad;
        if complaint.next.is_empty() {
            complaint.next = "The lesson expected this call to succeed.".to_owned();
        }
    }
    complaint
}

/// Plays a lesson, or a part of one, without a terminal: what it showed, recorded and came to.
#[cfg(test)]
pub(super) fn rehearse(
    lesson: impl FnOnce(&mut Stage<'_>) -> Result<(), Stop>,
) -> (String, Record, Exit) {
    let mut shown = String::new();
    let mut out = |text: &str| {
        shown.push_str(text);
        Ok(())
    };
    let mut stage = Stage::new(View::default(), &mut out, None);
    let ended = lesson(&mut stage);
    let record = stage.into_record();
    let exit = verdict(&record, ended).unwrap_or_else(|complaint| complaint.exit);
    (shown, record, exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_false_claim_makes_the_lesson_bad() {
        let lesson = |held| {
            move |stage: &mut Stage<'_>| {
                stage.step("Counts.", "Because.")?;
                stage.claim("One is one.", true, "1")?;
                stage.claim("One is two.", held, "1")
            }
        };
        let (shown, record, exit) = rehearse(lesson(false));
        assert_eq!(exit, Exit::Bad);
        assert!(shown.contains("FAILS") && !record.claims[1].held, "{shown}");
        assert_eq!(rehearse(lesson(true)).2, Exit::Good);
    }

    #[test]
    fn a_lesson_without_a_claim_is_no_lesson() {
        assert_eq!(rehearse(|stage| stage.step("Nothing.", "")).2, Exit::Bad);
    }

    #[test]
    fn silence_is_bad_and_a_forbidden_call_is_impossible() {
        let silent = |stage: &mut Stage<'_>| {
            stage.step("Waits.", "")?;
            let error = io::Error::from(io::ErrorKind::WouldBlock);
            stage
                .call("client", "recv", "3, 10", "tcp", Err::<(), _>(error), |()| String::new())?;
            Ok(())
        };
        assert_eq!(rehearse(silent).2, Exit::Bad);
        let forbidden = |stage: &mut Stage<'_>| {
            stage.step("Asks.", "")?;
            let error = io::Error::from(io::ErrorKind::PermissionDenied);
            stage.call("client", "socket", "AF_INET", "tcp", Err::<(), _>(error), |()| {
                String::new()
            })?;
            Ok(())
        };
        assert_eq!(rehearse(forbidden).2, Exit::Impossible);
    }
}
