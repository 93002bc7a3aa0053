//! Drivers of stored video: the origin's server, the player's sockets, the fetching of a check.

pub mod check;
pub mod get;
pub mod origin;
pub mod outcome;
pub mod play;
pub mod simulation;
