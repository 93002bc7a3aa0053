//! A part of a lesson that is played apart: in a child process, on a lab link of its own.
//!
//! Network namespaces are entered by a process with one thread, and there is no way back; so a child
//! goes there, plays, and tells this process what it showed and recorded.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stentor_core::link::{Spec, SpecError};
use stentor_core::seed::Seed;
use stentor_os::clock;
use stentor_os::failure::Failure;
use stentor_os::namespace::{Network, Refusal};
use stentor_os::net::poll::{self, Watch};
use stentor_os::process::{Child, fork_into};

use super::page::Page;
use super::stage::{Record, Stage, Stop, verdict};
use crate::complaint::{Complaint, Exit};
use crate::drive::lab::{Lab, Running, Settings, Strikes};

/// Bytes kept of each packet: the headers, and the sentences of a lesson.
const KEPT: usize = 256;

/// A link for a part of a lesson.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnLink {
    /// What it does.
    pub(super) words: &'static str,
    /// From which its chance follows.
    pub(super) seed: Seed,
    /// Where bits are flipped.
    pub(super) strikes: Strikes,
}

impl OnLink {
    /// Its words, understood.
    pub(super) fn spec(self) -> Result<Spec, Stop> {
        let wrong = |error: SpecError| Stop::Refused(Complaint::usage(error.to_string(), ""));
        self.words.parse().map_err(wrong)
    }
}

/// What the child tells, a line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
enum Told<T> {
    /// Text for the page.
    Shown(String),
    /// The end: everything recorded so far, and what came of the part.
    Ended(Record, Result<T, Ended>),
}

/// Why a part ended early, as a complaint says it.
#[derive(Debug, Serialize, Deserialize)]
struct Ended {
    code: u8,
    what: String,
    next: String,
}

impl Stage<'_> {
    /// Plays a part on a lab link, in a process of its own; `part` is given the running link, with its
    /// thread in the client's network, and stops it.
    pub(super) fn on_a_link<T: Serialize + DeserializeOwned>(
        &mut self,
        link: OnLink,
        part: impl FnOnce(&mut Stage<'_>, Running) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let settings = Settings::of(&link.spec()?, link.seed).map_err(Stop::Refused)?;
        let settings = Settings { strikes: link.strikes, ..settings };
        self.apart(|stage| {
            let lab = Lab::enter().map_err(Stop::Refused)?;
            let running = lab.begin(settings, clock::stamp(), Some(KEPT)).map_err(Stop::Refused)?;
            part(stage, running)
        })
    }

    /// Plays a part in a child process, as if it were played here.
    fn apart<T: Serialize + DeserializeOwned>(
        &mut self,
        part: impl FnOnce(&mut Stage<'_>) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let failed = |error| Failure::new("fork", "a process for the lab link", error);
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let (record, view) = (self.record.clone(), self.page.view());
        let child = fork_into(&[ours.as_raw_fd()], || {
            let mut out = |text: &str| tell(&theirs, &Told::<T>::Shown(text.to_owned()));
            let page = Page::new(view, &mut out);
            // Signals are its parent's business: fork_into has it ignore them.
            let mut stage = Stage { record, page, conversation: None, interrupts: None };
            let ended = part(&mut stage).map_err(|stop| ended(&stage, stop));
            let last = Told::Ended(stage.into_record(), ended);
            i32::from(tell(&theirs, &last).is_err())
        });
        let child = child.map_err(failed)?;
        drop(theirs);
        let heard = self.hear(ours);
        bury(child, heard.is_ok()).map_err(failed)?;
        let (record, ended) = heard?;
        self.record = record;
        ended.map_err(|Ended { code, what, next }| {
            Stop::Refused(Complaint::new(exit(code), what, next))
        })
    }

    /// Shows what the child shows until it has ended, or the person ends it.
    fn hear<T: DeserializeOwned>(
        &mut self,
        mut from: UnixStream,
    ) -> Result<(Record, Result<T, Ended>), Stop> {
        let failed = |error| Failure::new("read", "what the lab link's process tells", error);
        let (mut line, mut part) = (Vec::new(), [0; 4096]);
        loop {
            if let Some(interrupts) = self.interrupts {
                let mut watches = [interrupts.as_fd(), from.as_fd()]
                    .map(|descriptor| Watch::new(descriptor, true, false));
                poll::wait(&mut watches, None).map_err(failed)?;
                self.go_on()?;
                if !watches.iter().skip(1).any(|watch| watch.readable) {
                    continue;
                }
            }
            let count = match from.read(&mut part) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(failed)?,
            };
            line.extend(part.get(..count).unwrap_or_default());
            while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                let rest = line.split_off(end + 1);
                match serde_json::from_slice(&line) {
                    Ok(Told::Shown(text)) => self.page.relay(&text)?,
                    Ok(Told::Ended(record, ended)) => return Ok((record, ended)),
                    Err(error) => return Err(broken(&error.to_string())),
                }
                line = rest;
            }
            if count == 0 {
                return Err(broken("it ended before its time"));
            }
        }
    }
}

/// Waits for a child that has told everything; ends one that is of no use any more.
fn bury(child: Child, done: bool) -> io::Result<()> {
    if done { child.wait() } else { child.kill() }
}

fn tell<T: Serialize>(mut to: &UnixStream, told: &Told<T>) -> io::Result<()> {
    let mut line = serde_json::to_vec(told)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// A stop in words that can be told.
fn ended(stage: &Stage<'_>, stop: Stop) -> Ended {
    match verdict(&stage.record, Err(stop)) {
        Err(Complaint { exit, what, next }) => Ended { code: exit.code(), what, next },
        Ok(exit) => Ended { code: exit.code(), what: String::new(), next: String::new() },
    }
}

/// The exits that a stop leads to, by their codes.
fn exit(code: u8) -> Exit {
    let stops = [Exit::Bad, Exit::Usage, Exit::Environment, Exit::Impossible, Exit::Interrupted];
    stops.into_iter().find(|exit| exit.code() == code).unwrap_or(Exit::Bad)
}

fn broken(how: &str) -> Stop {
    let what = format!("the process of the lab link cannot be understood: {how}");
    Stop::Contradicted { what, next: String::new() }
}

/// Moves this thread to an end of the link: sockets that are made from now on are there.
pub(super) fn go(network: &Network) -> Result<(), Stop> {
    network.enter().map_err(|Refusal { step, error }| {
        Stop::Failed(Failure::new(step.name(), "an end of the lab link", error))
    })
}

#[cfg(test)]
mod tests {
    use super::super::stage::rehearse;
    use super::*;

    #[test]
    fn what_is_played_apart_is_shown_and_recorded_here() {
        let (shown, record, exit) = rehearse(|stage| {
            stage.step("Here.", "Because.")?;
            let number: u32 = stage.apart(|stage| {
                stage.fact("of the first step", "still")?;
                stage.step("Apart.", "Because.")?;
                stage.claim("One is one.", true, "1")?;
                Ok(7)
            })?;
            stage.claim("What came of it is known.", number == 7, number)
        });
        assert_eq!((exit, record.steps.len(), record.claims.len()), (Exit::Good, 2, 2), "{shown}");
        assert_eq!((record.steps[0].facts.len(), record.claims[1].step), (1, 2));
        assert!(shown.contains(" 2 Apart.") && shown.contains("What came of it"), "{shown}");
    }

    #[test]
    fn a_part_that_cannot_be_played_says_why_here() {
        let apart = |work: fn() -> Result<(), Stop>| {
            let (_, record, exit) = rehearse(|stage| {
                stage.step("Here.", "")?;
                stage.apart(|stage| {
                    stage.claim("It was so until then.", true, "")?;
                    work()
                })
            });
            (exit, record.claims.len())
        };
        assert_eq!(apart(|| Ok(())), (Exit::Good, 1));
        assert_eq!(
            apart(|| { Err(Stop::Impossible { what: "refused".to_owned(), next: String::new() }) }),
            (Exit::Impossible, 1)
        );
        // A process that ends without a word takes its record along.
        assert_eq!(apart(|| std::process::exit(0)), (Exit::Bad, 0));
    }
}
