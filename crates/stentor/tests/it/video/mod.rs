//! Stored video: the origin, the player and the check.

mod check;
mod faulty;
mod play;
mod serve;
mod sim;
