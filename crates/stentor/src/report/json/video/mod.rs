//! The mirrors of what `video` has to say, a file for each part.

pub mod events;
pub mod p1203;
pub mod play;
