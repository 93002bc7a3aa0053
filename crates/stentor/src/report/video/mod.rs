//! The reports of stored video: what a session was like, as text and as pictures; what an origin
//! says, and the page on which it plays its film.

pub mod check;
pub mod choice;
pub mod formula;
pub mod origin;
pub mod play;
pub mod player;
pub mod rtp;
