//! The integration tests: the real binary on real sockets.
//!
//! `program` runs it; `both`, `serve`, `send`, `fetch` and `learn` are a module for each verb;
//! `lecture` puts the lecture's programs at either end; `film` shows the generated film to ffmpeg;
//! `samples` are records of traces, which `trace_files` and `trace_measures` judge and time as files;
//! `help` keeps the golden help; `tidy` keeps what a compiler cannot.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod both;
mod fetch;
mod film;
mod help;
mod learn;
mod lecture;
mod program;
mod samples;
mod send;
mod serve;
mod tidy;
#[cfg(target_os = "linux")]
mod trace;
mod trace_files;
mod trace_measures;
