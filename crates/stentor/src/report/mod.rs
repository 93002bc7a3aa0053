//! Reports: what was witnessed, as bytes; and the only place that writes to the terminal.

pub mod console;
pub mod json;
pub mod ladder;
pub mod log;
pub mod pcapng;
pub mod record;
