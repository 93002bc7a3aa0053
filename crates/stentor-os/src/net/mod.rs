//! Sockets: made with their options set, and asked what the kernel knows of them.

pub mod poll;
