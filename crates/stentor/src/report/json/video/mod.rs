//! The JSON of `video`: a mirror for each of its parts.

pub mod check;
