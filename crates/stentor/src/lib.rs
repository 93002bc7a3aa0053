//! The roof of Stentor: turns arguments into a plan, drives the machines of `stentor-core` with
//! the sockets of `stentor-os`, and reports.
//!
//! Only here are argv, terminals, files and JSON known. What should happen is decided in core.

pub mod cli;
pub mod complaint;
pub mod drive;
pub mod report;
pub mod verbs;

pub use cli::run;
