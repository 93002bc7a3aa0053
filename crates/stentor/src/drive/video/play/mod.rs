//! The player's sockets: manifests and chunks over HTTP, every read timed.

pub mod progressive;

use stentor_core::video::film::Film;
use stentor_core::video::session::Event;

use super::outcome::Sample;

/// What a session says while it runs.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// What will be played; comes first.
    Film(&'a Film),
    /// Something happened.
    Event(&'a Event),
    /// What the buffers hold now.
    Sample(&'a Sample),
    /// Something is odd, or failed and is tried again.
    Note(&'a str),
}
