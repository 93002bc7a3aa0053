//! The JSON of `video`: a mirror for each of its parts, and the files that simulators share.

pub mod film;
pub mod network;
mod numbers;

pub use numbers::Malformed;
