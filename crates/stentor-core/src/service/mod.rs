//! What the server does with what it is told: services, faults, and the guard of its datagrams.

pub use crate::casing::Case;
