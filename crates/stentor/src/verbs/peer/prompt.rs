//! A prompt with editing and history, in a thread of its own: the other's lines appear above it.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::sync_channel;
use std::thread;

use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use stentor_os::failure::Failure;
use stentor_os::terminal::Mode;

use crate::complaint::{Complaint, Exit};
use crate::drive::peer::{Source, Typed};

/// Things typed that wait for the loop.
const WAITING_MAX: usize = 64;

/// Writes above the prompt.
pub(super) type Printer = Box<dyn ExternalPrinter>;

/// A running prompt.
pub(super) struct Prompt {
    /// Where its lines come from.
    pub(super) source: Source,
    /// Writes above it.
    pub(super) printer: Printer,
    /// Puts the terminal back when dropped: the thread may still be reading then.
    pub(super) mode: Mode,
}

impl Prompt {
    /// Prompts as `NAME> ` from now on.
    pub(super) fn start(name: &str) -> Result<Prompt, Complaint> {
        let fail = |error: ReadlineError| {
            Complaint::new(Exit::Environment, format!("read from the terminal: {error}"), "")
        };
        let named = |error| Failure::new("tcgetattr", "the terminal", error);
        let mode = Mode::keep(io::stdin()).map_err(named)?;
        let mut editor = DefaultEditor::new().map_err(fail)?;
        let printer = Box::new(editor.create_external_printer().map_err(fail)?);
        let (bell, mut ringer) = UnixStream::pair().map_err(named)?;
        bell.set_nonblocking(true).map_err(named)?;
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let prompt = format!("{name}> ");
        let read = move || {
            loop {
                let typed = match editor.readline(&prompt) {
                    Ok(line) => {
                        // A history that cannot grow is no reason to stop.
                        let _ = editor.add_history_entry(&line);
                        Typed::Line(line)
                    }
                    Err(ReadlineError::Eof) => Typed::End,
                    Err(ReadlineError::Interrupted) => Typed::Interrupt,
                    Err(error) => Typed::Failed(format!("read from the terminal: {error}")),
                };
                let last = !matches!(typed, Typed::Line(_));
                if sender.send(typed).is_err() || ringer.write_all(b"!").is_err() || last {
                    return;
                }
            }
        };
        thread::Builder::new().name("prompt".into()).spawn(read).map_err(named)?;
        Ok(Prompt { source: Source::Prompt(receiver, bell), printer, mode })
    }
}
