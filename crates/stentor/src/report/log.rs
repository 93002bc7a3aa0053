//! The log of a service: lines for people or JSON lines for machines, on standard error.

use std::io::{self, IsTerminal};

use tracing::Level;

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// One line for people
    #[default]
    Human,
    /// One JSON object a line
    Json,
}

/// Logs from now on in `form`: warnings, with one `v` what happens, with two each connection.
pub fn begin(form: Form, verbosity: u8) {
    let level = match verbosity {
        0 => Level::WARN,
        1 => Level::INFO,
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let colour = io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // A log that cannot be written (a full disk, a reader that has gone) is lost; a word about it
    // on the same standard error would end the thread that says it.
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .log_internal_errors(false);
    // A second service in one process (the tests') keeps the first one's log.
    let _ = match form {
        Form::Human => builder.with_ansi(colour).with_target(false).try_init(),
        Form::Json => builder.json().with_target(false).try_init(),
    };
}
