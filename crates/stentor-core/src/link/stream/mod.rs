//! One direction of a connection that a proxy terminates on both sides.
//!
//! Bytes cannot be lost, doubled or reordered here: TCP would repair it, and a proxy that did it
//! would only break the stream, which no network does. They can be late, slow, in other pieces, and
//! the stream can be stalled, cut, closed or reset. [`Toxic`] says what; [`Pipe`] does it to one
//! direction of one connection, while it may be changed.
//!
//! Invariant: the bytes that come out are those that went in, in order, unless a toxic is there
//! whose [`Toxic::keeps_bytes`] says no.

mod knobs;
mod pipe;
mod stage;
mod toxic;

pub use knobs::{Slice, Stall, StreamKnobs, toxics};
pub use pipe::{BUFFER_MAX, Output, Pipe};
pub use toxic::{Named, Since, Toxic};
