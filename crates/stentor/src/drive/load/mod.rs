//! Load on real sockets.

mod alarms;
mod open;
pub mod outcome;
