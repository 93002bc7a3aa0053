//! The tracer, the private network and the capture, on whole programs and real packets.
//!
//! Where the system refuses a power, its tests say so and pass.

#![cfg(target_os = "linux")]

#[cfg(test)]
mod apart;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod lab_link;
#[cfg(test)]
mod network;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod roles;
#[cfg(test)]
mod watch;
