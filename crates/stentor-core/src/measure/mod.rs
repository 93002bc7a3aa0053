//! What was measured, in the words of the field: latency, jitter, order, rate, and how sure a
//! share is.
//!
//! Each definition cites where it comes from. Nothing here knows what was measured: requests are
//! in [`crate::load`].

pub mod binomial;
pub mod jitter;
pub mod latency;
pub mod rate;
pub mod sequence;

pub use binomial::{Confidence, Interval};
pub use jitter::Jitter;
pub use latency::Latency;
pub use rate::Rate;
pub use sequence::{Arrival, Order, Sequence};
