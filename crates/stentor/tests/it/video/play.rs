//! The real binary: `video play`.
