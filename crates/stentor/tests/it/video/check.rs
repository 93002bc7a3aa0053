//! The real binary: `video check`.
