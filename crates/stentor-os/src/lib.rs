//! What the kernel does: sockets, signals, limits and names, as facts.
//!
//! `unsafe` lives here and nowhere else. Nothing here decides: no call is retried, no default is
//! chosen, no message is printed. This crate never imports `stentor-core`.

pub mod clock;
pub mod failure;
pub mod limits;
pub mod net;
pub mod process;
pub mod resolve;
pub mod signal;
