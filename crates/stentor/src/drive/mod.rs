//! Drivers: the loops that carry bytes between the kernel and the machines.

pub mod race;
pub mod reach;
pub mod serve;
