//! Sockets: made with their options set, and asked what the kernel knows of them.
//!
//! Each call is one the man pages know; which to make, and when, is left to the drivers.

pub mod datagrams;
pub mod dial;
pub mod interfaces;
pub mod listener;
pub mod option;
pub mod poll;
pub mod queues;
pub mod sockaddr;
pub mod socket_table;
#[cfg(target_os = "linux")]
pub mod tcp_info;
pub mod whole;
