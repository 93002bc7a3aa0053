//! Watching the socket calls of unmodified programs (ptrace(2), seccomp(2)); Linux alone.
//!
//! A [`Tracer`] starts commands and reports what they and all their descendants do: calls on
//! sockets with their arguments, and the state of the socket right after. What it means, and when
//! to start or end something, is left to the roof.
//!
//! A tracer belongs to the thread that made it: the kernel answers no other. Other children of
//! that thread are taken for threads it traces: they belong elsewhere.

mod bell;
mod decode;
mod engine;
mod event;
mod filter;
mod finish;
mod kinds;
mod leave;
mod memory;
mod request;
mod snapshot;
mod start;
mod trial;

pub use bell::{Alarm, Bell};
pub use engine::{Options, Tracer};
pub use event::{
    Address, Arguments, Buffers, Call, Ending, Event, Identity, Message, Outcome, Program, Snapshot,
};
pub use start::{Command, StartFailure, StartStep};

pub(crate) use trial::{install_here, refusing, try_filter, try_seize};
