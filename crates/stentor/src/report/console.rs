//! Standard output is data, standard error is notices; nothing else in the program prints.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

/// Writes data to standard output and flushes it. A closed pipe is an error of kind BrokenPipe,
/// which [`crate::complaint::Complaint`] turns into a quiet end.
pub fn data(bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes.as_ref())?;
    out.flush()
}

/// Standard output as a file of its own, unbuffered: for loops that wait for it with poll(2), and
/// must not be kept by a reader who does not read.
pub fn unbuffered() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Writes a line to standard error; if nobody can read it, nothing is lost.
pub fn notice(line: impl AsRef<str>) {
    let mut out = io::stderr().lock();
    let _ = writeln!(out, "{}", line.as_ref());
}

/// Asks at a terminal, on standard error; the cursor stays behind the question.
///
/// # Errors
/// Nobody can read it.
pub fn prompt(question: &str) -> io::Result<()> {
    let mut out = io::stderr().lock();
    out.write_all(question.as_bytes())?;
    out.flush()
}

/// A line on standard error that changes, at a terminal; elsewhere there is none.
#[derive(Debug)]
pub struct Status {
    /// Columns of the terminal; `None` if it is none, or must not be written on (NO_COLOR).
    columns: Option<usize>,
    shown: bool,
}

impl Default for Status {
    fn default() -> Status {
        let declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let size = terminal_size::terminal_size_of(io::stderr()).filter(|_| !declined);
        Status { columns: size.map(|(columns, _)| columns.0.into()), shown: false }
    }
}

impl Status {
    /// Shows `line` in place of the last one, as much of it as there is room for.
    pub fn show(&mut self, line: &str) {
        let Some(columns) = self.columns else { return };
        let room = columns.saturating_sub(1);
        let cut: String = line.chars().take(room).collect();
        let mut out = io::stderr().lock();
        // To the beginning of the line, and away with what was there (ECMA-48, EL).
        let _ = write!(out, "\r\x1b[K{cut}");
        let _ = out.flush();
        self.shown = true;
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

/// Columns of the terminal that standard output is; `None` if it is none.
pub fn width() -> Option<usize> {
    let (terminal_size::Width(columns), _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(columns.into())
}

/// Whether standard output is a terminal and colour was not declined (NO_COLOR).
pub fn colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
