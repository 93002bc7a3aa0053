//! Stored video: the origin, the player and the check.

mod check;
mod folder;
mod origin;
mod play;
mod serve;
mod sim;
