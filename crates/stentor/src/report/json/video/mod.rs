//! The mirrors of what `video` has to say, a file for each part, and the files of JSON that it reads:
//! films and networks.

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
