//! Drivers: the loops that carry bytes between the kernel and the machines.

#[cfg(target_os = "linux")]
pub mod exchange;
pub mod http;
pub mod impair;
#[cfg(target_os = "linux")]
pub mod lab;
pub mod load;
pub mod peer;
pub mod qualify;
pub mod race;
pub mod reach;
pub mod serve;
pub mod tls;
#[cfg(target_os = "linux")]
pub mod trace;
pub mod video;
pub mod wire;
