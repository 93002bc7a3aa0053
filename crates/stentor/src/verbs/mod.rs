//! The verbs, each one file or folder: its arguments, its plan, its run.

pub mod both;
pub mod fetch;
pub mod generate;
pub mod impair;
pub mod learn;
pub mod link;
pub mod load;
mod outputs;
pub mod peer;
#[cfg(target_os = "linux")]
mod programs;
pub mod qualify;
mod seed;
pub mod send;
pub mod serve;
#[cfg(target_os = "linux")]
pub mod trace;
mod until;
pub mod video;
