//! Sockets: made with their options set, and asked what the kernel knows of them.

pub mod interfaces;
pub mod poll;
pub mod sockaddr;
pub mod socket_table;
pub mod whole;
