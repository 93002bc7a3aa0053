//! What should happen: the machines of Stentor, as pure functions of their input.
//!
//! There is no clock here, no socket, no file, no thread, no environment and no luck of its own:
//! time arrives as a [`moment::Moment`], chance as a [`seed::Dice`], bytes as slices. What the
//! kernel does is in `stentor-os`; who drives and reports is in `stentor`.
//!
//! Two shapes, no trait: an untimed machine has `feed`; a timed one has `handle`, then `poll`
//! until it says when to come back.

pub mod casing;
pub mod connect;
pub mod endpoint;
pub mod exchange;
pub mod link;
pub mod load;
pub mod manifest;
pub mod measure;
pub mod moment;
pub mod peer;
pub mod qualify;
pub mod seed;
pub mod service;
pub mod timeline;
pub mod units;
pub mod video;
