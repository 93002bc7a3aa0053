//! Reports: what was witnessed, as bytes; and the only place that writes to the terminal.

pub mod chart;
pub mod console;
pub mod impair;
pub mod json;
#[cfg(test)]
mod judges;
pub mod ladder;
pub mod load;
pub mod log;
pub mod mermaid;
pub mod page;
pub mod pcapng;
pub mod qualify;
pub mod record;
#[cfg(test)]
mod samples;
pub mod svg;
pub mod video;
