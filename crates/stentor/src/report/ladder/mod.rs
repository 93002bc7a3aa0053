//! Ladders as text: two lanes and what went between them, time downwards.
//!
//! [`conversation`] draws the few events that a verb witnessed itself, [`trace`] the calls, packets
//! and states of a traced run. Both say it with the [`words`] that the other forms use too.

pub mod conversation;
pub(super) mod lines;
pub mod trace;
pub mod words;

pub use conversation::{WIDTH_MAX, WIDTH_MIN, text};
