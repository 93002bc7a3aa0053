//! `stentor --ladder`: each sentence goes between two traced processes, and the ladder of all their
//! calls and packets follows its answer.
//!
//! The processes are `stentor trace`'s ([`crate::drive::exchange`]); here sentences are read.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use stentor_core::endpoint::Transport;
use stentor_os::failure::Failure;
use stentor_os::signal::Interrupts;

use crate::complaint::{Complaint, Exit};
use crate::drive::exchange::Exchange;
use crate::report::console;

/// How much of standard input is read at once, in bytes.
const READ: usize = 8 * 1024;
/// The longest line, in bytes: what is longer cannot be traced, and is not gathered for ever.
const LINE_MAX: usize = 1 << 20;
/// `trace`'s own code for an interruption.
const INTERRUPTED: i32 = 130;

/// Sends each sentence of the terminal, or each line of standard input, and draws its ladder.
///
/// # Errors
/// The system allows no tracing, or the input cannot be read.
pub fn run() -> Result<Exit, Complaint> {
    let exchange = Exchange::prepare(Transport::Tcp)?;
    if let Some(notice) = &exchange.notice {
        console::notice(format!("stentor: {notice}"));
    }
    let interrupts = Interrupts::install()
        .map_err(|error| Failure::new("sigaction", "SIGINT and SIGTERM", error))?;
    let sentences: Box<dyn Sentences> =
        match io::stdin().is_terminal() && io::stdout().is_terminal() {
            true => Box::new(Prompt::new()?),
            false => Box::new(Lines::of(&interrupts)?),
        };
    each(&exchange, &interrupts, sentences)
}

fn each(
    exchange: &Exchange,
    interrupts: &Interrupts,
    mut sentences: Box<dyn Sentences + '_>,
) -> Result<Exit, Complaint> {
    let mut exit = Exit::Good;
    loop {
        let sentence = match sentences.next()? {
            Next::Sentence(sentence) => sentence,
            Next::End => return Ok(exit),
            Next::Interrupted => return Ok(Exit::Interrupted),
        };
        match draw(exchange, &sentence) {
            Ok(Some(INTERRUPTED)) => return Ok(Exit::Interrupted),
            Ok(Some(0)) => {}
            // It has said why.
            Ok(_) => exit = Exit::Environment,
            Err(complaint) => {
                console::notice(format!("stentor: {complaint}"));
                exit = complaint.exit;
            }
        }
        // The terminal gave the signal to us as well as to the trace, which has ended by now.
        if interrupts.taken() > 0 {
            return Ok(Exit::Interrupted);
        }
    }
}

/// Traces one sentence to the end: the exit code of the trace, none if a signal ended it.
fn draw(exchange: &Exchange, sentence: &[u8]) -> Result<Option<i32>, Complaint> {
    let port = exchange.port()?;
    let mut command = exchange.command(["--only", &port.to_string()], port, sentence)?;
    let program = command.get_program().display().to_string();
    let status = command.status().map_err(|error| Failure::new("execve", program, error))?;
    Ok(status.code())
}

/// What comes next.
enum Next {
    Sentence(Vec<u8>),
    End,
    Interrupted,
}

/// Where sentences come from.
trait Sentences {
    fn next(&mut self) -> Result<Next, Complaint>;
}

/// A person at a terminal.
struct Prompt(DefaultEditor);

impl Prompt {
    fn new() -> Result<Prompt, Complaint> {
        console::notice(
            "Each sentence goes from a client to a server of its own, both traced; ^D ends it.\n",
        );
        DefaultEditor::new().map(Prompt).map_err(unreadable)
    }
}

impl Sentences for Prompt {
    fn next(&mut self) -> Result<Next, Complaint> {
        match self.0.readline("Input lowercase sentence: ") {
            Ok(sentence) => {
                // A history that cannot grow is no reason to stop.
                let _ = self.0.add_history_entry(&sentence);
                Ok(Next::Sentence(sentence.into_bytes()))
            }
            Err(ReadlineError::Eof) => Ok(Next::End),
            Err(ReadlineError::Interrupted) => Ok(Next::Interrupted),
            Err(error) => Err(unreadable(error)),
        }
    }
}

fn unreadable(error: ReadlineError) -> Complaint {
    Complaint::new(Exit::Environment, format!("read from the terminal: {error}"), "")
}

/// The lines of a pipe or a file, without their newlines.
struct Lines<'a> {
    interrupts: &'a Interrupts,
    input: File,
    /// What was read and not yet handed out.
    kept: Vec<u8>,
    ended: bool,
}

impl Lines<'_> {
    fn of(interrupts: &Interrupts) -> Result<Lines<'_>, Complaint> {
        let input = io::stdin().as_fd().try_clone_to_owned().map(File::from);
        let input = input.map_err(|error| Failure::new("dup", "standard input", error))?;
        Ok(Lines { interrupts, input, kept: Vec::new(), ended: false })
    }

    /// The first line of what is kept; at the end of the input, the rest.
    fn line(&mut self) -> Option<Vec<u8>> {
        if let Some(newline) = self.kept.iter().position(|byte| *byte == b'\n') {
            let mut line: Vec<u8> = self.kept.drain(..=newline).collect();
            line.pop();
            return Some(line);
        }
        (self.ended && !self.kept.is_empty()).then(|| std::mem::take(&mut self.kept))
    }
}

impl Sentences for Lines<'_> {
    fn next(&mut self) -> Result<Next, Complaint> {
        let failed = |error| Failure::new("read", "standard input", error);
        loop {
            if let Some(line) = self.line() {
                return Ok(Next::Sentence(line));
            }
            if self.ended {
                return Ok(Next::End);
            }
            if self.kept.len() > LINE_MAX {
                let what = format!("a line of standard input is longer than {LINE_MAX} bytes");
                return Err(Complaint::usage(what, "A ladder is for sentences."));
            }
            // Waiting here, not in read(2): a signal must end it.
            if self.interrupts.wait(self.input.as_fd()).map_err(failed)? > 0 {
                return Ok(Next::Interrupted);
            }
            let mut part = [0; READ];
            match self.input.read(&mut part) {
                Ok(0) => self.ended = true,
                Ok(count) => self.kept.extend(part.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error).into()),
            }
        }
    }
}
