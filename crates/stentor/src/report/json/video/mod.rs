//! The JSON of `video`: a mirror for each of its parts, and the files that simulators share.

pub mod abr;
pub mod check;
pub mod events;
pub mod film;
pub mod network;
mod numbers;
pub mod p1203;
pub mod play;
pub mod predict;
pub mod sabre;
pub mod serve;

pub use numbers::Malformed;
