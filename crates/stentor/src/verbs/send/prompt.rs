//! Sentences asked for at the terminal, in the words of the lecture; a new connection for each,
//! as the lecture's client does.

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use stentor_os::signal::Interrupts;

use super::outcome::summary;
use super::plan::{Plan, Source};
use super::sink::Sink;
use super::told::Told;
use crate::complaint::{Complaint, Exit};
use crate::report::console;

/// How much of an answer is kept for the terminal.
const ANSWER_MAX: usize = 1024 * 1024;

/// Prompts until the end of the input or ^C. History lives as long as the prompt; nothing is
/// written to disk.
pub(super) fn run(plan: &Plan) -> Result<Exit, Complaint> {
    let fail = |error: ReadlineError| {
        Complaint::new(Exit::Environment, format!("read from the terminal: {error}"), "")
    };
    let mut editor = DefaultEditor::new().map_err(fail)?;
    // Once for all sentences: a signal that comes between two must not be lost.
    let interrupts = super::interrupts()?;
    let mut exit = Exit::Good;
    let mut plan = plan.clone();
    loop {
        let sentence = match editor.readline("Input lowercase sentence: ") {
            Ok(sentence) => sentence,
            Err(ReadlineError::Eof) => return Ok(exit),
            Err(ReadlineError::Interrupted) => return Ok(Exit::Interrupted),
            Err(error) => return Err(fail(error)),
        };
        // A history that cannot grow is no reason to stop.
        let _ = editor.add_history_entry(&sentence);
        match ask(&plan, &interrupts, sentence) {
            Ok(()) => {}
            Err(complaint) if complaint.exit == Exit::Interrupted => return Err(complaint),
            Err(complaint) => {
                console::notice(format!("stentor: {complaint}"));
                exit = complaint.exit;
            }
        }
        // Each sentence has luck of its own, and still all follows from the first seed.
        if let Some(link) = &mut plan.link {
            link.seed.0 = link.seed.0.wrapping_add(1);
        }
    }
}

/// Sends one sentence and prints its answer, and what happened.
fn ask(plan: &Plan, interrupts: &Interrupts, sentence: String) -> Result<(), Complaint> {
    if plan.transport == stentor_core::endpoint::Transport::Udp {
        super::plan::fits(sentence.len(), &format!("the sentence has {} bytes", sentence.len()))?;
    }
    let plan = Plan { source: Source::Message(sentence.into_bytes()), ..plan.clone() };
    let mut told = Told::begin();
    let outcome = super::once(&plan, interrupts, Sink::keep(ANSWER_MAX), &mut told);
    if told.connected.is_some() && (told.received > 0 || outcome.is_ok()) {
        console::data(format!("From Server: {}\n", printable(&told.answer)))?;
        console::data(dim(&summary(&told)) + "\n")?;
    }
    // Timing and ladder, if asked for; the plan of a prompt has no JSON.
    super::outcome::report(&plan, &mut told, std::time::SystemTime::now(), outcome.as_ref().err())?;
    outcome
}

/// The answer as text; control characters are shown, not obeyed: a server must not steer the
/// terminal.
fn printable(answer: &[u8]) -> String {
    let mut shown = String::new();
    for character in String::from_utf8_lossy(answer).trim_end_matches(['\r', '\n']).chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            c if c.is_control() => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

fn dim(words: &str) -> String {
    if console::colour() { format!("\x1b[2m{words}\x1b[0m") } else { words.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_does_not_steer_the_terminal() {
        assert_eq!(printable(b"A\x1b[31mB\tC\nD\n"), "A\\u{1b}[31mB\tC\nD");
        assert_eq!(printable(b"\xff\r\n"), "\u{fffd}");
    }
}
