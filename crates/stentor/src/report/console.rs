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

/// Columns and rows of the terminal that standard error is; `None` if it is none, or must not be
/// written on (NO_COLOR).
fn canvas() -> Option<(usize, usize)> {
    let declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let (columns, rows) = terminal_size::terminal_size_of(io::stderr()).filter(|_| !declined)?;
    Some((columns.0.into(), rows.0.into()))
}

impl Default for Status {
    fn default() -> Status {
        Status { columns: canvas().map(|(columns, _)| columns), shown: false }
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

/// A line of a picture that moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// What it says.
    pub words: String,
    /// Its colour and weight: the parameters of SGR (ECMA-48), empty for the terminal's own.
    pub tone: &'static str,
}

/// A few lines on standard error that move, at a terminal; elsewhere there are none.
///
/// They are drawn where the cursor is, over the ones before: what stood on the terminal stays, and a
/// program that is stopped or killed leaves nothing behind but its last lines.
#[derive(Debug, Default)]
pub struct Picture {
    /// The columns of each line that stands there.
    shown: Vec<usize>,
}

impl Picture {
    /// Columns and rows that there are now; `None` if nothing may be drawn.
    pub fn room(&self) -> Option<(usize, usize)> {
        canvas().map(|(columns, rows)| (columns.saturating_sub(1), rows.saturating_sub(1)))
    }

    /// Draws the lines in place of the last ones, as many and as much of them as there is room for.
    pub fn show(&mut self, lines: &[Line]) {
        let Some((columns, rows)) = self.room() else { return };
        let mut drawn = self.erased(columns + 1);
        for (number, line) in lines.iter().take(rows).enumerate() {
            let cut: String = line.words.chars().take(columns).collect();
            self.shown.push(cut.chars().count());
            let next = if number > 0 { "\r\n" } else { "" };
            match line.tone {
                "" => drawn.push_str(&format!("{next}{cut}")),
                tone => drawn.push_str(&format!("{next}\x1b[{tone}m{cut}\x1b[0m")),
            }
        }
        let mut out = io::stderr().lock();
        // At once, so that no half of it is seen.
        let _ = out.write_all(drawn.as_bytes());
        let _ = out.flush();
    }

    /// Takes the lines away.
    pub fn clear(&mut self) {
        if !self.shown.is_empty() {
            let columns = canvas().map_or(80, |(columns, _)| columns);
            let _ = io::stderr().lock().write_all(self.erased(columns).as_bytes());
        }
    }

    /// To the first column of the first line, and away with all that follows (ECMA-48, CUU and ED). A
    /// terminal that became narrower has broken the lines into more.
    fn erased(&mut self, columns: usize) -> String {
        let taken = self.shown.drain(..).map(|wide| wide.div_ceil(columns.max(1)).max(1));
        match taken.sum::<usize>() {
            0 => String::new(),
            1 => "\r\x1b[J".to_owned(),
            rows => format!("\r\x1b[{}A\x1b[J", rows - 1),
        }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        self.clear();
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
