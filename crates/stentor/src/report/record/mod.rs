//! The file of a trace: `stentor.trace/1`, JSON Lines.
//!
//! The first line says how the record was made, each further line is one thing that was seen, in
//! the order it was seen; `docs/trace-files.md` has every key. Lines are only added to, so that what a
//! run wrote before it died can be read. [`Writer`] writes while the program runs, [`read`] reads
//! back. What a record means is in `stentor_core::timeline::record`.

mod address;
#[cfg(test)]
pub(crate) mod arbitrary;
mod call;
mod foreign;
mod hex;
mod line;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{Trouble, Warnings, read};
pub use writer::{Stopped, Writer, write};

/// The name of the form, without its version.
pub const SCHEMA: &str = "stentor.trace";

/// The longest line that is written or read, in bytes: a packet of 64 KiB is 128 KiB of it, and the
/// kernel's limit on the words of a command is 2 MiB.
pub const LINE_MAX: usize = 4 << 20;

/// How many things a file may hold, entries and what is listed in them: about 3 GB of memory.
pub const THINGS_MAX: u64 = 10_000_000;
