//! What the kernel does: sockets, signals, limits and names, as facts.
//!
//! `unsafe` lives here and nowhere else. Nothing here decides: no call is retried, no default is
//! chosen, no message is printed. This crate never imports `stentor-core`.

#[cfg(target_os = "linux")]
pub mod capture;
pub mod clock;
pub mod failure;
pub mod limits;
#[cfg(target_os = "linux")]
pub mod namespace;
pub mod net;
pub mod privilege;
pub mod process;
pub mod resolve;
pub mod signal;
pub mod timer;
#[cfg(target_os = "linux")]
pub mod tracee;
