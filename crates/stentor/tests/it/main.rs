//! The integration tests: the real binary on real sockets.
//!
//! `program` runs it; `both`, `serve`, `send`, `fetch`, `trace`, `load`, `impair`, `qualify`, `peer` and
//! `learn` are a module for each verb, `impair_api` is Toxiproxy's API, `lab` and `trace_link` are the
//! link between two private networks; `film` is judged by ffmpeg; `lecture` puts the lecture's
//! programs at either end; `samples` are records of traces, which `trace_files` and `trace_measures`
//! judge and time as files; `help` keeps the golden help; `tidy` keeps what a compiler cannot.
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
mod impair;
mod impair_api;
#[cfg(target_os = "linux")]
mod lab;
mod learn;
mod lecture;
mod load;
mod peer;
mod program;
mod qualify;
mod samples;
mod send;
mod serve;
mod tidy;
#[cfg(target_os = "linux")]
mod trace;
mod trace_files;
#[cfg(target_os = "linux")]
mod trace_link;
mod trace_measures;
mod video;
