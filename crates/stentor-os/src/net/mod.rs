//! Sockets: made with their options set, and asked what the kernel knows of them.

pub mod poll;
pub mod queues;
#[cfg(target_os = "linux")]
pub mod tcp_info;
