//! The real binary: `video serve`.
