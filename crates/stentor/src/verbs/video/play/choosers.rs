//! Who chooses qualities in place of a rule: a program that speaks lines of JSON, or a person.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use stentor_core::video::abr::Choice;
use stentor_os::failure::Failure;

use super::Args;
use crate::complaint::{Complaint, Exit};
use crate::drive::video::outcome::Trouble;
use crate::drive::video::play::counsel::{Asked, Choose, known};
use crate::report::console;
use crate::report::json::video::abr::{Answer, Question};
use crate::report::video::choice;

/// The rule that chooses unless another is named.
const RULE: &str = "dynamic";
/// The longest line that is read, in bytes.
const LINE_MAX_BYTES: u64 = 64 * 1024;
/// The longest wait that can be asked for.
const WAIT_MAX_S: f64 = 3600.0;
/// How long a program may take to end once its input has.
const FAREWELL: Duration = Duration::from_secs(1);

/// What chooses, as reports name it.
pub(super) fn name(args: &Args) -> String {
    match (&args.abr, args.quality) {
        (Some(command), _) => format!("--abr {command}"),
        (None, Some(quality)) => format!("fixed:{quality}"),
        (None, None) if args.manual => "by hand".to_owned(),
        (None, None) => args.rule.clone().unwrap_or_else(|| RULE.to_owned()),
    }
}

/// A program that chooses: a line of JSON in, a line of JSON out.
#[derive(Debug)]
pub(super) struct Program {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<io::Result<String>>,
    silence_max: Duration,
}

impl Program {
    /// Starts it; `command` is cut into words as a shell does.
    ///
    /// # Errors
    /// No words (exit 2), no such program (3).
    pub(super) fn start(command: &str, silence_max: Duration) -> Result<Program, Complaint> {
        let words = shlex::split(command).unwrap_or_default();
        let Some((name, arguments)) = words.split_first() else {
            let next = "It is a program and its arguments, quoted as in a shell.";
            return Err(Complaint::usage(format!("--abr {command:?} is no command"), next));
        };
        let failed = |error| {
            let fault = Complaint::from(Failure::new("execute", name, error));
            Complaint { exit: Exit::Environment, ..fault }
        };
        let mut child = Command::new(name)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (sender, lines) = sync_channel(1);
        let read = move || {
            let mut output = output.map(BufReader::new);
            while let Some(line) = output.as_mut().and_then(|output| line(output).transpose()) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        };
        let reader = thread::Builder::new().name("abr".into()).spawn(read);
        let program = Program { name: name.clone(), child, input, lines, silence_max };
        reader.map_err(failed)?;
        Ok(program)
    }

    /// Asks for a quality.
    ///
    /// # Errors
    /// It has ended, says nothing in time, or says what is no answer.
    pub(super) fn ask(&mut self, asked: &Asked) -> Result<Choice, Trouble> {
        let chunk = asked.chunk;
        if let Ok(Ok(early)) = self.lines.try_recv() {
            let shown: String = early.chars().take(80).collect();
            return Err(self.wrong(chunk, &format!("it said {shown:?} before it was asked")));
        }
        let line = Question::from(asked).line();
        let sent = self
            .input
            .as_mut()
            .map(|input| input.write_all(line.as_bytes()).and_then(|()| input.flush()));
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.ended(chunk));
        }
        let answer = match self.lines.recv_timeout(self.silence_max) {
            Ok(Ok(line)) => line,
            Ok(Err(error)) => {
                let why = stentor_os::failure::describe(&error);
                return Err(self.wrong(chunk, &format!("its answer cannot be read: {why}")));
            }
            Err(RecvTimeoutError::Timeout) => {
                let what = format!("it said nothing for {:?}", self.silence_max);
                let next = "-w waits longer; does it flush its output after each line?";
                return Err(Trouble { next: next.to_owned(), ..self.wrong(chunk, &what) });
            }
            Err(RecvTimeoutError::Disconnected) => return Err(self.ended(chunk)),
        };
        let shown: String = answer.chars().take(80).collect();
        let read = Answer::read(&answer)
            .map_err(|error| self.wrong(chunk, &format!("{shown:?} is no answer: {error}")))?;
        let wait = Some(read.wait_s).filter(|wait_s| (0.0..=WAIT_MAX_S).contains(wait_s));
        let wait = wait.map(Duration::from_secs_f64).ok_or_else(|| {
            self.wrong(chunk, &format!("wait_s is {}: 0 to {WAIT_MAX_S} is possible", read.wait_s))
        })?;
        known(asked, Choice { quality: read.quality, wait })
    }

    fn wrong(&self, chunk: usize, what: &str) -> Trouble {
        let next = "It answers each line with one like {\"quality\": 0, \"wait_s\": 0}.";
        let what = format!("--abr {}, asked for chunk {chunk}: {what}", self.name);
        Trouble { what, next: next.to_owned() }
    }

    fn ended(&mut self, chunk: usize) -> Trouble {
        self.input = None;
        let status = self.end().map_or_else(|_| String::new(), |status| format!(" ({status})"));
        self.wrong(chunk, &format!("the program has ended{status}"))
    }

    /// Ends it: its input ends, and if it does not, it is killed.
    fn end(&mut self) -> io::Result<ExitStatus> {
        self.input = None;
        // Its output ends when it does; what it still has to say is not read.
        let begun = Instant::now();
        while let Some(left) = FAREWELL.checked_sub(begun.elapsed())
            && self.lines.recv_timeout(left).is_ok()
        {}
        match self.child.try_wait()? {
            Some(status) => Ok(status),
            None => {
                self.child.kill()?;
                self.child.wait()
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// A line without its end; `None` at the end of the text.
fn line(source: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    source.take(LINE_MAX_BYTES).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.len() as u64 == LINE_MAX_BYTES && line.last() != Some(&b'\n') {
        return Err(io::Error::other(format!("a line of more than {LINE_MAX_BYTES} bytes")));
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
}

/// A person at a terminal, or lines that were written before.
pub(super) fn person() -> Choose {
    let terminal = io::stdin().is_terminal();
    let mut number = 0_u64;
    Box::new(move |asked| {
        loop {
            if terminal {
                let _ = console::prompt(&choice::question(asked));
            }
            let trouble = |what: String| Trouble {
                what,
                next: "A line holds the quality of one chunk; an empty one takes the advice."
                    .to_owned(),
            };
            number += 1;
            let written = line(&mut io::stdin().lock()).map_err(|error| {
                trouble(format!("standard input: {}", stentor_os::failure::describe(&error)))
            })?;
            let Some(written) = written else {
                let what = format!(
                    "standard input ended before chunk {} of {} was chosen",
                    asked.chunk + 1,
                    asked.chunks
                );
                return Err(trouble(what));
            };
            match chosen(&written, asked) {
                Ok(choice) => return Ok(choice),
                Err(why) if terminal => console::notice(why),
                Err(why) => return Err(trouble(format!("line {number} of standard input: {why}"))),
            }
        }
    })
}

fn chosen(written: &str, asked: &Asked) -> Result<Choice, String> {
    let quality = match written.trim() {
        "" => asked.advice,
        number => number.parse().map_err(|_| format!("{number:?} is no quality"))?,
    };
    // Chunks are counted from 1 in the question, and not named here.
    known(asked, Choice { quality, wait: Duration::ZERO }).map_err(|trouble| {
        let film = trouble.next.trim_end_matches('.').to_lowercase();
        format!("{quality} is no quality: {film}")
    })
}
