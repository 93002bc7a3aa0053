//! Sockets: made with their options set, and asked what the kernel knows of them.

pub mod interfaces;
pub mod poll;
pub mod queues;
pub mod sockaddr;
pub mod socket_table;
#[cfg(target_os = "linux")]
pub mod tcp_info;
pub mod whole;
