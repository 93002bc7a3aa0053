//! Stored video: the origin, the player and the check.

mod check;
mod play;
mod progressive;
mod serve;
mod sim;
